//! Any server by its URL alone: the tool identifies the target before the load, and reports it.

mod support;

use serde_json::Value;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use support::{Bench, Output, Request, blast, document};

/// A server that knows a few paths. A POST to a known path gets the configured response.
struct Known {
    addr: SocketAddr,
    asked: Arc<Mutex<Vec<Request>>>,
}

const COMPLETION: &str = r#"{"object":"chat.completion","choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;

impl Known {
    /// Starts a server. `answers` are paths with status and body.
    fn start(answers: &[(&str, u16, &str)]) -> Self {
        Self::picky("\u{0}", "", answers)
    }

    /// The same, but a request to a known path that contains `word` gets 400 and `refusal`.
    fn picky(word: &'static str, refusal: &'static str, answers: &[(&str, u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers: Arc<Vec<(String, u16, String)>> =
            Arc::new(answers.iter().map(|&(path, status, body)| (path.to_owned(), status, body.to_owned())).collect());
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, seen) = (Arc::clone(&answers), Arc::clone(&seen));
                std::thread::spawn(move || serve(stream, &answers, (word, refusal), &seen));
            }
        });
        Self { addr, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Returns the paths of the `GET` requests, in order.
    fn gets(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter(|request| !request.post).map(|request| request.path.clone()).collect()
    }

    /// Returns the paths and bodies of the `POST` requests, in order.
    fn posts(&self) -> Vec<(String, Value)> {
        let all = self.asked.lock().unwrap();
        let posts = all.iter().filter(|request| request.post);
        posts.map(|request| (request.path.clone(), support::body(&request.text))).collect()
    }
}

