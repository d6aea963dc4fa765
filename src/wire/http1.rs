//! HTTP/1.1: request heads out, responses in.

use super::{Event, WireError};

/// Turns the bytes of a connection into responses, one request at a time.
#[derive(Debug, Default)]
pub struct Decoder {}

impl Decoder {
    /// Ready for the response to a request that was just sent. Keeps buffers, forgets everything else.
    pub fn reset(&mut self) {
        todo!()
    }

    /// The next event; see the contract in [`super`].
    pub fn next<'b>(&'b mut self, _input: &mut &'b [u8]) -> Option<Result<Event<'b>, WireError>> {
        todo!()
    }

    /// The peer closed its side: the end of a body without framing, or [`WireError::ClosedEarly`].
    pub fn eof(&mut self) -> Result<Event<'static>, WireError> {
        todo!()
    }
}
