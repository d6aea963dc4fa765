//! Conversion of documents back into numbers, within bounds.
//!
//! A document from a file may be damaged, edited, or written by another program. The digest tells
//! whether a value was changed (`digest.rs`). The checks here protect the decoder. The writer of a
//! result without a digest is unknown, so no count, list or histogram in it may cost more memory or
//! time than a true one.

use super::measured::{Numbers, gauge};
use super::{Document, Exact, KindSecond, Measured, Quantiles, Shard, measured};
use crate::metrics::summary::{CounterValue, Group, RateValue, Summary, TokenSource};
use crate::metrics::{self, Buckets, Distribution, Failure, Incidents, Metric, Trend, Unit};
use crate::units::{Nanos, plural};
use serde_json::Value;

/// Most seconds that are read: more than a day. A longer run is split.
pub(crate) const MAX_SECONDS: usize = 100_000;
/// Most shards of a test: more machines than anybody will use.
pub(crate) const MAX_SHARDS: u32 = 10_000;
/// Longest test: 31 years.
const MAX_LENGTH_S: f64 = 1e9;
/// The highest count that is accepted. It takes 35 years at a million a second, and the counts of
/// ten thousand shards still fit 64 bits.
const MAX_COUNT: u64 = 1 << 50;
/// Sections whose integers are not our counts: the plan, the seed in `run`, the server's own
/// statistics.
const NO_COUNTS: [&str; 3] = ["plan", "run", "target"];

/// A field with an impossible value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct FieldError {
    /// The field, as a path.
    pub field: String,
    /// The problem, and what was expected.
    pub problem: String,
}

pub(crate) fn wrong(field: impl Into<String>, problem: impl Into<String>) -> FieldError {
    FieldError { field: field.into(), problem: problem.into() }
}

/// Refuses a document that cannot have been measured.
pub(crate) fn check(document: &Document) -> Result<(), FieldError> {
    let run = &document.run;
    for (field, seconds) in [
        ("run.duration_s", run.duration_s),
        ("run.window_s", run.window_s),
        ("run.warmup_s", run.warmup_s),
        ("run.cooldown_s", run.cooldown_s),
    ] {
        if !(0.0..=MAX_LENGTH_S).contains(&seconds) {
            return Err(wrong(field, format!("{seconds} is not a length of time")));
        }
    }
    if let Some(Shard { index, count, held, .. }) = &run.shard {
        let is_list = held.is_sorted_by(|a, b| a < b) && held.iter().all(|i| i < count);
        if !is_list || held.first() != Some(index) || *count > MAX_SHARDS {
            let problem = {
                let held: Vec<_> = held.iter().map(ToString::to_string).collect();
                format!("{} of {count} are not shards, the first of them {index}", held.join(", "))
            };
            return Err(wrong("run.shard", problem));
        }
    }
    let hash = document.plan.get("hash").and_then(Value::as_str);
    if hash.is_none_or(str::is_empty) {
        return Err(wrong("plan.hash", "it is missing, so the test is unknown"));
    }
    if document.series.len() > MAX_SECONDS {
        let problem = format!("{} seconds; at most {MAX_SECONDS} are read", document.series.len());
        return Err(wrong("series", problem));
    }
    if !document.series.is_sorted_by(|a, b| a.t_s < b.t_s) {
        return Err(wrong("series", "its seconds do not ascend, or one occurs twice"));
    }
    for (i, stage) in document.stages.iter().enumerate() {
        let times = 0.0..=MAX_LENGTH_S;
        if !times.contains(&stage.begin_s) || !(stage.begin_s..=MAX_LENGTH_S).contains(&stage.end_s) {
            let problem = format!("from {} to {} s is not a length of time", stage.begin_s, stage.end_s);
            return Err(wrong(format!("stages[{i}].begin_s"), problem));
        }
    }
    // Every histogram of the whole run is decoded once, with its bounds.
    summary(document).map(drop)
}

/// Refuses a document with an impossible count.
pub(crate) fn counts_are_possible(document: &Value) -> Result<(), FieldError> {
    let sections = document.as_object().into_iter().flatten();
    for (name, section) in sections.filter(|(name, _)| !NO_COUNTS.contains(&name.as_str())) {
        if let Some(path) = too_high(section) {
            let problem = format!("it is higher than {MAX_COUNT}, the highest count that is accepted");
            return Err(wrong(format!("{name}{path}"), problem));
        }
    }
    Ok(())
}

