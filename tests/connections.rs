//! The sources, targets and number of connections. Keys are sent to their target only.

mod support;

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use support::{Behaviour, Bench, Lab, Misbehaving, Output, SOON, blast, blast_with, document, free_port};

fn profile(vus: u32, iterations: u32) -> String {
    format!(
        "executor = \"per-vu-iterations\"\nvus = {vus}\niterations = {iterations}\n[[requests]]\nname = \"chat\"\n\
         api = \"openai-chat\"\n[thresholds]\nhttp_req_failed = \"rate<0.01\"\n"
    )
}

fn run(bench: &Bench, profile: &str, args: &[&str]) -> (Output, Value) {
    let (profile, result) = (bench.write("p.toml", profile), bench.path("r.json"));
    let output = blast(&[&[profile.as_str(), "--output", &result], args].concat());
    assert_eq!(output.code, Some(0), "{output:?}");
    (output, document(&result))
}

/// Forwards bytes both ways until either end closes.
fn forward<A, B>(a: A, b: B, split_a: fn(&A) -> A, split_b: fn(&B) -> B)
where
    A: Read + Write + Send + 'static,
    B: Read + Write + Send + 'static,
{
    let (mut a2, mut b2) = (split_a(&a), split_b(&b));
    let (mut a, mut b) = (a, b);
    std::thread::spawn(move || drop(std::io::copy(&mut a2, &mut b2)));
    std::thread::spawn(move || drop(std::io::copy(&mut b, &mut a)));
}

fn again(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a second handle")
}

// ---- keys -------------------------------------------------------------------------------------

/// Starts a server that answers every request with the request itself, so that all its responses
/// contain the key.
fn echo() -> (SocketAddr, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (addr, heard) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(String::new())));
    let log = Arc::clone(&heard);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, log) = (stream.unwrap(), Arc::clone(&log));
            std::thread::spawn(move || {
                let mut piece = [0; 16 * 1024];
                while let Ok(n @ 1..) = stream.read(&mut piece) {
                    let text = String::from_utf8_lossy(&piece[..n]).into_owned();
                    log.lock().unwrap().push_str(&text);
                    let body = serde_json::json!({ "error": { "message": text } }).to_string();
                    let start = "HTTP/1.1 401 No\r\ncontent-type: application/json\r\nx-you-said: ";
                    let said = text.lines().find(|line| line.starts_with("Authorization")).unwrap_or("nothing");
                    let _ = write!(stream, "{start}{said}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                }
            });
        }
    });
    (addr, heard)
}

