//! Remote write: the data that a real Prometheus stores, and runs whose Prometheus fails. Tests
//! with a real Prometheus are skipped if it is not installed.

#![cfg(all(feature = "embedded", feature = "web"))]

mod support;

use serde_json::Value;
use std::io::Write;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{
    Behaviour, Bench, Embedded, Lab, Misbehaving, Output, Prometheus, Request, SOON, blast, document, free_port, now,
    start,
};

/// The width of a bucket of schema 5, as a factor.
const BUCKET: f64 = 1.021_897_2;
/// The range of a query that covers the test.
const ALL: &str = "[10m]";

/// Runs for `length` and writes to the Prometheus at `url`.
fn written(length: &str, url: &str, json: &str, more: &[&str]) -> Output {
    let port = free_port().to_string();
    let args = ["load", "--duration", length, "--vus", "4", "--quiet", "--port", &port, "--output", json];
    blast(&[args.as_slice(), &["--prometheus-write", url], more].concat())
}

/// Returns the time of the last sample of a series, in seconds since 1970.
fn last_sample(prometheus: &Prometheus, series: &str) -> f64 {
    let data = prometheus.ask(&format!("/api/v1/query?time={:.3}&query={series}{ALL}", now()));
    let values = data["result"][0]["values"].as_array().unwrap_or_else(|| panic!("{series}: {data}"));
    values.last().and_then(|pair| pair[0].as_f64()).expect("a time")
}

/// Checks that Prometheus' value is in our bucket or in a neighbouring one.
fn assert_within_a_bucket(what: &str, theirs: f64, ours: f64) {
    assert!(
        theirs < ours * BUCKET.powi(2) && theirs > ours / BUCKET.powi(2),
        "{what}: {theirs} s there, {ours} s here"
    );
}