/// Returns the path to an integer that is too high, relative to this value.
fn too_high(value: &Value) -> Option<String> {
    match value {
        Value::Number(n) => n.as_u64().filter(|n| *n > MAX_COUNT).map(|_| String::new()),
        Value::Array(all) => all.iter().enumerate().find_map(|(i, v)| Some(format!("[{i}]{}", too_high(v)?))),
        Value::Object(all) => all.iter().find_map(|(key, v)| Some(format!(".{key}{}", too_high(v)?))),
        _ => None,
    }
}

/// Returns the numbers of a document. Failed checks are left out, because their names are the
/// document's own (see [`super::Failures::checks`]).
pub fn summary(document: &Document) -> Result<Summary, FieldError> {
    let window = Nanos::from_secs_f64(document.run.window_s);
    let mut requests = Vec::new();
    for (name, numbers) in &document.requests {
        requests.push((name.clone(), group(&format!("requests.{name}"), numbers, window)?));
    }
    let mut turns = Vec::new();
    for (name, numbers) in &document.turns {
        turns.push((name.clone(), group(&format!("turns.{name}"), numbers, window)?));
    }
    let known = Failure::ALL.into_iter();
    let failures = known.filter_map(|f| {
        Some((f, Incidents { count: *document.failures.classes.get(f.name())?, ..Incidents::default() }))
    });
    let failures = failures.collect();
    let mut statuses = Vec::new();
    for (status, n) in &document.failures.statuses {
        let number =
            status.parse::<u16>().map_err(|_| wrong("failures.statuses", format!("{status} is not a status")))?;
        statuses.push((number, *n));
    }
    statuses.sort_unstable();
    Ok(Summary {
        window,
        cpu_time: Nanos::ZERO,
        all: group("metrics", &document.metrics, window)?,
        requests,
        turns,
        failures,
        retried: Failure::ALL
            .into_iter()
            .filter_map(|f| Some((f, *document.failures.retried.get(f.name())?)))
            .collect(),
        statuses,
        failed_checks: Vec::new(),
        gauges: gauges(&document.metrics),
        // The document keeps the paths under its target, and no numbers are made of them.
        paths: metrics::Paths::default(),
        server: super::stability::server_levels(document),
    })
}

/// Returns the levels, in the order of the catalogue.
pub(super) fn gauges(numbers: &Numbers) -> Vec<(metrics::Gauge, metrics::summary::GaugeValue)> {
    metrics::Gauge::ALL.into_iter().filter_map(|of| Some((of, *gauge(numbers, of)?))).collect()
}

pub(super) fn group(field: &str, numbers: &Numbers, window: Nanos) -> Result<Group, FieldError> {
    let mut trends = Vec::new();
    let group = group_without_times(field, numbers, window, &mut trends)?;
    Ok(Group { trends, ..group })
}

/// Returns the group without its times, which are added to `trends` in place. A histogram takes a
/// hundred kilobytes, even if it is almost empty.
pub(super) fn group_without_times(
    field: &str,
    numbers: &Numbers,
    window: Nanos,
    trends: &mut Vec<(Trend, Distribution)>,
) -> Result<Group, FieldError> {
    let (mut counters, mut rates) = (Vec::new(), Vec::new());
    let mut token_source = None;
    let mut billed = RateValue::default();
    for (name, measured) in numbers {
        let field = format!("{field}.{name}");
        match (Metric::from_name(name), measured) {
            (Some(Metric::Trend(t)), Measured::Trend(m)) => {
                let at = trends.binary_search_by_key(&t, |(known, _)| *known).unwrap_or_else(|at| {
                    trends.insert(at, (t, Distribution::new()));
                    at
                });
                add_times(&field, m, t.unit(), &mut trends[at].1)?;
            }
            (Some(Metric::Counter(c)), Measured::Counter(m)) => {
                let in_window = m.in_window.unwrap_or((m.rate * window.as_secs_f64()).round() as u64);
                counters.push((c, CounterValue::over(m.count, in_window, window)));
                if let Some(source) = &m.token_source {
                    token_source = Some(source_of(&field, source)?);
                }
                if let (Some(matches), Some(total)) = (m.requests_billed, m.requests_with_tokens) {
                    if matches > total {
                        return Err(wrong(
                            format!("{field}.requests_billed"),
                            format!("{matches} of {total} cannot be"),
                        ));
                    }
                    billed = RateValue { matches, total };
                }
            }
            (Some(Metric::Rate(r)), Measured::Rate(m)) => {
                // A ratio above one is allowed, because a request may take several attempts.
                let is_share = r.is_share();
                if (m.matches > m.total && is_share) || (m.matches < m.total && !is_share) {
                    return Err(wrong(field, format!("{} of {} cannot be", m.matches, m.total)));
                }
                rates.push((r, RateValue { matches: m.matches, total: m.total }));
            }
            (Some(Metric::Gauge(_)), Measured::Gauge(m)) => {
                if m.min > m.value || m.value > m.max {
                    return Err(wrong(field, format!("{} is not from {} to {}", m.value, m.min, m.max)));
                }
            }
            // Metrics of later builds are let through.
            (None, _) => {}
            (Some(_), _) => return Err(wrong(format!("{field}.type"), "it is another type than this metric has")),
        }
    }
    counters.sort_by_key(|(c, _)| *c);
    rates.sort_by_key(|(r, _)| *r);
    Ok(Group { trends: Vec::new(), counters, rates, token_source, billed })
}

