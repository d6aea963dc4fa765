//! Open-loop load with the real binary. Arrivals do not wait for the server, and the waiting time
//! of VUs is in the results.

mod support;

use llmsim_blast::watch::probe;
use support::{Bench, Misbehaving, SOON, blast, count, document, origin, start};

const PROFILE: &str = r#"
executor = "constant-arrival-rate"
rate = 200
duration = "5s"
max_vus = 4
graceful_stop = "20s"
[[requests]]
name = "plain"
api = "openai-chat"
path = "/plain"
[thresholds]
http_req_failed = ["rate<0.01"]
"#;

#[test]
fn a_freeze_is_seen_from_the_intended_instant_and_no_arrival_is_lost() {
    let origin = origin();
    let bench = Bench::new();
    let (profile, result) = (bench.write("open.toml", PROFILE), bench.path("r.json"));
    let running = start(&[&profile, "--target-url", &origin.url(), "--no-server", "--output", &result], &[]);
    support::eventually("some requests were answered", || {
        let record = probe::stats(&[origin.addr()], "x", "/record", SOON.into()).expect("the origin's record");
        record["requests"].as_u64().expect("a count") > 100
    });
    // The response may or may not arrive before the freeze.
    let _ = probe::stats(&[origin.addr()], "x", "/freeze?for=1s", SOON.into());
    let output = running.finish(SOON);
    assert_eq!(output.code, Some(0), "{output:?}");
    let result = document(&result);
    for metric in ["arrivals_offered", "arrivals_started", "iterations", "http_reqs"] {
        assert_eq!(count(&result, metric), 1_000, "{metric}");
    }
    assert_eq!(count(&result, "dropped_iterations"), 0);
    // The arrivals of one second came during the freeze. A slow machine only makes it longer. The
    // p99 of 1,000 requests is the tenth longest: nine arrivals of 5 ms before the longest.
    let p99 = result["metrics"]["http_req_duration_from_intended"]["p99"].as_f64().expect("a time");
    assert!(p99 > 900.0, "{p99} ms: {}", output.stdout);
    // Only the four requests in flight saw the freeze in their service time, so its percentiles do
    // not show it.
    assert!(count(&result, "schedule_lag") == 1_000);
    assert_ne!(result["client"]["verdict"], "ok", "all users were busy: {}", output.stdout);
    let out = &output.stdout;
    for word in ["…_from_intended", "schedule_lag", "arrivals_offered", "arrivals_started"] {
        assert!(out.contains(word), "{word} is missing:\n{out}");
    }
    assert!(out.contains("all users were busy"), "{out}");
}

#[test]
fn a_rate_opens_a_built_in_profile() {
    let origin = origin();
    let bench = Bench::new();
    let result = bench.path("r.json");
    let args = ["load", "--rate", "100", "--duration", "1s", "--target-url", &origin.url(), "--no-server"];
    let output = blast(&[&args[..], &["--output", &result]].concat());
    assert_eq!(output.code, Some(0), "{output:?}");
    let result = document(&result);
    assert_eq!(count(&result, "arrivals_offered"), 100);
    assert_eq!(count(&result, "http_reqs"), 100);
    assert_eq!(result["plan"]["executor"], "constant-arrival-rate");
    assert_eq!(result["plan"]["max_vus"], 50);
}

#[test]
fn dropped_arrivals_are_said() {
    let server = Misbehaving::start(support::Behaviour::Stall);
    let bench = Bench::new();
    let text = PROFILE.replace("duration = \"5s\"", "duration = \"1s\"\non_full = \"drop\"\ntimeout = \"1s\"");
    let (profile, result) = (bench.write("open.toml", &text), bench.path("r.json"));
    let output = blast(&[&profile, "--target-url", &server.url(), "--no-server", "--output", &result]);
    assert_eq!(output.code, Some(107), "{output:?}");
    let result = document(&result);
    assert_eq!(count(&result, "arrivals_offered"), 200);
    assert!(count(&result, "dropped_iterations") >= 190, "{}", output.stdout);
    assert_eq!(count(&result, "arrivals_started") + count(&result, "dropped_iterations"), 200);
    assert!(output.stdout.contains("no user was free"), "{}", output.stdout);
}

#[test]
fn what_an_open_load_cannot_have_is_refused() {
    let bench = Bench::new();
    for (line, expected) in [
        ("think_time = \"1s\"", "think_time: cannot be used with open-loop load"),
        ("vus = 3", "vus: cannot be used with the executor constant-arrival-rate"),
        ("max_vus = 4\npre_allocated_vus = 5", "max_vus: invalid value '4': expected at least pre_allocated_vus"),
        ("arrival = \"uniform\"", "invalid value 'uniform'"),
        ("arrival = \"gamma\"", "burstiness: is missing"),
        ("burstiness = 0.001", "burstiness: invalid value '0.001'"),
        ("arrival = \"poisson\"\nburstiness = 2.0", "burstiness: cannot be used with arrival = \"poisson\""),
        ("on_full = \"wait\"", "on_full: invalid value 'wait'"),
        ("time_unit = \"0s\"", "time_unit: invalid value '0s'"),
    ] {
        let text = PROFILE.replace("max_vus = 4", if line.contains("max_vus") { "" } else { "max_vus = 4" });
        let profile = bench.write("bad.toml", &format!("{line}\n{text}"));
        let output = blast(&[&profile, "--no-server"]);
        assert_eq!(output.code, Some(104), "{line}: {output:?}");
        assert!(output.stderr.contains(expected), "{line}: {}", output.stderr);
    }
    for (args, code, expected) in [
        (&["quick-smoke", "--rate", "5"][..], 104, "a profile that counts requests"),
        (&["load", "--rate", "fast"], 2, "invalid value 'fast' for --rate"),
        (&["load", "--rate", "5", "--think-time", "1s"], 104, "--think-time cannot be used with open-loop load"),
        (&["load", "--rate", "5", "--stage", "1s:5"], 104, "cannot be used together"),
    ] {
        let output = blast(args);
        assert_eq!(output.code, Some(code), "{args:?}: {output:?}");
        assert!(output.stderr.contains(expected), "{args:?}: {}", output.stderr);
    }
}
