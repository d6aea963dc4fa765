//! Server-sent events (WHATWG HTML, section 9.2), resumable at any byte; copies only what a read has split.

use super::WireError;

/// One event of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'b> {
    /// The `event:` field, empty when there was none.
    pub name: &'b [u8],
    /// The `data:` fields, joined by newlines.
    pub data: &'b [u8],
}

/// Turns the body of a streamed response into events.
#[derive(Debug, Default)]
pub struct Decoder {}

impl Decoder {
    /// Ready for a new stream. Keeps buffers, forgets everything else.
    pub fn reset(&mut self) {
        todo!()
    }

    /// The next event that carries data; see the contract in [`super`]. Comments and events without a `data` field make none.
    pub fn next<'s, 'b: 's>(&'s mut self, _input: &mut &'b [u8]) -> Option<Result<Event<'s>, WireError>> {
        todo!()
    }

    /// Whether a whole data line is held whose event is not yet closed by a blank line. Its arrival is the event's arrival.
    pub fn holds_data(&self) -> bool {
        todo!()
    }

    /// The stream is over: an event that was never closed by a blank line, if it has data. (The standard drops it; servers that
    /// forget the last blank line exist, and what they sent was received.)
    pub fn eof(&mut self) -> Option<Event<'_>> {
        todo!()
    }
}
