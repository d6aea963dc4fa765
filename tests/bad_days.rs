//! Problems that are not mistakes of the user: missing targets, servers that do not start,
//! misbehave or die, full disks.

mod support;

use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpListener;
use support::{Behaviour, Bench, Misbehaving, SOON, blast, document, free_port, no_data, start_after, two_requests};

// ---- no target --------------------------------------------------------------------------------

#[test]
fn a_target_that_refuses_is_said_to() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let output = blast(&["quick-smoke", "--no-server", "--target-url", &url]);
    no_data(&output, &["error: ", &url, "connection refused", "start the server first"]);
    assert!(output.stdout.is_empty(), "{output:?}");
}

#[test]
fn a_name_that_means_nothing_is_said_to() {
    // RFC 6761, section 6.4: names below .invalid never exist.
    let output = blast(&["quick-smoke", "--target-url", "http://llmsim.invalid:8080"]);
    no_data(&output, &["error: ", "http://llmsim.invalid:8080", "cannot be resolved"]);
}

#[test]
fn something_that_speaks_no_http_is_no_target() {
    let server = Misbehaving::start(Behaviour::NeverHealthy);
    let output = blast(&["quick-smoke", "--no-server", "--target-url", &server.url()]);
    // The server does speak HTTP. A server without a working /health is accepted if the user names
    // it.
    assert_eq!(output.code, Some(0), "{output:?}");
    // The output must not claim that the server is llmsim.
    assert!(!output.stdout.contains("llmsim"), "{output:?}");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"220 mail.example ESMTP\r\n");
    });
    no_data(&blast(&["quick-smoke", "--no-server", "--no-probe", "--target-url", &url]), &[&url, "not HTTP"]);
    answer.join().unwrap();
}

// ---- no server --------------------------------------------------------------------------------

#[test]
fn a_port_that_something_else_has_taken_is_not_silently_another() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let closer = std::thread::spawn(move || {
        // Not HTTP, and still listening when the tool wants the port.
        drop(listener.accept());
        listener
    });
    let output = blast(&["quick-smoke", "--port", &port]);
    no_data(&output, &["error: ", &format!("127.0.0.1:{port} is in use"), "--port"]);
    drop(closer.join().unwrap());
}

#[test]
fn a_server_that_ends_at_once_is_quoted() {
    let bench = Bench::new();
    let file = bench.script("llmsim", "echo reading the stars\necho no luck today >&2\nexit 3");
    let output = blast(&["quick-smoke", "--server-bin", &file, "--output", &bench.path("r.json")]);
    no_data(&output, &["exit status 3", "| reading the stars\n", "| no luck today\n"]);
    assert!(output.stdout.is_empty() && !bench.names().contains(&"r.json".to_owned()), "{output:?}");
    no_data(&blast(&["quick-smoke", "--server-bin", "/bin/false"]), &["exit status 1", "printed nothing"]);
    no_data(&blast(&["quick-smoke", "--server-bin", &bench.path("none")]), &["--server-bin", "none"]);
}

#[test]
fn a_server_that_is_never_healthy_is_given_up_and_stopped() {
    let bench = Bench::new();
    // The process lives and prints a line, but does not listen on its port.
    let file = bench.script("llmsim", "echo thinking about it\necho $$ >\"$0.pid\"\nexec sleep 600");
    let output = blast(&["quick-smoke", "--server-bin", &file]);
    no_data(&output, &["not ready after 30s", "| thinking about it\n"]);
    let pid = std::fs::read_to_string(bench.path("llmsim.pid")).unwrap().trim().parse().unwrap();
    assert!(!support::alive(pid));
}

#[test]
fn a_checkout_that_does_not_build_is_quoted() {
    let bench = Bench::new();
    bench.write("Cargo.toml", "[package]\nname = \"llmsim\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n");
    std::fs::create_dir(bench.path("src")).unwrap();
    bench.write("src/main.rs", "fn main() { this is not rust }\n");
    let output = blast(&["quick-smoke", "--server-src", &bench.path("")]);
    no_data(
        &output,
        &["--server-src", "`cargo build --release` failed", "Compiling llmsim", "  | ", "this is not rust"],
    );
    let empty = Bench::new();
    no_data(&blast(&["quick-smoke", "--server-src", &empty.path("")]), &["--server-src", "no Cargo.toml"]);
}

// ---- servers that misbehave: see failures.rs --------------------------------------------------

