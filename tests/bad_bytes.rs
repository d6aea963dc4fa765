//! Bytes that no server should send. Each case ends in its failure class, uses bounded memory, and
//! does not affect the next request.

mod support;

use serde_json::{Value, json};
use support::{Behaviour, Bench, Endless, Misbehaving, SOON, blast_with, document, eventually, peak_memory, start};

/// Returns a profile with three consecutive requests of one VU. A silence of length `stall` is a
/// failure.
fn three_requests(stream: bool, stall: &str) -> String {
    format!(
        "executor = \"per-vu-iterations\"\niterations = 3\ntimeout = {{ stall = \"{stall}\" }}\n[[requests]]\n\
         name = \"chat\"\napi = \"openai-chat\"\nstream = {stream}\n"
    )
}

/// A silence that no server in these tests keeps, however busy the machine is.
const LONG: &str = "20s";

/// Checks that only the first of three requests fails, in this class. If `class` is `None`, no
/// request must fail. The first request gets `behaviour`.
fn judged(behaviour: Behaviour, stream: bool, class: Option<&str>) -> Value {
    let (bench, server) = (Bench::new(), Misbehaving::once(behaviour));
    let stall = if class == Some("timeout_stall") { "300ms" } else { LONG };
    let (profile, result) = (bench.write("three.toml", &three_requests(stream, stall)), bench.path("r.json"));
    let output = blast_with(&[&profile, "--target-url", &server.url(), "--output", &result], &[], SOON);
    assert_eq!(output.code, Some(0), "{behaviour:?}: {output:?}");
    let result = document(&result);
    let mut classes = result["failures"].as_object().unwrap().clone();
    classes.retain(|name, _| !["statuses", "checks", "details"].contains(&name.as_str()));
    let expected = class.map_or_else(|| json!({}), |class| json!({ class: 1 }));
    assert_eq!(Value::Object(classes), expected, "{behaviour:?} stream={stream}: {}", output.stdout);
    assert_eq!(result["metrics"]["http_req_failed"]["total"], 3, "{behaviour:?}");
    assert_eq!(result["metrics"]["http_req_duration"]["count"], 3 - u64::from(class.is_some()), "{behaviour:?}");
    result
}

/// Leaks the bytes, since behaviours are constants.
fn leak(bytes: impl Into<Vec<u8>>) -> &'static [u8] {
    Box::leak(bytes.into().into_boxed_slice())
}

/// Returns a plain response with these header lines and this body.
fn plain(head: &str, body: &[u8]) -> &'static [u8] {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{head}\r\n\r\n");
    leak([head.as_bytes(), body].concat())
}

/// Returns a plain response with the correct length.
fn honest(body: impl AsRef<[u8]>) -> Behaviour {
    Behaviour::Raw(plain(&format!("content-length: {}", body.as_ref().len()), body.as_ref()))
}

/// Returns a stream of these events that is ended by the end of the connection.
fn events(data: &[&[u8]]) -> Behaviour {
    let head: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let events = data.iter().map(|data| [b"data: ", *data, b"\n\n"].concat());
    Behaviour::RawThenClose(leak([head.to_vec(), events.collect::<Vec<_>>().concat()].concat()))
}

