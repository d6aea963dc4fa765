//! The main job, against the real simulator over real sockets.

#![cfg(feature = "embedded")]

mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use support::{Behaviour, Bench, Embedded, Misbehaving, Output, blast, count, document, free_port};

/// Responses as fast as possible, for tests that do not check latency.
const INSTANT: &str = "[latency]\nprofile = \"instant\"\n[response]\ngenerator = \"lorem\"\ntarget_tokens = 20\n";

/// Runs with a simulator of its own, and expects a pass.
fn passes(args: &[&str]) -> (Value, Output) {
    let (result, output) = ends(args, &[0]);
    assert!(output.stdout.starts_with("PASS ✓"), "{args:?}: {output:?}");
    (result, output)
}

/// The same for runs whose verdict depends on how busy this machine is.
fn ends(args: &[&str], codes: &[i32]) -> (Value, Output) {
    let (bench, port) = (Bench::new(), free_port().to_string());
    let result = bench.path("r.json");
    let mut all = args.to_vec();
    all.extend(["--port", &port, "--output", &result]);
    let output = blast(&all);
    assert!(output.code.is_some_and(|code| codes.contains(&code)), "{args:?}: {output:?}");
    let result = document(&result);
    agrees(&result);
    assert_eq!(result["target"]["server"]["started"], true);
    assert_eq!(result["target"]["url"], format!("http://127.0.0.1:{port}"));
    (result, output)
}

/// Returns true if a run with latency thresholds has ended normally. Whether it passes depends on
/// this machine.
fn judged(output: &Output) -> bool {
    output.code.is_some_and(|code| [0, 99].contains(&code))
}

/// Checks that client and server have counted the same number of requests.
fn agrees(result: &Value) {
    let (ours, server) = (&result["agreement"]["ours"], &result["agreement"]["server"]);
    assert!(ours.as_u64() > Some(0) && ours == server, "{}", result["agreement"]);
}

#[test]
fn quick_smoke_passes() {
    let (result, output) = passes(&["quick-smoke"]);
    assert!(output.stdout.contains("PASS ✓  quick-smoke: 1 of 1 threshold held"), "{output:?}");
    assert!(output.stdout.contains("✓ 'rate<0.01' rate=0.00%  3 samples"), "{output:?}");
    assert!(output.stderr.starts_with("starting embedded llmsim "), "{output:?}");
    assert_eq!((count(&result, "http_reqs"), count(&result, "iterations")), (3, 3));
    assert_eq!(result["agreement"], json!({ "ours": 3, "server": 3 }));
}

#[test]
fn the_first_request_to_a_new_server_is_not_measured() {
    let (result, output) = passes(&["quick-smoke"]);
    let (server, stats) = (&result["target"]["server"], &result["target"]["before"]);
    assert!(server["cold_start_ms"].as_f64() > Some(0.0), "{server}");
    assert!(output.stdout.contains("  cold start ") && output.stderr.contains("a first request"), "{output:?}");
    assert_eq!((&stats["total_requests"], count(&result, "http_reqs")), (&json!(1), 3));
    let (result, output) = passes(&["quick-smoke", "--no-probe"]);
    assert!(result["target"]["server"].get("cold_start_ms").is_none() && !output.stdout.contains("cold start"));
    assert_eq!(result["target"]["before"]["total_requests"], 0);
}

/// Starts a simulator that has answered before. The first responses of a debug build take seconds
/// on a busy machine, and profiles have latency thresholds.
fn warm() -> Embedded {
    let server = Embedded::start(INSTANT);
    let output = blast(&["quick-smoke", "--target-url", &server.url()]);
    assert_eq!(output.code, Some(0), "{output:?}");
    server
}

#[test]
fn every_profile_runs_shortened() {
    let (bench, server) = (Bench::new(), warm());
    let (file, url) = (bench.path("r.json"), server.url());
    for (profile, users) in
        [("smoke", "1"), ("load", "50"), ("stress", "40"), ("spike", "40"), ("soak", "10"), ("high-concurrency", "100")]
    {
        let args = [profile, "--duration", "1s", "--vus", users, "--target-url", &url, "--output", &file];
        let output = blast(&args);
        let result = document(&file);
        agrees(&result);
        assert_eq!((&result["run"]["profile"], &result["run"]["window_s"]), (&json!(profile), &json!(1.0)));
        let verdicts = result["thresholds"].as_array().unwrap();
        assert!(verdicts.iter().any(|verdict| verdict["metric"] == "http_req_failed"), "{output:?}");
        // Latency thresholds depend on this machine and may fail. All others must hold.
        for verdict in verdicts {
            let is_time = verdict["metric"] == "http_req_duration";
            let said = &verdict["verdict"];
            assert!(said == "pass" || is_time && said == "fail", "{verdict}: {output:?}");
        }
        let slow = verdicts.iter().any(|verdict| verdict["verdict"] == "fail");
        assert_eq!(output.code, Some(if slow { 99 } else { 0 }), "{profile}: {output:?}");
        // In a shortened profile, the time at the peak is a matter of milliseconds. The peak must
        // not be exceeded.
        let most = users.parse().unwrap();
        assert!((1..=most).contains(&result["metrics"]["vus"]["max"].as_u64().unwrap()), "{output:?}");
    }
}

