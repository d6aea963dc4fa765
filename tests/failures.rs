//! The closed list of failures: every class is provoked over a real socket with the real binary,
//! and reported with an example.

mod support;

use llmsim_blast::engine;
use llmsim_blast::metrics::{Failure, Summary};
use llmsim_blast::plan::{Overrides, resolve};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use support::{
    Behaviour, Bench, Lab, Misbehaving, Output, SOON, Secure, blast, blast_with, document, no_data, start_after,
    two_requests,
};

/// Sends two requests to a server with this behaviour, and returns the result and the output.
fn against(behaviour: Behaviour, stream: bool, more: &str, args: &[&str]) -> (Value, Output) {
    against_through(false, behaviour, stream, more, args)
}

/// The same in plain text or through TLS.
fn against_through(tls: bool, behaviour: Behaviour, stream: bool, more: &str, args: &[&str]) -> (Value, Output) {
    let (bench, server, lab) = (Bench::new(), Misbehaving::start(behaviour), Lab::new());
    let (profile, result) = (bench.write("two.toml", &two_requests(stream, more)), bench.path("r.json"));
    let secure = tls.then(|| lab.secure(server.addr(), lab.front()));
    let ca = bench.write("ca.pem", &lab.ca_pem);
    let url = secure.as_ref().map_or_else(|| server.url(), Secure::url);
    let mut all = vec![profile.as_str(), "--target-url", url.as_str(), "--output", &result];
    all.extend(args);
    if tls {
        all.extend(["--cacert", &ca]);
    }
    let output = blast_with(&all, &[], SOON);
    assert!(!output.stderr.contains("panicked"), "{behaviour:?}: {output:?}");
    (document(&result), output)
}

/// Checks that both of two requests fail in this class, and that the run reports it.
fn counted(behaviour: Behaviour, stream: bool, more: &str, args: &[&str], class: &str) {
    for tls in [false, true] {
        counted_through(tls, behaviour, stream, more, args, class);
    }
}

/// The same in plain text or through TLS, with the same outcome.
fn counted_through(tls: bool, behaviour: Behaviour, stream: bool, more: &str, args: &[&str], class: &str) {
    let (result, output) = against_through(tls, behaviour, stream, more, args);
    let mut failures = result["failures"].as_object().unwrap().clone();
    failures.retain(|name, _| !["statuses", "checks", "details"].contains(&name.as_str()));
    assert_eq!(Value::Object(failures), json!({ class: 2 }), "{behaviour:?} stream={stream}: {output:?}");
    assert_eq!(result["metrics"]["http_req_failed"], json!({ "type": "rate", "rate": 1.0, "matches": 2, "total": 2 }));
    assert_eq!(result["requests"]["chat"]["http_req_failed"]["matches"], 2);
    // A bad response has a duration, too. It is recorded apart from requests without a complete
    // response.
    let without_answer = ["closed_early", "reset"].contains(&class) || class.starts_with("timeout");
    let (here, elsewhere) = if without_answer { ("aborted", "failed") } else { ("failed", "aborted") };
    let trend = |name: &str| result["metrics"].get(format!("http_req_duration_{name}")).cloned();
    assert_eq!(trend(here).unwrap()["count"], 2, "{behaviour:?} stream={stream}");
    assert_eq!(trend(elsewhere), None, "{behaviour:?} stream={stream}");
    assert!(result["metrics"]["http_req_duration"]["count"].as_u64().is_none_or(|n| n == 0), "{result}");
    no_data(&output, &["NO DATA", "no request succeeded", class]);
}

// ---- every class ------------------------------------------------------------------------------

