//! Document → the flat JSON that `vllm bench serve --save-result` writes, under its names, so that scripts made for it read ours.
//!
//! The names are theirs and so are their meanings where ours differ: `itl` is our `tbt` (every gap), `tpot` is per request, `e2el` is
//! the duration of a request. Our `ttft` leaves the role chunk out, which theirs counts; the numbers are ours.

use super::{Counter, Document, Measured, Trend};
use serde_json::{Map, Value, json};

/// Our trend, and their name for it.
const TRENDS: [(&str, &str); 4] = [("ttft", "ttft"), ("tpot", "tpot"), ("tbt", "itl"), ("http_req_duration", "e2el")];

/// One flat object, with a newline at the end.
pub fn render(document: &Document) -> String {
    let counter = |name: &str| match document.metrics.get(name) {
        Some(Measured::Counter(Counter { count, rate, .. })) => (*count, *rate),
        _ => (0, 0.0),
    };
    let (failed, finished) = match document.metrics.get("http_req_failed") {
        Some(Measured::Rate(rate)) => (rate.matches, rate.total),
        _ => (0, 0),
    };
    let (input, output) = (counter("tokens_input"), counter("tokens_output"));
    let most_at_once = match document.metrics.get("in_flight") {
        Some(Measured::Gauge(gauge)) => Some(gauge.max),
        _ => None,
    };
    let models = document.plan.get("requests").and_then(Value::as_array).into_iter().flatten();
    let models: Vec<&str> =
        models.filter_map(|kind| kind.get("model")?.as_array()).flatten().filter_map(Value::as_str).collect();
    let mut flat = Map::new();
    let mut set = |name: &str, value: Value| drop(flat.insert(name.to_owned(), value));
    set("date", json!(document.run.started_at));
    set("backend", json!("llmsim-blast"));
    set("endpoint_type", json!("openai-chat"));
    set("label", json!(document.run.profile));
    set("model_id", json!(models.first()));
    set("tokenizer_id", json!(models.first()));
    set("num_prompts", json!(finished));
    set("request_rate", json!("inf"));
    set("burstiness", json!(1.0));
    set("max_concurrency", json!(most_at_once));
    set("duration", json!(document.run.window_s));
    set("completed", json!(finished - failed.min(finished)));
    set("failed", json!(failed));
    set("total_input_tokens", json!(input.0));
    set("total_output_tokens", json!(output.0));
    set("request_throughput", json!(counter("http_reqs").1));
    set("request_goodput", Value::Null);
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
    use crate::report::tests::all_sorts;

    #[test]
    fn it_is_flat_and_has_the_names_that_scripts_ask_for() {
        for (sort, document) in all_sorts() {
            let flat: Map<String, Value> = serde_json::from_str(&render(&document)).expect(sort);
            assert!(flat.values().all(|value| !value.is_object() && !value.is_array()), "{sort}");
        }
        let flat: Map<String, Value> = serde_json::from_str(&render(&all_sorts()[0].1)).unwrap();
        // What vLLM's `.buildkite` scripts turn into their tables.
        for name in "model_id max_concurrency request_rate num_prompts completed failed duration request_throughput \
             output_throughput total_token_throughput mean_ttft_ms median_ttft_ms p99_ttft_ms std_ttft_ms mean_tpot_ms \
             median_tpot_ms p99_tpot_ms mean_itl_ms median_itl_ms p99_itl_ms total_input_tokens total_output_tokens"
            .split_whitespace()
        {
            assert!(flat.contains_key(name), "{name}");
        }
        assert_eq!((&flat["completed"], &flat["failed"], &flat["model_id"]), (&json!(100), &json!(3), &json!("gpt-5")));
    }
}
