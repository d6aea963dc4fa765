//! One socket's life.
//!
//! ```text
//!            open          connected         send          written
//!  Closed ─────────▶ Connecting ─────▶ Idle ─────▶ Sending ─────▶ Receiving
//!    ▲  ▲                │  │          ▲ │  ▲          │              │
//!    │  │                │  └▶Securing─┘ │  └──────────┼── complete ──┤  keep-alive
//!    │  └── refused, ────┘  peer closed  │             │              │
//!    │      timed out   ◀────────────────┘             │              │
//!    └────────────── complete without keep-alive, broken, timed out ──┘
//! ```
//!
//! For a request over a WebSocket a connection goes from `Idle` through `Upgrading` back to `Idle`
//! once.
//!
//! A connection belongs to one virtual user and carries one request at a time; there is no
//! pipelining. It does not know the clock, the schedule or the other connections: it is told what
//! happened and answers with a [`Step`].

mod limits;
mod loss;
mod upgrade;

use super::exchange::{Exchange, Expect, Incoming, Kept, Progress};
use super::window::Placement;
use crate::load::Start;
use crate::metrics::{Category, Failure, Outcome};
use crate::mix::ClientBehavior;
use crate::net::tls::{TlsFailure, tls_failure};
use crate::net::{IoStatus, Opening, Received, Route, Stream};
use crate::units::Nanos;
use crate::wire::http1;
use std::io;
use std::num::NonZeroU32;

/// First pause after a network failure, or after a gateway's word that came sooner than this; it
/// doubles with each further one.
const BACK_OFF_FIRST: Nanos = Nanos::from_millis(100);
const BACK_OFF_LONGEST: Nanos = Nanos::from_secs(5);
/// What a gateway says while there is no server behind it: bad gateway, service unavailable.
const UPSTREAM_DOWN: [u16; 2] = [502, 503];

/// Where a connection is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Closed,
    /// A request waits for its turn to connect.
    Queued,
    /// A socket that is not connected yet; a request waits for it.
    Connecting,
    /// A socket that is connected and whose session is being opened; a request waits for it.
    Securing,
    /// Connected, and asked to become a WebSocket; a request waits for it.
    Upgrading,
    /// Connected, nothing under way.
    Idle,
    /// A request is partly written.
    Sending,
    /// A request is written, its response is not complete.
    Receiving,
    /// The socket takes no more of the request. What the peer said before is being read.
    Refused,
}

/// How often the present request was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    /// It waits for a connection, and was not counted as started.
    None,
    First,
    /// The connection of the first attempt was closed too early to count.
    Second,
}

/// What follows from what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Wait,
    /// Nothing yet, but the response is under another limit from now on, which may be tighter.
    Rearm,
    /// It has become a WebSocket, and the request that waited can be sent.
    Upgraded,
    /// The request is over.
    Over {
        outcome: Outcome,
        reusable: bool,
    },
    /// The request was over with its terminal event, and the end of its framing will not be seen.
    Whole,
    /// The socket takes no more bytes. What the peer said before is still to be read.
    ReadOut,
    /// The server closed a reused connection before it can have begun with the request: send the
    /// same request again on a new one.
    Stale,
    /// Bytes came after a response that was taken for a success, and belong to it.
    Condemned(Failure),
    /// The socket is of no use any more, and no request is touched by that.
    Gone,
}

/// A user who does not simply wait for the whole answer.
#[derive(Debug)]
struct SlowOrAbandoning {
    behavior: ClientBehavior,
    paused_until: Nanos,
}

/// A request that is partly written.
#[derive(Debug, Default)]
struct Unsent {
    bytes: Vec<u8>,
    /// How much of that was written since.
    from: usize,
}

/// One virtual user's connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Option<Stream>,
    pub(super) state: State,
    /// Distinguishes this socket from the slot's earlier ones in events of the same pass.
    pub(super) generation: u32,
    /// How many requests it has carried.
    served: u32,
    pub(super) route: Route,
    /// What went wrong with its session.
    pub(super) tls_failure: Option<TlsFailure>,
    attempt: Attempt,
    /// The request under way, or waiting for the connection.
    pub(super) start: Start,
    pub(super) connect_since: Nanos,
    /// How long it took until the socket was connected, in µs: the opening of its session began
    /// then.
    connect_took_us: u32,
    /// When the slot's timer is set to fire, `MAX` for never. It fires early rather than being
    /// moved for every request.
    pub(super) timer_at: Nanos,
    /// When the request is cut off because its user was ramped away, `MAX` for never.
    pub(super) give_up: Nanos,
    /// What the user of the present request does beside waiting. A connection that never had such a
    /// user has no memory for it.
    unusual: Option<Box<SlowOrAbandoning>>,
    /// Network failures since the last response: the exponent of the back-off.
    failures_in_row: u8,
    /// What of the request did not fit into the socket. A connection whose requests always fit has no
    /// memory for it.
    unsent: Option<Box<Unsent>>,
    pub(super) exchange: Exchange,
}

