//! What users do that is more than one request.

use super::conversations::Conversations;
use super::retries::Retrying;
use crate::plan::Plan;

/// Conversations, and requests that are sent again.
#[derive(Debug)]
pub(super) struct Users {
    pub(super) conversations: Conversations,
    pub(super) retrying: Retrying,
}

impl Users {
    /// All are silent.
    pub(super) fn new(shard: &Plan, slots: usize) -> Self {
        Self { conversations: Conversations::new(shard, slots), retrying: Retrying::new(shard, slots) }
    }
}
