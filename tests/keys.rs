//! Keys that change while a test runs, from a file and from a command.

mod support;

use nix::sys::signal::Signal;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};
use support::{Bench, Output, Request, SOON, blast, document};

const FIRST: &str = "k-Aq7Zx2Lw9b4Rk3Nd";
const SECOND: &str = "k-Bm5Tz9Hm4PcV8yGs";
const COMPLETION: &str = r#"{"object":"chat.completion","choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;

/// A server that accepts the first key until it has seen the second. From then on it accepts only
/// the second.
struct Guard {
    addr: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    first: u32,
    second: u32,
    refused: u32,
    /// Requests for the server's metrics with the second key.
    metrics: u32,
}

impl Guard {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let seen = Arc::clone(&shared);
                std::thread::spawn(move || {
                    let mut buffer = Vec::new();
                    while let Ok(Some(request)) = Request::read(&stream, &mut buffer) {
                        let status = if seen.lock().unwrap().accepts(&request) { "200 OK" } else { "401 No" };
                        // This server repeats the key in its error.
                        let key = if status.starts_with("401") { request.text.as_str() } else { "" };
                        let key: String = key.lines().filter(|line| line.contains("Bearer")).collect();
                        let body = match request.post {
                            false => "vllm:num_requests_running 1.0\n".to_owned(),
                            true if key.is_empty() => COMPLETION.to_owned(),
                            true => format!("{{\"error\":\"{key}\"}}"),
                        };
                        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n");
                        let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { addr, seen }
    }

    fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    fn eventually(&self, what: &str, holds: impl Fn(&Seen) -> bool) {
        support::eventually(what, || holds(&self.seen.lock().unwrap()));
    }
}

impl Seen {
    fn accepts(&mut self, request: &Request) -> bool {
        let has = |key: &str| request.text.contains(&format!("Authorization: Bearer {key}\r\n"));
        if !request.post {
            self.metrics += u32::from(has(SECOND));
            return true;
        }
        let count = match (has(FIRST), has(SECOND)) {
            (true, _) if self.second == 0 => &mut self.first,
            (_, true) => &mut self.second,
            _ => &mut self.refused,
        };
        *count += 1;
        !(has(FIRST) && self.second > 0) && (has(FIRST) || has(SECOND))
    }
}

/// Replaces a file by renaming another, as schedulers and secret stores do.
fn replace(bench: &Bench, name: &str, text: &str) {
    let new = bench.write("new", text);
    std::fs::rename(new, bench.path(name)).expect("renamed");
}

/// Writes a profile with a load of two VUs that runs until it is stopped.
fn profile(bench: &Bench) -> String {
    let text = "executor = \"constant-vus\"\nvus = 2\nduration = \"5m\"\nthink_time = \"5ms\"\n[[requests]]\n\
                name = \"chat\"\napi = \"openai-chat\"\nstream = false\n";
    bench.write("p.toml", text)
}

fn hides_both(text: &str, place: &str) {
    for key in [FIRST, SECOND] {
        assert!(!text.contains(&key[2..10]) && !text.contains(&key[8..]), "{place}: {text}");
    }
}

/// Runs until the guard has seen enough of both keys. The key is in the file `key`, and `flags` say
/// how it is read.
fn run(flags: &[&str]) -> (Output, serde_json::Value, Seen) {
    let (guard, bench) = (Guard::start(), Bench::new());
    bench.write("key", FIRST);
    let key = bench.path("key");
    let flags: Vec<String> = flags.iter().map(|flag| flag.replace("{key}", &key)).collect();
    let (url, metrics, result) = (guard.url(), format!("{}/metrics", guard.url()), bench.path("r.json"));
    let profile = profile(&bench);
    let mut args = vec![profile.as_str(), "--target-url", &url, "--no-probe", "--output", &result];
    args.extend(["--server-metrics", &metrics]);
    args.extend(flags.iter().map(String::as_str));
    let running = support::start(&args, &[]);
    guard.eventually("requests with the first key", |seen| seen.first > 20);
    replace(&bench, "key", SECOND);
    guard.eventually("requests with the second key", |seen| seen.second > 20 && seen.metrics > 1);
    running.wait_for_stderr("the API key has changed", SOON);
    running.signal(Signal::SIGINT);
    let output = running.finish(SOON);
    hides_both(&output.stdout, "output");
    hides_both(&output.stderr, "errors");
    let text = std::fs::read_to_string(&result).expect("a result");
    hides_both(&text, "result");
    let seen = std::mem::take(&mut *guard.seen.lock().unwrap());
    (output, document(&result), seen)
}

#[test]
fn a_key_that_changes_is_sent_from_the_next_requests_on() {
    for flags in [
        &["--api-key-file", "{key}"][..],
        &["--api-key-command", "echo asked >&2; cat '{key}'", "--api-key-refresh", "1s"],
    ] {
        let (output, result, seen) = run(flags);
        // Workers pick up a key one after the other, and each VU has at most one request in flight.
        assert!(seen.refused <= 2, "{} of {} refused", seen.refused, seen.first + seen.second);
        assert_eq!(result["failures"]["statuses"]["401"].as_u64().unwrap_or(0), u64::from(seen.refused));
        assert!(output.stderr.contains(&format!("{}: the API key has changed", flags[0])), "{output:?}");
        assert_eq!(result["hints"].as_array().map(Vec::len), Some(0), "{}", result["hints"]);
        assert!(!output.stderr.contains("asked"), "a command that works has nothing to say: {output:?}");
        assert!(!result["run"]["argv"].to_string().contains("cat '"), "{}", result["run"]["argv"]);
    }
}

#[test]
fn a_key_that_cannot_be_read_again_leaves_the_one_before() {
    let (guard, bench) = (Guard::start(), Bench::new());
    let key = bench.write("key", FIRST);
    let (url, result, profile) = (guard.url(), bench.path("r.json"), profile(&bench));
    let command = format!("cat '{key}' || {{ echo 'no key {SECOND}' >&2; exit 3; }}");
    for flags in [
        &["--api-key-file", &key][..],
        &["--api-key-command", &command, "--api-key-refresh", "1s", "--header", &format!("X-Other: {SECOND}")],
    ] {
        bench.write("key", FIRST);
        let args = [profile.as_str(), "--target-url", &url, "--no-probe", "--output", &result];
        let running = support::start(&[&args[..], flags].concat(), &[]);
        running.wait_for_stderr("req/s", SOON);
        std::fs::remove_file(&key).expect("removed");
        running.wait_for_stderr("the previous key stays in use", SOON);
        running.signal(Signal::SIGINT);
        let output = running.finish(SOON);
        assert!(output.stderr.contains(&format!("warning: {} ", flags[0])), "{output:?}");
        hides_both(&output.stderr, "errors");
        let document = document(&result);
        let hint = document["hints"][0].to_string();
        assert!(hint.contains("the API key could not be read again"), "{hint}");
        hides_both(&document.to_string(), "result");
        assert_eq!(document["metrics"]["http_req_failed"]["matches"], 0);
    }
}

#[test]
fn a_command_without_a_key_ends_the_run_before_anything_is_sent() {
    let (guard, bench) = (Guard::start(), Bench::new());
    let (url, profile, other) = (guard.url(), profile(&bench), bench.write("other", "k"));
    let header = format!("X-Key: {SECOND}");
    let run = |flags: &[&str]| {
        blast(&[&[profile.as_str(), "--target-url", &url, "--no-probe", "--header", &header][..], flags].concat())
    };
    for (command, expected) in [
        (format!("echo {FIRST}; echo 'sorry, {SECOND}' >&2; exit 3"), "it ended: exit status 3; its last lines"),
        ("exit 0".to_owned(), "it does not hold an API key: expected one line"),
        (format!("echo {FIRST}; echo more"), "it does not hold an API key: expected one line"),
        ("kill -9 $$".to_owned(), "it ended: killed by SIGKILL; it printed nothing"),
        ("no-such-program-at-all".to_owned(), "exit status 127"),
        ("head -c 20000 /dev/zero".to_owned(), "it prints more than 8192 bytes"),
    ] {
        let output = run(&["--api-key-command", &command]);
        assert_eq!(output.code, Some(104), "{command}: {output:?}");
        assert!(output.stderr.contains("--api-key-command: ") && output.stderr.contains(expected), "{output:?}");
        hides_both(&output.stderr, "errors");
    }
    for (flags, code, expected) in [
        (&["--api-key-refresh", "50m"][..], 104, "--api-key-refresh needs a command"),
        (&["--api-key-command", "true", "--api-key-refresh", "1ms"], 2, "at least 1s"),
        (&["--api-key-command", "true", "--api-key-file", &other], 104, "cannot be used together with --api-key-file"),
        (&["--api-key-command", " "], 104, "expected a command that prints the key"),
        (&["--api-key-command", "echo k", "--auth", "basic"], 104, "does not hold USER:PASSWORD"),
    ] {
        let output = run(flags);
        assert_eq!(output.code, Some(code), "{flags:?}: {output:?}");
        assert!(output.stderr.contains(expected), "{flags:?}: {output:?}");
    }
    let seen = guard.seen.lock().unwrap();
    assert_eq!((seen.first, seen.second, seen.refused), (0, 0, 0));
}

#[test]
fn a_command_is_not_run_for_what_sends_nothing() {
    let bench = Bench::new();
    let (profile, ran) = (profile(&bench), bench.path("ran"));
    let command = format!("touch '{ran}'; echo {FIRST}");
    for shown in ["--show-config", "--dump-request"] {
        let output = blast(&[profile.as_str(), "--api-key-command", &command, "--api-key-refresh", "50m", shown]);
        assert_eq!(output.code, Some(0), "{output:?}");
        assert!(output.stdout.contains("[hidden]") && !output.stdout.contains("touch"), "{output:?}");
        assert!(!Path::new(&ran).exists(), "{shown} has run it");
    }
}
