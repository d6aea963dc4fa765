//! The messages between shards.

use super::frame::{Kind, encoded};
use serde::{Deserialize, Serialize};

/// Version of the protocol. Other versions are refused.
pub(super) const PROTOCOL: u32 = 3;

/// One message, sent as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Message {
    /// The challenge that shard 0 sends to every peer that connects.
    Challenge { protocol: u32, nonce: String },
    /// The reply to the challenge: the identity of the shard, and the proof that it has the key.
    Hello { who: Who, nonce: String, proof: String },
    /// Shard 0 accepts the shard, and proves that it has the key as well.
    Welcome { proof: String },
    /// Shard 0 refuses the peer, for this reason.
    Refused { why: String },
    /// A shard has prepared this plan.
    Ready { plan: String },
    /// Asks for the receiver's clock.
    Ping { n: u32 },
    /// The sender's clock, in ns.
    Pong { n: u32, now: u64 },
    /// The load begins at `at` on the receiver's clock, in ns. `error` is the error of that
    /// instant, in ns. If shard 0 is `watched`, seconds must hold everything that was recorded in
    /// them. In a test of several steps, `step` is the step that begins, in the caller's own
    /// format.
    Start { at: u64, error: u64, watched: bool, step: Option<String> },
    /// The load has begun, this many ns after the planned instant.
    Started { late: u64 },
    /// A viewer at shard 0 wants the result so far. Every shard sends its own.
    Look,
    /// Keeps the connection alive.
    Alive,
    /// The shard's load is over. It sends no more seconds.
    Ended,
    /// All shards end, for this reason.
    Stop(Stop),
    /// Shard 0 is ready to receive the shard's result.
    Send,
    /// The result follows, in parts.
    Result { bytes: u64 },
    /// The result of the whole is written.
    Thanks,
}

impl Message {
    pub(super) fn encoded(&self) -> Vec<u8> {
        // Strings and integers can always be written.
        encoded(Kind::Message, &serde_json::to_vec(self).unwrap_or_default())
    }
}

/// The identity of a shard, and the test that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Who {
    pub(super) protocol: u32,
    pub(super) shard: u32,
    pub(super) count: u32,
    /// Hash of the plan, as resolved.
    pub(super) plan: String,
    /// Version of this tool.
    pub(super) version: String,
}

/// The reason why all shards end before their plan does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stop {
    pub(crate) cause: Cause,
    /// The shard that caused the stop.
    pub(crate) shard: u32,
    /// A text that completes a sentence about that shard or the test.
    pub(crate) text: String,
}

impl Stop {
    /// Returns the same with a short, printable text: another process has chosen it.
    pub(super) fn printable(self) -> Self {
        Self { text: printable(&self.text), ..self }
    }
}

/// Makes text from another process safe to print, and cuts it.
pub(super) fn printable(text: &str) -> String {
    const MOST: usize = 400;
    text.chars().filter(|c| !c.is_control()).take(MOST).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// A shard received a signal.
    Signal,
    /// A threshold with `abort_on_fail` has failed on the whole.
    Threshold,
    /// A shard was lost, or could not continue.
    Lost,
}
