//! The stopwatch of one request: turns bytes and instants into token gaps and a [`Sample`].
//!
//! ```text
//!            ┌─ plain ──▶ body, whole ──▶ Reader::read_body ──┐
//! bytes ─▶ http1 ─▶ head                                      ├─▶ Progress::Over ─▶ Sample
//!            └─ stream ─▶ sse ─▶ Reader::read_event ─▶ tokens ┘
//! ```
//!
//! Responses over a WebSocket are read in a file of their own.
//!
//! This file knows neither the socket nor the clock. The first flaw found is the one that counts: a
//! request fails once, in one class.

mod body;
mod channel;
mod evidence;
mod instants;
mod terms;
mod websocket;

use super::budget::Budget;
use super::excerpt::Excerpt;
use super::rx_time::MaybeTime;
use super::window::{Placement, Window};
use crate::api::{Api, Delta, Flaw, HAS_USAGE, Token};
use crate::metrics::{Failure, Outcome, Remaining, Sample};
use crate::units::Nanos;
use crate::wire::{ContentType, Event, Head, WireError, http1, sse};
use body::Body;
pub(super) use channel::{Between, Channel, Handshake};
use evidence::AFTER_THE_END;
use instants::Marks;
use std::num::NonZeroU32;
use terms::is_before_body;
pub(super) use terms::{Awaiting, Expect, Incoming, Kept, Progress};

/// The report's name for a read that the fast path and the parser understood differently. Listed
/// among the checks.
const PARSE_MISMATCH: &str = "parse mismatch";

/// A response cannot answer a request that was not sent yet.
const BEFORE_ITS_REQUEST: WireError = WireError::BadHttp("a response before its request was sent");

/// Kept responses have a limit each, and one limit for all together.
const OVER_BUDGET: WireError = WireError::TooLarge("the incomplete responses of all users together");

/// One request and its response. It is reused for every request of a connection: its buffers stay.
#[derive(Debug)]
pub(super) struct Exchange {
    expect: Expect,
    http: http1::Decoder,
    sse: sse::Decoder,
    /// The WebSocket, if the connection is one or becomes one.
    pub(super) channel: Option<Box<Channel>>,
    /// Body of a plain response that came in several pieces. Most connections never need it.
    body: Option<Box<Body>>,
    /// Steps of the budget that this response has taken for its kept bytes.
    charged: u16,
    /// The phase in which the request was sent.
    pub(super) phase: u16,
    pub(super) window: Window,
    /// The response began before the request was sent.
    early: bool,
    /// The kind of the previous response, if the connection was kept after it.
    pub(super) last_kept: Kept,
    flaw: Option<Failure>,
    /// The bytes that show the flaw.
    excerpt: Excerpt,
    /// When a data line was received whose event no blank line has closed yet.
    held: MaybeTime,
    /// When the terminal event came; `MAX` before it.
    pub(super) done: Nanos,
    /// When the last byte came; `sent` before the first.
    pub(super) last_read: Nanos,
    /// Tokens of the present read that are not settled yet. A read holds a few thousand at most.
    tokens_in_read: u16,
    marks: Marks,
    /// The numbers so far.
    pub(super) sample: Sample,
}

impl Exchange {
    pub(super) fn new() -> Self {
        let expect = Expect { kind: 0, api: Api::Health, stream: false, websocket: false, by_line: false };
        Self {
            expect,
            http: http1::Decoder::default(),
            sse: sse::Decoder::default(),
            channel: None,
            body: None,
            charged: 0,
            phase: 0,
            window: Window { begin: Nanos::ZERO, end: Nanos::MAX },
            early: false,
            last_kept: Kept::Other,
            flaw: None,
            excerpt: Excerpt::default(),
            held: MaybeTime::NONE,
            done: Nanos::MAX,
            last_read: Nanos::ZERO,
            tokens_in_read: 0,
            marks: Marks::default(),
            sample: Sample::begun(expect.kind, Nanos::ZERO),
        }
    }

