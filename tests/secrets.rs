//! Keys are never shown. Random keys are planted in every place where a key may be given, a server
//! repeats them in every way that servers do, and every output is searched for them.

mod support;

use base64::Engine as _;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{Bench, Output, SOON, blast, blast_with};

/// The encoding in which a server repeats a secret.
type Writing = fn(&str) -> String;

fn each(text: &str, encode: impl Fn(u8) -> String) -> String {
    text.bytes().map(encode).collect()
}

/// Encodings of a secret.
const WRITINGS: [(&str, Writing); 10] = [
    ("plain", str::to_owned),
    ("percent", |text| each(text, |b| format!("%{b:02X}"))),
    ("JSON", |text| each(text, |b| format!("\\u{b:04x}"))),
    ("JSON in JSON", |text| each(text, |b| format!("\\\\u{b:04x}"))),
    ("HTML", |text| each(text, |b| format!("&#x{b:x};"))),
    ("hex", |text| each(text, |b| format!("\\x{b:02x}"))),
    ("base64", |text| base64::engine::general_purpose::STANDARD.encode(text)),
    ("base64 of more", |text| base64::engine::general_purpose::STANDARD.encode(format!("a{text}b"))),
    ("base64 of a pair", |text| base64::engine::general_purpose::STANDARD.encode(format!("me:{text}b"))),
    ("between commands", |text| format!("x ::error::{text} ##[error]{text}\x1b[31m\u{202e}")),
];

/// A server that answers every POST with the secrets of the request. The encoding changes every
/// five requests.
struct Parrot {
    url: String,
}

/// Returns the values of a request that may be secret: headers, body fields, and the query.
fn secrets_of((head, body): &(String, String)) -> Vec<String> {
    let query = head.lines().next().and_then(|line| line.split(['?', ' ']).nth(2)).unwrap_or_default().to_owned();
    let secret = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let is_secret = ["authorization", "x-amz-security-token", "x-secret", "cookie"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known));
        is_secret.then(|| value.trim().to_owned())
    };
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let in_body =
        ["user_token", "auth"].map(|name| body[name].as_str().or(body[name]["id"].as_str()).map(str::to_owned));
    head.lines().filter_map(secret).chain([query]).chain(in_body.into_iter().flatten()).collect()
}

/// Reads the head and the body of a request.
fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok()).flatten()
            });
            if bytes.len() >= at + 4 + length.unwrap_or(0) {
                return Some((head, String::from_utf8_lossy(&bytes[at + 4..]).into_owned()));
            }
        }
        match stream.read(&mut buffer) {
            Ok(n) if n > 0 => bytes.extend_from_slice(&buffer[..n]),
            _ => return None,
        }
    }
}