#[test]
fn a_key_is_in_no_output() {
    const KEY: &str = "sk-planted-0123456789abcdef";
    const PASSWORD: &str = "planted-pass-9876543210";
    let bench = Bench::new();
    let (addr, heard) = echo();
    let url = format!("http://{addr}");
    let profile = bench.write("p.toml", &profile(1, 2));
    let (key_file, basic_file) = (bench.write("key", KEY), bench.write("basic", &format!("me:{PASSWORD}\n")));
    let header = format!("X-Api-Key: {KEY}");
    let result = bench.path("r.json");
    let dump: &[&str] = &["--dump-request"];
    let show: &[&str] = &["--show-config"];
    let test: &[&str] = &["--output", &result, "--debug-response", "3"];
    let mut seen = 0;
    for what in [dump, show, test] {
        for auth in
            [&["--api-key-file", &key_file][..], &["--basic-auth-file", &basic_file], &["--header", &header], &[]]
        {
            let args = [&[profile.as_str(), "--target-url", &url][..], what, auth].concat();
            // Without a file, the key comes from the environment.
            let env: &[(&str, &str)] = if auth.is_empty() { &[("LLMSIM_BLAST_API_KEY", KEY)] } else { &[] };
            let output = blast_with(&args, env, SOON);
            let json = std::fs::read_to_string(&result).unwrap_or_default();
            // Basic authorisation is the pair in base64, which reveals the pair.
            for secret in [KEY, PASSWORD, "bWU6cGxhbnRlZC1wYXNz"] {
                for text in [&output.stdout, &output.stderr, &json] {
                    assert!(!text.contains(secret), "{secret} in {args:?}: {text}");
                }
            }
            if what == dump {
                assert_eq!(output.code, Some(0), "{output:?}");
                assert!(output.stdout.contains("POST /openai/v1/chat/completions HTTP/1.1"), "{output:?}");
                assert!(output.stdout.contains("[hidden]"), "{output:?}");
            }
            if what == test {
                assert!(output.stderr.contains("# response 3 of 3, to chat"), "{output:?}");
                assert!(output.stderr.contains("HTTP/1.1 401 No") && output.stderr.contains("[hidden]"), "{output:?}");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 4);
    // All of them must have been sent, or the checks above prove nothing.
    let heard = heard.lock().unwrap();
    for sent in [format!("Authorization: Bearer {KEY}"), header, "Authorization: Basic bWU6cGxhbnRlZC1wYXNz".to_owned()]
    {
        assert!(heard.contains(&sent), "{sent} was not sent");
    }
    drop(heard);
    // Error messages about keys do not repeat the keys, either.
    let bad = bench.write("bad", &format!("{KEY}\n{KEY}"));
    for args in
        [&["--api-key-file", &bad][..], &["--basic-auth-file", &bad], &["--http-proxy", &format!("http://u:{KEY}@h")]]
    {
        let output = blast(&[&[profile.as_str(), "--target-url", &url][..], args].concat());
        assert_eq!(output.code, Some(104), "{output:?}");
        assert!(!output.stderr.contains(KEY) && output.stderr.starts_with("error: "), "{output:?}");
    }
}

// ---- many connections -------------------------------------------------------------------------

#[test]
fn targets_and_sources_are_used_in_turn() {
    let bench = Bench::new();
    let (one, two) = (Misbehaving::start(Behaviour::GoodPlain), Misbehaving::start(Behaviour::GoodPlain));
    let (first, second) = (one.url(), format!("{}/proxy", two.url()));
    let args =
        ["--target-url", &first, "--target-url", &second, "--source-ip", "127.0.0.2,127.0.0.3", "--workers", "1"];
    let (output, result) = run(&bench, &profile(8, 3), &args);
    assert!(output.stdout.contains("and 1 more, in turn"), "{output:?}");
    let addresses = result["target"]["addresses"].as_array().unwrap();
    assert_eq!(addresses.len(), 2);
    assert!(addresses.iter().all(|address| address["opened"] == 4 && address["failed"] == 0), "{addresses:?}");
    assert_eq!((one.requests(), two.requests()), (12, 12));
    // Each target has its own host name and its own path prefix.
    assert!(two.posts()[0].starts_with("POST /proxy/openai/v1"), "{}", two.posts()[0]);
    assert!(two.posts()[0].contains(&format!("Host: {}\r\n", two.addr())), "{}", two.posts()[0]);
    let nowhere = blast(&["quick-smoke", "--target-url", &first, "--source-ip", "192.0.2.1"]);
    assert_eq!(nowhere.code, Some(104), "{nowhere:?}");
    assert!(nowhere.stderr.contains("--source-ip 192.0.2.1") && nowhere.stderr.contains("this machine"), "{nowhere:?}");
    let wrong = blast(&["quick-smoke", "--target-url", &first, "--source-ip", "::1"]);
    assert!(wrong.stderr.contains("expected one of each"), "{wrong:?}");
}

#[test]
fn connections_carry_as_many_requests_as_was_said() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::GoodPlain));
    let url = server.url();
    for (args, opened) in [(&["--max-requests-per-connection", "4"][..], 3), (&["--disable-keepalive"], 10), (&[], 1)] {
        let (_, result) = run(&bench, &profile(1, 10), &[&["--target-url", &url], args].concat());
        assert_eq!(result["metrics"]["connections_opened"]["count"], opened, "{args:?}");
    }
    let closing = server.posts().iter().filter(|post| post.contains("\r\nConnection: close\r\n")).count();
    assert_eq!(closing, 10);
}

#[test]
fn connections_are_begun_at_the_rate_that_was_asked_for() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::GoodPlain));
    let (_, result) = run(&bench, &profile(11, 1), &["--target-url", &server.url(), "--connect-rate", "20"]);
    assert_eq!(result["metrics"]["connections_opened"]["count"], 11);
    // Ten intervals of 50 ms lie between the connections. Delays only make the run longer.
    assert!(result["run"]["duration_s"].as_f64().unwrap() >= 0.5, "{}", result["run"]);
}

#[test]
fn a_socket_in_the_file_system_is_a_target() {
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::Good { tokens: 3 }));
    let path = bench.path("s.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let behind = server.addr();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, server) = (stream.unwrap(), TcpStream::connect(behind).unwrap());
            forward(stream, server, |s| s.try_clone().unwrap(), again);
        }
    });
    let profile = profile(2, 5).replace("api =", "stream = true\napi =");
    let (_, result) = run(&bench, &profile, &["--target-url", "http://api.example", "--unix-socket", &path]);
    assert_eq!(result["metrics"]["token_events"]["count"], 30);
    assert!(server.posts()[0].contains("\r\nHost: api.example\r\n"), "{}", server.posts()[0]);
    let missing = bench.path("none.sock");
    let output = blast(&["quick-smoke", "--target-url", "http://api.example", "--unix-socket", &missing]);
    assert_eq!(output.code, Some(107), "{output:?}");
    assert!(output.stderr.contains("No such file"), "{output:?}");
}