#[test]
fn smoke_asks_every_endpoint() {
    let bench = Bench::new();
    let config = bench.write("server.toml", INSTANT);
    let flags = ["--duration", "2s", "--vus", "4", "--think-time", "0..2ms", "--server-config", &config];
    let (result, output) = ends(&[&["smoke"][..], &flags].concat(), &[0, 99]);
    for kind in ["chat-plain", "chat-stream", "health", "model", "models", "stats"] {
        let numbers = &result["requests"][kind];
        assert!(numbers["http_reqs"]["count"].as_u64() > Some(0), "{kind}: {output:?}");
        assert_eq!(numbers["http_req_failed"]["matches"], 0, "{kind}");
        assert!(numbers["checks"]["total"].as_u64() > Some(0) || kind == "chat-stream", "{kind}: {numbers}");
    }
    let kinds = result["requests"].as_object().unwrap().values();
    assert_eq!(
        kinds.map(|kind| kind["http_reqs"]["count"].as_u64().unwrap()).sum::<u64>(),
        count(&result, "http_reqs")
    );
}

#[test]
fn a_running_server_is_used_as_it_is_and_left_running() {
    let (bench, server) = (Bench::new(), warm());
    let (result, url) = (bench.path("r.json"), server.url());
    let port = url.rsplit(':').next().unwrap().to_owned();
    let mut seen = server.stats()["total_requests"].as_u64().unwrap();
    for target in [&["--target-url", url.as_str()][..], &["--no-server", "--target-url", &url], &["--port", &port]] {
        let mut args = vec!["load", "--duration", "1s", "--vus", "5", "--output", &result];
        args.extend(target);
        let output = blast(&args);
        assert!(judged(&output), "{output:?}");
        assert!(output.stdout.contains("llmsim, was already running"), "{output:?}");
        assert!(!output.stderr.contains("starting"), "{output:?}");
        let result = document(&result);
        agrees(&result);
        // Every run counts from its own start.
        assert_eq!(result["target"]["before"]["total_requests"], seen, "{target:?}");
        seen = result["target"]["after"]["total_requests"].as_u64().unwrap();
        assert_eq!(result["target"]["server"]["started"], false);
        assert!(support::alive(server.pid()));
    }
    assert_eq!(server.stats()["total_requests"], seen);
}

#[test]
fn a_binary_of_llmsim_is_started_and_named() {
    // Our own `serve` accepts llmsim's command line.
    let bench = Bench::new();
    let tool = env!("CARGO_BIN_EXE_llmsim-blast");
    let file =
        bench.script("llmsim", &format!("[ \"$1\" = --version ] && echo llmsim 7.8.9 && exit\nexec {tool} \"$@\""));
    let (result, output) = passes(&["quick-smoke", "--server-bin", &file]);
    assert!(output.stderr.contains(&format!("starting {file} on 127.0.0.1:")), "{output:?}");
    assert_eq!(result["target"]["server"]["version"], "7.8.9");
    assert!(output.stdout.contains("llmsim 7.8.9, started for this run"), "{output:?}");
}

