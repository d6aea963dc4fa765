//! Shares of a test → the whole test. Counts and histograms are those that one machine would have had: integers are added, and
//! histograms bucket by bucket; no average of percentiles. Thresholds are judged here, on the whole, and only here.
//!
//! Merging is a sum: in any order, and of parts that are merged already. Documents are added one by one, so that a thousand of them
//! need not be in memory at once.

use super::read::{three, wrong};
use super::steady;
use super::{
    Client, Document, FieldError, Hint, Histograms, KindSecond, Measured, MergedRun, Quantiles, Second, Shard, access,
    endpoints, facts, summary,
};
use crate::metrics::{Buckets, Distribution, Summary, hints, series};
use crate::threshold::{self, Rule};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Shares that started further apart than this measured different loads for longer than a second of the series can hide.
const MOST_SKEW_S: f64 = 0.25;
/// How many missing shares are named.
const NAMED: usize = 8;

/// Why documents are not one test.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// A document of a whole test, or of one that is merged already.
    #[error("{file}: run.shard: it is no share of a test: expected a result of a run with --shard")]
    NoShard {
        /// Which.
        file: String,
    },
    /// Two documents of the same share.
    #[error("{file}: run.shard: share {index} is in {other} already")]
    Doubled {
        /// Which.
        file: String,
        /// The share.
        index: u32,
        /// Where it was first.
        other: String,
    },
    /// Two documents of different tests.
    #[error("{file}: {field}: it is {found}, and {expected} in {other}: these are no shares of one test")]
    Other {
        /// Which.
        file: String,
        /// What differs.
        field: String,
        /// What stands there.
        found: String,
        /// The one it is compared with.
        other: String,
        /// What stands there.
        expected: String,
    },
    /// A field that cannot be.
    #[error("{file}: {error}")]
    Field {
        /// Which.
        file: String,
        /// What is wrong.
        error: FieldError,
    },
    /// Some shares are not there.
    #[error("shares {missing} of {count} are missing: expected all of them, or --allow-missing")]
    Missing {
        /// Which.
        missing: String,
        /// Of how many.
        count: u32,
    },
    /// Nothing to merge.
    #[error("there is nothing to merge: expected the results of all shares")]
    Nothing,
}

/// A sum of documents.
#[derive(Debug, Default)]
pub struct Merge {
    sum: Option<Sum>,
}

#[derive(Debug)]
struct Sum {
    file: String,
    /// The first document, whose plan and names are those of all.
    document: Document,
    summary: Summary,
    held: BTreeMap<u32, String>,
    runs: Vec<MergedRun>,
    series: BTreeMap<u32, SecondSum>,
}

/// One second of several machines.
#[derive(Debug)]
struct SecondSum {
    second: Second,
    kinds: BTreeMap<String, [Buckets; 3]>,
}

impl Merge {
    /// One more document, from that file.
    pub fn add(&mut self, file: &str, document: Document) -> Result<(), MergeError> {
        let at = |error| MergeError::Field { file: file.to_owned(), error };
        let Some(shard) = document.run.shard.clone() else {
            return Err(MergeError::NoShard { file: file.to_owned() });
        };
        has_integers(&document).map_err(at)?;
        let numbers = summary(&document).map_err(at)?;
        let runs = runs_of(&document, &shard);
        let mut seconds = Vec::with_capacity(document.series.len());
        for (i, second) in document.series.iter().enumerate() {
            seconds.push(SecondSum::new(i, second).map_err(at)?);
        }
        let Some(sum) = &mut self.sum else {
            let held = shard.held.iter().map(|index| (*index, file.to_owned())).collect();
            let series = seconds.into_iter().map(|s| (s.second.t_s, s)).collect();
            self.sum = Some(Sum { file: file.to_owned(), document, summary: numbers, held, runs, series });
            return Ok(());
        };
        sum.must_be_of_one_test(file, &document, &shard)?;
        for index in shard.held {
            if let Some(other) = sum.held.insert(index, file.to_owned()) {
                return Err(MergeError::Doubled { file: file.to_owned(), index, other });
            }
        }
        sum.summary.add(&numbers);
        steady::add_outside(&mut sum.document.outside, document.outside.as_ref());
        sum.runs.extend(runs);
        for second in seconds {
            let t_s = second.second.t_s;
            match sum.series.get_mut(&t_s) {
                Some(known) => known.add(&second),
                None => drop(sum.series.insert(t_s, second)),
            }
        }
        sum.take_facts(document);
        Ok(())
    }

