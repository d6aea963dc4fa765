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
//! In practice a head lies whole in the caller's buffer and is recognised or parsed there, once. A
//! head that a read has cut is collected line by line. Content is always lent from the caller's
//! buffer. This file does not know the request (it assumes neither `HEAD` nor `CONNECT`, and an
//! upgrade only if told so), nor the meaning of a body.

mod head;
mod known;
mod request;

use super::{Event, Head, MAX_BODY_BYTES, MAX_HEAD_BYTES, MAX_KEPT_BYTES, WireError, chunked, websocket};
use head::{Framing, ParsedHead, START, no_response, parse_head, starts_as_response};

pub use known::KnownHead;
pub use request::{HeadSpec, check_header, simple_get};

/// Maximum number of interim responses (1xx) before a final one. Servers send one, or a few
/// `103 Early Hints`.
pub const MAX_INTERIM: u8 = 16;

/// Maximum bytes of empty lines before a response. Some servers write a line end after a response
/// that they did not announce. RFC 9112, section 2.2, asks only servers to skip it, but clients in
/// the field skip it, too.
const MAX_STRAY_BYTES: u8 = 16;

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
    /// The flag of the next [`Event::End`].
    reusable: bool,
}

/// The part of a head that has arrived so far. Empty in every other state.
#[derive(Debug, Default)]
struct CutHead(Vec<u8>);

#[derive(Debug, Default)]
enum State {
    /// Before or inside a head.
    #[default]
    Head,
    /// Before or inside the head that responds to a WebSocket handshake.
    Upgrade(Box<websocket::Accept>),
    /// A body of known length, with the number of bytes left, never 0.
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
    /// Prepares for the response to a request that was just sent. Keeps the buffers, forgets
    /// everything else.
    pub fn reset(&mut self) {
        let mut cut = self.cut.take().filter(|cut| cut.0.capacity() <= MAX_KEPT_BYTES);
        if let Some(cut) = &mut cut {
            cut.0.clear();
        }
        *self = Self { cut, ..Self::default() };
    }

    /// Creates a decoder for the response to a WebSocket handshake. If the server has switched,
    /// that is a head with status 101 and the end: the following bytes of the input are not HTTP.
    pub fn for_upgrade(accept: websocket::Accept) -> Self {
        Self { state: State::Upgrade(Box::new(accept)), ..Self::default() }
    }

    /// Returns the next event; see the contract in [`super`].
    ///
    /// [`Event::End`] comes as soon as the end is proven, if necessary on a call with an empty
    /// `input`. The bytes after it stay in `input`. A further call refuses them, because no byte
    /// may come before the next request was sent. After an error every call fails.
    pub fn next<'b>(&mut self, input: &mut &'b [u8]) -> Option<Result<Event<'b>, WireError>> {
        self.next_like(input, None)
    }

    /// As [`Self::next`], for one of many responses whose heads look alike.
    pub fn next_like<'b>(
        &mut self,
        input: &mut &'b [u8],
        known: Option<&mut KnownHead>,
    ) -> Option<Result<Event<'b>, WireError>> {
        let event = match &mut self.state {
            State::Head | State::Upgrade(_) => self.head(input, known)?.map(Event::Head),
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

    /// Returns true if only the end of the connection ends the body.
    pub const fn runs_to_eof(&self) -> bool {
        matches!(self.state, State::ToEof)
    }

    /// Handles a close of the peer's side: the end of a body without framing, or
    /// [`WireError::ClosedEarly`]. A response that was already complete ends as complete.
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

    /// Counts content against the limit of a body, together with the announced rest.
    fn count(&mut self, len: usize, announced: u64) -> Result<(), WireError> {
        let received = u64::from(self.received) + len as u64;
        if received.saturating_add(announced) > MAX_BODY_BYTES {
            return Err(WireError::TooLarge("body"));
        }
        self.received = received as u32;
        Ok(())
    }

    /// Returns the head of the final response, once it is complete.
    fn head(&mut self, input: &mut &[u8], mut known: Option<&mut KnownHead>) -> Option<Result<Head, WireError>> {
        loop {
            let parsed = match self.gather(input, known.as_deref_mut())? {
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

    /// Checks the head of a server that has switched protocols (RFC 6455, section 4.1).
    fn switched(&mut self, parsed: &ParsedHead) -> Result<Head, WireError> {
        let State::Upgrade(expected) = &self.state else {
            return Err(WireError::BadHttp("an upgrade that was not requested"));
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

    /// Takes one head off the front of `input` and returns its meaning, once it is complete.
    fn gather(
        &mut self,
        input: &mut &[u8],
        mut known: Option<&mut KnownHead>,
    ) -> Option<Result<ParsedHead, WireError>> {
        if self.cut.as_ref().is_none_or(|cut| cut.0.is_empty()) {
            let stray = take(input, stray_lines(input)).len();
            self.stray = self.stray.saturating_add(u8::try_from(stray).unwrap_or(u8::MAX));
            if self.stray > MAX_STRAY_BYTES {
                return Some(Err(WireError::BadHttp("empty lines before the response")));
            }
            if input.is_empty() {
                return None;
            }
            if let Some(known) = &mut known
                && let Some((len, parsed)) = known.recognise(input)
            {
                let head = take(input, len);
                let is_wrong = known.verify && parse_head(head) != Ok(parsed);
                return Some(if is_wrong { Err(WireError::BadHttp("parse mismatch in the head")) } else { Ok(parsed) });
            }
            if let Some(len) = head_len(input) {
                if len > MAX_HEAD_BYTES {
                    return Some(Err(WireError::TooLarge("response head")));
                }
                let head = take(input, len);
                let parsed = parse_head(head);
                if let (Some(known), Ok(parsed)) = (known, &parsed) {
                    known.learn(head, parsed);
                }
                return Some(parsed);
            }
        }
        // Read line by line, so that only bytes of the head are copied, and only new bytes are
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

/// Returns true if `bytes` after the end of a response are only a few empty lines.
pub fn is_stray(bytes: &[u8]) -> bool {
    bytes.len() <= usize::from(MAX_STRAY_BYTES) && stray_lines(bytes) == bytes.len()
}

/// Returns true if the server reports that it has waited too long for a request. Servers close idle
/// connections this way (RFC 9110, section 15.5.9).
pub fn is_request_timeout(bytes: &[u8]) -> bool {
    bytes.starts_with(START) && bytes.get(START.len() + 1..).is_some_and(|rest| rest.starts_with(b" 408"))
}

/// Returns how many bytes of empty lines `bytes` begin with.
fn stray_lines(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
}

fn take<'b>(input: &mut &'b [u8], len: usize) -> &'b [u8] {
    let (taken, rest) = input.split_at(len);
    *input = rest;
    taken
}

/// Returns the length of the head at the front of `bytes`, blank line included. A bare LF also ends
/// a line (RFC 9112, section 2.2).
fn head_len(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes).find_map(|at| match bytes.get(at + 1..)? {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
