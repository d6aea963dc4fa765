//! What the two sides of the protocol have in common: what goes in, and what comes out. Bytes and
//! time go in; bytes, and what the run is to know, come out.

use super::message::{Cause, Stop};
use super::proof::Nonce;
use crate::units::Nanos;

/// One connection of this process.
pub(super) type Id = u64;

/// A connected shard that says nothing for this long is lost.
pub(super) const SILENCE: Nanos = Nanos::from_secs(5);
/// How often a shard that has nothing to say says so.
pub(super) const ALIVE_EVERY: Nanos = Nanos::from_secs(1);

/// What is to be done with connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Opens the connection to shard 0.
    Connect(Id),
    Send(Id, Vec<u8>),
    /// Closes it as soon as everything is sent.
    Close(Id),
}

/// What the run is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A line for the user.
    Said(String),
    /// The load begins at this instant of our clock, which may be off by `error` from the others'.
    /// If shard 0 is `watched`, it wants everything that is recorded. `step` is the step that shard 0
    /// has set; none at first.
    Start { at: Nanos, error: Nanos, watched: bool, step: Option<String> },
    /// The result so far is wanted.
    Look,
    /// Shard 0: the result so far of a shard.
    SoFar { shard: u32, text: Vec<u8> },
    /// Shard 0: a second of a shard.
    Second { shard: u32, text: Vec<u8> },
    /// Shard 0: what a step came to at a shard.
    StepOver { shard: u32, text: Vec<u8> },
    /// Shard 0: the load of a shard is over.
    Ended { shard: u32 },
    /// Everybody ends.
    Stop(Stop),
    /// A shard will not hand over a result any more.
    Gone { shard: u32 },
    /// Shard 0: the result of a shard, which was asked for.
    Result { shard: u32, text: Vec<u8> },
    /// Shard 0 has written the result of the whole.
    Thanked,
    /// Shard 0 does not want us, and says why.
    Refused(String),
    /// Shard 0 could not be met.
    Unmet(String),
}

/// What the run wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Everything is prepared, for the plan of this hash.
    Ready { plan: String },
    /// The load has begun, so long after the instant it was to.
    Started { late: Nanos },
    /// Shard 0: once all have started, another start of all, of that step.
    Step { text: String },
    /// A second of ours.
    Second(Vec<u8>),
    /// What a step came to here.
    StepOver(Vec<u8>),
    /// Shard 0: the results so far are wanted.
    Look,
    /// Our result so far.
    SoFar(Vec<u8>),
    /// Our load is over.
    Ended,
    /// Everybody is to end.
    Stop { cause: Cause, text: String },
    /// Shard 0: a shard may hand over its result.
    Ask { shard: u32 },
    /// Our result.
    Result(Vec<u8>),
    /// Shard 0: the whole is written, and a shard may go.
    Thank { shard: u32 },
    /// There is nothing left to say.
    Leave,
}

/// One side of the protocol. It does no I/O and reads no clock.
pub(super) trait Machine {
    /// A connection is there. The nonce is new, and nobody can guess it.
    fn opened(&mut self, id: Id, peer: &str, nonce: &Nonce, now: Nanos);
    fn received(&mut self, id: Id, bytes: &[u8], now: Nanos);
    /// It is gone, or could not be opened.
    fn closed(&mut self, id: Id, now: Nanos);
    fn command(&mut self, command: Command, now: Nanos);
    /// Time has passed.
    fn tick(&mut self, now: Nanos);
    /// When it wants to be ticked at the latest.
    fn due(&self) -> Nanos;
    fn actions(&mut self) -> Vec<Action>;
    fn events(&mut self) -> Vec<Event>;
    /// Nothing is left to be done once everything is sent.
    fn is_over(&self) -> bool;
}
