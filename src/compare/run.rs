//! A result, reduced to what is compared.

use super::peak::Peak;
use crate::metrics::{Buckets, Summary};
use std::collections::BTreeMap;

/// One result, reduced to what is compared: a run, or a sweep.
#[derive(Debug, Clone)]
pub struct Run {
    /// The file from which the result was read.
    pub file: String,
    /// The command that wrote it.
    pub sort: Sort,
    pub id: String,
    /// Hash of the workload. Only results of the same workload can be compared.
    pub workload: String,
    /// Version of this tool that measured the result.
    pub tool: String,
    /// Number of shards that measured it together. 0 for a single process.
    pub shards: usize,
    /// For a sweep, its steps and settings by name. They have to be the same, too.
    pub steps: Vec<(&'static str, String)>,
    /// The machine of a sweep, by name. Peaks depend on the machine as much as on the server.
    pub machine: Vec<(&'static str, String)>,
    /// The reason why the result is incomplete, if it is.
    pub incomplete: Option<String>,
    pub fingerprint: Option<String>,
    /// Remarks on the result, such as a strained client.
    pub remarks: Vec<String>,
    /// The server's build: kind, version and commit. Empty if the server does not tell.
    pub build: String,
    /// The build with the user's own marks, for people.
    pub server: String,
    pub numbers: Numbers,
}

/// The command that wrote a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Run,
    Throughput,
    Capacity,
}

impl Sort {
    /// Returns the name of one result. An `s` makes the plural.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Throughput => "throughput result",
            Self::Capacity => "capacity result",
        }
    }

    /// Returns the measures that gates on it may use.
    pub(super) const fn measures(self) -> &'static str {
        match self {
            Self::Run => "ttft.p99, error_rate, throughput or the like",
            Self::Throughput => "requests_per_s or tokens_per_s",
            Self::Capacity => "capacity",
        }
    }
}

/// The measured numbers.
#[derive(Debug, Clone)]
pub enum Numbers {
    /// Measured under one load.
    Load {
        summary: Box<Summary>,
        /// Second by second, without the time in which the last requests were waited for.
        seconds: Vec<Second>,
    },
    /// Measured under several loads. A peak has no value if no step counted.
    Peaks(Vec<(Peak, Option<f64>)>),
}

impl Run {
    /// Returns the numbers of a run. `None` for a sweep.
    pub fn summary(&self) -> Option<&Summary> {
        match &self.numbers {
            Numbers::Load { summary, .. } => Some(summary),
            Numbers::Peaks(_) => None,
        }
    }

    /// Returns the seconds. A sweep has none.
    pub(super) fn seconds(&self) -> &[Second] {
        match &self.numbers {
            Numbers::Load { seconds, .. } => seconds,
            Numbers::Peaks(_) => &[],
        }
    }
}

/// One second of a run.
#[derive(Debug, Clone, Default)]
pub struct Second {
    pub http_reqs: u64,
    pub failed: u64,
    pub tokens_output: u64,
    /// Times by kind of request and metric.
    pub times: BTreeMap<(String, &'static str), Buckets>,
}
