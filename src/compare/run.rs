//! A result, as far as it is compared.

use super::peak::Peak;
use crate::metrics::{Buckets, Summary};
use std::collections::BTreeMap;

/// One result, as far as it is compared: a run, or a sweep.
#[derive(Debug, Clone)]
pub struct Run {
    /// The file it comes from.
    pub file: String,
    /// Which command wrote it.
    pub sort: Sort,
    pub id: String,
    /// What it asked of the server: only results that asked the same can be compared.
    pub workload: String,
    /// Version of this tool that measured it.
    pub tool: String,
    /// Over how many machines it ran.
    pub shards: usize,
    /// Of a sweep, what it tried and how, by name. That has to be the same, too.
    pub steps: Vec<(&'static str, String)>,
    /// The machine of a sweep, by name: peaks are its own as much as the server's.
    pub machine: Vec<(&'static str, String)>,
    /// Why it is no whole result, if it is none.
    pub incomplete: Option<String>,
    pub fingerprint: Option<String>,
    /// What is to be said of it: a strained client, say.
    pub remarks: Vec<String>,
    /// Which build of the server: kind, version and commit; empty when it does not say.
    pub build: String,
    /// The same with the user's own marks, for people.
    pub server: String,
    pub numbers: Numbers,
}

/// Which command wrote a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Run,
    Throughput,
    Capacity,
}

impl Sort {
    /// What one of them is called; an `s` makes several.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Throughput => "throughput result",
            Self::Capacity => "capacity result",
        }
    }

    /// What gates on it may ask for.
    pub(super) const fn measures(self) -> &'static str {
        match self {
            Self::Run => "ttft.p99, error_rate, throughput or the like",
            Self::Throughput => "requests_per_s or tokens_per_s",
            Self::Capacity => "capacity",
        }
    }
}

/// What was measured.
#[derive(Debug, Clone)]
pub enum Numbers {
    /// Under one load.
    Load {
        summary: Box<Summary>,
        /// Second by second; without the time in which the last requests were waited for.
        seconds: Vec<Second>,
    },
    /// Over several. A peak has no value if no step counted.
    Peaks(Vec<(Peak, Option<f64>)>),
}

impl Run {
    /// The numbers of a run; none of a sweep.
    pub fn summary(&self) -> Option<&Summary> {
        match &self.numbers {
            Numbers::Load { summary, .. } => Some(summary),
            Numbers::Peaks(_) => None,
        }
    }

    /// Its seconds. A sweep has none.
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
