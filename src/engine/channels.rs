//! The channels down to a worker and up from it. Nothing else crosses the thread border.

use super::budget::Budget;
use super::rows_ahead::RowInbox;
use crate::metrics::{Batch, Tally};
use crate::mix::{Heads, RequestWriter};
use crate::net::Dialer;
use crate::units::Nanos;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender};

/// New addresses of the targets, in the order of the targets. `None` for a name that could not be
/// looked up.
pub(super) type Addresses = Vec<Option<Vec<SocketAddr>>>;

/// A change during a test. It is prepared on another thread than the workers'.
#[derive(Debug)]
pub(super) enum News {
    /// Only if names are looked up again during the test.
    Addresses(Addresses),
    /// Only if the key changes.
    Heads(Arc<Heads>),
}

/// Down: the input of a worker.
#[derive(Debug)]
pub(super) struct Inbox<'a> {
    pub(super) stop: &'a AtomicBool,
    pub(super) news: Receiver<News>,
    /// The only memory that workers share.
    pub(super) budget: &'a Budget,
    /// Only if rows are not in memory. Their buffers circulate: used ones go back.
    pub(super) rows: Option<RowInbox>,
}

impl Inbox<'_> {
    /// Applies the changes since the last call.
    pub(super) fn take_news(&self, dialer: &mut Dialer, writer: &mut RequestWriter) {
        while let Ok(news) = self.news.try_recv() {
            match news {
                News::Addresses(addresses) => dialer.readdress(addresses),
                News::Heads(heads) => writer.change_heads(heads),
            }
        }
    }
}

/// Up: a worker's reports, and the empty tallies that come back to be filled again.
#[derive(Debug)]
pub(super) struct Outbox {
    pub(super) reports: Sender<Report>,
    pub(super) recycled: Receiver<Box<Tally>>,
}

#[derive(Debug)]
pub(super) struct Channels<'a> {
    pub(super) inbox: Inbox<'a>,
    pub(super) outbox: Outbox,
}

/// The numbers of one worker for one second and one phase.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) worker: usize,
    /// The second of the test. Skipped seconds were empty.
    pub(super) second: u32,
    pub(super) phase: u16,
    pub(super) tally: Box<Tally>,
    /// Records of the requests that ended in this second; `None` unless requests are recorded.
    pub(super) batch: Option<Batch>,
    /// True if nothing more of this second will come.
    pub(super) complete: bool,
    /// Set in the worker's very last report.
    pub(super) last: Option<Ended>,
}

/// The end of a worker's run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    /// When the last request was over.
    pub(super) at: Nanos,
    /// When the stop flag was seen; `None` if it was not.
    pub(super) stopped: Option<Nanos>,
}
