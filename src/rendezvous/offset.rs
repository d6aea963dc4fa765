//! How far another machine's monotonic clock is from ours: Cristian's method. The exchange that
//! was fastest says most, since half of its length bounds the error.

use crate::units::Nanos;

/// Exchanges a shard is asked for.
pub(super) const ROUNDS: u32 = 8;

/// What is known of another clock.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Offset {
    /// When the exchange that is under way was begun.
    asked: Nanos,
    /// Exchanges that are over.
    pub(super) rounds: u32,
    /// Length of the fastest, and their clock less ours in ns.
    best: Option<(Nanos, i128)>,
}

impl Offset {
    /// An exchange begins.
    pub(super) fn ask(&mut self, now: Nanos) -> u32 {
        self.asked = now;
        self.rounds
    }

    /// The answer to exchange `n` is here, given when their clock said `theirs`.
    pub(super) fn answer(&mut self, n: u32, theirs: Nanos, now: Nanos) {
        if n != self.rounds {
            return;
        }
        self.rounds += 1;
        let length = now.since(self.asked);
        let middle = i128::from(self.asked.0) + i128::from(length.0) / 2;
        if self.best.is_none_or(|(fastest, _)| length < fastest) {
            self.best = Some((length, i128::from(theirs.0) - middle));
        }
    }

    /// What their clock says when ours says `at`.
    pub(super) fn theirs(&self, at: Nanos) -> Nanos {
        let offset = self.best.map_or(0, |(_, offset)| offset);
        Nanos(u64::try_from(i128::from(at.0) + offset).unwrap_or(0))
    }

    /// Length of the fastest exchange.
    pub(super) fn round_trip(&self) -> Nanos {
        self.best.map_or(Nanos::ZERO, |(length, _)| length)
    }
}
