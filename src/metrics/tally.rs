//! A tally: the sum of samples. It has a zero and `+=`, and the order of additions does not matter.

use super::{Gauge, Sample};
use crate::units::Nanos;
use std::ops::AddAssign;

/// Sums of one worker's second, or of a whole run. Memory does not grow with the number of requests.
#[derive(Debug, Clone)]
pub struct Tally {
    /// CPU time that the workers used, user and system.
    pub cpu_time: Nanos,
}

impl Tally {
    /// Zero, for a mix of `kinds` kinds of request.
    pub fn new(_kinds: usize) -> Self {
        todo!()
    }

    /// Zero again, keeping memory. Levels keep their present value.
    pub fn clear(&mut self) {
        todo!()
    }

    /// A finished (or interrupted) request. Allocates nothing once the kind is warm.
    pub fn record(&mut self, _sample: &Sample) {
        todo!()
    }

    /// A gap between two token events of a stream of `kind`.
    pub fn gap(&mut self, _kind: u16, _gap: Nanos) {
        todo!()
    }

    /// A connection was established, and how long that took.
    pub fn connection_opened(&mut self, _took: Nanos) {
        todo!()
    }

    /// A request of `kind` is sent again: the server had closed a reused connection before it answered.
    pub fn stale_retry(&mut self, _kind: u16) {
        todo!()
    }

    /// A level is `value` from now on.
    pub fn level(&mut self, _gauge: Gauge, _value: u64) {
        todo!()
    }
}

impl AddAssign<&Self> for Tally {
    fn add_assign(&mut self, _other: &Self) {
        todo!()
    }
}
