//! The desk at shard 0: adds up the seconds of all shards, for the display and for the thresholds
//! that may end the test.

use super::early::{aborting, failed_early};
use super::viewers::WholeMoment;
use crate::document::FieldError;
use crate::document::live::{LiveSum, WholeSecond};
use crate::plan::Plan;
use crate::threshold::Rule;
use crate::units::Nanos;

/// Turns a second of the whole, and the time since the start of the run, into the moment that is
/// shown.
pub(super) type Show = Box<dyn Fn(WholeSecond, Nanos) -> WholeMoment + Send>;

pub(super) struct Desk {
    sum: LiveSum,
    rules: Vec<Rule>,
    show: Show,
}

/// Seconds that became complete, and the first threshold that failed in them.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) seconds: Vec<WholeMoment>,
    /// The threshold that ends the test.
    pub(super) failed: Option<String>,
}

impl Desk {
    pub(super) fn new(plan: &Plan, show: Show) -> Self {
        Self { sum: LiveSum::new(plan.shard.count), rules: aborting(plan), show }
    }

    /// Adds a second of a shard.
    pub(super) fn second(&mut self, shard: u32, text: &[u8]) -> Result<Seen, FieldError> {
        self.sum.add(shard, text)?;
        self.seen()
    }

    /// Marks a shard as having sent its last second.
    pub(super) fn end(&mut self, shard: u32) -> Result<Seen, FieldError> {
        self.sum.end(shard);
        self.seen()
    }

    fn seen(&mut self) -> Result<Seen, FieldError> {
        let mut seen = Seen::default();
        while let Some(whole) = self.sum.next()? {
            let elapsed = Nanos::from_secs(u64::from(whole.second.t_s) + 1);
            let failed = whole.numbers.as_ref().and_then(|numbers| failed_early(&self.rules, numbers, elapsed));
            seen.failed = seen.failed.or(failed);
            seen.seconds.push((self.show)(whole, elapsed));
        }
        Ok(seen)
    }
}
