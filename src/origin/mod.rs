//! A small server whose answers and instants are known: what the client is judged by.
//!
//! A load tester cannot be judged by the server that it tests: when its numbers differ from the
//! truth, somebody has to know the truth. The origin sends canned bytes on a precise schedule and
//! keeps a record of what it really did, so that *reported minus recorded* is the client's own
//! error. It serves `self-test`, the tests, the benches, and comparisons with other clients. It
//! runs in a process of its own (`llmsim-blast origin`), away from the measuring one, and costs
//! little itself: one thread, two system calls a plain request, one a streamed event, nothing
//! allocated once warm.
//!
//! ```text
//!            ┌─ request ──▶ Ask ─▶ answers (canned bytes) ─▶ socket
//!   socket ─▶│
//!            └─ schedule: instants that are due ─▶ one event, one write ─▶ record
//! ```
//!
//! | Path | Answer |
//! |---|---|
//! | `/health` | `{"service":"origin","status":"ok"}` |
//! | `/plain` | a chat completion, body of 777 bytes, head and body in one write |
//! | `/stream?ttft=50ms&gap=10ms&tokens=100` | head at once; the first token event `ttft` after the request, then one each `gap`; one `gap` later the finish chunk with usage, `[DONE]` and the last chunk, in one write; with `&spread=true` streams do not march in step |
//! | `/burst?tokens=34` | the same stream, all of it in one write |
//! | `/record` | what was done since the last reset, as JSON |
//! | `/reset` | forgets the record |
//! | `/freeze?for=1s` | answers, then does nothing at all for that long |
//!
//! Every path that ends in `/chat/completions` is `/stream` when the body says `"stream":true`,
//! else `/plain`. The method does not matter. A token event is one chunk of
//! [`answers::EVENT_BYTES`] on the wire, and its content is the instant it was written: 19 digits
//! of nanoseconds on the monotonic clock, which two processes on one machine share. (In the
//! content, because that is what differs from event to event with real servers, too.)
//!
//! What this module does not know: who asks, and why.

mod alarm;
pub mod answers;
mod clock;
mod connection;
mod record;
mod request;
mod server;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

/// Why the origin could not be started.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// It cannot listen there.
    #[error("cannot listen on {addr}: {source}; choose another address with --host and --port")]
    Listen {
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot wait for its sockets.
    #[error("the origin cannot wait for its sockets: {0}")]
    Poll(#[from] io::Error),
}

/// Serves on `addr` until the process is ended. With `spin` the last part of every wait is spent
/// looking at the clock: more exact by some 20 µs, at the price of most of a core. `announce` gets
/// one line with the URL when it listens.
pub fn serve(addr: SocketAddr, spin: bool, announce: &mut dyn FnMut(&str)) -> Result<Infallible, OriginError> {
    server::Server::listen(addr, spin, announce)?.run().map_err(OriginError::Poll)
}
