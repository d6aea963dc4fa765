//! From a request that waits for a connection to one that can be sent: where to, how fast, through which session.

use super::{State, Worker, token_of};
use crate::engine::connection::connect_failure;
use crate::metrics::{Failure, Outcome};
use crate::net::Opening;
use crate::units::Nanos;
use std::net::SocketAddr;

/// Connections that may be opening at once, sessions included. A listener's queue holds 128 to 4096; beyond it packets are dropped, and
/// the kernel tries again only after a second.
pub(super) const MAX_CONNECTING: usize = 256;

/// New addresses of the targets, in their order; none of those that could not be looked up.
pub(in crate::engine) type Addresses = Vec<Option<Vec<SocketAddr>>>;

/// How fast connections may be begun.
#[derive(Debug)]
pub(super) struct Pace {
    /// Zero for as fast as it goes.
    interval: Nanos,
    next_at: Nanos,
}

impl Pace {
    /// One of `of` equal parts of `rate` connections a second.
    pub(super) fn new(rate: Option<u32>, of: u32) -> Self {
        let interval = rate.map_or(0, |rate| 1_000_000_000 * u64::from(of) / u64::from(rate.max(1)));
        Self { interval: Nanos(interval), next_at: Nanos::ZERO }
    }

    /// When the next may begin; none if that does not matter.
    pub(super) fn next_at(&self) -> Option<Nanos> {
        (self.interval > Nanos::ZERO).then_some(self.next_at)
    }

    /// Takes a turn, if there is one at `now`. What was not used is lost: a pause is not followed by a storm.
    fn take(&mut self, now: Nanos) -> bool {
        if now < self.next_at {
            return false;
        }
        // A pass comes a little late each time; that must not add up.
        let due = if now.since(self.next_at) > self.interval { now } else { self.next_at };
        self.next_at = due.saturating_add(self.interval);
        true
    }
}

impl Worker<'_> {
    pub(super) fn connect_waiting(&mut self, now: Nanos) {
        while self.connecting < MAX_CONNECTING {
            let Some(&slot) = self.to_connect.front() else { return };
            let waits = self.connections[slot as usize].state == State::Queued;
            if waits && !self.pace.take(now) {
                return;
            }
            self.to_connect.pop_front();
            if waits {
                self.connect(slot);
            }
        }
    }

    fn connect(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        let way = self.dialer.next_way();
        connection.way = way;
        let now = self.clock.now();
        // The request is drawn now, for the limits of its kind and so that a failure is counted under its name.
        self.prepare(slot, now);
        let connection = &mut self.connections[slot as usize];
        let slowly = connection.pace().is_some();
        match self.poller.connect(&mut self.dialer, way, token_of(slot, connection.generation), slowly) {
            Ok(stream) => {
                if self.arrivals.stamps {
                    // Without it stamps are missing, which is counted.
                    let _ = stream.ask_for_stamps();
                }
                connection.opened(stream, now);
                self.connecting += 1;
                self.arm_response(slot);
            }
            Err(error) => {
                connection.exchange.system_error(&error);
                self.finish(slot, Outcome::Failed(connect_failure(&error)), false, now);
            }
        }
    }

    /// Begins the exchange of a request that is not on the wire yet.
    pub(super) fn prepare(&mut self, slot: u32, now: Nanos) {
        let connection = &mut self.connections[slot as usize];
        let way = connection.way;
        self.scenario.write(way.target, connection.start.draw_vu, connection.start.iteration, &mut self.request);
        let expect = self.expects[self.request.kind as usize];
        connection.behave(self.request.manners);
        connection.exchange.begin(expect, now, false, self.window_end);
        connection.exchange.sample.intended = self.is_open.then_some(connection.start.intended);
    }

    pub(super) fn finish_connecting(&mut self, slot: u32, closed: bool) {
        let now = self.clock.now();
        let connection = &mut self.connections[slot as usize];
        match connection.check_connected(now) {
            Ok(false) => {}
            Ok(true) if connection.state == State::Securing => self.secure(slot, closed),
            Ok(true) => self.established(slot),
            Err(failure) => self.finish(slot, Outcome::Failed(failure), false, now),
        }
    }

    pub(super) fn secure(&mut self, slot: u32, closed: bool) {
        let connection = &mut self.connections[slot as usize];
        match connection.secure(&mut self.buffer, closed) {
            Ok(Opening::Pending) => {}
            Ok(Opening::Open { resumed }) => {
                let took = self.clock.now().since(connection.connect_since + connection.connect_took());
                self.tally.connection_secured(took, resumed);
                self.established(slot);
            }
            Err(failure) => {
                let now = self.clock.now();
                self.finish(slot, Outcome::Failed(failure), false, now);
            }
        }
    }

    fn established(&mut self, slot: u32) {
        let connection = &self.connections[slot as usize];
        self.connecting -= 1;
        self.tally.connection_opened(connection.connect_took());
        self.tally.attempted(self.dialer.addr(connection.way), true);
        self.set_established(self.established + 1);
        self.send(slot);
    }

    /// Counts where a failure happened, before it is forgotten with the connection.
    pub(super) fn note_failure(&mut self, slot: u32, failure: Failure, at: Nanos) {
        let connection = &mut self.connections[slot as usize];
        if self.tally.wants_example(failure, at) {
            self.tally.example(failure, at, connection.exchange.example(&self.secrets));
        }
        if failure == Failure::Tls {
            let trouble = connection.trouble.take();
            self.tally.tls_trouble(trouble.map_or("other", crate::net::tls::Trouble::name));
        }
        // A slot that waits, or could not begin, has the state it waits in.
        if matches!(connection.state, State::Queued | State::Connecting | State::Securing) {
            self.tally.attempted(self.dialer.addr(connection.way), false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_begin_at_their_pace_and_not_in_storms() {
        let mut pace = Pace::new(Some(100), 2);
        let ms = Nanos::from_millis;
        assert!(pace.take(ms(0)) && !pace.take(ms(19)) && pace.take(ms(20)));
        // Late by a little: the next is not late for that.
        assert!(pace.take(ms(41)) && pace.take(ms(60)));
        // A long pause.
        assert!(pace.take(ms(500)) && !pace.take(ms(510)) && pace.take(ms(520)));
        assert_eq!(pace.next_at(), Some(ms(540)));
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let mut pace = Pace::new(None, 1);
        assert!((0..1000).all(|_| pace.take(Nanos::ZERO)));
        assert_eq!(pace.next_at(), None);
    }
}