    /// The whole test. With `allow_missing` what is there is the result, and is marked as a part.
    pub fn finish(self, allow_missing: bool) -> Result<Document, MergeError> {
        let sum = self.sum.ok_or(MergeError::Nothing)?;
        let count = sum.document.run.shard.as_ref().map_or(1, |shard| shard.count);
        let missing: Vec<u32> = (0..count).filter(|index| !sum.held.contains_key(index)).collect();
        if !missing.is_empty() && !allow_missing {
            let named: Vec<String> = missing.iter().take(NAMED).map(u32::to_string).collect();
            let more = if missing.len() > NAMED { ", …" } else { "" };
            return Err(MergeError::Missing { missing: named.join(", ") + more, count });
        }
        Ok(sum.whole(count, missing.is_empty()))
    }
}

impl Sum {
    fn must_be_of_one_test(&self, file: &str, document: &Document, shard: &Shard) -> Result<(), MergeError> {
        let kinds = |d: &Document| d.requests.keys().cloned().collect::<Vec<_>>().join(", ");
        let hash = |d: &Document| d.plan.get("hash").map_or_else(|| "absent".to_owned(), Value::to_string);
        let count = |n: Option<u32>| n.map_or_else(|| "absent".to_owned(), |n| n.to_string());
        let ours = &self.document;
        for (field, found, expected) in [
            ("plan.hash", hash(document), hash(ours)),
            ("run.shard.count", count(Some(shard.count)), count(ours.run.shard.as_ref().map(|s| s.count))),
            ("build.version", document.build.version.clone(), ours.build.version.clone()),
            ("requests", kinds(document), kinds(ours)),
        ] {
            if found != expected {
                let (file, other) = (file.to_owned(), self.file.clone());
                return Err(MergeError::Other { file, field: field.to_owned(), found, other, expected });
            }
        }
        Ok(())
    }

    /// What is neither a count nor a histogram.
    fn take_facts(&mut self, document: Document) {
        let ours = &mut self.document;
        ours.failures.add(document.failures);
        let (run, other) = (&mut ours.run, document.run);
        run.duration_s = run.duration_s.max(other.duration_s);
        run.window_s = run.window_s.max(other.window_s);
        run.interrupted |= other.interrupted;
        run.stop_reason = run.stop_reason.take().or(other.stop_reason);
        if instant(&other.started_at) < instant(&run.started_at) {
            run.started_at = other.started_at;
        }
        ours.environment.workers += document.environment.workers;
        (ours.environment.pinned_to, ours.environment.server_cores) = (None, None);
        ours.target.server.died = ours.target.server.died.take().or(document.target.server.died);
        endpoints::add(&mut ours.endpoints, document.endpoints);
        access::add(&mut ours.target, document.target.addresses, document.target.tls);
        worst_signals(&mut ours.client, document.client);
        // Each share has watched the same server, if any: of two observations one is enough.
        if ours.server.cpu_s.is_none() {
            ours.server = document.server;
        }
    }

