//! Each ending of a request has one verdict, tested with real sockets and all combinations of
//! packets, closes and silences.

mod support;

use nix::sys::signal::Signal;
use serde_json::Value;
use std::time::Duration;
use support::{Behaviour, Bench, Misbehaving, Output, SOON, blast, count, document, eventually, start};

/// Returns a profile whose VUs each send some consecutive requests.
fn profile(vus: u32, iterations: u32, stream: bool) -> String {
    format!(
        "executor = \"per-vu-iterations\"\nvus = {vus}\niterations = {iterations}\n[[requests]]\nname = \"chat\"\n\
         api = \"openai-chat\"\nstream = {stream}\n"
    )
}

fn run(url: &str, profile: &str, args: &[&str]) -> (Value, Output) {
    let bench = Bench::new();
    let (profile, result) = (bench.write("endings.toml", profile), bench.path("r.json"));
    let output = blast(&[&[profile.as_str(), "--target-url", url, "--output", &result], args].concat());
    assert!(!output.stderr.contains("panicked"), "{output:?}");
    (document(&result), output)
}

fn classes(result: &Value) -> Vec<(String, u64)> {
    let classes = result["failures"].as_object().expect("failures").iter();
    classes.filter_map(|(name, n)| Some((name.clone(), n.as_u64()?))).collect()
}

fn failed(class: &str, n: u64) -> Vec<(String, u64)> {
    vec![(class.to_owned(), n)]
}

const TOKEN: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

fn leak(text: String) -> &'static [u8] {
    Box::leak(text.into_bytes().into_boxed_slice())
}

