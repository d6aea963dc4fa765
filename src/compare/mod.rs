//! Comparison of two builds: is this one slower than that one? It turns numbers of results into a
//! verdict with few false alarms. It is pure arithmetic on plain numbers. Files and pages belong to
//! `report` and `cli`.
//!
//! A result is a run of one load, or a sweep over loads (`throughput`, `capacity`), whose peaks are
//! compared. The rules are the same for both. A sweep has no seconds, though, so a single pair of
//! sweeps has no interval.
//!
//! Requests of one run are not independent: a run as a whole is a little faster or slower than the
//! next run of the same build. So **the run is the sample**: with three runs per side or more, the
//! scatter of runs is measured, and a difference has to exceed it. One run per side can only be
//! compared by the scatter of its seconds ([`bootstrap`]). Such a result is called indicative.
//!
//! | Runs per side | A change is significant when | Its interval |
//! |---|---|---|
//! | 1 | the whole interval is beyond the limit | moving-block bootstrap over the seconds |
//! | 1 sweep | never; with `allow_single` if the change is beyond the limit | none |
//! | 3, or too few for the gates | the sides are apart by the noise | all pairwise differences |
//! | 4 and more | the exact Mann–Whitney p, Holm-corrected, is at most alpha | Hodges–Lehmann |
//! | pairs, 5 and more | the same, with Student's t over the pairs | Student's t |
//!
//! Tests are one-sided, so the level of an interval is 1 − 2 alpha (90 %): each of its ends is a
//! bound that the true change exceeds once in twenty times.
//!
//! A gate fails when the change is significant *and* beyond its limit. If it does not fail but the
//! interval reaches beyond the limit, the verdict is *inconclusive*: these runs cannot decide.

pub mod bootstrap;
mod error;
pub mod gate;
mod judge;
pub mod measure;
pub mod noise;
mod peak;
mod rank;
mod run;
mod same;

pub use error::CompareError;
pub use gate::{Gate, percentage};
pub use judge::compare;
pub use measure::{Measure, Number, Unit};
pub use noise::{Noise, Spread, noise};
pub use peak::{Peak, PeakOf};
pub use run::{Numbers, Run, Second, Sort};

use std::collections::BTreeMap;

/// Runs per side from which on the runs are the samples.
pub const LEAST_RUNS: usize = 3;
/// Pairs that Student's t needs. With fewer, its intervals are wider than any change of interest.
pub const LEAST_PAIRS: usize = 5;
/// Most runs per side. It is more than anybody waits for, and it keeps the counting of orders
/// short.
pub const MOST_RUNS: usize = 100;
/// Draws of the bootstrap.
pub const DRAWS: usize = 2_000;

#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Changes that fail the comparison.
    pub gates: Vec<Gate>,
    /// True if the runs of both sides form pairs in their order, measured alternately: A B A B.
    pub paired: bool,
    /// The probability at which two equal builds may be called different.
    pub alpha: f64,
    /// Relative differences below this are never called a change.
    pub noise_floor: f64,
    /// The measured differences between equal builds, by measure.
    pub noise: BTreeMap<String, f64>,
    /// The machine on which the noise was measured, if it was a single one.
    pub noise_machine: Option<String>,
    /// True if gates of a single pair of runs may fail.
    pub allow_single: bool,
    /// Draws of the bootstrap.
    pub draws: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            gates: Vec::new(),
            paired: false,
            alpha: 0.05,
            noise_floor: 0.02,
            noise: BTreeMap::new(),
            noise_machine: None,
            allow_single: false,
            draws: DRAWS,
        }
    }
}

impl Options {
    /// Returns the known difference between runs of one build in this measure. Smaller differences
    /// mean nothing.
    fn floor(&self, measure: &Measure) -> f64 {
        let seen = self.noise.get(&measure.to_string()).copied().unwrap_or(0.0);
        if measure.unit() == Unit::Share { seen } else { seen.max(self.noise_floor) }
    }
}

/// The method of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// One run per side, compared by its seconds.
    Bootstrap,
    /// One sweep per side. It has no seconds.
    Single,
    /// Three per side: all of one side is beyond all of the other.
    Separation,
    /// Four or more per side.
    MannWhitney,
    Paired,
}

impl Method {
    /// Returns the name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bootstrap => "block-bootstrap",
            Self::Single => "single-pair",
            Self::Separation => "full-separation",
            Self::MannWhitney => "mann-whitney",
            Self::Paired => "paired-t",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The method that was used.
    pub method: Method,
    /// The confidence level of the intervals, below 1.
    pub confidence: f64,
    /// Rows with gates first, in their order, then the usual measures.
    pub rows: Vec<Row>,
    /// Reasons to trust the numbers less.
    pub warnings: Vec<String>,
    /// True if nothing can fail the comparison, because one run per side does not measure how runs
    /// scatter.
    pub indicative: bool,
}

/// One measure of both sides.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub measure: Measure,
    /// The gate on this measure, if any.
    pub gate: Option<Gate>,
    /// One value a run. Empty without a change.
    pub base: Vec<f64>,
    pub head: Vec<f64>,
    /// The change. `None` where nothing can be said, and `note` says why.
    pub change: Option<Change>,
    /// The smallest change that counts, with its sign: the gate's limit or the noise of one build,
    /// whichever is larger. `None` without a change.
    pub limit: Option<f64>,
    pub verdict: Verdict,
    /// A remark on the row.
    pub note: Option<String>,
}

impl Row {
    /// Returns true if growth is tested: the gate's direction, or the worse one without a gate.
    fn asks_for_growth(&self) -> bool {
        self.gate.as_ref().map_or(!self.measure.more_is_better(), |gate| gate.above)
    }
}

/// The change of a measure: relative (0.05 is 5 % more), or the difference for shares (0.005 is
/// half a point).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    pub effect: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// The probability that equal builds differ this much in the direction of the gate, or towards
    /// worse without a gate.
    pub p: Option<f64>,
    /// `p` corrected for the number of gates.
    pub p_adjusted: Option<f64>,
    /// A change of this size is found about every second time with such runs, and smaller ones more
    /// rarely. `None` if it is unknown.
    pub detectable: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Worse, beyond the limit.
    Regressed,
    /// Better, beyond the limit.
    Improved,
    NoChange,
    /// These runs cannot decide.
    Inconclusive,
    NoValue,
}

impl Verdict {
    /// Returns the name in JSON and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Regressed => "regressed",
            Self::Improved => "improved",
            Self::NoChange => "no change",
            Self::Inconclusive => "inconclusive",
            Self::NoValue => "n/a",
        }
    }
}

impl Comparison {
    /// Returns the rows with a gate.
    pub fn gates(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.gate.is_some())
    }

    /// Counts the gates that failed. With a single pair a gate fails only if the user allowed it.
    pub fn failed(&self) -> usize {
        self.gates().filter(|row| row.verdict == Verdict::Regressed && !self.indicative).count()
    }

    /// Counts the gates without a value, because a run lacks their measure. They have not held.
    /// This applies to a single pair, too: nothing was compared that could be indicative.
    pub fn unjudged(&self) -> usize {
        self.gates().filter(|row| row.verdict == Verdict::NoValue).count()
    }

    /// Counts the gates that these runs cannot decide.
    pub fn inconclusive(&self) -> usize {
        self.gates().filter(|row| row.verdict == Verdict::Inconclusive).count()
    }
}
