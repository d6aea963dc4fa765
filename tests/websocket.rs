//! The Responses API over a WebSocket: against the real simulator, and against peers that
//! misbehave.

mod support;

use base64::Engine as _;
use llmsim_blast::wire::websocket::{Key, MAX_MESSAGE_BYTES};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use support::{Bench, Output, SOON, blast_with, count, document};

/// A peer that runs `script` for each upgrade, numbered from 0. Requests without an upgrade get
/// 404.
struct Peer {
    url: String,
    upgrades: Arc<AtomicUsize>,
}

impl Peer {
    fn start(script: impl Fn(usize, &str, &mut TcpStream) -> Option<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (script, upgrades) = (Arc::new(script), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&upgrades);
        // The thread ends with the test program.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, script, counted) =
                    (stream.expect("a connection"), Arc::clone(&script), Arc::clone(&counted));
                std::thread::spawn(move || {
                    stream.set_nodelay(true).expect("an option");
                    let head = head(&mut stream)?;
                    if head.contains("\r\nUpgrade: websocket\r\n") {
                        script(counted.fetch_add(1, Ordering::SeqCst), &head, &mut stream)
                    } else {
                        stream.write_all(b"HTTP/1.1 404 None\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").ok()
                    }
                });
            }
        });
        Self { url, upgrades }
    }

    fn upgrades(&self) -> usize {
        self.upgrades.load(Ordering::SeqCst)
    }
}

/// Reads the head of a request.
fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// Returns the `Sec-WebSocket-Accept` value for this head.
fn accept(head: &str) -> String {
    let (_, key) = head.split_once("Sec-WebSocket-Key: ").expect("a key");
    let nonce = base64::engine::general_purpose::STANDARD.decode(key.trim()).expect("base64");
    let nonce = u128::from_be_bytes(nonce.try_into().expect("16 bytes"));
    String::from_utf8(Key::new(nonce).accept().to_vec()).expect("base64")
}

fn switch(head: &str, stream: &mut TcpStream) -> Option<()> {
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {}\r\n\r\n",
        accept(head)
    );
    stream.write_all(answer.as_bytes()).ok()
}

/// Reads a client's frame: its first byte and its payload.
fn frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut two = [0; 2];
    stream.read_exact(&mut two).ok()?;
    assert!(two[1] & 0x80 != 0, "a client masks");
    let mut length = usize::from(two[1] & 0x7f);
    if length == 126 {
        let mut more = [0; 2];
        stream.read_exact(&mut more).ok()?;
        length = u16::from_be_bytes(more).into();
    }
    let mut mask = [0; 4];
    stream.read_exact(&mut mask).ok()?;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).ok()?;
    llmsim_blast::wire::websocket::mask(&mut payload, mask);
    Some((two[0], payload))
}

/// Reads the next request.
fn request(stream: &mut TcpStream) -> Option<Value> {
    loop {
        let (first, payload) = frame(stream)?;
        if first == 0x81 {
            return Some(serde_json::from_slice(&payload).expect("JSON"));
        }
    }
}

fn framed(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("a short one");
    [&[first, 126][..], &length.to_be_bytes(), payload].concat()
}

fn text(event: &Value) -> Vec<u8> {
    framed(0x81, event.to_string().as_bytes())
}

fn delta() -> Vec<u8> {
    text(&json!({ "type": "response.output_text.delta", "delta": "word " }))
}

fn completed() -> Vec<u8> {
    let usage = json!({ "input_tokens": 3, "output_tokens": 2, "total_tokens": 5 });
    text(&json!({ "type": "response.completed", "response": { "usage": usage } }))
}

/// Returns a response of two tokens.
fn answer() -> Vec<u8> {
    [text(&json!({ "type": "response.created", "response": {} })), delta(), delta(), completed()].concat()
}

/// One VU, two requests.
const TWO: &str = "executor = \"per-vu-iterations\"\niterations = 2\ntimeout = { connect = \"1s\", first_byte = \"10s\" }\n\
    [[requests]]\nname = \"ws\"\napi = \"openai-responses\"\nwebsocket = true\nmax_tokens = 20\nmodel = \"m\"\nprompt = \"Hi\"\n";

