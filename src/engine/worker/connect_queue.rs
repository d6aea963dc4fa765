//! The queue of requests that wait for a connection, and the pace of connecting.

use crate::engine::slot::Slot;
use crate::units::Nanos;
use std::collections::VecDeque;

/// Connections that may be opening at once, TLS sessions included. The queue of a listening socket
/// holds 128 to 4096. Beyond that packets are dropped, and the kernel retries only after a second.
pub(super) const MAX_CONNECTING: usize = 256;

/// The requests that wait for a connection, in order.
#[derive(Debug)]
pub(super) struct ConnectQueue {
    pub(super) waiting: VecDeque<Slot>,
    /// Connections that are opening now.
    pub(super) opening: usize,
    pub(super) pace: Pace,
    /// True if the kernel shall acknowledge every read at once.
    pub(super) quickack: bool,
}

impl ConnectQueue {
    pub(super) fn new(slots: usize, pace: Pace, quickack: bool) -> Self {
        Self { waiting: VecDeque::with_capacity(slots), opening: 0, pace, quickack }
    }

    /// Returns when the next connection may be opened; `None` if no request waits for the pace.
    pub(super) fn next_at(&self) -> Option<Nanos> {
        if self.waiting.is_empty() { None } else { self.pace.next_at() }
    }
}

/// The pace at which connections may be opened.
#[derive(Debug)]
pub(super) struct Pace {
    /// Zero means as fast as possible.
    interval: Nanos,
    next_at: Nanos,
}

impl Pace {
    /// Creates one of `of` equal parts of a pace of `rate` connections per second.
    pub(super) fn new(rate: Option<u32>, of: u32) -> Self {
        let interval = rate.map_or(0, |rate| 1_000_000_000 * u64::from(of) / u64::from(rate.max(1)));
        Self { interval: Nanos(interval), next_at: Nanos::ZERO }
    }

    fn next_at(&self) -> Option<Nanos> {
        (self.interval > Nanos::ZERO).then_some(self.next_at)
    }

    /// Takes a turn, and returns true, if there is one at `now`. An unused turn is lost, so that no
    /// burst of connections follows a pause.
    pub(super) fn take(&mut self, now: Nanos) -> bool {
        if now < self.next_at {
            return false;
        }
        // Each pass comes a little late, and the delays must not add up.
        let due = if now.since(self.next_at) > self.interval { now } else { self.next_at };
        self.next_at = due.saturating_add(self.interval);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_begin_at_their_pace_and_not_in_storms() {
        let mut pace = Pace::new(Some(100), 2);
        let ms = Nanos::from_millis;
        assert!(pace.take(ms(0)) && !pace.take(ms(19)) && pace.take(ms(20)));
        // The second turn is taken a little late, and the next one is not.
        assert!(pace.take(ms(41)) && pace.take(ms(60)));
        // A long pause.
        assert!(pace.take(ms(500)) && !pace.take(ms(510)) && pace.take(ms(520)));
        assert_eq!(pace.next_at(), Some(ms(540)));
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let mut pace = Pace::new(None, 1);
        assert!((0..1000).all(|_| pace.take(Nanos::ZERO)));
        assert_eq!(pace.next_at(), None);
    }
}
