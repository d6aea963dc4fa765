use super::*;
use crate::document::tests::all_sorts;
use crate::document::{Second, facts};
use serde_json::{Value, json};

fn good() -> Value {
    serde_json::to_value(&all_sorts()[0].1).expect("JSON")
}

fn why(value: &Value) -> String {
    Document::from_json(&value.to_string()).expect_err("refused").to_string()
}

#[test]
fn numbers_come_back_exactly() {
    for (sort, doc) in all_sorts() {
        let read = summary(&Document::from_json(&doc.to_json()).expect(sort)).expect(sort);
        let mut again: BTreeMap<_, _> = facts::group(&read.all).into_iter().collect();
        again.extend(facts::gauges(&read));
        assert_eq!(again, doc.metrics, "{sort}");
        for (name, group) in &read.requests {
            assert_eq!(facts::group(group), doc.requests[name], "{sort}");
        }
    }
}

/// Edits, each by itself: where, what, and how the refusal begins; with nothing there it is none.
fn refused(edits: &[(&str, Value, &str)]) {
    for (pointer, value, field) in edits {
        let mut bad = good();
        let (parent, key) = pointer.rsplit_once('/').expect("a parent");
        bad.pointer_mut(parent).expect(pointer)[key] = value.clone();
        if field.is_empty() {
            assert!(Document::from_json(&bad.to_string()).is_ok(), "{pointer}");
            continue;
        }
        let error = why(&bad);
        assert!(error.starts_with(field), "{pointer}: {error}");
    }
}

#[test]
fn every_edited_number_is_refused_by_name() {
    refused(&[
        ("/metrics/ttft/p99", json!(1.5), "metrics.ttft.p99"),
        ("/metrics/ttft/p50", json!(-1), "metrics.ttft.p50"),
        ("/metrics/ttft/avg", json!(1.5), "metrics.ttft.avg"),
        ("/metrics/ttft/max", json!(1.5), "metrics.ttft.max"),
        ("/metrics/ttft/stddev", json!(0), "metrics.ttft.stddev"),
        ("/metrics/ttft/count", json!(7), "metrics.ttft.histogram"),
        ("/metrics/ttft/unit", json!("s"), "metrics.ttft.unit"),
        ("/metrics/ttft/exact/sum_ns", json!("12"), "metrics.ttft.histogram: its sums"),
        ("/metrics/ttft/exact/max_ns", json!(100_000_000), "metrics.ttft.histogram: its sums"),
        ("/metrics/ttft/exact/min_ns", json!(0), "metrics.ttft.histogram: its sums"),
        ("/metrics/ttft/overflow", json!(u64::MAX), "metrics.ttft.overflow: it is higher than"),
        ("/metrics/ttft/overflow", json!(51), "metrics.ttft.histogram"),
        ("/metrics/http_reqs/count", json!(104), "metrics.http_reqs: it counts (104, "),
        ("/metrics/data_sent/count", json!(1 << 30), "metrics.data_sent: it counts"),
        (
            "/requests/chat/http_req_failed",
            json!({ "type": "rate", "rate": 1.0, "matches": 51, "total": 51 }),
            "metrics.http_req_failed: it is",
        ),
        ("/failures/statuses", json!({ "200": u64::MAX }), "failures.statuses.200: it is higher than"),
        ("/metrics/ttft/exact/sum_ns", json!("-12"), "metrics.ttft.exact.sum_ns"),
        ("/metrics/ttft/exact/sum_of_squares_ns2", json!("1e9"), "metrics.ttft.exact.sum_of_squares_ns2"),
        ("/metrics/ttft/exact/min_ns", json!(u64::MAX), "metrics.ttft.exact.min_ns: it is higher than"),
        ("/metrics/ttft/exact/min_ns", json!(1_000_000_000), "metrics.ttft.histogram"),
        ("/metrics/ttft/histogram", json!("AAAA"), "metrics.ttft.histogram"),
        ("/metrics/http_reqs/count", json!(5), "metrics.http_reqs"),
        ("/metrics/http_reqs/rate", json!(5), "metrics.http_reqs.rate"),
        ("/metrics/http_reqs/in_window", json!(5000), "metrics.http_reqs.rate"),
        ("/metrics/http_req_failed/matches", json!(104), "metrics.http_req_failed"),
        ("/metrics/http_req_failed/rate", json!(0.5), "metrics.http_req_failed.rate"),
        ("/metrics/vus/min", json!(51), "metrics.vus"),
        ("/metrics/tokens_output/token_source", json!("guess"), "metrics.tokens_output.token_source"),
        ("/requests/chat/http_req_duration/p95", json!(1), "requests.chat.http_req_duration.p95"),
        ("/failures/http_429", json!(2), "failures"),
        ("/failures/statuses", json!({ "many": 1 }), "failures.statuses"),
        ("/metrics/ttft", json!({ "type": "gauge", "value": 1, "min": 1, "max": 1 }), "metrics.ttft.type"),
    ]);
}