/// The way in which a class is provoked.
enum Case {
    /// By a server with this behaviour, for a stream or not, with these lines in the profile. The
    /// example then contains the last text.
    Server(Behaviour, bool, &'static str, &'static str),
    /// In another way. The function returns the count and the example.
    Special(fn() -> (u64, String)),
    /// The command ends before the test.
    Before(fn()),
    /// A peer cannot provoke it.
    Not(&'static str),
}

/// The compiler checks that every class is covered.
fn case(class: Failure) -> Case {
    use Behaviour as B;
    // A late server must not end in another class, so the other timeouts are long.
    let first = "timeout = { first_byte = \"200ms\" }";
    let stall = "timeout = { first_byte = \"20s\", stall = \"200ms\" }";
    let total = "timeout = { first_byte = \"20s\", stall = \"20s\", total = \"3s\" }";
    match class {
        Failure::Resolve => Case::Before(unknown_name),
        Failure::ConnectRefused => Case::Special(refused),
        Failure::ConnectTimeout => Case::Special(not_accepted),
        Failure::ConnectOther => Case::Special(unreachable),
        Failure::Tls => Case::Not("it needs a peer that speaks TLS: see https.rs, where it is provoked in every way"),
        Failure::Reset => Case::Server(B::Reset, false, "", "no response, Connection reset by peer"),
        Failure::ClosedEarly => Case::Server(B::HalfChunk, true, "", "HTTP 200, the connection was closed before"),
        Failure::TimeoutFirstByte => Case::Server(B::Stall, false, first, "no response"),
        Failure::TimeoutStall => Case::Server(B::StallMidStream, true, stall, "bytes, 2 tokens"),
        Failure::TimeoutTotal => Case::Server(B::StallMidStream, true, total, "bytes, 2 tokens"),
        Failure::Http3xx => Case::Server(B::Redirect, false, "", "HTTP 302: elsewhere"),
        Failure::Http4xx => Case::Server(B::Status(404), true, "", "HTTP 404: {\"error\":{\"message\":\"on purpose\""),
        Failure::Http429 => Case::Server(B::Raw(LIMITED), true, "", "HTTP 429, retry-after 17: slow down"),
        Failure::Http5xx => Case::Server(B::Status(503), false, "", "HTTP 503: {\"error\""),
        Failure::BadHttp => Case::Server(B::Garbage, false, "", "missing HTTP/1.x status line: \\0\\u{16}"),
        Failure::BadChunk => Case::Server(B::BadChunk, true, "", "broken chunked body"),
        Failure::BadWebsocket => Case::Special(no_websocket),
        Failure::BadSse => Case::Server(B::BadJson, true, "", "HTTP 200: {\"choices\": ["),
        Failure::BadJson => Case::Server(B::BadJson, false, "", "HTTP 200: {\"choices\": ["),
        Failure::BadContentType => {
            Case::Server(B::WrongContentType, true, "", "HTTP 200: content-type: text/html | <h1>It works!</h1>")
        }
        Failure::BadEncoding => Case::Server(B::Gzip, false, "", "HTTP 200: content-encoding: gzip | \\u{1f}\\x8b"),
        Failure::TooLarge => Case::Server(B::HugeHead, false, "", "no status, too large: response head"),
        Failure::StreamError => Case::Server(B::ErrorEventIn200, true, "", "HTTP 200: {\"error\":{\"message\""),
        Failure::Truncated => Case::Server(B::TruncatedStream, true, "", "bytes, 2 tokens"),
        Failure::Empty => Case::Server(B::EmptyStream, true, "", "bytes, 0 tokens"),
        Failure::Check => Case::Server(B::Raw(NO_CHOICES), false, "", "HTTP 200, check failed: has choices: {}"),
        Failure::NoFd => Case::Special(no_descriptors),
        Failure::NoPort => Case::Special(no_ports),
        Failure::Internal => Case::Not("it would be a defect; the engine's own tests hold what is made of one"),
    }
}

const LIMITED: &[u8] = b"HTTP/1.1 429 Slow\r\nretry-after: 17\r\ncontent-length: 9\r\n\r\nslow down";
const NO_CHOICES: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

/// A server that answers a handshake with 200 and does not switch protocols.
fn no_websocket() -> (u64, String) {
    let (bench, listener) = (Bench::new(), TcpListener::bind("127.0.0.1:0").unwrap());
    let url = format!("http://{}", listener.local_addr().unwrap());
    // The thread ends with the test program.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(NO_CHOICES));
        }
    });
    let profile =
        "executor = \"per-vu-iterations\"\n[[requests]]\nname = \"ws\"\napi = \"openai-responses\"\nwebsocket = true\n";
    let (profile, result) = (bench.write("ws.toml", profile), bench.path("r.json"));
    blast(&[&profile, "--target-url", &url, "--no-server", "--output", &result]);
    let failures = &document(&result)["failures"];
    let sample = failures["details"]["bad_websocket"]["sample"].as_str().unwrap_or_default();
    (failures["bad_websocket"].as_u64().unwrap_or(0), sample.to_owned())
}

