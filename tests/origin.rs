//! The origin as a process, read with our own decoders: it sends the promised bytes at the promised
//! times. Also the self-test, which uses it.

mod support;

use llmsim_blast::api::Api;
use llmsim_blast::origin::answers::{EVENT_BYTES, PLAIN_BODY_BYTES, STAMP_DIGITS};
use llmsim_blast::server::Server;
use llmsim_blast::watch::probe;
use llmsim_blast::wire::{Event, http1, sse};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use support::{SOON, blast, blast_with, eventually, origin, start};

fn record(origin: &Server) -> Value {
    probe::stats(&[origin.addr()], "x", "/record", SOON.into()).expect("a record")
}

/// A connection with one request at a time.
struct Client(TcpStream);

/// A complete response.
struct Answer {
    status: u16,
    body: Vec<u8>,
    reusable: bool,
}

impl Client {
    fn connect(origin: &Server) -> Self {
        let stream = TcpStream::connect(origin.addr()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Self(stream)
    }

    fn get(&mut self, path: &str) -> Answer {
        self.say(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        self.answer()
    }

    fn post(&mut self, path: &str, body: &str) -> Answer {
        self.say(&format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        self.answer()
    }

    fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    fn answer(&mut self) -> Answer {
        let mut decoder = http1::Decoder::default();
        let (mut status, mut body, mut buffer) = (0, Vec::new(), vec![0; 65_536]);
        loop {
            let n = self.0.read(&mut buffer).unwrap();
            assert!(n > 0, "closed within an answer");
            let mut input = &buffer[..n];
            while let Some(event) = decoder.next(&mut input) {
                match event.unwrap() {
                    Event::Head(head) => status = head.status,
                    Event::Data(data) => body.extend_from_slice(data),
                    Event::End { reusable } => return Answer { status, body, reusable },
                }
            }
        }
    }

    fn is_closed(&mut self) -> bool {
        // The connection ends with a reset if the server had unread bytes.
        !matches!(self.0.read(&mut [0]), Ok(n) if n > 0)
    }
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// Returns the time at which each token was written, and the number of tokens in the usage. The
    /// response must be a complete stream.
    fn tokens(&self) -> (Vec<u64>, u32) {
        let mut decoder = sse::Decoder::default();
        let mut input = &self.body[..];
        let (mut stamps, mut billed, mut done) = (Vec::new(), 0, false);
        while let Some(event) = decoder.next(&mut input) {
            let event = event.unwrap();
            assert!(!done, "after the end");
            let delta = Api::OpenaiChat.read_event(&event).unwrap();
            if delta.token.is_some() {
                let json: Value = serde_json::from_slice(event.data).unwrap();
                let content = json["choices"][0]["delta"]["content"].as_str().unwrap();
                assert_eq!(content.len(), STAMP_DIGITS);
                stamps.push(content.parse().unwrap());
            }
            billed = delta.usage.map_or(billed, |usage| usage.output);
            done |= delta.done;
        }
        assert!(done && self.status == 200, "no whole stream");
        (stamps, billed)
    }
}

#[test]
fn every_path_answers_as_documented_on_one_connection() {
    let origin = origin();
    let mut client = Client::connect(&origin);
    assert_eq!(client.get("/health").json(), serde_json::json!({"service": "origin", "status": "ok"}));
    for plain in [client.get("/plain"), client.post("/v1/chat/completions", r#"{"stream":false}"#)] {
        assert_eq!((plain.status, plain.body.len(), plain.reusable), (200, PLAIN_BODY_BYTES, true));
        assert_eq!(Api::OpenaiChat.read_body(&plain.body).unwrap().usage.unwrap().output, 100);
    }
    let (stamps, billed) = client.get("/burst?tokens=34").tokens();
    assert_eq!((stamps.len(), billed), (34, 34));
    assert!(stamps.iter().all(|stamp| *stamp == stamps[0]), "all were written at once");
    let (stamps, billed) = client.post("/v1/chat/completions?ttft=1ms&gap=0&tokens=3", r#"{"stream": true}"#).tokens();
    assert_eq!((stamps.len(), billed), (3, 3));
    assert_eq!(client.get("/stream?tokens=0&ttft=1h").tokens(), (Vec::new(), 0));
    assert_eq!((client.get("/nothing").status, client.get("/stream?ttft=soon").status), (404, 400));
    let record = record(&origin);
    assert_eq!(record["connections"], 2, "this one and the one that asks: {record}");
    assert_eq!((record["streams"].as_u64(), record["streams_ended"].as_u64()), (Some(2), Some(2)), "{record}");
    assert_eq!((record["events"].as_u64(), record["ttft_us"]["count"].as_u64()), (Some(37), Some(1)), "{record}");
}

#[test]
fn tokens_are_never_early_and_the_record_tells_when_they_were_written() {
    let origin = origin();
    let mut client = Client::connect(&origin);
    assert_eq!(client.get("/reset").status, 200);
    let (stamps, _) = client.get("/stream?ttft=20ms&gap=5ms&tokens=10").tokens();
    let record = record(&origin);
    let us = |what: &str, number: &str| record[what][number].as_f64().unwrap();
    assert_eq!((us("ttft_us", "count"), us("gap_us", "count"), us("lateness_us", "count")), (1.0, 9.0, 10.0));
    assert!(us("ttft_us", "mean") >= 20_000.0, "{record}");
    // The schedule counts from the request. The gaps therefore add up to 45 ms, except for the
    // lateness of the first and the last event.
    let whole = (stamps[9] - stamps[0]) as f64 / 1e3;
    assert!((us("gap_us", "mean") * 9.0 - whole).abs() < 1.0, "{record}");
    assert!((whole - 45_000.0).abs() <= us("lateness_us", "max") + 1.0, "{whole} {record}");
    assert!(stamps.is_sorted());
}

#[test]
fn an_event_is_one_chunk_of_the_promised_length() {
    let origin = origin();
    let mut client = Client::connect(&origin);
    client.say("GET /burst?tokens=2 HTTP/1.1\r\nConnection: close\r\n\r\n");
    let mut bytes = Vec::new();
    client.0.read_to_end(&mut bytes).unwrap();
    let head = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let (first, second) = (&bytes[head..head + EVENT_BYTES], &bytes[head + EVENT_BYTES..head + 2 * EVENT_BYTES]);
    assert_eq!(first, second);
    assert!(first.starts_with(b"d3\r\ndata: {") && first.ends_with(b"}\n\n\r\n"), "{}", String::from_utf8_lossy(first));
}

#[test]
fn requests_may_come_in_pieces_and_one_upon_the_other() {
    let origin = origin();
    let mut client = Client::connect(&origin);
    let request = "POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 16\r\n\r\n{\"stream\":false}";
    for piece in request.as_bytes().chunks(7) {
        client.0.write_all(piece).unwrap();
        client.0.flush().unwrap();
    }
    assert_eq!(client.answer().body.len(), PLAIN_BODY_BYTES);
    client
        .say("GET /stream?ttft=1ms&gap=1ms&tokens=2 HTTP/1.1\r\n\r\nGET /health HTTP/1.1\r\nConnection: close\r\n\r\n");
    let mut text = String::new();
    client.0.read_to_string(&mut text).unwrap();
    let (stream, health) = text.split_once("0\r\n\r\n").unwrap();
    assert!(
        stream.contains("[DONE]") && health.starts_with("HTTP/1.1 200 OK") && health.ends_with("\"ok\"}"),
        "{text}"
    );
}

#[test]
fn what_is_no_request_ends_its_connection_and_no_other() {
    let origin = origin();
    let mut good = Client::connect(&origin);
    let mut bad = Client::connect(&origin);
    bad.say("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(bad.answer().status, 400);
    assert!(bad.is_closed());
    assert_eq!(good.get("/plain").status, 200);
}

#[test]
fn connections_are_independent_and_one_that_leaves_is_forgotten() {
    let origin = origin();
    let mut slow = Client::connect(&origin);
    slow.say("GET /stream?ttft=1h HTTP/1.1\r\n\r\n");
    let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(&origin)).collect();
    for client in &mut clients {
        client.say("GET /stream?ttft=5ms&gap=1ms&tokens=20 HTTP/1.1\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.answer().tokens().0.len(), 20);
    }
    drop((slow, clients));
    eventually("they are forgotten", || record(&origin)["connections"] == 1);
}

#[test]
fn a_client_that_does_not_read_gets_everything_in_the_end() {
    let origin = origin();
    let mut client = Client::connect(&origin);
    // More bytes than two sockets hold, all due at once.
    client.say("GET /stream?ttft=0&gap=0&tokens=15000 HTTP/1.1\r\n\r\n");
    eventually("all of it was generated", || record(&origin)["streams_ended"] == 1);
    assert_eq!(client.answer().tokens().0.len(), 15_000);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "measures another process from outside")]
fn frozen_it_says_nothing() {
    let origin = origin();
    let mut client = Client::connect(&origin);
    let started = Instant::now();
    assert_eq!(client.get("/freeze?for=300ms").status, 200);
    assert_eq!(client.get("/health").status, 200);
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_taken_port_is_an_error_with_its_own_exit_code() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    let output = blast(&["origin", "--port", &port]);
    assert_eq!(output.code, Some(107), "{output:?}");
    assert!(output.stderr.contains("cannot listen on") && output.stderr.contains("--port"), "{}", output.stderr);
}

#[test]
fn a_signal_ends_it_as_it_ends_serve() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let running = start(&["origin", "--port", "0"], &[]);
        running.wait_for_stdout("origin on", SOON);
        running.signal(signal);
        assert_eq!(running.finish(2 * SOON).code, Some(0), "{signal}");
    }
}

#[test]
fn the_short_self_test_runs_through_and_keeps_its_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("self-test.json");
    let output = blast_with(&["self-test", "--quick", "--output", file.to_str().unwrap()], &[], 4 * SOON);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.lines().all(|line| line.chars().count() <= 80), "{}", output.stdout);
    for part in ["plain requests", "TTFT mean", "a connection; ", "this machine can"] {
        assert!(output.stdout.contains(part), "{part} in {}", output.stdout);
    }
    for part in
        ["step 1 of at most 7: memory: ", "step 2 of at most 7: cost: ", "step 5 of at most 7: truth: 1 stream of"]
    {
        assert!(output.stderr.contains(part), "{part} in {}", output.stderr);
    }
    let json: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!((&json["schema"], &json["quick"]), (&"llmsim-blast.self-test/1".into(), &true.into()));
    assert!(json["work"].as_array().unwrap().iter().all(|work| work["client_cpu_us"].as_f64() > Some(0.0)), "{json}");
    // The reported values of a stream with known times cannot be smaller than those times, however
    // slow the machine is. An empty mean is 0: with a single stream, a busy machine may have hidden
    // the first token.
    let seen = |truth: &&Value| truth["reported"]["ttft_mean"].as_f64() > Some(0.0);
    let truth = json["truth"].as_array().unwrap().iter().find(seen).expect("some stream whose first token was seen");
    assert!(truth["reported"]["ttft_mean"].as_f64() >= truth["recorded"]["ttft_mean"].as_f64(), "{json}");
    assert!(truth["recorded"]["ttft_mean"].as_f64() >= Some(50.0), "{json}");
    assert!(json["memory"]["connections"].as_u64() > Some(0), "{json}");
}

#[test]
fn a_signal_ends_the_self_test_with_what_there_is() {
    let running = start(&["self-test", "--output", "-"], &[]);
    running.wait_for_stderr("cost: plain requests", SOON);
    running.signal(Signal::SIGINT);
    let output = running.finish(2 * SOON);
    assert_eq!(output.code, Some(105), "{output:?}");
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&json["interrupted"], json["truth"].as_array().map(Vec::len)), (&true.into(), Some(0)));
    assert!(json["memory"]["connections"].as_u64() > Some(0), "{json}");
    assert!(output.stderr.contains("stopped by a signal"), "{}", output.stderr);
}

#[test]
fn a_place_for_the_results_that_cannot_be_written_is_refused_first() {
    let output = blast(&["self-test", "--output", "/nonexistent/r.json"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(104), ""));
    assert!(output.took < SOON && output.stderr.contains("--output"), "{output:?}");
}

#[test]
fn help_says_what_it_measures() {
    let help = blast(&["self-test", "--help"]).stdout;
    assert!(help.contains("loopback") && help.contains("--quick"), "{help}");
    assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
    assert!(!blast(&["--help"]).stdout.contains("origin "), "it is not for people");
}