#[test]
fn what_a_result_says_of_itself_is_derived_again() {
    refused(&[
        ("/run/window_s", json!(1e-6), "metrics."),
        ("/run/warmup_s", json!(-1), "run.warmup_s"),
        (
            "/run/shard",
            json!({ "index": 0, "count": 1, "source": "x", "held": [0] }),
            "thresholds: 2 are judged, and the plan has 0",
        ),
        (
            "/run/shard",
            json!({ "index": 0, "count": 2, "source": "x", "held": [0, 1] }),
            "run.shard: it holds [0, 1] of 2, and was run as [0] of 1",
        ),
        ("/plan/of", json!(2), "run.shard: it is missing"),
        ("/plan/hash", json!("0"), "plan.hash: it is not that of the plan"),
        ("/plan/hash", Value::Null, "plan.hash: it is missing"),
        ("/plan/seed", json!(9), "plan.hash: it is not that of the plan"),
        ("/thresholds", json!([]), "thresholds: 0 are judged, and the plan has 2"),
        ("/thresholds/0/expression", json!("rate<0.5"), "thresholds: 2 are judged, and the plan has 2 others"),
        ("/client/verdict", json!("unknown"), "client.verdict: it says unknown"),
        ("/client/signals/0/value", json!(1e9), "client.signals[0].verdict"),
        ("/outside/failed", json!(1), "outside.failed"),
        ("/outside/http_reqs", json!(1), "outside.failed"),
        ("/agreements/0/agree", json!(true), "agreements[0].agree"),
        ("/thresholds/0/verdict", json!("fail"), "thresholds[0]"),
        ("/thresholds/1/value", json!(1.0), "thresholds[1]"),
        ("/run/window_s", json!(-1), "run.window_s"),
        ("/run/shard", json!({ "index": 0, "count": 2, "source": "x", "held": [0, 2] }), "run.shard"),
        ("/run/shard", json!({ "index": 1, "count": 2, "source": "x", "held": [] }), "run.shard"),
    ]);
}

#[test]
fn seconds_and_stages_agree_with_the_whole() {
    refused(&[
        ("/stages/0/tokens_output", json!(5), "stages[0].tokens_output_rate"),
        ("/stages/0/begin_s", json!(-5), "stages[0].begin_s"),
        ("/stages/0/end_s", json!(1e300), "stages[0].begin_s"),
        ("/stages", json!([]), ""),
        ("/series/0/http_reqs", json!(200), "series[0].http_reqs: it is 200, its kinds"),
        ("/series/0/tokens_output", json!(0), "series[0].tokens_output"),
        ("/series/0/ttft/p95", json!(0), "series[0].ttft"),
        ("/series/0/client_lag_p99", json!(-1), "series[0].client_lag_p99"),
        ("/series", json!([]), ""),
        ("/series/0/failed", json!(900), "series[0].failed"),
        ("/series/0/client_cpu", json!(-1), "series[0].client_cpu"),
        ("/series/0/requests/chat/http_req_duration/p95", json!(1), "series[0].requests.chat.histograms"),
        ("/series/0/requests/chat/histograms/http_req_duration", json!("AAAA"), "series[0].requests.chat.histograms"),
        (
            "/series/0/requests/chat/histograms",
            json!({}),
            "series[0].requests.chat.histograms.http_req_duration: it is missing",
        ),
    ]);
}

