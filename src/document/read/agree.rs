//! Whether a document agrees with itself: what can be derived is, and must stand there.

use super::{FieldError, MAX_SHARES, over_time, summary, wrong};
use crate::document::{
    Client, ClientVerdict, Counter, Document, Measured, Rate, Shard, Threshold, Trend, facts, plan, rounded,
};
use crate::metrics::summary::{CounterValue, Group, Summary};
use crate::metrics::{self, Distribution, Metric, validity};
use crate::threshold;
use std::collections::BTreeMap;

/// Documents hold six digits after the point.
pub(crate) const DIGITS: f64 = 1e-6;
/// And floats of large sums fewer.
pub(crate) const RELATIVE: f64 = 1e-9;
/// A rate of a window of some microseconds has no digits left to compare; from such a window no rate is believed.
const MOST_OFF: f64 = 0.05;

/// Refuses a document that does not agree with itself.
pub(crate) fn check(document: &Document) -> Result<(), FieldError> {
    let run = &document.run;
    for (field, seconds) in [
        ("run.duration_s", run.duration_s),
        ("run.window_s", run.window_s),
        ("run.warmup_s", run.warmup_s),
        ("run.cooldown_s", run.cooldown_s),
    ] {
        if !(0.0..=1e9).contains(&seconds) {
            return Err(wrong(field, format!("{seconds} is no length of time")));
        }
    }
    shard(document)?;
    planned(document)?;
    client(&document.client)?;
    let summary = summary(document)?;
    derived("metrics", &document.metrics, &summary.all, document)?;
    for (name, group) in &summary.requests {
        if let Some(numbers) = document.requests.get(name) {
            derived(&format!("requests.{name}"), numbers, group, document)?;
        }
    }
    sums(document, &summary)?;
    for (i, judged) in document.thresholds.iter().enumerate() {
        threshold_agrees(&format!("thresholds[{i}]"), judged, &summary, document)?;
    }
    over_time::check(document)
}

/// What a rate may be off by: the window stands there in whole microseconds, and a short one makes rates of few digits.
fn off(document: &Document) -> f64 {
    (RELATIVE + DIGITS / document.run.window_s.max(DIGITS)).min(MOST_OFF)
}