#[test]
fn chaos_is_counted_class_by_class_and_agreed_upon() {
    let (bench, port) = (Bench::new(), free_port().to_string());
    let profile = bench.write(
        "many.toml",
        "executor = \"shared-iterations\"\nvus = 20\niterations = 400\ntimeout = \"3s\"\n[[requests]]\nname = \"chat\"\n\
         api = \"openai-chat\"\nmax_tokens = 5\n[thresholds]\nhttp_req_failed = \"rate<0.5\"\n",
    );
    let result = bench.path("r.json");
    let output = blast(&[&profile, "--chaos", "--port", &port, "--output", &result]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let result = document(&result);
    assert_eq!(count(&result, "http_reqs"), 400);
    // The server counts the requests that it refuses. It may only have missed requests that timed
    // out.
    let counted = |who: &str| result["agreement"][who].as_u64().unwrap();
    assert!(counted("ours") - counted("server") <= count(&result, "timeouts"), "{output:?}");
    // One request in ten is refused. The chance that none of 400 is refused is 10^-18.
    let limited = result["failures"]["http_429"].as_u64().unwrap();
    assert_eq!(result["failures"]["statuses"]["429"], limited);
    let failures = result["failures"].as_object().unwrap();
    let classes: u64 = failures.values().filter_map(Value::as_u64).sum();
    assert_eq!(result["metrics"]["http_req_failed"]["matches"], classes);
}

/// Returns how often each request was sent, from the log of a server.
fn sent(args: &[&str]) -> BTreeMap<String, usize> {
    let server = Misbehaving::start(Behaviour::Good { tokens: 2 });
    let mut all = args.to_vec();
    let url = server.url();
    all.extend(["--target-url", &url]);
    let output = blast(&all);
    assert_eq!(output.code, Some(0), "{output:?}");
    let mut sent = BTreeMap::new();
    for post in server.posts() {
        *sent.entry(post.replace(&url["http://".len()..], "HOST")).or_insert(0) += 1;
    }
    sent
}

#[test]
fn the_same_seed_sends_the_same_requests_however_many_workers_share_them() {
    let bench = Bench::new();
    let shared = bench.write(
        "shared.toml",
        "executor = \"shared-iterations\"\nvus = 5\niterations = 40\n[[requests]]\nname = \"chat\"\napi = \"openai-chat\"\n\
         max_tokens = { min = 1, max = 100000 }\n",
    );
    // The built-in profile asks for usage, so the tool first sends a request to find out whether it
    // may.
    for (args, all) in [(&["quick-smoke", "--vus", "5", "--iterations", "8"][..], 41), (&[&shared], 40)] {
        let with = |more: &[&str]| sent(&[args, more].concat());
        let alone = with(&["--workers", "1"]);
        assert_eq!(alone.values().sum::<usize>(), all);
        assert_eq!(with(&["--workers", "2"]), alone);
        assert_eq!(with(&["--workers", "3", "--no-pin"]), alone);
        assert_ne!(with(&["--workers", "1", "--seed", "2"]), alone);
    }
}

#[test]
fn several_workers_count_what_the_server_counts() {
    let (bench, server) = (Bench::new(), warm());
    let result = bench.path("r.json");
    let args = ["load", "--duration", "1s", "--vus", "7", "--think-time", "0", "--workers", "2"];
    let output = blast(&[&args[..], &["--target-url", &server.url(), "--output", &result]].concat());
    assert!(judged(&output), "{output:?}");
    let result = document(&result);
    assert_eq!(result["environment"]["workers"], 2);
    agrees(&result);
    assert_eq!(result["agreement"]["ours"], count(&result, "http_reqs_sent"));
    assert_eq!(result["metrics"]["vus"]["max"], 7);
    assert_eq!(count(&result, "connections_opened"), 7);
    // The seconds add up to the whole.
    let seconds = result["series"].as_array().unwrap();
    let sum = |key: &str| seconds.iter().map(|second| second[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum("http_reqs"), count(&result, "http_reqs"));
    assert_eq!(sum("tokens_output"), count(&result, "tokens_output"));
    // The tokens that the server has billed, and those that it reported to us.
    let billed = |when: &str| result["target"][when]["completion_tokens"].as_u64().unwrap();
    assert_eq!(billed("after") - billed("before"), count(&result, "tokens_output"));
}

#[test]
fn latencies_are_those_that_the_server_was_told_to_have() {
    let (bench, port) = (Bench::new(), free_port().to_string());
    let config = bench.write(
        "server.toml",
        "[latency]\nttft_mean_ms = 100\nttft_stddev_ms = 0\ntbt_mean_ms = 20\ntbt_stddev_ms = 0\n\
         [response]\ngenerator = \"lorem\"\ntarget_tokens = 20\n",
    );
    let profile = bench.write(
        "streams.toml",
        "executor = \"per-vu-iterations\"\nvus = 10\niterations = 2\n[[requests]]\nname = \"chat\"\napi = \"openai-chat\"\n\
         model = \"gpt-4o\"\nstream = true\nmax_tokens = 20\n",
    );
    let result = bench.path("r.json");
    let output = blast(&[&profile, "--port", &port, "--server-config", &config, "--output", &result]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let result = document(&result);
    let ms = |metric: &str, number: &str| result["metrics"][metric][number].as_f64().unwrap();
    // The simulator's timers never fire early, so no first event arrives or is measured before its
    // time. Nothing may last longer than the run, as it would with a wrong unit.
    let whole = result["run"]["duration_s"].as_f64().unwrap() * 1e3;
    for metric in ["ttfe", "ttft", "tbt", "tpot", "stall", "http_req_duration"] {
        assert!(ms(metric, "max") <= whole, "{metric} of {whole} ms: {output:?}");
    }
    assert!(ms("ttfe", "min") >= 100.0 && ms("ttft", "min") >= ms("ttfe", "min"), "{output:?}");
    // If a token is read late, the next gap is shorter by the same amount.
    assert!(ms("tbt", "p50") >= 19.0, "{output:?}");
    assert!(ms("stall", "min") >= 20.0, "{output:?}");
    let events = count(&result, "token_events");
    let gaps = count(&result, "tbt") + count(&result, "tbt_censored");
    assert_eq!(events - gaps, 20, "every stream has one gap less than events");
    assert!(ms("http_req_duration", "avg") >= 100.0 + gaps as f64 / 20.0 * 20.0, "{output:?}");
}
