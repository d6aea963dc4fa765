//! The state of a run for its viewers: the display, the live page, the exporters.

use crate::metrics::{Second, Totals};
use crate::units::Nanos;
use std::sync::Arc;

/// The shard of an [`Outline`] that covers all shards together.
pub const ALL_SHARDS: &str = "all";

/// The facts about the plan that a viewer needs. They stay the same for the whole run. Plain data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outline {
    /// `run.id` of the results.
    pub run_id: String,
    /// Start of the load, in ms since 1970.
    pub started_at_ms: i64,
    /// The shard of the test, from 0. A whole test is 0, and several shards that are shown as one
    /// are [`ALL_SHARDS`].
    pub shard: String,
    /// Names of the kinds of request, in the order of the mix.
    pub kinds: Vec<String>,
    pub profile: String,
    /// The URL of the target.
    pub target: String,
    /// Planned length of the run. `None` if the run ends by a count.
    pub length: Option<Nanos>,
}

/// A run at the end of one of its seconds. It holds no reference to the run, so every viewer can
/// keep it until it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    pub outline: Arc<Outline>,
    /// Time since the start.
    pub elapsed: Nanos,
    /// The place of the run in its plan, in a few words: `stage 1/3 to 50 VUs`. `None` when the
    /// plan is done and the run waits for the last responses.
    pub stage: Option<String>,
    /// The last second.
    pub second: Second,
    pub totals: Totals,
}
