//! The numbers of a metric in a document.

use crate::metrics;
use crate::metrics::summary::GaugeValue;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The numbers of a run or of a kind of request, by name.
pub(crate) type Numbers = BTreeMap<String, Measured>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Measured {
    /// A distribution of times.
    Trend(Box<Trend>),
    Counter(Counter),
    /// A share of a whole.
    Rate(Rate),
    Gauge(GaugeValue),
}

/// Returns a distribution. `None` if it is absent or empty.
pub(crate) fn trend(numbers: &Numbers, of: metrics::Trend) -> Option<&Trend> {
    match numbers.get(of.name()) {
        Some(Measured::Trend(trend)) if trend.count > 0 => Some(trend),
        _ => None,
    }
}

pub(crate) fn counter(numbers: &Numbers, of: metrics::Counter) -> Option<&Counter> {
    match numbers.get(of.name()) {
        Some(Measured::Counter(counter)) => Some(counter),
        _ => None,
    }
}

/// Returns a ratio. `None` if it is absent or empty.
pub(crate) fn rate(numbers: &Numbers, of: metrics::Rate) -> Option<&Rate> {
    match numbers.get(of.name()) {
        Some(Measured::Rate(rate)) if rate.total > 0 => Some(rate),
        _ => None,
    }
}

pub(crate) fn gauge(numbers: &Numbers, of: metrics::Gauge) -> Option<&GaugeValue> {
    match numbers.get(of.name()) {
        Some(Measured::Gauge(gauge)) => Some(gauge),
        _ => None,
    }
}

/// A distribution of times, in `unit`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// `ms`, or `tokens` of one request.
    pub unit: String,
    pub count: u64,
    /// The sum. With it several documents can be averaged.
    pub sum: f64,
    pub avg: f64,
    pub min: f64,
    pub max: f64,
    pub p50: f64,
    /// 75th percentile.
    pub p75: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p99_9: f64,
    /// 99.99th percentile.
    pub p99_99: f64,
    pub stddev: f64,
    /// Values longer than the histogram reaches (an hour).
    #[serde(default)]
    pub overflow: u64,
    /// The whole distribution in µs, or in tokens: `HdrHistogram`'s V2 format, deflated, in base64.
    pub histogram: String,
    /// Sums and extremes as integers, from which documents are merged without rounding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<Exact>,
}

/// Sums and extremes as integers. A token counts as 1,000 ns. The two sums are text, because they
/// may exceed what JSON readers keep exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exact {
    pub sum_ns: String,
    /// Sum of squares, in ns².
    pub sum_of_squares_ns2: String,
    pub min_ns: u64,
    pub max_ns: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counter {
    /// Count in the whole run.
    pub count: u64,
    /// Count in the measurement window, per second of the window.
    pub rate: f64,
    /// Count in the measurement window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_window: Option<u64>,
    /// Only for generated tokens: the source of the count, `usage` (the server), `events` (ours,
    /// one per event) or `mixed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_source: Option<String>,
    /// Only for tokens: successful requests whose usage the server reported. Input and cached
    /// tokens are counted from these requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_billed: Option<u64>,
    /// Only for tokens: successful requests that had tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_with_tokens: Option<u64>,
}

/// A share of a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// The share, 0 to 1. `None` without a total.
    pub rate: Option<f64>,
    pub matches: u64,
    pub total: u64,
}