#[test]
fn both_families_of_a_name_are_tried_and_the_dead_one_is_left_out() {
    // A server on IPv4 alone, under a name with addresses of both families.
    let (bench, server) = (Bench::new(), Misbehaving::start(Behaviour::GoodPlain));
    let port = server.addr().port();
    let url = format!("http://api.invalid:{port}");
    let pins = format!("api.invalid:{port}:127.0.0.1,100::1");
    let (output, result) = run(&bench, &profile(4, 2), &["--target-url", &url, "--resolve", &pins]);
    assert!(output.stderr.contains("left out its IPv6 addresses"), "{output:?}");
    assert_eq!(result["target"]["addresses"].as_array().unwrap().len(), 1);
    // The same with a server on IPv6, if IPv6 is available.
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
    let six = listener.local_addr().unwrap();
    let behind = server.addr();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            forward(stream.unwrap(), TcpStream::connect(behind).unwrap(), again, again);
        }
    });
    let (_, result) = run(&bench, &profile(1, 2), &["--target-url", &format!("http://{six}")]);
    assert_eq!(result["target"]["addresses"][0]["address"], six.to_string());
}

// ---- proxies ----------------------------------------------------------------------------------

/// Starts a proxy, and returns its address and a log of the request lines. A tunnel is forwarded to
/// `to`. A plain request is forwarded to `to` unchanged.
fn proxy(to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (addr, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let log = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, log) = (stream.unwrap(), Arc::clone(&log));
            let mut head = [0; 4096];
            let n = stream.read(&mut head).unwrap_or(0);
            let line = String::from_utf8_lossy(&head[..n]).lines().next().unwrap_or_default().to_owned();
            let opens = line.starts_with("CONNECT ");
            log.lock().unwrap().push(line);
            let Ok(mut server) = TcpStream::connect(to) else { continue };
            if opens {
                stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
            } else {
                server.write_all(&head[..n]).unwrap();
            }
            forward(stream, server, again, again);
        }
    });
    (addr, asked)
}

#[test]
fn a_proxy_is_asked_for_a_way_or_for_the_thing_itself() {
    let (bench, lab, server) = (Bench::new(), Lab::new(), Misbehaving::start(Behaviour::GoodPlain));
    let secure =
        lab.secure(server.addr(), support::Front { identity: lab.identity(&["api.invalid"], 2090), ..lab.front() });
    let ca = bench.write("ca.pem", &lab.ca_pem);
    let (tunnels, asked) = proxy(secure.addr());
    let url = tunnels.to_string();
    let args = ["--target-url", "https://api.invalid", "--cacert", &ca, "--http-proxy", &url];
    let (_, result) = run(&bench, &profile(2, 3), &args);
    assert_eq!(result["metrics"]["tls_handshakes_full"]["count"], 2);
    assert!(asked.lock().unwrap().iter().all(|line| line == "CONNECT api.invalid:443 HTTP/1.1"), "{asked:?}");

    let (plain, asked) = proxy(server.addr());
    let url = format!("http://{plain}");
    run(&bench, &profile(1, 3), &["--target-url", "http://api.invalid:81/v", "--http-proxy", &url]);
    let asked = asked.lock().unwrap();
    assert_eq!(asked.last().unwrap(), "POST http://api.invalid:81/v/openai/v1/chat/completions HTTP/1.1", "{asked:?}");

    // A proxy that refuses.
    let no = Misbehaving::start(Behaviour::Status(407));
    let args = ["quick-smoke", "--target-url", "https://api.invalid", "--http-proxy", &no.addr().to_string()];
    let output = blast(&args);
    assert_eq!(output.code, Some(107), "{output:?}");
    assert!(output.stderr.contains("refused by the proxy"), "{output:?}");
    // The tool ignores the usual proxy variables of the environment.
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let profile = bench.write("p.toml", &profile(1, 1));
    let output = blast_with(
        &[&profile, "--target-url", &server.url()],
        &[("http_proxy", &nowhere), ("HTTP_PROXY", &nowhere)],
        SOON,
    );
    assert_eq!(output.code, Some(0), "{output:?}");
}