fn source_of(field: &str, name: &str) -> Result<TokenSource, FieldError> {
    let known = [TokenSource::Usage, TokenSource::Events, TokenSource::Mixed].into_iter().find(|s| s.name() == name);
    known.ok_or_else(|| {
        wrong(format!("{field}.token_source"), format!("'{}' is not usage, events or mixed", name.escape_debug()))
    })
}

/// Adds a trend's distribution. Documents of earlier builds have no integers, so theirs are made
/// from the floats and are as precise as those.
fn add_times(field: &str, t: &measured::Trend, unit: Unit, sum: &mut Distribution) -> Result<(), FieldError> {
    if t.unit != unit.name() {
        let problem = format!("'{}': expected '{}'", t.unit.escape_debug(), unit.name());
        return Err(wrong(format!("{field}.unit"), problem));
    }
    let exact = if let Some(exact) = &t.exact {
        integers(field, exact)?
    } else {
        let [sum, min, max] = [t.sum, t.min, t.max].map(|n| nanos(n / unit.of_ms(1.0)));
        Exacts { sum, sum_of_squares: 0, min, max }
    };
    let min_max = |n: u128| Nanos(u64::try_from(n).unwrap_or(u64::MAX));
    let exact = metrics::Exact {
        count: t.count,
        overflow: t.overflow,
        sum: exact.sum,
        sum_of_squares: exact.sum_of_squares,
        min: min_max(exact.min),
        max: min_max(exact.max),
    };
    if t.count == 0 {
        return Err(wrong(format!("{field}.count"), "0: a trend without times is left out of a result"));
    }
    sum.add_encoded(&t.histogram, &exact).map_err(|error| {
        let problem = match Buckets::decode(&t.histogram) {
            Ok(buckets) if buckets.count() != t.count => {
                format!("it holds {}, and count says {}", plural(buckets.count(), "time"), t.count)
            }
            _ => error.to_string(),
        };
        wrong(format!("{field}.histogram"), problem)
    })
}

struct Exacts {
    sum: u128,
    sum_of_squares: u128,
    min: u128,
    max: u128,
}

fn nanos(ms: f64) -> u128 {
    (ms.max(0.0) * 1e6).round() as u128
}

fn integers(field: &str, exact: &Exact) -> Result<Exacts, FieldError> {
    let number = |key: &str, text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits
            .then(|| text.parse::<u128>().ok())
            .flatten()
            .ok_or_else(|| wrong(format!("{field}.exact.{key}"), "it is not an integer"))
    };
    Ok(Exacts {
        sum: number("sum_ns", &exact.sum_ns)?,
        sum_of_squares: number("sum_of_squares_ns2", &exact.sum_of_squares_ns2)?,
        min: u128::from(exact.min_ns),
        max: u128::from(exact.max_ns),
    })
}

/// Returns the three trends of a second, with histogram and percentiles.
pub(crate) fn three(second: &KindSecond) -> [(&'static str, Option<&String>, Option<&Quantiles>); 3] {
    let h = &second.histograms;
    [
        ("ttft", h.ttft.as_ref(), second.ttft.as_ref()),
        ("tbt", h.tbt.as_ref(), second.tbt.as_ref()),
        ("http_req_duration", h.http_req_duration.as_ref(), second.http_req_duration.as_ref()),
    ]
}

#[cfg(test)]
mod tests;