    /// Touches the fields that the next token will need.
    #[inline]
    pub(super) fn prefetch(&self) {
        use std::hint::black_box;
        black_box(self.tokens_in_read);
        black_box(self.window);
        black_box(self.sample.sent);
        black_box(self.sample.token_events);
        black_box(self.sample.last_token.is_some());
    }

    /// Begins the exchange of a request that is put on the wire at `sent`.
    pub(super) fn begin(&mut self, expect: Expect, sent: Nanos, reused: bool, placement: Placement) {
        self.expect = expect;
        self.http.reset();
        if expect.stream {
            self.sse.reset();
            self.sse.read_by_line(expect.by_line);
        }
        debug_assert!(self.body.as_ref().is_none_or(|body| body.len() == 0), "the last body was released");
        (self.phase, self.window) = (placement.phase, placement.window);
        self.early = false;
        self.flaw = None;
        self.excerpt.clear();
        self.held = MaybeTime::NONE;
        self.done = Nanos::MAX;
        self.last_read = sent;
        self.tokens_in_read = 0;
        self.marks = Marks::default();
        self.sample = Sample { reused, ..Sample::begun(expect.kind, sent) };
    }

    /// Begins to send the same request again on another connection. Its clock keeps running.
    pub(super) fn begin_again(&mut self) {
        debug_assert!(!self.answered(), "a request with a response is not sent again");
        self.http.reset();
        self.flaw = None;
        self.excerpt.clear();
        self.sample.reused = false;
    }

    /// Ends the measurement window now, earlier than planned.
    pub(super) fn close_window(&mut self, now: Nanos) {
        self.window.close(now);
    }

    /// Returns true if any byte of the response has come.
    pub(super) fn answered(&self) -> bool {
        self.sample.first_byte.is_some()
    }

    /// Returns when the terminal event came.
    pub(super) fn done_at(&self) -> Option<Nanos> {
        self.is_whole().then_some(self.done)
    }

    /// Returns true if the terminal event has come, whether or not the framing is complete.
    pub(super) fn is_whole(&self) -> bool {
        self.done != Nanos::MAX
    }

    /// Returns what the response still lacks.
    pub(super) fn awaiting(&self) -> Awaiting {
        if self.is_whole() {
            Awaiting::FramingEnd
        } else if self.answered() {
            Awaiting::MoreData
        } else {
            Awaiting::FirstByte
        }
    }

    /// Reads bytes of the response.
    pub(super) fn feed(&mut self, bytes: &[u8], incoming: &mut Incoming<'_>) -> Progress {
        let at = incoming.time.at;
        let progress = if self.expect.websocket {
            self.on_messages(bytes, incoming)
        } else {
            self.early |= incoming.early && !self.answered();
            self.sample.first_byte.get_or_insert(at);
            self.sample.bytes_received += bytes.len() as u64;
            self.last_read = at;
            self.decode(bytes, incoming)
        };
        self.settle(incoming.time, incoming);
        match progress {
            Progress::More if Budget::steps(self.held()) > self.charged => self.charge(incoming.budget),
            progress => progress,
        }
    }

    /// Returns the number of bytes that are kept until more of the response has come.
    fn held(&self) -> usize {
        let messages = self.channel.as_ref().map_or(0, |channel| channel.held());
        self.body.as_ref().map_or(0, |body| body.len()) + self.sse.held() + messages
    }

    /// Takes the memory for the kept bytes from the budget of all users.
    fn charge(&mut self, budget: &Budget) -> Progress {
        let steps = Budget::steps(self.held());
        if !budget.take(steps - self.charged) {
            return self.broken(OVER_BUDGET, &[]);
        }
        self.charged = steps;
        Progress::More
    }

    /// Gives the memory back, once the response is over.
    pub(super) fn release(&mut self, budget: &Budget) {
        if let Some(body) = &mut self.body {
            body.release(budget);
        }
        if self.charged > 0 {
            budget.give_back(std::mem::take(&mut self.charged));
            self.sse.reset();
        }
    }

