//! A comparison painted for a terminal, and as Markdown.

use super::view::view;
use super::words::{change, interval, interval_title, notes, servers, value, verdict_line};
use crate::compare::{Row, Verdict};
use crate::document::comparison::Compared;
use crate::report::github::cell;
use crate::report::terminal::{Style, paint};
use std::fmt::Write as _;

/// A bot finds its comment by this marker, to update it instead of writing another.
const MARKER: &str = "<!-- llmsim-blast:compare -->";

/// Returns the page for a terminal.
pub fn terminal(compared: &Compared<'_>, style: Style) -> String {
    paint(view(compared), style)
}

/// Returns Markdown for a comment or a summary: the verdict, the gates, and the rest folded.
pub fn markdown(compared: &Compared<'_>) -> String {
    let c = compared.comparison;
    let icon = match (c.failed() > 0, c.indicative || c.inconclusive() > 0 || c.unjudged() > 0) {
        (true, _) => "❌",
        (false, true) => "❔",
        (false, false) => "✅",
    };
    let mut text = format!("{MARKER}\n### {icon} llmsim-blast compare: {}\n\n", compared.word());
    let _ = writeln!(text, "{}.\n", verdict_line(compared));
    let _ = writeln!(text, "base: {}  \nhead: {}\n", cell(&servers(compared.base)), cell(&servers(compared.head)));
    let head = format!("| | base | head | change | {} | verdict |\n|---|---:|---:|---:|---:|---|\n", interval_title(c));
    let rows = |rows: &[&Row]| {
        let mut text = head.clone();
        for row in rows {
            let name = row.gate.as_ref().map_or_else(|| row.measure.to_string(), |gate| gate.expression.clone());
            let (base, head) = (value(&row.measure, &row.base), value(&row.measure, &row.head));
            let effect = row.change.map_or_else(|| "-".to_owned(), |c| change(&row.measure, c.effect));
            let bold = if row.verdict == Verdict::Regressed { "**" } else { "" };
            let verdict = row.verdict.name();
            // A code span has no markup, but a bar still ends the cell.
            let name = name.replace('|', "\\|").replace('`', "'");
            let _ =
                writeln!(text, "| `{name}` | {base} | {head} | {effect} | {} | {bold}{verdict}{bold} |", interval(row));
        }
        text
    };
    let (gates, others): (Vec<&Row>, Vec<&Row>) = c.rows.iter().partition(|row| row.gate.is_some());
    let others: Vec<&Row> = others.into_iter().filter(|row| row.change.is_some()).collect();
    if !gates.is_empty() {
        let _ = writeln!(text, "{}", rows(&gates));
    }
    if !others.is_empty() {
        let _ = writeln!(text, "<details><summary>All numbers</summary>\n\n{}\n</details>\n", rows(&others));
    }
    for note in notes(compared).iter().chain(&c.warnings) {
        let _ = writeln!(text, "- {}", cell(note));
    }
    text
}
