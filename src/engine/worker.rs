//! One worker: a thread, a poll, its connections, its shard of the plan, its tallies.
//!
//! The loop is a handful of steps, and every feature is the body of one of them:
//!
//! ```text
//!  ┌─▶ wait ─▶ serve sockets ─▶ check stop ─▶ fire timers ─▶ start what is due ─▶ publish ─┐
//!  └───────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! `check stop` looks at the stop flag; `publish` does something once a second. Reads come before
//! writes: a response that a pass completes is followed by the next request in the same pass, but
//! only after the socket's reads were dated. Running workers share only the budget for large
//! responses. No request and no event takes a lock, and after the warm-up of the buffers none
//! allocates.

mod connect_queue;
mod connecting;
mod conversations;
mod ending;
mod finish;
mod pauses;
mod records;
mod retries;
mod retry_rules;
mod reuse;
mod rows;
mod scenarios;
mod sending;
mod slow;
mod state;
#[cfg(test)]
mod tests;
mod users;

use super::channels::{Channels, Ended, Inbox};
use super::clock::Clock;
use super::connection::{State, Step};
use super::connections::Connections;
use super::exchange::Incoming;
use super::poller::Poller;
use super::ready::Ready;
use super::rx_time::{Receipt, ReceiveClock};
use super::slot::Slot;
use super::timers::Timers;
use crate::load::{Schedule, Start, Turn};
use crate::metrics::{Gauge, Outcome};
use crate::mix::RequestWriter;
use crate::net::{Dialer, IoStatus, Received};
use crate::plan::Plan;
use crate::redact::Redactor;
use crate::units::Nanos;
use connect_queue::{ConnectQueue, Pace};
use ending::Ending;
use records::{Left, Records};
use reuse::Reuse;
use state::{Buffers, Counts, KindState, Read};
use std::io;
use std::sync::atomic::Ordering;
use users::Users;

/// Maximum reads of one connection in one pass: a fast stream must not delay the others.
const READS_PER_PASS: usize = 16;
/// Maximum reads of all connections in one pass, 256 MiB at most. Then the stop flag is looked at
/// again, and the remaining reads wait for the next pass.
const READS_PER_PASS_IN_ALL: usize = 4096;
/// Maximum requests started in one pass. After a stall of the server thousands of arrivals may be
/// due at once, and responses must not wait until all of them are written.
const STARTS_PER_PASS: usize = 256;
/// The longest wait in a pass, and so the longest time until the stop flag is seen.
const MAX_WAIT: Nanos = Nanos::from_millis(50);

