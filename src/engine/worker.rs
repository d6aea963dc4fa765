//! One worker: a thread, a poll, its connections, its share of the plan, its tally.
//!
//! The loop is a handful of steps, and every feature is the body of one of them:
//!
//! ```text
//!  ┌─▶ wait ─▶ serve sockets ─▶ fire timers ─▶ start what is due ─▶ publish once a second ─┐
//!  └───────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Receives come before sends: what a pass has finished is answered in the same pass, but after all arrivals of the pass were dated.
//! Workers share nothing while they run; per request and per event there is no lock, no atomic write and, once warm, no allocation.
//! Those who read slowly on purpose are served in a file of their own.

mod connecting;
mod publish;
mod reconnect;
mod slow;
#[cfg(test)]
mod tests;

use super::arrivals::{Arrivals, Dated};
use super::clock::Clock;
use super::connection::{Connection, State, Step};
use super::excerpt::Secrets;
use super::exchange::Expect;
use super::ledger::{Ended, Ledger, Lines};
use super::poller::{Poller, Ready};
use super::timers::Timers;
use crate::api::Reader;
use crate::load::{Schedule, Start, Turn};
use crate::metrics::{Gauge, Goals, Outcome};
use crate::mix::{Request, Scenario, Timeouts};
use crate::net::{Dialer, IoStatus, Stream};
use crate::plan::Plan;
use crate::units::Nanos;
pub(super) use connecting::Addresses;
use connecting::Pace;
use mio::Token;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;

/// The read buffer, one a worker: small enough to stay in the second-level cache, large enough for every usual answer in one read.
const READ_BUFFER_BYTES: usize = 64 * 1024;
/// Reads of one connection in one pass; a stream that is faster than we read must not keep the others waiting.
const READS_PER_PASS: usize = 16;
/// Requests started in one pass: after a stall of the server thousands of arrivals may be due at once, and answers must not wait for all
/// of them to be written.
const STARTS_PER_PASS: usize = 256;
/// The longest wait in a pass: how late the stop flag may be seen.
const MAX_WAIT: Nanos = Nanos::from_millis(50);

/// A worker's state.
#[derive(Debug)]
pub(super) struct Worker<'a> {
    clock: Clock,
    poller: Poller,
    stop: &'a AtomicBool,
    scenario: &'a Scenario,
    schedule: Schedule,
    dialer: Dialer,
    /// New addresses of the targets, when they are looked up again.
    addresses: Receiver<Addresses>,
    expects: Vec<Expect>,
    goals: Goals,
    timeouts: Vec<Timeouts>,
    /// One per kind of request: what its answers look like is learned from all connections together.
    readers: Vec<Reader>,
    /// One per virtual user of this share, by slot.
    connections: Vec<Connection>,
    timers: Timers,
    /// Slots whose connection waits for a place among those connecting.
    to_connect: VecDeque<u32>,
    connecting: usize,
    pace: Pace,
    /// Requests after which a connection is closed.
    max_requests: Option<u32>,
    /// Slots that had more to read than a pass allows.
    again: Vec<u32>,
    ready: Vec<Ready>,
    request: Request,
    /// What no example of a failure may show.
    secrets: Secrets,
    buffer: Box<[u8]>,
    ledger: Ledger,
    busy: u32,
    in_flight: u32,
    established: u32,
    /// Whether requests have an intended instant of their own.
    is_open: bool,
    /// Requests still under way at this instant are cut off.
    drain_end: Nanos,
    graceful_stop: Nanos,
    stopped: Option<Nanos>,
    arrivals: Arrivals,
    quickack: bool,
}

