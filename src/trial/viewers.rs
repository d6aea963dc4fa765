//! Who watches a run: a display, a page, an exporter.

use crate::document::Document;
use crate::live::Snapshot;
use crate::metrics::{Batch, Tally};
use crate::plan::Presentation;
use std::sync::Arc;

/// Makes the document of the run so far. That costs, so it is done for whoever asks.
pub(crate) type DocumentSoFar<'a> = &'a dyn Fn(&Presentation) -> Document;

/// A second that is over.
pub(crate) struct Moment<'a> {
    pub(crate) snapshot: Arc<Snapshot>,
    /// Everything that was recorded in the second, inside the measurement window and outside.
    pub(crate) interval: &'a Arc<Tally>,
    pub(crate) so_far: DocumentSoFar<'a>,
    /// It is all that there is to see: this process does not hear of other shards.
    pub(crate) is_all: bool,
}

/// Told of a run by the thread that collects its seconds; no worker waits for it. It must not
/// block.
pub(crate) trait Viewers {
    /// The load begins; workers are pinned to those cores, or to none.
    fn begin(&mut self, first: &Snapshot, worker_cores: &[usize], opening: DocumentSoFar<'_>);

    /// Requests were recorded, if the plan asks for that.
    fn requests(&mut self, batches: Vec<Batch>);

    /// A second is over.
    fn second(&mut self, moment: &Moment<'_>);

    /// A second of all shards is over; told at shard 0 only.
    fn whole(&mut self, snapshot: Arc<Snapshot>);

    /// A line about the run.
    fn said(&mut self, line: &str);
}
