//! One request, as the writer of lines for each request gets it.

use super::Sample;

/// A finished request: its sample, and which one it was. Of a fixed size, so that a worker only
/// copies it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record {
    pub sample: Sample,
    /// Which worker of the whole test sent it.
    pub worker: u32,
    /// Its number among those of that worker.
    pub number: u64,
    /// The user, and its iteration, that it was drawn for: the same in every run with the seed.
    pub user: u32,
    pub iteration: u64,
    /// Index of its model among those of its kind.
    pub model: u16,
    /// Index of its target.
    pub target: u16,
    /// Port of its connection on this side; 0 if there is none.
    pub port: u16,
    /// It was sent inside the measurement window, and is part of the metrics.
    pub measured: bool,
    /// It takes the place of an earlier record of the same request, which seemed to be a success.
    pub amends: bool,
    /// Where its gaps end in those of the batch; they begin where those of the record before end.
    pub gaps_end: u32,
}

/// Records of one worker's second.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    pub records: Vec<Record>,
    /// Gaps between tokens in ns, of all records, if they were asked for.
    pub gaps: Vec<u64>,
}