impl Connection {
    pub(super) fn new() -> Self {
        Self {
            stream: None,
            state: State::Closed,
            generation: 0,
            served: 0,
            route: Route { target: 0, addr: 0 },
            tls_failure: None,
            attempt: Attempt::None,
            start: Start { slot: 0, vu: 0, draw_vu: 0, iteration: 0, intended: Nanos::ZERO },
            connect_since: Nanos::ZERO,
            connect_took_us: 0,
            timer_at: Nanos::MAX,
            give_up: Nanos::MAX,
            unusual: None,
            failures_in_row: 0,
            unsent: None,
            exchange: Exchange::new(),
        }
    }

    /// Asks the memory for what a read will touch. With thousands of connections none is in the
    /// near caches when its turn comes; asked for one turn ahead, it arrives while the kernel still
    /// reads the socket before it.
    #[inline]
    pub(super) fn prefetch(&self) {
        use std::hint::black_box;
        black_box(self.state);
        black_box(self.timer_at);
        self.exchange.prefetch();
    }

    /// The kind of the request under way, or of the last one.
    #[inline]
    pub(super) fn kind(&self) -> usize {
        usize::from(self.exchange.sample.kind)
    }

    /// The phase in which the request was sent.
    #[inline]
    pub(super) fn phase(&self) -> u16 {
        self.exchange.phase
    }

    /// When the request was sent.
    #[inline]
    pub(super) fn sent(&self) -> Nanos {
        self.exchange.sample.sent
    }

    /// How many requests the socket has carried.
    pub(super) fn served(&self) -> u32 {
        self.served
    }

    /// Its user has a request to send.
    pub(super) fn begin(&mut self, start: Start) {
        self.start = start;
        self.give_up = Nanos::MAX;
        self.attempt = Attempt::None;
    }

    /// The request under way is begun again from its start: it was counted as started.
    pub(super) fn begin_again(&mut self) {
        self.attempt = Attempt::First;
    }

    /// Whether the request was started just now, by this call.
    pub(super) fn starts(&mut self) -> bool {
        let starts = self.attempt == Attempt::None;
        if starts {
            self.attempt = Attempt::First;
        }
        starts
    }

    /// The request is sent a second time, on another connection.
    pub(super) fn retry(&mut self) {
        self.attempt = Attempt::Second;
        self.state = State::Queued;
    }

    /// Whether the request was sent before, and its clock runs.
    pub(super) fn is_retried(&self) -> bool {
        self.attempt == Attempt::Second
    }

    /// A request is under way or waits for the connection.
    pub(super) fn is_busy(&self) -> bool {
        !matches!(self.state, State::Closed | State::Idle)
    }

    /// The request under way has been put on the wire, at least partly.
    pub(super) fn is_in_flight(&self) -> bool {
        matches!(self.state, State::Sending | State::Receiving | State::Refused)
    }

    /// A socket exists and is connected.
    pub(super) fn is_established(&self) -> bool {
        self.is_in_flight() || matches!(self.state, State::Upgrading | State::Idle)
    }

    /// A socket was opened and begins to connect.
    pub(super) fn opened(&mut self, stream: Stream, now: Nanos) {
        self.stream = Some(stream);
        self.state = State::Connecting;
        self.served = 0;
        self.tls_failure = None;
        self.connect_since = now;
    }

    /// What the user of the request that is about to begin does beside waiting.
    pub(super) fn apply_behavior(&mut self, behavior: ClientBehavior) {
        match &mut self.unusual {
            Some(unusual) => **unusual = SlowOrAbandoning { behavior, paused_until: Nanos::MAX },
            None if behavior == ClientBehavior::default() => {}
            None => self.unusual = Some(Box::new(SlowOrAbandoning { behavior, paused_until: Nanos::MAX })),
        }
    }

    /// The pace of a slow reader, in bytes a second.
    pub(super) fn pace(&self) -> Option<u32> {
        self.unusual.as_ref()?.behavior.bytes_per_second.map(NonZeroU32::get)
    }

    /// Until when a slow reader does not read; `MAX` when it may.
    pub(super) fn paused_until(&self) -> Nanos {
        self.unusual.as_ref().map_or(Nanos::MAX, |unusual| unusual.paused_until)
    }

    pub(super) fn pause_until(&mut self, end: Nanos) {
        if let Some(unusual) = &mut self.unusual {
            unusual.paused_until = end;
        }
    }

