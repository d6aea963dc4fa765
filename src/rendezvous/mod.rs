//! The rendezvous: shards that start at one instant, are watched together, and end together.
//!
//! Shard 0 listens. The other shards connect and stay connected. Each side is a state machine that
//! is fed with bytes and time ([`host`], [`guest`]). One thread of the control plane ([`shell`])
//! moves bytes between the machine and the standard library's sockets. Workers are not involved.
//!
//! ```text
//!  guest                                     host (shard 0)
//!    │ ◀──────────── challenge (nonce) ─────────│
//!    │── hello (who, nonce, proof) ───────────▶ │   strangers, doubles, other plans: refused
//!    │ ◀──────────── welcome (proof) ───────────│
//!    │── ready (plan) ────────────────────────▶ │   once all shards are ready:
//!    │ ◀──────────── ping ── 8 times ── pong ─▶ │
//!    │ ◀──────────── start (at, guest's clock) ─│
//!    │── started, a second each second, ended ▶ │
//!    │ ◀──────────── look ── result so far ───▶ │   when a viewer of the whole asks
//!    │ ◀──────────── ping, pong, start ───────▶ │   for each step, if the test has several
//!    │── result of the step ──────────────────▶ │
//!    │ ◀──────────── send ──────────────────────│   one result at a time
//!    │── result ──────────────────────────────▶ │
//!    │ ◀──────────── thanks ────────────────────│   the whole is written
//!       stop: from either side, at any time; silence of 5 s has the same effect
//! ```
//!
//! This module passes on seconds and results without reading them.

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

/// The configuration of one shard for the rendezvous.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) shard: u32,
    pub(crate) count: u32,
    /// Hash of the plan, as resolved.
    pub(crate) plan: String,
    /// Version of this tool.
    pub(crate) version: String,
    pub(crate) key: Key,
    /// All shards must have connected and be ready within this time.
    pub(crate) timeout: Nanos,
    /// Largest size of a result, in bytes.
    pub(crate) most_of_a_result: usize,
    /// At shard 0: true if a viewer shows the whole while it runs.
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
