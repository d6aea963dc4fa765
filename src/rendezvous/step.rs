//! The interface of both sides of the protocol. Bytes, time and commands go in. Actions on
//! connections, and events for the run, come out.

use super::message::{Cause, Stop};
use super::proof::Nonce;
use crate::units::Nanos;

/// One connection of this process.
pub(super) type Id = u64;

/// A connected shard that sends nothing for this long is lost.
pub(super) const SILENCE: Nanos = Nanos::from_secs(5);
/// Interval at which a shard sends a message even if it has nothing to report.
pub(super) const ALIVE_EVERY: Nanos = Nanos::from_secs(1);

/// An action on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Opens the connection to shard 0.
    Connect(Id),
    Send(Id, Vec<u8>),
    /// Closes it as soon as everything is sent.
    Close(Id),
}

/// An event for the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A line for the user.
    Said(String),
    /// The load begins at this instant of our clock, whose error against the other clocks is
    /// `error`. If shard 0 is `watched`, seconds must hold everything that is recorded. `step` is
    /// the step that shard 0 has set, and `None` at first.
    Start { at: Nanos, error: Nanos, watched: bool, step: Option<String> },
    /// The result so far is wanted.
    Look,
    /// Shard 0: the result so far of a shard.
    SoFar { shard: u32, text: Vec<u8> },
    /// Shard 0: a second of a shard.
    Second { shard: u32, text: Vec<u8> },
    /// Shard 0: the result of a step at a shard.
    StepOver { shard: u32, text: Vec<u8> },
    /// Shard 0: the load of a shard is over.
    Ended { shard: u32 },
    /// All shards end.
    Stop(Stop),
    /// A shard will not hand over a result any more.
    Gone { shard: u32 },
    /// Shard 0: the requested result of a shard.
    Result { shard: u32, text: Vec<u8> },
    /// Shard 0 has written the result of the whole.
    Thanked,
    /// Shard 0 refuses this shard, for this reason.
    Refused(String),
    /// Shard 0 could not be met.
    Unmet(String),
}

/// A command from the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Everything is prepared, for the plan with this hash.
    Ready { plan: String },
    /// The load has begun, this long after the planned instant.
    Started { late: Nanos },
    /// Shard 0: starts this step on all shards, once all have made their first start.
    Step { text: String },
    /// A second of this shard.
    Second(Vec<u8>),
    /// The result of a step at this shard.
    StepOver(Vec<u8>),
    /// Shard 0: the results so far are wanted.
    Look,
    /// The result so far of this shard.
    SoFar(Vec<u8>),
    /// The load of this shard is over.
    Ended,
    /// Ends all shards.
    Stop { cause: Cause, text: String },
    /// Shard 0: a shard may hand over its result.
    Ask { shard: u32 },
    /// The result of this shard.
    Result(Vec<u8>),
    /// Shard 0: the whole is written, so this shard may leave.
    Thank { shard: u32 },
    /// This shard has nothing left to send.
    Leave,
}

/// One side of the protocol. It does no I/O and reads no clock.
pub(super) trait Machine {
    /// A connection was opened. The nonce is new and unpredictable.
    fn opened(&mut self, id: Id, peer: &str, nonce: &Nonce, now: Nanos);
    fn received(&mut self, id: Id, bytes: &[u8], now: Nanos);
    /// A connection was closed, or could not be opened.
    fn closed(&mut self, id: Id, now: Nanos);
    fn command(&mut self, command: Command, now: Nanos);
    /// Time has passed.
    fn tick(&mut self, now: Nanos);
    /// Returns the latest time for the next call of `tick`.
    fn due(&self) -> Nanos;
    fn actions(&mut self) -> Vec<Action>;
    fn events(&mut self) -> Vec<Event>;
    /// Returns true if the machine is done once all bytes are sent.
    fn is_over(&self) -> bool;
}
