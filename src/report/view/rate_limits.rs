//! What is left of the client's rate limits, as the server's responses say.

use super::{Block, Section};
use crate::document::Document;
use crate::metrics::Second;
use crate::report::human;

pub(super) fn section(doc: &Document) -> Option<Section> {
    // Of two seconds that are as low, the first.
    let lowest = |of: fn(&Second) -> Option<u32>| {
        doc.series.iter().filter_map(|second| Some((of(second)?, second.t_s))).min_by_key(|(left, _)| *left)
    };
    let both = [
        ("requests", lowest(|second| second.ratelimit_remaining_requests)),
        ("tokens", lowest(|second| second.ratelimit_remaining_tokens)),
    ];
    let line = |(name, (left, t_s)): (&'static str, (u32, u32))| {
        Block::List(name, vec![format!("{} after {}", human::count(left.into()), human::length(t_s.into()))])
    };
    let blocks: Vec<Block> = both.into_iter().filter_map(|(name, found)| Some(line((name, found?)))).collect();
    let note = "the lowest that responses said is left".to_owned();
    (!blocks.is_empty()).then_some(Section { title: "RATE LIMITS", note, blocks })
}
