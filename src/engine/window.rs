//! The measurement window, and the part of the test that a request belongs to.

use crate::units::Nanos;

/// The measurement window, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) begin: Nanos,
    pub(super) end: Nanos,
}

impl Window {
    #[inline]
    pub(super) fn covers(self, at: Nanos) -> bool {
        self.begin <= at && at <= self.end
    }

    /// Ends the window at `now`, unless it ended earlier.
    pub(super) fn close(&mut self, now: Nanos) {
        self.end = self.end.min(now);
    }
}

/// The part of the test that a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placement {
    /// The phase in which the request is sent.
    pub(super) phase: u16,
    pub(super) window: Window,
}
