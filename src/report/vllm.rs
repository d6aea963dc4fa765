//! A document as the flat JSON that `vllm bench serve --save-result` writes, under vLLM's names, so
//! that scripts for it can read our results.
//!
//! The names are vLLM's, and so are their meanings where ours differ: `itl` is our `tbt` (every
//! gap), `tpot` is per request, `e2el` is the duration of a request. Our `ttft` leaves out the role
//! chunk, which vLLM's counts. The numbers are ours.

use crate::document::measured::{counter, gauge, rate};
use crate::document::{Document, Measured, Trend};
use crate::metrics;
use serde_json::{Map, Value, json};

/// Our trends, and vLLM's names for them.
const TRENDS: [(&str, &str); 4] = [("ttft", "ttft"), ("tpot", "tpot"), ("tbt", "itl"), ("http_req_duration", "e2el")];

/// Returns the highest planned arrivals a second, if the load has a rate, and the most users.
fn load(plan: &Map<String, Value>) -> (Option<f64>, Option<u64>) {
    let number = |key: &str| plan.get(key).and_then(Value::as_f64);
    let highest = |start: &str| {
        let stages = plan.get("stages").and_then(Value::as_array).into_iter().flatten();
        stages.filter_map(|stage| stage.get("target")?.as_f64()).chain(number(start)).reduce(f64::max)
    };
    let users = |n: f64| n as u64;
    match number("max_vus") {
        Some(most) => {
            let rate = number("rate").or_else(|| highest("start_rate")).zip(number("time_unit"));
            (rate.map(|(n, unit_ms)| n * 1e3 / unit_ms), Some(users(most)))
        }
        None => (None, number("vus").or_else(|| highest("start_vus")).map(users)),
    }
}

/// Returns one flat object, with a newline at the end.
pub fn render(document: &Document) -> String {
    let numbers = &document.metrics;
    let counted = |of| counter(numbers, of).map_or((0, 0.0), |counter| (counter.count, counter.rate));
    let failed = rate(numbers, metrics::Rate::HttpReqFailed);
    let (failed, finished) = failed.map_or((0, 0), |rate| (rate.matches, rate.total));
    let (input, output) = (counted(metrics::Counter::TokensInput), counted(metrics::Counter::TokensOutput));
    let good = rate(numbers, metrics::Rate::Goodput).filter(|_| document.run.window_s > 0.0);
    let good = good.map(|rate| crate::units::rounded(rate.matches as f64 / document.run.window_s));
    let most_at_once = gauge(numbers, metrics::Gauge::InFlight).map(|gauge| gauge.max);
    let kinds = document.plan.get("requests").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let models: Vec<&str> =
        kinds.iter().filter_map(|kind| kind.get("model")?.as_array()).flatten().filter_map(Value::as_str).collect();
    let mut flat = Map::new();
    let mut set = |name: &str, value: Value| drop(flat.insert(name.to_owned(), value));
    set("date", json!(document.run.started_at));
    set("backend", json!("llmsim-blast"));
    set("endpoint_type", json!(kinds.first().and_then(|kind| kind.get("api"))));
    set("label", json!(document.run.profile));
    set("model_id", json!(models.first()));
    set("tokenizer_id", json!(models.first()));
    set("num_prompts", json!(finished));
    let (rate, users) = load(&document.plan);
    set("request_rate", rate.map_or_else(|| json!("inf"), Value::from));
    set("burstiness", document.plan.get("burstiness").cloned().unwrap_or(json!(1.0)));
    set("max_concurrency", json!(users));
    set("max_concurrent_requests", json!(most_at_once));
    set("max_output_tokens_per_s", json!(document.series.iter().map(|second| second.token_events).max()));
    set("duration", json!(document.run.window_s));
    set("completed", json!(finished - failed.min(finished)));
    set("failed", json!(failed));
    set("total_input_tokens", json!(input.0));
    set("total_output_tokens", json!(output.0));
    set("request_throughput", json!(counted(metrics::Counter::HttpReqs).1));
    set("request_goodput", json!(good));
    set("output_throughput", json!(output.1));
    set("total_token_throughput", json!(input.1 + output.1));
    for (ours, theirs) in TRENDS {
        let Some(Measured::Trend(t)) = document.metrics.get(ours) else { continue };
        let Trend { avg, p50, stddev, p90, p95, p99, .. } = **t;
        for (number, value) in
            [("mean", avg), ("median", p50), ("std", stddev), ("p50", p50), ("p90", p90), ("p95", p95), ("p99", p99)]
        {
            set(&format!("{number}_{theirs}_ms"), json!(value));
        }
    }
    format!("{}\n", Value::Object(flat))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tests::all_sorts;

    #[test]
    fn it_is_flat_and_has_the_names_that_scripts_ask_for() {
        for (sort, document) in all_sorts() {
            let flat: Map<String, Value> = serde_json::from_str(&render(&document)).expect(sort);
            assert!(flat.values().all(|value| !value.is_object() && !value.is_array()), "{sort}");
        }
        let flat: Map<String, Value> = serde_json::from_str(&render(&all_sorts()[0].1)).unwrap();
        // vLLM's `.buildkite` scripts put these fields into their tables.
        for name in "model_id max_concurrency max_concurrent_requests max_output_tokens_per_s request_rate request_goodput num_prompts \
             completed failed duration request_throughput output_throughput total_token_throughput endpoint_type \
             mean_ttft_ms median_ttft_ms p99_ttft_ms std_ttft_ms mean_tpot_ms median_tpot_ms p99_tpot_ms mean_itl_ms median_itl_ms p99_itl_ms total_input_tokens total_output_tokens"
            .split_whitespace()
        {
            assert!(flat.contains_key(name), "{name}");
        }
        assert_eq!((&flat["request_rate"], &flat["max_concurrency"]), (&json!("inf"), &json!(50)));
        assert_eq!((&flat["completed"], &flat["failed"], &flat["model_id"]), (&json!(100), &json!(3), &json!("gpt-5")));
    }

    #[test]
    fn load_is_said_in_their_terms() {
        let of = |plan: Value| load(plan.as_object().expect("a section"));
        assert_eq!(of(json!({ "executor": "constant-vus", "vus": 8 })), (None, Some(8)));
        assert_eq!(of(json!({ "start_vus": 3, "stages": [{ "target": 2 }] })), (None, Some(3)));
        let open = json!({ "rate": 90, "time_unit": 60_000.0, "max_vus": 20, "pre_allocated_vus": 5 });
        assert_eq!(of(open), (Some(1.5), Some(20)));
        let ramp = json!({ "start_rate": 1, "stages": [{ "target": 40 }, { "target": 0 }], "time_unit": 1000.0, "max_vus": 9 });
        assert_eq!(of(ramp), (Some(40.0), Some(9)));
        assert_eq!(of(json!({})), (None, None));
    }
}
