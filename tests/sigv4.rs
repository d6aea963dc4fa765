//! Requests signed as AWS expects. The server in this test verifies each request independently,
//! from the received bytes.

mod support;

use hmac::{Hmac, KeyInit as _, Mac as _};
use nix::sys::signal::Signal;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use support::{Bench, Output, Request, SOON, blast_with, count, document};

const AUTH: &str = "sigv4:bedrock:eu-west-1";
/// ID, secret and token of the two keys that the server knows.
const FIRST: (&str, &str, &str) = ("AKIDFIRST", "q8Vx2Lw/b7Rk3Nd5Tz9+Hm4Pc", "");
const SECOND: (&str, &str, &str) = ("ASIASECOND", "Zt6Yb1Uj/r0Fe8Ko2Sv+Xd7Ma", "FwoGZXIvYXdzEJr//wEaDOther/token+of==");

/// The requests that the server has seen.
#[derive(Default)]
struct Seen {
    /// Requests with a valid signature, by the ID of the key and the path without its query.
    right: BTreeMap<(String, String), u32>,
    /// The problems of all other requests.
    wrong: Vec<String>,
    /// Dates of the requests with the same body.
    dates: BTreeMap<String, Vec<String>>,
}

impl Seen {
    fn of(&self, id: &str) -> u32 {
        self.right.iter().filter(|((of, _), _)| of == id).map(|(_, n)| n).sum()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = <Hmac<Sha256>>::new_from_slice(key).expect("any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Encodes all but `A-Z a-z 0-9 - . _ ~`.
fn encoded(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Verifies a request as AWS documents it for servers. Returns the key's ID and the date.
fn verify(request: &str) -> Result<(String, String), String> {
    let (head, body) = request.split_once("\r\n\r\n").ok_or("no head")?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let name = name.to_ascii_lowercase();
        if fields.insert(name.clone(), value.split_whitespace().collect::<Vec<_>>().join(" ")).is_some() {
            return Err(format!("{name} came twice"));
        }
    }
    let field = |name: &str| fields.get(name).cloned().ok_or(format!("{name} is missing"));
    let authorization = field("authorization")?;
    let rest = authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or("another algorithm")?;
    let part = |name: &str| -> Result<String, String> {
        let part = rest.split(", ").find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        part.map(str::to_owned).ok_or(format!("{name} is missing in {rest}"))
    };
    let (credential, names, signature) = (part("Credential")?, part("SignedHeaders")?, part("Signature")?);
    let scope: Vec<&str> = credential.split('/').collect();
    let [id, day, "eu-west-1", "bedrock", "aws4_request"] = scope[..] else { return Err(credential.clone()) };
    let (_, secret, token) = [FIRST, SECOND].into_iter().find(|(known, ..)| *known == id).ok_or("an unknown key")?;
    if fields.get("x-amz-security-token").map_or("", String::as_str) != token {
        return Err("another token".to_owned());
    }
    let date = field("x-amz-date")?;
    let instant: jiff::Timestamp =
        format!("{}-{}-{}T{}:{}:{}Z", &date[..4], &date[4..6], &date[6..8], &date[9..11], &date[11..13], &date[13..15])
            .parse()
            .map_err(|_| date.clone())?;
    if instant.duration_until(jiff::Timestamp::now()).as_secs().abs() > 300 || !date.starts_with(day) {
        return Err(format!("the date {date} of the key {day}"));
    }
    let payload = hex(&Sha256::digest(body.as_bytes()));
    if field("x-amz-content-sha256")? != payload {
        return Err("another body".to_owned());
    }
    let listed: Vec<&str> = names.split(';').collect();
    let must = |name: &&String| name.starts_with("x-amz-") || matches!(name.as_str(), "host" | "content-type");
    if let Some(name) = fields.keys().filter(must).find(|name| !listed.contains(&name.as_str())) {
        return Err(format!("{name} is not signed"));
    }
    let line = |name: &&str| field(name).map(|value| format!("{name}:{value}\n"));
    let signed = listed.iter().map(line).collect::<Result<Vec<_>, _>>()?.concat();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path: Vec<String> = path.split('/').map(encoded).collect();
    let mut query: Vec<&str> = query.split('&').collect();
    query.sort_unstable();
    let canonical = format!("{method}\n{}\n{}\n{signed}\n{names}\n{payload}", path.join("/"), query.join("&"));
    let key = [day, "eu-west-1", "bedrock", "aws4_request"];
    let key = key.into_iter().fold(format!("AWS4{secret}").into_bytes(), |key, part| mac(&key, part));
    let scope = format!("{day}/eu-west-1/bedrock/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let expected = hex(&mac(&key, &text));
    if expected == signature { Ok((id.to_owned(), date)) } else { Err(format!("another signature of {canonical}")) }
}

/// A server with vLLM's responses. It refuses unsigned requests, except for `/health`.
struct Aws {
    addr: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

const COMPLETION: &str = r#"{"object":"chat.completion","choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
const STREAM: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: {\"choices\":[],\"usage\":\
                      {\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2}}\n\ndata: [DONE]\n\n";

impl Aws {
    /// Starts a server. It answers the first `unwell` correctly signed POSTs with 503.
    fn start(unwell: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (seen, unwell) = (Arc::new(Mutex::new(Seen::default())), Arc::new(Mutex::new(unwell)));
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (seen, unwell) = (Arc::clone(&shared), Arc::clone(&unwell));
                std::thread::spawn(move || {
                    let mut buffer = Vec::new();
                    while let Ok(Some(request)) = Request::read(&stream, &mut buffer) {
                        let refuses = {
                            let mut unwell = unwell.lock().unwrap();
                            let refuses = request.post && *unwell > 0;
                            *unwell -= usize::from(refuses);
                            refuses
                        };
                        let answer = answer(&request, &mut seen.lock().unwrap(), refuses);
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
}

fn answer(request: &Request, seen: &mut Seen, refuses: bool) -> String {
    let plain = |status: &str, body: &str| {
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n");
        format!("{head}content-length: {}\r\n\r\n{body}", body.len())
    };
    let path = request.path.split('?').next().unwrap_or_default();
    if path == "/health" {
        return plain("200 OK", "");
    }
    match verify(&request.text) {
        Err(problem) => {
            seen.wrong.push(format!("{}: {problem}", request.path));
            // This server repeats the request in its error.
            return plain("403 No", &json!({ "message": request.text }).to_string());
        }
        Ok((id, date)) => {
            *seen.right.entry((id, path.to_owned())).or_default() += 1;
            if request.post {
                let body = request.text.split_once("\r\n\r\n").unwrap_or_default().1.to_owned();
                seen.dates.entry(body).or_default().push(date);
            }
        }
    }
    match path {
        _ if refuses => {
            "HTTP/1.1 503 No\r\nretry-after-ms: 1100\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
                .to_owned()
        }
        "/v1/models" | "/openai/v1/models" => {
            plain("200 OK", r#"{"object":"list","data":[{"id":"tiny","owned_by":"vllm"}]}"#)
        }
        "/version" => plain("200 OK", r#"{"version":"0.32.0"}"#),
        "/metrics" => plain("200 OK", "vllm:num_requests_running 1.0\n"),
        _ if request.post && request.stream => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
            format!("{head}content-length: {}\r\n\r\n{STREAM}", STREAM.len())
        }
        _ if request.post => plain("200 OK", COMPLETION),
        _ => plain("404 No", "{}"),
    }
}

const REQUESTS: &str = "[[requests]]\nname = \"stream\"\napi = \"openai-chat\"\nstream = true\n\
                        headers = { X-Amz-Team = \"blue  and  red\" }\n\
                        [[requests]]\nname = \"plain\"\napi = \"openai-chat\"\nstream = false\n\
                        path = \"/model/{model}/chat\"\nmodel = [\"a.b:0\", \"c d/e\"]\n\
                        [[requests]]\nname = \"models\"\napi = \"models\"\n";

fn profile(bench: &Bench, load: &str, requests: &str) -> String {
    bench.write("p.toml", &format!("{load}\n{requests}"))
}

/// Returns the environment variables that AWS's own programs read.
fn environment((id, secret, token): (&'static str, &'static str, &'static str)) -> Vec<(&'static str, &'static str)> {
    vec![("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret), ("AWS_SESSION_TOKEN", token)]
}

fn hides_all(text: &str, place: &str) {
    for secret in [FIRST.1, SECOND.1, SECOND.2] {
        for part in secret.as_bytes().windows(10).map(|part| std::str::from_utf8(part).unwrap()) {
            assert!(!text.contains(part), "{place} shows {part}: {text}");
        }
    }
}

fn hides_in(output: &Output) {
    hides_all(&output.stdout, "output");
    hides_all(&output.stderr, "errors");
}

#[test]
fn a_server_that_verifies_every_signature_refuses_none() {
    for key in [FIRST, SECOND] {
        let (aws, bench) = (Aws::start(0), Bench::new());
        let profile = profile(&bench, "executor = \"per-vu-iterations\"\nvus = 3\niterations = 40", REQUESTS);
        let (url, metrics, result) =
            (format!("{}?b=2&a=x%20y&_=~", aws.url()), format!("{}/metrics", aws.url()), bench.path("r.json"));
        let args = [profile.as_str(), "--target-url", &url, "--auth", AUTH, "--server-metrics", &metrics];
        let more = ["--output", &result, "--debug-response", "2"];
        let output = blast_with(&[&args[..], &more].concat(), &environment(key), SOON);
        let seen = std::mem::take(&mut *aws.seen.lock().unwrap());
        assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);
        assert_eq!(output.code, Some(0), "{output:?}");
        let result_text = std::fs::read_to_string(&result).expect("a result");
        let document = document(&result);
        assert_eq!(
            (count(&document, "http_reqs"), document["failures"]["statuses"].clone()),
            (120, json!({ "200": 120 }))
        );
        assert_eq!(document["target"]["server"]["kind"], "vllm", "the probe is signed: {}", document["target"]);
        let of = |path: &str| seen.right.get(&(key.0.to_owned(), path.to_owned())).copied().unwrap_or(0);
        assert!(of("/v1/models") >= 1 && of("/version") == 1 && of("/metrics") >= 1, "{:?}", seen.right);
        for path in ["/v1/chat/completions", "/model/a.b%3A0/chat", "/model/c%20d%2Fe/chat"] {
            assert!(of(path) > 0, "{path}: {:?}", seen.right);
        }
        hides_in(&output);
        hides_all(&result_text, "result");
    }
}

#[test]
fn a_retry_is_signed_anew() {
    let (aws, bench) = (Aws::start(1), Bench::new());
    let chat = "[[requests]]\nname = \"chat\"\napi = \"openai-chat\"\nstream = true\n";
    let load = "executor = \"per-vu-iterations\"\nvus = 1\niterations = 2\nretries = { policy = \"openai\", max = 2 }";
    let (profile, result) = (profile(&bench, load, chat), bench.path("r.json"));
    let url = aws.url();
    let args = [profile.as_str(), "--target-url", &url, "--auth", AUTH, "--no-probe", "--output", &result];
    let output = blast_with(&args, &environment(SECOND), SOON);
    let seen = std::mem::take(&mut *aws.seen.lock().unwrap());
    assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);
    assert_eq!((output.code, count(&document(&result), "retries")), (Some(0), 1), "{output:?}");
    let twice: Vec<&Vec<String>> = seen.dates.values().filter(|dates| dates.len() > 1).collect();
    let [dates] = twice[..] else { panic!("{:?}", seen.dates) };
    assert!(dates[0] < dates[1], "the pause is longer than a second: {dates:?}");
}

#[test]
fn a_key_that_changes_signs_from_the_next_requests_on() {
    let json = |(id, secret, token): (&str, &str, &str)| {
        json!({ "Version": 1, "AccessKeyId": id, "SecretAccessKey": secret, "SessionToken": token,
                "Expiration": "2099-01-01T00:00:00Z" })
        .to_string()
    };
    for flags in [&["--api-key-file", "{key}"][..], &["--api-key-command", "cat '{key}'", "--api-key-refresh", "1s"]] {
        let (aws, bench) = (Aws::start(0), Bench::new());
        let key = bench.write("key", &format!("{}:{}\n", FIRST.0, FIRST.1));
        let load = "executor = \"constant-vus\"\nvus = 2\nduration = \"5m\"\nthink_time = \"5ms\"";
        let (profile, result) = (profile(&bench, load, REQUESTS), bench.path("r.json"));
        let flags: Vec<String> = flags.iter().map(|flag| flag.replace("{key}", &key)).collect();
        let url = aws.url();
        let mut args = vec![profile.as_str(), "--target-url", &url, "--auth", AUTH, "--no-probe", "--output", &result];
        args.extend(flags.iter().map(String::as_str));
        // The AWS variables are the last resort.
        let running = support::start(&args, &environment(("NOBODY", "nothing", "")));
        support::eventually("requests with the first key", || aws.seen.lock().unwrap().of(FIRST.0) > 20);
        let new = bench.write("new", &json(SECOND));
        std::fs::rename(new, &key).expect("renamed");
        support::eventually("requests with the second key", || aws.seen.lock().unwrap().of(SECOND.0) > 20);
        running.signal(Signal::SIGINT);
        let output = running.finish(SOON);
        let seen = std::mem::take(&mut *aws.seen.lock().unwrap());
        assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);
        assert!(output.stderr.contains(&format!("{}: the API key has changed", flags[0])), "{output:?}");
        hides_in(&output);
        hides_all(&std::fs::read_to_string(&result).expect("a result"), "result");
    }
}

#[test]
fn a_request_is_shown_with_its_signature_and_without_its_secrets() {
    let output = blast_with(&["quick-smoke", "--auth", AUTH, "--dump-request"], &environment(SECOND), SOON);
    assert_eq!(output.code, Some(0), "{output:?}");
    let shown = format!("Authorization: AWS4-HMAC-SHA256 Credential={}/", SECOND.0);
    assert!(output.stdout.contains(&shown) || output.stdout.contains("Authorization: [hidden]"), "{output:?}");
    assert!(output.stdout.contains("X-Amz-Security-Token: [hidden]"), "{output:?}");
    hides_in(&output);
    // Showing a request does not run the key command.
    let command = ["quick-smoke", "--auth", AUTH, "--dump-request", "--api-key-command", "false"];
    let output = blast_with(&command, &[], SOON);
    assert!(output.code == Some(0) && output.stdout.contains("X-Amz-Date: "), "{output:?}");
    let config = blast_with(&["quick-smoke", "--auth", AUTH, "--show-config"], &environment(FIRST), SOON);
    assert!(config.stdout.contains(AUTH) && config.stdout.contains("AWS_ACCESS_KEY_ID"), "{config:?}");
    hides_in(&config);
}

#[test]
fn what_cannot_be_signed_is_refused() {
    let bench = Bench::new();
    let (word, good) = (bench.write("word", SECOND.1), bench.write("good", &format!("A:{}", SECOND.1)));
    let half = [("AWS_ACCESS_KEY_ID", "A")];
    let slash = [("AWS_ACCESS_KEY_ID", "A/B"), ("AWS_SECRET_ACCESS_KEY", SECOND.1)];
    for (flags, env, expected) in [
        (
            &["--auth", AUTH][..],
            &[][..],
            "--auth needs a key: give it with --api-key-file, --api-key-command or \
          LLMSIM_BLAST_API_KEY, or both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ),
        (&["--auth", AUTH], &half, "or both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        (&["--auth", AUTH], &slash, "AWS_ACCESS_KEY_ID does not hold a key of AWS: expected ID:SECRET"),
        (&["--auth", AUTH, "--api-key-file", &word], &[], "--api-key-file does not hold a key of AWS"),
        (&["--auth", AUTH, "--api-key-command", "echo x"], &[], "--api-key-command: it does not hold a key of AWS"),
        (&["--auth", "sigv4:bedrock", "--api-key-file", &good], &[], "expected sigv4:SERVICE:REGION"),
        (&["--auth", "sigv4:s3:eu-west-1", "--api-key-file", &good], &[], "expected another service than s3"),
        (
            &["--auth", AUTH, "--api-key-file", &good, "--header", "authorization: x"],
            &[],
            "--auth sets the header `authorization` itself",
        ),
        (&["--auth", AUTH, "--api-key-file", &good, "--basic-auth-file", &good], &[], "cannot be used together with"),
    ] {
        let args = [&["quick-smoke", "--target-url", "http://127.0.0.1:9", "--no-probe"][..], flags].concat();
        let output = blast_with(&args, env, SOON);
        assert_eq!(output.code, Some(104), "{flags:?}: {output:?}");
        assert!(output.stderr.contains(expected), "{flags:?}: {output:?}");
        hides_in(&output);
    }
}
