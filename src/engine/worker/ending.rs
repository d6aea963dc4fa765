//! How a worker's run ends: the plan's own end, or the stop flag before it.

use crate::units::Nanos;

/// When a worker ends.
#[derive(Debug)]
pub(super) struct Ending {
    /// Requests still under way at this instant are cut off.
    drain_end: Nanos,
    /// How long requests may go on once nothing new is started.
    grace: Nanos,
    /// When the stop flag was seen.
    stopped: Option<Nanos>,
}

impl Ending {
    /// Nothing new is started from `end` on.
    pub(super) fn new(end: Nanos, grace: Nanos) -> Self {
        Self { drain_end: end.saturating_add(grace), grace, stopped: None }
    }

    pub(super) const fn drain_end(&self) -> Nanos {
        self.drain_end
    }

    pub(super) const fn stopped(&self) -> Option<Nanos> {
        self.stopped
    }

    pub(super) const fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// The stop flag was seen at `now`. If the test is already `draining`, the remaining requests
    /// are cut off at once.
    pub(super) fn stop(&mut self, now: Nanos, draining: bool) {
        let grace = if draining { Nanos::ZERO } else { self.grace };
        self.stopped = Some(now);
        self.drain_end = self.drain_end.min(now.saturating_add(grace));
    }
}
