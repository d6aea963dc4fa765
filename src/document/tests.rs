use super::*;
use crate::metrics::soak::Soak;
use crate::metrics::validity::{self, Evidence};
use crate::metrics::{self, Asked, Failure, Finish, Outcome, Sample, Summary, Tally, TokenUsage, series};
use crate::plan::{Mix, Plan, Prompt, Secret, Shape, Source, Spec, Stage, ThinkTime, Timeouts, Tokens};
use crate::threshold::{Aggregation, Operator, Rule};
use crate::units::Nanos;
use serde_json::json;

fn rule(metric: &str, request: Option<&str>, aggregation: Aggregation, expression: &str) -> Rule {
    Rule {
        metric: metrics::Metric::from_name(metric).expect("a metric"),
        request: request.map(str::to_owned),
        aggregation,
        operator: Operator::Less,
        bound: 1.0,
        expression: expression.to_owned(),
        abort_on_fail: request.is_some(),
        delay_abort_eval: Nanos::ZERO,
    }
}

fn kind(name: &str, stream: bool) -> crate::plan::Kind {
    let s = Nanos::from_secs;
    crate::plan::Kind {
        name: name.to_owned(),
        weight: 70,
        api: crate::plan::Api::OpenaiChat,
        stream,
        websocket: false,
        path: "/openai/v1/chat/completions".to_owned(),
        models: vec!["gpt-5".to_owned()],
        prompt: Prompt::texts(vec!["Say something.".to_owned()]),
        model_weights: Vec::new(),
        max_tokens: Some(Tokens::Uniform { min: 50, max: 200 }),
        exact: false,
        limit_name: None,
        check_usage: true,
        body: serde_json::Map::new(),
        headers: vec![("x-tenant".to_owned(), "open sesame".to_owned())],
        timeouts: Timeouts { connect: s(5), first_byte: s(60), stall: s(60), total: s(60) },
        retries: None,
        optional: false,
        behaviors: crate::plan::BehaviorMix::default(),
        conversation: None,
        template_tokens: crate::metrics::TemplateTokens::UNKNOWN,
        scenario: None,
        picture: None,
        custom: None,
    }
}

/// Returns a plan that uses every part, with secrets in every place where one may be.
pub(crate) fn plan() -> Plan {
    Plan {
        name: "load".to_owned(),
        description: "Normal load: the performance baseline".to_owned(),
        shape: Shape::RampingVus {
            start_vus: 1,
            stages: [30, 240].map(|s| Stage { duration: Nanos::from_secs(s), target: 50 }).to_vec(),
            graceful_ramp_down: Nanos::from_secs(30),
        },
        think_time: ThinkTime { min: Nanos::from_millis(100), max: Nanos::from_millis(300) },
        graceful_stop: Nanos::from_secs(30),
        mix: Mix { kinds: vec![kind("chat-stream", true), kind("chat", false)] }.into(),
        thresholds: vec![
            rule("http_req_failed", None, Aggregation::Rate, "rate<0.05"),
            rule("http_req_duration", None, Aggregation::P(95.0), "p(95)<3000"),
            rule("http_req_duration", None, Aggregation::P(99.0), "p(99)<5000"),
            rule("ttft", Some("chat-stream"), Aggregation::P(95.0), "p(95)<2s"),
        ],
        target: crate::plan::Target {
            url: "http://127.0.0.1:8080".to_owned(),
            tls: false,
            host: "127.0.0.1".to_owned(),
            port: 8080,
            path_prefix: String::new(),
            query: String::new(),
            addrs: Vec::new(),
        },
        server: Some(Spec {
            source: Source::Embedded,
            config: None,
            chaos: false,
            throughput: None,
            scenarios: false,
            host: "127.0.0.1".to_owned(),
            port: 8080,
            any_port: true,
            ready_within: Nanos::from_secs(10),
        }),
        credentials: crate::plan::Credentials {
            api_key: Some(Secret::new("open sesame".to_owned())),
            basic_auth: None,
            key_as: crate::mix::KeyAs::OfApi,
            ..crate::plan::Credentials::default()
        },
        headers: vec![("authorization".to_owned(), "open sesame".to_owned())],
        seed: 42,
        ..Plan::example()
    }
}

