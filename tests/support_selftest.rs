//! Tests of the tests' own tools. A test double that does not do what it claims makes every test
//! that uses it worthless.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use support::{Behaviour, Misbehaving};

/// Longest wait for something that is sure to happen, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(20);
const POST: &str = "POST /openai/v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ";

/// The end of a conversation, as the client sees it.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Closed,
    Reset,
    /// The client expected nothing more, and nothing more arrived.
    Open,
}

fn connect(server: &Misbehaving) -> TcpStream {
    let stream = TcpStream::connect(server.addr()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

fn ask(stream: &mut TcpStream, streamed: bool) {
    let body = format!("{{\"stream\":{streamed}}}");
    stream.write_all(format!("{POST}{}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
}

/// Reads until `enough` is true or the connection ends. Returns the text and the end.
fn read_until(stream: &mut TcpStream, enough: impl Fn(&str) -> bool) -> (String, End) {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    let end = loop {
        let open = enough(&text);
        stream.set_nonblocking(open).unwrap();
        match stream.read(&mut buffer) {
            Ok(0) => break End::Closed,
            Ok(n) => text += &String::from_utf8_lossy(&buffer[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => break End::Reset,
            Err(_) if open => break End::Open,
            Err(e) => panic!("{e}, after: {text}"),
        }
    };
    stream.set_nonblocking(false).unwrap();
    (text, end)
}

/// Reads the whole response, or the part that arrives, and its end.
fn rest(stream: &mut TcpStream) -> (String, End) {
    read_until(stream, complete)
}

fn complete(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    match head.split_once("content-length: ") {
        Some((_, rest)) => body.chars().count() >= rest.lines().next().unwrap().parse().unwrap(),
        None => body.ends_with("\r\n0\r\n\r\n"),
    }
}

/// Returns the response to one request on a new connection.
fn answer(behaviour: Behaviour, streamed: bool) -> (String, End) {
    let server = Misbehaving::start(behaviour);
    let mut stream = connect(&server);
    ask(&mut stream, streamed);
    let answer = rest(&mut stream);
    assert_eq!((server.connections(), server.requests()), (1, 1));
    answer
}

#[test]
fn good_answers_are_good_and_keep_the_connection() {
    for behaviour in [Behaviour::Good { tokens: 2 }, Behaviour::OneByteAtATime, Behaviour::NeverHealthy] {
        let (plain, end) = answer(behaviour, false);
        assert!(plain.contains("200") && plain.contains("total_tokens") && end == End::Open, "{plain} {end:?}");
        let (stream, end) = answer(behaviour, true);
        assert!(stream.contains("word ") && stream.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"), "{stream}");
        assert_eq!(end, End::Open);
    }
    assert_eq!(answer(Behaviour::GoodStream { tokens: 5 }, false).0.matches("word ").count(), 5);
    assert!(answer(Behaviour::GoodPlain, true).0.contains("content-type: application/json"));
    let server = Misbehaving::start(Behaviour::CloseAfterEach);
    let mut stream = connect(&server);
    ask(&mut stream, false);
    let (text, end) = read_until(&mut stream, |_| false);
    assert!(complete(&text) && !text.contains("connection:") && end == End::Closed, "{text}");
}

#[test]
fn broken_connections_break_as_they_say() {
    assert_eq!(answer(Behaviour::CloseUnanswered, false), (String::new(), End::Closed));
    assert_eq!(answer(Behaviour::Reset, false), (String::new(), End::Reset));
    let server = Misbehaving::start(Behaviour::StallMidStream);
    let mut stream = connect(&server);
    ask(&mut stream, true);
    let (text, end) = read_until(&mut stream, |text| text.matches("word ").count() == 2 && text.ends_with("\n\r\n"));
    assert!(!complete(&text) && end == End::Open, "{text}");
    let (text, end) = answer(Behaviour::CloseEarly, false);
    assert!(text.contains("content-length") && !text.ends_with('}') && end == End::Closed, "{text}");
    let (text, end) = answer(Behaviour::HalfChunk, true);
    assert!(text.ends_with("40\r\ndata: {\"choi") && end == End::Closed, "{text}");
}

#[test]
fn broken_answers_are_broken_as_they_say() {
    for (behaviour, streamed, expected) in [
        (Behaviour::Garbage, false, "this is not HTTP"),
        (Behaviour::BadChunk, true, "zz\r\n"),
        (Behaviour::Gzip, false, "content-encoding: gzip"),
        (Behaviour::Status(429), false, "HTTP/1.1 429 "),
        (Behaviour::Status(500), true, "HTTP/1.1 500 "),
        (Behaviour::Redirect, false, "location: "),
        (Behaviour::WrongContentType, true, "text/html"),
        (Behaviour::BadJson, false, "\r\n\r\n{\"choices\": ["),
        (Behaviour::BadJson, true, "data: {\"choices\": [\n\n"),
        (Behaviour::ErrorEventIn200, true, "data: {\"error\""),
    ] {
        let (text, _) = answer(behaviour, streamed);
        assert!(text.contains(expected), "{behaviour:?}: {text}");
    }
    assert!(answer(Behaviour::HugeHead, false).0.len() > 1 << 20);
    let (text, _) = answer(Behaviour::TruncatedStream, true);
    assert!(text.contains("word ") && text.ends_with("0\r\n\r\n") && !text.contains("[DONE]"), "{text}");
    let (text, _) = answer(Behaviour::EmptyStream, true);
    assert!(!text.contains("word ") && text.contains("[DONE]"), "{text}");
}

#[test]
fn a_script_is_played_anew_on_each_connection() {
    let server = Misbehaving::script(vec![Behaviour::Status(500), Behaviour::GoodPlain, Behaviour::CloseUnanswered]);
    for _ in 0..2 {
        let mut stream = connect(&server);
        for expected in ["HTTP/1.1 500", "HTTP/1.1 200"] {
            ask(&mut stream, false);
            assert!(rest(&mut stream).0.starts_with(expected));
        }
        ask(&mut stream, false);
        assert_eq!(rest(&mut stream), (String::new(), End::Closed));
    }
    assert_eq!((server.connections(), server.requests()), (2, 6));
}

#[test]
fn health_is_answered_properly_unless_told_otherwise() {
    use llmsim_blast::units::Nanos;
    use llmsim_blast::watch::probe::{Health, health};
    for (behaviour, expected) in [(Behaviour::Stall, Health::Healthy), (Behaviour::NeverHealthy, Health::Unwell(503))] {
        let server = Misbehaving::start(behaviour);
        assert_eq!(health(&[server.addr()], "x", "/health", Nanos::from_secs(10)), expected);
        assert_eq!((server.connections(), server.requests()), (1, 0));
    }
}

#[test]
fn a_stalled_request_is_read_and_ends_with_the_server() {
    let server = Misbehaving::start(Behaviour::Stall);
    let mut stream = connect(&server);
    ask(&mut stream, false);
    while server.requests() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(read_until(&mut stream, |_| true), (String::new(), End::Open));
    drop(server);
    assert_eq!(read_until(&mut stream, |_| false), (String::new(), End::Closed));
}

#[test]
fn the_tool_is_run_and_its_output_caught() {
    // This subcommand fails for a reason that later changes to the command line will not affect.
    let output = support::blast(&["supervise", "--parent", "1", "--", "/bin/true"]);
    assert_ne!(output.code, Some(0), "{output:?}");
    assert!(output.stderr.contains("is gone") && output.stdout.is_empty(), "{output:?}");
}

#[cfg(feature = "embedded")]
mod embedded {
    use super::*;
    use nix::sys::signal::Signal;
    use support::Embedded;

    #[test]
    fn the_simulator_runs_with_a_tests_own_configuration() {
        let server =
            Embedded::start("[response]\ngenerator = \"fixed:on purpose\"\n[latency]\nprofile = \"instant\"\n");
        assert_eq!(server.stats()["total_requests"], 0);
        let mut stream = TcpStream::connect(server.url().trim_start_matches("http://")).unwrap();
        let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hi"}]}"#;
        let head = format!("{POST}{}\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let (text, end) = read_until(&mut stream, |_| false);
        assert!(text.contains("on purpose") && end == End::Closed, "{text}");
        assert_eq!(server.stats()["total_requests"], 1);
    }

    #[test]
    fn a_running_tool_is_waited_for_and_signalled() {
        let running = support::start(&["serve", "--host", "127.0.0.1", "--port", "0"], &[]);
        running.wait_for_stdout("http://127.0.0.1:", SOON);
        running.signal(Signal::SIGKILL);
        let output = running.finish(SOON);
        assert_eq!(output.code, None);
    }

    #[test]
    #[should_panic(expected = "took longer than")]
    fn a_tool_that_hangs_fails_its_test() {
        support::blast_with(&["serve", "--host", "127.0.0.1", "--port", "0"], &[], Duration::from_millis(300));
    }
}
