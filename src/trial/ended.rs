//! What ends a run before its plan does.

use crate::rendezvous::Stop;

/// What ended a run before its plan did. The first cause counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    Signal,
    /// A threshold that aborts has failed.
    Threshold(String),
    /// The server that was started is not there any more.
    ServerDied,
    /// All shards end, and the cause may lie in another.
    Elsewhere(Stop),
}
