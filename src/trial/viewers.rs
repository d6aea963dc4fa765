//! Viewers of a run: the display, the live page, the exporters.

use crate::document::Document;
use crate::live::Snapshot;
use crate::metrics::{Batch, Tally};
use crate::plan::Presentation;
use std::sync::Arc;

/// Makes the document of the run so far. It is expensive, so it is made only on request.
pub(crate) type DocumentSoFar<'a> = &'a dyn Fn(&Presentation) -> Document;

/// The beginning of a run.
pub(crate) struct Beginning<'a> {
    /// The run of this process, before its first second.
    pub(crate) own: &'a Snapshot,
    /// The run that a page shows: at shard 0 the run of all shards that have met, elsewhere `own`.
    pub(crate) shown: &'a Snapshot,
    /// Cores that workers are pinned to. Empty if they are not pinned.
    pub(crate) worker_cores: &'a [usize],
    /// Makes the document of `shown`, without measurements.
    pub(crate) opening: DocumentSoFar<'a>,
}

/// A second that is over.
pub(crate) struct Moment<'a> {
    pub(crate) snapshot: Arc<Snapshot>,
    /// Everything that was recorded in the second, inside the measurement window and outside.
    pub(crate) interval: &'a Arc<Tally>,
    pub(crate) so_far: DocumentSoFar<'a>,
    /// True if viewers see this process only: it does not receive the seconds of other shards.
    pub(crate) is_all: bool,
}

/// A second of all shards that is over. Only shard 0 has it.
pub(crate) struct WholeMoment {
    pub(crate) snapshot: Arc<Snapshot>,
    /// Everything that was recorded in the second, inside the measurement window and outside.
    /// `None` unless this process has a page.
    pub(crate) interval: Option<Arc<Tally>>,
}

/// Receives the progress of a run on the thread that collects its seconds. No worker waits for it.
/// It must not block.
pub(crate) trait Viewers {
    /// The load begins.
    fn begin(&mut self, beginning: &Beginning<'_>);

    /// Requests were recorded, if the plan asks for that.
    fn requests(&mut self, batches: Vec<Batch>);

    /// A second is over.
    fn second(&mut self, moment: &Moment<'_>);

    /// A second of all shards is over. Called at shard 0 only.
    fn whole(&mut self, moment: WholeMoment);

    /// Returns true if a viewer waits for the document of all shards so far. Each request is
    /// reported once.
    fn asks(&mut self) -> bool;

    /// The document of all shards so far, which a viewer has asked for.
    fn so_far(&mut self, document: Document);

    /// A line about the run.
    fn said(&mut self, line: &str);
}
