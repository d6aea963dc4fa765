//! The server's own metrics from its `/metrics`.

use super::{Block, Piece, Remark, Section, Tone};
use crate::document::{Compared, Document, ServerMetrics, ServerNumber};
use crate::report::human;
use crate::units::plural;

/// Our names of the numbers, and their common names.
const NAMES: [(&str, &str); 7] = [
    ("server_running", "running"),
    ("server_waiting", "waiting"),
    ("server_kv_use", "KV memory in use"),
    ("server_prefix_hits", "prefix cache hits"),
    ("server_prompt_tokens", "prompt tokens"),
    ("server_output_tokens", "output tokens"),
    ("server_preemptions", "preemptions"),
];

pub(super) fn section(doc: &Document) -> Option<Section> {
    let said = doc.server_metrics.as_ref()?;
    let named = NAMES.iter().filter_map(|(key, name)| Some((*name, said.numbers.get(*key)?)));
    let own = said.numbers.iter().filter(|(key, _)| !NAMES.iter().any(|(known, _)| known == key));
    let own = own.map(|(key, number)| (key.as_str(), number));
    let line = |(name, number): (&str, &ServerNumber)| {
        Block::Line(1, vec![Piece::plain(format!("{name:<23}")), Piece::plain(shown(number))])
    };
    let mut blocks: Vec<Block> = named.chain(own).map(line).collect();
    let mut notes: Vec<&str> = Vec::new();
    for compared in &said.compared {
        let is_new = differs(compared) && !notes.contains(&compared.note.as_str());
        blocks
            .push(Block::Line(1, vec![Piece::plain(format!("{:<23}", compared.name)), Piece::plain(beside(compared))]));
        if is_new {
            notes.push(&compared.note);
        }
    }
    let remark = |text: &str| Block::Remark(Remark::new(Tone::Faint, 1, text));
    blocks.extend(notes.into_iter().map(remark));
    if let Some(problem) = said.problem.as_ref().filter(|_| said.failed > 0) {
        let text = format!("{} returned nothing usable: {problem}", plural(said.failed, "reading"));
        blocks.push(Block::Remark(Remark::new(Tone::Warning, 1, text)));
    }
    Some(Section { title: "SERVER SAYS", note: note(said), blocks })
}

fn note(said: &ServerMetrics) -> String {
    let whose = said.server.as_ref().map_or_else(String::new, |server| format!("{server}, "));
    format!("{whose}{} of {}", plural(said.readings, "reading"), said.url)
}

fn shown(number: &ServerNumber) -> String {
    let ServerNumber { unit, mean, max, total } = number;
    match (unit.as_str(), total) {
        ("ratio", _) if mean.total_cmp(max).is_eq() => human::percent(*mean),
        ("ratio", _) => format!("{} on average, at most {}", human::percent(*mean), human::percent(*max)),
        (_, Some(total)) => {
            let (mean, max) = (human::per_second(*mean), human::per_second(*max));
            format!("{} in all, {mean} on average, at most {max}", human::count(*total as u64))
        }
        (_, None) => format!("{mean:.2} on average, at most {max:.2}"),
    }
}

fn differs(compared: &Compared) -> bool {
    compared.server.total_cmp(&compared.ours).is_ne()
}

/// Formats a comparison: `the server says 13 ms, we saw 26 ms`.
fn beside(compared: &Compared) -> String {
    let Compared { unit, server, ours, .. } = compared;
    if unit == "ms" {
        return format!("the server says {}, we saw {}", human::time(*server), human::time(*ours));
    }
    let same = if differs(compared) { "" } else { " ✓" };
    format!("the server counted {}, we counted {}{same}", *server as u64, *ours as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_by_their_unit() {
        let number = |unit: &str, mean, max, total| ServerNumber { unit: unit.to_owned(), mean, max, total };
        assert_eq!(shown(&number("ratio", 0.5, 0.75, None)), "50.00% on average, at most 75.00%");
        assert_eq!(shown(&number("ratio", 0.5, 0.5, None)), "50.00%");
        assert_eq!(shown(&number("requests", 2.5, 4.0, None)), "2.50 on average, at most 4.00");
        let tokens = shown(&number("tokens/s", 150.0, 200.0, Some(300.0)));
        assert_eq!(tokens, "300 in all, 150/s on average, at most 200/s");
    }

    #[test]
    fn two_numbers_for_one_thing_stand_side_by_side() {
        let compared = |unit: &str, server, ours| Compared {
            name: "x".to_owned(),
            unit: unit.to_owned(),
            server,
            ours,
            note: String::new(),
        };
        assert_eq!(beside(&compared("ms", 13.0, 26.0)), "the server says 13.0ms, we saw 26.0ms");
        assert_eq!(beside(&compared("", 7.0, 7.0)), "the server counted 7, we counted 7 ✓");
    }
}
