//! Whether seconds, stages and what lies outside the window agree with each other and with the whole.

use super::agree::{DIGITS, RELATIVE, near};
use super::{FieldError, MAX_SECONDS, three, wrong};
use crate::document::stages::{self, Outside, Stage};
use crate::document::{Document, Measured, Quantiles, Second};
use crate::metrics::Buckets;
use std::collections::BTreeMap;

/// Of a second only the buckets are known, not the extremes that bound its percentiles: they differ by a bucket's width.
const BUCKET: f64 = 2e-3;

pub(crate) fn check(document: &Document) -> Result<(), FieldError> {
    if let Some(outside) = &document.outside {
        outside_agrees(outside)?;
    }
    stages(document)?;
    series(document)?;
    for (i, line) in document.agreements.iter().enumerate() {
        if line.agree != ((line.ours - line.server).abs() <= line.tolerance) {
            let problem =
                format!("{} and {} differ by more than {}, or do not", line.ours, line.server, line.tolerance);
            return Err(wrong(format!("agreements[{i}].agree"), problem));
        }
    }
    Ok(())
}

/// Requests of the whole test, in the window and outside of it.
fn all_http_reqs(document: &Document) -> u64 {
    let within =
        document.metrics.get("http_reqs").map_or(0, |m| if let Measured::Counter(c) = m { c.count } else { 0 });
    within + document.outside.as_ref().map_or(0, |outside| outside.http_reqs)
}

fn outside_agrees(outside: &Outside) -> Result<(), FieldError> {
    let by_class = outside.failures.values().sum::<u64>();
    if outside.failed > outside.http_reqs || by_class != outside.failed {
        let (failed, all) = (outside.failed, outside.http_reqs);
        return Err(wrong("outside.failed", format!("{failed} of {all}, and by class {by_class}: cannot be")));
    }
    Ok(())
}

