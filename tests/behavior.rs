//! VUs that do not simply wait for the whole response, and a path that damages it. Each request is
//! counted once, and nothing is left behind.

mod support;

use serde_json::Value;
use std::time::Duration;
#[cfg(feature = "embedded")]
use support::SOON;
use support::{Behaviour, Bench, Misbehaving, Output, blast, count, document};

/// Returns a profile with one VU and two requests.
fn profile(stream: bool, behavior: &str) -> String {
    format!(
        "executor = \"per-vu-iterations\"\niterations = 2\n[[requests]]\nname = \"chat\"\napi = \"openai-chat\"\n\
         stream = {stream}\n{behavior}\n"
    )
}

fn run(server: &str, text: &str) -> (Value, Output) {
    let bench = Bench::new();
    let (profile, result) = (bench.write("odd.toml", text), bench.path("r.json"));
    let output = blast(&[&profile, "--target-url", server, "--output", &result]);
    assert!(!output.stderr.contains("panicked"), "{output:?}");
    (document(&result), output)
}

/// Checks that every started request ended once, in one way.
fn sums_hold(result: &Value) {
    let [started, finished, cancelled, interrupted] =
        ["http_reqs_started", "http_reqs", "cancelled", "interrupted"].map(|name| count(result, name));
    assert_eq!(started, finished + cancelled + interrupted, "{}", result["metrics"]["http_reqs_started"]);
    let failed = &result["metrics"]["http_req_failed"];
    assert_eq!(failed["total"], finished);
    let timed = result["metrics"]["http_req_duration"]["count"].as_u64().unwrap_or_default();
    assert_eq!(timed, finished - failed["matches"].as_u64().unwrap());
    let classes = result["failures"].as_object().unwrap().iter().filter_map(|(_, n)| n.as_u64()).sum::<u64>();
    assert_eq!(failed["matches"], classes);
}

#[test]
fn who_gives_up_closes_and_who_vanishes_resets() {
    for (behavior, resets, waits_for_tokens) in [
        ("cancel = { after_tokens = 2 }", 0, true),
        ("cancel = { after = \"100ms\" }", 0, false),
        ("drop = { after_tokens = 2 }", 2, true),
        ("drop = { after = \"100ms\" }", 2, false),
    ] {
        let server = Misbehaving::start(Behaviour::StallMidStream);
        let (result, output) = run(&server.url(), &profile(true, behavior));
        assert_eq!(output.code, Some(0), "{behavior}: {output:?}");
        assert!(output.stdout.contains("cancelled         2 abandoned by their users"), "{output:?}");
        assert_eq!((count(&result, "cancelled"), count(&result, "http_reqs")), (2, 0), "{behavior}");
        assert_eq!(result["metrics"]["http_req_failed"]["rate"], Value::Null, "{behavior}");
        // A VU that leaves after some time has the tokens that a busy machine has sent by then.
        let tokens = count(&result, "token_events");
        assert!(tokens == 4 || !waits_for_tokens && tokens < 4, "{behavior}: {tokens}");
        assert!(result["metrics"].get("ttft").is_none(), "{behavior}");
        sums_hold(&result);
        // The server notices in its own time.
        support::eventually("the server has heard of both", || server.resets() == resets);
    }
}

#[test]
fn a_slow_reader_is_felt_by_the_server() {
    let server = Misbehaving::narrow(Behaviour::GoodStream { tokens: 300 });
    let (result, output) = run(&server.url(), &profile(true, "slow_reader = { bytes_per_second = 40000 }"));
    assert_eq!(output.code, Some(0), "{output:?}");
    let bytes = count(&result, "data_received") as f64 / 2.0;
    assert!(bytes > 40_000.0, "{bytes}");
    // At the VU's own pace, except for the first portion, which is read at once.
    let shortest = result["metrics"]["http_req_duration"]["min"].as_f64().unwrap();
    assert!(shortest >= (bytes - 8_000.0) / 40.0, "{shortest} ms for {bytes} bytes");
    // Bytes that are not read and do not fit into a few small buffers are not written, either.
    let longest_write = server.longest_write();
    assert!(longest_write > Duration::from_millis(500), "{longest_write:?} to write {bytes} bytes");
    assert_eq!(count(&result, "connections_opened"), 2, "a connection for each");
    assert_eq!(count(&result, "tbt_censored"), 0);

    // A VU that reads as fast as it can is not slow. One fast request of several is enough: the
    // others may have been slowed by a busy machine.
    let (result, _) = run(&server.url(), &profile(true, "").replace("iterations = 2", "iterations = 5"));
    assert!(result["metrics"]["http_req_duration"]["min"].as_f64().unwrap() < shortest, "others are not slow");
}

