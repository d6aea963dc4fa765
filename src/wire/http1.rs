//! HTTP/1.1: request heads out, responses in (RFC 9112).
//!
//! ```text
//!          1xx                        ┌─▶ Length ──┐
//!        ┌─────┐                      ├─▶ Chunked ─┤
//!        ▼     │   Event::Head        │            ▼   Event::End
//! reset ▶ Head ┴──────────────────────┼──────────▶ End ───────────▶ Done ── any byte ──▶ BadHttp
//!                                     │            ▲
//!                                     └─▶ ToEof ───┘ eof()
//! ```
//!
//! In practice a head lies whole in the caller's buffer and is parsed there, once. A head that a
//! read has cut is collected line by line. Content is always lent from the caller's buffer. This
//! file does not know the request (it assumes neither `HEAD` nor `CONNECT`, and an upgrade only
//! when told), nor what a body means.

mod request;

use std::mem::MaybeUninit;

use super::{
    ContentType, Event, Head, MAX_BODY_BYTES, MAX_HEAD_BYTES, MAX_HEADERS, MAX_KEPT_BYTES, Played, WireError, chunked,
    websocket,
};

pub use request::{HeadSpec, check_header, simple_get};

/// Most interim responses (1xx) before a final one. Servers send one, or a few `103 Early Hints`.
pub const MAX_INTERIM: u8 = 16;

/// Most bytes of empty lines before a response. Some servers write one after a response, a line end
/// more than they announced. RFC 9112, section 2.2, asks only servers to skip it, and clients in
/// the field do so, too.
const MAX_STRAY_BYTES: u8 = 16;

/// The first bytes of every response. Anything else is refused at once, not when a limit or a
/// timeout is reached.
const START: &[u8] = b"HTTP/1.";

/// Turns the bytes of a connection into responses, one request at a time.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The beginning of a head whose end has not arrived. Most heads arrive whole and never need
    /// it.
    cut: Option<Box<CutHead>>,
    state: State,
    /// Bytes of a body whose length was not announced.
    received: u32,
    interim: u8,
    /// Bytes of empty lines before the response.
    stray: u8,
    /// What [`Event::End`] will say.
    reusable: bool,
}

/// The part of a head that has arrived so far; empty in every other state.
#[derive(Debug, Default)]
struct CutHead(Vec<u8>);

#[derive(Debug, Default)]
enum State {
    /// Before or inside a head.
    #[default]
    Head,
    /// The same, when a WebSocket was asked for and this is to be answered.
    Upgrade(Box<websocket::Accept>),
    /// A body of known length; so much is left, never 0.
    Length(u64),
    Chunked(chunked::Decoder),
    /// A body that only the end of the connection ends.
    ToEof,
    /// Complete, but [`Event::End`] was not returned yet.
    End,
    /// Complete, and [`Event::End`] was returned: no byte may follow.
    Done,
    Failed,
}

impl Decoder {
    /// Ready for the response to a request that was just sent. Keeps buffers, forgets everything
    /// else.
    pub fn reset(&mut self) {
        let mut cut = self.cut.take().filter(|cut| cut.0.capacity() <= MAX_KEPT_BYTES);
        if let Some(cut) = &mut cut {
            cut.0.clear();
        }
        *self = Self { cut, ..Self::default() };
    }

    /// Ready for the answer to a WebSocket's handshake. When the server has switched, that is a
    /// head with status 101 and the end: what follows in the input is not HTTP.
    pub fn for_upgrade(accept: websocket::Accept) -> Self {
        Self { state: State::Upgrade(Box::new(accept)), ..Self::default() }
    }

