//! What users do beside waiting for the whole answer: they give up, vanish, or read slowly.

use crate::units::Nanos;
use std::num::NonZeroU32;

/// What the users of a kind of request do. The usual ones do nothing of all this.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BehaviorMix {
    /// They give up: the connection is closed in the usual way.
    pub cancel: Option<Leave>,
    /// They vanish: the connection is reset.
    pub drop: Option<Leave>,
    pub slow_reader: Option<SlowReader>,
}

/// When a user leaves, and how many do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leave {
    pub after: After,
    /// Which share of the requests, above 0 and at most 1.
    pub share: f64,
}

/// When a user leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// As soon as so many token events have come.
    Tokens(u32),
    /// So long after the request was sent.
    Time(Nanos),
}

/// How slowly a user reads, and how many do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowReader {
    /// Most bytes read in a second, on average.
    pub bytes_per_second: u32,
    /// Which share of the requests, above 0 and at most 1.
    pub share: f64,
}

/// What one user does with one answer. Small: every connection has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientBehavior {
    /// It leaves before the end.
    pub leave: Option<After>,
    /// It leaves by resetting the connection.
    pub by_reset: bool,
    /// It reads no faster than this.
    pub bytes_per_second: Option<NonZeroU32>,
}

impl BehaviorMix {
    /// What one of the users does. Whoever gives up does not vanish: one draw decides between the
    /// two.
    pub(super) fn draw(&self, rng: &mut fastrand::Rng) -> ClientBehavior {
        let mut behavior = ClientBehavior::default();
        if self.cancel.is_some() || self.drop.is_some() {
            let point = rng.f64();
            let cancels = self.cancel.map_or(0.0, |leave| leave.share);
            let leave = match (self.cancel, self.drop) {
                (Some(cancel), _) if point < cancels => Some((cancel, false)),
                (_, Some(drop)) if point >= cancels && point < cancels + drop.share => Some((drop, true)),
                _ => None,
            };
            behavior.leave = leave.map(|(leave, _)| leave.after);
            behavior.by_reset = leave.is_some_and(|(_, by_reset)| by_reset);
        }
        if let Some(slow) = self.slow_reader
            && rng.f64() < slow.share
        {
            behavior.bytes_per_second = NonZeroU32::new(slow.bytes_per_second);
        }
        behavior
    }
}
