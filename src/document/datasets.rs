//! Files with rows for requests, and the number of rows that were sent. The texts are not in the
//! document.

use crate::plan::{Order, Plan};
use serde::{Deserialize, Serialize};

/// A file of rows, as used by one kind of request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// The kind of request.
    pub request: String,
    pub path: String,
    /// SHA-256 of the file's bytes, in hex.
    pub sha256: String,
    pub format: String,
    /// `sequential`, `shuffled` or `once`; `trace` if rows have instants.
    pub order: String,
    /// Rows in the file.
    pub rows: u64,
    /// Rows that can be sent.
    pub usable: u64,
    /// Different rows among the usable ones.
    pub distinct: u64,
    /// Rows that were left out, by reason.
    #[serde(default)]
    pub unused: Vec<UnusedRows>,
    /// Requests that were sent.
    pub sent: u64,
    /// Different bodies among them. Unknown for merged shards, which may have sent the same ones.
    #[serde(default)]
    pub distinct_sent: Option<u64>,
    /// Requests that repeated a body. Unknown for merged shards.
    #[serde(default)]
    pub repeats_sent: Option<u64>,
    /// True if every row was sent, which ended the test.
    #[serde(default)]
    pub used_up: bool,
}

/// Rows that were left out for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnusedRows {
    pub reason: String,
    pub rows: u64,
    /// The line of the first such row, from 1.
    pub first_line: u64,
}

/// Describes each file and what was sent from it. `sent` returns the number of requests of a kind,
/// and the number of different bodies.
pub(crate) fn datasets(plan: &Plan, sent: impl Fn(&str) -> Option<(u64, u64)>) -> Vec<Dataset> {
    let dataset = |source: &crate::plan::RowSource| {
        let (sent, distinct) = sent(&source.kind).unwrap_or_default();
        let usable = source.rows.len() as u64;
        Dataset {
            request: source.kind.clone(),
            path: source.path.display().to_string(),
            sha256: source.sha256.clone(),
            format: source.facts.format.name().to_owned(),
            order: if source.is_trace { "trace" } else { source.order.name() }.to_owned(),
            rows: source.facts.rows,
            usable,
            distinct: source.rows.distinct() as u64,
            unused: source
                .facts
                .unused
                .iter()
                .map(|u| UnusedRows { reason: u.reason.clone(), rows: u.rows, first_line: u.first_line })
                .collect(),
            sent,
            distinct_sent: Some(distinct),
            repeats_sent: Some(sent - distinct),
            used_up: source.order == Order::Once && sent >= usable,
        }
    };
    plan.sources
        .iter()
        .filter(|source| plan.mix.kinds.iter().any(|kind| kind.name == source.kind))
        .map(dataset)
        .collect()
}

/// Adds the rows that another shard has sent.
pub(super) fn add(sum: &mut [Dataset], more: &[Dataset]) {
    for (ours, theirs) in sum.iter_mut().zip(more) {
        ours.sent += theirs.sent;
        (ours.distinct_sent, ours.repeats_sent) = (None, None);
        // If each row is sent once, the shards have different rows.
        ours.used_up = ours.order == Order::Once.name() && ours.sent >= ours.usable;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(order: &str, sent: u64) -> Dataset {
        Dataset {
            request: "chat".to_owned(),
            path: "a.jsonl".to_owned(),
            sha256: String::new(),
            format: "chat".to_owned(),
            order: order.to_owned(),
            rows: 12,
            usable: 10,
            distinct: 10,
            unused: Vec::new(),
            sent,
            distinct_sent: Some(sent),
            repeats_sent: Some(0),
            used_up: false,
        }
    }

    #[test]
    fn shards_add_up_and_say_only_what_is_known() {
        for (order, sent, used_up) in [("once", 4, true), ("once", 3, false), ("sequential", 9, false)] {
            let mut sum = vec![dataset(order, 6)];
            add(&mut sum, &[dataset(order, sent)]);
            let merged = Dataset { distinct_sent: None, repeats_sent: None, used_up, ..dataset(order, 6 + sent) };
            assert_eq!(sum, [merged]);
        }
    }
}
