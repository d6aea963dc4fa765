//! Bytes ↔ events: HTTP/1.1, server-sent events and the frames of a WebSocket. No API, no socket,
//! no clock.
//!
//! All decoders follow one contract, so that a caller needs to learn it once:
//!
//! - The caller owns the buffer and lends it: `next(&mut input)` takes what it uses off the front
//!   of `input`.
//! - `None` means *more bytes are needed*; then `input` is empty, and what was incomplete is kept
//!   inside the decoder.
//! - Slices in events are lent: from the caller's buffer in the usual case, from the decoder's own
//!   when a piece was split. (Content of a response is never split: [`http1`] always lends from the
//!   caller's buffer, and so can be fed on before the slice is used.)
//! - An error is final: the connection that produced it cannot be used again.

pub mod chunked;
#[doc(hidden)]
pub mod fuzz;
pub mod http1;
pub mod sse;
pub mod websocket;

/// Longest response head, status line and all headers. Real ones are under 4 KiB; cookies and
/// tracing headers make 16 KiB.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Most headers in a head. Gateways that trace every hop send more than a hundred.
pub const MAX_HEADERS: usize = 256;
/// Longest line of an event stream.
pub const MAX_LINE_BYTES: usize = 1024 * 1024;
/// Longest event: all its data lines together.
pub const MAX_EVENT_BYTES: usize = 1024 * 1024;
/// Longest body of a plain answer, and most bytes of a streamed one.
pub const MAX_BODY_BYTES: u64 = 64 * 1024 * 1024;

/// Largest buffer that a decoder keeps when it is reset. There is a decoder for each of thousands
/// of connections: one large head or event in the life of each must not add up to gigabytes.
const MAX_KEPT_BYTES: usize = 16 * 1024;

/// The next part of an HTTP response.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'b> {
    /// Status and headers are complete.
    Head(Head),
    /// A piece of the body, framing removed.
    Data(&'b [u8]),
    /// The response is complete.
    End {
        /// Whether another request may be sent on this connection.
        reusable: bool,
    },
}

/// The parts of a response head that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The status code, 200 to 599, and 101 when it was asked for: other interim responses (1xx)
    /// are skipped.
    pub status: u16,
    /// What the body claims to be.
    pub content_type: ContentType,
    /// A `Content-Encoding` other than `identity` is present.
    pub encoded: bool,
    /// How long to wait before the next request, in ms: `retry-after-ms`, `Retry-After`, or the date
    /// in it less `Date`.
    pub retry_after_ms: Option<u32>,
    /// What `x-should-retry` says, a header that OpenAI's and Anthropic's SDKs obey.
    pub should_retry: Option<bool>,
    /// Where a simulator is that plays a scenario.
    pub played: Option<Played>,
    /// Requests that the client's rate limit still allows: `x-ratelimit-remaining-requests`, or
    /// `anthropic-ratelimit-requests-remaining`; the fewest that are named.
    pub remaining_requests: Option<u32>,
    /// The same of tokens.
    pub remaining_tokens: Option<u32>,
    /// Of how many requests that is left: `x-ratelimit-limit-requests`, or Anthropic's name for it; the
    /// lowest if there are several.
    pub limit_requests: Option<u32>,
    /// The same of tokens.
    pub limit_tokens: Option<u32>,
}

/// Where llmsim is in a scenario that it plays. 255 stands for all above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Played {
    /// `x-llmsim-step`: replies that it has found since the user's last message.
    pub step: u8,
    /// `x-llmsim-attempt`: how often it was asked for this one before.
    pub attempt: u8,
}

/// What a body claims to be, parameters ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// `text/event-stream`.
    EventStream,
    /// `application/json` or any `+json`.
    Json,
    /// A JSON value in each line: `application/x-ndjson`, and the other names that it has.
    Lines,
    Other,
    Missing,
}

/// Why bytes are not a response. Each message is a fixed text: failures are counted by class, never
/// by text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not HTTP/1.1, or bytes after the end of a response.
    #[error("not a valid HTTP/1.1 response: {0}")]
    BadHttp(&'static str),
    #[error("broken chunked body: {0}")]
    BadChunk(&'static str),
    /// A handshake that did not succeed although the server took it, or broken frames.
    #[error("not a valid WebSocket: {0}")]
    BadWebsocket(&'static str),
    /// A named limit was exceeded.
    #[error("too large: {0}")]
    TooLarge(&'static str),
    /// The stream ended inside a response.
    #[error("the connection was closed before the response was complete")]
    ClosedEarly,
}
