//! The rest of the client's rate limits, as reported in the server's responses.

use super::{Block, Section};
use crate::document::Document;
use crate::metrics::{Remaining, Second};
use crate::report::human;

pub(super) fn section(doc: &Document) -> Option<Section> {
    let limits = doc.series.iter().fold(Remaining::default(), |lowest, second| lowest.lowest(second.remaining()));
    // The first of equally low seconds.
    let lowest = |of: fn(&Second) -> Option<u32>| {
        doc.series.iter().filter_map(|second| Some((of(second)?, second.t_s))).min_by_key(|(left, _)| *left)
    };
    let both = [
        ("requests", limits.requests_limit, lowest(|second| second.ratelimit_remaining_requests)),
        ("tokens", limits.tokens_limit, lowest(|second| second.ratelimit_remaining_tokens)),
    ];
    let line = |(name, limit, (left, t_s)): (&'static str, Option<u32>, (u32, u32))| {
        let of = limit.map_or_else(String::new, |limit| format!(" of {}", human::count(limit.into())));
        Block::List(name, vec![format!("{}{of} after {}", human::count(left.into()), human::length(t_s.into()))])
    };
    let blocks: Vec<Block> =
        both.into_iter().filter_map(|(name, limit, found)| Some(line((name, limit, found?)))).collect();
    let note = "the lowest remaining values in the responses".to_owned();
    (!blocks.is_empty()).then_some(Section { title: "RATE LIMITS", note, blocks })
}
