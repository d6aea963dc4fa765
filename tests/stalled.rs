//! A client that is stopped repeatedly does not report its own pauses as the server's. The kernel's
//! timestamps date the bytes that arrived in a pause, unknown times are censored, and the verdict
//! names the stalls.

mod support;

use llmsim_blast::watch::probe;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::time::Duration;
use support::{Bench, SOON, document, origin, start};

/// Streams that last for most of the test: a token every 20 ms.
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

/// Length of a stop: a large multiple of the allowed error.
const STOPPED: Duration = Duration::from_millis(150);
const RUNNING: Duration = Duration::from_millis(350);
/// Largest allowed excess of a percentile over the origin's own record, in ms: half of a stop.
/// Without kernel timestamps the error is up to the length of a stop.
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
    // There are only about eighty first tokens. A stop between reading the clock and writing the
    // request falls into one of them.
    for (metric, percentile, recorded) in [("ttft", "p90", "ttft_us"), ("tbt", "p99", "gap_us")] {
        let ours = result["metrics"][metric][percentile].as_f64().expect(metric);
        // Only too large values count. The client leaves out times that it does not know, and if
        // the server paused, those are the longest gaps.
        let off = ours - truth(recorded);
        assert!(off < BOUND_MS, "{metric}: {ours} ms, in truth {} ms", truth(recorded));
    }
    // Bytes that arrived in one batch are counted, not guessed. The run is not called valid.
    assert!(result["metrics"]["tbt_censored"]["count"].as_u64() > Some(0), "{}", output.stdout);
    assert_eq!(result["client"]["verdict"], "bottleneck", "{}", output.stdout);
    let signals = result["client"]["signals"].as_array().expect("signals");
    let lag = signals.iter().find(|signal| signal["name"] == "client_lag_p99_ms").map(|signal| &signal["verdict"]);
    assert_eq!(lag, Some(&Value::from("bottleneck")), "the stalls are named: {}", output.stdout);
}
