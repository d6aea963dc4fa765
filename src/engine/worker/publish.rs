//! What leaves a worker: its tally once a second, and at the end when that was.

use super::{Addresses, PUBLISH_EVERY, Worker};
use crate::engine::clock::{thread_cpu_time, thread_run_wait};
use crate::metrics::Tally;
use crate::units::Nanos;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender};

/// The numbers of one worker's second, on their way to the fleet.
#[derive(Debug)]
pub(in crate::engine) struct Report {
    pub(in crate::engine) worker: usize,
    /// Which second; seconds in between that were skipped were empty.
    pub(in crate::engine) second: u32,
    pub(in crate::engine) tally: Box<Tally>,
    /// Nothing more will come: when the measurement window ended and when the last request was over.
    pub(in crate::engine) last: Option<Ended>,
}

/// How a worker ended.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Ended {
    /// When the last request was over.
    pub(in crate::engine) at: Nanos,
    /// When the stop flag was seen, if it was.
    pub(in crate::engine) stopped: Option<Nanos>,
}

/// The ways into a worker and out of it.
#[derive(Debug)]
pub(in crate::engine) struct Lines<'a> {
    pub(in crate::engine) stop: &'a AtomicBool,
    pub(in crate::engine) reports: Sender<Report>,
    pub(in crate::engine) emptied: Receiver<Box<Tally>>,
    /// New addresses of the targets, when they are looked up again.
    pub(in crate::engine) addresses: Receiver<Addresses>,
}

impl Worker<'_> {
    pub(super) fn publish(&mut self, now: Nanos) {
        if now < self.next_publish {
            return;
        }
        self.report(None);
        while let Ok(addresses) = self.lines.addresses.try_recv() {
            self.dialer.readdress(addresses);
        }
        self.second = (now.0 / PUBLISH_EVERY.0) as u32;
        self.next_publish = Nanos((u64::from(self.second) + 1) * PUBLISH_EVERY.0);
    }

    pub(super) fn report(&mut self, last: Option<Ended>) {
        self.arrivals.choose_pause(self.tally.mean_gap());
        if self.arrivals.clock_stepped() {
            self.tally.clock_stepped();
        }
        let (cpu, run_wait) = (thread_cpu_time(), thread_run_wait());
        self.tally.cpu_time = cpu.since(self.cpu_seen);
        self.tally.busiest = self.tally.cpu_time;
        self.tally.run_wait = run_wait.since(self.run_wait_seen);
        (self.cpu_seen, self.run_wait_seen) = (cpu, run_wait);
        let kinds = self.expects.len();
        let mut next = self.lines.emptied.try_recv().unwrap_or_else(|_| Box::new(Tally::new(kinds)));
        next.continue_levels(&self.tally);
        let tally = std::mem::replace(&mut self.tally, next);
        // The fleet outlives its workers; if it is gone all the same, nobody is left to be told.
        let _ = self.lines.reports.send(Report { worker: self.number, second: self.second, tally, last });
    }
}
