//! The reasons why results cannot be compared.

use super::run::Sort;
use super::{LEAST_PAIRS, LEAST_RUNS, MOST_RUNS};
use crate::units::plural;

/// The reason why runs cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// The two runs had different tests, or came from different versions of this tool.
    #[error("{file}: {what} is {found}, and {expected} in {other}: only results of the same test can be compared")]
    Other {
        file: String,
        what: &'static str,
        found: String,
        /// The file that it is compared with.
        other: String,
        /// The value in the other file.
        expected: String,
    },
    /// The two sweeps ran on different machines.
    #[error("{file}: {what} is {found}, and {expected} in {other}: peaks of different machines cannot be compared")]
    Machine {
        file: String,
        what: &'static str,
        found: String,
        /// The file that it is compared with.
        other: String,
        /// The value in the other file.
        expected: String,
    },
    /// The results come from two different commands.
    #[error(
        "{file}: it is a {}, and {other} is a {}: compare results of one command with each other",
        found.name(),
        expected.name()
    )]
    Sorts {
        file: String,
        found: Sort,
        /// The file that it is compared with.
        other: String,
        /// The sort of result in the other file.
        expected: Sort,
    },
    /// The gate's measure does not exist in results of this sort.
    #[error("--fail-on '{gate}': a {} has no such measure: expected {}", sort.name(), sort.measures())]
    Gate { gate: String, sort: Sort },
    /// The gate is on a peak that the results do not have.
    #[error("--fail-on '{gate}': the results have no such peak: expected one of {known}")]
    Peak { gate: String, known: String },
    /// The result is incomplete.
    #[error("{file}: {why}: only whole results can be compared")]
    Incomplete { file: String, why: String },
    #[error("{file}: it is the same run as {other} (run.id {id}): a run cannot be compared with itself")]
    Twice { file: String, other: String, id: String },
    /// The runs are of two builds, but noise is measured on one.
    #[error(
        "{file}: the server is {found}, and {expected} in {other}: noise is the difference between runs of one build"
    )]
    Builds {
        file: String,
        found: String,
        /// The file that it is compared with.
        other: String,
        /// The build in the other file.
        expected: String,
    },
    /// This number of runs cannot decide anything.
    #[error("{base} + {head} runs: expected one per side, or at least {LEAST_RUNS} and at most {MOST_RUNS}")]
    Runs { base: usize, head: usize },
    /// This number of runs of one build cannot measure its noise.
    #[error("{}: expected at least {LEAST_RUNS} and at most {MOST_RUNS} runs of one build: measure more", plural(*runs, "run"))]
    NoiseRuns { runs: usize },
    /// The runs do not form pairs.
    #[error("--paired with {base} + {head} runs: expected as many on both sides, at least {LEAST_PAIRS}")]
    Pairs { base: usize, head: usize },
    /// So few runs cannot reach this level of significance.
    #[error("--alpha {alpha} cannot be reached with {base} + {head} runs: add runs, or raise --alpha")]
    Alpha {
        base: usize,
        head: usize,
        /// The level that was requested.
        alpha: String,
    },
}
