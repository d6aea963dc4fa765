//! Why a run could not be finished, or its numbers not be used.

use crate::metrics::Balance;
use std::io;

/// Why a run could not be finished, or its numbers not be used. None of these is the server's doing.
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