fn stages(document: &Document) -> Result<(), FieldError> {
    if document.stages.is_empty() {
        return Ok(());
    }
    let mut before = 0.0;
    for (i, stage) in document.stages.iter().enumerate() {
        let field = format!("stages[{i}]");
        if !(before..=1e9).contains(&stage.begin_s) || !(stage.begin_s..=1e9).contains(&stage.end_s) {
            let problem = format!("from {} to {}, after one that began at {before}", stage.begin_s, stage.end_s);
            return Err(wrong(format!("{field}.begin_s"), problem));
        }
        before = stage.begin_s;
        stage_agrees(&field, stage)?;
    }
    let (sum, all) = (document.stages.iter().map(|stage| stage.http_reqs).sum::<u64>(), all_http_reqs(document));
    if sum != all {
        return Err(wrong("stages", format!("their http_reqs add up to {sum}, and {all} were sent in the whole test")));
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
    let rates = [
        ("http_reqs_rate", stage.http_reqs_rate, Some(stage.http_reqs)),
        ("tokens_output_rate", stage.tokens_output_rate, stage.tokens_output),
    ];
    for (name, written, n) in rates {
        let Some(n) = n else { continue };
        if !near(written, stages::rate(n, seconds), RELATIVE + 2.0 * DIGITS / seconds.max(DIGITS)) {
            return Err(wrong(
                format!("{field}.{name}"),
                format!("it says {written}, and {n} in {seconds} s stand there"),
            ));
        }
    }
    let trends = [
        ("ttft", texts.ttft.as_ref(), stage.ttft.as_ref()),
        ("http_req_duration", texts.http_req_duration.as_ref(), stage.http_req_duration.as_ref()),
    ];
    let succeeded = stage.http_reqs - stage.failed;
    for (name, text, quantiles) in trends {
        let field = format!("{field}.histograms.{name}");
        let n = histogram_agrees(&field, text, quantiles)?.count();
        if n > succeeded {
            return Err(wrong(field, format!("it holds {n} times, and {succeeded} requests succeeded")));
        }
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
    let mut counted: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    // Earlier builds wrote no histograms of seconds.
    let kinds = || document.series.iter().flat_map(|second| second.requests.values());
    let is_early = kinds().flat_map(three).all(|(_, text, _)| text.is_none());
    for (i, second) in document.series.iter().enumerate() {
        let field = format!("series[{i}]");
        check_second(&field, second)?;
        let mut whole: [Buckets; 3] = Default::default();
        for (kind, numbers) in &second.requests {
            for (sum, (name, text, quantiles)) in whole.iter_mut().zip(three(numbers)) {
                let field = format!("{field}.requests.{kind}.histograms.{name}");
                if text.is_none() && quantiles.is_some() && !is_early {
                    return Err(wrong(field, "it is missing"));
                }
                let buckets = histogram_agrees(&field, text, quantiles)?;
                *counted.entry((kind, name)).or_default() += buckets.count();
                sum.add(&buckets);
            }
        }
        let written = [&second.ttft, &second.tbt, &second.http_req_duration];
        for ((buckets, written), name) in whole.iter().zip(written).zip(["ttft", "tbt", "http_req_duration"]) {
            let field = format!("{field}.{name}");
            match written {
                Some(written) if !is_early && buckets.count() == 0 => {
                    return Err(wrong(field, format!("{written:?} of no times")));
                }
                Some(written) if !is_early => percentiles_agree(&field, buckets, written)?,
                _ => {}
            }
        }
    }
    let (sum, all) = (document.series.iter().map(|second| second.http_reqs).sum::<u64>(), all_http_reqs(document));
    if !document.series.is_empty() && sum != all {
        return Err(wrong("series", format!("its http_reqs add up to {sum}, and {all} were sent in the whole test")));
    }
    if is_early {
        return Ok(());
    }
    // Seconds hold what was sent outside the window, too.
    let is_whole = document.outside.is_none();
    for ((kind, name), n) in counted {
        let all = document.requests.get(kind).and_then(|numbers| numbers.get(name));
        let all = if let Some(Measured::Trend(t)) = all { t.count } else { 0 };
        if all > n || (is_whole && all < n) {
            let problem =
                format!("its histograms hold {n} times of {name}, and requests.{kind}.{name}.count says {all}");
            return Err(wrong("series", problem));
        }
    }
    Ok(())
}

fn check_second(field: &str, second: &Second) -> Result<(), FieldError> {
    let floats = [("client_cpu", second.client_cpu), ("busiest_worker_cpu", second.busiest_worker_cpu)];
    let unsure = [("server_cpu", second.server_cpu), ("client_lag_p99", second.client_lag_p99)];
    let unsure = unsure.into_iter().filter_map(|(key, value)| Some((key, value?)));
    for (key, value) in floats.into_iter().chain(unsure) {
        if value < 0.0 {
            return Err(wrong(format!("{field}.{key}"), format!("{value} is less than nothing")));
        }
    }
    if second.failed > second.http_reqs {
        let problem = format!("{} of {} requests cannot be", second.failed, second.http_reqs);
        return Err(wrong(format!("{field}.failed"), problem));
    }
    let kinds = || second.requests.values();
    for (key, whole, sum) in [
        ("http_reqs", second.http_reqs, kinds().map(|kind| kind.http_reqs).sum::<u64>()),
        ("failed", second.failed, kinds().map(|kind| kind.failed).sum()),
        ("tokens_output", second.tokens_output, kinds().map(|kind| kind.tokens_output).sum()),
    ] {
        if whole != sum {
            return Err(wrong(format!("{field}.{key}"), format!("it is {whole}, its kinds of request have {sum}")));
        }
    }
    Ok(())
}

/// The histogram of a second or stage; its percentiles must be those written beside it.
fn histogram_agrees(field: &str, text: Option<&String>, quantiles: Option<&Quantiles>) -> Result<Buckets, FieldError> {
    let Some(text) = text else { return Ok(Buckets::default()) };
    let buckets = Buckets::decode(text).map_err(|error| wrong(field, error.to_string()))?;
    let written = quantiles.ok_or_else(|| wrong(field, "there are no percentiles beside it"))?;
    percentiles_agree(field, &buckets, written)?;
    Ok(buckets)
}

fn percentiles_agree(field: &str, buckets: &Buckets, written: &Quantiles) -> Result<(), FieldError> {
    for (p, written) in [(50.0, written.p50), (95.0, written.p95), (99.0, written.p99)] {
        let derived = buckets.percentile_ms(p);
        if (written - derived).abs() > BUCKET * derived + 2e-3 {
            return Err(wrong(field, format!("its p{p} is {derived} ms, and {written} stands beside it")));
        }
    }
    Ok(())
}
