//! A place that a result goes to.

use std::path::PathBuf;

/// Where a result goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Standard output, written `-`.
    Stdout,
    File(PathBuf),
}
