//! Is this build slower than that one? Numbers of results → a verdict that does not cry wolf. Pure
//! arithmetic on plain numbers: files and pages are `report`'s and `cli`'s business.
//!
//! A result is a run of one load, or a sweep over loads (`throughput`, `capacity`), of which the
//! peaks are compared. The rules are the same. A sweep has no seconds, though, so a single pair of
//! sweeps has no interval.
//!
//! Requests of one run are not independent: a run as a whole is a little faster or slower than the
//! next of the same build. So **the run is the sample**: with three runs per side or more, how runs
//! scatter is measured, and a difference has to be larger. One run per side can only be compared by
//! how its seconds scatter ([`bootstrap`]); what that says is called indicative.
//!
//! | Runs per side | A change is significant when | Its interval |
//! |---|---|---|
//! | 1 | the interval is beyond the limit as a whole | moving-block bootstrap over the seconds |
//! | 1 sweep | never; with `allow_single` when the change itself is beyond the limit | none |
//! | 3, or too few for so many gates | every run of one side is beyond every run of the other, by the noise floor | all pairwise differences |
//! | 4 and more | the exact Mann–Whitney p, after Holm's correction over the gates, is at most alpha | Hodges–Lehmann |
//! | pairs, 5 and more | the same of Student's t over the differences of pairs | Student's t |
//!
//! Tests are one-sided, and so an interval is of 1 − 2 alpha (90 %): each of its ends is a bound
//! that the change passes once in twenty times.
//!
//! A gate fails when the change is significant *and* beyond its limit. When it does not, but the
//! interval reaches beyond the limit, the verdict is *inconclusive*: these runs cannot say.

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

/// Runs per side from which on they are the samples.
pub const LEAST_RUNS: usize = 3;
/// Pairs that Student's t needs: with fewer its intervals are wider than anything that is looked
/// for.
pub const LEAST_PAIRS: usize = 5;
/// Runs per side: more than anybody waits for; the counting of orders stays short.
pub const MOST_RUNS: usize = 100;
/// Draws of the bootstrap.
pub const DRAWS: usize = 2_000;

#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What fails the comparison.
    pub gates: Vec<Gate>,
    /// The runs of both sides belong together in their order: measured one after the other, A B A
    /// B.
    pub paired: bool,
    /// How often two equal builds may be called different.
    pub alpha: f64,
    /// Relative changes below this are never called one.
    pub noise_floor: f64,
    /// What two equal builds were seen to differ by, by measure.
    pub noise: BTreeMap<String, f64>,
    /// On which machine that was, if it was one.
    pub noise_machine: Option<String>,
    /// Whether gates of a single pair of runs may fail.
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
    /// What runs of one build differ by in this measure, as far as is known: no difference below it
    /// means anything.
    fn floor(&self, measure: &Measure) -> f64 {
        let seen = self.noise.get(&measure.to_string()).copied().unwrap_or(0.0);
        if measure.unit() == Unit::Share { seen } else { seen.max(self.noise_floor) }
    }
}

/// How runs were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// One run per side, by its seconds.
    Bootstrap,
    /// One sweep per side, which has no seconds.
    Single,
    /// Three per side: all of one beyond all of the other.
    Separation,
    /// Four and more per side.
    MannWhitney,
    Paired,
}

impl Method {
    /// Its name in JSON.
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
    /// How it was done.
    pub method: Method,
    /// How surely the intervals hold the true change, below 1.
    pub confidence: f64,
    /// Gates first, in their order; then what is usual.
    pub rows: Vec<Row>,
    /// What may make the numbers worth less.
    pub warnings: Vec<String>,
    /// Whether nothing can fail it, because one run per side is no measure of how runs scatter.
    pub indicative: bool,
}

/// One measure of both sides.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub measure: Measure,
    /// The gate on it, if there is one.
    pub gate: Option<Gate>,
    /// One value a run; empty without a change.
    pub base: Vec<f64>,
    pub head: Vec<f64>,
    /// What became of it; none where nothing can be said, and `note` says why.
    pub change: Option<Change>,
    /// The change from which on it counts, with its sign: what the gate says, or as much as runs of
    /// one build differ by; none without a change.
    pub limit: Option<f64>,
    pub verdict: Verdict,
    /// What is to be added.
    pub note: Option<String>,
}

impl Row {
    /// In which direction it is asked: that of its gate, or of the worse.
    fn asks_for_growth(&self) -> bool {
        self.gate.as_ref().map_or(!self.measure.more_is_better(), |gate| gate.above)
    }
}

/// What became of a measure: relative (0.05 is 5 % more), for shares a difference (0.005 is half a
/// point).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    pub effect: f64,
    /// It is hardly less than this.
    pub low: f64,
    /// Nor more than this.
    pub high: f64,
    /// How likely equal builds are to differ so much in the direction of the gate (without one, in
    /// the worse).
    pub p: Option<f64>,
    /// That, as if no other gate had been asked.
    pub p_adjusted: Option<f64>,
    /// A change of this size is found about every second time with such runs; smaller ones more
    /// rarely. None where none is.
    pub detectable: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Worse, beyond the limit.
    Regressed,
    /// Better, beyond the limit.
    Improved,
    NoChange,
    /// These runs cannot say.
    Inconclusive,
    NoValue,
}

impl Verdict {
    /// Its name in JSON and reports.
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
    /// Rows with a gate.
    pub fn gates(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.gate.is_some())
    }

    /// Gates that failed. (With a single pair they do so only if that was asked for.)
    pub fn failed(&self) -> usize {
        self.gates().filter(|row| row.verdict == Verdict::Regressed && !self.indicative).count()
    }

    /// Gates of which nothing can be said, because a run does not have what they ask for: they have
    /// not held. That is so of a single pair, too: nothing was compared that could be indicative.
    pub fn unjudged(&self) -> usize {
        self.gates().filter(|row| row.verdict == Verdict::NoValue).count()
    }

    /// Gates of which these runs cannot say whether they hold.
    pub fn inconclusive(&self) -> usize {
        self.gates().filter(|row| row.verdict == Verdict::Inconclusive).count()
    }
}
