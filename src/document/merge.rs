//! Merges the shards of a test into the whole test. Counts and histograms are those that one
//! machine would have had: integers are added, and histograms bucket by bucket. Percentiles are
//! never averaged. Thresholds are judged here, on the whole test, and only here.
//!
//! Merging is a sum, so the order does not matter, and parts that are already merged can be added.
//! Documents are added one by one, so that a thousand of them need not be in memory at once.

mod seconds;
mod stages;

use super::plan::written_rules;
use super::read::wrong;
use super::{
    Client, Document, Drift, FieldError, Hint, Measured, MergedRun, Shard, Signal, Start, Strictness, access, asked,
    datasets, endpoints, facts, summary, template, tokens,
};
use super::{stability, stages as stage_rows};
use crate::metrics::soak::drifts;
use crate::metrics::{Summary, hints};
use crate::threshold::{self, Rule};
use jiff::Timestamp;
pub(crate) use seconds::SecondSum;
use serde_json::{Value, json};
use stages::StageSum;
use std::collections::BTreeMap;

/// Shards that started further apart than this measured different loads for longer than a second of
/// the series can hide.
const MOST_SKEW_S: f64 = 0.25;
/// Most missing shards that are named.
const NAMED: usize = 8;

/// The reason why documents are not one test.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// The document is of a whole test, or of one that is already merged.
    #[error("{file}: run.shard: it is not a shard of a test: expected a result of a run with --shard")]
    NoShard { file: String },
    /// Two documents hold the same shard.
    #[error("{file}: run.shard: shard {index} is in {other} already")]
    Doubled {
        file: String,
        index: u32,
        /// The file that had it first.
        other: String,
    },
    /// One run occurs twice, under two shards.
    #[error("{file}: run.id: it is {id}, as one of {other}: a run is one shard only")]
    Twice {
        file: String,
        id: String,
        /// The file that had it first.
        other: String,
    },
    /// Two documents are of different tests.
    #[error("{file}: {field}: it is {found}, and {expected} in {other}: these are not shards of one test")]
    Other {
        file: String,
        field: String,
        found: String,
        /// The file that it is compared with.
        other: String,
        expected: String,
    },
    /// A field has an impossible value.
    #[error("{file}: {error}")]
    Field { file: String, error: FieldError },
    /// Some shards are missing.
    #[error("missing shards: {missing} (of 0 to {}): add their results, or use --allow-missing", .count - 1)]
    Missing { missing: String, count: u32 },
    #[error("there is nothing to merge: expected the results of all shards")]
    Nothing,
}

/// The sum of documents.
#[derive(Debug, Default)]
pub struct Merge {
    sum: Option<Sum>,
}

#[derive(Debug)]
struct Sum {
    file: String,
    /// The first document. All documents share its plan and names.
    document: Document,
    summary: Summary,
    held: BTreeMap<u32, String>,
    runs: Vec<MergedRun>,
    series: BTreeMap<u32, SecondSum>,
    stages: Vec<StageSum>,
    /// Defects of the tool while it ran the shards.
    defects: Vec<String>,
}

impl Merge {
    /// Adds a document that was read from `file`.
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
        let stages = StageSum::of(&document.stages).map_err(at)?;
        let Some(sum) = &mut self.sum else {
            let held = shard.held.iter().map(|index| (*index, file.to_owned())).collect();
            let series = seconds.into_iter().map(|s| (s.second.t_s, s)).collect();
            let (file, defects) = (file.to_owned(), document.verdict.defects().map(str::to_owned).collect());
            self.sum = Some(Sum { file, document, summary: numbers, held, runs, series, stages, defects });
            return Ok(());
        };
        sum.must_be_of_one_test(file, &document, &shard)?;
        for index in shard.held {
            if let Some(other) = sum.held.insert(index, file.to_owned()) {
                return Err(MergeError::Doubled { file: file.to_owned(), index, other });
            }
        }
        if let Some(run) = runs.iter().find(|run| sum.runs.iter().any(|known| known.id == run.id)) {
            let (file, id, other) = (file.to_owned(), run.id.clone(), sum.file.clone());
            return Err(MergeError::Twice { file, id, other });
        }
        sum.summary.add(&numbers);
        sum.stages.iter_mut().zip(&stages).for_each(|(ours, theirs)| ours.add(theirs));
        stability::add_drift(&mut sum.document.drift, &document.drift);
        stage_rows::add_outside(&mut sum.document.outside, document.outside.as_ref());
        sum.runs.extend(runs);
        sum.defects.extend(document.verdict.defects().map(str::to_owned));
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

