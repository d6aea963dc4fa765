//! Tally → what it means: rates, percentiles, the table of failures.

use super::Tally;
use crate::units::Nanos;

/// What a tally says.
#[derive(Debug, Clone)]
pub struct Summary {}

impl Summary {
    /// Rates are per second of `window`. `requests` are the names of the kinds, in the order of the mix.
    pub fn new(_tally: &Tally, _requests: &[String], _window: Nanos) -> Self {
        todo!()
    }
}
