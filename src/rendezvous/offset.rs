//! Estimates the offset of another machine's monotonic clock by Cristian's method. The fastest
//! exchange is the most accurate, since half of its duration bounds the error.

use crate::units::Nanos;

/// Exchanges with each shard.
pub(super) const ROUNDS: u32 = 8;

/// The estimate of another clock.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Offset {
    /// Time at which the current exchange began.
    asked: Nanos,
    /// Exchanges that are complete.
    pub(super) rounds: u32,
    /// Duration of the fastest exchange, and the other clock minus ours, in ns.
    best: Option<(Nanos, i128)>,
}

impl Offset {
    /// Begins an exchange. Returns its number.
    pub(super) fn ask(&mut self, now: Nanos) -> u32 {
        self.asked = now;
        self.rounds
    }

    /// Completes exchange `n`. The other clock was at `theirs` when the reply was sent.
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

    /// Returns the other clock's time when ours is at `at`.
    pub(super) fn theirs(&self, at: Nanos) -> Nanos {
        let offset = self.best.map_or(0, |(_, offset)| offset);
        Nanos(u64::try_from(i128::from(at.0) + offset).unwrap_or(0))
    }

    /// Returns the duration of the fastest exchange.
    pub(super) fn round_trip(&self) -> Nanos {
        self.best.map_or(Nanos::ZERO, |(length, _)| length)
    }
}