#[cfg(feature = "embedded")]
mod embedded {
    use super::*;
    use support::{Damage, Embedded, sockets, start};

    const QUICK: &str = "[latency]\nprofile = \"instant\"\n[response]\ngenerator = \"lorem\"\ntarget_tokens = 40\n";

    #[test]
    fn users_of_all_sorts_are_each_counted_once_and_the_server_agrees() {
        let server = Embedded::start(QUICK);
        let text = "executor = \"shared-iterations\"\nvus = 8\niterations = 200\n[[requests]]\nname = \"chat\"\n\
                    api = \"openai-chat\"\nstream = true\ncancel = { after_tokens = 5, share = 0.3 }\n\
                    drop = { after_tokens = 9, share = 0.2 }\nslow_reader = { bytes_per_second = 100000, share = 0.1 }\n";
        let (result, output) = run(&server.url(), text);
        assert_eq!(output.code, Some(0), "{output:?}");
        sums_hold(&result);
        assert_eq!(count(&result, "http_reqs_started"), 200);
        // 100 of 200, within six standard deviations. A VU whose response arrived whole in one read
        // did not leave.
        assert!((1..=142).contains(&count(&result, "cancelled")), "{output:?}");
        assert_eq!(result["metrics"]["http_req_failed"]["matches"], 0, "{output:?}");
        assert_eq!(result["agreement"]["ours"], result["agreement"]["server"], "{output:?}");
    }

    #[test]
    fn errors_on_purpose_are_counted_as_the_server_counts_them() {
        let bench = Bench::new();
        let text = "executor = \"shared-iterations\"\nvus = 8\niterations = 600\n[[requests]]\nname = \"chat\"\n\
                    api = \"openai-chat\"\n";
        let (profile, result) = (bench.write("chaos.toml", text), bench.path("r.json"));
        let output = blast(&[&profile, "--chaos", "--output", &result]);
        assert_eq!(output.code, Some(0), "{output:?}");
        let result = document(&result);
        sums_hold(&result);
        let failures = &result["failures"];
        let of = |pointer: &str| result.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
        let counted = |name: &str| of(&format!("/target/after/{name}")) - of(&format!("/target/before/{name}"));
        let statuses = |all: &[u16]| all.iter().map(|status| of(&format!("/failures/statuses/{status}"))).sum::<u64>();
        let (limited, broken, late) =
            (counted("rate_limit_errors"), counted("server_errors"), counted("timeout_errors"));
        // A tenth, a twentieth and a fiftieth of 600 requests. One kind is missing in one of
        // 180,000 runs.
        assert!(limited > 0 && broken > 0 && late > 0, "{limited} {broken} {late}");
        assert_eq!(failures["http_429"], limited);
        assert_eq!(failures["http_5xx"], broken + late, "llmsim answers with 504 where it simulates a timeout");
        assert_eq!((statuses(&[429]), statuses(&[500, 503]), statuses(&[504])), (limited, broken, late));
        assert_eq!(result["metrics"]["http_req_failed"]["matches"], counted("total_errors"));
        for error in result["agreement"]["errors"].as_array().unwrap() {
            assert_eq!(error["ours"], error["server"], "{error}");
        }
        for line in ["requests: ", "rate_limit_errors: ", "server_errors: ", "timeout_errors: "] {
            let line = output.stdout.lines().find(|l| l.trim_start().starts_with(line)).expect(line);
            assert!(line.ends_with('✓'), "{line}");
        }
        let wait = &failures["details"]["http_429"]["retry_after_s"];
        assert!(wait["min"].as_u64() >= Some(1) && wait["max"].as_u64() < Some(60), "{wait}");
        let sample = failures["details"]["http_429"]["sample"].as_str().unwrap();
        assert!(sample.starts_with("HTTP 429, retry-after ") && sample.contains("error"), "{sample}");
    }