#[test]
fn a_written_run_is_in_prometheus_to_the_last_request() {
    let Some(prometheus) = Prometheus::start(&[]) else { return };
    let bench = Bench::new();
    let json = bench.path("r.json");
    let output = written("6s", &prometheus.write_url(), &json, &[]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{output:?}");
    let doc = document(&json);
    let end = last_sample(&prometheus, "llmsim_blast_vus");
    for name in ["http_reqs", "tokens_output", "http_reqs_started"] {
        let theirs = prometheus.value(&format!("sum(llmsim_blast_{name}_total)"), end);
        assert_eq!(Some(theirs), doc["metrics"][name]["count"].as_f64(), "{name}");
    }
    for (name, percentile, q) in
        [("ttft", "p99", 0.99), ("tbt", "p99", 0.99), ("tbt", "p50", 0.5), ("http_req_duration", "p95", 0.95)]
    {
        let theirs = prometheus.value(&format!("histogram_quantile({q}, sum(llmsim_blast_{name}_seconds))"), end);
        let ours = doc["metrics"][name][percentile].as_f64().expect(name) / 1e3;
        assert_within_a_bucket(&format!("{name} {percentile}"), theirs, ours);
        let count = prometheus.value(&format!("histogram_count(sum(llmsim_blast_{name}_seconds))"), end);
        assert_eq!(Some(count), doc["metrics"][name]["count"].as_f64(), "{name}");
    }
    // Every series has ended.
    assert!(prometheus.query("{run_id!=\"\"}", end + 1.0).is_empty(), "they are stale");
    // The series begin with the first second, so rates begin at zero.
    let started = prometheus.query("min_over_time(llmsim_blast_http_reqs_started_total[10m])", now());
    assert!(started.iter().all(|series| series.value == 0.0), "{started:?}");
}

#[test]
fn two_shards_that_prometheus_adds_agree_with_merge() {
    let Some(prometheus) = Prometheus::start(&[]) else { return };
    let (bench, server) = (Bench::new(), Embedded::start(""));
    let (url, target) = (prometheus.write_url(), server.url());
    let shard = |shard: &str, json: &str| {
        let args = ["load", "--duration", "5s", "--vus", "4", "--quiet", "--target-url", &target, "--shard", shard];
        start(&[args.as_slice(), &["--output", json, "--prometheus-write", &url]].concat(), &[])
    };
    let (a, b, whole) = (bench.path("a.json"), bench.path("b.json"), bench.path("whole.json"));
    for running in [shard("0/2", &a), shard("1/2", &b)] {
        let output = running.finish(SOON);
        assert_eq!(output.code, Some(0), "{output:?}");
    }
    let merged = blast(&["merge", &a, &b, "--output", &whole]);
    assert!(merged.code.is_some_and(|code| [0, 99].contains(&code)), "{merged:?}");
    let doc = document(&whole);
    // The shards end at different instants. Each is read at its own last sample.
    let ends = ["0", "1"].map(|shard| last_sample(&prometheus, &format!("llmsim_blast_vus%7Bshard=%22{shard}%22%7D")));
    for name in ["ttft", "tbt"] {
        let of = |shard: usize| format!("llmsim_blast_{name}_seconds{{shard=\"{shard}\"}} @ {:.3}", ends[shard]);
        let both = format!("sum({} or {})", of(0), of(1));
        let theirs = prometheus.value(&format!("histogram_quantile(0.99, {both})"), now());
        let ours = doc["metrics"][name]["p99"].as_f64().expect(name) / 1e3;
        assert_within_a_bucket(&format!("{name} p99 of both"), theirs, ours);
        let count = prometheus.value(&format!("histogram_count({both})"), now());
        assert_eq!(Some(count), doc["metrics"][name]["count"].as_f64(), "{name}");
    }
}

#[test]
fn every_query_of_the_dashboard_has_an_answer() {
    let Some(prometheus) = Prometheus::start(&[]) else { return };
    let bench = Bench::new();
    let json = bench.path("r.json");
    let began = now();
    let output = written("10s", &prometheus.write_url(), &json, &["--chaos"]);
    assert!(output.code.is_some_and(|code| [0, 99].contains(&code)), "{output:?}");
    let doc = document(&json);
    let run_id = doc["run"]["id"].as_str().expect("an id");
    let end = last_sample(&prometheus, "llmsim_blast_vus");
    let text = std::fs::read_to_string("scripts/grafana/dashboard.json").expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&dashboard["schemaVersion"], dashboard.get("id")), (&Value::from(39), None));
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    let names: Vec<&str> = variables.iter().filter_map(|variable| variable["name"].as_str()).collect();
    assert_eq!(names, ["DS_PROMETHEUS", "run_id", "shard", "quantile"]);
    for variable in variables.iter().filter(|variable| variable["type"] == "query") {
        let name = variable["name"].as_str().expect("a name");
        let data = prometheus.ask(&format!("/api/v1/label/{name}/values?match[]=llmsim_blast_run_info"));
        assert!(data.as_array().is_some_and(|values| !values.is_empty()), "{name}: {data}");
    }
    let mut queries = 0;
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(panel["type"] == "row" || panel["datasource"]["uid"] == "${DS_PROMETHEUS}", "{panel}");
        for target in panel["targets"].as_array().into_iter().flatten() {
            let written = target["expr"].as_str().expect("an expression");
            assert!(written.contains("run_id=~\"$run_id\"") && written.contains("shard=~\"$shard\""), "{written}");
            let replacements = [
                ("$run_id", run_id),
                ("$shard", ".*"),
                ("$quantile", "0.99"),
                ("$__rate_interval", "8s"),
                ("$__range", "1m"),
            ];
            let expression =
                replacements.iter().fold(written.to_owned(), |text, (name, value)| text.replace(name, value));
            assert!(!expression.contains('$'), "{expression}");
            let rows = prometheus.range(&expression, (began, end));
            assert!(rows.iter().flatten().any(|value| value.is_finite()), "{}: {expression}", panel["title"]);
            queries += 1;
        }
    }
    assert!(queries > 25, "{queries}");
}

#[test]
fn tls_goes_through_our_own_client() {
    let Some(prometheus) = Prometheus::start(&[]) else { return };
    let (bench, lab) = (Bench::new(), Lab::new());
    let addr = prometheus.write_url().trim_start_matches("http://").trim_end_matches("/api/v1/write").to_owned();
    let front = lab.secure(addr.parse().expect("an address"), lab.front());
    let (json, ca) = (bench.path("r.json"), bench.write("ca.pem", &lab.ca_pem));
    let url = format!("{}/api/v1/write", front.url());
    let output = written("4s", &url, &json, &["--cacert", &ca]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{output:?}");
    assert!(last_sample(&prometheus, "llmsim_blast_vus") > 0.0 && front.connections() > 2);
    // Without the authority nothing is sent, and the run still succeeds.
    let output = written("2s", &url, &json, &[]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(
        output.stderr.contains("were lost, and the last one is missing") && output.stderr.contains("certificate"),
        "{output:?}"
    );
}

/// A server that answers each request as specified, and keeps the requests.
struct Fake {
    addr: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// Starts a server. `answer` gets the number of the request, from 0, and its head.
    fn start(answer: impl Fn(usize, &str) -> Option<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("its address").to_string();
        let (requests, count, answer) = (Arc::default(), AtomicUsize::new(0), Arc::new(answer));
        let kept: Arc<Mutex<Vec<String>>> = Arc::clone(&requests);
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming().flatten() {
                let mut stream = stream;
                stream.set_read_timeout(Some(SOON)).expect("a timeout");
                // The body is read, too.
                let Ok(Some(request)) = Request::read(&stream, &mut Vec::new()) else { continue };
                let (head, _) = request.text.split_once("\r\n\r\n").expect("a head");
                let head = head.to_owned();
                let number = count.fetch_add(1, Ordering::Relaxed);
                kept.lock().expect("kept").push(head.clone());
                match answer(number, &head) {
                    Some(text) => drop(stream.write_all(text.as_bytes())),
                    // The request gets no response.
                    None => silent.push(stream),
                }
            }
        });
        Self { addr, requests }
    }

    fn heads(&self) -> Vec<String> {
        self.requests.lock().expect("kept").clone()
    }
}

