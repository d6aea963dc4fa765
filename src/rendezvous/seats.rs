//! What shard 0 keeps of each other shard.

use super::frame::Frames;
use super::offset::Offset;
use super::step::Id;
use crate::units::Nanos;

/// The place of a shard.
#[derive(Debug)]
pub(super) struct Seat {
    /// Its connection; none before it came and after it has gone.
    pub(super) id: Option<Id>,
    pub(super) peer: String,
    pub(super) frames: Frames,
    /// When it was heard last.
    pub(super) heard: Nanos,
    /// Hash of the plan that it has prepared.
    pub(super) ready: Option<String>,
    pub(super) offset: Offset,
    /// Exchanges about its clock that were begun.
    pub(super) asked_rounds: u32,
    /// How late its load began.
    pub(super) late: Option<Nanos>,
    /// It sends no more seconds.
    pub(super) has_ended: bool,
    /// It was lost before it had handed over its result.
    pub(super) is_gone: bool,
    /// It may hand over its result.
    pub(super) is_asked: bool,
    pub(super) result: Option<Parts>,
    /// It has handed over its result, and waits for the end of all.
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

    /// So many bytes of a result follow.
    pub(super) fn begin_result(&mut self, bytes: usize) {
        self.result = Some(Parts { expected: bytes, bytes: Vec::new() });
    }
}

/// A result on its way. Memory grows with what has arrived, not with what was announced.
#[derive(Debug)]
pub(super) struct Parts {
    expected: usize,
    bytes: Vec<u8>,
}

/// What a part makes of it.
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
