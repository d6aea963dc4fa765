//! A comparison for people: a table of at most 80 columns, Markdown for a comment, test cases.

mod page;
mod view;
mod words;

pub use page::{markdown, terminal};
pub(crate) use view::view;
pub(crate) use words::{change, interval_title};

use crate::compare::{Row, Verdict};
use crate::document::comparison::Compared;
use crate::report::view::{Case, Outcome};

/// Returns a test case for each gate.
pub(crate) fn cases(compared: &Compared<'_>) -> Vec<Case> {
    let case = |row: &Row| {
        let gate = row.gate.as_ref().map_or_else(String::new, |gate| gate.expression.clone());
        let change = row.change.map_or_else(String::new, |c| change(&row.measure, c.effect));
        let is_unjudged = row.verdict == Verdict::NoValue;
        let said = if is_unjudged {
            format!("not judged: {}", row.note.as_deref().unwrap_or("no reason given"))
        } else {
            format!("{}: {change}, {}", row.verdict.name(), interval(row))
        };
        let crossed = row.verdict == Verdict::Regressed;
        let fails = is_unjudged || (crossed && !compared.comparison.indicative);
        let skipped = row.verdict == Verdict::Inconclusive || (crossed && !fails);
        let outcome = match (fails, skipped) {
            (true, _) => Outcome::Failed(said),
            (false, true) => Outcome::Skipped(said),
            (false, false) => Outcome::Held,
        };
        Case { name: gate, outcome }
    };
    compared.comparison.gates().map(case).collect()
}

/// Returns the gates that failed or could not be judged, as title and message.
pub fn failures(compared: &Compared<'_>) -> Vec<(String, String)> {
    let failed = cases(compared).into_iter();
    failed
        .filter_map(|case| match case.outcome {
            Outcome::Failed(why) => Some((format!("llmsim-blast compare: {}", case.name), why)),
            Outcome::Held | Outcome::Skipped(_) => None,
        })
        .collect()
}

fn interval(row: &Row) -> String {
    let known = row.change.filter(|c| c.low.is_finite() && c.high.is_finite());
    known.map_or_else(
        || "no interval".to_owned(),
        |c| format!("from {} to {}", change(&row.measure, c.low), change(&row.measure, c.high)),
    )
}

/// Returns the gates as JUnit XML, one test case each.
pub fn junit(compared: &Compared<'_>) -> String {
    crate::report::junit::render("llmsim-blast compare", &[], &cases(compared))
}

#[cfg(test)]
mod tests;