/// Every number that can be derived is, and must be the one that stands there.
fn derived(
    field: &str,
    numbers: &BTreeMap<String, Measured>,
    group: &Group,
    document: &Document,
) -> Result<(), FieldError> {
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
                    counter_agrees(&field, written, value, document)?;
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

pub(crate) fn near(a: f64, b: f64, relative: f64) -> bool {
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

fn counter_agrees(field: &str, written: &Counter, value: CounterValue, document: &Document) -> Result<(), FieldError> {
    // In the window arrives also what was sent before it, and is counted with what was sent outside.
    if value.in_window > value.count && document.outside.is_none() {
        let problem = format!("{} is more than the {} of the whole run", value.in_window, value.count);
        return Err(wrong(format!("{field}.in_window"), problem));
    }
    let is_known = written.in_window.is_some();
    if written.rate < 0.0 || (is_known && !near(written.rate, rounded(value.rate), off(document))) {
        let problem = format!("it says {}, in_window and run.window_s say {}", written.rate, value.rate);
        return Err(wrong(format!("{field}.rate"), problem));
    }
    Ok(())
}

/// The kinds of request must add up to the whole, in every count and every bucket.
fn sums(document: &Document, summary: &Summary) -> Result<(), FieldError> {
    let kinds = || summary.requests.iter().map(|(_, group)| group);
    for trend in metrics::Trend::ALL.into_iter().filter(|trend| !trend.is_global()) {
        let mut sum = Distribution::new();
        kinds().filter_map(|group| group.trend(trend)).for_each(|d| sum.add(d));
        let whole = summary.all.trend(trend);
        let field = || format!("metrics.{}", trend.name());
        let count = whole.map_or(0, |d| d.count);
        if count != sum.count {
            return Err(wrong(field(), format!("it counts {count}, its kinds of request count {}", sum.count)));
        }
        let has_exact = |numbers: &BTreeMap<String, Measured>| match numbers.get(trend.name()) {
            Some(Measured::Trend(t)) => t.exact.is_some(),
            _ => true,
        };
        let exact = has_exact(&document.metrics) && document.requests.values().all(has_exact);
        if whole.is_some_and(|d| !d.has_buckets_of(&sum) || (exact && d.exact() != sum.exact())) {
            return Err(wrong(field(), "its times are not those of its kinds of request together: edited or damaged"));
        }
    }
    for counter in metrics::Counter::ALL.into_iter().filter(|counter| !counter.is_global()) {
        let of = |group: &Group| group.counter(counter).map_or((0, 0), |value| (value.count, value.in_window));
        let sum = kinds().map(of).fold((0, 0), |(n, m), (more, in_window)| (n + more, m + in_window));
        let whole = of(&summary.all);
        // What earlier builds say arrived in the window is made of a rounded rate.
        let exact = matches!(document.metrics.get(counter.name()), Some(Measured::Counter(c)) if c.in_window.is_some());
        if whole.0 != sum.0 || (exact && whole.1 != sum.1) {
            let problem = format!("it counts {whole:?}, its kinds of request count {sum:?} (in all, in the window)");
            return Err(wrong(format!("metrics.{}", counter.name()), problem));
        }
    }
    for rate in metrics::Rate::ALL {
        let of = |group: &Group| group.rate(rate).map_or((0, 0), |value| (value.matches, value.total));
        let sum = kinds().map(of).fold((0, 0), |(n, m), (matches, total)| (n + matches, m + total));
        let whole = of(&summary.all);
        if whole != sum {
            let problem = format!("it is {} of {}, its kinds of request are {} of {}", whole.0, whole.1, sum.0, sum.1);
            return Err(wrong(format!("metrics.{}", rate.name()), problem));
        }
    }
    let failed = document.failures.classes.values().sum::<u64>();
    match document.metrics.get(metrics::Rate::HttpReqFailed.name()) {
        Some(Measured::Rate(rate)) if rate.matches != failed => {
            let problem = format!("its classes add up to {failed}, and http_req_failed says {}", rate.matches);
            Err(wrong("failures", problem))
        }
        _ => Ok(()),
    }
}

/// A judgement is made again from the numbers. A rule that this build does not understand is let through if a later build has written
/// it.
fn threshold_agrees(field: &str, judged: &Threshold, summary: &Summary, document: &Document) -> Result<(), FieldError> {
    let kinds: Vec<String> = summary.requests.iter().map(|(name, _)| name.clone()).collect();
    let rule = match threshold::parse(&judged.metric, &judged.expression, &kinds) {
        Ok(rule) => rule,
        Err(_) if !is_ours(document) => return Ok(()),
        Err(problem) => return Err(wrong(field, problem.to_string())),
    };
    let Some(again) = threshold::judge(&[rule], summary).first().map(facts::threshold) else { return Ok(()) };
    let same_value = match (judged.value, again.value) {
        (Some(a), Some(b)) => near(a, b, DIGITS + off(document)),
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

/// Whether a build of this version has written it: then there is nothing in it that we do not know.
fn is_ours(document: &Document) -> bool {
    document.build.version == env!("CARGO_PKG_VERSION")
}

/// The plan is the one of its hash, and each of its thresholds is judged: in a share none, because the whole is judged.
fn planned(document: &Document) -> Result<(), FieldError> {
    let hash = document.plan.get("hash").and_then(serde_json::Value::as_str);
    let Some(hash) = hash.filter(|hash| !hash.is_empty()) else {
        return Err(wrong("plan.hash", "it is missing: nothing says which test this was"));
    };
    if is_ours(document) && hash != plan::hash(&document.plan) {
        return Err(wrong("plan.hash", "it is not that of the plan beside it: edited or damaged"));
    }
    let mut expected: Vec<(&str, &str)> =
        plan::written_rules(&document.plan).filter_map(|(metric, rule)| Some((metric, rule?))).collect();
    if is_single_share(document) {
        expected.clear();
    }
    let mut judged: Vec<(&str, &str)> =
        document.thresholds.iter().map(|t| (t.metric.as_str(), t.expression.as_str())).collect();
    expected.sort_unstable();
    judged.sort_unstable();
    if judged != expected {
        let problem = format!(
            "{} are judged, and the plan has {}{}: edited or damaged",
            judged.len(),
            expected.len(),
            if judged.len() == expected.len() { " others" } else { "" }
        );
        return Err(wrong("thresholds", problem));
    }
    Ok(())
}

/// Whether it is one share of a test, as it was run.
fn is_single_share(document: &Document) -> bool {
    document.run.shard.is_some() && document.run.merged_from.is_empty()
}

/// The verdict on the client is that of its signals, and theirs that of their numbers.
fn client(client: &Client) -> Result<(), FieldError> {
    let mut worst = ClientVerdict::Unknown;
    for (i, signal) in client.signals.iter().enumerate() {
        let of = |value| facts::client_verdict(validity::verdict_of(value, signal.strained_above, signal.limit));
        // A value at its limit may have been above it before it was rounded.
        let verdict = of(signal.value);
        if verdict != signal.verdict && of(signal.value + DIGITS) != signal.verdict {
            let problem = format!("it says {}, its value says {}", signal.verdict.name(), verdict.name());
            return Err(wrong(format!("client.signals[{i}].verdict"), problem));
        }
        worst = worst.max(signal.verdict);
    }
    if worst > client.verdict {
        let problem = format!("it says {}, its signals say {}", client.verdict.name(), worst.name());
        return Err(wrong("client.verdict", problem));
    }
    Ok(())
}

/// The shares it says to hold are those that it was run as, or merged from.
fn shard(document: &Document) -> Result<(), FieldError> {
    let planned = |key: &str| document.plan.get(key).and_then(serde_json::Value::as_u64);
    let (own, of) = (planned("share").unwrap_or(0), planned("of").unwrap_or(1));
    let Some(shard) = &document.run.shard else {
        return if of > 1 { Err(wrong("run.shard", format!("it is missing, and plan.of says {of}"))) } else { Ok(()) };
    };
    let Shard { index, count, held, .. } = shard;
    let is_list = held.is_sorted_by(|a, b| a < b) && held.iter().all(|i| i < count);
    if !is_list || held.first() != Some(index) || *count > MAX_SHARES {
        let problem = format!("{held:?} of {count} are no shares, the first of them {index}");
        return Err(wrong("run.shard", problem));
    }
    let mut run: Vec<u32> = document.run.merged_from.iter().map(|run| run.index).collect();
    run.sort_unstable();
    if run.is_empty() {
        run.push(own as u32);
    }
    if *held != run || u64::from(*count) != of {
        let problem = format!("it holds {held:?} of {count}, and was run as {run:?} of {of}");
        return Err(wrong("run.shard", problem));
    }
    Ok(())
}
