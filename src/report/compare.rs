//! Comparison → what people and programs read: a table of at most 80 columns, Markdown for a comment, JSON, test cases; and documents →
//! the runs that are compared.

mod input;
mod page;

pub use input::{NoiseError, NoiseFile, noise_from_json, noise_json, run};
pub use page::{markdown, terminal};

use crate::compare::{Change, Comparison, Measure, Row, Run, Unit, Verdict};
use crate::document::rounded;
use crate::report::junit::Case;
use serde_json::{Value, json};

/// Name and version of the format.
pub const COMPARE_SCHEMA: &str = "llmsim-blast.compare/1";

/// A comparison, with the runs it is of.
#[derive(Debug, Clone, Copy)]
pub struct Compared<'a> {
    /// One side.
    pub base: &'a [Run],
    /// The other.
    pub head: &'a [Run],
    /// What came of it.
    pub comparison: &'a Comparison,
}

impl Compared<'_> {
    /// In one word.
    fn word(&self) -> &'static str {
        let c = self.comparison;
        let regressed = c.gates().any(|row| row.verdict == Verdict::Regressed);
        match (c.failed() > 0, c.indicative, c.unjudged() > 0, c.inconclusive() > 0) {
            (true, ..) => "regressed",
            (false, true, ..) if regressed => "indicative: regressed",
            (false, true, ..) => "indicative",
            (false, false, true, _) => "incomplete",
            (false, false, false, true) => "inconclusive",
            (false, false, false, false) => "passed",
        }
    }

    /// As JSON for files: keys sorted, indented, with a newline at the end.
    pub fn to_json(&self) -> String {
        let run = |run: &Run| json!({ "file": run.file, "id": run.id, "server": run.server });
        let c = self.comparison;
        crate::document::json::pretty(&json!({
            "schema": COMPARE_SCHEMA,
            "verdict": self.word(),
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

    /// A test case for each gate.
    pub fn cases(&self) -> Vec<Case> {
        let case = |row: &Row| {
            let gate = row.gate.as_ref().map_or_else(String::new, |gate| gate.expression.clone());
            let change = row.change.map_or_else(String::new, |c| page::change(&row.measure, c.effect));
            let is_unjudged = row.verdict == Verdict::NoValue;
            let said = if is_unjudged {
                format!("not judged: {}", row.note.as_deref().unwrap_or("nothing can be said of it"))
            } else {
                format!("{}: {change}, {}", row.verdict.name(), interval(row))
            };
            let is_bad = row.verdict == Verdict::Regressed || is_unjudged;
            let fails = is_bad && !self.comparison.indicative;
            let skipped = row.verdict == Verdict::Inconclusive || (is_bad && !fails);
            Case { name: gate, failure: fails.then(|| said.clone()), skipped: skipped.then_some(said) }
        };
        self.comparison.gates().map(case).collect()
    }

    /// The gates that failed or could not be judged: title and message.
    pub fn failures(&self) -> Vec<(String, String)> {
        let failed = self.cases().into_iter();
        failed.filter_map(|case| Some((format!("llmsim-blast compare: {}", case.name), case.failure?))).collect()
    }
}

fn interval(row: &Row) -> String {
    let known = row.change.filter(|c| c.low.is_finite() && c.high.is_finite());
    known.map_or_else(
        || "no interval".to_owned(),
        |c| format!("from {} to {}", page::change(&row.measure, c.low), page::change(&row.measure, c.high)),
    )
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
    }
}

#[cfg(test)]
mod tests;
