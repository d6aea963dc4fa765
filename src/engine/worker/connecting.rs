//! From a request that waits for a connection to one that can be sent: the choice of the address,
//! the pace of connecting, the TLS session. Also the closing of connections.

use super::Worker;
use super::connect_queue::MAX_CONNECTING;
use crate::engine::connection::{State, connect_failure};
use crate::engine::slot::Slot;
use crate::metrics::Outcome;
use crate::net::{Opening, Stream};
use crate::units::Nanos;

impl Worker<'_> {
    pub(super) fn connect_waiting(&mut self, now: Nanos) {
        while self.connect_queue.opening < MAX_CONNECTING {
            let Some(&slot) = self.connect_queue.waiting.front() else { return };
            let waits = self.connections[slot].state == State::Queued;
            if waits && !self.connect_queue.pace.take(now) {
                return;
            }
            self.connect_queue.waiting.pop_front();
            if waits {
                self.connect(slot);
            }
        }
    }

    fn connect(&mut self, slot: Slot) {
        let route = self.dialer.next_route();
        self.connections[slot].route = route;
        let now = self.clock.now();
        // The request is drawn now: its kind sets the limits, and a failure is counted under the
        // kind's name.
        self.prepare(slot, now);
        let connection = &mut self.connections[slot];
        let slowly = connection.pace().is_some();
        match self.poller.connect(&mut self.dialer, route, slot.token(connection.generation), slowly) {
            Ok(mut stream) => {
                if self.rx.stamps {
                    // If this fails, stamps are missing, and the missing stamps are counted.
                    let _ = stream.ask_for_stamps();
                }
                if self.connect_queue.quickack {
                    stream.acknowledge_at_once();
                }
                connection.opened(stream, now);
                self.connect_queue.opening += 1;
                self.arm_response(slot);
            }
            Err(error) => {
                connection.exchange.system_error(&error);
                self.finish(slot, Outcome::Failed(connect_failure(&error)), false, now);
            }
        }
    }

    /// Begins the exchange of a request that is not on the wire yet.
    pub(super) fn prepare(&mut self, slot: Slot, now: Nanos) {
        let connection = &mut self.connections[slot];
        let (target, start) = (connection.route.target, connection.start);
        let request = &mut self.buffers.request;
        let (talk, held) = (self.users.conversations.talk(slot), self.users.rows.held(slot));
        self.writer.write(target, start.draw_vu, start.iteration, talk, held, request);
        let expect = self.kinds[request.kind as usize].expect;
        connection.apply_behavior(request.behavior);
        // The clock of a request that is sent again keeps running.
        if !connection.is_retried() {
            let placement = self.users.retrying.place(slot, self.records.tallies.placement(now));
            connection.exchange.begin(expect, now, false, placement);
            connection.exchange.sample.intended = self.schedule.is_open().then_some(start.intended);
            self.note_turn(slot, None);
        }
    }

    pub(super) fn finish_connecting(&mut self, slot: Slot, closed: bool) {
        let now = self.clock.now();
        let connection = &mut self.connections[slot];
        match connection.check_connected(now) {
            Ok(false) => {}
            Ok(true) if connection.state == State::Securing => self.secure(slot, closed),
            Ok(true) => self.established(slot),
            Err(failure) => self.finish(slot, Outcome::Failed(failure), false, now),
        }
    }

    pub(super) fn secure(&mut self, slot: Slot, closed: bool) {
        let connection = &mut self.connections[slot];
        match connection.secure(&mut self.buffers.read, closed) {
            Ok(Opening::Pending) => {}
            Ok(Opening::Open { resumed }) => {
                let took = self.clock.now().since(connection.connect_since + connection.connect_took());
                self.records.tallies.tally.connection_secured(took, resumed);
                self.established(slot);
            }
            Err(failure) => {
                let now = self.clock.now();
                self.finish(slot, Outcome::Failed(failure), false, now);
            }
        }
    }

    fn established(&mut self, slot: Slot) {
        let connection = &self.connections[slot];
        self.connect_queue.opening -= 1;
        let tally = &mut self.records.tallies.tally;
        tally.connection_opened(connection.connect_took());
        tally.attempted(self.dialer.addr(connection.route), true);
        self.counts.set_established(self.counts.established + 1, tally);
        if let Some(recorder) = &mut self.records.recorder {
            recorder.connected(slot, connection.local_port());
        }
        self.send(slot);
    }

    pub(super) fn close(&mut self, slot: Slot) {
        if let Some(stream) = self.take_stream(slot) {
            stream.close();
        }
    }

    /// Takes the socket away from its connection. The caller closes or aborts it.
    pub(super) fn take_stream(&mut self, slot: Slot) -> Option<Stream> {
        let connection = &mut self.connections[slot];
        if connection.is_opening() {
            self.connect_queue.opening -= 1;
        }
        let was_established = connection.is_established();
        let stream = connection.close();
        if was_established {
            self.counts.set_established(self.counts.established - 1, &mut self.records.tallies.tally);
        }
        stream
    }
}