#[test]
fn lies_about_lengths_end_in_their_class() {
    use Behaviour::{Raw, RawThenClose};
    let body = r#"{"choices":[{"message":{"content":"x"}}],"usage":{"total_tokens":2}}"#;
    let with = |more: &str, body: &str| plain(more, body.as_bytes());
    let twice = with(&format!("content-length: {}", body.len()), body).repeat(2);
    for (behaviour, class) in [
        (RawThenClose(with("content-length: 500", body)), "closed_early"),
        (Raw(with("content-length: 500", body)), "timeout_stall"),
        (Raw(with("content-length: 5", body)), "bad_http"),
        (Raw(with("content-length: -1", body)), "bad_http"),
        (Raw(with("content-length: 1e2", body)), "bad_http"),
        (Raw(with("content-length: 10\r\ncontent-length: 11", body)), "bad_http"),
        (Raw(with("content-length: 99999999999", body)), "too_large"),
        (Raw(with("transfer-encoding: chunked", "ffffffffffffffff\r\nx")), "too_large"),
        (Raw(with("transfer-encoding: chunked", "10000000000000000\r\nx")), "bad_chunk"),
        (Raw(with("transfer-encoding: chunked", "-5\r\nx")), "bad_chunk"),
        (Raw(with("transfer-encoding: chunked", "\r\nx")), "bad_chunk"),
        // A chunk that begins and never ends.
        (Raw(with("transfer-encoding: chunked", "3ffffff\r\n{\"choi")), "timeout_stall"),
        // Two responses to one request.
        (Raw(leak(twice)), "bad_http"),
        (Raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"), "bad_http"),
        (Raw(b"HTTP/1.1 999 Odd\r\n\r\n"), "bad_http"),
        (Raw(b"HTTP/2 200\r\n\r\n"), "bad_http"),
        (Raw(b"HTTP/1.1 200 OK\r\nx-\0: nul\r\n\r\n"), "bad_http"),
        (Raw(b"\0\0\0\0\0\0\0\0"), "bad_http"),
    ] {
        judged(behaviour, false, Some(class));
    }
}

#[test]
fn what_is_no_json_and_what_is_odd_json_are_told_apart() {
    let good = r#""choices":[{"message":{"content":"x"}}]"#;
    for (body, class) in [
        (b"\0\0\0\0".to_vec(), Some("bad_json")),
        (
            b"{\"choices\":[{\"message\":{\"content\":\"\xff\xfe\"}}],\"usage\":{\"total_tokens\":2}}".to_vec(),
            Some("bad_json"),
        ),
        (format!("{{{good},\"usage\":{{\"total_tokens\":2}}}}x").into_bytes(), Some("bad_json")),
        (format!("{}{}", "[".repeat(1000), "]".repeat(1000)).into_bytes(), Some("check")),
        (format!("{}1{}", "{\"a\":".repeat(1000), "}".repeat(1000)).into_bytes(), Some("check")),
        // A number that fits no type counts as a missing total, which is allowed. A number that is
        // only too large counts as the peer's number.
        (format!("{{{good},\"usage\":{{\"total_tokens\":1e999}}}}").into_bytes(), None),
        (format!("{{{good},\"usage\":{{\"total_tokens\":99999999999999999999}}}}").into_bytes(), None),
    ] {
        judged(honest(&body), false, class);
    }
}

#[test]
fn events_that_are_not_understood_are_skipped_and_counted() {
    const TOKEN: &[u8] = br#"{"choices":[{"index":0,"delta":{"content":"x"}}]}"#;
    const NOT_UTF8: &[u8] = b"{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\xff\"}}]}";
    const TOO_BIG: &[u8] = br#"{"choices":[],"usage":{"completion_tokens":1e999}}"#;
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000)).into_bytes();
    let bad_events = |result: &Value| result["metrics"]["bad_events"]["count"].as_u64().unwrap();
    for (data, class, bad) in [
        (&[TOKEN, NOT_UTF8, b"[DONE]"][..], None, 1),
        (&[NOT_UTF8, b"[DONE]"], Some("empty"), 1),
        (&[TOKEN, NOT_UTF8], Some("bad_sse"), 1),
        (&[TOKEN, b"\0\0\0", b"[DONE]"], None, 1),
        (&[TOKEN, TOO_BIG, b"[DONE]"], None, 0),
        (&[TOKEN, &deep, b"[DONE]"], None, 1),
        (&[b"\0", b"\xff"], Some("bad_sse"), 2),
    ] {
        let result = judged(events(data), true, class);
        assert_eq!(bad_events(&result), bad, "{data:?}");
    }
}

#[test]
fn what_has_no_end_is_too_large_and_memory_is_bounded() {
    for (endless, stream, budget, most) in [
        (Endless::Line, true, None, 64 << 20),
        (Endless::Event, true, None, 64 << 20),
        (Endless::Comments, true, None, 64 << 20),
        (Endless::ChunkExtension, true, None, 64 << 20),
        (Endless::Head, true, None, 64 << 20),
        (Endless::Interim, true, None, 64 << 20),
        // A body may be 64 MiB long. A growing buffer is up to twice as large, and needs its old
        // size again while it grows.
        (Endless::Body, false, None, 256 << 20),
        (Endless::Body, false, Some("2MiB"), 64 << 20),
    ] {
        // The tool still runs, and can be examined, when the second request has arrived.
        let (bench, server) = (Bench::new(), Misbehaving::once_and_hold(Behaviour::Endless(endless)));
        let profile = bench.write("three.toml", &three_requests(stream, LONG));
        let result = bench.path("r.json");
        let url = server.url();
        let usual = [profile.as_str(), "--workers", "1", "--target-url", &url, "--output", &result];
        let budget = budget.map(|size| ["--body-budget", size]);
        let running = start(&[&usual[..], budget.as_ref().map_or(&[][..], |flag| flag)].concat(), &[]);
        eventually("the request after the endless one", || server.requests() >= 2);
        let peak = peak_memory(running.pid()).expect("it waits for an answer");
        server.release();
        let output = running.finish(SOON);
        let result = document(&result);
        assert_eq!(result["failures"]["too_large"], 1, "{endless:?}: {}", output.stdout);
        assert_eq!(result["metrics"]["http_req_duration"]["count"], 2, "{endless:?}");
        assert!(peak < most, "{endless:?}: {peak} bytes");
    }
}
