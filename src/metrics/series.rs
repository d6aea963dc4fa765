//! One second of a run as plain numbers.

use super::Tally;

/// One second of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Second {
    /// Which: 0 is the first.
    pub t_s: u32,
}

impl Second {
    /// What the tally of that second, all workers together, says.
    pub fn new(_t_s: u32, _interval: &Tally) -> Self {
        todo!()
    }
}
