//! The live page: a running test for browsers and Prometheus.
//!
//! One separate thread, with a low priority and off the workers' cores, serves everything. The
//! measuring side hands it each second through a channel that never blocks, and tells it when the
//! run is over. Browsers then have [`FINISH_WAIT`] to take the finished report, so that no viewer
//! delays the end.

mod door;
mod hub;
mod routes;
mod serve;

use crate::document::{Document, Sweep};
use crate::live::Snapshot;
use crate::metrics::Tally;
use crate::units::Nanos;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Longest wait for browsers to take the finished report.
pub const FINISH_WAIT: Nanos = Nanos::from_secs(1);
/// Most connections at once. Further ones wait. The load needs file descriptors, too.
pub const MAX_CONNECTIONS: u64 = 256;
/// Time that the thread needs to end, in addition to that wait.
const LAST_STEPS: Nanos = Nanos::from_millis(500);

/// A message to the page's thread.
enum Item {
    /// The load begins.
    Begin { first: Box<Snapshot>, opening: Box<Document>, worker_cores: Vec<usize> },
    /// A second is over.
    Second { snapshot: Arc<Snapshot>, interval: Arc<Tally> },
    /// The document so far, because a browser requested it.
    SoFar(Box<Document>),
    /// The final document of a run.
    Report(Box<Document>),
    /// The finished steps of a sweep, each in a line, and the result so far.
    Steps { so_far: Sweep, told: Vec<String> },
    /// The final result of a sweep.
    SweepReport(Sweep),
}

/// The live page. If it is dropped without a report, browsers are told that the run is over.
#[derive(Debug)]
pub struct Page {
    addr: SocketAddr,
    items: UnboundedSender<Item>,
    /// True while a browser waits for the document so far.
    wanted: Arc<AtomicBool>,
    /// Closed by the thread when it ends.
    ended: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Page {
    /// Binds the port and begins to serve. Browsers need `token`, if it is set.
    ///
    /// # Errors
    ///
    /// The system's error if the port is taken, the address is not this machine's, or the thread
    /// cannot be started.
    pub fn open(addr: SocketAddr, token: Option<&str>) -> io::Result<Self> {
        let listener = TcpListener::bind(addr)?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let door = door::Door::new(addr, token);
        let (items, incoming) = unbounded_channel();
        let (ending, ended) = sync_channel::<()>(0);
        let wanted = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&wanted);
        let thread = std::thread::Builder::new().name("web".to_owned()).spawn(move || {
            serve::until_over(listener, door, incoming, asked);
            drop(ending);
        })?;
        Ok(Self { addr, items, wanted, ended, thread: Some(thread) })
    }

    /// Returns the page's URL.
    pub fn url(&self) -> String {
        format!("http://{}/", self.addr)
    }

    /// Notes that the load begins.
    pub fn begin(&self, first: Snapshot, opening: Document, worker_cores: &[usize]) {
        let worker_cores = worker_cores.to_vec();
        self.tell(Item::Begin { first: Box::new(first), opening: Box::new(opening), worker_cores });
    }

    /// Notes that a second is over.
    pub fn second(&self, snapshot: &Arc<Snapshot>, interval: &Arc<Tally>) {
        self.tell(Item::Second { snapshot: Arc::clone(snapshot), interval: Arc::clone(interval) });
    }

    /// Returns whether a browser has requested the document so far since the last call. Such
    /// browsers wait for [`Self::so_far`].
    pub fn asks(&self) -> bool {
        self.wanted.swap(false, Ordering::Relaxed)
    }

    /// Sends the document so far to the browsers that requested it.
    pub fn so_far(&self, document: Document) {
        self.tell(Item::SoFar(Box::new(document)));
    }

    /// Ends the run with its final document.
    pub fn report(&self, document: Document) {
        self.tell(Item::Report(Box::new(document)));
    }

    /// Shows the finished steps of a sweep, each in a line of `told`.
    pub fn steps(&self, so_far: Sweep, told: Vec<String>) {
        self.tell(Item::Steps { so_far, told });
    }

    /// Ends the sweep with its final result.
    pub fn report_sweep(&self, found: Sweep) {
        self.tell(Item::SweepReport(found));
    }

    fn tell(&self, item: Item) {
        // If the thread has ended, there are no viewers.
        let _ = self.items.send(item);
    }

    /// Waits until browsers have received everything, but not longer than [`FINISH_WAIT`] and a
    /// moment.
    pub fn finish(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        // Closing the channel tells the thread to end.
        self.items = unbounded_channel().0;
        let wait = FINISH_WAIT + LAST_STEPS;
        if self.ended.recv_timeout(wait.to_duration()) == Err(RecvTimeoutError::Disconnected) {
            // A panic of the thread was already printed.
            let _ = thread.join();
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tests::all_sorts;
    use crate::live::Outline;
    use crate::metrics::{Second, Totals};
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpStream;

    fn first() -> Snapshot {
        Snapshot {
            outline: Arc::new(Outline::default()),
            elapsed: Nanos::ZERO,
            stage: None,
            second: Second::new(0, &Tally::new(0), &[]),
            totals: Totals::default(),
        }
    }

    #[test]
    fn browsers_are_told_of_a_run_that_has_no_report() {
        let page = Page::open("127.0.0.1:0".parse().expect("an address"), None).expect("a port");
        page.begin(first(), all_sorts().remove(0).1, &[]);
        let mut stream = TcpStream::connect(page.addr).expect("it listens");
        stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).expect("a timeout");
        stream.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
        let mut events = BufReader::new(stream);
        let mut line = String::new();
        while !line.contains("event: all") {
            line.clear();
            assert!(events.read_line(&mut line).expect("a line") > 0, "it ended before it began");
        }
        drop(page);
        let mut rest = String::new();
        events.read_to_string(&mut rest).expect("its end");
        assert!(rest.contains("event: end\n") && rest.contains("The terminal says why"), "{rest}");
    }

    #[test]
    fn a_port_that_is_taken_is_an_error() {
        let page = Page::open("127.0.0.1:0".parse().expect("an address"), None).expect("a port");
        let error = Page::open(page.addr, None).expect_err("it is taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
