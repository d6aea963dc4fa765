//! Thresholds decide how a run ends, and may end it early.

mod support;

use serde_json::{Value, json};
use support::{Behaviour, Bench, Misbehaving, Output, blast, document};

/// Runs plain requests against a server with this behaviour. `head` is the executor.
fn judged(behaviour: Behaviour, head: &str, thresholds: &str) -> (Value, Output) {
    let (bench, server) = (Bench::new(), Misbehaving::start(behaviour));
    let mix = "[[requests]]\nname = \"chat\"\napi = \"openai-chat\"\n[[requests]]\nname = \"health\"\napi = \"health\"\nweight = 0\n";
    let profile = bench.write("judged.toml", &format!("{head}\n{mix}[thresholds]\n{thresholds}\n"));
    let result = bench.path("r.json");
    let output = blast(&[&profile, "--target-url", &server.url(), "--output", &result]);
    (document(&result), output)
}

const FEW: &str = "executor = \"per-vu-iterations\"\niterations = 4";
const LONG: &str = "executor = \"constant-vus\"\nduration = \"10m\"\nthink_time = \"5ms\"";

#[test]
fn a_threshold_that_does_not_hold_ends_with_99() {
    let rules = "http_reqs = [\"count==4\", \"count>4\"]\nhttp_req_failed = \"rate<0.01\"";
    let (result, output) = judged(Behaviour::GoodPlain, FEW, rules);
    assert_eq!(output.code, Some(99), "{output:?}");
    assert!(output.stdout.starts_with("FAIL ✗  judged: 1 of 3 thresholds did not hold"), "{output:?}");
    assert!(output.stdout.contains("    ✗ 'count>4' count=4"), "{output:?}");
    assert!(output.stdout.contains("    ✓ 'count==4' count=4"), "{output:?}");
    let failed =
        json!({ "metric": "http_reqs", "expression": "count>4", "value": 4.0, "samples": 4, "verdict": "fail" });
    assert_eq!(result["thresholds"].as_array().unwrap().iter().filter(|t| **t == failed).count(), 1, "{result}");
}

#[test]
fn thresholds_are_typed_for_one_run() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::GoodPlain));
    let mix = "[[requests]]\nname = \"chat\"\napi = \"openai-chat\"\n";
    let profile = bench.write("typed.toml", &format!("{FEW}\n{mix}[thresholds]\nhttp_reqs = \"count>4\"\n"));
    let run = |more: &[&str]| {
        let output = blast(&[&[profile.as_str(), "--target-url", &server.url()], more].concat());
        (output.code, output)
    };
    let own = ["--threshold", "http_reqs count==4", "--threshold", "http_req_failed rate<1%"];
    let (code, output) = run(&own);
    assert!(code == Some(99) && output.stdout.contains("1 of 3 thresholds did not hold"), "{output:?}");
    let (code, output) = run(&[&own[..], &["--no-thresholds"]].concat());
    assert!(code == Some(0) && output.stdout.contains("2 of 2 thresholds held"), "{output:?}");
    // Without thresholds, the run only needs data.
    let (code, output) = run(&["--no-thresholds"]);
    assert_eq!(code, Some(0), "{output:?}");
    for (rule, refused, expected) in [
        ("http_reqs", 2, "invalid value 'http_reqs' for --threshold: expected a metric and a threshold"),
        ("ttft{request:x} p(95)<1s", 2, "expected one of chat"),
        ("goodput rate>0.9", 104, "needs latency goals"),
    ] {
        let (code, output) = run(&["--threshold", rule]);
        assert!(code == Some(refused) && output.stderr.contains(expected), "{output:?}");
    }
}

#[test]
fn a_threshold_on_one_kind_of_request_looks_at_that_alone() {
    let rules = "\"http_reqs{request:chat}\" = \"count==4\"\nhttp_reqs = \"count==4\"";
    let (_, output) = judged(Behaviour::GoodPlain, FEW, rules);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.contains("  http_reqs{request:chat}\n    ✓ 'count==4'"), "{output:?}");
}

#[test]
fn a_threshold_without_data_is_no_pass() {
    // Plain responses have no tokens to wait for, and no health requests are sent.
    for (rules, metric) in [
        ("ttft = \"p(95)<10000\"", "ttft"),
        ("\"http_req_duration{request:health}\" = \"p(95)<10000\"", "http_req_duration{request:health}"),
        ("\"http_req_failed{request:health}\" = \"rate<0.5\"", "http_req_failed{request:health}"),
    ] {
        let (result, output) = judged(Behaviour::GoodPlain, FEW, rules);
        assert_eq!(output.code, Some(99), "{output:?}");
        assert!(output.stdout.contains("no data: nothing was measured, which is not a pass"), "{output:?}");
        let verdict = &result["thresholds"][0];
        assert_eq!((&verdict["metric"], &verdict["verdict"]), (&json!(metric), &json!("no_data")));
        assert_eq!((&verdict["value"], &verdict["samples"]), (&Value::Null, &json!(0)));
    }
}

#[test]
fn a_run_without_thresholds_passes_on_one_success_and_not_on_none() {
    let (_, output) = judged(Behaviour::GoodPlain, FEW, "");
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.contains("no thresholds were set"), "{output:?}");
    let (_, output) = judged(Behaviour::Status(500), FEW, "");
    assert_eq!(output.code, Some(107), "{output:?}");
}

#[test]
fn a_threshold_may_end_the_run_early() {
    let rules = "http_reqs = [{ threshold = \"count<3\", abort_on_fail = true }]";
    let (result, output) = judged(Behaviour::GoodPlain, LONG, rules);
    assert_eq!(output.code, Some(99), "{output:?}");
    assert!(output.stdout.contains("  stopped    threshold http_reqs count<3"), "{output:?}");
    assert_eq!(result["run"]["stop_reason"], "threshold http_reqs count<3");
    // The run was not stopped by a signal.
    assert_eq!(result["run"]["interrupted"], false);
    assert!(result["run"]["window_s"].as_f64() < Some(600.0));
}

#[test]
fn a_threshold_without_data_does_not_end_the_run() {
    let short = "executor = \"constant-vus\"\nduration = \"2s\"\nthink_time = \"5ms\"";
    let rules = "ttft = [{ threshold = \"p(95)<10000\", abort_on_fail = true }]";
    let (result, output) = judged(Behaviour::GoodPlain, short, rules);
    assert_eq!(output.code, Some(99), "{output:?}");
    assert_eq!(result["run"]["stop_reason"], Value::Null);
    assert_eq!(result["run"]["window_s"], 2.0);
}

#[test]
fn an_early_end_may_be_put_off() {
    let rules = "http_reqs = [{ threshold = \"count<3\", abort_on_fail = true, delay_abort_eval = \"2s\" }]";
    let (result, output) = judged(Behaviour::GoodPlain, LONG, rules);
    assert_eq!(output.code, Some(99), "{output:?}");
    assert_eq!(result["run"]["stop_reason"], "threshold http_reqs count<3");
    assert!(result["run"]["window_s"].as_f64() >= Some(2.0), "{}", result["run"]);
}
