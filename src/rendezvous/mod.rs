//! Shards that know of each other: started in one instant, seen together, ended together.
//!
//! Shard 0 listens, the others connect and stay connected. Each side is a state machine that is fed
//! with bytes and time ([`host`], [`guest`]); one thread of the control plane ([`shell`]) moves
//! bytes between it and std's sockets. Workers see nothing of it.
//!
//! ```text
//!  guest                                     host (shard 0)
//!    │ ◀──────────── challenge (nonce) ─────────│
//!    │── hello (who, nonce, proof) ───────────▶ │   strangers, doubles, other plans: refused
//!    │ ◀──────────── welcome (proof) ───────────│
//!    │── ready (plan) ────────────────────────▶ │   all are ready:
//!    │ ◀──────────── ping ── 8 times ── pong ─▶ │
//!    │ ◀──────────── start (at, on our clock) ──│
//!    │── started, a second each second, ended ▶ │
//!    │ ◀──────────── look ── result so far ───▶ │   if somebody looks at the whole
//!    │ ◀──────────── ping, pong, start ───────▶ │   of each step, if the test has several
//!    │── what the step came to ───────────────▶ │
//!    │ ◀──────────── send ──────────────────────│   one result at a time
//!    │── result ──────────────────────────────▶ │
//!    │ ◀──────────── thanks ────────────────────│   the whole is written
//!       stop: from either side, at any time; silence of 5 s is the same
//! ```
//!
//! This room passes seconds and results on. It does not read them.

mod frame;
mod guest;
mod host;
mod message;
mod offset;
mod proof;
mod seats;
mod shell;
mod step;

pub(crate) use message::{Cause, Stop};
pub(crate) use proof::Key;
pub(crate) use shell::{Line, Listener};
pub(crate) use step::{Command, Event};

use crate::units::Nanos;
use message::{PROTOCOL, Who};

/// One side of a meeting.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) shard: u32,
    pub(crate) count: u32,
    /// Hash of the plan, as resolved.
    pub(crate) plan: String,
    /// Version of this tool.
    pub(crate) version: String,
    pub(crate) key: Key,
    /// All have to be there and ready by then.
    pub(crate) timeout: Nanos,
    /// Most bytes of a result.
    pub(crate) most_of_a_result: usize,
    /// Shard 0: somebody looks at the whole while it runs.
    pub(crate) is_watched: bool,
}

impl Part {
    fn who(&self) -> Who {
        let Self { shard, count, .. } = *self;
        Who { protocol: PROTOCOL, shard, count, plan: self.plan.clone(), version: self.version.clone() }
    }
}

#[cfg(test)]
mod tests;
