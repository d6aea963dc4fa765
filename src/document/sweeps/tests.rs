use super::*;
use crate::document::capacity::{self, Try};
use crate::document::throughput::{LLMSIM_P99_MS, Step};
use crate::document::{Build, Quantiles, Reason};

fn step(workers: u32, rate: f64) -> Step {
    Step {
        api: Some("openai-chat".to_owned()),
        workers: Some(workers),
        concurrency: 16,
        requests_per_s: rate,
        tokens_per_s: rate * 16.0,
        http_req_duration: Some(Quantiles { p50: 1.0, p95: 2.0, p99: 3.0 }),
        ttft: None,
        failed: Some(0.0),
        client_cpu: 0.5,
        client_workers: 1,
        server_cpu: None,
        client_bound: false,
        shared_cores: false,
        hints: Vec::new(),
        server_metrics: None,
    }
}

fn environment() -> Environment {
    Environment { cpu_model: Some("a processor".to_owned()), cores: Some(4), ..Environment::default() }
}

fn server() -> TargetServer {
    TargetServer {
        started: true,
        kind: Some("llmsim".to_owned()),
        version: Some("0.6.0".to_owned()),
        ..Default::default()
    }
}

fn throughput() -> Throughput {
    let mut found = Throughput {
        schema: THROUGHPUT_SCHEMA.to_owned(),
        build: Build { version: "0.1.0".to_owned(), ..Build::default() },
        environment: environment(),
        target: "http://127.0.0.1:8080".to_owned(),
        plan_hash: Some("abc".to_owned()),
        server: server(),
        same_machine: true,
        warmup_s: 5.0,
        step_s: 30.0,
        interrupted: false,
        verdict: Verdict::default(),
        max_p99_ms: Some(LLMSIM_P99_MS),
        plain: vec![step(1, 100.0), step(2, 190.0)],
        streamed: vec![step(1, 90.0)],
    };
    found.judge(None);
    found
}

fn capacity() -> Capacity {
    let mut found = Capacity {
        schema: CAPACITY_SCHEMA.to_owned(),
        build: Build { version: "0.1.0".to_owned(), ..Build::default() },
        environment: environment(),
        target: "http://127.0.0.1:8080".to_owned(),
        plan_hash: Some("abc".to_owned()),
        server: server(),
        profile: "load".to_owned(),
        shards: None,
        by: By::Rate,
        goals: vec!["ttft p(95)<50ms".to_owned()],
        goals_of_one_request: Vec::new(),
        warmup_s: 3.0,
        window_s: 10.0,
        holds: Some(Try { load: 100.0, held: 3, failed: 0 }),
        fails: Some(Try { load: 110.0, held: 0, failed: 2 }),
        settled: true,
        interrupted: false,
        verdict: Verdict::default(),
        max_time_s: None,
        out_of_time: false,
        curve: vec![capacity::Step {
            load: 100.0,
            held: true,
            undecided: false,
            client_was_late: false,
            broken: Vec::new(),
            ttft: None,
            tbt: None,
            tpot: None,
            http_req_duration: None,
            requests_per_s: 100.0,
            tokens_per_s: 1_600.0,
            failed: Some(0.0),
            goodput: None,
            client: Validity::Ok,
            client_cpu: 0.1,
            server_metrics: None,
        }],
    };
    found.judge(None);
    found
}

fn read(text: &str) -> Run {
    sweep("s.json", text).expect("a sweep").expect("whole")
}

fn peaks(run: &Run) -> Vec<(String, Option<f64>)> {
    let Numbers::Peaks(peaks) = &run.numbers else { panic!("a sweep") };
    peaks.iter().map(|(peak, value)| (peak.to_string(), *value)).collect()
}

#[test]
fn each_number_of_worker_threads_is_a_peak() {
    let mut found = throughput();
    found.plain.push(Step { client_bound: true, ..step(2, 200.0) });
    let run = read(&found.to_json());
    let expected = [
        ("requests_per_s{workers:1}".to_owned(), Some(100.0)),
        ("requests_per_s{workers:2}".to_owned(), Some(200.0)),
        ("tokens_per_s{workers:1}".to_owned(), Some(1_440.0)),
    ];
    assert_eq!(peaks(&run), expected);
    assert_eq!((run.sort, run.server.as_str(), run.workload.as_str()), (Sort::Throughput, "llmsim 0.6.0", "abc"));
    assert_eq!((run.incomplete, run.id.len(), run.remarks.len()), (None, 64, 1));
    // A peak is missing if no step counts.
    found.plain = vec![Step { failed: Some(0.5), ..step(1, 100.0) }];
    assert_eq!(peaks(&read(&found.to_json()))[0], ("requests_per_s{workers:1}".to_owned(), None));
}

