//! Bytes ↔ events: HTTP/1.1, server-sent events and the frames of a WebSocket. This folder knows no
//! API, no socket and no clock.
//!
//! All decoders follow one contract, so a caller learns it once:
//!
//! - The caller owns the buffer and lends it: `next(&mut input)` takes the bytes that it uses off
//!   the front of `input`.
//! - `None` means *more bytes are needed*. Then `input` is empty, and the decoder keeps the
//!   incomplete part.
//! - Slices in events are lent: usually from the caller's buffer, or from the decoder's own when a
//!   read has split a piece. (Content of a response is never split: [`http1`] always lends from the
//!   caller's buffer, so it can be fed on before the slice is used.)
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
/// Maximum number of headers in a head. Gateways that trace every hop send more than a hundred.
pub const MAX_HEADERS: usize = 256;
/// Longest line of an event stream.
pub const MAX_LINE_BYTES: usize = 1024 * 1024;
/// Longest event: all its data lines together.
pub const MAX_EVENT_BYTES: usize = 1024 * 1024;
/// Longest body of a plain response, and maximum bytes of a streamed one.
pub const MAX_BODY_BYTES: u64 = 64 * 1024 * 1024;

/// Largest buffer that a decoder keeps when it is reset. Each of thousands of connections has a
/// decoder: one large head or event per connection must not add up to gigabytes.
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
        /// True if another request may be sent on this connection.
        reusable: bool,
    },
}

/// The fields of a response head that this tool uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The status code: 200 to 599, and 101 if an upgrade was asked for. Other interim responses
    /// (1xx) are skipped.
    pub status: u16,
    /// The declared type of the body.
    pub content_type: ContentType,
    /// True if there is a `Content-Encoding` other than `identity`.
    pub encoded: bool,
    /// How long to wait before the next request, in ms: `retry-after-ms`, `Retry-After`, or the
    /// date in `Retry-After` less `Date`.
    pub retry_after_ms: Option<u32>,
    /// The value of `x-should-retry`, a header that OpenAI's and Anthropic's SDKs obey.
    pub should_retry: Option<bool>,
    /// The step of a scenario that a simulator plays.
    pub played: Option<Played>,
    /// Requests that the client's rate limit still allows: the lowest value of
    /// `x-ratelimit-remaining-requests` and `anthropic-ratelimit-requests-remaining`.
    pub remaining_requests: Option<u32>,
    /// Tokens that the client's rate limit still allows.
    pub remaining_tokens: Option<u32>,
    /// The rate limit itself, in requests: the lowest value of `x-ratelimit-limit-requests` and
    /// Anthropic's header for it.
    pub limit_requests: Option<u32>,
    /// The rate limit itself, in tokens.
    pub limit_tokens: Option<u32>,
}

/// The position of llmsim in a scenario that it plays. 255 stands for all higher numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Played {
    /// `x-llmsim-step`: replies that llmsim has found since the user's last message.
    pub step: u8,
    /// `x-llmsim-attempt`: how often llmsim was asked for this reply before.
    pub attempt: u8,
}

/// The declared type of a body, without its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// `text/event-stream`.
    EventStream,
    /// `application/json` or any `+json`.
    Json,
    /// A JSON value in each line: `application/x-ndjson`, and its other names.
    Lines,
    Other,
    Missing,
}

/// The reason why bytes are not a response. Each message is a fixed text: failures are counted by
/// class, never by text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not HTTP/1.1, or bytes after the end of a response.
    #[error("not a valid HTTP/1.1 response: {0}")]
    BadHttp(&'static str),
    #[error("broken chunked body: {0}")]
    BadChunk(&'static str),
    /// A handshake that failed although the server accepted it, or broken frames.
    #[error("not a valid WebSocket: {0}")]
    BadWebsocket(&'static str),
    /// A named limit was exceeded.
    #[error("too large: {0}")]
    TooLarge(&'static str),
    /// The stream ended inside a response.
    #[error("the connection was closed before the response was complete")]
    ClosedEarly,
}