fn reply(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// Runs briefly against a good server.
fn short_run(url: &str, more: &[&str]) -> Output {
    let server = Misbehaving::start(Behaviour::Good { tokens: 3 });
    let target = server.url();
    let args = ["load", "--duration", "5s", "--vus", "1", "--think-time", "50ms", "--quiet", "--target-url", &target];
    let output = blast(&[args.as_slice(), &["--no-probe", "--prometheus-write", url], more].concat());
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.contains("PASS"), "{output:?}");
    output
}

#[test]
fn a_prometheus_that_recovers_has_lost_nothing() {
    let fake = Fake::start(|number, _| {
        Some(match number {
            0 => reply("429 Too Many Requests", "slow down"),
            1 => reply("503 Service Unavailable", ""),
            _ => reply("204 No Content", ""),
        })
    });
    let output = short_run(&format!("http://{}", fake.addr), &[]);
    assert_eq!(output.stderr, "", "{output:?}");
    let heads = fake.heads();
    assert!(heads.len() > 3, "{heads:?}");
    for line in ["POST /api/v1/write HTTP/1.1", "Content-Encoding: snappy", "X-Prometheus-Remote-Write-Version: 0.1.0"]
    {
        assert!(heads[0].contains(line), "{line}: {}", heads[0]);
    }
}

#[test]
fn a_prometheus_with_a_bad_day_costs_the_run_a_warning() {
    for (answer, words) in [
        (Some(reply("500 Internal Server Error", "out of disk")), "HTTP 500: out of disk"),
        (Some(reply("400 Bad Request", "out of order")), "HTTP 400: out of order"),
        (Some("nonsense".to_owned()), "not HTTP"),
        (None, "no response within 2s"),
    ] {
        let fake = Fake::start(move |_, _| answer.clone());
        let output = short_run(&format!("http://{}", fake.addr), &[]);
        assert!(output.stderr.contains("the last one is missing"), "{words}: {output:?}");
        assert!(output.stderr.contains(words), "{words}: {output:?}");
        assert!(output.took < Duration::from_secs(5 + 40), "{words}: {output:?}");
    }
    // Nothing listens there.
    let output = short_run(&format!("http://127.0.0.1:{}", free_port()), &[]);
    assert!(output.stderr.contains("connection refused"), "{output:?}");
}

#[test]
fn keys_are_sent_and_never_shown() {
    let bench = Bench::new();
    let (token, pair, json) =
        (bench.write("token", "sesame-open\n"), bench.write("pair", "user:pa55word\n"), bench.path("r.json"));
    for (args, line) in [
        (["--prometheus-token-file", &token], "Authorization: Bearer sesame-open"),
        (["--prometheus-basic-auth-file", &pair], "Authorization: Basic dXNlcjpwYTU1d29yZA=="),
    ] {
        // This server repeats the head of the request.
        let fake = Fake::start(|_, head| Some(reply("401 Unauthorized", head)));
        let output = short_run(&format!("http://{}", fake.addr), &[&args[..], &["--output", &json]].concat());
        assert!(fake.heads()[0].contains(line), "{:?}", fake.heads());
        let said = output.stderr + &output.stdout + &std::fs::read_to_string(&json).expect("a document");
        assert!(said.contains("HTTP 401"), "{said}");
        for secret in ["sesame-open", "pa55word", "dXNlcjpwYTU1d29yZA"] {
            assert!(!said.contains(secret), "{secret}: {said}");
        }
    }
    let output = blast(&["load", "--prometheus-write", "http://u:sesame@127.0.0.1", "--show-config"]);
    assert!(output.code == Some(104) && !output.stderr.contains("sesame"), "{output:?}");
}