fn sample(kind: u16, n: u64, outcome: Outcome, status: u16) -> Sample {
    let sent = Nanos::from_millis(100 * n);
    let after = |ms| Some(sent + Nanos::from_millis(ms));
    let stream = kind == 0;
    Sample {
        outcome,
        status,
        end: sent + Nanos::from_millis(300 + n),
        first_byte: after(40),
        first_event: after(50).filter(|_| stream),
        first_token: after(60 + n).filter(|_| stream),
        first_visible: after(60 + n).filter(|_| stream),
        last_token: after(290 + n).filter(|_| stream),
        longest_gap: stream.then_some(Nanos::from_millis(25)),
        token_events: if stream { 20 } else { 0 },
        token_events_in_window: if stream { 20 } else { 0 },
        usage: Some(TokenUsage { input: 9, output: 21, reasoning: 0, cached: 0, written: 0 }),
        asked: Asked { input: 8, prefix: 4, output: 25 },
        template: metrics::TemplateTokens::known(1),
        finish: Some(Finish::Stop),
        bytes_sent: 400,
        bytes_received: 6_000,
        reused: n > 0,
        checks_held: 2,
        ..Sample::begun(kind, sent)
    }
}

/// Returns a second with a bit of everything.
pub(crate) fn busy_tally() -> Tally {
    let mut tally = Tally::new(2);
    for n in 0..100 {
        tally.record(&sample((n % 2) as u16, n, Outcome::Success, 200));
        tally.gap(0, 0, Nanos::from_millis(20));
    }
    let limited = Sample {
        retry_after_ms: std::num::NonZeroU32::new(7_000),
        ..sample(0, 3, Outcome::Failed(Failure::Http429), 429)
    };
    tally.record(&limited);
    tally.record(&Sample { usage: None, ..sample(0, 3, Outcome::Failed(Failure::Reset), 0) });
    let broken = Sample { check_failed: Some("choices"), ..sample(1, 3, Outcome::Failed(Failure::Check), 200) };
    tally.record(&broken);
    let slow_down = r#"HTTP 429, retry-after 7: {"error":{"message":"Rate limit exceeded"}}"#.to_owned();
    tally.example(Failure::Http429, Nanos::from_millis(603), slow_down);
    tally.record(&Sample { usage: None, ..sample(0, 9, Outcome::Interrupted, 200) });
    tally.record(&Sample { usage: None, checks_held: 0, ..sample(0, 9, Outcome::Cancelled, 200) });
    tally.connection_opened(Nanos::from_micros(150));
    tally.stale_retry(0, true);
    tally.level(metrics::Gauge::Vus, 50);
    tally.level(metrics::Gauge::Connections, 48);
    tally.cpu_time = Nanos::from_millis(200);
    tally
}

pub(crate) fn verdict(metric: &str, expression: &str, value: Option<f64>, verdict: Judgement) -> Judged {
    let all = if metric == "http_req_duration" { 100 } else { 103 };
    let samples = if value.is_some() { all } else { 0 };
    Judged { metric: metric.to_owned(), expression: expression.to_owned(), value, samples, verdict }
}

fn templates() -> [Template; 2] {
    let of = |request: &str, tokens, tokens_per_word, reason: Option<&str>| Template {
        request: request.to_owned(),
        model: Some("gpt-5".to_owned()),
        tokens,
        tokens_per_word,
        reason: reason.map(str::to_owned),
    };
    let refused = "the server refused a prompt for one token (status 400)";
    [of("chat-stream", Some(1), Some(1.0), None), of("chat", None, None, Some(refused))]
}