#[test]
fn every_class_is_provoked_and_shown() {
    let mut not = Vec::new();
    for class in Failure::ALL {
        let name = class.name();
        match case(class) {
            Case::Server(behaviour, stream, more, expected) => {
                let (result, output) = against(behaviour, stream, more, &[]);
                let details = &result["failures"]["details"][name];
                assert_eq!(result["failures"][name], 2, "{name}: {output:?}");
                assert_eq!(details["share"], 1.0, "{name}: {details}");
                assert!(
                    details["first_s"].as_f64().unwrap() <= details["last_s"].as_f64().unwrap(),
                    "{name}: {details}"
                );
                let sample = details["sample"].as_str().unwrap_or_default();
                assert!(sample.contains(expected), "{name}: no `{expected}` in `{sample}`");
                let start: String = sample.chars().take(20).collect();
                assert!(output.stdout.contains(&format!("      {start}")), "{name}: {output:?}");
            }
            Case::Special(provoke) => {
                let (count, sample) = provoke();
                assert!(count > 0 && !sample.is_empty(), "{name}: {count} `{sample}`");
            }
            Case::Before(provoke) => provoke(),
            Case::Not(why) => not.push((name, why)),
        }
    }
    assert_eq!(not.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["tls", "internal"], "{not:?}");
}

/// Returns the count of a class in a result, and its example.
fn seen(result: &Value, class: &str) -> (u64, String) {
    let sample = result["failures"]["details"][class]["sample"].as_str().unwrap_or_default();
    (result["failures"][class].as_u64().unwrap_or_default(), sample.to_owned())
}

fn unknown_name() {
    // RFC 6761, section 6.4: names below .invalid never exist.
    no_data(&blast(&["quick-smoke", "--target-url", "http://llmsim.invalid:8080"]), &["cannot be resolved"]);
}

/// Runs against a listener that answers the health check, and calls `before` before the answer.
fn after_the_question(listener: TcpListener, more: &str, before: impl FnOnce(TcpListener) + Send + 'static) -> Value {
    let (bench, url) = (Bench::new(), format!("http://{}", listener.local_addr().unwrap()));
    let answer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        before(listener);
        // 503, so that the tool does not ask anything else.
        let _ = stream.write_all(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n");
    });
    let (profile, result) = (bench.write("two.toml", &two_requests(false, more)), bench.path("r.json"));
    no_data(&blast(&[&profile, "--no-server", "--no-probe", "--target-url", &url, "--output", &result]), &[]);
    answer.join().unwrap();
    document(&result)
}

fn refused() -> (u64, String) {
    let result = after_the_question(TcpListener::bind("127.0.0.1:0").unwrap(), "", drop);
    seen(&result, "connect_refused")
}

fn not_accepted() -> (u64, String) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let (listener, (full, fills)) = (TcpListener::from(socket), std::sync::mpsc::channel());
    let result = after_the_question(listener, "timeout = { connect = \"200ms\" }", move |listener| {
        // No more connections are accepted and the queue is full, so the kernel drops connection
        // attempts.
        let addr = listener.local_addr().unwrap();
        let waiting: Vec<_> = (0..3).map(|_| TcpStream::connect_timeout(&addr, Duration::from_millis(100))).collect();
        full.send((listener, waiting)).unwrap();
    });
    drop(fills);
    seen(&result, "connect_timeout")
}

/// Runs the engine directly with an address that the kernel refuses at once. A target with that
/// address could not pass the health check.
fn unreachable() -> (u64, String) {
    let text = two_requests(false, "");
    let resolved = resolve("two.toml", &Overrides::default(), &mut |_: &std::path::Path| Ok(text.clone())).unwrap();
    let mut plan = resolved.plan;
    plan.target.addrs = vec![([255, 255, 255, 255], 9).into()];
    let run = engine::run(&plan, &[], &AtomicBool::new(false), &mut |_| {}).unwrap().sound().unwrap();
    let summary = Summary::new(&run.total, &["chat".to_owned()], run.window);
    let found: BTreeMap<_, _> = summary.failures.into_iter().collect();
    let other = &found[&Failure::ConnectOther];
    (other.count, other.example.as_ref().unwrap().text.clone())
}

/// A shell opens most of the descriptors that it may have, and leaves the rest to the tool.
fn no_descriptors() -> (u64, String) {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 3 }));
    let profile = bench.write("many.toml", &two_requests(false, "vus = 40"));
    let result = bench.path("r.json");
    let hoard = "ulimit -n 120 && exec bash -c 'for i in {1..90}; do exec {fd}</dev/null; done; exec \"$0\" \"$@\"' \"$0\" \"$@\"; :";
    // A single worker begins all its connections before it reads a response. With two workers, one
    // may finish before the other begins.
    let args = [&profile, "--target-url", &server.url(), "--workers", "1", "--output", &result];
    let output = start_after(hoard, &args).finish(SOON);
    assert!(output.stdout.contains("no_fd"), "{output:?}");
    seen(&document(&result), "no_fd")
}

