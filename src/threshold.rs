//! Pass or fail: k6's threshold grammar, with one difference that matters. *No data is a failure*: k6 passes a rate or trend without
//! samples, and so calls a run against a dead server a success.

use crate::metrics::{Metric, Summary};
use crate::units::Nanos;

/// One threshold. Plain data, valid by construction: the metric exists and has the aggregation.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// What it is set on.
    pub metric: Metric,
    /// Only this kind of request (`http_req_duration{request:chat-stream}`).
    pub request: Option<String>,
    /// Which number of the metric.
    pub aggregation: Aggregation,
    /// How it is compared.
    pub operator: Operator,
    /// With what: milliseconds for times, 0 to 1 for shares, else a plain number.
    pub bound: f64,
    /// The expression as written.
    pub expression: String,
    /// Stop the run as soon as it fails.
    pub abort_on_fail: bool,
    /// But not before this much of the run is over.
    pub delay_abort_eval: Nanos,
}

/// A number of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aggregation {
    /// Mean (trend).
    Avg,
    /// Lowest (trend, gauge).
    Min,
    /// Highest (trend, gauge).
    Max,
    /// Median (trend).
    Med,
    /// Percentile, 0 to 100 (trend).
    P(f64),
    /// How many (trend, counter).
    Count,
    /// Per second (counter), share (share).
    Rate,
    /// Last value (gauge).
    Value,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

/// Why a text is not a threshold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RuleError(pub String);

/// A threshold's judgement.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The metric as written, selector included.
    pub metric: String,
    /// The expression as written.
    pub expression: String,
    /// What was measured, in the unit of the bound.
    pub value: Option<f64>,
    /// How many samples stand behind it.
    pub samples: u64,
    /// The judgement.
    pub result: Judgement,
}

/// How a threshold came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It held.
    Pass,
    /// It did not.
    Fail,
    /// Nothing was measured: not a pass.
    NoData,
}

/// Reads one threshold. `metric` may carry a selector, `expression` is like `p(95)<2s`. Kinds of request are checked against
/// `requests`.
pub fn parse(_metric: &str, _expression: &str, _requests: &[String]) -> Result<Rule, RuleError> {
    todo!()
}

/// Judges all rules.
pub fn judge(_rules: &[Rule], _summary: &Summary) -> Vec<Verdict> {
    todo!()
}
