//! The texts about a comparison, for every kind of page.

use crate::compare::{Comparison, LEAST_RUNS, Measure, Method, Row, Run, Unit, Verdict};
use crate::document::comparison::Compared;
use crate::report::human;
use crate::units::plural;
use std::collections::BTreeSet;

/// Formats a change in percent or in percentage points. An increase to ten times or more is shown
/// as a factor.
pub(crate) fn change(measure: &Measure, change: f64) -> String {
    let unit = if measure.unit() == Unit::Share { "pp" } else { "%" };
    let percent = change * 100.0;
    match percent.abs() {
        p if !p.is_finite() => "?".to_owned(),
        p if p < 0.005 => format!("0{unit}"),
        p if p < 9.95 => format!("{percent:+.2}{unit}"),
        p if p < 99.95 => format!("{percent:+.1}{unit}"),
        // A rest remains, so the drop must not be rounded to 100 %.
        _ if percent < 0.0 && unit == "%" => format!("{percent:+.2}%"),
        p if p >= 9_900.0 && unit == "%" => format!("×{:.0}", change + 1.0),
        p if p >= 900.0 && unit == "%" => format!("×{:.1}", change + 1.0),
        _ => format!("{percent:+.0}{unit}"),
    }
}

pub(super) fn value(measure: &Measure, values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    if n == 0 {
        return "-".to_owned();
    }
    let middle = f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2]);
    match measure.unit() {
        Unit::Ms => human::time(middle),
        Unit::PerSecond => human::per_second(middle),
        Unit::Share => human::percent(middle),
        Unit::Factor => format!("{middle:.2}"),
        Unit::Users => format!("{middle:.0}"),
    }
}

pub(super) fn interval(row: &Row) -> String {
    match row.change.filter(|c| c.low.is_finite() && c.high.is_finite()) {
        Some(c) => format!("{} … {}", change(&row.measure, c.low), change(&row.measure, c.high)),
        None => "-".to_owned(),
    }
}

pub(super) fn mark(row: &Row, indicative: bool) -> &'static str {
    match row.verdict {
        Verdict::Regressed if indicative => "!",
        Verdict::Regressed => "✗",
        Verdict::Improved | Verdict::NoChange => "✓",
        Verdict::Inconclusive => "?",
        Verdict::NoValue => "-",
    }
}

pub(super) fn verdict_line(compared: &Compared<'_>) -> String {
    let c = compared.comparison;
    let all = c.gates().count();
    let gates = plural(all, "gate");
    let sort = compared.sort().name();
    let runs = format!("{} + {} {sort}s", compared.base.len(), compared.head.len());
    let crossed = c.gates().filter(|row| row.verdict == Verdict::Regressed).count();
    let not_judged = if c.unjudged() > 0 { format!(", {} could not be judged", c.unjudged()) } else { String::new() };
    if c.failed() > 0 {
        format!("{} of {gates} failed{not_judged} ({runs})", c.failed())
    } else if c.unjudged() > 0 {
        format!("{} of {gates} could not be judged ({runs})", c.unjudged())
    } else if c.indicative && all == 0 {
        format!("one {sort} per side proves nothing; no gates were set")
    } else if c.indicative {
        format!("one {sort} per side proves nothing; {crossed} of {gates} crossed")
    } else if c.inconclusive() > 0 {
        format!("no gate failed; {} of {gates} inconclusive ({runs})", c.inconclusive())
    } else if all == 0 {
        format!("no gates were set ({runs})")
    } else {
        format!("{all} of {gates} held ({runs})")
    }
}

/// Returns the heading of the interval's column.
pub(crate) fn interval_title(comparison: &Comparison) -> String {
    let percent = format!("{:.1}", comparison.confidence * 100.0);
    let percent = percent.trim_end_matches(".0");
    match comparison.method {
        Method::Bootstrap => format!("{percent} % (seconds)"),
        Method::Single => "no interval".to_owned(),
        Method::Separation | Method::MannWhitney | Method::Paired => format!("{percent} %"),
    }
}

pub(super) fn servers(runs: &[Run]) -> String {
    let all: BTreeSet<&str> = runs.iter().map(|run| run.server.as_str()).collect();
    let all = all.into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join("; ");
    if all.is_empty() { "unknown server".to_owned() } else { all }
}

/// Returns the smallest change that these runs could have shown.
pub(super) fn detectable(compared: &Compared<'_>) -> Option<String> {
    let gates: Vec<&Row> = compared.comparison.gates().collect();
    let rows = if gates.is_empty() { compared.comparison.rows.iter().collect() } else { gates };
    let each = rows.iter().filter_map(|row| Some((&row.measure, row.change?.detectable?)));
    let each: Vec<String> =
        each.filter(|(_, d)| *d > 0.0).map(|(m, d)| format!("{m} {}", change(m, d).trim_start_matches('+'))).collect();
    let (base, head) = (compared.base.len(), compared.head.len());
    let runs = format!("smallest change detectable with 50 % power at {base}+{head} runs: ");
    (!each.is_empty()).then(|| runs + &each.join(", "))
}

pub(super) fn notes(compared: &Compared<'_>) -> Vec<String> {
    let mut notes: Vec<String> = detectable(compared).into_iter().collect();
    let c = compared.comparison;
    if c.method == Method::Separation && compared.base.len().min(compared.head.len()) == LEAST_RUNS {
        notes.push(format!(
            "{LEAST_RUNS} runs per side are the fewest that allow a decision; 5 detect smaller \
                            changes"
        ));
    }
    let of_gates = c.gates().filter_map(|row| Some(format!("{}: {}", row.measure, row.note.as_ref()?)));
    notes.extend(of_gates);
    // The reason for a missing interval is the same for all of them, so it is given once.
    let others = || c.rows.iter().filter(|row| row.gate.is_none() && row.change.is_some());
    if let Some(note) = others().find_map(|row| row.note.as_ref()) {
        let n = others().filter(|row| row.note.as_ref() == Some(note)).count();
        notes.push(format!("{n} of the numbers without a gate: {note}"));
    }
    notes
}