#[test]
fn a_failure_between_successes_is_one_failure() {
    let bench = Bench::new();
    let server = Misbehaving::script(vec![Behaviour::GoodPlain, Behaviour::Status(500), Behaviour::GoodPlain]);
    let profile = bench.write("mixed.toml", &two_requests(false, "").replace("iterations = 2", "iterations = 4"));
    let result = bench.path("r.json");
    let output = blast(&[&profile, "--target-url", &server.url(), "--output", &result]);
    assert_eq!(output.code, Some(99), "{output:?}");
    assert!(output.stdout.contains("✗ 'rate<0.01' rate=25.00%"), "{output:?}");
    let result = document(&result);
    assert_eq!(result["failures"]["http_5xx"], 1);
    assert_eq!(result["failures"]["statuses"], json!({ "200": 3, "500": 1 }));
    assert_eq!(result["metrics"]["http_req_duration"]["count"], 3);
    // A status is not a reason to open another connection.
    assert_eq!(result["metrics"]["connections_opened"]["count"], 1);
}

#[test]
fn a_server_that_goes_away_is_not_met_with_a_storm() {
    let (bench, url) = (Bench::new(), format!("http://127.0.0.1:{}", free_port()));
    let profile = bench.write(
        "gone.toml",
        "executor = \"constant-vus\"\nvus = 2\nduration = \"2s\"\n[[requests]]\nname = \"chat\"\napi = \"openai-chat\"\n",
    );
    // The server passes the health check, and is gone when the test begins.
    let listener = TcpListener::bind(url.trim_start_matches("http://")).unwrap();
    let answer = std::thread::spawn(move || {
        for _ in 0..2 {
            // The health check, then the statistics.
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"status\":\"ok\"}");
        }
    });
    let result = bench.path("r.json");
    no_data(&blast(&[&profile, "--target-url", &url, "--no-probe", "--output", &result]), &["connect_refused"]);
    answer.join().unwrap();
    let refused = document(&result)["failures"]["connect_refused"].as_u64().unwrap();
    // Back-off of 100 ms, 200 ms, 400 ms, 800 ms: each VU has five attempts in two seconds.
    assert!((2..=10).contains(&refused), "{refused}");
}

// ---- output files and limits ------------------------------------------------------------------

#[test]
fn a_full_disk_costs_the_file_and_not_the_summary() {
    let server = Misbehaving::start(Behaviour::Good { tokens: 3 });
    let output = blast(&["quick-smoke", "--target-url", &server.url(), "--output", "/dev/full"]);
    assert_eq!(output.code, Some(109), "{output:?}");
    assert!(output.stdout.contains("PASS ✓") && output.stdout.contains("THRESHOLDS"), "{output:?}");
    assert!(output.stderr.contains("error: --output /dev/full: the results could not be written"), "{output:?}");
}

#[test]
fn a_summary_that_cannot_be_printed_does_not_cost_the_result() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 3 }));
    let result = bench.path("r.json");
    let args = ["quick-smoke", "--target-url", &server.url(), "--output", &result];
    let output = start_after("exec >/dev/full", &args).finish(SOON);
    assert_eq!(output.code, Some(109), "{output:?}");
    assert!(output.stderr.contains("error: cannot write the output: No space left"), "{output:?}");
    assert_eq!(document(&result)["metrics"]["http_reqs"]["count"], 3);
}

#[test]
fn an_output_that_cannot_be_printed_does_not_cost_the_result_of_other_commands() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 3 }));
    let (url, result) = (server.url(), bench.path("r.json"));
    let [run, other] = ["run.json", "other.json"].map(|name| bench.path(name));
    for file in [&run, &other] {
        assert_eq!(blast(&["quick-smoke", "--target-url", &url, "--output", file, "--quiet"]).code, Some(0));
    }
    let steps = ["--target-url", &url, "--duration", "100ms", "--warmup", "0s", "--quiet"];
    let capacity = ["capacity", "--by", "vus", "--max", "1", "--slo", "http_req_failed rate<1%"];
    let throughput = ["throughput", "--no-server", "--concurrency", "1", "--responses", "plain"];
    for args in [
        [&capacity[..], &steps, &["--output", &result]].concat(),
        [&throughput[..], &steps, &["--output", &result]].concat(),
        vec!["compare", &run, &other, "--output", &result],
        vec!["report", &run, "--html", &result],
        vec!["report", &run, "--csv", "--html", &result],
    ] {
        let output = start_after("exec >/dev/full", &args).finish(SOON);
        assert_eq!(output.code, Some(109), "{args:?}: {output:?}");
        assert!(output.stderr.contains("error: cannot write the output: No space left"), "{args:?}: {output:?}");
        assert!(std::fs::remove_file(&result).is_ok(), "{args:?} has lost its result: {output:?}");
    }
}

