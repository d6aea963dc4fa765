//! Targets behind TLS: the measurements, the refusals before the start, and the failures during a
//! run.

mod support;

use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;
use support::{Behaviour, Bench, Front, Lab, Misbehaving, Misdeed, Output, Secure, blast, blast_with, document};

/// Returns a profile with a few requests of one VU.
fn profile(iterations: u32, more: &str) -> String {
    format!(
        "executor = \"per-vu-iterations\"\niterations = {iterations}\n{more}\n[[requests]]\nname = \"chat\"\napi = \"openai-chat\"\n\
         stream = true\n[thresholds]\nhttp_req_failed = \"rate<0.01\"\n"
    )
}

/// A server, a TLS proxy in front of it, and files.
struct Scene {
    bench: Bench,
    server: Misbehaving,
    secure: Secure,
}

impl Scene {
    fn new(behaviour: Behaviour, change: impl FnOnce(&Lab, &mut Front)) -> Self {
        let (bench, lab, server) = (Bench::new(), Lab::new(), Misbehaving::start(behaviour));
        let mut front = lab.front();
        change(&lab, &mut front);
        bench.write("ca.pem", &lab.ca_pem);
        let ours = lab.identity(&["client"], 2090);
        bench.write("cert.pem", &ours.cert_pem);
        bench.write("key.pem", &ours.key_pem);
        let secure = lab.secure(server.addr(), front);
        Self { bench, server, secure }
    }

    /// Runs a profile against the proxy, and trusts its authority.
    fn run(&self, profile: &str, args: &[&str]) -> Output {
        let (ca, url) = (self.bench.path("ca.pem"), self.secure.url());
        self.run_with(profile, &[&["--target-url", &url, "--cacert", &ca], args].concat())
    }

    fn run_with(&self, profile: &str, args: &[&str]) -> Output {
        let (profile, result) = (self.bench.write("p.toml", profile), self.bench.path("r.json"));
        let output = blast(&[&[profile.as_str(), "--output", &result], args].concat());
        assert!(!output.stderr.contains("panicked"), "{output:?}");
        output
    }

    fn result(&self) -> Value {
        document(&self.bench.path("r.json"))
    }
}

fn says(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.code, Some(code), "{output:?}");
    for word in words {
        assert!(output.stdout.contains(word) || output.stderr.contains(word), "no `{word}` in {output:?}");
    }
}

#[test]
fn handshakes_are_counted_and_timed_apart_from_requests() {
    let scene = Scene::new(Behaviour::Good { tokens: 3 }, |_, _| ());
    says(&scene.run(&profile(5, ""), &[]), 0, &["PASS", "TLS        1 handshake in full, 0 resumed"]);
    let result = scene.result();
    assert_eq!(result["metrics"]["http_req_tls_handshaking"]["count"], 1);
    assert_eq!(result["metrics"]["tls_handshakes_full"]["count"], 1);
    assert_eq!(result["metrics"]["token_events"]["count"], 15);
    assert_eq!(result["target"]["tls"]["verified"], true);
    assert_eq!(result["target"]["tls"]["roots"], "file");
    assert_eq!(result["target"]["addresses"][0]["address"], scene.secure.addr().to_string());
    assert_eq!(result["target"]["addresses"][0]["opened"], 1);
}

#[test]
fn sessions_are_resumed_unless_that_is_not_wanted() {
    for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
        let scene = Scene::new(Behaviour::Good { tokens: 3 }, |_, front| front.versions = leak(versions));
        says(&scene.run(&profile(10, ""), &["--disable-keepalive"]), 0, &["1 handshake in full, 9 resumed (90.00%)"]);
        let connections = scene.secure.connections();
        assert_eq!(scene.result()["metrics"]["tls_handshakes_resumed"]["count"], 9);
        assert!(connections >= 10, "{connections}");
        let off = scene.run(&profile(3, ""), &["--max-requests-per-connection", "1", "--tls-resume", "off"]);
        says(&off, 0, &["3 handshakes in full, 0 resumed"]);
    }
}

fn leak(
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> &'static [&'static rustls::SupportedProtocolVersion] {
    Vec::leak(versions.to_vec())
}

