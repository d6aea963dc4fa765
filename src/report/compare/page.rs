//! A comparison as a table for a terminal, and as Markdown.

use super::words::{change, interval, interval_title, mark, notes, servers, value, verdict_line};
use crate::compare::{Row, Verdict};
use crate::document::comparison::Compared;
use crate::redact::is_obeyed;
use crate::report::github::cell;
use crate::report::human;
use std::fmt::Write as _;

/// By it a bot finds its comment again, to update it instead of writing another.
const MARKER: &str = "<!-- llmsim-blast:compare -->";
/// Columns of the table.
const COLUMNS: usize = 80;
/// Of these, for the name.
const NAME: usize = 25;

/// A row filled to its columns.
fn line(mark: &str, name: &str, columns: [&str; 4], verdict: &str) -> String {
    let [base, head, change, interval] = columns;
    format!("{mark} {name:<NAME$}{base:>8}{head:>8}{change:>8}{interval:>16} {verdict}").trim_end().to_owned()
}

/// The table for a terminal, at most 80 columns wide.
pub fn terminal(compared: &Compared<'_>) -> String {
    let c = compared.comparison;
    let mut text = String::new();
    let mut put = |line: &str| {
        let line = line.replace(is_obeyed, "?");
        let cut: String = line.chars().take(COLUMNS).collect();
        // A String takes everything.
        let _ = writeln!(text, "{}", cut.trim_end());
    };
    put(&format!("{}  {}", compared.word().to_uppercase(), verdict_line(compared)));
    put(&format!("  base  {}", servers(compared.base)));
    put(&format!("  head  {}", servers(compared.head)));
    let title = line(" ", "", ["base", "head", "change", &interval_title(c)], "");
    let (gates, others): (Vec<&Row>, Vec<&Row>) = c.rows.iter().partition(|row| row.gate.is_some());
    for (heading, rows) in [("GATES", gates), ("ALL NUMBERS", others)] {
        let shown: Vec<&&Row> = rows.iter().filter(|row| row.gate.is_some() || row.change.is_some()).collect();
        if shown.is_empty() {
            continue;
        }
        put("");
        put(&format!("{heading}{}", title.get(heading.len()..).unwrap_or_default()));
        for row in shown {
            let name = row.gate.as_ref().map_or_else(|| row.measure.to_string(), |gate| gate.expression.clone());
            let (base, head) = (value(&row.measure, &row.base), value(&row.measure, &row.head));
            let effect = row.change.map_or_else(|| "-".to_owned(), |c| change(&row.measure, c.effect));
            let mark = if row.gate.is_some() { mark(row, c.indicative) } else { " " };
            let columns = [base.as_str(), &head, &effect, &interval(row)];
            if name.chars().count() <= NAME {
                put(&line(mark, &name, columns, row.verdict.name()));
            } else {
                put(&format!("{mark} {name}"));
                put(&line(" ", "", columns, row.verdict.name()));
            }
        }
    }
    let notes = notes(compared);
    if !notes.is_empty() || !c.warnings.is_empty() {
        put("");
    }
    for (label, note) in notes.iter().map(|n| ("note:", n)).chain(c.warnings.iter().map(|w| ("warning:", w))) {
        for (i, wrapped) in human::wrapped(note, COLUMNS - 10).iter().enumerate() {
            put(&format!("{:<9} {wrapped}", if i == 0 { label } else { "" }));
        }
    }
    text
}

/// Markdown for a comment or a summary: the verdict, the gates, and the rest folded.
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
            // Inside a code span nothing is markup, but a bar still ends the cell.
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