    /// The next event; see the contract in [`super`].
    ///
    /// [`Event::End`] comes as soon as the end is proven, if need be on a call with an empty
    /// `input`. What follows it in `input` stays there; a further call refuses it, because nothing
    /// may come before the next request was sent. After an error every call fails.
    pub fn next<'b>(&mut self, input: &mut &'b [u8]) -> Option<Result<Event<'b>, WireError>> {
        let event = match &mut self.state {
            State::Head | State::Upgrade(_) => self.head(input)?.map(Event::Head),
            State::Length(left) => {
                if input.is_empty() {
                    return None;
                }
                let len = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= len as u64;
                if *left == 0 {
                    self.state = State::End;
                }
                Ok(Event::Data(take(input, len)))
            }
            State::Chunked(decoder) => {
                let piece = decoder.next(input);
                let announced = decoder.announced();
                match piece {
                    Some(Ok(chunked::Piece::Data(data))) => {
                        self.count(data.len(), announced).map(|()| Event::Data(data))
                    }
                    Some(Ok(chunked::Piece::End)) => Ok(self.end()),
                    Some(Err(error)) => Err(error),
                    None => match self.count(0, announced) {
                        Ok(()) => return None,
                        Err(error) => Err(error),
                    },
                }
            }
            State::ToEof => {
                if input.is_empty() {
                    return None;
                }
                let data = take(input, input.len());
                self.count(data.len(), 0).map(|()| Event::Data(data))
            }
            State::End => Ok(self.end()),
            State::Done if input.is_empty() => return None,
            State::Done => Err(WireError::BadHttp("bytes after the end of the response")),
            State::Failed => Err(WireError::BadHttp("bytes after an error")),
        };
        if event.is_err() {
            self.state = State::Failed;
        }
        Some(event)
    }

    /// Whether only the end of the connection ends the body.
    pub const fn runs_to_eof(&self) -> bool {
        matches!(self.state, State::ToEof)
    }

    /// The peer closed its side: the end of a body without framing, or [`WireError::ClosedEarly`].
    /// A response that was already complete ends as complete.
    pub fn eof(&mut self) -> Result<Event<'static>, WireError> {
        self.reusable = false;
        match self.state {
            State::ToEof | State::End | State::Done => Ok(self.end()),
            State::Head | State::Upgrade(_) | State::Length(_) | State::Chunked(_) | State::Failed => {
                self.state = State::Failed;
                Err(WireError::ClosedEarly)
            }
        }
    }

    fn end(&mut self) -> Event<'static> {
        self.state = State::Done;
        Event::End { reusable: self.reusable }
    }

    /// Counts content against the limit of a body, together with what is announced to follow.
    fn count(&mut self, len: usize, announced: u64) -> Result<(), WireError> {
        let received = u64::from(self.received) + len as u64;
        if received.saturating_add(announced) > MAX_BODY_BYTES {
            return Err(WireError::TooLarge("body"));
        }
        self.received = received as u32;
        Ok(())
    }

    /// The head of the final response, once it is complete.
    fn head(&mut self, input: &mut &[u8]) -> Option<Result<Head, WireError>> {
        loop {
            let parsed = match self.gather(input)? {
                Ok(parsed) => parsed,
                Err(error) => return Some(Err(error)),
            };
            if parsed.head.status == 101 {
                return Some(self.switched(&parsed));
            }
            if parsed.head.status < 200 {
                self.interim += 1;
                if self.interim > MAX_INTERIM {
                    return Some(Err(WireError::TooLarge("interim responses")));
                }
                continue;
            }
            // A server that writes more than it announces is not trusted with another request.
            self.reusable = parsed.reusable && self.stray == 0;
            self.state = match parsed.framing {
                Framing::Length(0) => State::End,
                Framing::Length(length) if length > MAX_BODY_BYTES => return Some(Err(WireError::TooLarge("body"))),
                Framing::Length(length) => State::Length(length),
                Framing::Chunked => State::Chunked(chunked::Decoder::default()),
                Framing::ToEof => State::ToEof,
            };
            return Some(Ok(parsed.head));
        }
    }

    /// The server has switched protocols (RFC 6455, section 4.1).
    fn switched(&mut self, parsed: &ParsedHead) -> Result<Head, WireError> {
        let State::Upgrade(expected) = &self.state else {
            return Err(WireError::BadHttp("an upgrade that was not asked for"));
        };
        match parsed.switched {
            None => Err(WireError::BadWebsocket("a handshake without `Upgrade: websocket` and `Connection: upgrade`")),
            Some(accept) if accept == **expected => {
                self.state = State::End;
                self.reusable = true;
                Ok(parsed.head)
            }
            Some(_) => Err(WireError::BadWebsocket("a handshake without the right `Sec-WebSocket-Accept`")),
        }
    }

    /// Takes one head off the front of `input` and parses it, once it is complete.
    fn gather(&mut self, input: &mut &[u8]) -> Option<Result<ParsedHead, WireError>> {
        if self.cut.as_ref().is_none_or(|cut| cut.0.is_empty()) {
            let stray = take(input, stray_lines(input)).len();
            self.stray = self.stray.saturating_add(u8::try_from(stray).unwrap_or(u8::MAX));
            if self.stray > MAX_STRAY_BYTES {
                return Some(Err(WireError::BadHttp("empty lines before the response")));
            }
            if input.is_empty() {
                return None;
            }
            if let Some(len) = head_len(input) {
                return Some(if len > MAX_HEAD_BYTES {
                    Err(WireError::TooLarge("response head"))
                } else {
                    parse_head(take(input, len))
                });
            }
        }
        // Line by line, so that no more is copied than belongs to the head, and only what is new is
        // searched.
        while !input.is_empty() {
            let len = memchr::memchr(b'\n', input).map_or(input.len(), |at| at + 1);
            let line = take(input, len);
            let CutHead(head) = &mut **self.cut.get_or_insert_default();
            if head.len() + line.len() > MAX_HEAD_BYTES {
                return Some(Err(WireError::TooLarge("response head")));
            }
            head.extend_from_slice(line);
            if !starts_as_response(head) {
                return Some(Err(no_response(head)));
            }
            if head.ends_with(b"\n\r\n") || head.ends_with(b"\n\n") {
                let parsed = parse_head(head);
                head.clear();
                return Some(parsed);
            }
        }
        None
    }
}