    /// Ends the response because the peer closed its side.
    pub(super) fn eof(&mut self, incoming: &mut Incoming<'_>) -> Progress {
        if self.expect.websocket {
            return self.end_of_messages(false);
        }
        match self.http.eof() {
            Ok(_) => {
                let progress = self.finish(false, &[], incoming);
                self.settle(incoming.time, incoming);
                progress
            }
            Err(error) => self.broken(error, &[]),
        }
    }

    pub(super) fn sample(&self, outcome: Outcome, end: Nanos) -> Sample {
        Sample { outcome, end, in_window: self.window.covers(end), ..self.sample }
    }

    /// Returns the kind of the present response for a connection that is kept after it.
    pub(super) fn kept_as(&self, outcome: Outcome) -> Kept {
        match outcome {
            Outcome::Success if self.expect.stream && !self.expect.websocket => Kept::Stream,
            Outcome::Success => Kept::Plain,
            _ => Kept::Other,
        }
    }

    /// Returns the sample of the last request as it was recorded when its connection was kept.
    pub(super) fn recorded(&self) -> Sample {
        self.sample(Outcome::Success, self.sample.end)
    }

    /// Returns the class of a failure that ends the request from outside (a timeout, a reset). A
    /// flaw that was found earlier takes precedence.
    pub(super) fn failure(&self, from_outside: Failure) -> Failure {
        self.flaw.unwrap_or(from_outside)
    }

    /// Returns the outcome if the user leaves now. A flaw that was found earlier takes precedence.
    pub(super) fn abandoned(&self) -> Outcome {
        self.flaw.map_or(Outcome::Cancelled, Outcome::Failed)
    }

    fn decode(&mut self, bytes: &[u8], incoming: &mut Incoming<'_>) -> Progress {
        let mut input = bytes;
        // A plain body that lies whole in this read is parsed in place.
        let mut whole: &[u8] = &[];
        loop {
            let before = input;
            match self.http.next_like(&mut input, Some(incoming.known)) {
                None => {
                    self.keep(whole, incoming.budget);
                    return self.ended_by_its_last_event();
                }
                Some(Ok(Event::Head(head))) => {
                    self.on_head(head);
                    let remaining = Remaining {
                        requests: head.remaining_requests,
                        tokens: head.remaining_tokens,
                        requests_limit: head.limit_requests,
                        tokens_limit: head.limit_tokens,
                    };
                    if remaining != Remaining::default() {
                        incoming.tally.remains(remaining);
                    }
                    self.note_header(&before[..before.len() - input.len()]);
                }
                Some(Ok(Event::Data(piece))) if self.reads_stream() => {
                    if let Some(progress) = self.on_stream(piece, incoming) {
                        return progress;
                    }
                }
                Some(Ok(Event::Data(piece))) => {
                    if self.flaw.is_none() {
                        self.keep(whole, incoming.budget);
                        whole = piece;
                    } else {
                        self.excerpt.body(piece);
                    }
                }
                Some(Ok(Event::End { reusable })) => {
                    if !http1::is_stray(input) {
                        return self.broken(AFTER_THE_END, input);
                    }
                    return self.finish(reusable && input.is_empty(), whole, incoming);
                }
                Some(Err(error)) => return self.broken(error, before),
            }
        }
    }

    /// A stream without framing ends with its terminal event, because some servers keep the
    /// connection open after it.
    fn ended_by_its_last_event(&self) -> Progress {
        if self.done_at().is_some() && self.http.runs_to_eof() {
            Progress::Over { outcome: self.outcome(), reusable: false }
        } else {
            Progress::More
        }
    }

    fn keep(&mut self, piece: &[u8], budget: &Budget) {
        if !piece.is_empty() {
            self.body.get_or_insert_default().push(piece, budget);
        }
    }

    fn reads_stream(&self) -> bool {
        self.expect.stream && self.flaw.is_none_or(|f| !is_before_body(f))
    }

