//! What goes down into a worker and what comes up from it. Nothing else crosses the thread border.

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

/// New addresses of the targets, in their order. `None` for a name that could not be looked up.
pub(super) type Addresses = Vec<Option<Vec<SocketAddr>>>;

/// What has changed while a test runs. It was made ready off the workers.
#[derive(Debug)]
pub(super) enum News {
    /// Only with names that are looked up again during the test.
    Addresses(Addresses),
    /// Only with a key that changes.
    Heads(Arc<Heads>),
}

/// Down: what a worker is told.
#[derive(Debug)]
pub(super) struct Inbox<'a> {
    pub(super) stop: &'a AtomicBool,
    pub(super) news: Receiver<News>,
    /// The one thing that workers share.
    pub(super) budget: &'a Budget,
    /// Only with rows that are not in memory. They go round, and used ones go back.
    pub(super) rows: Option<RowInbox>,
}

impl Inbox<'_> {
    /// Takes over what has changed since the last call.
    pub(super) fn take_news(&self, dialer: &mut Dialer, writer: &mut RequestWriter) {
        while let Ok(news) = self.news.try_recv() {
            match news {
                News::Addresses(addresses) => dialer.readdress(addresses),
                News::Heads(heads) => writer.change_heads(heads),
            }
        }
    }
}

/// Up: what a worker reports, and the tallies that come back to be filled again.
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

/// The numbers of one worker's second and one phase.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) worker: usize,
    /// Seconds that were skipped in between were empty.
    pub(super) second: u32,
    pub(super) phase: u16,
    pub(super) tally: Box<Tally>,
    /// Requests that ended in it, if anybody wants to know.
    pub(super) batch: Option<Batch>,
    /// Nothing more of this second will come.
    pub(super) complete: bool,
    /// Set in the very last report.
    pub(super) last: Option<Ended>,
}

/// How a worker ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    /// When the last request was over.
    pub(super) at: Nanos,
    /// When the stop flag was seen, if it was.
    pub(super) stopped: Option<Nanos>,
}
