//! Why requests fail: a closed list by category, one row each. Failures are counted by index, not
//! by text.

/// The origin of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// The path to the server, or the server's socket.
    Network,
    /// A response or part of it did not arrive in time.
    Timeout,
    /// The server responded with an error status.
    Status,
    /// The bytes violate a protocol.
    Protocol,
    /// The bytes are well-formed but are not a valid response.
    Answer,
    /// This tool or this machine.
    Ours,
}

impl Category {
    /// Returns the name used in the docs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::Status => "status",
            Self::Protocol => "protocol",
            Self::Answer => "response",
            Self::Ours => "ours",
        }
    }
}

/// Builds the list from rows of the form `Variant("name") "when it applies";`, grouped by category.
macro_rules! failures {
    ($($category:ident { $($variant:ident($name:literal) $when:literal;)+ })+) => {
        /// Why a request failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Failure {
            $($(#[doc = $when] $variant,)+)+
        }

        impl Failure {
            /// All failures by category, in the order of the report.
            pub const ALL: [Self; [$($(Self::$variant),+),+].len()] = [$($(Self::$variant),+),+];

            /// Returns the name in JSON and the report.
            pub const fn name(self) -> &'static str {
                match self {
                    $($(Self::$variant => $name,)+)+
                }
            }

            /// Returns a short description of when the failure applies, for the table in the docs.
            pub const fn when(self) -> &'static str {
                match self {
                    $($(Self::$variant => $when,)+)+
                }
            }

            /// Returns the origin of the failure.
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
        ConnectRefused("connect_refused") "the target refused the connection";
        ConnectTimeout("connect_timeout") "no connection within `timeout.connect`";
        ConnectOther("connect_other") "connecting failed in another way, for example unreachable or reset while connecting";
        Tls("tls") "the TLS handshake or a record failed";
        Reset("reset") "the connection was reset";
        ClosedEarly("closed_early") "the connection was closed before the response was complete";
    }
    Timeout {
        TimeoutFirstByte("timeout_first_byte") "no byte of the response within `timeout.first_byte`";
        TimeoutStall("timeout_stall") "no further byte for `timeout.stall`";
        TimeoutTotal("timeout_total") "the whole request took longer than `timeout.total`";
    }
    Status {
        Http3xx("http_3xx") "a redirect, which is not followed";
        Http4xx("http_4xx") "a client error other than 429";
        Http429("http_429") "too many requests; the report notes `Retry-After`";
        Http5xx("http_5xx") "a server error";
    }
    Protocol {
        BadHttp("bad_http") "not HTTP/1.1, an upgrade that was not requested, bytes after the end of a response, or a response before its request";
        BadChunk("bad_chunk") "broken chunked framing";
        BadWebsocket("bad_websocket") "a WebSocket upgrade with another success status than 101 or a wrong accept key, a broken frame, or a binary message";
        BadSse("bad_sse") "a stream with events that are not JSON and without its terminal event";
        BadJson("bad_json") "a body that should be JSON and is not, or is not UTF-8";
        BadContentType("bad_content_type") "an unexpected content type";
        BadEncoding("bad_encoding") "an encoded body (gzip, br), although the request forbids it";
        TooLarge("too_large") "a response head above 64 KiB, a line or event above 1 MiB, or a body above 64 MiB";
    }
    Answer {
        StreamError("stream_error") "an error event or object in a response with status 200";
        Truncated("truncated") "a stream that ended without its terminal event";
        Empty("empty") "a complete stream without tokens";
        Check("check") "a response check failed; the report names it";
    }
    Ours {
        NoFd("no_fd") "no file descriptor was left (`ulimit -n`)";
        NoPort("no_port") "no local port was left";
        Internal("internal") "a defect of llmsim-blast; please report it";
    }
}
