//! All rows of a file in one piece of memory, which all workers share.

use super::row::MAX_TOKENS;
use super::script::Script;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash as _, Hasher as _};

/// What a slot keeps, in the upper bits of where it starts.
const KIND_SHIFT: u32 = 62;
const START: u64 = (1 << KIND_SHIFT) - 1;
/// No number of tokens: more than there can be.
const NONE: u32 = u32::MAX;
const _: () = assert!(MAX_TOKENS < NONE as u64);

/// What to send for a row, in slices of the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// JSON for the place of the prompt or of the messages.
    Part(&'a [u8]),
    /// A request's whole body.
    Whole(&'a [u8]),
    /// A prompt of so many tokens, to be made of blocks with these numbers, if there are any.
    Words { tokens: u32, blocks: &'a [u64] },
    /// A conversation.
    Talk(Script<'a>),
}

/// One row: 16 bytes beside what it sends.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Slot {
    /// Kind, and where it starts.
    start: u64,
    len: u32,
    output_tokens: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Part = 0,
    Whole = 1,
    Words = 2,
    Talk = 3,
}

/// The rows of a file, ready to be sent.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Rows {
    bytes: Vec<u8>,
    /// Of each row of words: how many tokens, then its blocks. Of each conversation: where it is and
    /// where its parts are.
    numbers: Vec<u64>,
    slots: Vec<Slot>,
    /// For each row the first one that sends the same; none if all differ.
    firsts: Option<Box<[u32]>>,
    distinct: usize,
    /// Tokens of a block.
    pub block_tokens: u32,
}

impl fmt::Debug for Rows {
    /// Without the texts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("rows", &self.len()).field("bytes", &self.memory()).finish_non_exhaustive()
    }
}

impl Rows {
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Memory that it takes, in bytes.
    pub fn memory(&self) -> usize {
        self.bytes.len() + size_of::<u64>() * self.numbers.len() + size_of::<Slot>() * self.slots.len()
    }

    /// Rows that send something that no row before them sends.
    pub const fn distinct(&self) -> usize {
        self.distinct
    }