    /// Its user leaves by resetting the connection.
    pub(super) fn aborts(&self) -> bool {
        self.unusual.as_ref().is_some_and(|unusual| unusual.behavior.by_reset)
    }

    /// A socket exists and cannot be used yet.
    pub(super) const fn is_opening(&self) -> bool {
        matches!(self.state, State::Connecting | State::Securing)
    }

    /// Whether the socket is connected by `now`. Its session may have to be opened then.
    pub(super) fn check_connected(&mut self, now: Nanos) -> Result<bool, Failure> {
        let Some(stream) = &self.stream else { return Err(Failure::Internal) };
        match stream.connected() {
            Ok(true) => {
                self.state = if stream.must_be_opened() { State::Securing } else { State::Idle };
                // More than an hour is not waited for.
                self.connect_took_us = u32::try_from(now.since(self.connect_since).0 / 1_000).unwrap_or(u32::MAX);
                Ok(true)
            }
            Ok(false) => Ok(false),
            Err(error) => {
                self.exchange.system_error(&error);
                Err(connect_failure(&error))
            }
        }
    }

    /// How long it took until the socket was connected.
    pub(super) fn connect_took(&self) -> Nanos {
        Nanos(u64::from(self.connect_took_us) * 1_000)
    }

    /// Goes on with opening the session; if the peer has closed its side, to the very end.
    pub(super) fn secure(&mut self, buffer: &mut [u8], closed: bool) -> Result<Opening, Failure> {
        let Some(stream) = &mut self.stream else { return Err(Failure::Internal) };
        match stream.open(buffer, closed) {
            Ok(Opening::Pending) => Ok(Opening::Pending),
            Ok(open) => {
                self.state = State::Idle;
                Ok(open)
            }
            Err(error) => {
                self.tls_failure = tls_failure(&error);
                // Whatever the socket says, what failed is the session.
                Err(Failure::Tls)
            }
        }
    }

    /// Puts a request on the wire; `now` was read just before.
    pub(super) fn send(&mut self, bytes: &[u8], expect: Expect, now: Nanos, placement: Placement) -> Step {
        if self.is_retried() {
            self.exchange.begin_again();
        } else {
            self.exchange.begin(expect, now, self.served > 0, placement);
        }
        self.exchange.charge_handshake();
        self.state = State::Receiving;
        match self.write(bytes) {
            Ok(written) if written == bytes.len() => Step::Rearm,
            Ok(written) => {
                self.state = State::Sending;
                self.keep_unsent(&bytes[written..]);
                Step::Rearm
            }
            Err(error) => self.takes_no_more(&error, now),
        }
    }

    fn keep_unsent(&mut self, bytes: &[u8]) {
        let unsent = self.unsent.get_or_insert_default();
        unsent.bytes.clear();
        unsent.bytes.extend_from_slice(bytes);
        unsent.from = 0;
    }

    /// The socket takes bytes again.
    pub(super) fn writable(&mut self, noticed: Nanos) -> Step {
        // A session may have kept the end of a request that was taken for written, or words of its
        // own.
        if let Some(Err(error)) = self.stream.as_mut().map(Stream::flush) {
            return self.takes_no_more(&error, noticed);
        }
        if !matches!(self.state, State::Sending | State::Upgrading) {
            return Step::Wait;
        }
        let Some(mut unsent) = self.unsent.take() else { return Step::Wait };
        let result = self.write(&unsent.bytes[unsent.from..]);
        unsent.from += *result.as_ref().unwrap_or(&0);
        if unsent.from == unsent.bytes.len() && self.state == State::Sending {
            self.state = State::Receiving;
        }
        self.unsent = Some(unsent);
        match result {
            Ok(_) => Step::Wait,
            Err(error) => self.takes_no_more(&error, noticed),
        }
    }

    /// Reads what is there into `buffer`, with the kernel's stamp if `stamped`.
    pub(super) fn recv(&mut self, buffer: &mut [u8], stamped: bool) -> io::Result<Received> {
        match &mut self.stream {
            Some(stream) => stream.recv(buffer, stamped),
            None => Ok(Received { status: IoStatus::Blocked, stamp: None, drained: true }),
        }
    }

    /// Reads at most `portion` bytes of what is there.
    pub(super) fn recv_portion(&mut self, buffer: &mut [u8], portion: usize) -> io::Result<Received> {
        match &mut self.stream {
            Some(stream) => stream.recv_portion(buffer, portion),
            None => Ok(Received { status: IoStatus::Blocked, stamp: None, drained: true }),
        }
    }