#[derive(Debug)]
pub(super) struct Worker<'a> {
    clock: Clock,
    poller: Poller,
    dialer: Dialer,
    inbox: Inbox<'a>,
    writer: RequestWriter,
    schedule: Schedule,
    users: Users,
    /// By the number of the kind of request.
    kinds: Vec<KindState>,
    connections: Connections,
    connect_queue: ConnectQueue,
    timers: Timers,
    buffers: Buffers,
    /// Removes secrets from examples of failures.
    redactor: Redactor,
    records: Records,
    counts: Counts,
    ending: Ending,
    reuse: Reuse,
    rx: ReceiveClock,
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        number: usize,
        shard: &'a Plan,
        writer: RequestWriter,
        clock: Clock,
        poller: Poller,
        dialer: Dialer,
        mut channels: Channels<'a>,
    ) -> Self {
        let schedule = Schedule::new(&shard.load());
        let slots = schedule.local_vus() as usize;
        let streams = shard.mix.kinds.iter().any(|kind| kind.stream);
        let stamps = shard.tuning.rx_timestamps.unwrap_or(streams && shard.access.unix_socket.is_none());
        let pace = Pace::new(shard.access.connect_rate, shard.shard.count);
        Self {
            rx: ReceiveClock::new(stamps, clock.zero_at(), shard.tuning.poll_interval),
            clock,
            poller,
            dialer,
            users: Users::new(shard, slots, channels.inbox.rows.take()),
            inbox: channels.inbox,
            writer,
            kinds: KindState::all(shard),
            connections: Connections::new(slots, shard.access.max_requests),
            connect_queue: ConnectQueue::new(slots, pace, shard.tuning.quickack),
            timers: Timers::new(slots),
            buffers: Buffers::new(),
            redactor: shard.redactor(),
            records: Records::new(number, shard, slots, channels.outbox),
            counts: Counts::default(),
            ending: Ending::new(schedule.end(), shard.graceful_stop),
            reuse: Reuse::default(),
            schedule,
        }
    }

    /// Runs until the schedule is over and every request has ended.
    pub(super) fn run(mut self) -> io::Result<Left> {
        let mut now = self.clock.now();
        self.check_stop(now);
        self.start_due(now);
        while !self.is_over(now) {
            self.wait()?;
            self.serve_sockets();
            now = self.clock.now();
            self.check_stop(now);
            self.fire_timers(now);
            self.start_due(now);
            self.publish(now);
        }
        self.end(now);
        Ok(self.records.leave())
    }

    // ---- wait ------------------------------------------------------------------------------

    fn wait(&mut self) -> io::Result<()> {
        let deadline = self.next_deadline();
        let mut entered = self.clock.now();
        self.records.tallies.tally.pass(entered.since(self.rx.polled));
        let nothing_left = self.buffers.pending_reads.is_empty();
        let pause = self.rx.pause(entered, deadline, self.counts.in_flight);
        if nothing_left && pause > Nanos::ZERO {
            self.poller.pause(pause);
            entered = self.clock.now();
        }
        let timeout = if nothing_left { deadline.since(entered).min(MAX_WAIT) } else { Nanos::ZERO };
        if self.poller.wait(timeout, &mut self.buffers.ready)? {
            self.rx.poll_returned(entered, self.clock.now());
        }
        if self.rx.stamps {
            self.rx.set_zero(self.clock.zero_at());
        }
        Ok(())
    }

    fn next_deadline(&self) -> Nanos {
        let spoken = self.users.conversations.next_due();
        let due =
            if self.ending.is_stopped() { None } else { self.schedule.next_due().into_iter().chain(spoken).min() };
        let (again, timer) = (self.users.retrying.next_due(), self.timers.next_deadline());
        let deadlines = [due, again, timer, self.connect_queue.next_at(), self.rows_due()];
        let next = self.records.tallies.next_turn().min(self.ending.drain_end());
        deadlines.into_iter().flatten().fold(next, Nanos::min)
    }

    // ---- serve sockets ---------------------------------------------------------------------

    fn serve_sockets(&mut self) {
        // Taken before anything is read: slots that are added in this pass wait for the next.
        let mut pending = std::mem::take(&mut self.buffers.pending_reads);
        self.buffers.reads_left = READS_PER_PASS_IN_ALL;
        for i in 0..self.buffers.ready.len() {
            let ready = self.buffers.ready[i];
            if let Some(next) = self.buffers.ready.get(i + 1) {
                self.connections[Slot::from_token(next.token).0].prefetch();
            }
            let (slot, generation) = Slot::from_token(ready.token);
            if self.connections[slot].generation == generation {
                self.serve(slot, ready);
            }
        }
        for slot in pending.drain(..) {
            if self.buffers.reads_left > 0 {
                self.read(slot, true);
            } else {
                self.buffers.pending_reads.push(slot);
            }
        }
        // The memory is kept, unless the other list is in use already.
        if self.buffers.pending_reads.is_empty() {
            self.buffers.pending_reads = pending;
        }
    }

    fn serve(&mut self, slot: Slot, ready: Ready) {
        match self.connections[slot].state {
            State::Connecting if ready.writable || ready.closed => {
                self.finish_connecting(slot, ready.closed);
                // Bytes that came together with the connection came before the request.
                if ready.readable && self.connections[slot].is_in_flight() {
                    self.read_early(slot, ready.closed);
                }
                return;
            }
            State::Connecting => return,
            State::Securing => return self.secure(slot, ready.closed),
            _ => {}
        }
        if ready.writable {
            let step = self.connections[slot].writable(self.rx.polled);
            self.follow(slot, step);
        }
        if ready.readable || ready.closed {
            self.read(slot, ready.closed);
        }
    }

    /// Reads until the socket is empty.
    ///
    /// A read that does not fill the buffer has emptied the socket: edge-triggered epoll reports
    /// later bytes. If the peer has closed, its FIN may have come with the data and no further
    /// event will follow, so the socket is read until the FIN is seen.
    fn read(&mut self, slot: Slot, closed: bool) {
        let connection = &self.connections[slot];
        if connection.pace().is_some() && connection.state != State::Upgrading {
            return self.read_slowly(slot);
        }
        let generation = connection.generation;
        for _ in 0..READS_PER_PASS {
            let connection = &self.connections[slot];
            if connection.generation != generation || !connection.is_established() {
                return;
            }
            self.buffers.reads_left = self.buffers.reads_left.saturating_sub(1);
            let read = self.receive(slot);
            let is_last = read.drained && !closed || !matches!(read.status, Ok(IoStatus::Done(_)));
            self.deliver(slot, read);
            if is_last {
                return;
            }
            if self.buffers.reads_left == 0 {
                break;
            }
        }
        self.buffers.pending_reads.push(slot);
    }

    /// Reads bytes that came before the request was sent.
    fn read_early(&mut self, slot: Slot, closed: bool) {
        let read = Read { early: true, ..self.receive(slot) };
        let generation = self.connections[slot].generation;
        self.deliver(slot, read);
        if self.connections[slot].generation == generation {
            self.read(slot, closed);
        }
    }

    /// Reads once into the buffer, and dates the bytes.
    fn receive(&mut self, slot: Slot) -> Read {
        let connection = &mut self.connections[slot];
        let received = connection.recv(&mut self.buffers.read, self.rx.stamps);
        let now = self.clock.now();
        let (status, stamp, drained) = match received {
            Ok(Received { status, stamp, drained }) => (Ok(status), stamp, drained),
            Err(error) => (Err(error), None, false),
        };
        let Receipt { time, lag, early } = self.rx.date(stamp, connection.sent(), now);
        if let Ok(IoStatus::Done(_)) = status {
            match lag {
                Some(lag) => self.records.tallies.tally.client_lag(lag),
                None if self.rx.stamps => self.records.tallies.tally.stamp_missing(),
                None => {}
            }
        }
        Read { status, time, early, drained }
    }

    /// Gives a read to its connection, and takes the resulting step.
    fn deliver(&mut self, slot: Slot, read: Read) {
        let connection = &mut self.connections[slot];
        let KindState { known, reader, .. } = &mut self.kinds[connection.kind()];
        let mut incoming = Incoming {
            time: read.time,
            budget: self.inbox.budget,
            early: read.early,
            reply: self.users.conversations.reply(slot),
            known,
            reader,
            tally: self.records.tallies.of(connection.phase()),
            gaps: self.records.recorder.as_mut().and_then(|recorder| recorder.gaps(slot)),
            text: self.records.answers.as_mut().and_then(|answers| answers.text(slot)),
        };
        let step = match read.status {
            Ok(IoStatus::Done(n)) => connection.received(&self.buffers.read[..n], &mut incoming),
            // The poll had returned, so the connection had ended by then.
            Ok(IoStatus::Closed) => connection.peer_closed(&mut incoming, self.rx.polled),
            Ok(IoStatus::Blocked) => connection.read_out(self.rx.polled),
            Err(error) => connection.broke(&error, self.rx.polled),
        };
        self.follow_at(slot, step, read.time.at);
    }

    // ---- check stop ------------------------------------------------------------------------

    fn check_stop(&mut self, now: Nanos) {
        if !self.ending.is_stopped() && self.inbox.stop.load(Ordering::Relaxed) {
            self.stop(now);
        }
    }

    /// Stops starting new requests.
    fn stop(&mut self, now: Nanos) {
        self.ending.stop(now, self.schedule.is_over(now));
        self.schedule.close(now);
        self.records.tallies.close_window(now);
        for connection in self.connections.iter_mut() {
            connection.exchange.close_window(now);
        }
    }

    // ---- fire timers -----------------------------------------------------------------------

    fn fire_timers(&mut self, now: Nanos) {
        while let Some(slot) = self.timers.pop_due(now).map(Slot) {
            let connection = &mut self.connections[slot];
            connection.timer_at = Nanos::MAX;
            let limits = &self.kinds[connection.kind()].timeouts;
            match connection.deadline(limits) {
                None => {}
                Some(deadline) if deadline > now => self.arm(slot, deadline),
                Some(_) if connection.give_up <= now && self.schedule.is_active(slot.0) => {
                    // The user was called back before the request was over.
                    connection.give_up = Nanos::MAX;
                    self.arm_response(slot);
                }
                Some(_) if connection.paused_until() <= now => self.read_slowly(slot),
                Some(_) if connection.whole().is_some() => self.finish_whole(slot),
                Some(_) => {
                    if connection.state == State::Queued {
                        self.prepare(slot, now);
                    }
                    let connection = &mut self.connections[slot];
                    let (outcome, end) = connection.expired(&self.kinds[connection.kind()].timeouts, now);
                    self.finish(slot, outcome, false, end);
                }
            }
        }
    }

    /// Sets the slot's timer, unless it will fire early enough. A timer that fires too early is set
    /// again. That is rare, and cheaper than moving the timer for each request.
    fn arm(&mut self, slot: Slot, deadline: Nanos) {
        let connection = &mut self.connections[slot];
        if deadline < connection.timer_at {
            connection.timer_at = deadline;
            self.timers.set(slot.0, deadline);
        }
    }

    /// Sets the timer to the slot's present limit. A slot that connects is under the limits of the
    /// request that waits for it.
    fn arm_response(&mut self, slot: Slot) {
        let connection = &self.connections[slot];
        if let Some(deadline) = connection.deadline(&self.kinds[connection.kind()].timeouts) {
            self.arm(slot, deadline);
        }
    }

    // ---- start what is due -----------------------------------------------------------------

    fn start_due(&mut self, now: Nanos) {
        if self.conversations_stop(now) {
            self.interrupt_pauses(now);
        }
        if self.ending.is_stopped() || now >= self.schedule.end() {
            self.interrupt_late_retries(now);
        }
        for _ in 0..STARTS_PER_PASS {
            if !self.retry_next(now) {
                break;
            }
        }
        self.start_late(now);
        if !self.ending.is_stopped() {
            for _ in 0..STARTS_PER_PASS {
                if self.speak_next(now) {
                    continue;
                }
                match self.schedule.due(now) {
                    Some(Turn::Start(start)) => self.start(start),
                    Some(Turn::Retire { slot, give_up }) => self.retire(Slot(slot), give_up),
                    None => break,
                }
            }
            self.count_offered();
            self.records.tallies.tally.level(Gauge::Vus, u64::from(self.schedule.vus(now)));
        }
        self.connect_waiting(now);
    }

    /// Counts arrivals when they come due, with or without a free user.
    fn count_offered(&mut self) {
        let offered = self.schedule.take_offered();
        if offered.arrivals > 0 {
            self.records.tallies.tally.arrivals(offered.arrivals, offered.dropped);
        }
    }

    fn start_with_row(&mut self, start: Start) {
        if self.schedule.is_open() {
            let now = self.clock.now();
            self.records.tallies.tally.arrival_started(self.records.tallies.placement(now).window.covers(now));
        }
        self.begin_conversation(start);
        self.begin(start);
    }

    /// Begins a user's request.
    fn begin(&mut self, start: Start) {
        let slot = Slot(start.slot);
        self.counts.busy += 1;
        let connection = &mut self.connections[slot];
        debug_assert!(!connection.is_busy(), "a user has one request at a time");
        connection.begin(start);
        self.users.retrying.begin(slot);
        self.dispatch(slot);
    }

    /// Puts the user's request on the wire.
    fn dispatch(&mut self, slot: Slot) {
        let connection = &self.connections[slot];
        let start = connection.start;
        let needs_its_own =
            self.writer.reads_slowly(start.draw_vu, start.iteration, self.users.conversations.talk(slot));
        if connection.state == State::Idle && !needs_its_own {
            self.send(slot);
        } else {
            self.send_on_new_connection(slot);
        }
    }

    fn retire(&mut self, slot: Slot, give_up: Nanos) {
        let connection = &mut self.connections[slot];
        if connection.is_busy() {
            connection.give_up = give_up;
            self.arm(slot, give_up);
        } else if self.users.retrying.is_waiting(slot) {
            connection.give_up = give_up;
            self.hasten_retry(slot, give_up);
        } else {
            if connection.is_established() {
                self.close(slot);
            }
            let now = self.clock.now();
            self.interrupt_pause(slot, now);
            self.retire_late(slot, now);
        }
    }

    // ---- what follows from a step ----------------------------------------------------------

    fn follow(&mut self, slot: Slot, step: Step) {
        if step != Step::Wait {
            let now = self.clock.now();
            self.follow_at(slot, step, now);
        }
    }

    fn follow_at(&mut self, slot: Slot, step: Step, at: Nanos) {
        match step {
            Step::Wait => {}
            Step::Rearm => self.arm_response(slot),
            Step::Upgraded => self.upgraded(slot),
            Step::Over { outcome, reusable } => self.finish(slot, outcome, reusable, at),
            Step::Whole => self.finish_whole(slot),
            Step::ReadOut => self.read(slot, true),
            Step::Condemned(failure) => self.condemn(slot, failure, at),
            Step::Gone => self.gone(slot, at),
            Step::Stale => self.send_again(slot),
        }
    }

    // ---- publish once a second -------------------------------------------------------------

    fn publish(&mut self, now: Nanos) {
        if now < self.records.tallies.next_turn() {
            return;
        }
        if self.records.tallies.publishes(now) {
            self.review_reads();
            self.records.hand_over();
            self.inbox.take_news(&mut self.dialer, &mut self.writer);
        }
        self.records.tallies.turn(now);
    }

    /// Reviews this second's reads: chooses the pause between polls, and checks the kernel's clock.
    fn review_reads(&mut self) {
        self.rx.choose_pause(self.records.tallies.mean_gap());
        if self.rx.clock_stepped() {
            self.records.tallies.tally.clock_stepped();
        }
    }

    // ---- the end ---------------------------------------------------------------------------

    fn is_over(&self, now: Nanos) -> bool {
        let nothing_new = self.ending.is_stopped() || self.schedule.is_over(now);
        // Arrivals that still wait when the grace is over are not started.
        (nothing_new && self.counts.busy == 0 && !self.users.any_to_come()) || now >= self.ending.drain_end()
    }

    /// Cuts off the remaining requests, closes all connections and reports for the last time.
    fn end(&mut self, now: Nanos) {
        self.interrupt_pauses(now);
        self.give_up_late(now);
        self.schedule.close(now);
        self.count_offered();
        for slot in self.connections.slots() {
            let connection = &mut self.connections[slot];
            if connection.is_busy() {
                if let Some((outcome, end)) = connection.whole() {
                    self.finish(slot, outcome, false, end);
                    continue;
                }
                if !connection.is_in_flight() {
                    self.prepare(slot, now);
                }
                self.finish(slot, Outcome::Interrupted, false, now);
            } else if self.users.retrying.is_waiting(slot) {
                self.interrupt_retry(slot, now);
            } else if let Some(stream) = connection.close() {
                stream.abort();
            }
        }
        self.review_reads();
        self.records.tallies.turn(now);
        self.records.hand_over();
        self.records.tallies.publish(Some(Ended { at: now, stopped: self.ending.stopped() }));
    }
}