fn run(url: &str, profile: &str, more: &[&str]) -> (Value, Output) {
    let bench = Bench::new();
    let (file, result) = (bench.write("p.toml", profile), bench.path("r.json"));
    let output = blast_with(
        &[&[file.as_str(), "--target-url", url, "--no-server", "--output", &result], more].concat(),
        &[],
        SOON,
    );
    assert!(!output.stderr.contains("panicked"), "{output:?}");
    (document(&result), output)
}

/// Checks that both of two requests fail in this class, with this example.
fn counted(class: &str, looks: &str, script: impl Fn(&str, &mut TcpStream) -> Option<()> + Send + Sync + 'static) {
    let peer = Peer::start(move |_, head, stream| script(head, stream));
    let (result, output) = run(&peer.url, TWO, &[]);
    assert_eq!(result["failures"][class], 2, "{class}: {output:?}");
    let sample = result["failures"]["details"][class]["sample"].as_str().unwrap_or_default();
    assert!(sample.contains(looks), "{class}: no `{looks}` in `{sample}`");
    assert_eq!(peer.upgrades(), 2, "{class}");
    assert!(count(&result, "data_sent") > 2 * 100, "{class}: a handshake has a head: {output:?}");
    assert_eq!(output.code, Some(107), "{output:?}");
}

#[test]
fn a_handshake_that_is_refused_fails_by_its_status() {
    for (status, class) in
        [("404 Not Found", "http_4xx"), ("426 Upgrade Required", "http_4xx"), ("503 Full", "http_5xx")]
    {
        let looks = format!("HTTP {}: sorry", &status[..3]);
        counted(class, &looks, move |_, stream| {
            stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 5\r\n\r\nsorry").as_bytes()).ok()
        });
    }
}

#[test]
fn a_success_that_switches_nothing_is_no_websocket() {
    counted("bad_websocket", "HTTP 200: {}", |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}").ok()
    });
    counted("bad_websocket", "Sec-WebSocket-Accept", |_, stream| {
        let wrong = "HTTP/1.1 101 Yes\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        stream.write_all(wrong.as_bytes()).ok()
    });
    counted("bad_websocket", "Upgrade: websocket", |_, stream| {
        stream.write_all(b"HTTP/1.1 101 Yes\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n").ok()
    });
}

#[test]
fn a_handshake_without_an_answer_is_a_connection_that_was_not_had() {
    counted("connect_timeout", "no response", |_, stream| head(stream).map(drop));
    counted("closed_early", "no response", |_, _| None);
}

#[test]
fn an_answer_that_is_cut_is_told_by_how() {
    let begun = |head: &str, stream: &mut TcpStream| {
        switch(head, stream)?;
        request(stream)?;
        stream.write_all(&delta()).ok()
    };
    counted("closed_early", "1 token", begun);
    let (closing, answered) = (b"\x03\xe8enough", Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&answered);
    counted("truncated", "1 token", move |head, stream| {
        begun(head, stream)?;
        stream.write_all(&framed(0x88, closing)).ok()?;
        seen.fetch_add(usize::from(frame(stream)? == (0x88, closing.to_vec())), Ordering::SeqCst);
        Some(())
    });
    support::eventually("both closings are answered", || answered.load(Ordering::SeqCst) == 2);
}

#[test]
fn broken_frames_have_a_class_and_large_ones_another() {
    let answering = |bytes: Vec<u8>| {
        move |head: &str, stream: &mut TcpStream| {
            switch(head, stream)?;
            request(stream)?;
            stream.write_all(&bytes).ok()?;
            frame(stream).map(drop)
        }
    };
    counted("bad_websocket", "a binary message", answering(framed(0x82, b"{}")));
    counted("bad_websocket", "a broken frame", answering(framed(0xf1, b"{}")));
    counted("bad_websocket", "not UTF-8", answering(framed(0x81, b"\xff")));
    let huge = [&[0x81, 127][..], &(MAX_MESSAGE_BYTES as u64 + 1).to_be_bytes()].concat();
    counted("too_large", "too large: message", answering(huge));
}

