use super::*;
use crate::document::tests::all_sorts;
use crate::document::{Second, facts, seal};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Returns a result of an earlier build: without verdict and digest.
fn good() -> Value {
    let mut value = serde_json::to_value(&all_sorts()[0].1).expect("JSON");
    for field in ["verdict", "exit_code", "reasons"] {
        value.as_object_mut().expect("an object").remove(field);
    }
    value
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

/// Makes edits one at a time, sealed again: pointer, value, and the beginning of the refusal. An
/// empty beginning means that the edit is accepted.
fn refused(edits: &[(&str, Value, &str)]) {
    for (pointer, value, field) in edits {
        let mut bad = good();
        let (parent, key) = pointer.rsplit_once('/').expect("a parent");
        bad.pointer_mut(parent).expect(pointer)[key] = value.clone();
        seal(&mut bad);
        if field.is_empty() {
            assert!(Document::from_json(&bad.to_string()).is_ok(), "{pointer}");
            continue;
        }
        let error = why(&bad);
        assert!(error.starts_with(field), "{pointer}: {error}");
    }
}

/// Collects the path of every value of a document.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, v)| leaves(v, &format!("{path}/{key}"), found)),
        Value::Array(all) => all.iter().enumerate().for_each(|(i, v)| leaves(v, &format!("{path}/{i}"), found)),
        _ => found.push(path.to_owned()),
    }
}

#[test]
fn every_edit_of_a_value_is_refused() {
    let (text, mut paths) = (all_sorts()[0].1.to_json(), Vec::new());
    let sealed: Value = serde_json::from_str(&text).expect("JSON");
    leaves(&sealed, "", &mut paths);
    assert!(paths.len() > 300, "{}", paths.len());
    for path in paths.iter().filter(|path| *path != "/schema") {
        let mut edited = sealed.clone();
        let value = edited.pointer_mut(path).expect(path);
        *value = match &*value {
            Value::Number(n) => json!(n.as_f64().expect("a number") * 1.001 + 1e-6),
            Value::String(text) => json!(format!("{text} ")),
            Value::Bool(truth) => json!(!*truth),
            _ => json!(1),
        };
        let error = why(&edited);
        assert!(error.starts_with("digest: it does not fit"), "{path}: {error}");
    }
    let mut grown = sealed.clone();
    grown["run"]["tags"]["more"] = json!("x");
    assert!(why(&grown).starts_with("digest: "), "a tag that is added is an edit");
    let mut cut = sealed;
    cut["series"] = json!([]);
    assert!(why(&cut).starts_with("digest: "), "so is a list that is emptied");
}

/// The same values as written by `jq` 1.6, Python and others: every number a double, other blanks,
/// other order of keys.
#[test]
fn another_writing_of_the_same_values_is_no_edit() {
    fn doubles(value: &mut Value) {
        match value {
            Value::Number(n) => {
                let float = n.as_f64().expect("a number");
                let is_small = float.fract() == 0.0 && float.abs() < 1e17;
                *value = if is_small { json!(float as i64) } else { json!(float) };
            }
            Value::Array(all) => all.iter_mut().for_each(doubles),
            Value::Object(all) => all.values_mut().for_each(doubles),
            _ => {}
        }
    }
    for (sort, mut doc) in all_sorts() {
        doc.run.seed = 12_345_678_901_234_567_890;
        let mut value: Value = serde_json::from_str(&doc.to_json()).expect("JSON");
        doubles(&mut value);
        let text = value.to_string();
        let read = Document::from_json(&text).unwrap_or_else(|error| panic!("{sort}: {error}"));
        assert_eq!(read.metrics, doc.metrics, "{sort}");
        assert_eq!(read.run.seed, 12_345_678_901_234_567_168, "{sort}: the nearest double");
    }
}

#[test]
fn a_number_that_cannot_be_is_refused_by_name() {
    refused(&[
        ("/metrics/ttft/count", json!(7), "metrics.ttft.histogram"),
        ("/metrics/ttft/unit", json!("s"), "metrics.ttft.unit"),
        ("/metrics/ttft/exact/sum_ns", json!("12"), "metrics.ttft.histogram: its sums"),
        ("/metrics/ttft/exact/max_ns", json!(100_000_000), "metrics.ttft.histogram: its sums"),
        ("/metrics/ttft/exact/min_ns", json!(0), "metrics.ttft.histogram: its sums"),
        ("/metrics/ttft/overflow", json!(u64::MAX), "metrics.ttft.overflow: it is higher than"),
        ("/metrics/ttft/overflow", json!(51), "metrics.ttft.histogram"),
        ("/failures/statuses", json!({ "200": u64::MAX }), "failures.statuses.200: it is higher than"),
        ("/metrics/ttft/exact/sum_ns", json!("-12"), "metrics.ttft.exact.sum_ns"),
        ("/metrics/ttft/exact/sum_of_squares_ns2", json!("1e9"), "metrics.ttft.exact.sum_of_squares_ns2"),
        ("/metrics/ttft/exact/min_ns", json!(u64::MAX), "metrics.ttft.exact.min_ns: it is higher than"),
        ("/metrics/ttft/exact/min_ns", json!(1_000_000_000), "metrics.ttft.histogram"),
        ("/metrics/ttft/histogram", json!("AAAA"), "metrics.ttft.histogram"),
        ("/metrics/http_req_failed/matches", json!(104), "metrics.http_req_failed"),
        ("/metrics/vus/min", json!(51), "metrics.vus"),
        ("/metrics/tokens_output/token_source", json!("guess"), "metrics.tokens_output.token_source"),
        ("/failures/statuses", json!({ "many": 1 }), "failures.statuses"),
        ("/metrics/ttft", json!({ "type": "gauge", "value": 1, "min": 1, "max": 1 }), "metrics.ttft.type"),
        ("/run/warmup_s", json!(-1), "run.warmup_s"),
        ("/run/window_s", json!(-1), "run.window_s"),
        ("/plan/hash", Value::Null, "plan.hash: it is missing"),
        ("/run/shard", json!({ "index": 0, "count": 2, "source": "x", "held": [0, 2] }), "run.shard"),
        ("/run/shard", json!({ "index": 1, "count": 2, "source": "x", "held": [] }), "run.shard"),
        ("/run/shard", json!({ "index": 0, "count": 4_000_000_000_u32, "source": "x", "held": [0] }), "run.shard"),
        ("/stages/0/begin_s", json!(-5), "stages[0].begin_s"),
        ("/stages/0/end_s", json!(1e300), "stages[0].begin_s"),
        ("/stages", json!([]), ""),
        ("/series", json!([]), ""),
    ]);
}

/// The plan may hold any float of a user's. It has to be the same after writing and reading, or its
/// hash would change.
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
    // More than a day of empty seconds.
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
fn documents_of_earlier_builds_are_read_and_have_no_digest() {
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
    assert_eq!(doc.verdict, all_sorts()[0].1.verdict, "judged again");
    // Later builds write both, so removing the digest leaves a trace.
    let mut stripped: Value = serde_json::from_str(&all_sorts()[0].1.to_json()).expect("JSON");
    stripped.as_object_mut().expect("an object").remove("digest");
    assert!(why(&stripped).starts_with("digest: it is missing"));
}
