//! Why requests fail: a closed list by category, one row each, counted by index and never by text.

/// Where a failure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
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

impl Category {
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

/// Makes the list from rows of the form `Variant("name") "when it applies";`, grouped by category.
macro_rules! failures {
    ($($category:ident { $($variant:ident($name:literal) $when:literal;)+ })+) => {
        /// Why a request failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Failure {
            $($(#[doc = $when] $variant,)+)+
        }

        impl Failure {
            /// All, by category, in the order of the report.
            pub const ALL: [Self; [$($(Self::$variant),+),+].len()] = [$($(Self::$variant),+),+];

            /// Its name in JSON and the report.
            pub const fn name(self) -> &'static str {
                match self {
                    $($(Self::$variant => $name,)+)+
                }
            }

            /// When it applies, in a few words: a row of the table in the docs.
            pub const fn when(self) -> &'static str {
                match self {
                    $($(Self::$variant => $when,)+)+
                }
            }

            /// Where it comes from.
            pub const fn category(self) -> Category {
                match self {
                    $($(Self::$variant)|+ => Category::$category,)+
                }
            }
        }
    };
}

failures! {
    Network {
        Resolve("resolve") "the target's name could not be resolved";
        ConnectRefused("connect_refused") "nobody listens at the target";
        ConnectTimeout("connect_timeout") "no connection within `timeout.connect`";
        ConnectOther("connect_other") "connecting failed otherwise: unreachable, reset while connecting";
        Tls("tls") "the TLS handshake or a record failed";
        Reset("reset") "the connection was reset";
        ClosedEarly("closed_early") "the connection was closed inside an answer, or before one on a new connection";
    }
    Timeout {
        TimeoutFirstByte("timeout_first_byte") "no byte of the answer within `timeout.first_byte`";
        TimeoutStall("timeout_stall") "no further byte for `timeout.stall`";
        TimeoutTotal("timeout_total") "the whole request took longer than `timeout.total`";
    }
    Status {
        Http3xx("http_3xx") "a redirect; they are not followed";
        Http4xx("http_4xx") "a client error other than 429";
        Http429("http_429") "too many requests; the report notes `Retry-After`";
        Http5xx("http_5xx") "a server error";
    }
    Protocol {
        BadHttp("bad_http") "not HTTP/1.1, an upgrade that was not asked for, or bytes after the end of an answer";
        BadChunk("bad_chunk") "broken chunked framing";
        BadWebsocket("bad_websocket") "an upgrade answered with success that is none: no 101, a wrong accept key; a broken frame, a binary message";
        BadSse("bad_sse") "a stream with events that are not JSON, and without its terminal event";
        BadJson("bad_json") "a body that should be JSON and is not; bytes that are not UTF-8 are not";
        BadContentType("bad_content_type") "another content type than was asked for";
        BadEncoding("bad_encoding") "an encoded body (gzip, br) although none was asked for";
        TooLarge("too_large") "a head beyond 64 KiB, a line or event beyond 1 MiB, a body beyond 64 MiB";
    }
    Answer {
        StreamError("stream_error") "an error inside a 200";
        Truncated("truncated") "a stream that ended without its terminal event";
        Empty("empty") "a complete stream without a token";
        Check("check") "a response check did not hold; the report names it";
    }
    Ours {
        NoFd("no_fd") "no file descriptor was left (`ulimit -n`)";
        NoPort("no_port") "no local port was left";
        Internal("internal") "a defect of this tool: please report it";
    }
}
