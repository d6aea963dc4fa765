//! Arrivals at recorded instants: each row of a trace is due at its own instant.

use super::on_full::OnFull;
use crate::units::Nanos;
use std::sync::Arc;

/// Requests at recorded instants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The instant at which each row is due, from the start of a pass, in order. All are before
    /// `period`.
    pub instants: Arc<[Nanos]>,
    /// How often all rows are sent, one pass after the other.
    pub passes: u32,
    /// How long a pass takes.
    pub period: Nanos,
    /// Users that exist from the start.
    pub pre_allocated_vus: u32,
    /// The most users: the most requests that may be under way at once.
    pub max_vus: u32,
    /// The fate of an arrival that finds all users busy.
    pub on_full: OnFull,
}

impl Trace {
    /// Returns when the last pass ends.
    pub fn end(&self) -> Nanos {
        Nanos(self.period.0.saturating_mul(u64::from(self.passes)))
    }

    /// Returns the number of arrivals of all passes.
    pub fn arrivals(&self) -> u64 {
        self.instants.len() as u64 * u64::from(self.passes)
    }

    /// Returns when the arrival with this index is due, or `None` after the last one.
    pub(super) fn at(&self, index: u64) -> Option<Nanos> {
        let rows = self.instants.len() as u64;
        let (pass, row) = (index.checked_div(rows)?, index.checked_rem(rows)?);
        let begin = Nanos(self.period.0.saturating_mul(pass));
        (pass < u64::from(self.passes)).then(|| begin.saturating_add(self.instants[row as usize]))
    }
}