/// Standard error is no longer read. That affects neither the exit code nor the written files.
#[test]
fn a_run_that_nobody_listens_to_keeps_its_result() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 3 }));
    let (url, result) = (server.url(), bench.path("r.json"));
    let run = ["quick-smoke", "--target-url", &url];
    let output = support::start_unheard(&[&run[..], &["--debug-response", "2", "--output", &result]].concat());
    assert_eq!(output.finish(SOON).code, Some(0));
    assert_eq!(document(&result)["metrics"]["http_reqs"]["count"], 3);
    let output = support::start_unheard(&[&run[..], &["--html", "/dev/full", "--output", "/dev/full"]].concat());
    assert_eq!(output.finish(SOON).code, Some(109));
}

#[test]
fn a_result_that_cannot_be_written_whole_leaves_the_earlier_one() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 3 }));
    let result = bench.write("r.json", "the earlier result");
    // Limit files to one block.
    let limited = "trap '' XFSZ && ulimit -f 1";
    let output = start_after(limited, &["quick-smoke", "--target-url", &server.url(), "--output", &result]);
    let output = output.finish(SOON);
    assert_eq!(output.code, Some(109), "{output:?}");
    assert!(output.stdout.contains("PASS ✓") && output.stderr.contains("File too large"), "{output:?}");
    assert_eq!(std::fs::read_to_string(&result).unwrap(), "the earlier result");
    assert_eq!(bench.names(), ["r.json"]);
}

#[test]
fn too_few_file_descriptors_are_said_before_the_test() {
    let server = Misbehaving::start(Behaviour::Good { tokens: 3 });
    let args = ["load", "--vus", "500", "--target-url", &server.url()];
    let output = start_after("ulimit -n 256", &args).finish(SOON);
    assert_eq!(output.code, Some(104), "{output:?}");
    assert!(output.stderr.contains("`ulimit -n 564`") && output.stderr.contains("limit is 256"), "{output:?}");
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_low_soft_limit_is_raised() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 3 }));
    let profile = bench.write("many.toml", &two_requests(false, "vus = 60"));
    let result = bench.path("r.json");
    let args = [profile.as_str(), "--target-url", &server.url(), "--output", &result];
    let output = start_after("ulimit -n 512 && ulimit -Sn 32", &args).finish(SOON);
    assert_eq!(output.code, Some(0), "{output:?}");
    let result = document(&result);
    assert_eq!(result["environment"]["nofile"], 512);
    assert_eq!(result["metrics"]["connections"]["max"], 60);
}

// ---- servers that die -------------------------------------------------------------------------

#[cfg(feature = "embedded")]
mod embedded {
    use super::*;
    use llmsim_blast::units::Nanos;
    use llmsim_blast::watch::probe;
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use support::{children, eventually, start};

    #[test]
    fn a_server_that_dies_during_the_run_spoils_it() {
        let (bench, port) = (Bench::new(), free_port().to_string());
        let profile = bench.write(
        "long.toml",
        "executor = \"constant-vus\"\nvus = 2\nduration = \"10m\"\n[[requests]]\nname = \"chat\"\napi = \"openai-chat\"\n",
    );
        let result = bench.path("r.json");
        let running = start(&[&profile, "--no-probe", "--port", &port, "--output", &result], &[]);
        let addr = format!("127.0.0.1:{port}").parse().unwrap();
        eventually("a request was answered", || {
            let stats = probe::stats(&[addr], "x", "/llmsim/stats", Nanos::from_secs(5));
            stats.is_some_and(|stats| stats["completion_tokens"].as_u64() > Some(0))
        });
        let [child] = children(running.pid())[..] else { panic!("one child") };
        kill(Pid::from_raw(child.cast_signed()), Signal::SIGKILL).unwrap();
        let output = running.finish(SOON);
        no_data(&output, &["FAIL ✗", "the server ended by itself", "killed by SIGKILL"]);
        let result = document(&result);
        assert_eq!(result["target"]["server"]["died"], "killed by SIGKILL");
        assert_eq!(result["run"]["interrupted"], false);
        // The server worked as long as it lived.
        assert!(result["metrics"]["http_req_duration"]["count"].as_u64() > Some(0), "{output:?}");
    }
}
