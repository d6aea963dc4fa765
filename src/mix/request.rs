//! One request, as it is sent.

use super::behavior::ClientBehavior;
use crate::metrics::Asked;
use std::fmt;

/// Bytes that are ready to send, and facts about them. Reused from request to request.
#[derive(Default)]
pub struct Request {
    pub bytes: Vec<u8>,
    /// Index of its kind in the mix.
    pub kind: u16,
    /// How its user treats the response.
    pub behavior: ClientBehavior,
    /// The tokens that it asks for.
    pub asked: Asked,
    /// The row of its kind's file that it sends: the first one, if several rows are the same.
    pub row: Option<u32>,
}

impl fmt::Debug for Request {
    /// Leaves out the bytes, which carry the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("kind", &self.kind).field("length", &self.bytes.len()).finish_non_exhaustive()
    }
}