/// Runs in a network namespace with twelve ports that reports the usual range, because a known lack
/// of ports is refused before the start. Skipped if the process may not create a namespace.
fn no_ports() -> (u64, String) {
    let may = std::process::Command::new("unshare").args(["-Urnm", "ip", "link", "set", "lo", "up"]).output();
    if !cfg!(feature = "embedded") || !may.is_ok_and(|tried| tried.status.success()) {
        return (1, "not tried: this machine gives no network of its own".to_owned());
    }
    let bench = Bench::new();
    let profile = bench.write("many.toml", &two_requests(true, "vus = 40"));
    let result = bench.path("r.json");
    let said = bench.write("range", "32768 60999\n");
    let own = format!(
        "exec unshare -Urnm /bin/sh -c 'range=/proc/sys/net/ipv4/ip_local_port_range && ip link set lo up \
         && echo 50000 50011 >$range && mount --bind {said} $range && exec \"$0\" \"$@\"' \"$0\" \"$@\"; :"
    );
    let output = start_after(&own, &[&profile, "--workers", "1", "--output", &result]).finish(SOON);
    assert!(output.stdout.contains("no_port"), "{output:?}");
    seen(&document(&result), "no_port")
}

// ---- the count of each class ------------------------------------------------------------------

#[test]
fn every_misbehaviour_is_counted_in_its_class() {
    for (behaviour, streams, class) in [
        (Behaviour::Garbage, &[false, true][..], "bad_http"),
        (Behaviour::CloseUnanswered, &[false, true], "closed_early"),
        (Behaviour::CloseEarly, &[false], "closed_early"),
        (Behaviour::HalfChunk, &[true], "closed_early"),
        (Behaviour::Reset, &[false, true], "reset"),
        (Behaviour::BadChunk, &[true], "bad_chunk"),
        (Behaviour::HugeHead, &[false, true], "too_large"),
        (Behaviour::Gzip, &[false, true], "bad_encoding"),
        (Behaviour::Status(429), &[false, true], "http_429"),
        (Behaviour::Status(404), &[false, true], "http_4xx"),
        (Behaviour::Status(500), &[false, true], "http_5xx"),
        (Behaviour::Status(503), &[false, true], "http_5xx"),
        (Behaviour::Redirect, &[false, true], "http_3xx"),
        (Behaviour::WrongContentType, &[false, true], "bad_content_type"),
        (Behaviour::GoodPlain, &[true], "bad_content_type"),
        (Behaviour::GoodStream { tokens: 3 }, &[false], "bad_content_type"),
        (Behaviour::BadJson, &[false], "bad_json"),
        (Behaviour::BadJson, &[true], "bad_sse"),
        (Behaviour::ErrorEventIn200, &[true], "stream_error"),
        (Behaviour::TruncatedStream, &[true], "truncated"),
        (Behaviour::EmptyStream, &[true], "empty"),
    ] {
        for &stream in streams {
            counted(behaviour, stream, "", &[], class);
        }
    }
}

#[test]
fn silence_ends_with_its_timeout() {
    for (behaviour, stream, more, args, class) in [
        (Behaviour::Stall, false, "", &["--timeout", "200ms"][..], "timeout_first_byte"),
        (Behaviour::Stall, true, "timeout = { first_byte = \"200ms\" }", &[], "timeout_first_byte"),
        (Behaviour::StallMidStream, true, "", &["--timeout", "200ms"], "timeout_total"),
        (Behaviour::StallMidStream, true, "timeout = { stall = \"200ms\" }", &[], "timeout_stall"),
    ] {
        counted(behaviour, stream, more, args, class);
        let (result, _) = against(behaviour, stream, more, args);
        // Each is recorded with its duration, which is never shorter than the limit.
        let took = &result["metrics"]["http_req_duration_aborted"];
        assert!(took["min"].as_f64().unwrap() >= 200.0, "{took}");
        assert_eq!(result["metrics"]["timeouts"]["count"], 2);
    }
}

#[test]
fn what_is_odd_but_allowed_is_no_failure() {
    for (behaviour, streams) in
        [(Behaviour::OneByteAtATime, &[false, true]), (Behaviour::CloseAfterEach, &[false, true])]
    {
        for &stream in streams {
            let (result, output) = against(behaviour, stream, "", &[]);
            assert_eq!(output.code, Some(0), "{behaviour:?} stream={stream}: {output:?}");
            assert_eq!(result["metrics"]["http_req_failed"]["total"], 2);
            assert_eq!(result["failures"], json!({ "checks": {}, "statuses": { "200": 2 } }));
            assert_eq!(result["metrics"]["tokens_output"]["count"], 6);
            if stream {
                assert_eq!(result["metrics"]["token_events"]["count"], 6);
            }
        }
    }
}
