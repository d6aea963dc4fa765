//! Converts between bytes and frames: a length of four bytes, a kind, and a body of that length.
//! Lengths are bounded, and memory is not allocated in advance: it grows with the bytes that have
//! arrived.

use crate::units::plural;

/// Bytes before a frame's body: its length, big-endian, and its kind.
const HEAD: usize = 5;

/// The longest frame from a stranger. A hello takes about a quarter of it.
pub(super) const MOST_OF_A_STRANGER: usize = 1_024;
/// The longest frame from a shard: a second with hundreds of kinds of request.
pub(super) const MOST_OF_A_SHARD: usize = 8 << 20;
/// Bytes in one part of a result.
pub(super) const PART: usize = 64 * 1_024;

/// The content of a frame's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// JSON of a [`super::message::Message`].
    Message,
    /// A second of a shard, in the caller's own format.
    Second,
    /// A part of a shard's result.
    Part,
    /// A shard's result so far.
    SoFar,
    /// The result of a step at a shard, in the caller's own format.
    Step,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Message, Self::Second, Self::Part, Self::SoFar, Self::Step];

    const fn code(self) -> u8 {
        self as u8 + 1
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) body: Vec<u8>,
}

/// A reason why bytes are not valid frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a frame of {}, and at most {most} are read", plural(*.length, "byte"))]
    TooLong { length: usize, most: usize },
    #[error("a frame of an unknown kind")]
    UnknownKind,
}

/// Encodes a frame for sending.
pub(super) fn encoded(kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + body.len());
    bytes.extend_from_slice(&(body.len() as u32).to_be_bytes());
    bytes.push(kind.code());
    bytes.extend_from_slice(body);
    bytes
}

/// Decodes frames from bytes as they arrive.
#[derive(Debug)]
pub(super) struct Frames {
    buffer: Vec<u8>,
    /// Bytes of the buffer that belong to frames already returned.
    read: usize,
    most: usize,
}

impl Frames {
    pub(super) const fn new(most: usize) -> Self {
        Self { buffer: Vec::new(), read: 0, most }
    }

    /// Changes the longest allowed frame.
    pub(super) fn allow(&mut self, most: usize) {
        self.most = most;
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.read);
        self.read = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next frame. `None` until all of it has arrived.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some((&[a, b, c, d, kind], rest)) = self.buffer[self.read..].split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > self.most {
            return Err(FrameError::TooLong { length, most: self.most });
        }
        let kind = Kind::ALL.into_iter().find(|known| known.code() == kind).ok_or(FrameError::UnknownKind)?;
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let frame = Frame { kind, body: body.to_vec() };
        self.read += HEAD + length;
        Ok(Some(frame))
    }
}
