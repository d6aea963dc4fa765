//! The errors of a run: it could not finish, or its numbers cannot be used.

use crate::metrics::Balance;
use std::io;

/// An error that ends a run or makes its numbers unusable. The server causes none of these errors.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A worker could not get a poll, or its poll failed.
    #[error("a worker cannot wait for its sockets: {0}")]
    Poll(#[from] io::Error),
    /// The rows of a data set that are not in memory could not be read.
    #[error("the rows of a data set cannot be read from the temporary file that holds them: {0}")]
    Rows(io::Error),
    /// Requests were lost or counted twice: a defect of this tool.
    #[error(
        "requests started: {}, ended: {}, so the numbers of this run are wrong (this is a defect of llmsim-blast; please report it)",
        .0.started,
        .0.ended
    )]
    Unbalanced(Balance),
    /// A worker died: a defect of this tool.
    #[error("a worker died (this is a defect of llmsim-blast; please report it): {0}")]
    Died(String),
}