    fn whole(self, count: u32, is_complete: bool) -> Document {
        let Self { mut document, summary, held, mut runs, series, .. } = self;
        runs.sort_by_key(|run| run.index);
        let names: Vec<String> = summary.requests.iter().map(|(name, _)| name.clone()).collect();
        let rules = rules(&document.plan, &names);
        let levels = document.metrics.iter().filter(|(_, m)| matches!(m, Measured::Gauge(_)));
        // Levels that this build does not know stay as the first document has them.
        let mut metrics: BTreeMap<String, Measured> = levels.map(|(n, m)| (n.clone(), m.clone())).collect();
        metrics.extend(facts::group(&summary.all));
        metrics.extend(facts::gauges(&summary));
        document.metrics = metrics;
        document.requests = summary.requests.iter().map(|(name, group)| (name.clone(), facts::group(group))).collect();
        document.thresholds = threshold::judge(&rules, &summary).iter().map(facts::threshold).collect();
        document.series = series.into_values().map(SecondSum::finish).collect();
        let seen = hints::hints(&summary);
        document.hints = seen.into_iter().map(|h| Hint { name: h.name.to_owned(), text: h.text }).collect();
        document.hints.extend(skew(&runs));
        document.failures.share_of(summary.finished());
        document.agreement = None;
        // What one share saw over time, or in a stage, says nothing of the whole.
        document.agreements.clear();
        document.stages.clear();
        document.drift.clear();
        document.client.memory = None;
        (document.target.before, document.target.after) = (None, None);
        document.run.id = format!("{}-merged-{}", document.run.id, held.len());
        document.run.merged_from = runs;
        document.run.shard = (!is_complete).then(|| Shard {
            index: held.keys().next().copied().unwrap_or(0),
            count,
            source: "merge".to_owned(),
            held: held.keys().copied().collect(),
        });
        if is_complete {
            document.plan.insert("share".to_owned(), json!(0));
            document.plan.insert("of".to_owned(), json!(1));
        }
        document
    }
}

/// The runs behind a document: itself, or those that it was merged from.
fn runs_of(document: &Document, shard: &Shard) -> Vec<MergedRun> {
    if !document.run.merged_from.is_empty() {
        return document.run.merged_from.clone();
    }
    vec![MergedRun {
        id: document.run.id.clone(),
        index: shard.index,
        started_at: document.run.started_at.clone(),
        fingerprint: document.environment.fingerprint.clone(),
    }]
}

/// Without integers a sum would not be exact.
fn has_integers(document: &Document) -> Result<(), FieldError> {
    let groups = document.requests.iter().map(|(name, numbers)| (format!("requests.{name}"), numbers));
    for (field, numbers) in std::iter::once(("metrics".to_owned(), &document.metrics)).chain(groups) {
        for (name, measured) in numbers {
            let missing = match measured {
                Measured::Trend(t) if t.exact.is_none() => "exact",
                Measured::Counter(c) if c.in_window.is_none() => "in_window",
                _ => continue,
            };
            let problem = "it is missing: an earlier build has written this, from which nothing can be merged exactly";
            return Err(wrong(format!("{field}.{name}.{missing}"), problem));
        }
    }
    Ok(())
}

/// The rules that the plan has set, as its section holds them.
fn rules(plan: &serde_json::Map<String, Value>, kinds: &[String]) -> Vec<Rule> {
    let by_metric = plan.get("thresholds").and_then(Value::as_object).into_iter().flatten();
    let each = by_metric.flat_map(|(metric, list)| list.as_array().into_iter().flatten().map(move |r| (metric, r)));
    each.filter_map(|(metric, rule)| threshold::parse(metric, rule.get("threshold")?.as_str()?, kinds).ok()).collect()
}

/// Each signal at its worst.
fn worst_signals(ours: &mut Client, theirs: Client) {
    ours.verdict = ours.verdict.max(theirs.verdict);
    for signal in theirs.signals {
        match ours.signals.iter_mut().find(|known| known.name == signal.name) {
            Some(known) if (signal.verdict, signal.value) > (known.verdict, known.value) => *known = signal,
            Some(_) => {}
            None => ours.signals.push(signal),
        }
    }
}

