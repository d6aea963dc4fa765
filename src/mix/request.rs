//! One request, as it is sent.

use super::behavior::ClientBehavior;
use crate::metrics::Asked;
use std::fmt;

/// Bytes ready to send, and which kind they are. Reused from request to request.
#[derive(Default)]
pub struct Request {
    pub bytes: Vec<u8>,
    /// Index of its kind in the mix.
    pub kind: u16,
    /// What its user does with the answer.
    pub behavior: ClientBehavior,
    /// What it asks for, in tokens.
    pub asked: Asked,
    /// The row of its kind's file that it sends; the first of those that are the same.
    pub row: Option<u32>,
}

impl fmt::Debug for Request {
    /// Without the bytes, which carry the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("kind", &self.kind).field("length", &self.bytes.len()).finish_non_exhaustive()
    }
}