/// Returns results over time, with every verdict.
fn soak() -> Soak {
    let server = |verdict| Growth {
        from_s: 61.0,
        to_s: 240.0,
        bytes_per_h: Some(1.5e6),
        low_bytes_per_h: Some(-2.0e6),
        high_bytes_per_h: Some(4.0e7),
        verdict,
    };
    let drifted = Drift { from_s: 31.0, to_s: 270.0, first: 394.0, last: 510.0, verdict: Trending::Growing };
    Soak {
        server: Some(server(Trending::TooShort)),
        client: Some(Growth {
            bytes_per_h: None,
            low_bytes_per_h: None,
            high_bytes_per_h: None,
            ..server(Trending::Stable)
        }),
        drift: vec![("http_req_duration_p95", drifted)],
        ..Soak::default()
    }
}

fn agreements() -> Vec<AgreementLine> {
    let ttfe = AgreementLine {
        name: "ttfe".to_owned(),
        server: 10.0,
        ours: 13.5,
        tolerance: 3.0,
        unit: "ms".to_owned(),
        agree: false,
    };
    let tokens = AgreementLine {
        name: "tokens".to_owned(),
        server: 1.0,
        ours: 1.0,
        tolerance: 0.0,
        unit: String::new(),
        agree: true,
    };
    vec![ttfe, tokens]
}

pub(crate) fn document(tally: &Tally, verdicts: &[Judged], interrupted: bool) -> Document {
    documented(std::slice::from_ref(tally), verdicts, interrupted)
}

/// Returns the document of a run of these seconds, without thresholds.
pub(crate) fn document_of(seconds: &[Tally]) -> Document {
    documented(seconds, &[], false)
}

fn used(rss_start_bytes: u64) -> ServerUse {
    ServerUse { cpu: Nanos::from_millis(12_300), rss_start_bytes, rss_end_bytes: 30_000_000, rss_max_bytes: 33_400_000 }
}

/// Returns the plan that leads to these judgements.
fn judged_by(verdicts: &[Judged]) -> Plan {
    let mut plan = plan();
    let kinds: Vec<String> = plan.mix.kinds.iter().map(|kind| kind.name.clone()).collect();
    let rule = |v: &Judged| crate::threshold::parse(&v.metric, &v.expression, &kinds).expect("a threshold");
    plan.thresholds = verdicts.iter().map(rule).collect();
    plan
}

fn client_signals(summary: &Summary, series: &[series::Second]) -> Vec<Signal> {
    let (kernel, nofile, pinned_beside_server) = (None, Some(20_000), false);
    validity::signals(&Evidence { summary, series, kernel, nofile, pinned_beside_server })
}

fn agreement() -> Agreement {
    Agreement {
        ours: 103,
        server: 103,
        errors: vec![ErrorAgreement { name: "rate_limit_errors".to_owned(), statuses: vec![429], ours: 1, server: 1 }],
    }
}