    /// Returns the whole test. With `allow_missing` the existing shards make the result, which is
    /// marked as partial. With `fail_on_invalid` a client that was the bottleneck fails the test.
    pub fn finish(self, allow_missing: bool, fail_on_invalid: bool) -> Result<Document, MergeError> {
        let sum = self.sum.ok_or(MergeError::Nothing)?;
        let count = sum.document.run.shard.as_ref().map_or(1, |shard| shard.count);
        let missing: Vec<u32> = (0..count).filter(|index| !sum.held.contains_key(index)).collect();
        if !missing.is_empty() && !allow_missing {
            let named: Vec<String> = missing.iter().take(NAMED).map(u32::to_string).collect();
            let more = if missing.len() > NAMED { ", …" } else { "" };
            return Err(MergeError::Missing { missing: named.join(", ") + more, count });
        }
        let file = sum.file.clone();
        sum.whole(count, missing.is_empty(), fail_on_invalid).map_err(|error| MergeError::Field { file, error })
    }
}

impl Sum {
    fn must_be_of_one_test(&self, file: &str, document: &Document, shard: &Shard) -> Result<(), MergeError> {
        let kinds = |d: &Document| d.requests.keys().cloned().collect::<Vec<_>>().join(", ");
        let hash = |d: &Document| d.plan.get("hash").map_or_else(|| "absent".to_owned(), Value::to_string);
        let count = |n: Option<u32>| n.map_or_else(|| "absent".to_owned(), |n| n.to_string());
        let begins =
            |d: &Document| d.stages.iter().map(|stage| format!("{} s", stage.begin_s)).collect::<Vec<_>>().join(", ");
        let ours = &self.document;
        for (field, found, expected) in [
            ("plan.hash", hash(document), hash(ours)),
            ("run.shard.count", count(Some(shard.count)), count(ours.run.shard.as_ref().map(|s| s.count))),
            ("build.version", document.build.version.clone(), ours.build.version.clone()),
            ("requests", kinds(document), kinds(ours)),
            ("stages", begins(document), begins(ours)),
        ] {
            if found != expected {
                let (file, other) = (file.to_owned(), self.file.clone());
                return Err(MergeError::Other { file, field: field.to_owned(), found, other, expected });
            }
        }
        Ok(())
    }

    /// Adds the facts that are not in the summary, the stages or the series.
    fn take_facts(&mut self, document: Document) {
        let ours = &mut self.document;
        ours.failures.add(document.failures);
        let (run, other) = (&mut ours.run, document.run);
        run.duration_s = run.duration_s.max(other.duration_s);
        run.window_s = run.window_s.max(other.window_s);
        run.interrupted |= other.interrupted;
        run.incomplete |= other.incomplete;
        run.stop_reason = run.stop_reason.take().or(other.stop_reason);
        if instant(&other.started_at) < instant(&run.started_at) {
            run.started_at = other.started_at;
        }
        ours.environment.workers += document.environment.workers;
        (ours.environment.pinned_to, ours.environment.server_cores) = (None, None);
        ours.target.server.died = ours.target.server.died.take().or(document.target.server.died);
        endpoints::add(&mut ours.endpoints, document.endpoints);
        template::add(&mut ours.templates, document.templates);
        datasets::add(&mut ours.datasets, &document.datasets);
        tokens::add(&mut ours.token_estimate, document.token_estimate);
        access::add(&mut ours.target, document.target.addresses, document.target.tls);
        worst_signals(&mut ours.client, document.client);
        // Each shard has watched the same server, if any, so one of their observations is enough.
        if ours.server.cpu_s.is_none() {
            ours.server = document.server;
        }
    }

    fn whole(self, count: u32, is_complete: bool, fail_on_invalid: bool) -> Result<Document, FieldError> {
        let Self { mut document, mut summary, held, mut runs, series, stages, defects, .. } = self;
        runs.sort_by_key(|run| run.index);
        let names: Vec<String> = summary.requests.iter().map(|(name, _)| name.clone()).collect();
        let rules = rules(&document.plan, &names)?;
        let levels = document.metrics.iter().filter(|(_, m)| matches!(m, Measured::Gauge(_)));
        // Levels that this build does not know stay as the first document has them.
        let mut metrics: BTreeMap<String, Measured> = levels.map(|(n, m)| (n.clone(), m.clone())).collect();
        metrics.extend(facts::group(&summary.all));
        metrics.extend(facts::gauges(&summary));
        document.metrics = metrics;
        document.requests = facts::groups(&summary.requests);
        document.turns = facts::groups(&summary.turns);
        document.asked = asked::rows(&document);
        tokens::estimate(&mut document);
        document.series = series.into_values().map(SecondSum::finish).collect();
        // Any of the shards may have watched the server.
        summary.server = stability::server_levels(&document);
        document.thresholds = threshold::judge(&rules, &summary);
        let max_requests = document.plan.get("max_requests_per_connection").and_then(Value::as_u64);
        let seen = hints::hints(&summary, max_requests.and_then(|n| u32::try_from(n).ok()));
        document.hints = seen;
        document.hints.extend(skew(&runs));
        document.failures.share_of(summary.finished());
        document.agreement = None;
        // The server has also counted the requests of the other shards. Each process has its own
        // memory.
        document.agreements.clear();
        document.client.memory = None;
        // Each machine has its own path.
        document.network = None;
        document.stages = stages.into_iter().map(StageSum::finish).collect();
        document.drift = whole_drift(&document);
        (document.target.before, document.target.after) = (None, None);
        document.run.id = merged_id(&document.run.id, held.len());
        document.run.merged_from = runs;
        document.run.start = None;
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
        document.judge(Strictness { fail_on_invalid, defects: &defects });
        Ok(document)
    }
}

