//! What crosses the border of a worker's thread while a test runs: a stop flag down, tallies up, emptied ones down again.

use crate::metrics::Tally;
use crate::units::Nanos;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender};

/// The numbers of one worker's second, on their way to the fleet.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) worker: usize,
    /// Which second; seconds in between that were skipped were empty.
    pub(super) second: u32,
    pub(super) tally: Box<Tally>,
    /// Nothing more will come: when the measurement window ended and when the last request was over.
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

/// The two ways out of a worker, and the one way in.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    pub(super) stop: &'a AtomicBool,
    pub(super) reports: Sender<Report>,
    pub(super) emptied: Receiver<Box<Tally>>,
}