    /// Bytes came.
    pub(super) fn received(&mut self, bytes: &[u8], incoming: &mut Incoming<'_>) -> Step {
        match self.state {
            // A session's own: a ticket, new keys, a part of a record.
            _ if bytes.is_empty() => return Step::Wait,
            State::Sending | State::Receiving | State::Refused => {}
            State::Upgrading => return self.shake_hands(bytes, incoming.time.at),
            State::Idle if self.exchange.channel.is_some() => return self.between_requests(bytes),
            // Empty lines do no harm, and a server may say why it closes an idle connection. Either
            // way the connection is not trusted with another request.
            State::Idle if http1::is_stray(bytes) || http1::is_request_timeout(bytes) => return Step::Gone,
            State::Idle => return self.out_of_step(bytes),
            _ => return Step::Gone,
        }
        let awaited = self.exchange.awaiting();
        let progress = self.exchange.feed(bytes, incoming);
        self.answer();
        match progress {
            Progress::More if self.has_enough() => Step::Over { outcome: self.exchange.abandoned(), reusable: false },
            Progress::More if self.exchange.awaiting() != awaited => Step::Rearm,
            Progress::More => Step::Wait,
            Progress::Closed => self.closed_by_word(incoming.time.at),
            Progress::Over { outcome, reusable } => {
                // An answer before the request was written whole (413, 429): the rest of the
                // request is never sent, so the connection cannot be used again (RFC 9112, section
                // 9.5).
                let written = self.state == State::Receiving;
                // A slow reader's socket is good for slow readers only.
                let usual = self.pace().is_none() && !self.exchange.is_early();
                Step::Over { outcome, reusable: reusable && written && usual }
            }
        }
    }

    /// Port of this side; 0 if there is none.
    pub(super) fn local_port(&self) -> u16 {
        self.stream.as_ref().and_then(Stream::local_port).unwrap_or_default()
    }

    /// Bytes came while no request was under way.
    pub(super) fn out_of_step(&mut self, bytes: &[u8]) -> Step {
        if std::mem::replace(&mut self.exchange.last_kept, Kept::Other) == Kept::Other {
            return Step::Gone;
        }
        Step::Condemned(self.exchange.out_of_step(bytes))
    }

    /// The response is complete and another request may follow.
    pub(super) fn keep(&mut self, kept: Kept) {
        self.state = State::Idle;
        self.exchange.last_kept = kept;
        self.served = self.served.saturating_add(1);
    }

    /// Gives the socket up; the caller closes or aborts it.
    pub(super) fn close(&mut self) -> Option<Stream> {
        self.state = State::Closed;
        self.generation = self.generation.wrapping_add(1);
        self.exchange.channel = None;
        self.exchange.last_kept = Kept::Other;
        self.stream.take()
    }

    /// How long its user waits after `outcome`: doubling while the network fails, so that a dead
    /// server is not met with a storm. A gateway that says at once that nothing is behind it is as
    /// good as a refused connection.
    pub(super) fn back_off(&mut self, outcome: Outcome) -> Nanos {
        let sample = &self.exchange.sample;
        let says_down = UPSTREAM_DOWN.contains(&sample.status) && sample.end.since(sample.sent) < BACK_OFF_FIRST;
        match outcome {
            Outcome::Failed(failure)
                if says_down || matches!(failure.category(), Category::Network | Category::Ours) =>
            {
                let pause = BACK_OFF_FIRST.0 << self.failures_in_row.min(16);
                self.failures_in_row = self.failures_in_row.saturating_add(1);
                Nanos(pause.min(BACK_OFF_LONGEST.0))
            }
            _ => {
                self.failures_in_row = 0;
                Nanos::ZERO
            }
        }
    }

    /// Writes until all is written or the socket is full, which is what makes the poll report it
    /// writable again.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(stream) = &mut self.stream else { return Err(io::ErrorKind::NotConnected.into()) };
        let mut written = 0;
        while written < bytes.len() {
            match stream.send(&bytes[written..])? {
                IoStatus::Done(n) => written += n,
                IoStatus::Blocked | IoStatus::Closed => break,
            }
        }
        self.exchange.sample.bytes_sent += written as u32;
        Ok(written)
    }
}

/// The class of a failed attempt to connect.
pub(super) fn connect_failure(error: &io::Error) -> Failure {
    use nix::errno::Errno;
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EMFILE | Errno::ENFILE) => return Failure::NoFd,
        Some(Errno::EADDRNOTAVAIL | Errno::EADDRINUSE) => return Failure::NoPort,
        _ => {}
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::ConnectRefused,
        io::ErrorKind::TimedOut => Failure::ConnectTimeout,
        _ => Failure::ConnectOther,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight cache lines, of which half are the numbers of the request under way: they are the
    /// sample itself, which is recorded as it stands. Ten thousand connections are 5 MB.
    #[test]
    fn a_connection_is_small() {
        assert!(size_of::<Connection>() <= 8 * 64, "{} bytes", size_of::<Connection>());
    }
}