fn instant(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// Shares that did not start together.
fn skew(runs: &[MergedRun]) -> Option<Hint> {
    let starts = || runs.iter().filter_map(|run| instant(&run.started_at)).map(Timestamp::as_millisecond);
    let apart = (starts().max()? - starts().min()?) as f64 / 1e3;
    (apart > MOST_SKEW_S).then(|| Hint {
        name: "shards_started_apart".to_owned(),
        text: format!(
            "the shares started {apart:.2} s apart: for that long the load was not the plan's (by the clocks of their machines)"
        ),
    })
}

impl SecondSum {
    fn new(i: usize, second: &Second) -> Result<Self, FieldError> {
        let mut kinds = BTreeMap::new();
        for (kind, numbers) in &second.requests {
            let mut three_buckets: [Buckets; 3] = Default::default();
            for (buckets, (name, text, quantiles)) in three_buckets.iter_mut().zip(three(numbers)) {
                let field = format!("series[{i}].requests.{kind}.histograms.{name}");
                match text {
                    Some(text) => *buckets = Buckets::decode(text).map_err(|e| wrong(&field, e.to_string()))?,
                    None if quantiles.is_some() => return Err(wrong(&field, "it is missing: nothing can be merged")),
                    None => {}
                }
            }
            kinds.insert(kind.clone(), three_buckets);
        }
        Ok(Self { second: second.clone(), kinds })
    }

    fn add(&mut self, other: &Self) {
        let (a, b) = (&mut self.second, &other.second);
        for (ours, theirs) in [
            (&mut a.vus, b.vus),
            (&mut a.in_flight, b.in_flight),
            (&mut a.connections, b.connections),
            (&mut a.http_reqs, b.http_reqs),
            (&mut a.failed, b.failed),
            (&mut a.tokens_output, b.tokens_output),
            (&mut a.token_events, b.token_events),
            (&mut a.data_received, b.data_received),
        ] {
            *ours += theirs;
        }
        a.client_cpu += b.client_cpu;
        a.busiest_worker_cpu = a.busiest_worker_cpu.max(b.busiest_worker_cpu);
        a.client_lag_p99 = a.client_lag_p99.into_iter().chain(b.client_lag_p99).reduce(f64::max);
        (a.server_cpu, a.server_rss_bytes) = (a.server_cpu.or(b.server_cpu), a.server_rss_bytes.or(b.server_rss_bytes));
        for (kind, theirs) in &b.requests {
            let Some(ours) = a.requests.get_mut(kind) else {
                a.requests.insert(kind.clone(), theirs.clone());
                continue;
            };
            ours.http_reqs += theirs.http_reqs;
            ours.failed += theirs.failed;
            ours.tokens_output += theirs.tokens_output;
        }
        for (kind, theirs) in &other.kinds {
            let ours = self.kinds.entry(kind.clone()).or_default();
            ours.iter_mut().zip(theirs).for_each(|(ours, theirs)| ours.add(theirs));
        }
    }

    fn finish(mut self) -> Second {
        let mut all: [Buckets; 3] = Default::default();
        for (kind, buckets) in &self.kinds {
            all.iter_mut().zip(buckets).for_each(|(sum, more)| sum.add(more));
            let Some(second) = self.second.requests.get_mut(kind) else { continue };
            let encoded = |b: &Buckets| (b.count() > 0).then(|| Distribution::of_buckets(b).encoded());
            let [ttft, tbt, http_req_duration] = buckets;
            second.histograms =
                Histograms { ttft: encoded(ttft), tbt: encoded(tbt), http_req_duration: encoded(http_req_duration) };
            set(second, buckets);
        }
        let [ttft, tbt, http_req_duration] = all.each_ref().map(quantiles);
        (self.second.ttft, self.second.tbt, self.second.http_req_duration) = (ttft, tbt, http_req_duration);
        self.second.client_cpu = super::rounded(self.second.client_cpu);
        self.second
    }
}

fn set(second: &mut KindSecond, buckets: &[Buckets; 3]) {
    let [ttft, tbt, http_req_duration] = buckets.each_ref().map(quantiles);
    (second.ttft, second.tbt, second.http_req_duration) = (ttft, tbt, http_req_duration);
}

fn quantiles(buckets: &Buckets) -> Option<Quantiles> {
    let [p50, p95, p99] = [50.0, 95.0, 99.0].map(|p| buckets.percentile_ms(p));
    facts::quantiles((buckets.count() > 0).then_some(series::Quantiles { p50, p95, p99 }))
}

#[cfg(test)]
mod tests;
