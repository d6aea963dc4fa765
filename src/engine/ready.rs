//! A socket that can be read or written.

use mio::Token;

#[derive(Debug, Clone, Copy)]
pub(super) struct Ready {
    pub(super) token: Token,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The peer has closed its side, or the socket is in error. No further event will come, so it
    /// must be read to the end.
    pub(super) closed: bool,
}
