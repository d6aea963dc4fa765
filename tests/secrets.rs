//! No key is shown: random keys are planted wherever one may stand, a server repeats them in every
//! way that servers have, and every output is searched for them.

mod support;

use base64::Engine as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{Bench, Output, SOON, blast, blast_with};

/// How a server repeats what it was sent.
type Writing = fn(&str) -> String;

fn each(text: &str, encode: impl Fn(u8) -> String) -> String {
    text.bytes().map(encode).collect()
}

/// Writings of a secret.
const WRITINGS: [(&str, Writing); 9] = [
    ("plain", str::to_owned),
    ("percent", |text| each(text, |b| format!("%{b:02X}"))),
    ("JSON", |text| each(text, |b| format!("\\u{b:04x}"))),
    ("JSON in JSON", |text| each(text, |b| format!("\\\\u{b:04x}"))),
    ("HTML", |text| each(text, |b| format!("&#x{b:x};"))),
    ("hex", |text| each(text, |b| format!("\\x{b:02x}"))),
    ("base64", |text| base64::engine::general_purpose::STANDARD.encode(text)),
    ("base64 of more", |text| base64::engine::general_purpose::STANDARD.encode(format!("a{text}b"))),
    ("between commands", |text| format!("x ::error::{text} ##[error]{text}\x1b[31m\u{202e}")),
];

/// A server that answers every POST with what was secret about the request, in a writing of its own
/// each.
struct Parrot {
    url: String,
}

/// The values of a request that may be secret: those of headers, and the query.
fn secrets_of(head: &str) -> Vec<String> {
    let query = head.lines().next().and_then(|line| line.split(['?', ' ']).nth(2)).unwrap_or_default().to_owned();
    let secret = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let is_secret = ["authorization", "x-secret", "cookie"].iter().any(|known| name.eq_ignore_ascii_case(known));
        is_secret.then(|| value.trim().to_owned())
    };
    head.lines().filter_map(secret).chain(std::iter::once(query)).collect()
}

fn request(stream: &mut TcpStream) -> Option<String> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok()).flatten()
            });
            if bytes.len() >= at + 4 + length.unwrap_or(0) {
                return Some(head);
            }
        }
        match stream.read(&mut buffer) {
            Ok(n) if n > 0 => bytes.extend_from_slice(&buffer[..n]),
            _ => return None,
        }
    }
}

/// What comes back: a plain error, one in chunks that cut the secret, one whose secret lies across
/// the border of what is shown, one inside a stream, and bytes that are no HTTP.
fn answer(number: usize, said: &str) -> Vec<u8> {
    let body = format!("{{\"error\":{{\"message\":\"no: {said}\"}}}}");
    let head = "HTTP/1.1 500 No\r\ncontent-type: application/json\r\n";
    match number % 5 {
        0 => format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes(),
        1 => {
            let chunk = |part: &[u8]| format!("{:x}\r\n{}\r\n", part.len(), String::from_utf8_lossy(part));
            let chunks = body.as_bytes().chunks(7).map(chunk).collect::<Vec<_>>().concat();
            format!("{head}transfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n").into_bytes()
        }
        2 => {
            let body = format!("{}{said}", "A".repeat(16_384 - 120));
            format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
        }
        3 => {
            let event = format!("event: error\ndata: {body}\n\n");
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
            format!("{head}content-length: {}\r\n\r\n{event}", event.len()).into_bytes()
        }
        _ => format!("{said} is what you sent\r\n\r\n").into_bytes(),
    }
}

impl Parrot {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            static ASKED: AtomicUsize = AtomicUsize::new(0);
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                std::thread::spawn(move || {
                    while let Some(head) = request(&mut stream) {
                        let number = ASKED.fetch_add(1, Ordering::Relaxed);
                        let (_, writing) = WRITINGS[number / 5 % WRITINGS.len()];
                        let said: Vec<String> = secrets_of(&head).iter().map(|secret| writing(secret)).collect();
                        let is_get = head.starts_with("GET");
                        let bytes = if is_get { health(&said.join(" ")) } else { answer(number, &said.join(" ")) };
                        if stream.write_all(&bytes).is_err() || (!is_get && number % 5 == 4) {
                            return;
                        }
                    }
                });
            }
        });
        Self { url }
    }
}

