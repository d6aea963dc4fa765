//! Why requests fail: a closed list, by who is guilty, counted by index and never by text.

/// Who is to blame for a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Blame {
    /// The path to the server, or the server's socket.
    Network,
    /// Nothing came in time.
    Timeout,
    /// The server answered, with an error status.
    Status,
    /// The bytes break a protocol.
    Protocol,
    /// Well-formed bytes that are not an answer.
    Answer,
    /// This tool or this machine.
    Ours,
}

impl Blame {
    /// Its name in the docs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::Status => "status",
            Self::Protocol => "protocol",
            Self::Answer => "answer",
            Self::Ours => "ours",
        }
    }
}

/// Why a request failed: a closed list, counted by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Failure {
    /// The name of the target could not be resolved.
    Resolve,
    /// Nobody listens.
    ConnectRefused,
    /// No connection within the connect timeout.
    ConnectTimeout,
    /// Connecting failed otherwise (unreachable, reset while connecting).
    ConnectOther,
    /// The TLS handshake or a record failed.
    Tls,
    /// The peer reset the connection.
    Reset,
    /// End of stream inside a response, or before it on a new connection.
    ClosedEarly,
    /// No byte of the response within the limit.
    TimeoutFirstByte,
    /// No further byte for the idle limit.
    TimeoutStall,
    /// The whole request took longer than the limit.
    TimeoutTotal,
    /// A redirect; they are not followed.
    Http3xx,
    /// A client error other than 429.
    Http4xx,
    /// Too many requests.
    Http429,
    /// A server error.
    Http5xx,
    /// Not HTTP/1.1, or bytes after the end of a response.
    BadHttp,
    /// Broken chunked framing.
    BadChunk,
    /// A WebSocket's handshake that is none, or broken frames.
    BadWebsocket,
    /// Broken event stream.
    BadSse,
    /// A body or event that should be JSON and is not.
    BadJson,
    /// Another content type than was asked for.
    BadContentType,
    /// An encoded body, although `identity` was asked for.
    BadEncoding,
    /// A head, line, event or body beyond the named limits.
    TooLarge,
    /// An error event inside a 200.
    StreamError,
    /// A stream that ended without its terminal event.
    Truncated,
    /// A complete stream without a token.
    Empty,
    /// A response check did not hold.
    Check,
    /// No file descriptor was left.
    NoFd,
    /// No local port was left.
    NoPort,
    /// A defect of this tool.
    Internal,
}

impl Failure {
    /// All, by blame, in the order of the report.
    pub const ALL: [Self; 29] = [
        Self::Resolve,
        Self::ConnectRefused,
        Self::ConnectTimeout,
        Self::ConnectOther,
        Self::Tls,
        Self::Reset,
        Self::ClosedEarly,
        Self::TimeoutFirstByte,
        Self::TimeoutStall,
        Self::TimeoutTotal,
        Self::Http3xx,
        Self::Http4xx,
        Self::Http429,
        Self::Http5xx,
        Self::BadHttp,
        Self::BadChunk,
        Self::BadWebsocket,
        Self::BadSse,
        Self::BadJson,
        Self::BadContentType,
        Self::BadEncoding,
        Self::TooLarge,
        Self::StreamError,
        Self::Truncated,
        Self::Empty,
        Self::Check,
        Self::NoFd,
        Self::NoPort,
        Self::Internal,
    ];

    /// Its name in JSON and the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectOther => "connect_other",
            Self::Tls => "tls",
            Self::Reset => "reset",
            Self::ClosedEarly => "closed_early",
            Self::TimeoutFirstByte => "timeout_first_byte",
            Self::TimeoutStall => "timeout_stall",
            Self::TimeoutTotal => "timeout_total",
            Self::Http3xx => "http_3xx",
            Self::Http4xx => "http_4xx",
            Self::Http429 => "http_429",
            Self::Http5xx => "http_5xx",
            Self::BadHttp => "bad_http",
            Self::BadChunk => "bad_chunk",
            Self::BadWebsocket => "bad_websocket",
            Self::BadSse => "bad_sse",
            Self::BadJson => "bad_json",
            Self::BadContentType => "bad_content_type",
            Self::BadEncoding => "bad_encoding",
            Self::TooLarge => "too_large",
            Self::StreamError => "stream_error",
            Self::Truncated => "truncated",
            Self::Empty => "empty",
            Self::Check => "check",
            Self::NoFd => "no_fd",
            Self::NoPort => "no_port",
            Self::Internal => "internal",
        }
    }

    /// When it applies, in a few words. The table of the README is made of this.
    pub const fn when(self) -> &'static str {
        match self {
            Self::Resolve => "the target's name could not be resolved",
            Self::ConnectRefused => "nobody listens at the target",
            Self::ConnectTimeout => "no connection within `timeout.connect`",
            Self::ConnectOther => "connecting failed otherwise: unreachable, reset while connecting",
            Self::Tls => "the TLS handshake or a record failed",
            Self::Reset => "the connection was reset",
            Self::ClosedEarly => "the connection was closed inside an answer, or before one on a new connection",
            Self::TimeoutFirstByte => "no byte of the answer within `timeout.first_byte`",
            Self::TimeoutStall => "no further byte for `timeout.stall`",
            Self::TimeoutTotal => "the whole request took longer than `timeout.total`",
            Self::Http3xx => "a redirect; they are not followed",
            Self::Http4xx => "a client error other than 429",
            Self::Http429 => "too many requests; the report notes `Retry-After`",
            Self::Http5xx => "a server error",
            Self::BadHttp => "not HTTP/1.1, an upgrade that was not asked for, or bytes after the end of an answer",
            Self::BadChunk => "broken chunked framing",
            Self::BadWebsocket => {
                "an upgrade answered with success that is none: no 101, a wrong accept key; a broken frame, a binary message"
            }
            Self::BadSse => "a stream with events that are not JSON, and without its terminal event",
            Self::BadJson => "a body that should be JSON and is not; bytes that are not UTF-8 are not",
            Self::BadContentType => "another content type than was asked for",
            Self::BadEncoding => "an encoded body (gzip, br) although none was asked for",
            Self::TooLarge => "a head beyond 64 KiB, a line or event beyond 1 MiB, a body beyond 64 MiB",
            Self::StreamError => "an error inside a 200",
            Self::Truncated => "a stream that ended without its terminal event",
            Self::Empty => "a complete stream without a token",
            Self::Check => "a response check did not hold; the report names it",
            Self::NoFd => "no file descriptor was left (`ulimit -n`)",
            Self::NoPort => "no local port was left",
            Self::Internal => "a defect of this tool: please report it",
        }
    }

    /// Who is to blame.
    pub const fn blame(self) -> Blame {
        match self {
            Self::Resolve
            | Self::ConnectRefused
            | Self::ConnectTimeout
            | Self::ConnectOther
            | Self::Tls
            | Self::Reset
            | Self::ClosedEarly => Blame::Network,
            Self::TimeoutFirstByte | Self::TimeoutStall | Self::TimeoutTotal => Blame::Timeout,
            Self::Http3xx | Self::Http4xx | Self::Http429 | Self::Http5xx => Blame::Status,
            Self::BadHttp
            | Self::BadChunk
            | Self::BadWebsocket
            | Self::BadSse
            | Self::BadJson
            | Self::BadContentType
            | Self::BadEncoding
            | Self::TooLarge => Blame::Protocol,
            Self::StreamError | Self::Truncated | Self::Empty | Self::Check => Blame::Answer,
            Self::NoFd | Self::NoPort | Self::Internal => Blame::Ours,
        }
    }
}
