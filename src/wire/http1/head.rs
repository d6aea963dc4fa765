//! Response heads: the meaning of their lines, and the consequences for the connection (RFC 9112).

use std::mem::MaybeUninit;

use crate::wire::{ContentType, Head, MAX_HEADERS, Played, WireError, websocket};

/// The first bytes of every response. Anything else is refused at once, not when a limit or a
/// timeout is reached.
pub(super) const START: &[u8] = b"HTTP/1.";

/// Returns true if `bytes` are, or may become, the start of a response.
pub(super) fn starts_as_response(bytes: &[u8]) -> bool {
    bytes.iter().zip(START).all(|(is, wanted)| is == wanted)
}

/// Returns the reason why `bytes` are not the start of a response. TLS servers respond to HTTP with
/// an alert (RFC 8446, section 6).
pub(super) fn no_response(bytes: &[u8]) -> WireError {
    const TLS_ALERT: u8 = 21;
    WireError::BadHttp(match bytes {
        [TLS_ALERT, ..] => "a TLS alert; the server speaks TLS there, so https:// is expected",
        _ => "missing HTTP/1.x status line",
    })
}

/// A response head and its consequences for the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ParsedHead {
    pub(super) head: Head,
    pub(super) framing: Framing,
    pub(super) reusable: bool,
    /// Set if the head says that the connection is a WebSocket from now on, to the server's proof.
    /// The proof is all zeros if it is missing.
    pub(super) switched: Option<websocket::Accept>,
    /// True if `Retry-After` is not a number: its meaning depends on `Date`.
    dated: bool,
}

impl ParsedHead {
    /// Returns true if its lines alone decide its meaning: the status does not decide the length,
    /// and no date is counted from another.
    pub(super) fn is_plain(&self) -> bool {
        let Head { status, retry_after_ms, .. } = self.head;
        let decides_more = matches!(status, 100..=199 | 204 | 304) || self.switched.is_some();
        !decides_more && !self.dated && retry_after_ms.is_none()
    }
}

/// The way to find the end of a body (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// That many bytes; 0 for the statuses that have no body.
    Length(u64),
    Chunked,
    ToEof,
}

/// The values of the header fields of a response that this tool reads.
#[derive(Debug, Default)]
struct Fields {
    content_type: Option<ContentType>,
    encoded: bool,
    /// `Retry-After`, in ms.
    retry_after: Option<u32>,
    /// `retry-after-ms`.
    retry_after_ms: Option<u32>,
    /// True if `Retry-After` is not a number.
    has_retry_date: bool,
    should_retry: Option<bool>,
    step: Option<u8>,
    attempt: Option<u8>,
    remaining_requests: Option<u32>,
    remaining_tokens: Option<u32>,
    limit_requests: Option<u32>,
    limit_tokens: Option<u32>,
    length: Option<u64>,
    /// The last transfer coding, `identity` aside: true if it is chunked.
    transfer_chunked: Option<bool>,
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    websocket: bool,
    accept: websocket::Accept,
}

