//! A small server with known responses and recorded send times: the reference by which the client
//! is judged.
//!
//! A load tester cannot be judged by the server that it tests: if its numbers differ from the
//! truth, another party must know the truth. The origin sends canned bytes on a precise schedule
//! and records what it really did, so that *reported minus recorded* is the client's own error. It
//! serves `self-test`, the tests, the benches, and comparisons with other clients. It runs in a
//! process of its own (`llmsim-blast origin`), away from the measuring one, and is cheap: one
//! thread, two system calls per plain request, one per streamed event, and no allocation once warm.
//!
//! ```text
//!            ┌─ request ──▶ Ask ─▶ answers (canned bytes) ─▶ socket
//!   socket ─▶│
//!            └─ schedule: instants that are due ─▶ one event, one write ─▶ record
//! ```
//!
//! | Path | Response |
//! |---|---|
//! | `/health` | `{"service":"origin","status":"ok"}` |
//! | `/plain` | a chat completion, body of 777 bytes, head and body in one write |
//! | `/stream?ttft=50ms&gap=10ms&tokens=100` | a stream of token events, see below |
//! | `/burst?tokens=34` | the same stream, all of it in one write |
//! | `/record` | what was done since the last reset, as JSON |
//! | `/reset` | forgets the record |
//! | `/freeze?for=1s` | responds, then does nothing at all for that long |
//!
//! `/stream` sends its head at once. The first token event follows `ttft` after the request, and
//! the others every `gap`. One `gap` after the last token come the finish chunk with usage,
//! `[DONE]` and the last chunk, in one write. With `&spread=true`, streams do not run in lockstep.
//!
//! Every path that ends in `/chat/completions` is `/stream` when the body says `"stream":true`,
//! else `/plain`. The method does not matter. A token event is one chunk of
//! [`answers::EVENT_BYTES`] on the wire, and its content is the instant of its write: 19 digits of
//! nanoseconds on the monotonic clock, which processes on one machine share. (It is in the content
//! because the content also differs between the events of real servers.)
//!
//! This module does not know the clients, or why they send requests.

mod alarm;
pub mod answers;
mod clock;
mod connection;
mod record;
mod request;
mod server;

use std::io;
use std::net::SocketAddr;

/// A reason why the origin could not be started.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// It cannot listen on that address.
    #[error("cannot listen on {addr}: {source}; choose another address with --host and --port")]
    Listen {
        addr: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
    /// It cannot wait for its sockets or signals.
    #[error("the origin cannot wait for its sockets: {0}")]
    Poll(#[from] io::Error),
}

/// Serves on `addr` until SIGINT or SIGTERM. With `spin`, the last part of every wait polls the
/// clock: more exact by some 20 µs, at the price of most of a core. `announce` gets one line with
/// the URL before the first connection is accepted.
pub fn serve(addr: SocketAddr, spin: bool, announce: &mut dyn FnMut(&str)) -> Result<(), OriginError> {
    server::Server::listen(addr, spin, announce)?.run().map_err(OriginError::Poll)
}
