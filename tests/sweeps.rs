//! Commands with many runs, `throughput` and `capacity`, and goodput in an ordinary run: real
//! servers and very short durations.

mod support;

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{Behaviour, Bench, Misbehaving, SOON, blast, document, eventually, free_port, start};

/// Steps so short that only the mechanics are tested.
const SHORT: [&str; 5] = ["--duration", "300ms", "--warmup", "0s", "--quiet"];

fn throughput(args: &[&str]) -> support::Output {
    blast(&[&["throughput"], SHORT.as_slice(), args].concat())
}

fn capacity(args: &[&str]) -> support::Output {
    blast(&[&["capacity"], SHORT.as_slice(), args].concat())
}

fn loads(result: &Value) -> Vec<f64> {
    result["curve"].as_array().expect("steps").iter().map(|step| step["load"].as_f64().expect("a load")).collect()
}

#[cfg(feature = "embedded")]
#[test]
fn throughput_sweeps_a_fresh_simulator_for_each_number_of_threads() {
    let (bench, port) = (Bench::new(), free_port().to_string());
    let file = bench.path("t.json");
    // Long enough for the first responses of a debug build on a busy machine.
    let args = ["throughput", "--server-workers", "1,2", "--concurrency", "2,4", "--port", &port, "--duration", "1s"];
    let output = blast(&[args.as_slice(), &["--warmup", "100ms", "--output", &file]].concat());
    assert_eq!(output.code, Some(0), "{output:?}");
    let result = document(&file);
    for mode in ["plain", "streamed"] {
        let steps = result[mode].as_array().unwrap();
        let which: Vec<_> =
            steps.iter().map(|s| (s["workers"].as_u64().unwrap(), s["concurrency"].as_u64().unwrap())).collect();
        assert_eq!(which, [(1, 2), (1, 4), (2, 2), (2, 4)], "{mode}");
        for step in steps {
            assert!(step["requests_per_s"].as_f64() > Some(0.0) && step["failed"].as_f64() == Some(0.0), "{step}");
            assert!(step["tokens_per_s"].as_f64() > step["requests_per_s"].as_f64(), "{step}");
        }
    }
    assert_eq!(result["server"]["started"], true);
    for part in [
        "throughput of llmsim 0.6.0",
        "| workers | best -c |      RPS |    p50 |",
        "| workers | best -c | tokens/s |    p50 |",
        "\n|       1 | ",
        "\n|       2 | ",
        "- Client and server ran on the same machine",
    ] {
        assert!(output.stdout.contains(part), "{part:?} in {}", output.stdout);
    }
    assert!(output.stderr.contains("2 worker threads: streamed responses, 4 at once"), "{output:?}");
}

#[test]
fn throughput_sweeps_a_running_server_as_it_is() {
    let (server, bench) = (Misbehaving::start(Behaviour::Good { tokens: 5 }), Bench::new());
    let file = bench.path("t.json");
    let url = server.url();
    let output = throughput(&[
        "--no-server",
        "--target-url",
        &url,
        "--concurrency",
        "2",
        "--responses",
        "plain",
        "--output",
        &file,
    ]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.contains("| running |       2 |"), "{}", output.stdout);
    let result = document(&file);
    assert_eq!(verdict(&result), ("pass", 0, ""));
    assert_eq!((&result["plain"][0]["workers"], result["streamed"].as_array().unwrap().len()), (&Value::Null, 0));
    assert_eq!(output.stderr, "", "--quiet");
}

