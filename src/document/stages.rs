//! The load stage by stage, and the requests outside the measurement window.

use super::{Histograms, Quantiles};
use crate::metrics::{Counter, Distribution, Rate, StageTally, Summary};
use crate::plan::Plan;
use crate::units::{Nanos, rounded};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Requests that were sent in one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Start of the stage, from the start of the test.
    pub begin_s: f64,
    /// End of the stage, or of the test if that was earlier.
    pub end_s: f64,
    /// Requests sent in the stage that finished, with any outcome.
    pub http_reqs: u64,
    pub failed: u64,
    /// Requests that the end of the test cut off.
    pub interrupted: u64,
    /// Generated tokens of these requests. Earlier builds kept only the rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_output: Option<u64>,
    /// Requests per second of the stage.
    pub http_reqs_rate: f64,
    /// Generated tokens per second of the stage.
    pub tokens_output_rate: f64,
    /// Durations of the successful requests.
    pub http_req_duration: Option<Quantiles>,
    /// Times to first token of the successful requests.
    pub ttft: Option<Quantiles>,
    /// The histograms of both.
    #[serde(default)]
    pub histograms: Histograms,
}

/// Requests that were sent outside the measurement window. They are in no metric, but they are
/// never hidden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    pub http_reqs: u64,
    pub failed: u64,
    /// Requests that the end of the test cut off.
    pub interrupted: u64,
    pub failures: BTreeMap<String, u64>,
}

pub(crate) fn stages(plan: &Plan, stages: &[(StageTally, Nanos)]) -> Vec<Stage> {
    let spans = plan.shape.spans();
    // A single stage is the whole test.
    if spans.len() < 2 {
        return Vec::new();
    }
    let rows = spans.iter().zip(stages).map(|(span, (tally, open_for))| {
        let encoded = |times: Option<&Distribution>| times.map(Distribution::encoded);
        Stage {
            begin_s: rounded(span.begin.as_secs_f64()),
            end_s: rounded((span.begin + *open_for).as_secs_f64()),
            http_reqs: tally.http_reqs,
            failed: tally.failed,
            interrupted: tally.interrupted,
            tokens_output: Some(tally.tokens_output),
            http_reqs_rate: rate(tally.http_reqs, open_for.as_secs_f64()),
            tokens_output_rate: rate(tally.tokens_output, open_for.as_secs_f64()),
            http_req_duration: tally.http_req_duration.as_deref().map(Quantiles::of),
            ttft: tally.ttft.as_deref().map(Quantiles::of),
            histograms: Histograms {
                http_req_duration: encoded(tally.http_req_duration.as_deref()),
                ttft: encoded(tally.ttft.as_deref()),
                tbt: None,
            },
        }
    });
    rows.collect()
}

/// Returns the rate over a stage. It is 0 for a stage that never began.
pub(crate) fn rate(n: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { rounded(n as f64 / seconds) } else { 0.0 }
}

pub(crate) fn outside(summary: &Summary) -> Outside {
    let count = |counter| summary.counter(counter, None).map_or(0, |c| c.count);
    Outside {
        http_reqs: count(Counter::HttpReqs),
        failed: summary.rate(Rate::HttpReqFailed, None).map_or(0, |shard| shard.matches),
        interrupted: count(Counter::Interrupted),
        failures: summary.failures.iter().map(|(failure, all)| (failure.name().to_owned(), all.count)).collect(),
    }
}

/// Adds the requests of another shard outside the window.
pub(crate) fn add_outside(sum: &mut Option<Outside>, more: Option<&Outside>) {
    let Some(more) = more else { return };
    let Some(sum) = sum else { return *sum = Some(more.clone()) };
    sum.http_reqs += more.http_reqs;
    sum.failed += more.failed;
    sum.interrupted += more.interrupted;
    for (class, n) in &more.failures {
        *sum.failures.entry(class.clone()).or_default() += n;
    }
}