/// The plan may hold any float of a user's: read and written again it is the same, or its hash would not be.
#[test]
fn floats_come_back_to_the_last_bit() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..20_000 {
        let float = f64::from_bits(random.u64(..));
        if float.is_finite() {
            let text = serde_json::to_string(&float).expect("a number");
            assert_eq!(serde_json::from_str::<f64>(&text).expect("a number").to_bits(), float.to_bits(), "{text}");
        }
    }
}

#[test]
fn a_value_at_its_limit_may_have_been_above_it() {
    let mut edge = good();
    let limit = edge["client"]["signals"][0]["limit"].clone();
    edge["client"]["signals"][0]["value"] = limit;
    edge["client"]["signals"][0]["verdict"] = json!("bottleneck");
    edge["client"]["verdict"] = json!("bottleneck");
    assert!(Document::from_json(&edge.to_string()).is_ok());
}

#[test]
fn a_field_of_the_wrong_type_is_named() {
    for (pointer, value, field) in [
        ("/run/id", json!(5), "run.id"),
        ("/series/0/t_s", json!(-1), "series[0].t_s"),
        ("/environment/workers", json!("two"), "environment.workers"),
        ("/plan", json!([]), "plan"),
    ] {
        let mut bad = good();
        *bad.pointer_mut(pointer).expect(pointer) = value;
        let error = why(&bad);
        assert!(error.starts_with(field), "{pointer}: {error}");
    }
    let text = good().to_string();
    let error = |text: &str| Document::from_json(text).expect_err("refused").to_string();
    assert!(error(&text.replacen("\"window_s\":270.0", "\"window_s\":NaN", 1)).contains("not JSON"));
    assert!(error(&text.replacen("\"window_s\":270.0", "\"window_s\":1e999", 1)).contains("not JSON"));
}

#[test]
fn a_histogram_of_another_metric_is_not_taken_for_this_one() {
    let mut bad = good();
    bad["metrics"]["ttft"]["histogram"] = bad["metrics"]["tbt"]["histogram"].clone();
    let error = why(&bad);
    assert!(error.starts_with("metrics.ttft.histogram: it holds 100 times, and count says 50"), "{error}");
}

#[test]
fn seconds_ascend_and_are_not_without_end() {
    let mut bad = good();
    let second = bad["series"][0].clone();
    bad["series"] = json!([second.clone(), second.clone()]);
    assert!(why(&bad).starts_with("series: its seconds do not ascend"), "{}", why(&bad));
    // A day and more of empty seconds.
    let (_, mut doc) = all_sorts().into_iter().find(|(sort, _)| *sort == "nothing at all").expect("a sort");
    let mut empty = doc.series[0].clone();
    empty.requests.clear();
    doc.series = (0..=MAX_SECONDS as u32).map(|t_s| Second { t_s, ..empty.clone() }).collect();
    assert_eq!(
        check(&doc).map_err(|e| e.to_string()),
        Err("series: 100001 seconds; at most 100000 are read".to_owned())
    );
    doc.series.pop();
    assert_eq!(check(&doc), Ok(()));
}

#[test]
fn documents_of_earlier_builds_are_read() {
    let mut old = good();
    for numbers in ["metrics", "requests/chat", "requests/chat-stream"] {
        for measured in
            old.pointer_mut(&format!("/{numbers}")).and_then(Value::as_object_mut).expect("numbers").values_mut()
        {
            let fields = measured.as_object_mut().expect("a metric");
            fields.remove("exact");
            fields.remove("in_window");
        }
    }
    let doc = Document::from_json(&old.to_string()).expect("read");
    assert_eq!(doc.metrics.len(), all_sorts()[0].1.metrics.len());
}