fn serve(
    mut stream: TcpStream,
    answers: &[(String, u16, String)],
    (word, refusal): (&str, &str),
    seen: &Mutex<Vec<Request>>,
) {
    let mut buffer = Vec::new();
    while let Ok(Some(request)) = Request::read(&stream, &mut buffer) {
        let known = answers.iter().find(|(known, ..)| *known == request.path);
        let (status, body) = match known {
            Some(_) if request.text.contains(word) => (400, refusal),
            Some((_, status, body)) => (*status, body.as_str()),
            None => (404, "{}"),
        };
        let answer = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        seen.lock().unwrap().push(request);
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn models(owner: &str, names: &[&str]) -> String {
    let data: Vec<Value> =
        names.iter().map(|name| serde_json::json!({ "id": name, "object": "model", "owned_by": owner })).collect();
    serde_json::json!({ "object": "list", "data": data }).to_string()
}

/// Runs two plain chat completions.
fn run(url: &str, more: &[&str]) -> (Option<Value>, Output) {
    let bench = Bench::new();
    let text = "executor = \"per-vu-iterations\"\nvus = 1\niterations = 2\n[[requests]]\nname = \"chat\"\n\
                api = \"openai-chat\"\n";
    let (profile, result) = (bench.write("two.toml", text), bench.path("r.json"));
    let output = blast(&[&[profile.as_str(), "--target-url", url, "--output", &result], more].concat());
    let document = std::path::Path::new(&result).exists().then(|| document(&result));
    (document, output)
}

#[test]
fn a_compatible_server_needs_its_url_only() {
    let list = models("vllm", &["tiny"]);
    let server = Known::start(&[
        ("/v1/models", 200, &list),
        ("/version", 200, r#"{"version":"0.32.0"}"#),
        ("/v1/chat/completions", 200, COMPLETION),
    ]);
    for path in ["", "/"] {
        let (result, output) = run(&server.url(path), &[]);
        assert_eq!(output.code, Some(0), "{output:?}");
        assert!(output.stderr.contains("vLLM 0.32.0, model tiny"), "{output:?}");
        let result = result.expect("a result");
        assert_eq!(result["target"]["server"]["kind"], "vllm");
        assert_eq!(result["target"]["server"]["version"], "0.32.0");
        assert_eq!(result["metrics"]["http_req_failed"]["matches"], 0);
    }
    for (path, body) in server.posts() {
        assert_eq!(path, "/v1/chat/completions");
        assert_eq!(body["model"], "tiny");
    }
}

#[test]
fn a_url_that_ends_in_v1_is_understood_and_nothing_is_asked_beside_it() {
    let list = models("me", &["tiny"]);
    let server = Known::start(&[("/v1/models", 200, &list), ("/v1/chat/completions", 200, COMPLETION)]);
    let (_, output) = run(&server.url("/v1"), &[]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let asked = server.gets();
    assert!(asked.iter().all(|path| path.starts_with("/v1")), "{asked:?}");
    assert_eq!(server.posts().len(), 3, "a question for one token, and two requests");
}

#[test]
fn several_models_are_listed_and_one_has_to_be_chosen() {
    let list = models("vllm", &["a", "b"]);
    let server = Known::start(&[("/v1/models", 200, &list), ("/v1/chat/completions", 200, COMPLETION)]);
    let (result, output) = run(&server.url(""), &[]);
    assert!(output.code == Some(104) && result.is_none(), "{output:?}");
    assert!(output.stderr.contains("several models: a, b; choose one with --model"), "{output:?}");
    assert!(server.posts().is_empty(), "nothing is sent");
    assert_eq!(run(&server.url(""), &["--model", "b"]).1.code, Some(0));
}

#[test]
fn a_locked_and_a_loading_server_say_what_to_do() {
    let locked = Known::start(&[("/v1/models", 401, "{}"), ("/v1/chat/completions", 200, COMPLETION)]);
    let (_, output) = run(&locked.url(""), &[]);
    assert!(output.code == Some(107) && output.stderr.contains("--api-key-file"), "{output:?}");
    let bench = Bench::new();
    let key = bench.write("key", "sk-1\n");
    let (_, output) = run(&locked.url(""), &["--api-key-file", &key, "--model", "m"]);
    assert_eq!(output.code, Some(0), "a key may be good for requests only: {output:?}");
    let loading = Known::start(&[("/v1/models", 503, r#"{"error":{"message":"Loading model"}}"#)]);
    let (_, output) = run(&loading.url(""), &[]);
    assert!(output.code == Some(107) && output.stderr.contains("--wait-ready"), "{output:?}");
}

#[test]
fn a_server_that_comes_later_is_waited_for() {
    let free = support::free_port();
    let url = format!("http://127.0.0.1:{free}");
    let (_, output) = run(&url, &["--wait-ready", "1s"]);
    assert_eq!(output.code, Some(107), "{output:?}");
    assert!(output.stderr.contains("is not up yet: waiting at most 1s"), "{output:?}");
}

#[test]
fn who_has_said_it_all_is_not_asked() {
    let list = models("vllm", &["tiny"]);
    let answers = [("/v1/models", 200, list.as_str()), ("/v1/chat/completions", 200, COMPLETION)];
    let server = Known::start(&answers);
    let (_, output) = run(&server.url(""), &["--server", "vllm", "--no-probe", "--model", "m"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(server.gets().iter().all(|path| path == "/health"), "{:?}", server.gets());
    assert_eq!(server.posts()[0].0, "/v1/chat/completions");
    let sent = |more: &[&str]| {
        let server = Known::start(&answers);
        let profile =
            ["quick-smoke", "--server", "vllm", "--model", "m", "--target-url", &server.url("")].map(str::to_owned);
        blast(&profile.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>());
        server.posts().len()
    };
    assert_eq!(sent(&[]), sent(&["--no-probe"]) + 1, "one request finds out whether usage may be asked for");
    let (_, output) = run(&server.url(""), &["--server", "kittens"]);
    assert!(output.code == Some(2) && output.stderr.contains("llamacpp"), "{output:?}");
}

const RENAMED: &str = r#"{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."}}"#;

#[test]
fn the_limit_goes_by_the_name_that_the_server_takes() {
    let list = models("system", &["o3"]);
    let answers = [("/v1/models", 200, list.as_str()), ("/v1/chat/completions", 200, COMPLETION)];
    let server = Known::picky("\"max_tokens\"", RENAMED, &answers);
    let (result, output) = run(&server.url(""), &["--max-tokens", "5"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let result = result.expect("a result");
    assert!(result["hints"].to_string().contains("limit_renamed"), "{}", result["hints"]);
    let asked: Vec<_> = server.posts().into_iter().map(|(_, body)| body).collect();
    assert_eq!((asked.len(), &asked[0]["max_tokens"], &asked[1]["max_completion_tokens"]), (4, &1.into(), &1.into()));
    assert!(asked[2..].iter().all(|body| body["max_completion_tokens"] == 5 && body.get("max_tokens").is_none()));
    let told = Known::picky("\"max_tokens\"", RENAMED, &answers);
    let (_, output) = run(
        &told.url(""),
        &["--max-tokens", "5", "--token-limit-field", "max_completion_tokens", "--no-probe", "--server", "openai"],
    );
    assert!(output.code == Some(0) && told.posts().len() == 2, "{output:?}");
    let (_, output) = run(&told.url(""), &["--max-tokens", "5", "--token-limit-field", "max_tokens"]);
    assert!(output.code == Some(107) && output.stdout.contains("max_completion_tokens"), "{output:?}");
}

#[test]
fn a_model_that_answers_under_another_name_is_told() {
    let list = models("system", &["gpt-4o"]);
    let renamed = COMPLETION.replacen('{', "{\"model\":\"gpt-4o-2024-08-06\",", 1);
    let server = Known::start(&[("/v1/models", 200, &list), ("/v1/chat/completions", 200, &renamed)]);
    let (_, output) = run(&server.url(""), &[]);
    let said = "requested model gpt-4o, but the responses name model gpt-4o-2024-08-06";
    assert!(output.code == Some(0) && output.stdout.contains(said), "{output:?}");
}

#[test]
fn all_targets_are_asked() {
    let list = models("vllm", &["a", "b"]);
    let other = models("vllm", &["b"]);
    let one = Known::start(&[("/v1/models", 200, &list), ("/v1/chat/completions", 200, COMPLETION)]);
    let two = Known::start(&[("/v1/models", 200, &other), ("/v1/chat/completions", 200, COMPLETION)]);
    let (_, output) = run(&one.url(""), &["--target-url", &two.url("")]);
    assert_eq!(output.code, Some(0), "b is what both have: {output:?}");
    assert!(one.posts().iter().chain(&two.posts()).all(|(_, body)| body["model"] == "b"));
    assert!(!two.posts().is_empty() && !two.gets().is_empty());
    let locked = Known::start(&[("/v1/models", 401, "{}")]);
    let (_, output) = run(&one.url(""), &["--target-url", &locked.url("")]);
    let names_it = output.stderr.contains(&locked.url("")) && output.stderr.contains("--api-key-file");
    assert!(output.code == Some(107) && names_it, "{output:?}");
}

#[test]
fn answers_without_usage_can_be_let_pass() {
    let bare = COMPLETION.replace("\"usage\"", "\"use\"");
    let server = Known::start(&[("/v1/models", 200, &models("me", &["m"])), ("/v1/chat/completions", 200, &bare)]);
    let (_, output) = run(&server.url(""), &[]);
    assert!(output.code == Some(107) && output.stdout.contains("has usage"), "{output:?}");
    let (result, output) = run(&server.url(""), &["--check-usage", "off", "--body", "temperature=0"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let result = result.expect("a result");
    assert_eq!(result["metrics"]["http_req_failed"]["matches"], 0);
    assert_eq!(result["plan"]["requests"][0]["check_usage"], false);
    assert_eq!(server.posts().last().expect("some").1["temperature"], 0);
}

const METRICS: &str = "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{m=\"}\"} 2\n\
    vllm:num_requests_waiting NaN\nvllm:request_success_total 7\nvllm:generation_tokens_total 100\nmine 42\n";

/// Runs for two seconds against a vLLM whose metrics path gives `answer`.
fn watched(answer: (&str, u16, &str), more: &[&str]) -> (Value, Output) {
    let list = models("vllm", &["tiny"]);
    let server = Known::start(&[("/v1/models", 200, &list), ("/v1/chat/completions", 200, COMPLETION), answer]);
    let bench = Bench::new();
    let text = "executor = \"constant-vus\"\nvus = 1\nduration = \"2s\"\nthink_time = \"20ms\"\n[[requests]]\n\
                name = \"chat\"\napi = \"openai-chat\"\n[thresholds]\nserver_running = [\"value<=2\"]\n";
    let (profile, result) = (bench.write("two.toml", text), bench.path("r.json"));
    let page = bench.path("r.html");
    let url = server.url("");
    let output =
        blast(&[&[profile.as_str(), "--target-url", &url, "--output", &result, "--html", &page], more].concat());
    let page = std::fs::read_to_string(page).expect("a page");
    let has_chart = answer.1 == 200 && answer.2 == METRICS;
    let is_off = more.contains(&"off");
    assert_eq!(page.contains("Requests that the server works on"), has_chart && !is_off, "{output:?}");
    (document(&result), output)
}

#[test]
fn what_the_server_says_of_itself_is_read_once_a_second() {
    let (result, output) = watched(("/metrics", 200, METRICS), &["--server-metric", "mine"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let said = &result["server_metrics"];
    assert_eq!((&said["server"], &said["failed"]), (&"vLLM".into(), &0.into()), "{said}");
    assert!(said["readings"].as_u64() >= Some(2), "{said}");
    assert_eq!(
        (&said["numbers"]["server_running"]["max"], &said["numbers"]["mine"]["mean"]),
        (&2.0.into(), &42.0.into())
    );
    assert!(said["numbers"].get("server_waiting").is_none(), "what is no number is none: {said}");
    assert_eq!(result["series"][0]["server_metrics"]["server_running"], 2.0, "{}", result["series"][0]);
    // The round-trip times to the server, if the system allows reading them.
    if let Some(network) = result.get("network") {
        // The connection that reads the server's metrics may be counted, too.
        assert!(network["connections"].as_u64() >= Some(1) && network["to_proxy"] == false, "{network}");
        assert!(network["rtt"]["p50"].as_f64() > Some(0.0) && network["segments"].as_u64() > Some(0), "{network}");
        assert!(result["series"][0]["rtt_ms"].as_f64() > Some(0.0), "{}", result["series"][0]);
    }
    let tokens = said["compared"].as_array().unwrap().iter().find(|line| line["name"] == "all output tokens").unwrap();
    assert!(tokens["server"] == 0.0 && tokens["ours"].as_f64() > Some(0.0), "it lies, and that is told: {tokens}");
    for told in ["SERVER SAYS", "vLLM, ", "mine", "the server counted 0, we counted"] {
        assert!(output.stdout.contains(told), "{told}: {output:?}");
    }
    assert!(output.stdout.lines().all(|line| line.chars().count() <= 80), "{output:?}");
}

/// Each step of a sweep reports the server's metrics, and goals may refer to them.
#[test]
fn steps_of_sweeps_say_what_the_server_says_of_itself() {
    let list = models("vllm", &["tiny"]);
    let server = Known::start(&[
        ("/v1/models", 200, &list),
        ("/v1/chat/completions", 200, COMPLETION),
        ("/metrics", 200, METRICS),
    ]);
    let (bench, url) = (Bench::new(), server.url(""));
    let (result, page) = (bench.path("r.json"), bench.path("r.html"));
    let short = ["--duration", "1s", "--warmup", "0s", "--target-url", &url, "--output", &result, "--html", &page];
    let capacity = ["capacity", "--no-stream", "--by", "vus", "--min", "1", "--max", "2", "--think-time", "20ms"];
    let goals = ["--slo", "http_req_failed rate<1%", "--slo", "server_running value<=2", "--server-metric", "mine"];
    let output = blast(&[&capacity[..], &goals, &short].concat());
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.contains("the server says: ") && output.stdout.lines().all(|line| line.len() <= 82));
    let found = document(&result);
    for step in found["curve"].as_array().expect("steps") {
        let numbers = &step["server_metrics"]["numbers"];
        assert_eq!((&numbers["server_running"]["max"], &numbers["mine"]["max"]), (&2.0.into(), &42.0.into()), "{step}");
    }
    let page = |result: &str| std::fs::read_to_string(result).expect("a page");
    assert!(page(&bench.path("r.html")).contains("Requests that the server works on, by load"));
    assert!(output.stdout.contains("\n  the server says: mine\n") && page(&bench.path("r.html")).contains("42.00"));
    let missed = ["--slo", "server_running value<2"];
    let output = blast(&[&capacity[..], &missed, &short].concat());
    assert!(output.code == Some(99) && output.stdout.contains("server_running value<2: measured 2.00"), "{output:?}");

    let throughput = ["throughput", "--concurrency", "2", "--responses", "plain", "--model", "tiny"];
    let output = blast(&[&throughput[..], &short, &["--server-metric", "mine"]].concat());
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.contains("The server says: `mine`") && page(&bench.path("r.html")).contains("42.00"));
    assert!(output.stdout.contains("The server says (") && output.stdout.contains("|    2 at once |       2.0 |"));
    assert_eq!(document(&result)["plain"][0]["server_metrics"]["server"], "vLLM");
    let output = blast(&[&throughput[..], &short, &["--server-metrics", "off"]].concat());
    assert!(output.code == Some(0) && !output.stdout.contains("The server says"), "{output:?}");
    let output = blast(&[&throughput[..], &short, &["--server-metrics", &server.url("/nothing")]].concat());
    assert!(
        output.code == Some(0)
            && output.stderr.contains("warning: ")
            && output.stderr.contains("no metrics can be read"),
        "{output:?}"
    );
    assert_eq!(output.stderr.matches("no metrics can be read").count(), 1, "{output:?}");
}

#[test]
fn metrics_that_cannot_be_read_do_no_harm() {
    let huge = "x 1\n".repeat(600_000);
    for (answer, reason) in [
        (("/metrics", 404, ""), "status 404"),
        (("/metrics", 200, "<html>"), "no known metric"),
        (("/metrics", 200, huge.as_str()), "longer than"),
    ] {
        // The threshold has no data, so it fails.
        let (result, output) = watched(answer, &[]);
        assert!(output.code == Some(99) && result.get("server_metrics").is_none(), "{output:?}");
        assert_eq!(result["metrics"]["http_req_failed"]["matches"], 0);
        let (result, output) = watched(answer, &["--server-metric", "mine"]);
        assert!(result["hints"].to_string().contains(reason), "who names one is told: {reason} {output:?}");
    }
    let (result, _) = watched(("/metrics", 200, METRICS), &["--server-metrics", "off"]);
    assert!(result.get("server_metrics").is_none());
}

/// Shards agree on an instant. A server that is slow to respond must not make a shard late.
#[test]
fn metrics_are_asked_for_before_the_load_is_waited_for() {
    let list = models("vllm", &["tiny"]);
    let server = Known::start(&[
        ("/v1/models", 200, &list),
        ("/v1/chat/completions", 200, COMPLETION),
        ("/metrics", 200, METRICS),
    ]);
    let (_, output) = run(&server.url(""), &["--start-at", "2020-02-02T20:20:20Z"]);
    assert_eq!(output.code, Some(110), "{output:?}");
    assert_eq!(server.gets().iter().filter(|path| *path == "/metrics").count(), 1, "{:?}", server.gets());
}

#[test]
fn metrics_of_another_place_are_asked_there() {
    let list = models("vllm", &["tiny"]);
    let server = Known::start(&[("/v1/models", 200, &list), ("/v1/chat/completions", 200, COMPLETION)]);
    let metrics = Known::start(&[("/numbers", 200, METRICS)]);
    let bench = Bench::new();
    let (socket, key) = (bench.path("s.sock"), bench.write("key", "sesame-open"));
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let behind = server.addr;
    std::thread::spawn(move || {
        for from in listener.incoming().flatten() {
            let to = TcpStream::connect(behind).unwrap();
            let (mut reads, mut writes) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut reads, &mut writes));
            std::thread::spawn(move || std::io::copy(&mut &to, &mut &from));
        }
    });
    let elsewhere = metrics.url("/numbers");
    let args = ["--unix-socket", &socket, "--api-key-file", &key, "--server-metrics", &elsewhere];
    let (result, output) = run("http://api.example", &args);
    let result = result.expect("a result");
    assert_eq!(result["server_metrics"]["url"], elsewhere, "not through the target's socket: {output:?}");
    assert!(!server.gets().contains(&"/numbers".to_owned()));
    let asked = metrics.asked.lock().unwrap();
    assert!(asked.iter().all(|request| !request.text.contains("sesame")), "the key is for the target only");
    assert!(server.asked.lock().unwrap().iter().any(|request| request.text.contains("sesame")));
    // A name with an empty label does not reach the resolver.
    let (result, _) = run(&server.url(""), &["--server-metrics", "http://a..invalid/metrics"]);
    let hints = result.expect("a result")["hints"].to_string();
    assert!(hints.contains("http://a..invalid/metrics: the host cannot be resolved: "), "{hints}");
}

/// The simulator itself is recognised, and tested on its own paths.
#[cfg(feature = "embedded")]
#[test]
fn the_simulator_keeps_its_own_paths() {
    let server = support::Embedded::start("[latency]\nprofile = \"instant\"\n");
    let (result, output) = run(&server.url(), &[]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(result.expect("a result")["target"]["server"]["kind"], "llmsim");
    let (_, output) = run(&format!("{}/openai/v1", server.url()), &["--model", "gpt-5"]);
    assert_eq!(output.code, Some(0), "as SDKs are given it: {output:?}");
}

/// Azure serves its APIs at other paths, with or without versions, and takes the key in another
/// header.
#[test]
fn azure_is_asked_at_its_own_paths_with_its_own_header() {
    let (old, version) = ("/openai/deployments/my-gpt/chat/completions", "?api-version=2024-10-21");
    let old = format!("{old}{version}");
    let new = "/openai/v1/chat/completions";
    let server = Known::start(&[(&old, 200, COMPLETION), (new, 200, COMPLETION)]);
    let key = ("LLMSIM_BLAST_API_KEY", "key-of-azure");
    let bench = Bench::new();
    let text = "executor = \"per-vu-iterations\"\nvus = 1\niterations = 2\n[[requests]]\nname = \"chat\"\n\
                api = \"openai-chat\"\n";
    let profile = bench.write("two.toml", text);
    let run = |url: &str, flags: &[&str]| {
        let args = [&[profile.as_str(), "--target-url", url, "--server", "azure"][..], flags].concat();
        support::blast_with(&args, &[key], support::SOON)
    };
    let model = &["--model", "my-gpt"][..];
    for (url, flags, path) in [
        (String::new(), model, new),
        ("/openai/v1".to_owned(), model, new),
        (version.to_owned(), model, &old),
        (format!("/openai/deployments/my-gpt{version}"), model, &old),
        (old.clone(), model, &old),
        (new.to_owned(), &["--model", "my-gpt", "--auth", "bearer"], new),
    ] {
        server.asked.lock().unwrap().clear();
        let output = run(&server.url(&url), flags);
        assert_eq!(output.code, Some(0), "{url}: {output:?}");
        assert!(server.gets().iter().all(|path| path.contains("/health")), "{url}: {:?}", server.gets());
        let mut all = server.asked.lock().unwrap();
        all.retain(|request| request.post);
        assert!(all.iter().all(|request| request.path == path), "{url}: {:?}", all[0].text);
        let is_bearer = flags.contains(&"bearer");
        for request in all.iter() {
            assert_eq!(request.text.contains("\r\napi-key: key-of-azure\r\n"), !is_bearer, "{}", request.text);
            assert_eq!(request.text.contains("\r\nAuthorization: Bearer"), is_bearer, "{}", request.text);
            assert_eq!(support::body(&request.text)["model"], "my-gpt");
        }
    }
    let output = run(&server.url(""), &[]);
    assert_eq!(output.code, Some(104), "{output:?}");
    assert!(output.stderr.contains("Azure, which lists no deployments: name one with --model"), "{output:?}");
}