fn documented(seconds: &[Tally], verdicts: &[Judged], interrupted: bool) -> Document {
    let plan = judged_by(verdicts);
    let mut tally = Tally::new(2);
    for second in seconds {
        tally.append(second);
    }
    let tally = &tally;
    let names: Vec<_> = plan.mix.kinds.iter().map(|k| k.name.clone()).collect();
    let summary = Summary::new(tally, &names, Nanos::from_secs(270));
    let second = |(t_s, tally): (u32, &Tally)| {
        let mut second = series::Second::new(t_s, tally, &names);
        (second.server_cpu, second.server_rss_bytes) = (Some(0.25), Some(21_000_000));
        second.busiest_worker_cpu = 0.1;
        second
    };
    // The requests outside the window are as many again, all in a second of their own.
    let series: Vec<_> = (0..).zip(seconds.iter().chain([tally])).map(second).collect();
    let signals = client_signals(&summary, &series);
    let mut stage = metrics::StageTally::default();
    stage.add(tally);
    let (soak, outside) = (soak(), Summary::new(tally, &names, Nanos::from_secs(270)));
    Document::new(&RunFacts {
        server_metrics: None,
        network: None,
        steady: Steady {
            stages: &[(stage.clone(), Nanos::from_secs(30)), (stage, Nanos::from_secs(240))],
            outside: Some(&outside),
            soak: &soak,
            client_use: Some(used(9_000_000)),
            agreements: agreements(),
        },
        id: "20261124T082215Z-4f2a".to_owned(),
        started_at: "2026-11-24T08:22:15Z".to_owned(),
        duration: Nanos::from_millis(270_300),
        interrupted,
        incomplete: false,
        start: None,
        stop_reason: interrupted.then(|| "SIGINT".to_owned()),
        tags: BTreeMap::from([("branch".to_owned(), "main".to_owned())]),
        argv: vec!["llmsim-blast".to_owned(), "load".to_owned()],
        shard_source: None,
        build: Build { version: "0.1.0".to_owned(), git_commit: None, git_dirty: None, rustc: None },
        server: TargetServer {
            started: true,
            kind: Some("llmsim".to_owned()),
            version: Some("0.6.0".to_owned()),
            git_commit: None,
            git_dirty: None,
            died: None,
            last_lines: Vec::new(),
            cold_start_ms: Some(412.25),
        },
        before: Some(json!({ "total_requests": 0 })),
        after: Some(json!({ "total_requests": 103 })),
        environment: Environment {
            os: "linux".to_owned(),
            arch: "x86_64".to_owned(),
            workers: 2,
            ..Environment::default()
        },
        plan: &plan,
        summary: &summary,
        verdicts,
        templates: &templates(),
        endpoints: &[],
        series: &series,
        server_use: Some(used(20_100_000)),
        signals: &signals,
        hints: &[],
        datasets: Vec::new(),
        token_estimate: None,
        strictness: Strictness::default(),
        agreement: Some(agreement()),
    })
}

/// Returns one endpoint for each verdict.
fn endpoints() -> Vec<Endpoint> {
    let endpoint = |name: &str, path: &str, verdict, reason: Option<&str>, status| Endpoint {
        name: name.to_owned(),
        api: "openai-chat".to_owned(),
        method: "POST".to_owned(),
        path: path.to_owned(),
        stream: name.contains("stream"),
        verdict,
        reason: reason.map(str::to_owned),
        status: Some(status),
        duration_ms: (verdict == EndpointVerdict::Ok).then_some(12.5),
    };
    let missing = "status 404, so the server does not have it";
    vec![
        endpoint("chat-stream", "/openai/v1/chat/completions", EndpointVerdict::Ok, None, 200),
        endpoint("models", "/openai/v1/models", EndpointVerdict::Failed, Some("http_5xx (status 500)"), 500),
        endpoint("messages", "/anthropic/v1/messages", EndpointVerdict::Skipped, Some(missing), 404),
    ]
}

/// Returns documents of every way in which a run can end.
pub(crate) fn all_sorts() -> Vec<(&'static str, Document)> {
    let pass = [
        verdict("http_req_failed", "rate<0.05", Some(3.0 / 103.0), Judgement::Pass),
        verdict("http_req_duration", "p(95)<3000", Some(394.239), Judgement::Pass),
    ];
    let fail = [verdict("http_req_duration", "p(95)<300", Some(394.239), Judgement::Fail), pass[0].clone()];
    let no_data = [verdict("stall{request:chat}", "p(95)<2s", None, Judgement::NoData), pass[0].clone()];
    let mut dead = Tally::new(2);
    dead.record(&Sample { usage: None, ..sample(0, 0, Outcome::Failed(Failure::ConnectRefused), 0) });
    let all_failed = Judged {
        value: Some(1.0),
        samples: 1,
        verdict: Judgement::Fail,
        ..verdict("http_req_failed", "rate<0.05", None, Judgement::Fail)
    };
    let mut bare = document(&busy_tally(), &[], false);
    bare.server = Server::default();
    bare.target.server = TargetServer::default();
    (bare.target.before, bare.target.after, bare.agreement) = (None, None, None);
    bare.client = Client { verdict: Validity::Unknown, signals: Vec::new(), memory: None };
    let mut endpoint = document(&busy_tally(), &pass, false);
    endpoint.endpoints = endpoints();
    endpoint.judge(Strictness::default());
    vec![
        ("pass", document(&busy_tally(), &pass, false)),
        ("fail", document(&busy_tally(), &fail, false)),
        ("no data for a threshold", document(&busy_tally(), &no_data, false)),
        ("interrupted", document(&busy_tally(), &pass, true)),
        ("dead server", document(&dead, &[no_data[0].clone(), all_failed], false)),
        ("nothing at all", document(&Tally::new(2), &[], false)),
        ("remote target without thresholds", bare),
        ("an endpoint that fails", endpoint),
    ]
}

