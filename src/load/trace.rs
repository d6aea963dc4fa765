//! Arrivals whose instants were recorded: each row of a trace is due when it was.

use super::on_full::OnFull;
use crate::units::Nanos;
use std::sync::Arc;

/// Requests at recorded instants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// When each row is due, from the start of a pass, in order. All lie before `period`.
    pub instants: Arc<[Nanos]>,
    /// How often all rows are sent, one pass after the other.
    pub passes: u32,
    /// How long a pass takes.
    pub period: Nanos,
    /// Users that there are from the start.
    pub pre_allocated_vus: u32,
    /// Users that there may be at most: requests that may be under way at once.
    pub max_vus: u32,
    /// What becomes of an arrival that finds all users busy.
    pub on_full: OnFull,
}

impl Trace {
    /// When the last pass ends.
    pub fn end(&self) -> Nanos {
        Nanos(self.period.0.saturating_mul(u64::from(self.passes)))
    }

    /// Arrivals of all passes.
    pub fn arrivals(&self) -> u64 {
        self.instants.len() as u64 * u64::from(self.passes)
    }

    /// When the arrival of that number is due; none after the last.
    pub(super) fn at(&self, index: u64) -> Option<Nanos> {
        let rows = self.instants.len() as u64;
        let (pass, row) = (index.checked_div(rows)?, index.checked_rem(rows)?);
        let begin = Nanos(self.period.0.saturating_mul(pass));
        (pass < u64::from(self.passes)).then(|| begin.saturating_add(self.instants[row as usize]))
    }
}