#[test]
fn certificates_that_are_no_good_are_refused_before_the_start() {
    type Change = fn(&Lab, &mut Front);
    let cases: [(Change, &str, &str); 4] = [
        (|lab, front| front.identity = lab.identity(&["127.0.0.1"], 2020), "certificate expired", "renew"),
        (|_, front| front.identity = Lab::self_signed(&["127.0.0.1"]), "unknown issuer", "--cacert"),
        (|lab, front| front.identity = lab.identity(&["other.example"], 2090), "another name", "--resolve"),
        (|_, front| front.identity = Lab::new().identity(&["127.0.0.1"], 2090), "unknown issuer", "add one of them"),
    ];
    for (change, trouble, advice) in cases {
        let scene = Scene::new(Behaviour::Good { tokens: 3 }, change);
        says(&scene.run(&profile(1, ""), &[]), 107, &["error: https://127.0.0.1:", trouble, advice, "--insecure"]);
        assert_eq!(scene.server.requests(), 0, "{trouble}");
        // With --insecure, the output and the result say that certificates were not checked.
        let url = scene.secure.url();
        let output = scene.run_with(&profile(2, ""), &["--target-url", &url, "--insecure"]);
        says(&output, 0, &["INSECURE", "NOT CHECKED"]);
        assert_eq!(scene.result()["target"]["tls"]["verified"], false);
    }
    // The compiled-in roots do not include the authority of these tests.
    let scene = Scene::new(Behaviour::Good { tokens: 3 }, |_, _| ());
    let url = scene.secure.url();
    says(&scene.run_with(&profile(1, ""), &["--target-url", &url]), 107, &["unknown issuer"]);
}

#[test]
fn a_certificate_that_is_itself_in_the_file_is_trusted_and_still_checked() {
    let made = |names: &[&str], until: i32| {
        [Lab::as_openssl_makes_it(names, until), {
            // The same without the authority mark, and a certificate that another authority has
            // signed.
            if until > 2050 { Lab::self_signed(names) } else { Lab::new().identity(names, until) }
        }]
    };
    for (names, until, code, words) in [
        (&["127.0.0.1"], 2090, 0, "PASS"),
        (&["other.example"], 2090, 107, "another name"),
        (&["127.0.0.1"], 2020, 107, "certificate expired"),
    ] {
        for identity in made(names, until) {
            let pem = identity.cert_pem.clone();
            let scene = Scene::new(Behaviour::Good { tokens: 3 }, |_, front| front.identity = identity);
            let (file, url) = (scene.bench.write("own.pem", &pem), scene.secure.url());
            let output = scene.run_with(&profile(1, ""), &["--target-url", &url, "--cacert", &file]);
            says(&output, code, &[words]);
            assert!(code == 0 || !output.stderr.contains("with --cacert"), "it was given: {output:?}");
        }
    }
}

#[test]
fn a_server_that_wants_a_certificate_gets_it_or_says_no() {
    for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
        let scene = Scene::new(Behaviour::Good { tokens: 3 }, |_, front| {
            front.wants_certificate = true;
            front.versions = leak(versions);
        });
        let (cert, key) = (scene.bench.path("cert.pem"), scene.bench.path("key.pem"));
        says(&scene.run(&profile(2, ""), &["--cert", &cert, "--key", &key]), 0, &["PASS"]);
        says(&scene.run(&profile(2, ""), &[]), 107, &["error: https://", "TLS: "]);
    }
}

#[test]
fn the_wrong_protocol_is_named_both_ways() {
    let scene = Scene::new(Behaviour::Good { tokens: 3 }, |_, _| ());
    let http = format!("http://{}", scene.secure.addr());
    says(
        &scene.run_with(&profile(1, ""), &["--target-url", &http, "--no-server"]),
        107,
        &["speaks TLS there", "expected https://"],
    );
    // A server that answers any bytes with plain HTTP.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let answer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    });
    says(
        &scene.run_with(&profile(1, ""), &["--target-url", &url, "--no-probe"]),
        107,
        &["not TLS", "expected http://"],
    );
    answer.join().unwrap();
}