#[test]
fn every_document_is_valid_by_the_schema() {
    let schema: Value = serde_json::from_str(include_str!("schema/run-1.schema.json")).expect("the schema is JSON");
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::validator_for(&schema).expect("the schema compiles");
    let errors =
        |doc: &Value| validator.iter_errors(doc).map(|e| format!("{}: {e}", e.instance_path())).collect::<Vec<_>>();
    for (sort, doc) in all_sorts() {
        let value: Value = serde_json::from_str(&doc.to_json()).expect("JSON");
        assert_eq!(errors(&value), Vec::<String>::new(), "{sort}");
        // The schema is strict about known fields, and lets through fields that a later build may
        // add.
        let mut grown = value.clone();
        grown["run"]["weather"] = json!("rain");
        grown["metrics"]["ttft_p_new"] = json!({ "type": "gauge", "value": 1, "min": 1, "max": 1, "unit": "K" });
        assert_eq!(errors(&grown), Vec::<String>::new(), "{sort}");
    }
    let good = serde_json::to_value(&all_sorts()[0].1).expect("JSON");
    for (section, key) in
        [("run", "id"), ("target", "url"), ("client", "verdict"), ("plan", "hash"), ("environment", "workers")]
    {
        let mut bad = good.clone();
        bad[section].as_object_mut().expect("a section").remove(key);
        assert_ne!(errors(&bad), Vec::<String>::new(), "without {section}.{key}");
    }
    for (pointer, value) in [
        ("/schema", json!("llmsim-blast.run/2")),
        ("/metrics/ttft/p99", json!(null)),
        ("/metrics/ttft/p99", json!(-1)),
        ("/metrics/http_reqs/count", json!(1.5)),
        ("/metrics/http_req_failed/rate", json!(2)),
        ("/failures/http_429", json!("many")),
        ("/thresholds/0/verdict", json!("maybe")),
        ("/series/0/t_s", json!("0")),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).expect(pointer) = value;
        assert_ne!(errors(&bad), Vec::<String>::new(), "{pointer}");
    }
}

#[test]
fn json_comes_back_as_the_same_document() {
    for (sort, doc) in all_sorts() {
        let text = doc.to_json();
        assert!(text.ends_with("}\n"), "{sort}");
        assert_eq!(Document::from_json(&text).expect(sort), doc, "{sort}");
    }
}

#[test]
fn keys_are_sorted_and_no_secret_is_in_it() {
    let text = all_sorts()[0].1.to_json();
    let keys: Vec<_> =
        text.lines().filter_map(|l| l.strip_prefix("  \"")).filter_map(|l| l.split('"').next()).collect();
    assert!(keys.is_sorted() && keys.len() == 26, "{keys:?}");
    assert!(!text.contains("sesame"));
}