/// Whether `bytes` after the end of a response are only empty lines, and few.
pub fn is_stray(bytes: &[u8]) -> bool {
    bytes.len() <= usize::from(MAX_STRAY_BYTES) && stray_lines(bytes) == bytes.len()
}

/// Whether the server says that it has waited too long for a request, which closes an idle
/// connection (RFC 9110, section 15.5.9).
pub fn is_request_timeout(bytes: &[u8]) -> bool {
    bytes.starts_with(START) && bytes.get(START.len() + 1..).is_some_and(|rest| rest.starts_with(b" 408"))
}

/// How many bytes of empty lines `bytes` begin with.
fn stray_lines(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
}

fn take<'b>(input: &mut &'b [u8], len: usize) -> &'b [u8] {
    let (taken, rest) = input.split_at(len);
    *input = rest;
    taken
}

/// The length of the head at the front of `bytes`, blank line included. A bare LF ends a line too
/// (RFC 9112, section 2.2).
fn head_len(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes).find_map(|at| match bytes.get(at + 1..)? {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// Whether `bytes` are, or may become, the start of a response.
fn starts_as_response(bytes: &[u8]) -> bool {
    bytes.iter().zip(START).all(|(is, wanted)| is == wanted)
}

/// Why `bytes` are not the start of a response. Alerts are what servers of TLS answer to HTTP (RFC
/// 8446, section 6).
fn no_response(bytes: &[u8]) -> WireError {
    const TLS_ALERT: u8 = 21;
    WireError::BadHttp(match bytes {
        [TLS_ALERT, ..] => "a TLS alert; the server speaks TLS there, so https:// is expected",
        _ => "no HTTP/1.x status line",
    })
}

/// A response head with what follows from it for the connection.
#[derive(Debug)]
struct ParsedHead {
    head: Head,
    framing: Framing,
    reusable: bool,
    /// It says that the connection is a WebSocket from now on, with this proof; zeros when there is
    /// none.
    switched: Option<websocket::Accept>,
}

/// How the end of a body is found (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// So many bytes; also 0 for the statuses that have no body.
    Length(u64),
    Chunked,
    ToEof,
}

/// What the header fields of a response said, as far as it matters.
#[derive(Debug, Default)]
struct Fields {
    content_type: Option<ContentType>,
    encoded: bool,
    /// `Retry-After`, in ms.
    retry_after: Option<u32>,
    /// `retry-after-ms`.
    retry_after_ms: Option<u32>,
    /// `Retry-After` is not a number.
    has_retry_date: bool,
    should_retry: Option<bool>,
    step: Option<u8>,
    attempt: Option<u8>,
    length: Option<u64>,
    /// The last transfer coding, `identity` aside; whether it is chunked.
    transfer_chunked: Option<bool>,
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    websocket: bool,
    accept: websocket::Accept,
}

/// Parses a head that is complete.
fn parse_head(bytes: &[u8]) -> Result<ParsedHead, WireError> {
    if !starts_as_response(bytes) {
        return Err(no_response(bytes));
    }
    let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    // A folded header is one header (RFC 9112, section 5.2). Its line breaks stay in the value,
    // where they are white space like any other: all that is read of a value is trimmed or split.
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
        fields.read(header.name, header.value)?;
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
    // A length beside a transfer coding, or a transfer coding in HTTP/1.0, is what attacks and
    // broken proxies send: RFC 9112, section 6.1, has the connection closed after such a message.
    let doubtful = fields.transfer_chunked.is_some() && (fields.length.is_some() || version == 0);
    Ok(ParsedHead {
        head: Head {
            status,
            content_type: fields.content_type.unwrap_or(ContentType::Missing),
            encoded: fields.encoded,
            retry_after_ms: fields.retry_after_ms.or(fields.retry_after),
            should_retry: fields.should_retry,
            played: fields.step.zip(fields.attempt).map(|(step, attempt)| Played { step, attempt }),
        },
        framing,
        reusable: persistent && !doubtful && framing != Framing::ToEof,
        switched: (fields.upgrade && fields.websocket).then_some(fields.accept),
    })
}

impl Fields {
    fn read(&mut self, name: &str, value: &[u8]) -> Result<(), WireError> {
        // The length first: it rules out nearly every header without comparing letters.
        match name.len() {
            7 if name.eq_ignore_ascii_case("upgrade") => self.websocket = value.eq_ignore_ascii_case(b"websocket"),
            10 if name.eq_ignore_ascii_case("connection") => {
                for option in list(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
                }
            }
            11 if name.eq_ignore_ascii_case("retry-after") => {
                self.retry_after = fraction(value, 1e3);
                self.has_retry_date = self.retry_after.is_none();
            }
            14 if name.eq_ignore_ascii_case("retry-after-ms") => {
                self.retry_after_ms = fraction(value, 1.0);
            }
            14 if name.eq_ignore_ascii_case("x-should-retry") => {
                self.should_retry = match value.trim_ascii() {
                    b"true" => Some(true),
                    b"false" => Some(false),
                    _ => None,
                };
            }
            13 if name.eq_ignore_ascii_case("x-llmsim-step") => self.step = short(value),
            16 if name.eq_ignore_ascii_case("x-llmsim-attempt") => self.attempt = short(value),
            12 if name.eq_ignore_ascii_case("content-type") => {
                self.content_type.get_or_insert_with(|| content_type(value));
            }
            14 if name.eq_ignore_ascii_case("content-length") => {
                // Without `list`, which forgives empty members: a length must be beyond doubt.
                for member in value.split(|&byte| byte == b',') {
                    let length =
                        decimal(member.trim_ascii()).ok_or(WireError::BadHttp("content-length is not a number"))?;
                    if *self.length.get_or_insert(length) != length {
                        return Err(WireError::BadHttp("content-length is given twice and differs"));
                    }
                }
            }
            16 if name.eq_ignore_ascii_case("content-encoding") => {
                // `none` is not a registered coding, but servers use it to keep proxies from
                // compressing a stream.
                let is_plain =
                    |coding: &[u8]| coding.eq_ignore_ascii_case(b"identity") || coding.eq_ignore_ascii_case(b"none");
                self.encoded |= !list(value).all(is_plain);
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                // `identity` was removed from the standard, but is still sent. It changes nothing.
                for coding in list(value).filter(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
                    let chunked = coding.eq_ignore_ascii_case(b"chunked");
                    self.encoded |= !chunked;
                    self.transfer_chunked = Some(chunked);
                }
            }
            20 if name.eq_ignore_ascii_case("sec-websocket-accept") => {
                self.accept = value.trim_ascii().try_into().unwrap_or_default();
            }
            _ => {}
        }
        Ok(())
    }
}

/// The members of a comma list, without white space and empty ones (RFC 9110, section 5.6.1).
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// The milliseconds from the response's own `Date` to the date in `Retry-After` (RFC 9110, section
/// 10.2.3): our clock may differ from the server's. Each may have any of the three forms of section
/// 5.6.7.
fn until_retry(headers: &[httparse::Header<'_>]) -> Option<u32> {
    let date = |name: &str| {
        let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        httpdate::parse_http_date(std::str::from_utf8(header.value).ok()?.trim()).ok()
    };
    let wait = date("retry-after")?.duration_since(date("date")?).unwrap_or_default();
    Some(u32::try_from(wait.as_millis()).unwrap_or(u32::MAX))
}

/// Digits, maybe with a fraction, as clients in the field read `Retry-After`; times `unit`, rounded
/// up. Saturates.
fn fraction(value: &[u8], unit: f64) -> Option<u32> {
    let text = std::str::from_utf8(value.trim_ascii()).ok()?;
    let plain = text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains(|c| !matches!(c, '0'..='9' | '.'));
    let number: f64 = text.parse().ok().filter(|_| plain)?;
    Some((number * unit).ceil() as u32)
}

/// A small number; saturates.
fn short(value: &[u8]) -> Option<u8> {
    Some(decimal(value.trim_ascii())?.min(u8::MAX.into()) as u8)
}

/// Digits and nothing else; saturates.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, digit| {
        digit.is_ascii_digit().then(|| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    })
}

fn content_type(value: &[u8]) -> ContentType {
    const SUFFIX: &[u8] = b"+json";
    let essence = value.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let suffix = &essence[essence.len().saturating_sub(SUFFIX.len())..];
    if essence.eq_ignore_ascii_case(b"text/event-stream") {
        ContentType::EventStream
    } else if essence.eq_ignore_ascii_case(b"application/json") || suffix.eq_ignore_ascii_case(SUFFIX) {
        ContentType::Json
    } else {
        ContentType::Other
    }
}

#[cfg(test)]
mod tests;