#[test]
fn what_goes_wrong_with_a_session_is_counted_in_its_class_with_its_reason() {
    for (misdeed, class, trouble) in [
        (Misdeed::Stall, "tls", Some("handshake stalled")),
        (Misdeed::CloseInHandshake, "tls", Some("closed in the handshake")),
        (Misdeed::Garble, "tls", Some("broken record")),
        (Misdeed::MidRecord, "closed_early", None),
    ] {
        // The health check and the statistics are requested before the test.
        let scene = Scene::new(Behaviour::Good { tokens: 3 }, |_, front| (front.good, front.misdeed) = (2, misdeed));
        let output = scene.run(&profile(2, "timeout = { connect = \"300ms\" }"), &["--no-probe"]);
        says(&output, 107, &["NO DATA", class]);
        let result = scene.result();
        assert_eq!(result["failures"][class], 2, "{misdeed:?}: {output:?}");
        if let Some(trouble) = trouble {
            assert_eq!(result["target"]["tls"]["troubles"][trouble], 2, "{misdeed:?}: {output:?}");
            says(&output, 107, &[trouble]);
        }
        if misdeed == Misdeed::Stall {
            assert_eq!(result["target"]["addresses"][0]["failed"], 2);
            assert_eq!(result["metrics"]["connections_opened"]["count"], 0);
        }
    }
}

#[test]
fn a_handshake_that_stalls_before_the_start_is_said_to() {
    let scene = Scene::new(Behaviour::Good { tokens: 3 }, |_, front| front.misdeed = Misdeed::Stall);
    says(&scene.run(&profile(1, ""), &[]), 107, &["error: https://", "handshake stalled"]);
}

/// Starts a server that ends its responses by closing the connection.
fn until_the_end() -> (std::net::SocketAddr, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        for _ in 0..3 {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let body = r#"{"status":"ok","choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{body}");
        }
    });
    (addr, thread)
}

#[test]
fn an_answer_that_ends_with_the_connection_is_whole_only_if_that_is_said() {
    for (misdeed, code) in [(Misdeed::None, 0), (Misdeed::Cut, 107)] {
        let (addr, server) = until_the_end();
        let (bench, lab) = (Bench::new(), Lab::new());
        let (ca, result) = (bench.write("ca.pem", &lab.ca_pem), bench.path("r.json"));
        // The health check, then the statistics.
        let secure = lab.secure(addr, Front { misdeed, good: 2, ..lab.front() });
        let profile = bench.write("p.toml", &profile(1, "").replace("stream = true", "stream = false"));
        let url = secure.url();
        let output = blast(&[&profile, "--target-url", &url, "--no-probe", "--cacert", &ca, "--output", &result]);
        assert_eq!(output.code, Some(code), "{misdeed:?}: {output:?}");
        let cut = document(&result)["failures"].get("closed_early").cloned();
        assert_eq!(cut, (misdeed == Misdeed::Cut).then(|| Value::from(1)), "{misdeed:?}");
        server.join().unwrap();
    }
}

#[test]
fn names_lead_where_they_are_told_to() {
    let scene = Scene::new(Behaviour::Good { tokens: 3 }, |lab, front| {
        front.identity = lab.identity(&["api.invalid"], 2090);
    });
    let (ca, port) = (scene.bench.path("ca.pem"), scene.secure.addr().port());
    let url = format!("https://api.invalid:{port}");
    let base = ["--target-url", &url, "--cacert", &ca];
    says(&scene.run_with(&profile(1, ""), &base), 107, &["cannot be resolved", "--resolve HOST:PORT:ADDR"]);
    let resolve = format!("api.invalid:{port}:127.0.0.1");
    says(&scene.run_with(&profile(1, ""), &[&base[..], &["--resolve", &resolve]].concat()), 0, &["PASS"]);
    let detour = format!("api.invalid:443:127.0.0.1:{port}");
    let usual = ["--target-url", "https://api.invalid", "--cacert", &ca, "--connect-to", &detour];
    says(&scene.run_with(&profile(1, ""), &usual), 0, &["PASS"]);
    // Requests name the target, whatever its address.
    let hosts: Vec<String> = scene.server.posts();
    assert!(hosts[0].contains(&format!("\r\nHost: api.invalid:{port}\r\n")), "{}", hosts[0]);
    assert!(hosts[1].contains("\r\nHost: api.invalid\r\n"), "{}", hosts[1]);
}