impl<'a> Worker<'a> {
    /// A worker for one share of a plan.
    pub(super) fn new(
        number: usize,
        share: &'a Plan,
        scenario: &'a Scenario,
        clock: Clock,
        poller: Poller,
        dialer: Dialer,
        lines: Lines<'a>,
    ) -> Self {
        let schedule = Schedule::new(&share.load());
        let (zero_at, streams) = (clock.zero_at(), share.mix.kinds.iter().any(|kind| kind.stream));
        let stamps = share.rx_timestamps.unwrap_or(streams && share.access.unix_socket.is_none());
        let (slots, end) = (schedule.local_vus() as usize, schedule.end());
        Self {
            clock,
            poller,
            stop: lines.stop,
            ledger: Ledger::new(number, share, lines.reports, lines.emptied),
            scenario,
            dialer,
            addresses: lines.addresses,
            expects: Expect::all(&share.mix.kinds),
            goals: share.goals(),
            timeouts: share.mix.kinds.iter().map(|k| k.timeouts).collect(),
            readers: share.mix.kinds.iter().map(|k| Reader::new(k.api, share.verify_parse)).collect(),
            connections: (0..slots).map(|_| Connection::new()).collect(),
            timers: Timers::new(slots),
            to_connect: VecDeque::with_capacity(slots),
            connecting: 0,
            pace: Pace::new(share.access.connect_rate, share.of),
            max_requests: share.access.max_requests,
            again: Vec::new(),
            ready: Vec::new(),
            request: Request::default(),
            secrets: Secrets::of(share),
            buffer: vec![0; READ_BUFFER_BYTES].into_boxed_slice(),
            busy: 0,
            in_flight: 0,
            established: 0,
            drain_end: end.saturating_add(share.graceful_stop),
            is_open: schedule.is_open(),
            graceful_stop: share.graceful_stop,
            stopped: None,
            quickack: share.quickack,
            arrivals: Arrivals::new(stamps, zero_at, share.poll_interval),
            schedule,
        }
    }

    /// Runs until the schedule is over and everything under way has ended.
    pub(super) fn run(mut self) -> std::io::Result<()> {
        let mut now = self.clock.now();
        self.start_due(now);
        while !self.is_over(now) {
            self.wait()?;
            self.serve_sockets();
            now = self.clock.now();
            self.heed_stop(now);
            self.fire_timers(now);
            self.start_due(now);
            self.publish(now);
        }
        self.end(now);
        Ok(())
    }

    // ---- wait ----------------------------------------------------------------------------------------------------------------

    fn wait(&mut self) -> std::io::Result<()> {
        let deadline = self.next_deadline();
        let mut entered = self.clock.now();
        self.ledger.tally.pass(entered.since(self.arrivals.polled));
        let nothing_left = self.again.is_empty();
        let pause = self.arrivals.pause(entered, deadline, self.in_flight);
        if nothing_left && pause > Nanos::ZERO {
            self.poller.pause(pause);
            entered = self.clock.now();
        }
        let timeout = if nothing_left { deadline.since(entered).min(MAX_WAIT) } else { Nanos::ZERO };
        let mut ready = std::mem::take(&mut self.ready);
        let result = self.poller.wait(timeout, &mut ready);
        self.ready = ready;
        if result? {
            self.arrivals.poll_returned(entered, self.clock.now());
        }
        if self.arrivals.stamps {
            self.arrivals.set_zero(self.clock.zero_at());
        }
        Ok(())
    }

    fn next_deadline(&self) -> Nanos {
        let due = if self.stopped.is_some() { None } else { self.schedule.next_due() };
        let timer = self.timers.next_deadline();
        let mut next = self.ledger.next_turn().min(self.drain_end);
        let connect = if self.to_connect.is_empty() { None } else { self.pace.next_at() };
        for deadline in [due, timer, connect].into_iter().flatten() {
            next = next.min(deadline);
        }
        next
    }

    // ---- serve sockets -------------------------------------------------------------------------------------------------------

    fn serve_sockets(&mut self) {
        // Taken before anything is read: what is put there in this pass has its turn in the next.
        let mut again = std::mem::take(&mut self.again);
        for i in 0..self.ready.len() {
            let ready = self.ready[i];
            if let Some(next) = self.ready.get(i + 1) {
                self.connections[slot_of(next.token).0 as usize].come_closer();
            }
            let (slot, generation) = slot_of(ready.token);
            if self.connections[slot as usize].generation != generation {
                continue;
            }
            self.serve(slot, ready);
        }
        for slot in again.drain(..) {
            self.read(slot, true);
        }
        // The memory is kept, unless there is new work in the other list.
        if self.again.is_empty() {
            self.again = again;
        }
    }