    /// Seconds of damage. This variable allows a minute and more.
    const SECONDS: &str = "DAMAGE_SECONDS";

    #[test]
    #[expect(
        clippy::disallowed_methods,
        clippy::print_stdout,
        reason = "looks at a process now and then; a long run is shown"
    )]
    fn a_damaged_path_breaks_neither_the_sums_nor_leaks_a_connection() {
        let seconds: u64 = std::env::var(SECONDS).map_or(3, |text| text.parse().expect(SECONDS));
        let server = Embedded::start(QUICK);
        let damage = Damage::start(server.url().trim_start_matches("http://").parse().expect("an address"), 20_261_124);
        let bench = Bench::new();
        // The VUs leave before the end, while the tool still runs and can be examined.
        let profile = bench.write(
            "damage.toml",
            &format!(
                "executor = \"ramping-vus\"\nstart_vus = 12\ngraceful_ramp_down = \"1s\"\ngraceful_stop = \"1s\"\n\
                 stages = [{{ duration = \"{seconds}s\", target = 12 }}, {{ duration = \"0s\", target = 0 }}, \
                 {{ duration = \"4s\", target = 0 }}]\n\
                 timeout = {{ first_byte = \"400ms\", stall = \"400ms\", total = \"2s\" }}\n\
                 [[requests]]\nname = \"stream\"\nweight = 3\napi = \"openai-chat\"\nstream = true\n\
                 cancel = {{ after_tokens = 20, share = 0.1 }}\ndrop = {{ after_tokens = 30, share = 0.1 }}\n\
                 [[requests]]\nname = \"plain\"\napi = \"openai-chat\"\n"
            ),
        );
        let result = bench.path("r.json");
        let mut running = start(&[&profile, "--target-url", &damage.url(), "--output", &result], &[]);
        let (mut most, mut empty_at_last) = (0, false);
        while !running.has_ended() {
            if let Some(sockets) = sockets(running.pid()) {
                most = most.max(sockets);
                // One socket is for the kernel's timestamps, and a pair is for signals.
                empty_at_last =
                    damage.posts() > 0 && sockets <= 3 && damage.open() == 0 || sockets == 0 && empty_at_last;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = running.finish(SOON + Duration::from_secs(seconds));
        assert!(!output.stderr.contains("panicked"), "{output:?}");
        assert_eq!(output.code, Some(0), "{output:?}");
        let result = document(&result);
        sums_hold(&result);
        assert!(damage.done() > 0 && damage.posts() > 0, "{output:?}");
        // The path has seen at most as many requests as we report as sent. Those in connections
        // that the path reset may be missing.
        assert!(damage.posts() <= count(&result, "http_reqs_sent"), "{} {output:?}", damage.posts());
        assert!(result["failures"].as_object().unwrap().len() > 4, "several classes: {output:?}");
        assert!(count(&result, "http_req_duration") > 0 && count(&result, "cancelled") > 0, "{output:?}");
        let last = result["series"].as_array().unwrap().last().unwrap();
        assert_eq!((&last["connections"], &last["in_flight"]), (&Value::from(0), &Value::from(0)), "{last}");
        assert!(most > 5 && empty_at_last, "{most} sockets, and not all of them were closed");
        support::eventually("the path has nothing left to carry", || damage.open() == 0);
        if std::env::var_os(SECONDS).is_some() {
            println!("{} damages\n{}", damage.done(), output.stdout);
        }
    }
}
