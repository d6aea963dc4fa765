//! Memory over time: a server that does not leak is not accused, and this tool itself does not grow. `leak.rs` has the one that does.

mod support;

use llmsim_blast::server::{Server, Source, Spec};
use serde_json::Value;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use support::{Bench, SOON, blast, document};

fn origin() -> (Server, u32) {
    let spec = Spec {
        source: Source::Origin,
        config: None,
        chaos: false,
        host: "127.0.0.1".to_owned(),
        port: 0,
        any_port: true,
        ready_within: SOON.into(),
        throughput: None,
    };
    let own = Path::new(env!("CARGO_BIN_EXE_llmsim-blast"));
    let origin = Server::launch(own, &spec, None, &mut |_| {}, &AtomicBool::new(false)).expect("an origin");
    let pid = origin.pid();
    (origin, pid)
}

/// Runs a minute's question in 14 s, of which 12 are measured.
fn run(url: &str, pid: u32, bench: &Bench) -> (Option<i32>, Value) {
    let profile = r#"
executor = "constant-vus"
vus = 1
duration = "14s"
warmup = "2s"
think_time = "20ms"
[[requests]]
name = "health"
api = "health"
[thresholds]
server_rss_growth = ["value<100"]
server_rss_max = ["value<4000"]
"#;
    let (profile, result) = (bench.write("soak.toml", profile), bench.path("r.json"));
    let output = blast(&[&profile, "--target-url", url, "--server-pid", &pid.to_string(), "--output", &result]);
    assert!(output.stdout.contains("OVER TIME"), "{output:?}");
    (output.code, document(&result))
}

#[test]
fn a_server_that_does_not_leak_is_not_accused_and_a_short_run_says_so() {
    let ((origin, pid), bench) = (origin(), Bench::new());
    let (code, document) = run(&origin.url(), pid, &bench);
    let server = &document["server"];
    assert_eq!(server["verdict"], "too short to say", "{server}");
    // What is not known is no pass.
    assert_eq!((code, document["thresholds"][0]["verdict"].as_str()), (Some(99), Some("no_data")), "{document}");
    assert_eq!(document["thresholds"][1]["verdict"], "pass");
    assert_eq!(document["target"]["server"]["started"], false);
    let seconds = document["series"].as_array().expect("a series");
    assert!(seconds.iter().filter(|s| s["server_rss_bytes"].as_u64() > Some(100_000)).count() > 8);
}

#[test]
fn a_process_that_is_not_there_is_refused() {
    let ((origin, _), none) = (origin(), "4194303");
    let output = blast(&["quick-smoke", "--target-url", &origin.url(), "--server-pid", none]);
    assert_eq!(output.code, Some(104), "{output:?}");
    assert!(output.stderr.contains("--server-pid 4194303: no such process"), "{output:?}");
    let output = blast(&["quick-smoke", "--target-url", "http://192.0.2.1", "--server-pid", "1"]);
    assert!(output.code == Some(104) && output.stderr.contains("only a process of this machine"), "{output:?}");
}

#[test]
fn twenty_thousand_requests_leave_nothing_behind() {
    let ((origin, _), bench) = (origin(), Bench::new());
    let profile = r#"
executor = "shared-iterations"
vus = 8
iterations = 200000
max_duration = "100s"
[[requests]]
name = "plain"
api = "openai-chat"
path = "/plain"
"#;
    let (profile, result) = (bench.write("many.toml", profile), bench.path("r.json"));
    let output = blast(&[&profile, "--target-url", &origin.url(), "--no-server", "--output", &result]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let document = document(&result);
    let seconds = document["series"].as_array().expect("a series");
    let warm = seconds[0]["client_rss_bytes"].as_u64().expect("sampled");
    let after: u64 = seconds[1..].iter().filter_map(|second| second["http_reqs"].as_u64()).sum();
    let end = seconds[seconds.len() - 1]["client_rss_bytes"].as_u64().expect("sampled");
    assert!(after >= 20_000, "only {after} requests after the first second: ask for more");
    assert!(end < warm + 2_000_000, "{warm} bytes after the first second, {end} after {after} requests more");
}
