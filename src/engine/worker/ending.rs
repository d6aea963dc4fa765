//! The end of a worker's run: the plan's own end, or the stop flag before it.

use crate::units::Nanos;

/// The instants at which a worker ends.
#[derive(Debug)]
pub(super) struct Ending {
    /// Requests still under way at this instant are cut off.
    drain_end: Nanos,
    /// How long requests may go on after the last start.
    grace: Nanos,
    /// When the stop flag was seen; `None` if it was not.
    stopped: Option<Nanos>,
}

impl Ending {
    /// Creates an ending for a plan that starts nothing from `end` on.
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

    /// Notes that the stop flag was seen at `now`. If the test is already `draining`, the remaining
    /// requests are cut off at once.
    pub(super) fn stop(&mut self, now: Nanos, draining: bool) {
        let grace = if draining { Nanos::ZERO } else { self.grace };
        self.stopped = Some(now);
        self.drain_end = self.drain_end.min(now.saturating_add(grace));
    }
}
