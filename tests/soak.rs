//! Memory over time: a server that does not leak is not accused, and this tool itself does not
//! grow. `leak.rs` tests a server that leaks.

mod support;

use serde_json::Value;
use support::{Bench, blast, document, origin, watched};

#[test]
fn a_server_that_does_not_leak_is_not_accused_and_a_short_run_says_so() {
    let (origin, bench) = (origin(), Bench::new());
    let (code, document) = watched(&origin.url(), origin.pid(), &bench);
    let server = &document["server"];
    assert_eq!(server["verdict"], "too short to say", "{server}");
    // An unknown value is not a pass.
    assert_eq!((code, document["thresholds"][0]["verdict"].as_str()), (Some(99), Some("no_data")), "{document}");
    assert_eq!(document["thresholds"][1]["verdict"], "pass");
    assert_eq!(document["target"]["server"]["started"], false);
    let seconds = document["series"].as_array().expect("a series");
    assert!(seconds.iter().filter(|s| s["server_rss_bytes"].as_u64() > Some(100_000)).count() > 8);
}

#[test]
fn a_process_that_is_not_there_is_refused() {
    let (origin, none) = (origin(), "4194303");
    let output = blast(&["quick-smoke", "--target-url", &origin.url(), "--server-pid", none]);
    assert_eq!(output.code, Some(104), "{output:?}");
    assert!(output.stderr.contains("--server-pid 4194303: no such process"), "{output:?}");
    let output = blast(&["quick-smoke", "--target-url", "http://192.0.2.1", "--server-pid", "1"]);
    assert!(output.code == Some(104) && output.stderr.contains("only watch a process on this machine"), "{output:?}");
}

#[test]
fn twenty_thousand_requests_leave_nothing_behind() {
    let (origin, bench) = (origin(), Bench::new());
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
    let requests = |seconds: &[Value]| seconds.iter().filter_map(|second| second["http_reqs"].as_u64()).sum::<u64>();
    // The tool is warm after some requests, however many seconds they took.
    let warm = (1..seconds.len()).find(|&n| requests(&seconds[..n]) >= 2_000).expect("seconds after the first ones");
    let (before, after) = seconds.split_at(warm);
    let of = |second: &Value| second["client_rss_bytes"].as_u64().expect("sampled");
    let (first, last) = (of(&before[warm - 1]), of(&after[after.len() - 1]));
    let after = requests(after);
    assert!(after >= 20_000, "only {after} requests after the first ones: ask for more");
    assert!(last < first + 2_000_000, "{first} bytes when warm, {last} after {after} requests more");
}