    fn serve(&mut self, slot: u32, ready: Ready) {
        match self.connections[slot as usize].state {
            State::Connecting if ready.writable || ready.closed => return self.finish_connecting(slot, ready.closed),
            State::Connecting => return,
            State::Securing => return self.secure(slot, ready.closed),
            _ => {}
        }
        if ready.writable {
            let step = self.connections[slot as usize].writable();
            self.follow(slot, step);
        }
        if ready.readable || ready.closed {
            self.read(slot, ready.closed);
        }
    }

    /// Reads until the socket is empty.
    ///
    /// A read that does not fill the buffer has emptied it: edge-triggered epoll reports what comes later. The exception is a peer that
    /// has closed: its FIN may have come with the data, and then no further event follows, so reads go on until it is seen.
    fn read(&mut self, slot: u32, closed: bool) {
        let generation = self.connections[slot as usize].generation;
        let connection = &self.connections[slot as usize];
        if connection.pace().is_some() && connection.state != State::Upgrading {
            return self.read_slowly(slot);
        }
        for _ in 0..READS_PER_PASS {
            let connection = &mut self.connections[slot as usize];
            if connection.generation != generation || !connection.is_established() {
                return;
            }
            let result = connection.recv(&mut self.buffer, self.arrivals.stamps);
            let now = self.clock.now();
            let stamp = result.as_ref().ok().and_then(|received| received.stamp);
            let Dated { arrival, lag } = self.arrivals.date(stamp, connection.exchange.sample.sent, now);
            let drained = result.as_ref().is_ok_and(|received| received.drained);
            let status = result.map(|received| received.status);
            let reader = &mut self.readers[connection.exchange.sample.kind as usize];
            let step = match status {
                Ok(IoStatus::Done(n)) => {
                    match lag {
                        Some(lag) => self.ledger.tally.client_lag(lag),
                        None if self.arrivals.stamps => self.ledger.tally.stamp_missing(),
                        None => {}
                    }
                    if self.quickack {
                        connection.acknowledge();
                    }
                    let limits_were = connection.exchange.limits();
                    let tally = self.ledger.of(connection.exchange.phase);
                    let step = connection.received(&self.buffer[..n], arrival, reader, tally);
                    if step != Step::Wait {
                        self.follow_at(slot, step, arrival.at);
                    } else if connection.exchange.limits() != limits_were {
                        self.arm_response(slot);
                    }
                    if drained && !closed {
                        return;
                    }
                    continue;
                }
                Ok(IoStatus::Blocked) => return,
                Ok(IoStatus::Closed) => {
                    connection.peer_closed(arrival, reader, self.ledger.of(connection.exchange.phase))
                }
                Err(error) => connection.broke(&error),
            };
            self.follow_at(slot, step, arrival.at);
            return;
        }
        self.again.push(slot);
    }

    // ---- fire timers ---------------------------------------------------------------------------------------------------------

    fn fire_timers(&mut self, now: Nanos) {
        while let Some(slot) = self.timers.pop_due(now) {
            self.connections[slot as usize].timer_at = Nanos::MAX;
            let limits = &self.timeouts[self.kind_of(slot)];
            let connection = &mut self.connections[slot as usize];
            match connection.deadline(limits) {
                None => {}
                Some(deadline) if deadline > now => self.arm(slot, deadline),
                Some(_) if connection.give_up <= now && self.schedule.is_active(slot) => {
                    // Its user was called back before the request was over.
                    self.connections[slot as usize].give_up = Nanos::MAX;
                    self.arm_response(slot);
                }
                Some(_) if connection.paused_until() <= now => self.read_slowly(slot),
                Some(_) => {
                    let (outcome, end) = connection.expired(limits, now);
                    self.finish(slot, outcome, false, end);
                }
            }
        }
    }