#[test]
fn several_apis_are_peaks_of_their_own() {
    let mut found = throughput();
    found.streamed = Vec::new();
    found.plain.push(Step { api: Some("openresponses".to_owned()), ..step(1, 80.0) });
    let expected = [
        ("requests_per_s{api:openai-chat,workers:1}".to_owned(), Some(100.0)),
        ("requests_per_s{api:openai-chat,workers:2}".to_owned(), Some(190.0)),
        ("requests_per_s{api:openresponses,workers:1}".to_owned(), Some(80.0)),
    ];
    assert_eq!(peaks(&read(&found.to_json())), expected);
}

#[test]
fn other_steps_are_another_test() {
    let found = throughput();
    let steps = read(&found.to_json()).steps;
    for other in [
        Throughput { step_s: 10.0, ..found.clone() },
        Throughput { warmup_s: 1.0, ..found.clone() },
        Throughput { max_p99_ms: None, ..found.clone() },
        Throughput { plain: vec![step(1, 1.0)], ..found.clone() },
        Throughput { streamed: vec![Step { api: None, ..step(1, 90.0) }], ..found.clone() },
        Throughput { streamed: Vec::new(), ..found.clone() },
        Throughput { server: TargetServer { started: false, ..server() }, ..found.clone() },
    ] {
        assert_ne!(read(&other.to_json()).steps, steps, "{other:?}");
    }
    let steps = read(&capacity().to_json()).steps;
    for other in [
        Capacity { by: By::Vus, ..capacity() },
        Capacity { window_s: 1.0, ..capacity() },
        Capacity { goals: Vec::new(), ..capacity() },
    ] {
        assert_ne!(read(&other.to_json()).steps, steps, "{other:?}");
    }
}

#[test]
fn the_load_that_held_is_the_peak_of_a_capacity() {
    let run = read(&capacity().to_json());
    assert_eq!(peaks(&run), [("capacity".to_owned(), Some(100.0))]);
    let of_shards = read(&Capacity { shards: Some(4), ..capacity() }.to_json());
    assert_eq!((run.shards, of_shards.shards), (0, 4), "those of one process are of another load");
    assert_eq!((run.sort, run.incomplete, run.remarks.len()), (Sort::Capacity, None, 0));
    let mut bound = capacity();
    bound.curve[0].client = Validity::Bottleneck;
    assert!(read(&bound.to_json()).remarks[0].starts_with("the client was the bottleneck"));
}

#[test]
fn what_did_not_come_to_its_end_says_why() {
    let judged = |mut found: Throughput, ended| {
        found.judge(ended);
        read(&found.to_json()).incomplete.unwrap_or_default()
    };
    assert!(judged(Throughput { interrupted: true, ..throughput() }, None).contains("stopped by a signal"));
    let died = TargetServer { died: Some("killed by SIGKILL".to_owned()), ..server() };
    assert!(judged(Throughput { server: died, ..throughput() }, None).contains("the server ended by itself"));
    let ended = Reason::new(crate::document::ReasonKind::NoData, "ended early", "no response".to_owned());
    assert!(judged(throughput(), Some(ended)).contains("it failed (no response)"));
    let judged = |mut found: Capacity| {
        found.judge(None);
        read(&found.to_json()).incomplete.unwrap_or_default()
    };
    assert!(judged(Capacity { holds: None, ..capacity() }).contains("the goals do not hold even at 110"));
    assert!(judged(Capacity { fails: None, ..capacity() }).contains("the limit is unknown (raise --max)"));
    assert!(judged(Capacity { settled: false, ..capacity() }).contains("the search is incomplete"));
}

#[test]
fn what_is_no_sweep_is_left_to_others_and_what_was_edited_is_refused() {
    assert!(sweep("s", "").is_none() && sweep("s", "{}").is_none() && sweep("s", "{\"schema\": 1}").is_none());
    assert!(sweep("s", "{\"schema\": \"llmsim-blast.run/1\"}").is_none());
    let text = throughput().to_json();
    let error = |text: &str| sweep("s", text).expect("a sweep").expect_err("refused").to_string();
    assert!(error(&text.replace("190.0", "290.0")).starts_with("digest: it does not fit"));
    assert!(error(&text.replace("throughput/1", "throughput/2")).contains("newer version"));
    let resealed = |from: &str, to: &str| {
        let mut value = serde_json::from_str(&text.replace(from, to)).expect("JSON");
        crate::document::seal(&mut value);
        value.to_string()
    };
    assert!(error(&resealed("190.0", "-1")).contains("plain[1].requests_per_s: a rate below zero"));
    let wrong = error(&resealed("190.0", "\"many\""));
    assert!(wrong.starts_with("plain[1].requests_per_s: it is not a valid llmsim-blast.throughput/1"), "{wrong}");
}
