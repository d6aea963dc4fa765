//! A comparison as a [`View`], for painters.

use super::words::{change, interval, interval_title, mark, notes, servers, value, verdict_line};
use crate::compare::{Method, Row as Measured, Verdict};
use crate::document::comparison::Compared;
use crate::report::view::{Block, Column, Headline, Piece, Remark, Row, Section, Table, Tone, View, column};

const COLUMNS: &[Column] = &[
    Column { name: "", width: 23, is_cut: false },
    column("base", 8),
    column("head", 8),
    column("change", 8),
    column("interval", 16),
    column("verdict", 13),
];

pub(crate) fn view(compared: &Compared<'_>) -> View {
    let c = compared.comparison;
    let (gates, others): (Vec<&Measured>, Vec<&Measured>) = c.rows.iter().partition(|row| row.gate.is_some());
    let others: Vec<&Measured> = others.into_iter().filter(|row| row.change.is_some()).collect();
    let section = |title, rows: &[&Measured]| {
        let note = match c.method {
            Method::Single => String::new(),
            _ => format!("the interval is of {}", interval_title(c)),
        };
        let rows = rows.iter().map(|measured| row(measured, c.indicative)).collect();
        let table = Table { columns: COLUMNS, has_head: true, rows };
        (!table.rows.is_empty()).then(|| Section { title, note, blocks: vec![Block::Table(table)] })
    };
    let remark = |tone, text: &String| Block::Remark(Remark { bullet: "- ", ..Remark::new(tone, 1, text) });
    let warnings = c.warnings.iter().map(|text| remark(Tone::Warning, text));
    let notes: Vec<Block> = warnings.chain(notes(compared).iter().map(|text| remark(Tone::Plain, text))).collect();
    let notes = (!notes.is_empty()).then(|| Section { title: "NOTES", note: String::new(), blocks: notes });
    let fact = |name, runs: &[crate::compare::Run]| Block::Fact(name, vec![Piece::plain(servers(runs))]);
    View {
        headline: headline(compared),
        head: vec![fact("base", compared.base), fact("head", compared.head)],
        verdict: [section("GATES", &gates), notes].into_iter().flatten().collect(),
        numbers: section("ALL NUMBERS", &others).into_iter().collect(),
        foot: None,
    }
}

fn headline(compared: &Compared<'_>) -> Headline {
    let c = compared.comparison;
    let said = compared.word();
    let is_open = c.indicative || c.inconclusive() > 0;
    let (tone, word) = match (c.failed() > 0, c.unjudged() > 0, is_open) {
        (true, ..) => (Tone::Bad, "REGRESSED"),
        (false, true, _) => (Tone::Bad, "INCOMPLETE"),
        (false, false, true) if c.indicative => (Tone::Warning, "INDICATIVE"),
        (false, false, true) => (Tone::Warning, "INCONCLUSIVE"),
        (false, false, false) => (Tone::Good, "PASSED"),
    };
    Headline { tone, word, said, name: "compare".to_owned(), why: verdict_line(compared) }
}

fn row(row: &Measured, indicative: bool) -> Row {
    let tone = match row.verdict {
        Verdict::Regressed if indicative => Tone::Warning,
        Verdict::Regressed => Tone::Bad,
        Verdict::Improved => Tone::Good,
        Verdict::NoChange => Tone::Plain,
        Verdict::Inconclusive => Tone::Warning,
        Verdict::NoValue => Tone::Faint,
    };
    let name = row.gate.as_ref().map_or_else(|| row.measure.to_string(), |gate| gate.expression.clone());
    let effect = row.change.map_or_else(|| "-".to_owned(), |c| change(&row.measure, c.effect));
    let (base, head) = (value(&row.measure, &row.base), value(&row.measure, &row.head));
    let cells = vec![name, base, head, effect, interval(row), row.verdict.name().to_owned()];
    let mark = row.gate.is_some().then(|| mark(row, indicative));
    Row { tone, mark, ..Row::plain(cells) }
}