    fn on_head(&mut self, head: Head) {
        self.sample.status = head.status;
        self.sample.retry_after_ms = head.retry_after_ms.and_then(NonZeroU32::new);
        self.sample.should_retry = head.should_retry;
        self.sample.played = head.played.map(|played| (played.step, played.attempt));
        let flaw = match head.status {
            300..=399 => Some(Failure::Http3xx),
            429 => Some(Failure::Http429),
            400..=499 => Some(Failure::Http4xx),
            500.. => Some(Failure::Http5xx),
            _ if head.encoded => Some(Failure::BadEncoding),
            _ => match (self.expect.stream, head.content_type) {
                (_, ContentType::Missing) | (false, ContentType::Json) => None,
                (true, ContentType::EventStream) if !self.expect.by_line => None,
                (true, ContentType::Lines | ContentType::Json) if self.expect.by_line => None,
                _ => Some(Failure::BadContentType),
            },
        };
        self.flaw = self.flaw.or(flaw);
        if self.early && self.flaw.is_none() {
            self.flaw = Some(Failure::BadHttp);
            self.excerpt.broken(BEFORE_ITS_REQUEST, &[]);
        }
    }

    /// Returns true if the response began before the request was sent.
    pub(super) fn is_early(&self) -> bool {
        self.early
    }

    /// Reads a piece of an event stream. Ends the response only if its bytes are beyond repair.
    fn on_stream(&mut self, piece: &[u8], incoming: &mut Incoming<'_>) -> Option<Progress> {
        let time = incoming.time;
        let mut input = piece;
        if self.sample.first_event.is_none() && self.flaw.is_none() {
            self.excerpt.bare(piece);
        }
        let held = self.held.take();
        let mut first = true;
        // Bytes after the terminal event are only framing. They do not change the verdict, so the
        // verdict does not depend on how the bytes were cut into packets.
        while !self.is_whole() {
            let before = input;
            let meaning = match self.sse.next(&mut input) {
                None => break,
                Some(Ok(event)) => {
                    let meaning = incoming.read_event(&event);
                    if meaning.is_err() && self.flaw.is_none() {
                        self.excerpt.event(event.data);
                    }
                    meaning
                }
                Some(Err(error)) => return Some(self.broken(error, before)),
            };
            match held {
                // The event's data came whole in an earlier read, and only its blank line in this
                // one.
                Some(earlier) if first => {
                    self.on_event(meaning, earlier.at);
                    self.settle(earlier, incoming);
                }
                _ => self.on_event(meaning, time.at),
            }
            first = false;
        }
        if self.sse.holds_data() && !self.is_whole() {
            self.held = MaybeTime::some(held.filter(|_| first).unwrap_or(time));
        }
        None
    }

    fn on_event(&mut self, meaning: Result<Delta, Flaw>, at: Nanos) {
        self.marks.event(self.sample.first_event.is_none());
        self.sample.first_event.get_or_insert(at);
        match meaning {
            Ok(delta) => self.on_delta(delta, at),
            Err(Flaw::BadJson) => self.bad_event(),
            Err(Flaw::Error) => self.flaw = self.flaw.or(Some(Failure::StreamError)),
            Err(Flaw::Incomplete) => self.flaw = self.flaw.or(Some(Failure::Truncated)),
            Err(Flaw::Check { name, .. }) => self.check_failed(name),
            Err(Flaw::NoUsage { .. }) => self.check_failed(HAS_USAGE),
            Err(Flaw::Mismatch) => self.mismatch(),
        }
    }

    /// Counts an event that is not understood. The counter saturates.
    fn bad_event(&mut self) {
        self.sample.bad_events = self.sample.bad_events.saturating_add(1);
    }

    fn on_delta(&mut self, delta: Delta, at: Nanos) {
        if let Some(token) = delta.token {
            self.tokens_in_read = self.tokens_in_read.saturating_add(1);
            self.marks.token(token == Token::Visible);
            self.sample.token_events += 1;
            self.sample.reasoning_events += u32::from(token == Token::Reasoning);
            if self.sample.token_events == 1 {
                let billed = delta.usage.map_or(0, |usage| usage.output);
                self.sample.tokens_in_first_event = u16::try_from(billed).unwrap_or(u16::MAX);
            }
            self.sample.token_events_in_window += u32::from(self.window.covers(at));
        }
        if delta.odd {
            self.bad_event();
        }
        if let Some(usage) = delta.usage {
            self.sample.usage.get_or_insert_default().update(usage);
        }
        self.sample.finish = delta.finish.or(self.sample.finish);
        if delta.done {
            self.done = self.done.min(at);
        }
    }

