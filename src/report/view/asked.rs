//! Requested values beside the measured ones.

use super::{Block, Column, Extent, Piece, Remark, Row, Section, Table, Tone, column};
use crate::document::{AskedGot, Document, Spread, Template};
use crate::report::human;
use crate::units::plural;

/// Rows that the head names. The section has all of them.
const NAMED: usize = 3;

const COLUMNS: &[Column] = &[
    column("", 34),
    column("asked p50", 10),
    column("p99", 8),
    column("got p50", 9),
    column("p99", 8),
    column("off", 9),
];

/// Returns the section. `None` if nothing comparable was requested.
pub(super) fn section(doc: &Document) -> Option<Section> {
    let rows: Vec<Row> = doc.asked.iter().map(row).collect();
    let note = "the requested load beside the measured one".to_owned();
    let blocks = vec![Block::Table(Table { columns: COLUMNS, has_head: true, rows })];
    (!doc.asked.is_empty()).then_some(Section { title: "ASKED AND GOT", note, blocks })
}

fn row(row: &AskedGot) -> Row {
    let number = |n: Option<f64>| n.map_or_else(|| "-".to_owned(), |n| human::count(n.round() as u64));
    let pair = |spread: Option<Spread>| match spread {
        // It is one number for the whole run.
        Some(Spread { avg, p50: None, p99: None }) => [human::per_second(avg), String::new()],
        Some(spread) => [number(spread.p50), number(spread.p99)],
        None => ["-".to_owned(), "-".to_owned()],
    };
    let off = row.off.as_ref().map(|off| human::percent(off.matches as f64 / off.total.max(1) as f64));
    let cells = std::iter::once(name(row)).chain(pair(row.asked)).chain(pair(row.got));
    let tone = if row.differs { Tone::Warning } else { Tone::Plain };
    let remark = |text: &String| Remark::new(if row.differs { Tone::Warning } else { Tone::Faint }, 3, text);
    Row {
        tone,
        remarks: row.why.iter().map(remark).collect(),
        ..Row::plain(cells.chain([off.unwrap_or_else(|| "-".to_owned())]).collect())
    }
}

/// Adds the facts for the head: the tokens that a chat template adds, and the rows where requested
/// and measured values differ.
pub(super) fn facts(blocks: &mut Vec<Block>, doc: &Document, extent: Extent) {
    let told = doc.templates.iter().map(told);
    let told = told.filter(|piece| extent == Extent::Full || piece.tone == Tone::Warning);
    blocks.extend(told.map(|piece| Block::Fact("template", vec![piece])));
    let parted: Vec<String> = doc.asked.iter().filter(|row| row.differs).map(name).collect();
    if !parted.is_empty() {
        let more = parted.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let named = parted.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        let place = if extent == Extent::Full { "see ASKED AND GOT" } else { "see --details" };
        let text = format!("results differ from the requested load: {named}{more} ({place})");
        blocks.push(Block::Fact("differs", vec![Piece::new(Tone::Warning, text)]));
    }
}

fn name(row: &AskedGot) -> String {
    let what = row.what.replace('_', " ");
    row.request.as_ref().map_or_else(|| what.clone(), |request| format!("{request}: {what}"))
}

fn told(template: &Template) -> Piece {
    let model = template.model.as_ref().map_or_else(String::new, |model| format!(" ({model})"));
    let who = format!("{}{model}", template.request);
    match (template.tokens, template.tokens_per_word, &template.reason) {
        (Some(tokens), ..) => {
            let tokens = plural(tokens, "token");
            Piece::plain(format!("{who}: adds {tokens} to each prompt; a word is one token"))
        }
        (None, Some(per_word), _) => {
            Piece::new(Tone::Warning, format!("{who}: tokens per word {per_word}, so N words are not N tokens"))
        }
        (None, None, reason) => {
            let reason = reason.as_deref().unwrap_or("it was not measured");
            Piece::plain(format!("{who}: tokens added to prompts are unknown: {reason}"))
        }
    }
}
