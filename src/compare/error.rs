//! Why results cannot be compared.

use super::run::Sort;
use super::{LEAST_PAIRS, LEAST_RUNS, MOST_RUNS};
use crate::units::plural;

/// Why runs cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// Two runs that have not been asked the same, or not by the same tool.
    #[error("{file}: {what} is {found}, and {expected} in {other}: only results of the same test can be compared")]
    Other {
        file: String,
        what: &'static str,
        found: String,
        /// The one it is compared with.
        other: String,
        /// What it is there.
        expected: String,
    },
    /// Two sweeps on different machines.
    #[error("{file}: {what} is {found}, and {expected} in {other}: peaks of different machines cannot be compared")]
    Machine {
        file: String,
        what: &'static str,
        found: String,
        /// The one it is compared with.
        other: String,
        /// What it is there.
        expected: String,
    },
    /// Results of two commands.
    #[error(
        "{file}: it is a {}, and {other} is a {}: compare results of one command with each other",
        found.name(),
        expected.name()
    )]
    Sorts {
        file: String,
        found: Sort,
        /// The one it is compared with.
        other: String,
        /// What that one is.
        expected: Sort,
    },
    /// A gate that no result can be asked for.
    #[error("--fail-on '{gate}': a {} has no such measure: expected {}", sort.name(), sort.measures())]
    Gate { gate: String, sort: Sort },
    /// A gate on a peak that the results do not have.
    #[error("--fail-on '{gate}': the results have no such peak: expected one of {known}")]
    Peak { gate: String, known: String },
    /// A result that is not whole.
    #[error("{file}: {why}: only whole results can be compared")]
    Incomplete { file: String, why: String },
    #[error("{file}: it is the same run as {other} (run.id {id}): a run cannot be compared with itself")]
    Twice { file: String, other: String, id: String },
    /// Runs of two builds, where one was to be measured.
    #[error("{file}: the server is {found}, and {expected} in {other}: noise is what runs of one build differ by")]
    Builds {
        file: String,
        found: String,
        /// The one it is compared with.
        other: String,
        /// What it is there.
        expected: String,
    },
    /// A number of runs that decides nothing.
    #[error("{base} + {head} runs: expected one per side, or at least {LEAST_RUNS} and at most {MOST_RUNS}")]
    Runs { base: usize, head: usize },
    /// A number of runs of one build that says nothing of its noise.
    #[error("{}: expected at least {LEAST_RUNS} and at most {MOST_RUNS} runs of one build: measure more", plural(*runs, "run"))]
    NoiseRuns { runs: usize },
    /// Runs that do not form pairs.
    #[error("--paired with {base} + {head} runs: expected as many on both sides, at least {LEAST_PAIRS}")]
    Pairs { base: usize, head: usize },
    /// So few runs cannot reach this level of significance.
    #[error("--alpha {alpha} cannot be reached with {base} + {head} runs: add runs, or raise --alpha")]
    Alpha {
        base: usize,
        head: usize,
        /// What was asked for.
        alpha: String,
    },
}