    /// Ends a response whose framing is complete.
    fn finish(&mut self, reusable: bool, whole: &[u8], incoming: &mut Incoming<'_>) -> Progress {
        if self.is_whole() {
            return Progress::Over { outcome: self.outcome(), reusable };
        }
        if self.reads_stream() {
            let held = self.held.take().unwrap_or(incoming.time);
            if let Some(event) = self.sse.eof() {
                let meaning = incoming.read_event(&event);
                if meaning.is_err() && self.flaw.is_none() {
                    self.excerpt.event(event.data);
                }
                self.on_event(meaning, held.at);
                self.settle(held, incoming);
            }
        } else if self.flaw.is_none() {
            self.read_body(whole, incoming);
        }
        Progress::Over { outcome: self.outcome(), reusable }
    }

    /// Returns the outcome of a response whose framing is complete, or no longer matters.
    pub(super) fn outcome(&self) -> Outcome {
        let of_stream = match self.done_at() {
            _ if !self.expect.stream => None,
            None if self.sample.bad_events > 0 => Some(Failure::BadSse),
            None => Some(Failure::Truncated),
            Some(_) if self.sample.token_events == 0 && self.expect.api.generates() => Some(Failure::Empty),
            Some(_) => None,
        };
        self.flaw.or(of_stream).map_or(Outcome::Success, Outcome::Failed)
    }

    fn read_body(&mut self, whole: &[u8], incoming: &mut Incoming<'_>) {
        let body = match &mut self.body {
            Some(body) if body.len() > 0 => {
                body.push(whole, incoming.budget);
                body.join()
            }
            _ => whole,
        };
        let answer = incoming.read_body(body);
        if answer.is_err() {
            self.excerpt.body(body);
        }
        match answer {
            Ok(answer) => {
                (self.sample.usage, self.sample.finish) = (answer.usage, answer.finish);
                self.sample.checks_held = answer.checks;
            }
            Err(Flaw::BadJson) => self.flaw = Some(Failure::BadJson),
            Err(Flaw::Error) => self.flaw = Some(Failure::StreamError),
            Err(Flaw::Incomplete) => self.flaw = Some(Failure::Truncated),
            Err(Flaw::Check { name, held }) => {
                self.sample.checks_held = held;
                self.check_failed(name);
            }
            Err(Flaw::NoUsage { held, .. }) => {
                self.sample.checks_held = held;
                self.check_failed(HAS_USAGE);
            }
            Err(Flaw::Mismatch) => self.mismatch(),
        }
    }

    /// Fails the request because the two ways to read the response disagree. Its numbers cannot be
    /// trusted, whatever else the peer did, and the fault is ours.
    fn mismatch(&mut self) {
        self.sample.check_failed = Some(PARSE_MISMATCH);
        self.flaw = Some(Failure::Internal);
    }

    fn check_failed(&mut self, name: &'static str) {
        self.sample.check_failed = self.sample.check_failed.or(Some(name));
        self.flaw = self.flaw.or(Some(Failure::Check));
    }

    /// Ends a response whose bytes are beyond repair, from `at` on or a little earlier.
    fn broken(&mut self, error: WireError, at: &[u8]) -> Progress {
        if self.flaw.is_none() {
            self.excerpt.broken(error, at);
        }
        let class = match error {
            WireError::BadHttp(_) => Failure::BadHttp,
            WireError::BadChunk(_) => Failure::BadChunk,
            WireError::BadWebsocket(_) => Failure::BadWebsocket,
            WireError::TooLarge(_) => Failure::TooLarge,
            WireError::ClosedEarly => Failure::ClosedEarly,
        };
        Progress::Over { outcome: Outcome::Failed(self.failure(class)), reusable: false }
    }
}

#[cfg(test)]
mod tests;
