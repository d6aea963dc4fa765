//! Conversion of documents into the runs that are compared, and of a comparison into JSON.

use super::json as document_json;
use super::read::{FieldError, three, wrong};
use super::{Conclusion, Document, Reason, ReasonKind, TargetServer, Validity, stability, summary};
use crate::compare::{Change, Comparison, Measure, Numbers, Row, Run, Second, Sort, Unit, Verdict};
use crate::exit::ExitClass;
use crate::metrics::Buckets;
use crate::units::rounded;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Name and version of the format.
pub const COMPARE_SCHEMA: &str = "llmsim-blast.compare/1";

/// Characters of a commit that are shown.
const SHORT_COMMIT: usize = 12;

/// A comparison and its runs.
#[derive(Debug, Clone, Copy)]
pub struct Compared<'a> {
    pub base: &'a [Run],
    pub head: &'a [Run],
    /// The result.
    pub comparison: &'a Comparison,
    /// True if an inconclusive gate fails the comparison.
    pub fail_on_inconclusive: bool,
}

impl Compared<'_> {
    /// Returns the command that wrote the results.
    pub(crate) fn sort(&self) -> Sort {
        self.base.first().map_or(Sort::Run, |run| run.sort)
    }

    pub(crate) fn word(&self) -> &'static str {
        let c = self.comparison;
        let regressed = c.gates().any(|row| row.verdict == Verdict::Regressed);
        match (c.failed() > 0, c.indicative, c.unjudged() > 0, c.inconclusive() > 0) {
            (true, ..) => "regressed",
            (false, _, true, _) => "incomplete",
            (false, true, ..) if regressed => "indicative: regressed",
            (false, true, ..) => "indicative",
            (false, false, false, true) => "inconclusive",
            (false, false, false, false) => "passed",
        }
    }

    /// Returns the class of exit codes for the comparison.
    pub(crate) fn exit(&self) -> ExitClass {
        let c = self.comparison;
        match (c.failed() > 0 || (self.fail_on_inconclusive && c.inconclusive() > 0), c.unjudged() > 0) {
            (true, _) => ExitClass::ThresholdFailed,
            (false, true) => ExitClass::Incomplete,
            (false, false) => ExitClass::Success,
        }
    }

    /// Returns all reasons why the comparison does not pass, failed gates first.
    fn reasons(&self) -> Vec<Reason> {
        let c = self.comparison;
        let of = |kind, verdict: Verdict, counts: bool| {
            let rows = c.gates().filter(move |row| counts && row.verdict == verdict);
            rows.map(move |row| gate_reason(kind, row))
        };
        let regressed = of(ReasonKind::Threshold, Verdict::Regressed, !c.indicative);
        let undecided = of(ReasonKind::Threshold, Verdict::Inconclusive, self.fail_on_inconclusive);
        regressed.chain(undecided).chain(of(ReasonKind::NoData, Verdict::NoValue, true)).collect()
    }

    /// Returns the JSON for files: keys sorted, indented, with a newline at the end.
    pub fn to_json(&self) -> String {
        let run = |run: &Run| json!({ "file": run.file, "id": run.id, "server": run.server });
        let c = self.comparison;
        document_json::pretty(&json!({
            "schema": COMPARE_SCHEMA,
            "of": match self.sort() {
                Sort::Run => "run",
                Sort::Throughput => "throughput",
                Sort::Capacity => "capacity",
            },
            "verdict": self.word(),
            "exit_code": self.exit().code(),
            "reasons": self.reasons(),
            "method": c.method.name(),
            "confidence": rounded(c.confidence),
            "indicative": c.indicative,
            "failed": c.failed(),
            "inconclusive": c.inconclusive(),
            "unjudged": c.unjudged(),
            "workload": self.base.first().map(|run| run.workload.clone()),
            "base": self.base.iter().map(run).collect::<Vec<_>>(),
            "head": self.head.iter().map(run).collect::<Vec<_>>(),
            "rows": c.rows.iter().map(row_json).collect::<Vec<_>>(),
            "warnings": c.warnings,
        }))
    }
}

/// Returns the reason why a gate keeps the comparison from passing.
fn gate_reason(kind: ReasonKind, row: &Row) -> Reason {
    let name = row.gate.as_ref().map_or_else(|| row.measure.to_string(), |gate| gate.expression.clone());
    let change = row.change.as_ref().map(|c| {
        let [effect, low, high] = [c.effect, c.low, c.high].map(|n| n * 100.0);
        let unit = if row.measure.unit() == Unit::Share { "percentage points" } else { "%" };
        format!("{effect:+.2} {unit} (from {low:+.2} to {high:+.2})")
    });
    let parts = [Some(row.verdict.name().to_owned()), change, row.note.clone()];
    Reason::new(kind, &name, parts.into_iter().flatten().collect::<Vec<_>>().join(": "))
}