fn plain() -> String {
    let body = r#"{"choices":[{"message":{"content":"x"}}],"usage":{"total_tokens":2}}"#;
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// Returns a stream up to its terminal event, without the last chunk.
fn up_to_done() -> String {
    [STREAM_HEAD, &chunk(TOKEN), &chunk("data: [DONE]\n\n")].concat()
}

#[test]
fn a_request_that_a_server_loses_is_a_failure() {
    for (lost, class) in [
        (Behaviour::WorkThenClose(Duration::from_millis(300)), "closed_early"),
        (Behaviour::WorkThenReset(Duration::from_millis(300)), "reset"),
    ] {
        let server = Misbehaving::script(vec![Behaviour::Good { tokens: 3 }, lost]);
        let (result, output) = run(&server.url(), &profile(1, 4, false), &[]);
        assert_eq!(classes(&result), failed(class, 2), "{output:?}");
        assert_eq!(count(&result, "stale_retries"), 0);
        assert_eq!(server.requests(), 4, "no request is sent twice");
        let lost = &result["metrics"]["http_req_duration_aborted"];
        assert!(lost["min"].as_f64() >= Some(300.0), "the lost time is told: {lost}");
    }
}

#[test]
fn a_stream_is_whole_at_its_terminal_event() {
    let done = || leak(up_to_done());
    for behaviour in [
        Behaviour::Raw(done()),
        Behaviour::RawThenClose(done()),
        Behaviour::RawThenReset(done()),
        Behaviour::RawThenClose(leak(up_to_done() + "0\r\n")),
        Behaviour::RawInTwo(done(), Duration::from_millis(20), leak("0\r\n\r\n".to_owned())),
        Behaviour::Raw(leak(up_to_done() + "0\r\n\r\n")),
    ] {
        let server = Misbehaving::start(behaviour);
        let (result, output) = run(&server.url(), &profile(1, 3, true), &[]);
        assert_eq!(classes(&result), [], "{behaviour:?}: {output:?}");
        assert_eq!(count(&result, "http_req_duration"), 3, "{behaviour:?}");
        assert_eq!(count(&result, "token_events"), 3, "{behaviour:?}");
        // The token and the terminal event arrive in one packet. The request does not wait for an
        // end that does not come. A late read does not date the first token.
        let of = |metric: &str| &result["metrics"][metric]["sum"];
        let at_once = of("http_req_duration") == of("ttft") || count(&result, "ttft_censored") > 0;
        let ends_later = matches!(behaviour, Behaviour::RawInTwo(..));
        assert!(at_once || ends_later, "{behaviour:?}: {}", result["metrics"]);
    }
}

#[test]
fn a_line_end_too_many_is_skipped_however_it_comes() {
    for behaviour in
        [Behaviour::Raw(leak(plain() + "\r\n")), Behaviour::RawInTwo(leak(plain()), Duration::from_millis(20), b"\r\n")]
    {
        let server = Misbehaving::start(behaviour);
        for think in ["0s", "50ms"] {
            let (result, output) = run(&server.url(), &profile(1, 3, false), &["--think-time", think]);
            assert_eq!(classes(&result), [], "{behaviour:?}: {output:?}");
            assert_eq!(count(&result, "http_req_duration"), 3, "{behaviour:?}");
        }
    }
}

#[test]
fn other_bytes_after_an_end_fail_its_response() {
    let second = plain();
    for more in ["x", second.as_str()] {
        let (together, apart) = (leak(plain() + more), leak(more.to_owned()));
        let later = Behaviour::RawInTwo(leak(plain()), Duration::from_millis(20), apart);
        // The run does not wait for bytes after the last response. A busy machine may read them
        // together with the response.
        for (behaviour, expected) in [(Behaviour::Raw(together), 3..=3), (later, 2..=3)] {
            let server = Misbehaving::start(behaviour);
            let (result, output) = run(&server.url(), &profile(1, 3, false), &["--think-time", "1s"]);
            let [(class, n)] = &classes(&result)[..] else { panic!("{behaviour:?}: {output:?}") };
            assert!(class == "bad_http" && expected.contains(n), "{behaviour:?}: {output:?}");
            assert_eq!(count(&result, "http_reqs"), 3, "{behaviour:?}");
        }
    }
}

#[test]
fn what_is_started_ends_once_in_every_window() {
    let server = Misbehaving::start(Behaviour::Good { tokens: 1 });
    let text = "executor = \"constant-vus\"\nvus = 20\nduration = \"1500ms\"\n[[requests]]\nname = \"chat\"\n\
                api = \"openai-chat\"\n";
    for window in [["--warmup", "700ms"], ["--cooldown", "700ms"], ["--warmup", "1490ms"]] {
        let args = [&["--disable-keepalive", "--connect-rate", "400"][..], &window].concat();
        let (result, output) = run(&server.url(), text, &args);
        let ended: u64 = ["http_reqs", "cancelled", "interrupted"].iter().map(|name| count(&result, name)).sum();
        assert_eq!(count(&result, "http_reqs_started"), ended, "{window:?}: {output:?}");
        assert!(count(&result, "http_reqs") < server.requests());
    }
}

#[test]
fn a_signal_ends_every_executor_as_interrupted() {
    let ramp = "[[stages]]\nduration = \"10m\"\ntarget = 3\n";
    let shapes = [
        "executor = \"constant-vus\"\nvus = 2\nduration = \"10m\"\nthink_time = \"50ms\"\n".to_owned(),
        "executor = \"per-vu-iterations\"\nvus = 2\niterations = 100000\nthink_time = \"50ms\"\n".to_owned(),
        "executor = \"shared-iterations\"\nvus = 2\niterations = 100000\nthink_time = \"50ms\"\n".to_owned(),
        "executor = \"constant-arrival-rate\"\nrate = 20\nduration = \"10m\"\nmax_vus = 3\n".to_owned(),
        format!("executor = \"ramping-vus\"\nstart_vus = 1\nthink_time = \"50ms\"\n{ramp}"),
        format!("executor = \"ramping-arrival-rate\"\nstart_rate = 20\nmax_vus = 3\n{ramp}"),
    ];
    for shape in shapes {
        let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 1 }));
        let text = format!("{shape}[[requests]]\nname = \"chat\"\napi = \"openai-chat\"\n");
        let (profile, result) = (bench.write("endless.toml", &text), bench.path("r.json"));
        let running = start(&[&profile, "--target-url", &server.url(), "--output", &result], &[]);
        eventually("requests are under way", || server.requests() >= 5);
        running.signal(Signal::SIGINT);
        let output = running.finish(SOON);
        assert_eq!(output.code, Some(105), "{shape}: {output:?}");
        assert!(output.stdout.starts_with("INTERRUPTED"), "{shape}: {output:?}");
        let result = document(&result);
        assert_eq!(result["run"]["interrupted"], true, "{shape}");
        assert_eq!(count(&result, "http_reqs_started"), count(&result, "http_reqs") + count(&result, "interrupted"));
    }
}
