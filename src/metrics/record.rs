//! One request, in the form in which the writer of the request log receives it.

use super::Sample;

/// A finished request: its sample and its identity. Its size is fixed, so that a worker only copies
/// it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record {
    pub sample: Sample,
    /// Index of the worker that sent it, counted over the whole test.
    pub worker: u32,
    /// Its number among the requests of that worker.
    pub number: u64,
    /// The user and the iteration for which it was drawn. They are the same in every run with the
    /// same seed.
    pub user: u32,
    pub iteration: u64,
    /// Index of its model among the models of its kind.
    pub model: u16,
    /// Index of its target.
    pub target: u16,
    /// Local port of its connection; 0 if there is none.
    pub port: u16,
    /// True if it was sent inside the measurement window and is part of the metrics.
    pub measured: bool,
    /// True if it replaces an earlier record of the same request, which had seemed successful.
    pub amends: bool,
    /// Where its gaps end in those of the batch. They begin where those of the previous record end.
    pub gaps_end: u32,
}

/// The records of one worker and second.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    pub records: Vec<Record>,
    /// Gaps between tokens of all records in ns, if they were requested.
    pub gaps: Vec<u64>,
}
