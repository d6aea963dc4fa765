//! All rows of a file in one block of memory, which all workers share. If the rows do not fit,
//! their bytes are in a file, and only their positions stay in memory.

use super::row::MAX_TOKENS;
use super::script::Script;
use super::spool::{Spool, Spooled};
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash as _, Hasher as _};
use std::io;
use std::sync::Arc;

/// A slot's kind is stored in the upper bits of its `start`.
const KIND_SHIFT: u32 = 62;
const START: u64 = (1 << KIND_SHIFT) - 1;
/// Marks a missing number of tokens. It is above the maximum.
const NONE: u32 = u32::MAX;
const _: () = assert!(MAX_TOKENS < NONE as u64);
/// Number of bytes collected before they are written to the spool.
const SPOOL_BYTES: usize = 1 << 20;

/// The content to send for a row, as slices of the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// JSON in place of the prompt or of the messages.
    Part(&'a [u8]),
    /// The whole body of a request.
    Whole(&'a [u8]),
    /// A prompt of this many tokens, made of blocks with these numbers if there are any.
    Words { tokens: u32, blocks: &'a [u64] },
    /// A conversation.
    Talk(Script<'a>),
}

/// One row. It takes 16 bytes besides its content.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Slot {
    /// The kind and the start of the content.
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

/// The rows of a file, ready to send.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Rows {
    /// The bytes of the rows. With a spool, only those that have not been written to it yet.
    bytes: Vec<u8>,
    /// `None` while the bytes of all rows are in memory.
    spooled: Option<Spooled>,
    /// For each row of words, its number of tokens and its blocks. For each conversation, its
    /// position and those of its parts.
    numbers: Vec<u64>,
    slots: Vec<Slot>,
    /// For each row, the first row with the same content. `None` if all rows differ.
    firsts: Option<Box<[u32]>>,
    distinct: usize,
    /// Number of tokens per block.
    pub block_tokens: u32,
}

impl fmt::Debug for Rows {
    /// Omits the content.
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

    /// Returns the memory used, in bytes. With a spool, bytes not yet written to it are not
    /// included.
    pub fn memory(&self) -> usize {
        let (bytes, hashes) = match &self.spooled {
            None => (self.bytes.len(), 0),
            Some(spooled) => (0, spooled.hashes.len()),
        };
        bytes + size_of::<u64>() * (self.numbers.len() + hashes) + size_of::<Slot>() * self.slots.len()
    }

    /// Returns how many bytes of rows are not in memory. `None` if all are in memory.
    pub fn spooled_bytes(&self) -> Option<u64> {
        self.spooled.as_ref().map(|spooled| spooled.written)
    }

    /// Returns the number of rows whose content differs from that of all rows before.
    pub const fn distinct(&self) -> usize {
        self.distinct
    }

    /// Returns the content to send for a row. `held` holds the row's bytes, as read by
    /// [`fetch`](Self::fetch), if they are not in memory.
    pub fn body<'a>(&'a self, row: usize, held: &'a [u8]) -> Body<'a> {
        let Some(slot) = self.slots.get(row) else { return Body::Part(&[]) };
        let (start, len) = ((slot.start & START) as usize, slot.len as usize);
        let bytes = |(start, len): (u64, usize)| match &self.spooled {
            None => &self.bytes[start as usize..start as usize + len],
            Some(_) => held,
        };
        match slot.start >> KIND_SHIFT {
            0 => Body::Part(bytes((start as u64, len))),
            1 => Body::Whole(bytes((start as u64, len))),
            3 => {
                let numbers = &self.numbers[start..];
                Body::Talk(Script::new(bytes(Script::place(numbers)), numbers, len))
            }
            _ => Body::Words { tokens: self.numbers[start] as u32, blocks: &self.numbers[start + 1..start + 1 + len] },
        }
    }

    /// Returns the start and the length of a row's bytes. `None` for words.
    fn place(&self, row: usize) -> Option<(u64, usize)> {
        let slot = self.slots.get(row)?;
        let start = slot.start & START;
        match slot.start >> KIND_SHIFT {
            0 | 1 => Some((start, slot.len as usize)),
            3 => Some(Script::place(&self.numbers[start as usize..])),
            _ => None,
        }
    }

    /// Returns true if the bytes of a row must be fetched before it can be sent.
    pub fn must_be_fetched(&self, row: usize) -> bool {
        self.spooled.is_some() && self.place(row).is_some()
    }

    /// Reads the bytes of a row that are not in memory. If they are in memory, `into` becomes
    /// empty.
    pub fn fetch(&self, row: usize, into: &mut Vec<u8>) -> io::Result<()> {
        into.clear();
        match (&self.spooled, self.place(row)) {
            (Some(spooled), Some((start, len))) => {
                into.resize(len, 0);
                spooled.file.read_at(into, start)
            }
            _ => Ok(()),
        }
    }

    /// Returns the tokens and blocks of a row of words.
    pub fn words(&self, row: usize) -> Option<(u32, &[u64])> {
        match self.body(row, &[]) {
            Body::Words { tokens, blocks } => Some((tokens, blocks)),
            Body::Part(_) | Body::Whole(_) | Body::Talk(_) => None,
        }
    }

    /// Returns true if any row is a whole body.
    pub fn has_whole_bodies(&self) -> bool {
        self.slots.iter().any(|slot| slot.start >> KIND_SHIFT == Kind::Whole as u64)
    }

    /// Returns true if any row consists of words.
    pub fn has_words(&self) -> bool {
        self.slots.iter().any(|slot| slot.start >> KIND_SHIFT == Kind::Words as u64)
    }

    /// Returns true if any row specifies the length of its response.
    pub fn has_output_tokens(&self) -> bool {
        self.slots.iter().any(|slot| slot.output_tokens != NONE)
    }

    /// Returns the first row that does not specify the length of its response, if others do. Whole
    /// bodies contain it.
    pub fn without_output_tokens(&self) -> Option<usize> {
        let lacks = |slot: &Slot| slot.output_tokens == NONE && slot.start >> KIND_SHIFT != Kind::Whole as u64;
        self.slots.iter().position(lacks).filter(|_| self.has_output_tokens())
    }

    /// Returns the length of a row's response in tokens.
    pub fn output_tokens(&self, row: usize) -> Option<u32> {
        self.slots.get(row).map(|slot| slot.output_tokens).filter(|tokens| *tokens != NONE)
    }

    /// Returns the first row with the same content.
    pub fn first(&self, row: usize) -> usize {
        self.firsts.as_ref().and_then(|firsts| firsts.get(row)).map_or(row, |first| *first as usize)
    }

    /// Shuffles the rows with this seed.
    pub(super) fn shuffle(&mut self, seed: u64) {
        fastrand::Rng::with_seed(seed).shuffle(&mut self.slots);
        if let Some(spooled) = &mut self.spooled {
            // There are as many hashes as slots, so the same seed results in the same order.
            fastrand::Rng::with_seed(seed).shuffle(&mut spooled.hashes);
        }
    }

    /// Reserves memory for this many bytes, so that it does not grow in steps.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// Returns the buffer for a row's bytes. `push_bytes` must follow.
    pub(super) const fn out(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Returns the offset of the next row's bytes in the buffer of `out`.
    pub(super) const fn next_start(&self) -> usize {
        self.bytes.len()
    }

    /// Moves the bytes of all rows into that file. Later rows are written to it too.
    pub(super) fn spool(&mut self, file: Arc<dyn Spool>) -> io::Result<()> {
        let hashes = (0..self.len()).map(|row| self.hash(row)).collect();
        self.spooled = Some(Spooled { file, written: 0, hashes });
        self.write_out()?;
        // Frees the memory for other uses.
        self.bytes = Vec::new();
        Ok(())
    }

    /// Writes rows to the spool, if there is one and enough bytes were collected.
    pub(super) fn write_some(&mut self) -> io::Result<()> {
        if self.spooled.is_some() && self.bytes.len() >= SPOOL_BYTES { self.write_out() } else { Ok(()) }
    }

    fn write_out(&mut self) -> io::Result<()> {
        if let Some(spooled) = &mut self.spooled {
            spooled.file.write_at(&self.bytes, spooled.written)?;
            spooled.written += self.bytes.len() as u64;
            self.bytes.clear();
        }
        Ok(())
    }

    /// Converts an offset in the buffer of `out` to a position among the bytes of all rows.
    fn place_of(&self, start: usize) -> u64 {
        self.spooled.as_ref().map_or(0, |spooled| spooled.written) + start as u64
    }

    /// Drops the bytes written since `start`.
    pub(super) fn undo(&mut self, start: usize) {
        self.bytes.truncate(start);
    }

    /// Adds a row that consists of the bytes written since `start`.
    pub(super) fn push_bytes(&mut self, start: usize, is_whole: bool, output_tokens: Option<u32>) {
        let kind = if is_whole { Kind::Whole } else { Kind::Part };
        let (place, len) = (self.place_of(start), self.bytes.len() - start);
        self.push(kind, place, len, output_tokens);
    }

    pub(super) fn push_words(&mut self, tokens: u32, blocks: &[u64], output_tokens: Option<u32>) {
        let start = self.numbers.len();
        self.numbers.push(tokens.into());
        self.numbers.extend_from_slice(blocks);
        self.push(Kind::Words, start as u64, blocks.len(), output_tokens);
    }

    /// Adds a conversation that consists of the bytes written since `start`, with the end of its
    /// list, the points where the model replies, and the results of its tools.
    pub(super) fn push_talk(&mut self, start: usize, list_end: usize, points: &[u64], results: &[u64]) {
        let (begin, end) = (self.place_of(start), self.place_of(self.bytes.len()));
        let start = self.numbers.len();
        self.numbers.extend_from_slice(&[begin, end, list_end as u64, results.len() as u64]);
        for part in [points, results] {
            self.numbers.extend_from_slice(part);
        }
        self.push(Kind::Talk, start as u64, points.len(), None);
    }

    fn push(&mut self, kind: Kind, start: u64, len: usize, output_tokens: Option<u32>) {
        let start = start | (kind as u64) << KIND_SHIFT;
        self.slots.push(Slot { start, len: len as u32, output_tokens: output_tokens.unwrap_or(NONE) });
        if self.spooled.is_some() {
            let hash = self.hash(self.len() - 1);
            if let Some(spooled) = &mut self.spooled {
                spooled.hashes.push(hash);
            }
        }
    }

    /// Keeps the rows `from..until`.
    pub fn keep(&mut self, from: usize, until: usize) {
        self.slots.truncate(until);
        self.slots.drain(..from.min(self.slots.len()));
        if let Some(Spooled { hashes, .. }) = &mut self.spooled {
            hashes.truncate(until);
            hashes.drain(..from.min(hashes.len()));
        }
        self.find_repeats();
    }

    /// Finds rows that repeat others, after the last row has been added.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.write_out()?;
        self.bytes.shrink_to_fit();
        self.slots.shrink_to_fit();
        self.numbers.shrink_to_fit();
        self.find_repeats();
        Ok(())
    }

    fn find_repeats(&mut self) {
        let hash = |row: usize| match &self.spooled {
            None => self.hash(row),
            Some(spooled) => spooled.hashes[row],
        };
        let mut order: Vec<(u64, u32)> = (0..self.len()).map(|row| (hash(row), row as u32)).collect();
        order.sort_unstable();
        self.firsts = None;
        self.distinct = self.len();
        let mut firsts: Option<Box<[u32]>> = None;
        for same in order.chunk_by(|one, other| one.0 == other.0).filter(|same| same.len() > 1) {
            for (i, &(_, row)) in same.iter().enumerate() {
                // Rows with equal hashes are compared in full if they are in memory.
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
        // Words without blocks are drawn for each row, so no two rows are the same.
        let is_drawn = matches!(self.words(one), Some((_, [])));
        if self.spooled.is_some() && !is_drawn {
            let kind = |row: usize| (self.slots[row].start >> KIND_SHIFT, self.place(row).map(|(_, len)| len));
            return kind(one) == kind(other);
        }
        !is_drawn && self.body(one, &[]) == self.body(other, &[])
    }

    /// Returns the hash of a row's content, which must be in memory.
    fn hash(&self, row: usize) -> u64 {
        let mut hasher = DefaultHasher::new();
        let written = self.spooled.as_ref().map_or(0, |spooled| spooled.written);
        let held = self.place(row).and_then(|(start, len)| {
            let start = start.checked_sub(written)? as usize;
            self.bytes.get(start..start + len)
        });
        match self.body(row, held.unwrap_or_default()) {
            Body::Part(bytes) | Body::Whole(bytes) => hasher.write(bytes),
            Body::Talk(script) => hasher.write(script.bytes()),
            Body::Words { blocks: [], .. } => row.hash(&mut hasher),
            Body::Words { tokens, blocks } => (tokens, blocks).hash(&mut hasher),
        }
        hasher.finish()
    }
}

#[cfg(test)]
impl Rows {
    /// Returns rows of messages whose bytes are in that file.
    pub(crate) fn spooled(messages: impl Iterator<Item = String>, file: Arc<dyn Spool>) -> Self {
        let mut rows = Self::default();
        rows.spool(file).expect("nothing is written yet");
        for message in messages {
            let start = rows.next_start();
            rows.out().extend_from_slice(message.as_bytes());
            rows.push_bytes(start, false, None);
        }
        rows.finish().expect("it takes all");
        rows
    }
}