#[test]
fn what_is_asked_is_flat_and_a_ping_in_the_middle_is_answered() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let peer = Peer::start(move |_, head, stream| {
        assert!(head.starts_with("GET /openai/v1/responses HTTP/1.1\r\nHost: 127.0.0.1:"), "{head}");
        assert!(
            head.contains("\r\nConnection: Upgrade\r\n") && head.contains("\r\nSec-WebSocket-Version: 13\r\n"),
            "{head}"
        );
        assert!(head.contains("\r\nAuthorization: Bearer sesame\r\n"), "{head}");
        switch(head, stream)?;
        while let Some(request) = request(stream) {
            stream.write_all(&[framed(0x89, b"there?"), delta()].concat()).ok()?;
            let pong = frame(stream)?;
            seen.lock().unwrap().push((request, pong));
            stream.write_all(&completed()).ok()?;
        }
        Some(())
    });
    let bench = Bench::new();
    let key = bench.write("key.txt", "sesame\n");
    let (result, output) = run(&peer.url, TWO, &["--api-key-file", &key]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let request = json!({ "type": "response.create", "model": "m", "input": "Hi", "max_output_tokens": 20 });
    let expected = (request, (0x8a, b"there?".to_vec()));
    assert_eq!(*asked.lock().unwrap(), [expected.clone(), expected]);
    assert_eq!(count(&result, "tokens_output"), 4);
    // A late read does not date the first token.
    assert_eq!(count(&result, "ttft") + count(&result, "ttft_censored"), 2);
}

#[test]
fn a_connection_that_was_closed_in_between_is_opened_again_without_a_word() {
    let closings: [&[u8]; 3] = [b"", b"\x88\x00", b"\x81\x02{}"];
    for closing in closings {
        let peer = Peer::start(move |_, head, stream| {
            switch(head, stream)?;
            request(stream)?;
            stream.write_all(&[&answer(), closing].concat()).ok()?;
            if closing.is_empty() {
                return Some(());
            }
            // However the client reacts, it comes back on a new connection.
            while frame(stream).is_some() {}
            Some(())
        });
        let (result, output) = run(&peer.url, TWO, &[]);
        assert_eq!(output.code, Some(0), "{closing:?}: {output:?}");
        assert_eq!((count(&result, "http_reqs"), peer.upgrades()), (2, 2), "{closing:?}: {output:?}");
    }
}

#[test]
fn a_request_that_met_a_closing_is_sent_again() {
    let closings: [&[u8]; 2] = [b"", b"\x88\x00"];
    for closing in closings {
        let peer = Peer::start(move |n, head, stream| {
            switch(head, stream)?;
            request(stream)?;
            stream.write_all(&answer()).ok()?;
            if n == 0 {
                request(stream)?;
                return stream.write_all(closing).ok();
            }
            frame(stream).map(drop)
        });
        let (result, output) = run(&peer.url, TWO, &[]);
        assert_eq!(output.code, Some(0), "{closing:?}: {output:?}");
        assert_eq!((count(&result, "http_reqs"), count(&result, "stale_retries"), peer.upgrades()), (2, 1, 2));
    }
}

#[test]
fn an_error_ends_the_request_and_not_the_connection() {
    let peer = Peer::start(|_, head, stream| {
        switch(head, stream)?;
        request(stream)?;
        stream
            .write_all(&text(&json!({ "type": "error", "code": "rate_limit_error", "message": "slow down" })))
            .ok()?;
        request(stream)?;
        stream.write_all(&answer()).ok()?;
        frame(stream).map(drop)
    });
    let (result, output) = run(&peer.url, TWO, &[]);
    assert_eq!((&result["failures"]["stream_error"], peer.upgrades()), (&json!(1), 1), "{output:?}");
    assert_eq!(count(&result, "connections_reused"), 1);
    let sample = result["failures"]["details"]["stream_error"]["sample"].as_str().unwrap();
    assert!(sample.contains("slow down"), "{sample}");
}

