//! The users' activity beyond a single request.

use super::conversations::Conversations;
use super::retries::Retrying;
use super::rows::HeldRows;
use crate::engine::rows_ahead::RowInbox;
use crate::plan::Plan;

/// Conversations, requests that are sent again, and held rows.
#[derive(Debug)]
pub(super) struct Users {
    pub(super) conversations: Conversations,
    pub(super) retrying: Retrying,
    pub(super) rows: HeldRows,
}

impl Users {
    /// Returns true if a user without a request still has one to send.
    pub(super) fn any_to_come(&self) -> bool {
        self.rows.any_late() || self.conversations.any_recorded()
    }

    /// Creates the state of users that have not sent anything yet.
    pub(super) fn new(shard: &Plan, slots: usize, rows: Option<RowInbox>) -> Self {
        Self {
            conversations: Conversations::new(shard, slots),
            retrying: Retrying::new(shard, slots),
            rows: HeldRows::new(rows, slots),
        }
    }
}
