//! Users who do not just wait for the whole response: they give up, vanish, or read slowly.

use crate::units::Nanos;
use std::num::NonZeroU32;

/// The users of a kind of request who do not just wait. By default, all users wait.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BehaviorMix {
    /// Users who give up: the connection is closed in the usual way.
    pub cancel: Option<Leave>,
    /// Users who vanish: the connection is reset.
    pub drop: Option<Leave>,
    pub slow_reader: Option<SlowReader>,
}

/// When users leave, and what share of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leave {
    pub after: After,
    /// Share of the requests, above 0 and at most 1.
    pub share: f64,
}

/// When a user leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// As soon as this many token events have arrived.
    Tokens(u32),
    /// At this time after the request was sent.
    Time(Nanos),
}

/// How slowly users read, and what share of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowReader {
    /// The most bytes that are read in a second, on average.
    pub bytes_per_second: u32,
    /// Share of the requests, above 0 and at most 1.
    pub share: f64,
}

/// The behavior of one user with one response. Small, because every connection has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientBehavior {
    /// When it leaves, if it leaves before the end.
    pub leave: Option<After>,
    /// True if it leaves by resetting the connection.
    pub by_reset: bool,
    /// The fastest rate at which it reads.
    pub bytes_per_second: Option<NonZeroU32>,
}

impl BehaviorMix {
    /// Draws the behavior of one user. A user who gives up does not vanish: one draw decides
    /// between the two.
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
