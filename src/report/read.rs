//! Document → numbers again, and whether it agrees with itself.
//!
//! A document that comes from a file may be cut, damaged, edited, or of another program. Every derived number in it is derived once
//! more here, from histograms and counts, and what differs is refused by name: a wrong number is worse than none.

use super::{
    Counter, Document, Exact, Gauge, KindSecond, Measured, Quantiles, Rate, Second, Stage, Threshold, Trend, facts,
    rounded, steady,
};
use crate::metrics::summary::{CounterValue, GaugeValue, Group, ShareValue, Summary, TokenSource};
use crate::metrics::{self, Buckets, Distribution, Failure, Incidents, Metric, Share};
use crate::threshold;
use crate::units::Nanos;
use std::collections::BTreeMap;

/// Most seconds that are read: more than a day. A longer run is several.
pub(super) const MAX_SECONDS: usize = 100_000;
/// Most shares of a test: more machines than anybody will use.
pub(super) const MAX_SHARES: u32 = 10_000;
/// Documents hold six digits after the point.
const DIGITS: f64 = 1e-6;
/// And floats of large sums fewer.
const RELATIVE: f64 = 1e-9;
/// Of a second only the buckets are known, not the extremes that bound its percentiles: they differ by a bucket's width.
const BUCKET: f64 = 2e-3;

/// A field whose value cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct FieldError {
    /// The field, as a path.
    pub field: String,
    /// What is wrong, and what was expected.
    pub problem: String,
}

pub(super) fn wrong(field: impl Into<String>, problem: impl Into<String>) -> FieldError {
    FieldError { field: field.into(), problem: problem.into() }
}

/// Refuses a document that does not agree with itself.
pub(super) fn check(document: &Document) -> Result<(), FieldError> {
    for (field, seconds) in [("run.duration_s", document.run.duration_s), ("run.window_s", document.run.window_s)] {
        if !(0.0..=1e9).contains(&seconds) {
            return Err(wrong(field, format!("{seconds} is no length of a run")));
        }
    }
    shard(document)?;
    let summary = summary(document)?;
    // The window stands there in whole microseconds, and a short one makes rates of few digits.
    let short = RELATIVE + DIGITS / document.run.window_s.max(DIGITS);
    derived("metrics", &document.metrics, &summary.all, short)?;
    for (name, group) in &summary.requests {
        if let Some(numbers) = document.requests.get(name) {
            derived(&format!("requests.{name}"), numbers, group, short)?;
        }
    }
    sums(document)?;
    for (i, judged) in document.thresholds.iter().enumerate() {
        threshold_agrees(&format!("thresholds[{i}]"), judged, &summary, short)?;
    }
    for (i, stage) in document.stages.iter().enumerate() {
        stage_agrees(&format!("stages[{i}]"), stage)?;
    }
    series(document)
}

/// The numbers of a document. Failed checks are not among them: their names are the document's own (see
/// [`super::Failures::checks`]).
pub fn summary(document: &Document) -> Result<Summary, FieldError> {
    let window = Nanos::from_secs_f64(document.run.window_s);
    let mut requests = Vec::new();
    for (name, numbers) in &document.requests {
        requests.push((name.clone(), group(&format!("requests.{name}"), numbers, window)?));
    }
    let known = Failure::ALL.into_iter();
    let failures = known.filter_map(|f| {
        Some((f, Incidents { count: *document.failures.classes.get(f.name())?, ..Incidents::default() }))
    });
    let failures = failures.collect();
    let mut statuses = Vec::new();
    for (status, n) in &document.failures.statuses {
        let number = status.parse::<u16>().map_err(|_| wrong("failures.statuses", format!("{status} is no status")))?;
        statuses.push((number, *n));
    }
    statuses.sort_unstable();
    let mut gauges = Vec::new();
    for gauge in metrics::Gauge::ALL {
        if let Some(Measured::Gauge(Gauge { value, min, max })) = document.metrics.get(gauge.name()) {
            gauges.push((gauge, GaugeValue { value: *value, min: *min, max: *max }));
        }
    }
    Ok(Summary {
        window,
        cpu_time: Nanos::ZERO,
        all: group("metrics", &document.metrics, window)?,
        requests,
        failures,
        statuses,
        failed_checks: Vec::new(),
        gauges,
        // The document keeps them under its target, and needs no numbers made of them.
        paths: metrics::Paths::default(),
        server: steady::server_levels(document),
    })
}