/// Parses a complete head.
pub(super) fn parse_head(bytes: &[u8]) -> Result<ParsedHead, WireError> {
    if !starts_as_response(bytes) {
        return Err(no_response(bytes));
    }
    let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    // A folded header is one header (RFC 9112, section 5.2). Its line breaks stay in the value,
    // where they are ordinary white space: all values are trimmed or split.
    let parsed = httparse::ParserConfig::default()
        .allow_obsolete_multiline_headers_in_responses(true)
        .parse_response_with_uninit_headers(&mut response, bytes, &mut slots);
    match parsed {
        Ok(httparse::Status::Complete(len)) if len == bytes.len() => {}
        Ok(_) => return Err(WireError::BadHttp("a blank line inside the head")),
        Err(httparse::Error::TooManyHeaders) => return Err(WireError::TooLarge("number of headers")),
        Err(httparse::Error::Version | httparse::Error::Status) => return Err(WireError::BadHttp("status line")),
        Err(httparse::Error::HeaderName) => return Err(WireError::BadHttp("header name")),
        Err(httparse::Error::HeaderValue) => return Err(WireError::BadHttp("header value")),
        Err(_) => return Err(WireError::BadHttp("head")),
    }
    let (Some(version), Some(status @ 100..=599)) = (response.version, response.code) else {
        return Err(WireError::BadHttp("status code"));
    };
    let mut fields = Fields::default();
    for header in response.headers.iter() {
        if let Some(name) = Name::of(header.name.as_bytes()) {
            fields.read(name, header.value)?;
        }
    }
    if fields.has_retry_date {
        fields.retry_after = until_retry(response.headers);
    }
    let framing = match (status, fields.transfer_chunked, fields.length) {
        (..=199 | 204 | 304, _, _) => Framing::Length(0),
        (_, Some(true), _) => Framing::Chunked,
        (_, None, Some(length)) => Framing::Length(length),
        (_, Some(false), _) | (_, None, None) => Framing::ToEof,
    };
    let persistent = (version == 1 || fields.keep_alive) && !fields.close;
    // Attacks and broken proxies send a length together with a transfer coding, or a transfer
    // coding in HTTP/1.0. RFC 9112, section 6.1, requires the connection to be closed after such a
    // message.
    let doubtful = fields.transfer_chunked.is_some() && (fields.length.is_some() || version == 0);
    Ok(ParsedHead {
        head: Head {
            status,
            content_type: fields.content_type.unwrap_or(ContentType::Missing),
            encoded: fields.encoded,
            retry_after_ms: fields.retry_after_ms.or(fields.retry_after),
            should_retry: fields.should_retry,
            played: fields.step.zip(fields.attempt).map(|(step, attempt)| Played { step, attempt }),
            remaining_requests: fields.remaining_requests,
            remaining_tokens: fields.remaining_tokens,
            limit_requests: fields.limit_requests,
            limit_tokens: fields.limit_tokens,
        },
        framing,
        reusable: persistent && !doubtful && framing != Framing::ToEof,
        switched: (fields.upgrade && fields.websocket).then_some(fields.accept),
        dated: fields.has_retry_date,
    })
}

/// The header fields whose values are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Upgrade,
    Connection,
    RetryAfter,
    RetryAfterMs,
    ShouldRetry,
    Step,
    Attempt,
    ContentType,
    ContentLength,
    ContentEncoding,
    TransferEncoding,
    WebsocketAccept,
    RemainingRequests,
    RemainingTokens,
    LimitRequests,
    LimitTokens,
}

impl Name {
    /// Returns `None` for a header whose value is not read.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        let is = |this: &str, field| name.eq_ignore_ascii_case(this.as_bytes()).then_some(field);
        // The length comes first: it rules out nearly every header without comparing letters.
        match name.len() {
            7 => is("upgrade", Self::Upgrade),
            10 => is("connection", Self::Connection),
            11 => is("retry-after", Self::RetryAfter),
            12 => is("content-type", Self::ContentType),
            13 => is("x-llmsim-step", Self::Step),
            14 => is("retry-after-ms", Self::RetryAfterMs).or_else(|| {
                is("x-should-retry", Self::ShouldRetry).or_else(|| is("content-length", Self::ContentLength))
            }),
            16 => is("x-llmsim-attempt", Self::Attempt).or_else(|| is("content-encoding", Self::ContentEncoding)),
            17 => is("transfer-encoding", Self::TransferEncoding),
            20 => is("sec-websocket-accept", Self::WebsocketAccept),
            24 => is("x-ratelimit-limit-tokens", Self::LimitTokens),
            26 => is("x-ratelimit-limit-requests", Self::LimitRequests),
            28 => is("x-ratelimit-remaining-tokens", Self::RemainingTokens),
            30 => is("x-ratelimit-remaining-requests", Self::RemainingRequests),
            32 => is("anthropic-ratelimit-tokens-limit", Self::LimitTokens),
            34 => is("anthropic-ratelimit-requests-limit", Self::LimitRequests),
            36 => is("anthropic-ratelimit-tokens-remaining", Self::RemainingTokens),
            38 => is("anthropic-ratelimit-requests-remaining", Self::RemainingRequests),
            _ => None,
        }
    }
}

