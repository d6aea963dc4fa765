//! Closed load: users that start a request when their last one is over.

use super::{Load, Turn};
use crate::units::Nanos;

/// One share of a load, as it runs.
#[derive(Debug)]
pub struct Schedule {}

impl Schedule {
    /// A schedule at instant zero.
    pub fn new(_load: &Load) -> Self {
        todo!()
    }

    /// What is due at `now`; call until `None`.
    pub fn due(&mut self, _now: Nanos) -> Option<Turn> {
        todo!()
    }

    /// When `due` should be asked again, if nothing finishes before.
    pub fn next_due(&self) -> Option<Nanos> {
        todo!()
    }

    /// The request of `slot` is over. It thinks, at least for `back_off` (zero unless the server is down), and is due again.
    pub fn finished(&mut self, _slot: u32, _now: Nanos, _back_off: Nanos) {
        todo!()
    }

    /// Users that are active at `now`, in this share.
    pub fn vus(&self, _now: Nanos) -> u32 {
        todo!()
    }

    /// The most users this share ever has: slots are below it.
    pub fn local_vus(&self) -> u32 {
        todo!()
    }

    /// When nothing new starts any more at the latest: the end of the measurement window for the executors that run by time.
    pub fn end(&self) -> Nanos {
        todo!()
    }

    /// Nothing will ever be due again: past the end, or all iterations done. Requests may still be in flight.
    pub fn is_over(&self, _now: Nanos) -> bool {
        todo!()
    }
}