#[test]
fn only_the_responses_api_has_it() {
    let bench = Bench::new();
    let file = bench.write("p.toml", &TWO.replace("openai-responses", "openai-chat"));
    let output = blast_with(&[&file, "--no-server"], &[], SOON);
    assert_eq!(output.code, Some(104), "{output:?}");
    assert!(output.stderr.contains("websocket") && output.stderr.contains("openai-responses"), "{output:?}");
}

#[cfg(feature = "embedded")]
mod real {
    use super::*;
    use support::Embedded;

    const INSTANT: &str = "[latency]\nprofile = \"instant\"\n[response]\ngenerator = \"lorem\"\ntarget_tokens = 20\n";

    #[test]
    fn the_simulator_is_measured_over_websockets_as_over_event_streams() {
        let server = Embedded::start(INSTANT);
        let profile = TWO.replace("iterations = 2", "vus = 3\niterations = 20").replace("model = \"m\"\n", "");
        let (result, output) = run(&server.url(), &profile, &["--verify-parse"]);
        assert_eq!(output.code, Some(0), "{output:?}");
        let count = |metric: &str| count(&result, metric);
        assert_eq!((count("http_reqs"), count("ws_connecting")), (60, 3));
        assert_eq!(count("ttfe") + count("ttfe_censored"), 60);
        assert_eq!((count("connections_opened"), count("connections_reused")), (3, 57));
        assert_eq!(count("ttft") + count("ttft_censored"), 60);
        assert_eq!(count("tbt") + count("tbt_censored"), count("token_events") - 60);
        assert!(count("token_events") >= 600 && count("tokens_input") > 0, "{output:?}");
        assert_eq!(result["metrics"]["tokens_output"]["token_source"], "usage");
        assert_eq!((&result["agreement"]["ours"], &result["agreement"]["server"]), (&json!(60), &json!(60)));
        assert_eq!(server.stats()["websocket_requests"], 60);
    }

    #[test]
    fn a_user_goes_from_one_protocol_to_the_other() {
        let server = Embedded::start(INSTANT);
        let more = "[[requests]]\nname = \"sse\"\napi = \"openai-responses\"\nstream = true\n[[requests]]\nname = \"other\"\napi = \"auto\"\nwebsocket = true\n";
        let profile = format!("{TWO}{more}").replace("iterations = 2", "vus = 2\niterations = 30");
        let (result, output) = run(&server.url(), &profile, &[]);
        assert_eq!(output.code, Some(0), "{output:?}");
        assert_eq!(count(&result, "http_reqs"), 60, "{output:?}");
        let of = |kind: &str| result["requests"][kind]["http_reqs"]["count"].as_u64().unwrap_or(0);
        assert!(of("ws") > 0 && of("sse") > 0 && of("other-openai-responses") > 0, "{result}");
        let stats = server.stats();
        // The endpoint check sends one more request of the kind with `api = "auto"`.
        assert_eq!(stats["websocket_requests"], of("ws") + of("other-openai-responses") + 1);
        assert_eq!(stats["responses_requests"], of("sse"));
        assert_eq!(result["metrics"]["http_req_failed"]["matches"], 0);
    }

    #[test]
    fn errors_that_the_simulator_injects_are_counted_as_what_they_are() {
        let errors = "[errors]\nrate_limit_rate = 0.2\nserver_error_rate = 0.2\n";
        let server = Embedded::start(&format!("{INSTANT}{errors}"));
        let profile = TWO.replace("iterations = 2", "vus = 2\niterations = 40");
        let (result, output) = run(&server.url(), &profile, &[]);
        let failed = result["failures"]["stream_error"].as_u64().unwrap_or(0);
        assert!(failed > 0, "{output:?}");
        assert_eq!(server.stats()["total_errors"], failed);
        assert_eq!((count(&result, "http_reqs"), count(&result, "connections_opened")), (80, 2));
        assert!(!output.stdout.contains("rate_limit_errors"), "they have no status to compare: {output:?}");
    }
}
