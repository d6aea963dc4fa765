//! What everyone who watches a run is given: a display, later a page or an exporter.

use crate::metrics::{Second, Totals};
use crate::units::Nanos;
use std::sync::Arc;

/// The shard of an [`Outline`] that is of all shards together.
pub const ALL_SHARDS: &str = "all";

/// What a viewer wants to know of the plan: it stays the same for the whole run. Plain data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outline {
    /// `run.id` of the results.
    pub run_id: String,
    /// When the load began, in ms since 1970.
    pub started_at_ms: i64,
    /// Which shard of a test it is, from 0; 0 of a whole one, and [`ALL_SHARDS`] of several that are
    /// shown as one.
    pub shard: String,
    /// Names of the kinds of request, in the order of the mix.
    pub kinds: Vec<String>,
    pub profile: String,
    /// Where the requests go.
    pub target: String,
    /// How long the run is planned to take; none when it ends by a count.
    pub length: Option<Nanos>,
}

/// A run at the end of one of its seconds. It holds no reference to the run, so that every viewer
/// can keep it as long as it takes to show it.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    pub outline: Arc<Outline>,
    /// Time since the start.
    pub elapsed: Nanos,
    /// Where in the plan the run is, in a few words: `stage 1/3 to 50 VUs`. None when everything
    /// planned was done and the run waits for the last responses.
    pub stage: Option<String>,
    /// The last second.
    pub second: Second,
    pub totals: Totals,
}