/// Every generation API of the server has its own rows and steps.
#[cfg(feature = "embedded")]
#[test]
fn throughput_measures_each_api_by_itself() {
    let (bench, port) = (Bench::new(), free_port().to_string());
    let (file, page) = (bench.path("t.json"), bench.path("t.html"));
    let args = ["throughput", "--server-workers", "1", "--concurrency", "2", "--port", &port, "--duration", "1s"];
    let more = ["--warmup", "0s", "--api", "openai-chat,anthropic-messages", "--output", &file, "--html", &page];
    let output = blast(&[args.as_slice(), &more].concat());
    assert_eq!(output.code, Some(0), "{output:?}");
    let result = document(&file);
    for mode in ["plain", "streamed"] {
        let apis: Vec<&str> = result[mode].as_array().unwrap().iter().map(|s| s["api"].as_str().unwrap()).collect();
        assert_eq!(apis, ["openai-chat", "anthropic-messages"], "{mode}");
        assert!(result[mode].as_array().unwrap().iter().all(|step| step["failed"].as_f64() == Some(0.0)), "{result}");
    }
    for part in ["\n| API ", "\n| openai-chat ", "\n| anthropic-messages |       1 |", ", anthropic-messages: "] {
        assert!(output.stdout.contains(part), "{part:?} in {}", output.stdout);
    }
    assert!(output.stderr.contains("4 of 4: 1 worker thread: anthropic-messages, streamed responses, 2"), "{output:?}");
    assert!(std::fs::read_to_string(&page).expect("a page").contains("tokens per second, anthropic-messages"));
    let compared = blast(&["compare", &file, &file, "--fail-on", "requests_per_s{api:rerank}<-5%"]);
    assert_eq!(compared.code, Some(110), "the same result twice: {compared:?}");

    let server = Misbehaving::start(Behaviour::GoodPlain);
    let url = server.url();
    // Both of OpenAI's Responses APIs share one path on every server except llmsim.
    let several = ["--server", "vllm", "--model", "m", "--api", "openai-chat,openai-responses,openresponses"];
    let refused = throughput(&[["--target-url", &url].as_slice(), &several].concat());
    assert_eq!(refused.code, Some(104), "{refused:?}");
    assert!(refused.stderr.contains("openai-responses and openresponses, which share the path "), "{refused:?}");
    assert_eq!(server.connections(), 0);
}

#[test]
fn what_was_measured_until_ctrl_c_is_kept() {
    let (server, bench) = (Misbehaving::start(Behaviour::Good { tokens: 5 }), Bench::new());
    let (file, url) = (bench.path("t.json"), server.url());
    let target = ["--no-server", "--target-url", &url, "--output", &file];
    // The second step has more connections than the first.
    let args = ["throughput", "--concurrency", "1,30", "--duration", "1s", "--warmup", "0s", "--responses", "plain"];
    let running = start(&[args.as_slice(), &target].concat(), &[]);
    eventually("the second step", || server.connections() > 20);
    running.signal(Signal::SIGINT);
    let output = running.finish(SOON);
    assert_eq!(output.code, Some(105), "{output:?}");
    assert!(
        output.stdout.contains("| running |       1 |") && output.stdout.contains("stopped by a signal"),
        "{output:?}"
    );
    let swept = document(&file);
    assert_eq!((&swept["interrupted"], swept["plain"].as_array().unwrap().len()), (&Value::Bool(true), 1));
    assert_eq!(verdict(&swept), ("interrupted", 105, "interrupted"));

    let before = server.connections();
    let args =
        ["capacity", "--by", "vus", "--min", "1", "--max", "60", "--duration", "1s", "--warmup", "0s", "--no-probe"];
    let goal = ["--slo", "http_req_failed rate<1%"];
    let running = start(&[args.as_slice(), &goal, &target].concat(), &[]);
    eventually("the third step", || server.connections() > before + 4);
    running.signal(Signal::SIGTERM);
    let output = running.finish(SOON);
    assert_eq!(output.code, Some(105), "{output:?}");
    let found = document(&file);
    assert_eq!(
        (&found["interrupted"], &found["settled"], &found["fails"]),
        (&Value::Bool(true), &Value::Bool(false), &Value::Null)
    );
    assert!(loads(&found).starts_with(&[1.0]) && found["holds"]["held"] == 1, "{found}");
    assert_eq!(verdict(&found), ("interrupted", 105, "interrupted"));
}

