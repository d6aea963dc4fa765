//! What shards say to each other.

use super::frame::{Kind, encoded};
use serde::{Deserialize, Serialize};

/// Version of what is said. Another one is refused.
pub(super) const PROTOCOL: u32 = 3;

/// One thing that is said, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Message {
    /// Shard 0 to every peer that connects: the challenge that proves the key.
    Challenge { protocol: u32, nonce: String },
    /// The answer: who it is, and the proof.
    Hello { who: Who, nonce: String, proof: String },
    /// Shard 0 knows the key as well.
    Welcome { proof: String },
    /// Shard 0 does not want it, and says why.
    Refused { why: String },
    /// A shard has prepared this plan.
    Ready { plan: String },
    /// What is the time there?
    Ping { n: u32 },
    /// The sender's clock, in ns.
    Pong { n: u32, now: u64 },
    /// The load begins when the receiver's clock, in ns, says so. `error` is how far that may be
    /// off, in ns. If shard 0 is `watched`, seconds hold everything that was recorded in them. Of a
    /// test of several steps, `step` says which one begins, as the caller has written it.
    Start { at: u64, error: u64, watched: bool, step: Option<String> },
    /// The load has begun, so many ns after the instant it was to.
    Started { late: u64 },
    /// Somebody at shard 0 looks at the result so far: every shard sends its own.
    Look,
    /// Nothing else to say for a while.
    Alive,
    /// The shard's load is over: it sends no more seconds.
    Ended,
    /// Everybody ends: why.
    Stop(Stop),
    /// Shard 0 is ready for the shard's result.
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

/// Who a shard is, and which test it is part of.
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

/// Why all shards end before their plan does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stop {
    pub(crate) cause: Cause,
    /// Whose matter it was.
    pub(crate) shard: u32,
    /// What happened, as the end of a sentence about that shard or the test.
    pub(crate) text: String,
}

impl Stop {
    /// With words that may be printed, and not too many of them: another process has chosen them.
    pub(super) fn printable(self) -> Self {
        Self { text: printable(&self.text), ..self }
    }
}

/// What another process has said, for a terminal.
pub(super) fn printable(text: &str) -> String {
    const MOST: usize = 400;
    text.chars().filter(|c| !c.is_control()).take(MOST).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// A signal stopped a shard.
    Signal,
    /// A threshold with `abort_on_fail` has failed on the whole.
    Threshold,
    /// A shard is gone, or could not go on.
    Lost,
}