/// Returns the id of a merged run. `first` is the id of the first shard.
pub(crate) fn merged_id(first: &str, shards: usize) -> String {
    format!("{first}-merged-{shards}")
}

/// Returns the runs behind a document: itself, or those that it was merged from.
fn runs_of(document: &Document, shard: &Shard) -> Vec<MergedRun> {
    if !document.run.merged_from.is_empty() {
        return document.run.merged_from.clone();
    }
    vec![MergedRun {
        id: document.run.id.clone(),
        index: shard.index,
        started_at: document.run.started_at.clone(),
        fingerprint: document.environment.fingerprint.clone(),
        start: document.run.start,
    }]
}

/// Refuses a document without integers, because its sum would not be exact.
fn has_integers(document: &Document) -> Result<(), FieldError> {
    let groups = document.requests.iter().map(|(name, numbers)| (format!("requests.{name}"), numbers));
    let groups = groups.chain(document.turns.iter().map(|(name, numbers)| (format!("turns.{name}"), numbers)));
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

/// Returns the drift of the whole test over the seconds in which every shard had a level load.
fn whole_drift(document: &Document) -> BTreeMap<String, Drift> {
    let Some(level) = document.drift.values().next() else { return BTreeMap::new() };
    let within = |t_s: u32| (level.from_s..=level.to_s).contains(&f64::from(t_s + 1));
    let seconds = document.series.iter().filter(|second| within(second.t_s));
    stability::drift(&drifts(seconds.filter_map(|s| Some((s.t_s, s.http_req_duration?)))))
}

/// Reads the rules that the plan has set from its section.
fn rules(plan: &serde_json::Map<String, Value>, kinds: &[String]) -> Result<Vec<Rule>, FieldError> {
    let read = |(metric, text): (&str, Option<&str>)| {
        let at = |problem: String| wrong(format!("plan.thresholds.{metric}"), problem);
        let text = text.ok_or_else(|| at("it has no rule".to_owned()))?;
        threshold::parse(metric, text, kinds).map_err(|error| at(error.to_string()))
    };
    written_rules(plan).map(read).collect()
}

fn worst_signals(ours: &mut Client, theirs: Client) {
    ours.verdict = ours.verdict.max(theirs.verdict);
    worst_of(&mut ours.signals, theirs.signals);
}

/// Keeps the worst value of each signal.
pub(crate) fn worst_of(ours: &mut Vec<Signal>, theirs: Vec<Signal>) {
    for signal in theirs {
        match ours.iter_mut().find(|known| known.name == signal.name) {
            Some(known) if (signal.verdict, signal.value) > (known.verdict, known.value) => *known = signal,
            Some(_) => {}
            None => ours.push(signal),
        }
    }
}

fn instant(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// Returns how far apart the shards of a rendezvous began, from the earliest to the latest, and how
/// well their clocks were known. `None` unless all of them took part.
pub(crate) fn start_spread(runs: &[MergedRun]) -> Option<Start> {
    let starts: Option<Vec<Start>> = runs.iter().map(|run| run.start).collect();
    let starts = starts.filter(|starts| starts.len() > 1)?;
    let of = |number: fn(&Start) -> f64, pick: fn(f64, f64) -> f64| starts.iter().map(number).reduce(pick);
    let late_ms = of(|start| start.late_ms, f64::max)? - of(|start| start.late_ms, f64::min)?;
    Some(Start { late_ms, clock_error_ms: of(|start| start.clock_error_ms, f64::max)? })
}

/// Returns a hint if the shards did not start together.
fn skew(runs: &[MergedRun]) -> Option<Hint> {
    // The rendezvous knows the starts better than the machines' clocks.
    if let Some(spread) = start_spread(runs) {
        return (spread.late_ms > MOST_SKEW_S * 1e3).then(|| Hint {
            name: "shards_started_apart".to_owned(),
            text: format!(
                "the shards started {:.0} ms apart: for that long the load was not the plan's",
                spread.late_ms
            ),
        });
    }
    let starts = || runs.iter().filter_map(|run| instant(&run.started_at)).map(Timestamp::as_millisecond);
    let apart = (starts().max()? - starts().min()?) as f64 / 1e3;
    (apart > MOST_SKEW_S).then(|| Hint {
        name: "shards_started_apart".to_owned(),
        text: format!(
            "the shards started {apart:.2} s apart: for that long the load was not the plan's (by the clocks of their machines)"
        ),
    })
}

#[cfg(test)]
mod tests;