    /// What to send for a row.
    pub fn body(&self, row: usize) -> Body<'_> {
        let Some(slot) = self.slots.get(row) else { return Body::Part(&[]) };
        let (start, len) = ((slot.start & START) as usize, slot.len as usize);
        match slot.start >> KIND_SHIFT {
            0 => Body::Part(&self.bytes[start..start + len]),
            1 => Body::Whole(&self.bytes[start..start + len]),
            3 => Body::Talk(Script::at(&self.bytes, &self.numbers, start, len)),
            _ => Body::Words { tokens: self.numbers[start] as u32, blocks: &self.numbers[start + 1..start + 1 + len] },
        }
    }

    /// Whether any row is a request's whole body.
    pub fn has_whole_bodies(&self) -> bool {
        self.slots.iter().any(|slot| slot.start >> KIND_SHIFT == Kind::Whole as u64)
    }

    /// Whether any row is so many words.
    pub fn has_words(&self) -> bool {
        self.slots.iter().any(|slot| slot.start >> KIND_SHIFT == Kind::Words as u64)
    }

    /// Whether any row says how long its answer shall be.
    pub fn has_output_tokens(&self) -> bool {
        self.slots.iter().any(|slot| slot.output_tokens != NONE)
    }

    /// The first row without a length of its answer, if others have one. Whole bodies say it
    /// themselves.
    pub fn without_output_tokens(&self) -> Option<usize> {
        let lacks = |slot: &Slot| slot.output_tokens == NONE && slot.start >> KIND_SHIFT != Kind::Whole as u64;
        self.slots.iter().position(lacks).filter(|_| self.has_output_tokens())
    }

    /// How long the answer to a row shall be.
    pub fn output_tokens(&self, row: usize) -> Option<u32> {
        self.slots.get(row).map(|slot| slot.output_tokens).filter(|tokens| *tokens != NONE)
    }

    /// The first row that sends the same.
    pub fn first(&self, row: usize) -> usize {
        self.firsts.as_ref().and_then(|firsts| firsts.get(row)).map_or(row, |first| *first as usize)
    }

    /// Puts the rows into another order, drawn from `seed`.
    pub(super) fn shuffle(&mut self, seed: u64) {
        fastrand::Rng::with_seed(seed).shuffle(&mut self.slots);
    }

    /// Room for so many bytes, so that it does not grow in steps.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// Where a row's bytes are written to, before `push_bytes`.
    pub(super) const fn out(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Where the next row's bytes begin.
    pub(super) const fn next_start(&self) -> usize {
        self.bytes.len()
    }

    /// Drops what was written since `start`.
    pub(super) fn undo(&mut self, start: usize) {
        self.bytes.truncate(start);
    }

    /// What was written since `start` is a row.
    pub(super) fn push_bytes(&mut self, start: usize, is_whole: bool, output_tokens: Option<u32>) {
        let kind = if is_whole { Kind::Whole } else { Kind::Part };
        self.push(kind, start, self.bytes.len() - start, output_tokens);
    }

    pub(super) fn push_words(&mut self, tokens: u32, blocks: &[u64], output_tokens: Option<u32>) {
        let start = self.numbers.len();
        self.numbers.push(tokens.into());
        self.numbers.extend_from_slice(blocks);
        self.push(Kind::Words, start, blocks.len(), output_tokens);
    }

    /// A conversation: where it is, where the model speaks in it, and what its tools return.
    pub(super) fn push_talk(&mut self, head: &[u64], points: &[u64], results: &[u64]) {
        let start = self.numbers.len();
        for part in [head, points, results] {
            self.numbers.extend_from_slice(part);
        }
        self.push(Kind::Talk, start, points.len(), None);
    }

    fn push(&mut self, kind: Kind, start: usize, len: usize, output_tokens: Option<u32>) {
        let start = start as u64 | (kind as u64) << KIND_SHIFT;
        self.slots.push(Slot { start, len: len as u32, output_tokens: output_tokens.unwrap_or(NONE) });
    }

    /// Keeps the rows `from..until`.
    pub fn keep(&mut self, from: usize, until: usize) {
        self.slots.truncate(until);
        self.slots.drain(..from.min(self.slots.len()));
        self.find_repeats();
    }

    /// Nothing is added any more: finds the rows that repeat others.
    pub(super) fn finish(&mut self) {
        self.bytes.shrink_to_fit();
        self.slots.shrink_to_fit();
        self.numbers.shrink_to_fit();
        self.find_repeats();
    }

    fn find_repeats(&mut self) {
        let mut order: Vec<(u64, u32)> = (0..self.len()).map(|row| (self.hash(row), row as u32)).collect();
        order.sort_unstable();
        self.firsts = None;
        self.distinct = self.len();
        let mut firsts: Option<Box<[u32]>> = None;
        for same in order.chunk_by(|one, other| one.0 == other.0).filter(|same| same.len() > 1) {
            for (i, &(_, row)) in same.iter().enumerate() {
                // Equal hashes are looked at in full; chance alone makes none of them.
                let first = same[..i].iter().find(|(_, first)| self.is_same(*first as usize, row as usize));
                if let Some(&(_, first)) = first {
                    let all = firsts.get_or_insert_with(|| (0..self.len() as u32).collect());
                    all[row as usize] = all[first as usize];
                    self.distinct -= 1;
                }
            }
        }
        self.firsts = firsts;
    }

    fn is_same(&self, one: usize, other: usize) -> bool {
        // Words without blocks are drawn by the row, so that each has its own.
        let is_drawn = matches!(self.body(one), Body::Words { blocks: [], .. });
        !is_drawn && self.body(one) == self.body(other)
    }

    fn hash(&self, row: usize) -> u64 {
        let mut hasher = DefaultHasher::new();
        match self.body(row) {
            Body::Part(bytes) | Body::Whole(bytes) => hasher.write(bytes),
            Body::Talk(script) => hasher.write(script.bytes()),
            Body::Words { blocks: [], .. } => row.hash(&mut hasher),
            Body::Words { tokens, blocks } => (tokens, blocks).hash(&mut hasher),
        }
        hasher.finish()
    }
}
