//! The verdict on a run. It is made once, and the exit code and every output are derived from it.

use super::endpoints::count;
use super::measured::{counter, rate};
use super::{Document, Endpoint, EndpointVerdict, Judged, Judgement, TargetServer, Validity};
use crate::exit::ExitClass;
use crate::metrics;
use crate::units::plural;
use serde::{Deserialize, Serialize};

/// The `run.stop_reason` of a document that was made before its run was over.
pub(crate) const NOT_ENDED: &str = "the run has not ended";

/// The verdict on a run. In JSON its fields stand beside those of the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    #[serde(rename = "verdict", default)]
    pub conclusion: Conclusion,
    /// The exit code of the run.
    #[serde(default)]
    pub exit_code: u8,
    /// All reasons why the run does not pass, the decisive one first. Empty if it passed.
    #[serde(default)]
    pub reasons: Vec<Reason>,
}

/// The conclusion of a run in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// Every threshold held, and no endpoint failed.
    Pass,
    /// The same for the shards that were merged. Others are missing.
    Partial,
    /// One shard of a test. Its thresholds are not judged, because `merge` judges the whole.
    Shard,
    /// A threshold did not hold, or nothing was measured for it, or an endpoint failed.
    Fail,
    /// A signal ended the run.
    Interrupted,
    /// A shard of the test was lost, or never joined.
    Incomplete,
    /// Not one request succeeded or was cancelled.
    #[default]
    NoData,
    /// The server that was started for the run ended by itself, so the measurements are incomplete.
    ServerDied,
    /// The client was the bottleneck, and the user asked to treat that as an error.
    Invalid,
    /// This tool has a defect: its numbers do not add up.
    Internal,
}

/// A reason why a run does not pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub kind: ReasonKind,
    /// The threshold as written, or the endpoint's name. Otherwise the kind in words.
    pub name: String,
    /// The observed and the expected value.
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    /// This tool's own numbers do not add up.
    Internal,
    /// A signal stopped the run.
    Interrupted,
    /// The started server ended by itself.
    ServerDied,
    /// A shard of the test was lost.
    Incomplete,
    NoData,
    /// A threshold ended the run early.
    Abort,
    /// A threshold did not hold.
    Threshold,
    /// An endpoint did not respond as it should.
    Endpoint,
    /// The client was the bottleneck.
    InvalidClient,
}

/// The name of a reason that ended a run or a sweep before its plan.
pub(crate) const ENDED_EARLY: &str = "ended early";

/// Facts for the verdict that are not in the document.
#[derive(Debug, Clone, Copy, Default)]
pub struct Strictness<'a> {
    /// True if a client that was the bottleneck fails the run.
    pub fail_on_invalid: bool,
    /// Defects of this tool. Each ends the run as an internal error.
    pub defects: &'a [String],
}

/// Facts about a sweep.
#[derive(Debug, Clone)]
pub(crate) struct SweepFacts<'a> {
    /// The tested server.
    pub(crate) server: &'a TargetServer,
    /// The reason why the sweep ended before its last step, if neither a signal nor the server
    /// ended it.
    pub(crate) ended: Option<Reason>,
    /// True if a signal ended the sweep.
    pub(crate) interrupted: bool,
    /// True if at least one request succeeded.
    pub(crate) has_data: bool,
    /// The reason why nothing was found.
    pub(crate) missed: Option<String>,
}

impl Conclusion {
    /// Returns the conclusion for the decisive reason.
    fn of(reason: Option<&Reason>) -> Option<Self> {
        Some(match reason?.kind {
            ReasonKind::Internal => Self::Internal,
            // The measurements of an interrupted run are partial, whatever else happened.
            ReasonKind::Interrupted => Self::Interrupted,
            ReasonKind::ServerDied => Self::ServerDied,
            ReasonKind::Incomplete => Self::Incomplete,
            ReasonKind::NoData => Self::NoData,
            ReasonKind::Abort | ReasonKind::Threshold | ReasonKind::Endpoint => Self::Fail,
            ReasonKind::InvalidClient => Self::Invalid,
        })
    }

    /// Returns the exit code's class.
    pub const fn exit(self) -> ExitClass {
        match self {
            Self::Pass | Self::Partial | Self::Shard => ExitClass::Success,
            Self::Fail => ExitClass::ThresholdFailed,
            Self::Interrupted => ExitClass::Interrupted,
            Self::NoData | Self::ServerDied => ExitClass::NoData,
            Self::Incomplete => ExitClass::Incomplete,
            Self::Invalid => ExitClass::Invalid,
            Self::Internal => ExitClass::Internal,
        }
    }
}

impl Default for Verdict {
    fn default() -> Self {
        Self::new(Conclusion::default(), Vec::new())
    }
}

impl Verdict {
    fn new(conclusion: Conclusion, reasons: Vec<Reason>) -> Self {
        Self { conclusion, exit_code: conclusion.exit().code(), reasons }
    }

