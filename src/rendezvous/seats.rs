//! The state that shard 0 keeps of each other shard.

use super::frame::Frames;
use super::offset::Offset;
use super::step::Id;
use crate::units::Nanos;

/// The seat of a shard.
#[derive(Debug)]
pub(super) struct Seat {
    /// Its connection. `None` before it connects and after it is lost or dismissed.
    pub(super) id: Option<Id>,
    pub(super) peer: String,
    pub(super) frames: Frames,
    /// Time at which bytes last arrived from it.
    pub(super) heard: Nanos,
    /// Hash of the plan that it has prepared.
    pub(super) ready: Option<String>,
    pub(super) offset: Offset,
    /// Clock exchanges that were begun.
    pub(super) asked_rounds: u32,
    /// Delay with which its load began.
    pub(super) late: Option<Nanos>,
    /// True once it sends no more seconds.
    pub(super) has_ended: bool,
    /// True if it was lost before it handed over its result.
    pub(super) is_gone: bool,
    /// True once it was asked for its result.
    pub(super) is_asked: bool,
    pub(super) result: Option<Parts>,
    /// True once it has handed over its result and waits for the end of the test.
    pub(super) is_done: bool,
}

impl Default for Seat {
    fn default() -> Self {
        Self {
            id: None,
            peer: String::new(),
            frames: Frames::new(0),
            heard: Nanos::ZERO,
            ready: None,
            offset: Offset::default(),
            asked_rounds: 0,
            late: None,
            has_ended: false,
            is_gone: false,
            is_asked: false,
            result: None,
            is_done: false,
        }
    }
}

impl Seat {
    pub(super) fn taken(id: Id, peer: String, frames: Frames, now: Nanos) -> Self {
        Self { id: Some(id), peer, frames, heard: now, ..Self::default() }
    }

    /// Prepares for a result of this many bytes.
    pub(super) fn begin_result(&mut self, bytes: usize) {
        self.result = Some(Parts { expected: bytes, bytes: Vec::new() });
    }
}

/// A result that is arriving. Memory grows with the bytes that have arrived, not with the announced
/// size.
#[derive(Debug)]
pub(super) struct Parts {
    expected: usize,
    bytes: Vec<u8>,
}

/// The state of a result after a part was added.
pub(super) enum Arriving {
    More,
    All(Vec<u8>),
    TooMuch,
}

impl Parts {
    pub(super) fn add(&mut self, part: &[u8]) -> Arriving {
        self.bytes.extend_from_slice(part);
        match self.bytes.len().cmp(&self.expected) {
            std::cmp::Ordering::Less => Arriving::More,
            std::cmp::Ordering::Equal => Arriving::All(std::mem::take(&mut self.bytes)),
            std::cmp::Ordering::Greater => Arriving::TooMuch,
        }
    }
}