    /// Sets the slot's timer, unless it will fire early enough: a timer that fires too early is set again, which is rare, while moving
    /// it for each request would not be.
    fn arm(&mut self, slot: u32, deadline: Nanos) {
        let connection = &mut self.connections[slot as usize];
        if deadline < connection.timer_at {
            connection.timer_at = deadline;
            self.timers.set(slot, deadline);
        }
    }

    fn arm_response(&mut self, slot: u32) {
        let limits = &self.timeouts[self.kind_of(slot)];
        if let Some(deadline) = self.connections[slot as usize].deadline(limits) {
            self.arm(slot, deadline);
        }
    }

    /// The kind of the request under way, for its limits. While connecting there is none yet; the kinds' connect limits are those of
    /// the request that waits.
    fn kind_of(&self, slot: u32) -> usize {
        self.connections[slot as usize].exchange.sample.kind as usize
    }

    // ---- start what is due ---------------------------------------------------------------------------------------------------

    fn start_due(&mut self, now: Nanos) {
        if self.stopped.is_none() {
            for _ in 0..STARTS_PER_PASS {
                match self.schedule.due(now) {
                    Some(Turn::Start(start)) => self.start(start),
                    Some(Turn::Retire { slot, give_up }) => self.retire(slot, give_up),
                    None => break,
                }
            }
            self.count_offered();
            self.ledger.tally.level(Gauge::Vus, u64::from(self.schedule.vus(now)));
        }
        self.connect_waiting(now);
    }

    /// Arrivals are counted where they come due, whoever takes them up, and when.
    fn count_offered(&mut self) {
        let offered = self.schedule.take_offered();
        if offered.arrivals > 0 {
            self.ledger.tally.arrivals(offered.arrivals, offered.dropped);
        }
    }

    fn start(&mut self, start: Start) {
        let slot = start.slot;
        if self.is_open {
            let now = self.clock.now();
            self.ledger.tally.arrival_started(self.ledger.place(now).window.covers(now));
        }
        let connection = &mut self.connections[slot as usize];
        debug_assert!(!connection.is_busy(), "a user has one request at a time");
        connection.start = start;
        connection.give_up = Nanos::MAX;
        connection.retried = false;
        self.busy += 1;
        self.ledger.tally.started();
        let needs_its_own = self.scenario.reads_slowly(start.draw_vu, start.iteration);
        if connection.state == State::Idle && !needs_its_own {
            return self.send(slot);
        }
        self.close(slot);
        self.connections[slot as usize].state = State::Queued;
        self.to_connect.push_back(slot);
    }

    fn send(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        let way = connection.way;
        self.scenario.write(way.target, connection.start.draw_vu, connection.start.iteration, &mut self.request);
        let expect = self.expects[self.request.kind as usize];
        if !connection.suits(expect) {
            return self.change_over(slot, expect);
        }
        let intended = self.is_open.then_some(connection.start.intended);
        // Read immediately before the write: everything is measured from here.
        let now = self.clock.now();
        connection.behave(self.request.manners);
        let step = connection.send(&self.request.bytes, expect, now, self.ledger.place(now));
        connection.exchange.sample.intended = intended;
        self.set_in_flight(self.in_flight + 1);
        if step == Step::Wait {
            self.arm_response(slot);
        } else {
            self.follow_at(slot, step, now);
        }
    }

    fn retire(&mut self, slot: u32, give_up: Nanos) {
        let connection = &mut self.connections[slot as usize];
        if connection.is_busy() {
            connection.give_up = give_up;
            self.arm(slot, give_up);
        } else if connection.is_established() {
            self.close(slot);
        }
    }

    // ---- what follows --------------------------------------------------------------------------------------------------------

    fn follow(&mut self, slot: u32, step: Step) {
        if step != Step::Wait {
            let now = self.clock.now();
            self.follow_at(slot, step, now);
        }
    }

    fn follow_at(&mut self, slot: u32, step: Step, at: Nanos) {
        match step {
            Step::Wait => {}
            Step::Upgraded => self.upgraded(slot),
            Step::Over { outcome, reusable } => self.finish(slot, outcome, reusable, at),
            Step::Gone => self.close(slot),
            Step::Stale => self.send_again(slot),
        }
    }

