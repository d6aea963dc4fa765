//! Causes that end a run before its plan does.

use crate::rendezvous::Stop;

/// The cause that ended a run before its plan did. The first cause counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    Signal,
    /// A threshold with `abort_on_fail` has failed.
    Threshold(String),
    /// The server that was started here has exited.
    ServerDied,
    /// All shards end. The cause may lie in another shard.
    Elsewhere(Stop),
}