impl Fields {
    fn read(&mut self, name: Name, value: &[u8]) -> Result<(), WireError> {
        match name {
            Name::Upgrade => self.websocket = value.eq_ignore_ascii_case(b"websocket"),
            Name::Connection => {
                for option in list(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
                }
            }
            Name::RetryAfter => {
                self.retry_after = fraction(value, 1e3);
                self.has_retry_date = self.retry_after.is_none();
            }
            Name::RetryAfterMs => {
                self.retry_after_ms = fraction(value, 1.0);
            }
            Name::ShouldRetry => {
                self.should_retry = match value.trim_ascii() {
                    b"true" => Some(true),
                    b"false" => Some(false),
                    _ => None,
                };
            }
            Name::Step => self.step = short(value),
            Name::Attempt => self.attempt = short(value),
            Name::ContentType => {
                self.content_type.get_or_insert_with(|| content_type(value));
            }
            Name::ContentLength => {
                // Not with `list`, which forgives empty members: a length must be beyond doubt.
                for member in value.split(|&byte| byte == b',') {
                    let length =
                        decimal(member.trim_ascii()).ok_or(WireError::BadHttp("content-length is not a number"))?;
                    if *self.length.get_or_insert(length) != length {
                        return Err(WireError::BadHttp("content-length is given twice and differs"));
                    }
                }
            }
            Name::ContentEncoding => {
                // `none` is not a registered coding, but servers use it to keep proxies from
                // compressing a stream.
                let is_plain =
                    |coding: &[u8]| coding.eq_ignore_ascii_case(b"identity") || coding.eq_ignore_ascii_case(b"none");
                self.encoded |= !list(value).all(is_plain);
            }
            Name::TransferEncoding => {
                // `identity` was removed from the standard, but is still sent. It changes nothing.
                for coding in list(value).filter(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
                    let chunked = coding.eq_ignore_ascii_case(b"chunked");
                    self.encoded |= !chunked;
                    self.transfer_chunked = Some(chunked);
                }
            }
            Name::WebsocketAccept => {
                self.accept = value.trim_ascii().try_into().unwrap_or_default();
            }
            Name::RemainingRequests => lower(&mut self.remaining_requests, value),
            Name::RemainingTokens => lower(&mut self.remaining_tokens, value),
            // They hardly ever change, so a known head compares them like the bytes around them.
            Name::LimitRequests => lower(&mut self.limit_requests, value),
            Name::LimitTokens => lower(&mut self.limit_tokens, value),
        }
        Ok(())
    }
}

/// Keeps the lower of two limits, because a proxy may send its own in addition to the server's.
/// Some servers send -1 if they do not know.
fn lower(remaining: &mut Option<u32>, value: &[u8]) {
    *remaining = remaining.iter().copied().chain(decimal(value.trim_ascii()).map(saturated)).min();
}

/// Returns the number, or the maximum if it does not fit.
pub(super) fn saturated(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Returns the members of a comma list, without white space and empty members (RFC 9110, section
/// 5.6.1).
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// Returns the milliseconds from the response's own `Date` to the date in `Retry-After` (RFC 9110,
/// section 10.2.3), because our clock may differ from the server's. Each date may have any of the
/// three forms of section 5.6.7.
fn until_retry(headers: &[httparse::Header<'_>]) -> Option<u32> {
    let date = |name: &str| {
        let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        httpdate::parse_http_date(std::str::from_utf8(header.value).ok()?.trim()).ok()
    };
    let wait = date("retry-after")?.duration_since(date("date")?).unwrap_or_default();
    Some(u32::try_from(wait.as_millis()).unwrap_or(u32::MAX))
}

/// Reads digits with an optional fraction, as clients in the field read `Retry-After`. Returns the
/// number times `unit`, rounded up. Saturates.
fn fraction(value: &[u8], unit: f64) -> Option<u32> {
    let text = std::str::from_utf8(value.trim_ascii()).ok()?;
    let plain = text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains(|c| !matches!(c, '0'..='9' | '.'));
    let number: f64 = text.parse().ok().filter(|_| plain)?;
    Some((number * unit).ceil() as u32)
}

/// Reads a small number. Saturates.
fn short(value: &[u8]) -> Option<u8> {
    Some(decimal(value.trim_ascii())?.min(u8::MAX.into()) as u8)
}

/// Reads digits and nothing else. Saturates.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, digit| {
        digit.is_ascii_digit().then(|| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    })
}

fn content_type(value: &[u8]) -> ContentType {
    const SUFFIX: &[u8] = b"+json";
    const LINES: [&[u8]; 5] = [
        b"application/x-ndjson",
        b"application/ndjson",
        b"application/jsonl",
        b"application/x-jsonlines",
        b"application/jsonlines",
    ];
    let essence = value.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let suffix = &essence[essence.len().saturating_sub(SUFFIX.len())..];
    if essence.eq_ignore_ascii_case(b"text/event-stream") {
        ContentType::EventStream
    } else if essence.eq_ignore_ascii_case(b"application/json") || suffix.eq_ignore_ascii_case(SUFFIX) {
        ContentType::Json
    } else if LINES.iter().any(|known| essence.eq_ignore_ascii_case(known)) {
        ContentType::Lines
    } else {
        ContentType::Other
    }
}