#[test]
fn files_that_cannot_be_used_are_refused_before_the_start() {
    let scene = Scene::new(Behaviour::Good { tokens: 3 }, |_, _| ());
    let (cert, key, ca) = (scene.bench.path("cert.pem"), scene.bench.path("key.pem"), scene.bench.path("ca.pem"));
    let nonsense = scene.bench.write("nonsense.pem", "hunter2");
    let missing = scene.bench.path("missing.pem");
    for (args, words) in [
        (&["--cert", &cert, "--key", &missing][..], &["--key: cannot read", "missing.pem"][..]),
        (&["--cert", &cert, "--key", &nonsense], &["--key expects", "nonsense.pem"]),
        (&["--cert", &nonsense, "--key", &key], &["--cert expects"]),
        (&["--cert", &ca, "--key", &key], &["--cert and --key cannot be used"]),
        (&["--cert", &cert], &["add --key"]),
        (&["--key", &key], &["add --cert"]),
        (&["--insecure"], &["--insecure cannot be used together with --cacert"]),
        (&["--native-roots"], &["cannot be used together"]),
    ] {
        let output = scene.run(&profile(1, ""), args);
        says(&output, 104, words);
        assert!(!output.stderr.contains("hunter2"), "{output:?}");
    }
    let url = scene.secure.url();
    let output = scene.run_with(&profile(1, ""), &["--target-url", &url, "--cacert", &nonsense]);
    says(&output, 104, &["--cacert expects certificates", "nonsense.pem"]);
    assert_eq!(scene.secure.connections(), 0);
    let http = format!("http://{}", scene.server.addr());
    says(&scene.run_with(&profile(1, ""), &["--target-url", &http, "--insecure"]), 104, &["expected https://"]);
}

// ---- nginx ------------------------------------------------------------------------------------

/// nginx in front of a server. Stopped when dropped.
struct Nginx {
    child: std::process::Child,
    port: u16,
}

impl Nginx {
    /// Starts nginx. Returns `None` with a note if nginx is not installed; `.ci/run` installs and
    /// requires it.
    fn start(bench: &Bench, lab: &Lab, behind: std::net::SocketAddr, protocols: &str) -> Option<Self> {
        let found = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"]
            .iter()
            .find(|f| std::path::Path::new(f).exists());
        let Some(program) = found else {
            assert!(std::env::var_os("LLMSIM_BLAST_CI_NEEDS_NGINX").is_none(), "nginx is missing");
            #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
            {
                eprintln!("skipped: nginx is not installed (apt-get install nginx-light)");
            }
            return None;
        };
        let identity = lab.identity(&["localhost", "127.0.0.1"], 2090);
        let (cert, key) = (bench.write("nginx.pem", &identity.cert_pem), bench.write("nginx.key", &identity.key_pem));
        let port = support::free_port();
        let folder = bench.path("");
        let config = format!(
            "daemon off;\npid {folder}/nginx.pid;\nerror_log stderr;\nworker_processes 1;\nevents {{ worker_connections 512; }}\n\
             http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; \
             uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n\
             server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols {protocols}; \
             ssl_session_cache shared:s:1m; keepalive_requests 4;\n\
             location / {{ proxy_pass http://{behind}; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off; }} }} }}\n"
        );
        let file = bench.write("nginx.conf", &config);
        let child = std::process::Command::new(program)
            .args(["-p", &folder, "-c", &file, "-e", "stderr"])
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("nginx starts");
        let nginx = Self { child, port };
        support::eventually("nginx listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM, so that nginx stops its worker, too.
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

#[test]
fn nginx_in_front_of_a_server_is_a_target_like_any_other() {
    let (lab, server) = (Lab::new(), Misbehaving::start(Behaviour::Good { tokens: 5 }));
    for protocols in ["TLSv1.2", "TLSv1.3"] {
        let bench = Bench::new();
        let Some(nginx) = Nginx::start(&bench, &lab, server.addr(), protocols) else { return };
        let (ca, result) = (bench.write("ca.pem", &lab.ca_pem), bench.path("r.json"));
        let profile = bench.write("p.toml", &profile(10, "vus = 2"));
        let url = format!("https://127.0.0.1:{}", nginx.port);
        let args = [&profile, "--target-url", &url, "--cacert", &ca, "--output", &result, "--workers", "1"];
        let output = blast_with(&args, &[], Duration::from_secs(60));
        says(&output, 0, &["PASS"]);
        let result = document(&result);
        assert_eq!(result["metrics"]["token_events"]["count"], 100, "{protocols}");
        // nginx closes connections after four requests, and resumes the sessions of new
        // connections.
        let count = |name: &str| result["metrics"][name]["count"].as_u64().unwrap();
        assert!(count("tls_handshakes_full") <= 2 && count("tls_handshakes_resumed") >= 4, "{protocols}: {output:?}");
        // nginx answers plain HTTP on its TLS port with an error in plain HTTP.
        let http = format!("http://127.0.0.1:{}", nginx.port);
        says(&blast(&[&profile, "--target-url", &http]), 107, &["http_4xx", "400: 20"]);
    }
}