/// Returns one of five responses: a plain error, one with chunks that cut the secret, one whose
/// secret crosses the limit of what is shown, one inside a stream, and bytes that are not HTTP.
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
                    while let Some(asked) = request(&mut stream) {
                        let number = ASKED.fetch_add(1, Ordering::Relaxed);
                        let (_, writing) = WRITINGS[number / 5 % WRITINGS.len()];
                        let said: Vec<String> = secrets_of(&asked).iter().map(|secret| writing(secret)).collect();
                        let is_get = asked.0.starts_with("GET");
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

/// Returns a health check and statistics that repeat the secrets, too.
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

/// Panics if the text contains enough of a secret, in any encoding, to reconstruct it.
fn search(text: &str, secrets: &[String], place: &str) {
    let mut parts: HashMap<[u8; 8], Vec<(Vec<u8>, String)>> = HashMap::new();
    for secret in secrets {
        for (how, writing) in WRITINGS {
            let written = if how == "between commands" { secret.clone() } else { writing(secret) };
            // The edges of base64 depend on the neighbouring bytes.
            let inner = if how.starts_with("base64") { &written[4..written.len() - 4] } else { &written };
            // Eight characters of the secret. Each may be written as an escape sequence.
            let length = inner.len().min(12.max(8 * (inner.len() / secret.len())));
            for part in inner.as_bytes().windows(length) {
                let begin = part[..8].try_into().expect("eight bytes");
                parts.entry(begin).or_default().push((part.to_vec(), format!("{secret} ({how})")));
            }
        }
    }
    for (at, begin) in text.as_bytes().windows(8).enumerate() {
        for (part, of) in parts.get(begin).into_iter().flatten() {
            let shown = String::from_utf8_lossy(part);
            assert!(!text.as_bytes()[at..].starts_with(part), "{place}: {shown} of {of} in\n{text}");
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

fn percent_encoded(text: &str) -> String {
    each(text, |b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
}

/// Planted keys, one for each place where a user may give a key.
struct Planted {
    key: String,
    header: String,
    cookie: String,
    path: String,
    url: String,
    body: String,
    deep: String,
    metrics: String,
    metrics_path: String,
    write: String,
    write_url: String,
    write_path: String,
    page: String,
}

impl Planted {
    fn new(random: &mut fastrand::Rng) -> Self {
        let mut next = || random_key(random);
        Self {
            key: next(),
            header: next(),
            cookie: next(),
            path: next(),
            url: next(),
            body: next(),
            deep: next(),
            metrics: next(),
            metrics_path: next(),
            write: next(),
            write_url: next(),
            write_path: next(),
            // This token is sent in a cookie.
            page: next().replace(['~', '+', '/'], "_"),
        }
    }

    /// Returns the keys in plain form, and as they appear in a URL.
    fn all(&self) -> Vec<String> {
        let Self { key, header, cookie, path, url, body, deep, metrics, metrics_path, .. } = self;
        let Self { write, write_url, write_path, page, .. } = self;
        let in_urls = [path, url, metrics, metrics_path, write_url, write_path];
        let all = [key, header, cookie, body, deep, write, page].into_iter().chain(in_urls);
        all.cloned().chain(in_urls.map(|secret| percent_encoded(secret))).collect()
    }

    fn profile(&self, bench: &Bench, stream: bool, load: &str) -> String {
        let Self { cookie, deep, .. } = self;
        let text = format!(
            "{load}[[requests]]\nname = \"chat\"\napi = \"openai-chat\"\nstream = {stream}\n\
             path = \"/v1/chat?api_key={}\"\nheaders = {{ Cookie = \"id={cookie}\" }}\n\
             body = {{ auth = {{ kind = \"string\", id = \"{deep}\" }} }}\n\
             [thresholds]\nhttp_req_failed = [\"rate<0.01\"]\n",
            percent_encoded(&self.path)
        );
        bench.write("p.toml", &text)
    }

    /// Returns the flags on the command line.
    fn flags(&self, url: &str) -> Vec<String> {
        let mut flags = vec![
            "--no-server".to_owned(),
            // The key is part of every path as well, as with some proxies.
            format!("--target-url={url}/{}?access={}", self.key, percent_encoded(&self.url)),
            "--header".to_owned(),
            format!("X-Secret: {}", self.header),
            "--body".to_owned(),
            format!("user_token={}", self.body),
            "--server-metrics".to_owned(),
            format!("{url}/{}/metrics?of={}", percent_encoded(&self.metrics_path), percent_encoded(&self.metrics)),
        ];
        if cfg!(feature = "web") {
            let [path, query] = [&self.write_path, &self.write_url].map(|secret| percent_encoded(secret));
            let write = format!("{url}/{path}/write?to={query}");
            flags.extend(["--prometheus-write".to_owned(), write, format!("--web-token={}", self.page)]);
            flags.push(format!("--web={}", support::free_port()));
        }
        flags
    }
}

/// Returns one of the ways to give the key of the target and that of a Prometheus, as flags and
/// environment.
fn ways(round: usize, planted: &Planted, bench: &Bench) -> (Vec<String>, Vec<(&'static str, String)>) {
    let Planted { key, write, .. } = planted;
    let pair = format!("somebody:{key}");
    let file = |text: &str| bench.write("key", text);
    let flags = |flags: &[&str]| flags.iter().map(|&flag| flag.to_owned()).collect();
    let (mut flags, mut env): (Vec<String>, Vec<_>) = match round {
        0 => (vec![], vec![("LLMSIM_BLAST_API_KEY", key.clone())]),
        1 => (flags(&["--api-key-file", &file(key), "--auth", "query:k"]), vec![]),
        2 => (flags(&["--auth", "basic"]), vec![("LLMSIM_BLAST_API_KEY", pair)]),
        3 => (flags(&["--basic-auth-file", &file(&pair)]), vec![]),
        4 => (vec![], vec![("LLMSIM_BLAST_BASIC_AUTH", pair)]),
        5 => {
            let command = format!("cat '{}'", file(key));
            (flags(&["--api-key-command", &command, "--api-key-refresh", "1s", "--auth", "query:k"]), vec![])
        }
        6 => (flags(&["--api-key-file", &file(key), "--auth", "header:x-secret-key"]), vec![]),
        7 => (flags(&["--api-key-file", &file(&format!("AKIDPLANTED:{key}")), "--auth", "sigv4:s:r"]), vec![]),
        _ => {
            let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
            let values = ["AKIDPLANTED".to_owned(), key.chars().rev().collect(), key.clone()];
            (flags(&["--auth", "sigv4:s:r"]), names.into_iter().zip(values).collect())
        }
    };
    let pair = format!("prometheus:{write}");
    match round % 4 {
        _ if cfg!(not(feature = "web")) => {}
        0 => env.push(("LLMSIM_BLAST_PROMETHEUS_TOKEN", write.clone())),
        1 => flags.extend(["--prometheus-token-file".to_owned(), bench.write("token", write)]),
        2 => env.push(("LLMSIM_BLAST_PROMETHEUS_BASIC_AUTH", pair)),
        _ => flags.extend(["--prometheus-basic-auth-file".to_owned(), bench.write("pair", &pair)]),
    }
    (flags, env)
}

/// A user who misunderstands a flag may have typed the key itself.
#[test]
fn no_key_is_repeated_by_a_message_about_a_flag() {
    let bench = Bench::new();
    let (key, file) = ("q8Vx/2Lw.b7Rk3Nd5Tz9Hm4Pc", bench.write("key", "k"));
    let auth = |how: &str| vec!["--api-key-file".to_owned(), file.clone(), format!("--auth={how}{key}")];
    let mut typed: Vec<Vec<String>> =
        ["", "bearer ", "bearer:", "header:x:", "header:x ", "query:k=", "cookie:", "sigv4:", "sigv4:a:"]
            .into_iter()
            .map(auth)
            .collect();
    typed.extend(
        [
            "--header=",
            "--header=X-Key ",
            "--body=",
            "--path=",
            "--api-key-file=",
            "--basic-auth-file=user:",
            "--prometheus-write=htp://127.0.0.1/",
            "--server-metrics=127.0.0.1:9/",
            "--target-url=htp://127.0.0.1/",
            "--target-url=http://127.0.0.1/a b/",
            "--host=127.0.0.1/",
            "--proxy=http://127.0.0.1:1/",
        ]
        .map(|flag| vec![format!("{flag}{key}")]),
    );
    for flags in typed {
        let output = blast(&[&["quick-smoke", "--show-config"][..], &borrowed(&flags)].concat());
        assert_ne!(output.code, Some(0), "{flags:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{flags:?}: {output:?}");
        assert!(!output.stderr.contains(&key[..8]) && !output.stderr.contains(&key[9..]), "{flags:?}: {output:?}");
    }
}

fn borrowed(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
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
    for round in 0..9 {
        let bench = Bench::new();
        let planted = Planted::new(&mut random);
        let secrets = planted.all();
        let load = "executor = \"shared-iterations\"\nvus = 3\niterations = 60\n";
        let profile = planted.profile(&bench, round % 2 == 0, load);
        let lines = ["q.jsonl", "q.csv"][round / 2 % 2];
        let [file, xml, summary, page, lines] =
            ["r.json", "r.xml", "s.md", "r.html", lines].map(|name| bench.path(name));
        let (key_flags, key_env) = ways(round, &planted, &bench);
        let flags = [planted.flags(&parrot.url), key_flags].concat();
        let base = [&[profile.as_str()][..], &borrowed(&flags)].concat();
        let files = ["--output", &file, "--junit", &xml, "--html", &page, "--requests", &lines];
        let more = ["--github", "auto", "--debug-response", "9", "--tag", "x=::y"];
        let mut env: Vec<(&str, &str)> = vec![("GITHUB_STEP_SUMMARY", &summary), ("GITHUB_ACTIONS", "true")];
        env.extend(key_env.iter().map(|(name, value)| (*name, value.as_str())));
        let output = blast_with(&[&base[..], &files, &more].concat(), &env, SOON);
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
        // These flags do not run the key command, so the key in the path is not known to be a
        // secret.
        let shown = if round == 5 { &[][..] } else { &["--dump-request", "--show-config"] };
        for shown in shown {
            both(&blast_with(&[&base[..], &[shown]].concat(), &env, SOON), shown);
        }
        let refused = blast_with(&[&base[..], &["--vus", "x"]].concat(), &env, SOON);
        both(&refused, "refused");
        for path in [&file, &xml, &summary, &page, &lines] {
            look(&std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}")), &secrets, path);
        }
    }
    assert_eq!(searched, 9 * (2 + 10 + 4 + 2 + 5) - 4);
}

/// Shards that meet write one result each and a merged result, and tell each other about both.
#[test]
fn no_planted_key_is_in_a_result_of_shards_that_meet() {
    let parrot = Parrot::start();
    let (bench, planted) = (Bench::new(), Planted::new(&mut fastrand::Rng::with_seed(7)));
    let meeting = random_key(&mut fastrand::Rng::with_seed(8));
    let secrets = [planted.all(), vec![meeting.clone()]].concat();
    let profile = planted.profile(&bench, true, "executor = \"shared-iterations\"\nvus = 4\niterations = 40\n");
    let place = format!("127.0.0.1:{}", support::free_port());
    let (file, lines, page) = (bench.path("run.json"), bench.path("q.jsonl"), bench.path("r.html"));
    let run = |shard: &'static str, (flags, env): (&[&str], &[(&str, &str)])| {
        let planted = planted.flags(&parrot.url);
        let files =
            ["--output", &file, "--requests", &lines, "--html", &page, "--rendezvous", &place, "--shard", shard];
        support::start(&[&[profile.as_str()][..], &borrowed(&planted), &files, flags].concat(), env)
    };
    let key = [("LLMSIM_BLAST_API_KEY", planted.key.as_str()), ("LLMSIM_BLAST_RENDEZVOUS_KEY", meeting.as_str())];
    let key_file = bench.write("meeting", &meeting);
    let shards = [run("0/2", (&[], &key)), run("1/2", (&["--rendezvous-key-file", &key_file], &key[..1]))];
    for (shard, running) in shards.into_iter().enumerate() {
        let output = running.finish(SOON);
        assert_eq!(output.code, Some(107), "{output:?}");
        search(&output.stdout, &secrets, &format!("output of shard {shard}"));
        search(&output.stderr, &secrets, &format!("errors of shard {shard}"));
    }
    for name in ["run.json", "run-0of2.json", "run-1of2.json", "q-0of2.jsonl", "q-1of2.jsonl", "r.html"] {
        let text = std::fs::read_to_string(bench.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        search(&text, &secrets, name);
    }
    let hand = bench.path("hand.json");
    let [zero, one] = ["run-0of2.json", "run-1of2.json"].map(|name| bench.path(name));
    let output = blast(&["merge", &zero, &one, "--output", &hand]);
    search(&output.stdout, &secrets, "merged");
    search(&std::fs::read_to_string(&hand).expect("a result"), &secrets, "merged");
}

/// Shards of a search send shard 0 the outcomes of their steps, and the reason why they end.
#[test]
fn no_planted_key_is_in_a_search_of_shards() {
    let parrot = Parrot::start();
    let (bench, planted) = (Bench::new(), Planted::new(&mut fastrand::Rng::with_seed(10)));
    let meeting = random_key(&mut fastrand::Rng::with_seed(11));
    let secrets = [planted.all(), vec![meeting.clone()]].concat();
    let profile = planted.profile(&bench, true, "executor = \"constant-vus\"\nvus = 2\nduration = \"1s\"\n");
    let (place, file) = (format!("127.0.0.1:{}", support::free_port()), bench.path("c.json"));
    let (key_file, flags) = (bench.write("meeting", &meeting), planted.flags(&parrot.url));
    // Without the flags for the live page and for Prometheus.
    let flags = borrowed(&flags[..8]);
    let run = |shard: &'static str| {
        let search =
            ["capacity", &profile, "--by", "vus", "--min", "2", "--max", "2", "--duration", "1s", "--warmup", "0s"];
        let meet = ["--output", &file, "--rendezvous", &place, "--rendezvous-key-file", &key_file, "--shard", shard];
        support::start(&[&search[..], &flags, &meet].concat(), &[("LLMSIM_BLAST_API_KEY", planted.key.as_str())])
    };
    for (shard, running) in [run("0/2"), run("1/2")].into_iter().enumerate() {
        let output = running.finish(SOON);
        assert_eq!(output.code, Some(if shard == 0 { 107 } else { 0 }), "{output:?}");
        search(&output.stdout, &secrets, &format!("output of shard {shard}"));
        search(&output.stderr, &secrets, &format!("errors of shard {shard}"));
    }
    search(&std::fs::read_to_string(&file).expect("a result"), &secrets, "a search");
}

/// Everything that a browser or a Prometheus can read during a run.
#[cfg(feature = "web")]
#[test]
fn no_planted_key_is_on_the_live_page() {
    let parrot = Parrot::start();
    let (bench, planted) = (Bench::new(), Planted::new(&mut fastrand::Rng::with_seed(9)));
    let secrets = planted.all();
    let load =
        "executor = \"constant-vus\"\nvus = 2\nduration = \"60s\"\nthink_time = \"20ms\"\ngraceful_stop = \"1s\"\n";
    let profile = planted.profile(&bench, true, load);
    let flags = planted.flags(&parrot.url);
    let addr = flags.iter().find_map(|flag| flag.strip_prefix("--web=")).expect("a port");
    let addr = format!("127.0.0.1:{addr}");
    let env = [("LLMSIM_BLAST_API_KEY", planted.key.as_str()), ("LLMSIM_BLAST_PROMETHEUS_TOKEN", &planted.write)];
    let running = support::start(&[&[profile.as_str()][..], &borrowed(&flags)].concat(), &env);
    let bearer = format!("Bearer {}", planted.page);
    let ask = |path: &str| support::get(&addr, path, &[("Authorization", &bearer)]);
    support::eventually("requests have failed", || ask("/metrics").body.contains("llmsim_blast_http_req_failed"));
    support::eventually("there are results", || ask("/api/v1/run").body.contains("\"http_5xx\""));
    for path in ["/", "/metrics", "/api/v1/run", "/nowhere"] {
        search(&ask(path).body, &secrets, path);
        search(&support::get(&addr, path, &[]).body, &secrets, path);
    }
    running.signal(nix::sys::signal::Signal::SIGINT);
    let output = running.finish(SOON);
    search(&output.stdout, &secrets, "output");
    search(&output.stderr, &secrets, "errors");
}