#[test]
fn every_metric_of_the_summary_is_in_it_by_name() {
    let doc = &all_sorts()[0].1;
    for metric in metrics::Metric::all() {
        // This tally has no TLS, WebSocket, worker, open loop, conversation or retry, and no level
        // of requests in flight.
        let absent = [
            "http_req_tls_handshaking",
            "ws_connecting",
            "in_flight",
            "client_lag",
            "pass_length",
            "http_req_duration_from_intended",
            "schedule_lag",
            "turn_duration",
            "turn_lag",
            "attempt_duration",
            "attempt_ttft",
        ]
        .contains(&metric.name())
            || matches!(metric, metrics::Metric::Server(_));
        assert_eq!(doc.metrics.contains_key(metric.name()), !absent, "{}", metric.name());
    }
    let Some(Measured::Counter(tokens)) = doc.metrics.get("tokens_output") else { panic!("no tokens") };
    // 102 responses with usage, and 3 streams without it: 20 events each.
    assert_eq!((tokens.count, tokens.token_source.as_deref()), (102 * 21 + 60, Some("usage")));
    assert!(!doc.requests["chat"].contains_key("connections_opened") && !doc.requests["chat"].contains_key("vus"));
    assert_eq!(doc.series[0].requests["chat-stream"].http_reqs, 52);
    assert_eq!(
        doc.failures.classes,
        BTreeMap::from([("check", 1), ("http_429", 1), ("reset", 1)].map(|(k, n)| (k.to_owned(), n)))
    );
}

#[test]
fn unknown_fields_are_accepted_and_later_ones_may_be_missing() {
    let mut value = serde_json::to_value(&all_sorts()[0].1).expect("JSON");
    value["run"]["weather"] = json!("rain");
    value["new_section"] = json!({ "a": [1] });
    let root = value.as_object_mut().expect("an object");
    root.remove("agreement");
    root.remove("series");
    // Only a later build could have written it, and would have sealed it.
    seal(&mut value);
    let doc = Document::from_json(&value.to_string()).expect("still a document");
    assert!(doc.agreement.is_none() && doc.series.is_empty());
}

#[test]
fn what_is_no_document_is_refused_with_the_reason() {
    let text = all_sorts()[0].1.to_json();
    let error = |text: &str| Document::from_json(text).expect_err("not a document").to_string();
    assert!(error(" \n").contains("empty"));
    for cut in [1, text.len() / 3, text.len() - 3] {
        assert!(error(&text[..cut]).contains("ends in the middle"), "{cut}: {}", error(&text[..cut]));
    }
    assert!(error("<html>").contains("not JSON"));
    assert!(error("[1]").contains("found none"));
    assert!(error(r#"{"metrics": {}}"#).contains("found none"));
    assert!(error(r#"{"schema": "k6/1"}"#).contains("'k6/1'"));
    assert!(error(r#"{"schema": "llmsim-blast.run/x"}"#).contains("not a result"));
    assert!(error(r#"{"schema": "llmsim-blast.run/2"}"#).contains("newer"));
    assert!(error(r#"{"schema": "llmsim-blast.run/1"}"#).contains("missing field"));
}

#[test]
fn the_conclusion_is_the_first_that_applies() {
    use Conclusion::{Fail, Interrupted, NoData, Pass};
    let conclusions: Vec<_> = all_sorts().iter().map(|(_, doc)| doc.verdict.conclusion).collect();
    assert_eq!(conclusions, [Pass, Fail, Fail, Interrupted, NoData, NoData, Pass, Fail]);
    // A server that died fails a run that passed until then.
    let mut died = all_sorts().remove(0).1;
    died.target.server.died = Some("killed by SIGKILL".to_owned());
    died.target.server.last_lines = vec!["out of memory".to_owned()];
    died.judge(Strictness::default());
    assert_eq!(died.verdict.conclusion, Conclusion::ServerDied);
    let page = crate::report::terminal::render(&died, crate::report::terminal::Style { color: false, width: 80 });
    assert!(page.starts_with("FAIL ✗") && page.contains("ended by itself") && page.contains("out of memory"), "{page}");
}
