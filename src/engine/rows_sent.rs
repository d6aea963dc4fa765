//! Counts the rows of files that were sent.

use crate::plan::{Plan, PromptSource};

/// Rows of files that were sent, by kind of request. Each worker has its own set. Each set takes
/// one bit per row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowsSent {
    kinds: Vec<Option<Sent>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Sent {
    requests: u64,
    /// Requests whose prompts were drawn at random. Each counts as a different body.
    drawn: u64,
    /// A bit for each row.
    seen: Vec<u64>,
}

impl RowsSent {
    /// Returns an empty set.
    pub fn new(plan: &Plan) -> Self {
        let sent = |rows: usize| Sent { requests: 0, drawn: 0, seen: vec![0; rows.div_ceil(64)] };
        let kinds = plan.mix.kinds.iter().map(|kind| match &kind.prompt.source {
            PromptSource::Rows(rows) => Some(sent(rows.len())),
            _ => None,
        });
        Self { kinds: kinds.collect() }
    }

    /// Notes that a request of that kind was sent, with that row.
    pub(super) fn note(&mut self, kind: u16, row: Option<u32>) {
        let Some(Some(sent)) = self.kinds.get_mut(usize::from(kind)) else { return };
        sent.requests += 1;
        match row.and_then(|row| Some((sent.seen.get_mut(row as usize / 64)?, row % 64))) {
            Some((seen, bit)) => *seen |= 1 << bit,
            None => sent.drawn += 1,
        }
    }

    /// Adds the rows that another worker has sent.
    pub(super) fn add(&mut self, other: &Self) {
        for (ours, theirs) in self.kinds.iter_mut().zip(&other.kinds) {
            let (Some(ours), Some(theirs)) = (ours, theirs) else { continue };
            ours.requests += theirs.requests;
            ours.drawn += theirs.drawn;
            ours.seen.iter_mut().zip(&theirs.seen).for_each(|(ours, theirs)| *ours |= theirs);
        }
    }

    /// Returns the number of requests of a kind and the number of different bodies; `None` if the
    /// kind has no rows.
    pub fn of(&self, kind: usize) -> Option<(u64, u64)> {
        let sent = self.kinds.get(kind)?.as_ref()?;
        let distinct: u64 = sent.seen.iter().map(|bits| u64::from(bits.count_ones())).sum();
        Some((sent.requests, distinct + sent.drawn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[usize]) -> RowsSent {
        let sent = |rows: &usize| Some(Sent { requests: 0, drawn: 0, seen: vec![0; rows.div_ceil(64)] });
        RowsSent { kinds: std::iter::once(None).chain(rows.iter().map(sent)).collect() }
    }

    #[test]
    fn what_workers_have_sent_adds_up() {
        let (mut one, mut other) = (of(&[130, 3]), of(&[130, 3]));
        for row in [0, 64, 129, 64] {
            one.note(1, Some(row));
        }
        one.note(2, None);
        other.note(1, Some(129));
        other.note(1, Some(5));
        other.note(2, None);
        // A kind without rows, an unknown kind, and an unknown row.
        other.note(0, Some(1));
        other.note(9, Some(1));
        other.note(2, Some(1_000));
        assert_eq!((one.of(1), one.of(2), one.of(0), one.of(9)), (Some((4, 3)), Some((1, 1)), None, None));
        one.add(&other);
        assert_eq!((one.of(1), one.of(2)), (Some((6, 4)), Some((3, 3))));
    }
}