    /// The request of `slot` is over: its sample is recorded and its user told.
    fn finish(&mut self, slot: u32, outcome: Outcome, reusable: bool, end: Nanos) {
        let connection = &mut self.connections[slot as usize];
        let sample = self.goals.judged(connection.exchange.sample(outcome, end));
        self.ledger.of(connection.exchange.phase).record(&sample);
        if let Outcome::Failed(failure) = outcome {
            self.note_failure(slot, failure, end);
        }
        let connection = &mut self.connections[slot as usize];
        self.busy -= 1;
        if connection.is_in_flight() {
            self.set_in_flight(self.in_flight - 1);
        }
        let connection = &mut self.connections[slot as usize];
        let back_off = connection.back_off(outcome);
        let leaves = connection.give_up != Nanos::MAX && !self.schedule.is_active(slot);
        if reusable && !leaves && connection.may_serve(self.max_requests) {
            connection.keep();
        } else if let Some(stream) = self.give_up_socket(slot) {
            if outcome == Outcome::Cancelled && self.connections[slot as usize].vanishes() {
                stream.abort();
            } else {
                stream.close();
            }
        }
        self.schedule.finished(slot, end, back_off);
    }

    fn close(&mut self, slot: u32) {
        if let Some(stream) = self.give_up_socket(slot) {
            stream.close();
        }
    }

    fn give_up_socket(&mut self, slot: u32) -> Option<Stream> {
        let connection = &mut self.connections[slot as usize];
        if connection.is_opening() {
            self.connecting -= 1;
        }
        let was_established = connection.is_established();
        let stream = connection.close();
        if was_established {
            self.set_established(self.established - 1);
        }
        stream
    }

    fn set_in_flight(&mut self, n: u32) {
        self.in_flight = n;
        self.ledger.tally.level(Gauge::InFlight, u64::from(n));
    }

    fn set_established(&mut self, n: u32) {
        self.established = n;
        self.ledger.tally.level(Gauge::Connections, u64::from(n));
    }

    // ---- the end (what leaves the worker once a second: worker/publish.rs) ----------------------------------------------------

    fn heed_stop(&mut self, now: Nanos) {
        if self.stopped.is_some() || !self.stop.load(Ordering::Relaxed) {
            return;
        }
        // Who stops a test that only drains any more has waited long enough: what is left is cut off.
        let grace = if self.schedule.is_over(now) { Nanos::ZERO } else { self.graceful_stop };
        self.stopped = Some(now);
        self.schedule.close(now);
        self.ledger.close_window(now);
        self.drain_end = self.drain_end.min(now.saturating_add(grace));
        for connection in &mut self.connections {
            connection.exchange.close_window(now);
        }
    }

    fn is_over(&self, now: Nanos) -> bool {
        let nothing_new = self.stopped.is_some() || self.schedule.is_over(now);
        // Arrivals that still wait when the grace is over will not be started any more.
        (nothing_new && self.busy == 0) || now >= self.drain_end
    }

    /// Cuts off what is left, closes everything and reports for the last time.
    fn end(&mut self, now: Nanos) {
        self.schedule.close(now);
        self.count_offered();
        for slot in 0..self.connections.len() as u32 {
            let connection = &mut self.connections[slot as usize];
            if connection.is_busy() {
                if !connection.is_in_flight() {
                    self.prepare(slot, now);
                }
                self.finish(slot, Outcome::Interrupted, false, now);
            } else if let Some(stream) = connection.close() {
                stream.abort();
            }
        }
        self.note_arrivals();
        self.ledger.turn(now);
        self.ledger.publish(Some(Ended { at: now, stopped: self.stopped }));
    }
}

/// A slot and the generation of its socket in one token.
fn token_of(slot: u32, generation: u32) -> Token {
    Token((generation as usize) << 32 | slot as usize)
}

fn slot_of(token: Token) -> (u32, u32) {
    (token.0 as u32, (token.0 >> 32) as u32)
}