fn row_json(row: &Row) -> Value {
    let change = row.change.as_ref();
    let number = |of: &dyn Fn(&Change) -> Option<f64>| change.and_then(of).filter(|n| n.is_finite()).map(rounded);
    json!({
        "measure": row.measure.to_string(),
        "unit": unit(&row.measure),
        "gate": row.gate.as_ref().map(|gate| gate.expression.clone()),
        "base": row.base.iter().copied().map(rounded).collect::<Vec<_>>(),
        "head": row.head.iter().copied().map(rounded).collect::<Vec<_>>(),
        "change": number(&|c| Some(c.effect)),
        "low": number(&|c| Some(c.low)),
        "high": number(&|c| Some(c.high)),
        "p": number(&|c| c.p),
        "p_adjusted": number(&|c| c.p_adjusted),
        "detectable": number(&|c| c.detectable),
        "verdict": row.verdict.name(),
        "note": row.note,
    })
}

fn unit(measure: &Measure) -> &'static str {
    match measure.unit() {
        Unit::Ms => "ms",
        Unit::PerSecond => "per second",
        Unit::Share => "share",
        Unit::Factor => "factor",
        Unit::Users => "users",
    }
}

/// Converts a document into a run to compare.
pub fn run(file: &str, document: &Document) -> Result<Run, FieldError> {
    let mut remarks = Vec::new();
    if document.client.verdict >= Validity::Strained {
        remarks.push(format!("the client was {}: the numbers are partly its own", document.client.verdict.name()));
    }
    Ok(Run {
        file: file.to_owned(),
        sort: Sort::Run,
        id: document.run.id.clone(),
        workload: text(document.plan.get("hash")),
        tool: document.build.version.clone(),
        shards: document.run.merged_from.len(),
        steps: Vec::new(),
        machine: Vec::new(),
        incomplete: incomplete(document),
        fingerprint: document.environment.fingerprint.clone(),
        remarks,
        build: build(&document.target.server),
        server: server_name(&document.target.server, &document.run.tags),
        numbers: Numbers::Load {
            summary: summary(document)?.into(),
            seconds: stability::in_window(document).map(second).collect::<Result<_, _>>()?,
        },
    })
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Returns the reason why a document is not of a complete run.
fn incomplete(document: &Document) -> Option<String> {
    match document.verdict.conclusion {
        Conclusion::Internal => Some("verdict: the numbers of the run do not add up".to_owned()),
        _ if document.is_partial() => Some("run.shard: shards are missing in it".to_owned()),
        _ if document.is_shard() => Some("run.shard: it is a shard of a test, not merged yet".to_owned()),
        Conclusion::Interrupted => Some("run.interrupted: it was stopped by a signal".to_owned()),
        Conclusion::Incomplete => Some("run.incomplete: a shard of it was lost".to_owned()),
        Conclusion::ServerDied => Some("target.server.died: the server ended by itself".to_owned()),
        Conclusion::NoData => Some("metrics.http_req_failed: no request succeeded".to_owned()),
        Conclusion::Pass | Conclusion::Partial | Conclusion::Shard | Conclusion::Fail | Conclusion::Invalid => {
            document.run.stop_reason.as_ref().map(|reason| format!("run.stop_reason: it ended early ({reason})"))
        }
    }
}

/// Returns the server's build: kind, version and commit, as far as they are known.
pub(super) fn build(server: &TargetServer) -> String {
    let commit = server.git_commit.as_ref().map(|commit| {
        let dirty = if server.git_dirty == Some(true) { " and changes" } else { "" };
        format!("{}{dirty}", commit.chars().take(SHORT_COMMIT).collect::<String>())
    });
    [server.kind.clone(), server.version.clone(), commit].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Returns the build and the user's own marks.
pub(super) fn server_name(server: &TargetServer, tags: &BTreeMap<String, String>) -> String {
    let tags = tags.iter().map(|(key, value)| format!("{key}={value}"));
    let parts = std::iter::once(build(server)).filter(|build| !build.is_empty()).chain(tags);
    parts.collect::<Vec<_>>().join(" ")
}

fn second(second: &super::Second) -> Result<Second, FieldError> {
    let mut times = BTreeMap::new();
    for (kind, numbers) in &second.requests {
        for (name, histogram, _) in three(numbers) {
            let Some(histogram) = histogram else { continue };
            let field = || format!("series: second {}: requests.{kind}.histograms.{name}", second.t_s);
            let buckets = Buckets::decode(histogram).map_err(|error| wrong(field(), error.to_string()))?;
            times.insert((kind.clone(), name), buckets);
        }
    }
    let (http_reqs, failed, tokens_output) = (second.http_reqs, second.failed, second.tokens_output);
    Ok(Second { http_reqs, failed, tokens_output, times })
}
