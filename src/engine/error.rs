//! Why a run could not be finished, or its numbers not be used.

use crate::metrics::Balance;
use std::io;

/// Why a run could not be finished, or its numbers not be used. None of these is the server's doing.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A worker could not get a poll, or its poll failed.
    #[error("a worker cannot wait for its sockets: {0}")]
    Poll(#[from] io::Error),
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