/// A health check and statistics that repeat everything, too.
fn health(said: &str) -> Vec<u8> {
    let text = said.replace('\\', "\\\\").replace('"', "\\\"").replace(|c: char| c.is_control(), " ");
    let body = format!(
        "{{\"status\":\"ok\",\"service\":\"llmsim\",\"version\":\"{text}\",\"total_requests\":1,\"said\":[\"{text}\"]}}"
    );
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

fn random_key(random: &mut fastrand::Rng) -> String {
    let letters = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789-_.~+/";
    (0..random.usize(16..40)).map(|_| char::from(letters[random.usize(..letters.len())])).collect()
}

/// Panics if so much of a secret is in the text, in whatever writing, that it can be made whole.
fn search(text: &str, secrets: &[String], place: &str) {
    for secret in secrets {
        for (how, writing) in WRITINGS {
            let written = if how == "between commands" { secret.clone() } else { writing(secret) };
            // The edges of base64 depend on what stands beside it.
            let inner = if how.starts_with("base64") { &written[4..written.len() - 4] } else { &written };
            // Eight characters of it, each of which an escape may stand for.
            let length = inner.len().min(12.max(8 * (inner.len() / secret.len())));
            for part in inner.as_bytes().windows(length) {
                let part = std::str::from_utf8(part).expect("ASCII");
                assert!(!text.contains(part), "{place}: {part} of {secret} ({how}) in\n{text}");
            }
        }
    }
    let commanded = text.lines().find(|line| {
        let line = line.trim_start();
        (line.starts_with("::") && !line.starts_with("::error title=")) || line.contains("##[")
    });
    assert_eq!(commanded, None, "{place}");
    let obeyed = |c: char| (c.is_control() && c != '\n' && c != '\t') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!text.contains(obeyed), "{place}: {text:?}");
}

#[test]
fn no_planted_key_is_in_any_output() {
    let parrot = Parrot::start();
    let mut random = fastrand::Rng::with_seed(0x5eed);
    let mut searched = 0;
    let mut look = |text: &str, secrets: &[String], place: &str| {
        search(text, secrets, place);
        searched += 1;
    };
    for round in 0..8 {
        let bench = Bench::new();
        let [key, header, cookie, query] = [(); 4].map(|()| random_key(&mut random));
        let encoded: String = query
            .bytes()
            .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect();
        let secrets = [key.clone(), header.clone(), cookie.clone(), query, encoded.clone()];
        let profile = bench.write(
            "p.toml",
            &format!(
                "executor = \"shared-iterations\"\nvus = 3\niterations = 60\n[[requests]]\nname = \"chat\"\napi = \"openai-chat\"\n\
                 stream = {}\npath = \"/v1/chat?api_key={encoded}\"\nheaders = {{ Cookie = \"id={cookie}\" }}\n[thresholds]\nhttp_req_failed = [\"rate<0.01\"]\n",
                round % 2 == 0
            ),
        );
        let [file, xml, summary, page] = ["r.json", "r.xml", "s.md", "r.html"].map(|name| bench.path(name));
        let secret_header = format!("X-Secret: {header}");
        let url = parrot.url.as_str();
        let base = [profile.as_str(), "--no-server", "--target-url", url, "--header", &secret_header];
        let page_flags = ["--html", &page];
        let more = ["--output", &file, "--junit", &xml, "--github", "auto", "--debug-response", "9", "--tag", "x=::y"];
        let env =
            [("LLMSIM_BLAST_API_KEY", key.as_str()), ("GITHUB_STEP_SUMMARY", &summary), ("GITHUB_ACTIONS", "true")];
        let output = blast_with(&[&base[..], &more, &page_flags].concat(), &env, SOON);
        assert_eq!(output.code, Some(107), "{output:?}");
        let mut both = |output: &Output, place: &str| {
            look(&output.stdout, &secrets, &format!("{place}, output"));
            look(&output.stderr, &secrets, &format!("{place}, errors"));
        };
        both(&output, "a run");
        for (how, args) in [
            ("report", &["report", &file][..]),
            ("csv", &["report", &file, "--csv"]),
            ("hgrm", &["report", &file, "--hgrm"]),
            ("vllm", &["report", &file, "--compat", "vllm"]),
            ("compare", &["compare", &file, &file]),
        ] {
            both(&blast(args), how);
        }
        for shown in ["--dump-request", "--show-config"] {
            both(&blast_with(&[&base[..], &[shown]].concat(), &env, SOON), shown);
        }
        let refused = blast_with(&[&base[..], &["--vus", "x"]].concat(), &env, SOON);
        both(&refused, "refused");
        for path in [&file, &xml, &summary, &page] {
            look(&std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}")), &secrets, path);
        }
    }
    assert_eq!(searched, 8 * (2 + 10 + 4 + 2 + 4));
}