/// If the server dies, earlier measurements are kept.
#[cfg(feature = "embedded")]
#[test]
fn what_was_measured_until_the_server_died_is_kept() {
    use nix::sys::signal::kill;
    let bench = Bench::new();
    let die = |args: &[&str], after: &str| {
        let port = free_port().to_string();
        let running = start(&[args, &["--port", &port, "--duration", "1s", "--warmup", "0s"]].concat(), &[]);
        running.wait_for_stderr(after, SOON);
        let [server] = support::children(running.pid())[..] else { panic!("one child") };
        kill(nix::unistd::Pid::from_raw(server.cast_signed()), Signal::SIGKILL).expect("it runs");
        running.finish(SOON)
    };
    let (file, page) = (bench.path("c.json"), bench.path("c.html"));
    let goal = ["--slo", "http_req_failed rate<1%", "--by", "vus", "--max", "60"];
    let output =
        die(&[&["capacity", "quick-smoke", "--output", &file, "--html", &page], &goal[..]].concat(), "2 users: holds");
    assert_eq!(output.code, Some(107), "{output:?}");
    assert!(output.stdout.contains("the search is incomplete: the server ended by itself"), "{output:?}");
    assert!(output.stderr.contains("killed by SIGKILL"), "{output:?}");
    let found = document(&file);
    assert_eq!(verdict(&found), ("server_died", 107, "server_died"));
    assert!(loads(&found).starts_with(&[1.0, 2.0]) && found["holds"]["load"].as_f64() >= Some(2.0), "{found}");
    assert!(std::fs::read_to_string(&page).expect("a page").contains("ended early"));

    let file = bench.path("t.json");
    let output = die(
        &["throughput", "--server-workers", "1", "--concurrency", "1,2,4,8,16", "--output", &file],
        "plain responses, 4 at once",
    );
    assert_eq!(output.code, Some(107), "{output:?}");
    assert!(output.stdout.contains("Missing rows were not measured: the server ended by itself"), "{output:?}");
    let swept = document(&file);
    assert_eq!(verdict(&swept), ("server_died", 107, "server_died"));
    let kept: Vec<_> = swept["plain"].as_array().unwrap().iter().map(|step| step["concurrency"].as_u64()).collect();
    // The steps that were over by then. On a busy machine the kill comes late.
    assert!(kept.starts_with(&[Some(1), Some(2)]) && kept.len() < 5, "{kept:?}");
}

/// Returns the verdict in one word, the exit code, and the reason.
fn verdict(result: &Value) -> (&str, u64, &str) {
    let why = result["reasons"]
        .as_array()
        .expect("reasons")
        .first()
        .map_or("", |reason| reason["kind"].as_str().expect("a kind"));
    (result["verdict"].as_str().expect("a word"), result["exit_code"].as_u64().expect("a number"), why)
}

