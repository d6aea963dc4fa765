//! A client that is stopped again and again does not report its own standstill as the server's: the
//! kernel's stamps date what came meanwhile, what is not known is censored, and the verdict names
//! the stalls.

mod support;

use llmsim_blast::watch::probe;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::time::Duration;
use support::{Bench, SOON, document, origin, start};

/// Streams that go on for most of the test: a token every 20 ms.
const PROFILE: &str = r#"
executor = "constant-vus"
vus = 20
duration = "3s"
graceful_stop = "5s"
[[requests]]
name = "stream"
api = "openai-chat"
stream = true
path = "/stream?ttft=50ms&gap=20ms&tokens=40&spread=true"
[thresholds]
http_req_failed = ["rate<0.01"]
"#;

/// How long the client is stopped: many times what its numbers may be off by.
const STOPPED: Duration = Duration::from_millis(150);
const RUNNING: Duration = Duration::from_millis(350);
/// How far a percentile may be above the origin's own record, in ms: half of a stop. Without stamps
/// it is off by up to the length of a stop.
const BOUND_MS: f64 = 75.0;

#[test]
#[expect(clippy::disallowed_methods, reason = "the stops are what is tested; no length of theirs decides it")]
fn a_stopped_client_falsifies_no_time_and_says_that_it_was_stopped() {
    let origin = origin();
    let bench = Bench::new();
    let (profile, result) = (bench.write("stalled.toml", PROFILE), bench.path("r.json"));
    let url = origin.url();
    let mut running = start(&[&profile, "--target-url", &url, "--no-server", "--no-pin", "--output", &result], &[]);
    while !running.has_ended() {
        std::thread::sleep(RUNNING);
        running.signal(Signal::SIGSTOP);
        std::thread::sleep(STOPPED);
        running.signal(Signal::SIGCONT);
    }
    let output = running.finish(SOON);
    assert_eq!(output.code, Some(0), "{output:?}");

    let result = document(&result);
    let record = probe::stats(&[origin.addr()], "x", "/record", SOON.into()).expect("the origin's record");
    let truth = |name: &str| record[name]["p99"].as_f64().expect(name) / 1_000.0;
    // There are only some eighty first tokens, and a stop between the look at the clock and the
    // write is in one of them.
    for (metric, percentile, recorded) in [("ttft", "p90", "ttft_us"), ("tbt", "p99", "gap_us")] {
        let ours = result["metrics"][metric][percentile].as_f64().expect(metric);
        // Only above: what this client does not know it leaves out, and of a server that stood still
        // those are the longest gaps.
        let off = ours - truth(recorded);
        assert!(off < BOUND_MS, "{metric}: {ours} ms, in truth {} ms", truth(recorded));
    }
    // What came in heaps is counted, not guessed; and the run is not called valid.
    assert!(result["metrics"]["tbt_censored"]["count"].as_u64() > Some(0), "{}", output.stdout);
    assert_eq!(result["client"]["verdict"], "bottleneck", "{}", output.stdout);
    let signals = result["client"]["signals"].as_array().expect("signals");
    let lag = signals.iter().find(|signal| signal["name"] == "client_lag_p99_ms").map(|signal| &signal["verdict"]);
    assert_eq!(lag, Some(&Value::from("bottleneck")), "the stalls are named: {}", output.stdout);
}