    /// Judges a run by its document.
    pub fn of(document: &Document, strictness: Strictness<'_>) -> Self {
        let mut reasons: Vec<Reason> = strictness
            .defects
            .iter()
            .map(|defect| Reason::new(ReasonKind::Internal, "internal error", defect.clone()))
            .collect();
        reasons.extend(interrupted(document));
        reasons.extend(server_died(&document.target.server));
        reasons.extend(incomplete(document));
        reasons.extend(no_data(document));
        reasons.extend(aborted(document));
        reasons.extend(document.thresholds.iter().filter_map(Reason::of_threshold));
        reasons.extend(document.endpoints.iter().filter_map(Reason::of_endpoint));
        reasons.extend(invalid(document).filter(|_| strictness.fail_on_invalid));
        let conclusion = Conclusion::of(reasons.first()).unwrap_or(match () {
            () if document.is_partial() => Conclusion::Partial,
            () if document.is_shard() => Conclusion::Shard,
            () => Conclusion::Pass,
        });
        Self::new(conclusion, reasons)
    }

    /// Judges a sweep: many runs against one server. `missed` tells why nothing was found, for a
    /// sweep that looks for something.
    pub(crate) fn of_sweep(sweep: SweepFacts<'_>) -> Self {
        let SweepFacts { server, ended, interrupted, has_data, missed } = sweep;
        // The server's own facts describe its end better.
        let ended = ended.filter(|_| server.died.is_none());
        let stopped = "stopped by a signal: steps are missing".to_owned();
        let interrupted = interrupted.then(|| Reason::new(ReasonKind::Interrupted, "interrupted", stopped));
        let no_data = (!has_data).then(|| Reason::new(ReasonKind::NoData, "no data", "no step had data".to_owned()));
        let missed = missed.filter(|_| has_data).map(|text| Reason::new(ReasonKind::Threshold, "goals", text));
        let reasons = [ended, interrupted, server_died(server), no_data, missed];
        let reasons: Vec<Reason> = reasons.into_iter().flatten().collect();
        Self::new(Conclusion::of(reasons.first()).unwrap_or(Conclusion::Pass), reasons)
    }

    /// Returns the class of the run's exit code.
    pub const fn exit(&self) -> ExitClass {
        self.conclusion.exit()
    }

    /// Returns the reason why a sweep ended before its last step, if it did.
    pub(crate) fn ended_early(&self) -> Option<&str> {
        let first = self.reasons.first()?;
        let is_end = matches!(first.kind, ReasonKind::Internal | ReasonKind::Interrupted | ReasonKind::ServerDied)
            || first.name == ENDED_EARLY;
        is_end.then_some(first.text.as_str())
    }

    /// Returns the defects of this tool.
    pub fn defects(&self) -> impl Iterator<Item = &str> {
        self.reasons.iter().filter(|reason| reason.kind == ReasonKind::Internal).map(|reason| reason.text.as_str())
    }

    /// Returns the reason in half a sentence, for people.
    pub fn why(&self, document: &Document) -> String {
        let all = document.thresholds.len();
        let asked = document.endpoints.len();
        match self.conclusion {
            Conclusion::Pass => {
                let held = held(all);
                let ok = count(&document.endpoints, EndpointVerdict::Ok);
                if asked == 0 { held } else { format!("{held}; {} ok", plural(ok, "endpoint")) }
            }
            Conclusion::Partial => format!("{}, of the shards that are present", held(all)),
            Conclusion::Shard if document.run.start.is_some() => "it ran; shard 0 judges the whole".to_owned(),
            Conclusion::Shard => "it ran; `llmsim-blast merge` judges the whole".to_owned(),
            Conclusion::Fail => {
                let of = |kind| self.reasons.iter().filter(|reason| reason.kind == kind).count();
                let (broken, failed) = (of(ReasonKind::Endpoint), of(ReasonKind::Threshold));
                let parts = [
                    (broken > 0).then(|| format!("{broken} of {} failed", plural(asked, "endpoint"))),
                    (failed > 0).then(|| format!("{failed} of {} did not hold", plural(all, "threshold"))),
                    (broken + failed == 0).then(|| "a threshold ended it early".to_owned()),
                ];
                parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
            }
            Conclusion::Interrupted => "the numbers cover only the part that ran".to_owned(),
            Conclusion::Incomplete => "a shard was lost, and the numbers cover only the part that ran".to_owned(),
            Conclusion::NoData => "no request succeeded".to_owned(),
            Conclusion::ServerDied => "the server ended by itself".to_owned(),
            Conclusion::Invalid => "the client was at its limit, and --fail-on-invalid was given".to_owned(),
            Conclusion::Internal => "this tool's own numbers do not add up; please report it".to_owned(),
        }
    }
}