fn group(field: &str, numbers: &BTreeMap<String, Measured>, window: Nanos) -> Result<Group, FieldError> {
    let (mut trends, mut counters, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    let mut token_source = None;
    for (name, measured) in numbers {
        let field = format!("{field}.{name}");
        match (Metric::from_name(name), measured) {
            (Some(Metric::Trend(t)), Measured::Trend(m)) => trends.push((t, distribution(&field, m)?)),
            (Some(Metric::Counter(c)), Measured::Counter(m)) => {
                let in_window = m.in_window.unwrap_or((m.rate * window.as_secs_f64()).round() as u64);
                counters.push((c, CounterValue::over(m.count, in_window, window)));
                if let Some(source) = &m.token_source {
                    token_source = Some(source_of(&field, source)?);
                }
            }
            (Some(Metric::Share(s)), Measured::Rate(m)) => {
                if m.matches > m.total {
                    return Err(wrong(field, format!("{} of {} cannot be", m.matches, m.total)));
                }
                shares.push((s, ShareValue { matches: m.matches, total: m.total }));
            }
            (Some(Metric::Gauge(_)), Measured::Gauge(m)) => {
                if m.min > m.value || m.value > m.max {
                    return Err(wrong(field, format!("{} is not from {} to {}", m.value, m.min, m.max)));
                }
            }
            // What a later build measures is let through.
            (None, _) => {}
            (Some(_), _) => return Err(wrong(format!("{field}.type"), "it is another type than this metric has")),
        }
    }
    trends.sort_by_key(|(t, _)| *t);
    counters.sort_by_key(|(c, _)| *c);
    shares.sort_by_key(|(s, _)| *s);
    Ok(Group { trends, counters, shares, token_source })
}

fn source_of(field: &str, name: &str) -> Result<TokenSource, FieldError> {
    let known = [TokenSource::Usage, TokenSource::Events, TokenSource::Mixed].into_iter().find(|s| s.name() == name);
    known.ok_or_else(|| wrong(format!("{field}.token_source"), format!("{name:?} is not usage, events or mixed")))
}

/// A trend's distribution. Documents of earlier builds have no integers; theirs are made of the floats, and are as good as those.
fn distribution(field: &str, t: &Trend) -> Result<Distribution, FieldError> {
    if t.unit != "ms" {
        return Err(wrong(format!("{field}.unit"), format!("{:?}, expected \"ms\"", t.unit)));
    }
    let exact = match &t.exact {
        Some(exact) => integers(field, exact)?,
        None => Exacts { sum: nanos(t.sum), sum_of_squares: 0, min: nanos(t.min), max: nanos(t.max) },
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
    Distribution::decoded(&t.histogram, &exact).map_err(|error| {
        let problem = match Buckets::decode(&t.histogram) {
            Ok(buckets) if buckets.count() != t.count => {
                format!("it holds {} times, and count says {}", buckets.count(), t.count)
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
            .ok_or_else(|| wrong(format!("{field}.exact.{key}"), "it is no whole number"))
    };
    Ok(Exacts {
        sum: number("sum_ns", &exact.sum_ns)?,
        sum_of_squares: number("sum_of_squares_ns2", &exact.sum_of_squares_ns2)?,
        min: u128::from(exact.min_ns),
        max: u128::from(exact.max_ns),
    })
}

/// Every number that can be derived is, and must be the one that stands there.
fn derived(field: &str, numbers: &BTreeMap<String, Measured>, group: &Group, short: f64) -> Result<(), FieldError> {
    for (name, measured) in numbers {
        let field = format!("{field}.{name}");
        match (Metric::from_name(name), measured) {
            (Some(Metric::Trend(t)), Measured::Trend(written)) => {
                if let Some(d) = group.trend(t) {
                    trend_agrees(&field, written, &facts::trend(d))?;
                }
            }
            (Some(Metric::Counter(c)), Measured::Counter(written)) => {
                if let Some(value) = group.counter(c) {
                    counter_agrees(&field, written, value, short)?;
                }
            }
            (_, Measured::Rate(Rate { rate, matches, total })) => {
                let derived = (*total > 0).then(|| *matches as f64 / *total as f64);
                if rate.is_some() != derived.is_some() || !near(rate.unwrap_or(0.0), derived.unwrap_or(0.0), RELATIVE) {
                    return Err(wrong(format!("{field}.rate"), format!("{rate:?} is not {matches} of {total}")));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn near(a: f64, b: f64, relative: f64) -> bool {
    (a - b).abs() <= DIGITS + relative * a.abs().max(b.abs())
}

fn trend_agrees(field: &str, t: &Trend, d: &Trend) -> Result<(), FieldError> {
    let pairs = [
        ("sum", t.sum, d.sum),
        ("avg", t.avg, d.avg),
        ("min", t.min, d.min),
        ("max", t.max, d.max),
        ("p50", t.p50, d.p50),
        ("p75", t.p75, d.p75),
        ("p90", t.p90, d.p90),
        ("p95", t.p95, d.p95),
        ("p99", t.p99, d.p99),
        ("p99_9", t.p99_9, d.p99_9),
        ("p99_99", t.p99_99, d.p99_99),
        ("stddev", t.stddev, if t.exact.is_some() { d.stddev } else { t.stddev }),
    ];
    for (key, written, derived) in pairs {
        if written < 0.0 || !near(written, derived, RELATIVE) {
            let problem = format!("it says {written}, its histogram and sums say {derived}: edited or damaged");
            return Err(wrong(format!("{field}.{key}"), problem));
        }
    }
    Ok(())
}

fn counter_agrees(field: &str, written: &Counter, value: CounterValue, short: f64) -> Result<(), FieldError> {
    if value.in_window > value.count {
        let problem = format!("{} is more than the {} of the whole run", value.in_window, value.count);
        return Err(wrong(format!("{field}.in_window"), problem));
    }
    if written.rate < 0.0 || (written.in_window.is_some() && !near(written.rate, rounded(value.rate), short)) {
        let problem = format!("it says {}, in_window and run.window_s say {}", written.rate, value.rate);
        return Err(wrong(format!("{field}.rate"), problem));
    }
    Ok(())
}

/// The kinds of request must add up to the whole.
fn sums(document: &Document) -> Result<(), FieldError> {
    let total = |metric: &str| match document.metrics.get(metric) {
        Some(Measured::Trend(t)) => Some(t.count),
        Some(Measured::Counter(c)) => Some(c.count),
        Some(Measured::Rate(r)) => Some(r.total),
        _ => None,
    };
    let mut names: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, measured) in document.requests.values().flatten().filter(|(name, _)| Metric::from_name(name).is_some()) {
        let n = match measured {
            Measured::Trend(t) => t.count,
            Measured::Counter(c) => c.count,
            Measured::Rate(r) => r.total,
            Measured::Gauge(_) => 0,
        };
        let sum = names.entry(name).or_default();
        *sum = sum.saturating_add(n);
    }
    for (name, sum) in names {
        let all = total(name).unwrap_or(0);
        // What belongs to connections is in the whole only.
        let is_shared = matches!(Metric::from_name(name), Some(Metric::Counter(_)));
        if sum > all || (sum < all && !is_shared) {
            return Err(wrong(format!("metrics.{name}"), format!("it counts {all}, its kinds of request count {sum}")));
        }
    }
    let failed = document.failures.classes.values().fold(0_u64, |sum, n| sum.saturating_add(*n));
    match document.metrics.get(Share::HttpReqFailed.name()) {
        Some(Measured::Rate(rate)) if rate.matches != failed => {
            let problem = format!("its classes add up to {failed}, and http_req_failed says {}", rate.matches);
            Err(wrong("failures", problem))
        }
        _ => Ok(()),
    }
}

/// A judgement is made again from the numbers. A rule that this build does not understand is let through: a later one may have.
fn threshold_agrees(field: &str, judged: &Threshold, summary: &Summary, short: f64) -> Result<(), FieldError> {
    let kinds: Vec<String> = summary.requests.iter().map(|(name, _)| name.clone()).collect();
    let Ok(rule) = threshold::parse(&judged.metric, &judged.expression, &kinds) else { return Ok(()) };
    let Some(again) = threshold::judge(&[rule], summary).first().map(facts::threshold) else { return Ok(()) };
    let same_value = match (judged.value, again.value) {
        (Some(a), Some(b)) => near(a, b, DIGITS + short),
        (a, b) => a.is_some() == b.is_some(),
    };
    if !same_value || again.verdict != judged.verdict || again.samples != judged.samples {
        let problem = format!(
            "it says {:?} with {:?} of {} samples; the numbers say {:?} with {:?} of {}: edited or damaged",
            judged.verdict, judged.value, judged.samples, again.verdict, again.value, again.samples
        );
        return Err(wrong(field, problem));
    }
    Ok(())
}

fn shard(document: &Document) -> Result<(), FieldError> {
    let Some(shard) = &document.run.shard else { return Ok(()) };
    let is_list = shard.held.is_sorted_by(|a, b| a < b) && shard.held.iter().all(|i| *i < shard.count);
    if !is_list || shard.held.first() != Some(&shard.index) || shard.count > MAX_SHARES {
        let problem = format!("{:?} of {} are no shares, the first of them {}", shard.held, shard.count, shard.index);
        return Err(wrong("run.shard", problem));
    }
    Ok(())
}

fn series(document: &Document) -> Result<(), FieldError> {
    if document.series.len() > MAX_SECONDS {
        let problem = format!("{} seconds; at most {MAX_SECONDS} are read", document.series.len());
        return Err(wrong("series", problem));
    }
    if !document.series.is_sorted_by(|a, b| a.t_s < b.t_s) {
        return Err(wrong("series", "its seconds do not ascend, or one is there twice"));
    }
    let mut counted: BTreeMap<(&str, &str), (u64, bool)> = BTreeMap::new();
    for (i, second) in document.series.iter().enumerate() {
        check_second(&format!("series[{i}]"), second)?;
        for (kind, numbers) in &second.requests {
            let field = format!("series[{i}].requests.{kind}");
            for (name, text, quantiles) in three(numbers) {
                let n = histogram_agrees(&format!("{field}.histograms.{name}"), text, quantiles)?;
                let (sum, missing) = counted.entry((kind, name)).or_default();
                *sum += n;
                *missing |= text.is_none() && quantiles.is_some();
            }
        }
    }
    // Earlier builds wrote no histograms of seconds.
    for ((kind, name), (n, _)) in counted.into_iter().filter(|(_, (_, missing))| !missing) {
        let all = document.requests.get(kind).and_then(|numbers| numbers.get(name));
        let all = if let Some(Measured::Trend(t)) = all { t.count } else { 0 };
        if all != n {
            let problem =
                format!("its histograms hold {n} times of {name}, and requests.{kind}.{name}.count says {all}");
            return Err(wrong("series", problem));
        }
    }
    Ok(())
}

/// The ends of a stage stand there in whole microseconds, as the window does.
fn stage_agrees(field: &str, stage: &Stage) -> Result<(), FieldError> {
    if stage.failed > stage.http_reqs {
        let problem = format!("{} of {} requests cannot be", stage.failed, stage.http_reqs);
        return Err(wrong(format!("{field}.failed"), problem));
    }
    let (texts, seconds) = (&stage.histograms, stage.end_s - stage.begin_s);
    if !near(
        stage.http_reqs_rate,
        steady::rate(stage.http_reqs, seconds),
        RELATIVE + 2.0 * DIGITS / seconds.max(DIGITS),
    ) {
        let problem = format!("it says {}, and {} in {seconds} s stand there", stage.http_reqs_rate, stage.http_reqs);
        return Err(wrong(format!("{field}.http_reqs_rate"), problem));
    }
    let trends = [
        ("ttft", texts.ttft.as_ref(), stage.ttft.as_ref()),
        ("http_req_duration", texts.http_req_duration.as_ref(), stage.http_req_duration.as_ref()),
    ];
    for (name, text, quantiles) in trends {
        histogram_agrees(&format!("{field}.histograms.{name}"), text, quantiles)?;
    }
    Ok(())
}

fn check_second(field: &str, second: &Second) -> Result<(), FieldError> {
    let floats = [("client_cpu", second.client_cpu), ("busiest_worker_cpu", second.busiest_worker_cpu)];
    for (key, value) in floats.into_iter().chain([("server_cpu", second.server_cpu.unwrap_or(0.0))]) {
        if value < 0.0 {
            return Err(wrong(format!("{field}.{key}"), format!("{value} is less than nothing")));
        }
    }
    if second.failed > second.http_reqs {
        let problem = format!("{} of {} requests cannot be", second.failed, second.http_reqs);
        return Err(wrong(format!("{field}.failed"), problem));
    }
    Ok(())
}

/// The three trends of a second, with histogram and percentiles.
pub(super) fn three(second: &KindSecond) -> [(&'static str, Option<&String>, Option<&Quantiles>); 3] {
    let h = &second.histograms;
    [
        ("ttft", h.ttft.as_ref(), second.ttft.as_ref()),
        ("tbt", h.tbt.as_ref(), second.tbt.as_ref()),
        ("http_req_duration", h.http_req_duration.as_ref(), second.http_req_duration.as_ref()),
    ]
}

/// How many times the histogram of a second holds; its percentiles must be those written beside it.
fn histogram_agrees(field: &str, text: Option<&String>, quantiles: Option<&Quantiles>) -> Result<u64, FieldError> {
    let Some(text) = text else { return Ok(0) };
    let buckets = Buckets::decode(text).map_err(|error| wrong(field, error.to_string()))?;
    let written = quantiles.ok_or_else(|| wrong(field, "there are no percentiles beside it"))?;
    for (p, written) in [(50.0, written.p50), (95.0, written.p95), (99.0, written.p99)] {
        let derived = buckets.percentile_ms(p);
        if (written - derived).abs() > BUCKET * derived + 2e-3 {
            return Err(wrong(field, format!("its p{p} is {derived} ms, and {written} stands beside it")));
        }
    }
    Ok(buckets.count())
}

#[cfg(test)]
mod tests;