#[test]
fn nonsense_is_refused_before_anything_is_asked() {
    let server = Misbehaving::start(Behaviour::GoodPlain);
    let url = server.url();
    let goal = ["--slo", "http_req_failed rate<1%"];
    for (args, code, expected) in [
        (vec!["throughput", "--concurrency", "0"], 2, "invalid value '0' for --concurrency"),
        (vec!["throughput", "--concurrency", "4,x"], 2, "invalid value '4,x' for --concurrency"),
        (vec!["throughput", "--responses", "all"], 2, "expected plain, stream or both"),
        (vec!["throughput", "--duration", "0s"], 2, "for --duration"),
        (
            vec!["throughput", "--no-server", "--server-workers", "2"],
            104,
            "--server-workers needs a server that is started here",
        ),
        (vec!["throughput", "--output", "/nonexistent/t.json"], 104, "--output /nonexistent/t.json"),
        (vec!["capacity", "--slo", "ttft"], 2, "expected a metric and a threshold"),
        (vec!["capacity", "--slo", "tftt p(95)<1s"], 2, "did you mean ttft"),
        (vec!["capacity", "--preset", "mlperf-gpt2"], 2, "mlperf-llama2-70b-server"),
        (vec!["capacity", "--by", "users"], 2, "expected rate or vus"),
        (vec!["capacity", "--min", "9", "--max", "3"], 104, "expected --min ≤ --max"),
        (vec!["capacity", "loda"], 104, "did you mean load"),
    ] {
        let goal = if args[0] == "capacity" && args.len() == 2 { goal.as_slice() } else { &[] };
        let output = blast(&[args.as_slice(), goal, &["--target-url", &url]].concat());
        assert_eq!(output.code, Some(code), "{args:?}: {output:?}");
        assert!(output.stderr.contains(expected) && output.stdout.is_empty(), "{args:?}: {output:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn nobody_there_is_no_data() {
    let url = format!("http://127.0.0.1:{}", free_port());
    for output in [
        throughput(&["--no-server", "--target-url", &url]),
        capacity(&["--no-server", "--target-url", &url, "--slo", "http_req_failed rate<1%"]),
    ] {
        assert_eq!(output.code, Some(107), "{output:?}");
        assert!(output.stderr.contains("start the server first"), "{output:?}");
    }
    let failing = Misbehaving::start(Behaviour::Status(500));
    let url = failing.url();
    let output = throughput(&["--no-server", "--target-url", &url, "--concurrency", "1", "--responses", "plain"]);
    assert_eq!(output.code, Some(107), "{output:?}");
    assert!(output.stdout.contains("| running |    none |"), "{output:?}");
    let output = capacity(&["--by", "vus", "--target-url", &url, "--slo", "http_req_failed rate<1%"]);
    assert_eq!(output.code, Some(107), "{output:?}");
}

#[test]
fn a_goal_that_never_holds_has_no_capacity() {
    let (server, bench) = (Misbehaving::start(Behaviour::Good { tokens: 5 }), Bench::new());
    let (file, url) = (bench.path("c.json"), server.url());
    let goal = ["--slo", "http_req_duration p(50)<1us"];
    let output =
        capacity(&[&["--by", "vus", "--min", "2", "--target-url", &url, "--output", &file], goal.as_slice()].concat());
    assert_eq!(output.code, Some(99), "{output:?}");
    assert!(output.stdout.contains("the goals do not hold even at 2 users (failed 2 of 2)"), "{}", output.stdout);
    assert!(output.stdout.contains("there: http_req_duration p(50)<1us: measured "), "{}", output.stdout);
    let found = document(&file);
    assert_eq!(
        (loads(&found), &found["holds"], &found["fails"]["failed"]),
        (vec![2.0, 2.0], &Value::Null, &Value::from(2))
    );
    assert_eq!(found["curve"][0]["goodput"], 0.0);
    assert_eq!(verdict(&found), ("fail", 99, "threshold"));
}

#[test]
fn goals_that_always_hold_are_confirmed_at_the_highest_load() {
    let (server, bench) = (Misbehaving::start(Behaviour::Good { tokens: 5 }), Bench::new());
    let (file, url) = (bench.path("c.json"), server.url());
    let goals = ["--slo", "ttft p(99)<1m", "--slo", "http_req_failed rate<1%", "--target-url", &url, "--output", &file];
    let output = capacity(&[&["--by", "vus", "--max", "3", "--think-time", "0"], goals.as_slice()].concat());
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.contains("the goals hold at 3 users (3 of 3), the highest load to try"), "{output:?}");
    let found = document(&file);
    assert_eq!(
        (loads(&found), &found["settled"], &found["by"]),
        (vec![1.0, 2.0, 3.0, 3.0, 3.0], &Value::Bool(true), &Value::from("vus"))
    );
    for step in found["curve"].as_array().unwrap() {
        assert_eq!((step["goodput"].as_f64(), step["held"].as_bool()), (Some(1.0), Some(true)), "{step}");
        assert!(step["ttft"]["p95"].is_number() && step["requests_per_s"].as_f64() > Some(0.0), "{step}");
    }

    let output = capacity(&[&["--min", "100", "--max", "150"], goals.as_slice()].concat());
    assert_eq!(output.code, Some(0), "{output:?}");
    // A try in which this machine stalled is repeated. Three of up to five tries must hold.
    assert!(output.stdout.contains("hold at 150 requests/s (3 of "), "{output:?}");
    let mut found = document(&file);
    // A try that is undecided, because this machine was late, is repeated at the same load.
    found["curve"].as_array_mut().expect("steps").retain(|step| step["undecided"] == false);
    let tried = loads(&found);
    assert!(tried.len() >= 4, "{found}");
    assert_eq!(tried, [vec![100.0], vec![150.0; tried.len() - 1]].concat());
    assert_eq!(found["by"], "rate");
}

#[test]
fn goodput_is_in_the_result_and_can_be_a_threshold() {
    let (server, bench) = (Misbehaving::start(Behaviour::Good { tokens: 5 }), Bench::new());
    let profile = |goal: &str| {
        let text = "executor = \"shared-iterations\"\niterations = 6\n[[requests]]\nname = \"s\"\napi = \"openai-chat\"\nstream = true\n";
        bench.write(
            "p.toml",
            &format!("{text}[slo]\nhttp_req_duration = \"{goal}\"\n[thresholds]\ngoodput = \"rate>0.9\"\n"),
        )
    };
    let (file, url) = (bench.path("r.json"), server.url());
    for (goal, code, good) in [("<1m", 0, 6), ("<1us", 99, 0)] {
        let output = blast(&[&profile(goal), "--target-url", &url, "--output", &file, "--quiet"]);
        assert_eq!(output.code, Some(code), "{output:?}");
        let goodput = &document(&file)["metrics"]["goodput"];
        assert_eq!((goodput["matches"].as_u64(), goodput["total"].as_u64()), (Some(good), Some(6)), "{goodput}");
        assert!(output.stdout.contains(&format!("{good} of 6 met every goal")), "{}", output.stdout);
    }
}

#[cfg(feature = "embedded")]
#[test]
fn a_step_without_data_is_no_limit() {
    let (bench, port) = (Bench::new(), support::free_port().to_string());
    let file = bench.path("c.json");
    // At one request a second, most of these windows are empty.
    let goals = ["--slo", "ttft p(95)<30s", "--slo", "tbt p(99)<30s"];
    let steps = ["--duration", "300ms", "--warmup", "0s", "--max", "64", "--port", &port, "--output", &file];
    let output = blast(&[&["capacity"], goals.as_slice(), steps.as_slice()].concat());
    assert_eq!(output.code, Some(0), "{output:?}");
    let result = document(&file);
    assert_eq!(result["holds"]["load"], 64.0, "{result}");
    assert_eq!(result["fails"], Value::Null, "{result}");
}

/// Writes an altered result with a valid digest, as if it had been measured like this.
fn altered(bench: &Bench, file: &str, name: &str, change: impl Fn(&mut Value)) -> String {
    let mut value = document(file);
    change(&mut value);
    llmsim_blast::document::seal(&mut value);
    bench.write(name, &value.to_string())
}

/// Returns three results per side. The values of the head are scaled by `factor`.
fn sides(bench: &Bench, file: &str, factor: f64, change: impl Fn(&mut Value, f64)) -> [Vec<String>; 2] {
    [("b", 1.0), ("h", factor)].map(|(side, factor)| {
        let one = |i: u32| {
            let scattered = factor * (1.0 + f64::from(i) / 1_000.0);
            altered(bench, file, &format!("{side}{i}.json"), |value| change(value, scattered))
        };
        (0..3).map(one).collect()
    })
}

fn compare(sides: &[Vec<String>; 2], more: &[&str]) -> support::Output {
    let [base, head] = sides.each_ref().map(|side| side.iter().map(String::as_str).collect::<Vec<_>>());
    blast(&[&["compare", "--base"], base.as_slice(), &["--head"], &head, more].concat())
}

#[test]
fn results_of_throughput_are_compared() {
    let (server, bench) = (Misbehaving::start(Behaviour::Good { tokens: 5 }), Bench::new());
    let (file, url) = (bench.path("t.json"), server.url());
    let output = throughput(&["--no-server", "--target-url", &url, "--concurrency", "2", "--output", &file]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let scaled = |value: &mut Value, factor: f64| {
        value["plain"][0]["requests_per_s"] = Value::from(1_000.0 * factor);
        value["streamed"][0]["tokens_per_s"] = Value::from(5_000.0);
    };
    let (json, page) = (bench.path("c.json"), bench.path("c.html"));
    let gates =
        ["--fail-on", "requests_per_s<-5%", "--fail-on", "tokens_per_s<-5%", "--output", &json, "--html", &page];
    let output = compare(&sides(&bench, &file, 0.8, scaled), &gates);
    assert_eq!(output.code, Some(99), "{output:?}");
    assert!(
        output.stdout.starts_with("REGRESSED  compare: 1 of 2 gates failed (3 + 3 throughput results)"),
        "{output:?}"
    );
    let compared = document(&json);
    assert_eq!((&compared["of"], &compared["method"]), (&Value::from("throughput"), &Value::from("full-separation")));
    assert_eq!(
        (&compared["rows"][0]["unit"], &compared["rows"][1]["verdict"]),
        (&"per second".into(), &"no change".into())
    );
    let page = std::fs::read_to_string(&page).expect("a page");
    assert!(page.contains("requests_per_s") && page.contains("3 + 3 throughput results"));
    let output = compare(&sides(&bench, &file, 0.99, scaled), &gates);
    assert_eq!(output.code, Some(0), "{output:?}");

    // One result against one has no interval. It fails only with --allow-single or
    // --fail-on-inconclusive.
    let pair = sides(&bench, &file, 0.8, scaled).map(|mut side| side.split_off(2));
    let single = compare(&pair, &gates[..2]);
    assert_eq!(single.code, Some(0), "{single:?}");
    assert!(single.stdout.contains("one throughput result per side proves nothing"), "{single:?}");
    assert!(single.stdout.contains("-20.0%") && single.stdout.contains("inconclusive"), "{single:?}");
    assert_eq!(compare(&pair, &[&gates[..2], &["--allow-single"]].concat()).code, Some(99));
    assert_eq!(compare(&pair, &[&gates[..2], &["--allow-single", "--noise-floor", "30%"]].concat()).code, Some(0));
    assert_eq!(compare(&pair, &[&gates[..2], &["--fail-on-inconclusive"]].concat()).code, Some(99));

    // Results that cannot be compared.
    let [base, head] = &pair;
    for (name, code, expected, change) in [
        (
            "cores",
            110,
            "the number of cores (environment.cores) is 999, and",
            &(|v: &mut Value| {
                v["environment"]["cores"] = Value::from(999);
            }) as &dyn Fn(&mut Value),
        ),
        ("steps", 110, "the length of a step (step_s) is 9, and", &|v| v["step_s"] = Value::from(9)),
        ("asked", 110, "the workload (plan.hash) is x, and", &|v| v["plan_hash"] = Value::from("x")),
        ("stopped", 110, "interrupted: it was stopped by a signal", &|v| v["verdict"] = Value::from("interrupted")),
    ] {
        let other = altered(&bench, &head[0], name, change);
        let output = blast(&["compare", &base[0], &other]);
        assert_eq!(output.code, Some(code), "{name}: {output:?}");
        assert!(output.stderr.contains(&other) && output.stderr.contains(expected), "{name}: {output:?}");
    }
    let gate = blast(&["compare", &base[0], &head[0], "--fail-on", "ttft.p99>5%"]);
    assert_eq!(gate.code, Some(2), "{gate:?}");
    assert!(gate.stderr.contains("expected requests_per_s or tokens_per_s"), "{gate:?}");
}

#[test]
fn results_of_capacity_are_compared_and_those_of_two_commands_are_not() {
    let (server, bench) = (Misbehaving::start(Behaviour::Good { tokens: 5 }), Bench::new());
    let (file, url) = (bench.path("c.json"), server.url());
    let goal = ["--slo", "http_req_failed rate<1%", "--target-url", &url, "--output", &file];
    let output = capacity(&[&["--by", "vus", "--max", "2", "--think-time", "0"], goal.as_slice()].concat());
    assert_eq!(output.code, Some(0), "{output:?}");
    // The goals held at every load.
    let open = blast(&["compare", &file, &file]);
    assert_eq!(open.code, Some(110), "{open:?}");
    assert!(open.stderr.contains("the limit is unknown (raise --max)"), "{open:?}");
    let found = |value: &mut Value, factor: f64| {
        value["holds"]["load"] = Value::from((10_000.0 * factor).round());
        value["fails"] = serde_json::json!({ "load": 20_000.0, "held": 0, "failed": 2 });
    };
    let sides = sides(&bench, &file, 0.7, found);
    let output = compare(&sides, &["--fail-on", "capacity<-10%"]);
    assert_eq!(output.code, Some(99), "{output:?}");
    assert!(output.stdout.contains("1 of 1 gate failed (3 + 3 capacity results)"), "{output:?}");

    let run = bench.path("r.json");
    assert_eq!(blast(&["quick-smoke", "--target-url", &url, "--quiet", "--no-probe", "--output", &run]).code, Some(0));
    let output = blast(&["compare", &run, &sides[0][0]]);
    assert_eq!(output.code, Some(104), "{output:?}");
    assert!(
        output.stderr.contains("it is a capacity result, and ") && output.stderr.contains(" is a run: "),
        "{output:?}"
    );
}