fn held(all: usize) -> String {
    match all {
        0 => "no thresholds were set".to_owned(),
        all => format!("{all} of {} held", plural(all, "threshold")),
    }
}

impl Reason {
    pub(crate) fn new(kind: ReasonKind, name: &str, text: String) -> Self {
        Self { kind, name: name.to_owned(), text }
    }

    /// Returns the reason why a threshold does not hold. `None` if it holds.
    pub(crate) fn of_threshold(judged: &Judged) -> Option<Self> {
        let samples = plural(judged.samples, "sample");
        let text = match (judged.verdict, judged.value) {
            (Judgement::Pass, _) => return None,
            (Judgement::Fail, Some(value)) => format!("measured {value}, expected {}; {samples}", judged.expression),
            (Judgement::Fail, None) => format!("no value, expected {}; {samples}", judged.expression),
            (Judgement::NoData, _) => "no data: nothing was measured".to_owned(),
        };
        Some(Self { kind: ReasonKind::Threshold, name: threshold_name(judged), text })
    }

    /// Returns the reason why an endpoint failed. `None` if it did not fail.
    pub(crate) fn of_endpoint(endpoint: &Endpoint) -> Option<Self> {
        if endpoint.verdict != EndpointVerdict::Failed {
            return None;
        }
        let status = endpoint.status.map_or_else(|| "no response".to_owned(), |status| format!("status {status}"));
        let text = endpoint.reason.clone().unwrap_or(status);
        Some(Self { kind: ReasonKind::Endpoint, name: endpoint_name(endpoint), text })
    }
}

/// Formats a threshold as it was written.
pub(crate) fn threshold_name(judged: &Judged) -> String {
    format!("{}: {}", judged.metric, judged.expression)
}

/// Formats an endpoint with its method and path.
pub(crate) fn endpoint_name(endpoint: &Endpoint) -> String {
    format!("endpoint {}: {} {}", endpoint.name, endpoint.method, endpoint.path)
}

fn interrupted(document: &Document) -> Option<Reason> {
    if document.run.stop_reason.as_deref() == Some(NOT_ENDED) {
        let text = format!("{NOT_ENDED}: the numbers cover only the part that ran");
        return Some(Reason::new(ReasonKind::Interrupted, "interrupted", text));
    }
    let reason = document.run.stop_reason.as_deref().unwrap_or_default();
    let more = match reason.strip_prefix("signal") {
        Some(to) => to.to_owned(),
        None if reason.is_empty() => String::new(),
        None => format!(" ({reason})"),
    };
    let text = format!("stopped by a signal{more}: the numbers cover only the part that ran");
    document.run.interrupted.then(|| Reason::new(ReasonKind::Interrupted, "interrupted", text))
}

fn server_died(server: &TargetServer) -> Option<Reason> {
    let status = server.died.as_ref()?;
    Some(Reason::new(ReasonKind::ServerDied, "server died", format!("the server ended by itself ({status})")))
}

fn incomplete(document: &Document) -> Option<Reason> {
    let reason = document.run.stop_reason.as_deref().unwrap_or("a shard was lost");
    document.run.incomplete.then(|| Reason::new(ReasonKind::Incomplete, "incomplete", reason.to_owned()))
}

fn no_data(document: &Document) -> Option<Reason> {
    let failed = rate(&document.metrics, metrics::Rate::HttpReqFailed);
    let (finished, succeeded) = failed.map_or((0, 0), |rate| (rate.total, rate.total.saturating_sub(rate.matches)));
    // If users give up by design, a run in which all of them did has data.
    let cancelled = counter(&document.metrics, metrics::Counter::Cancelled).map_or(0, |counter| counter.count);
    let text = match finished {
        0 => "no request finished".to_owned(),
        n => format!("none of {} succeeded", plural(n, "request")),
    };
    (succeeded == 0 && cancelled == 0).then(|| Reason::new(ReasonKind::NoData, "no data", text))
}

/// Returns the reason if the run ended before its plan did, but not by a signal, by the server or
/// by a lost shard.
fn aborted(document: &Document) -> Option<Reason> {
    let ended_otherwise = document.run.interrupted || document.run.incomplete || document.target.server.died.is_some();
    let reason = document.run.stop_reason.as_ref().filter(|_| !ended_otherwise)?;
    Some(Reason::new(ReasonKind::Abort, ENDED_EARLY, format!("the run was ended early: {reason}")))
}

fn invalid(document: &Document) -> Option<Reason> {
    let worst = document.client.signals.iter().filter(|signal| signal.verdict == Validity::Bottleneck);
    let named: Vec<String> =
        worst.map(|signal| format!("{} {} is beyond {}", signal.name, signal.value, signal.limit)).collect();
    let named = if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) };
    let text = format!("the client was the bottleneck{named}");
    (document.client.verdict == Validity::Bottleneck)
        .then(|| Reason::new(ReasonKind::InvalidClient, "client is valid", text))
}
