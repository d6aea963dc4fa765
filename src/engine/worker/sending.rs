//! Sends requests: on the user's present connection, on a new one, or again.

use super::Worker;
use super::state::KindState;
use crate::engine::connection::State;
use crate::engine::exchange::Expect;
use crate::engine::slot::Slot;
use crate::mix::Talk;
use crate::units::Nanos;

impl Worker<'_> {
    /// Sets the date of the next request, if requests carry a date. A request is signed when it is
    /// written, before its clock starts.
    fn date_request(&mut self) {
        if self.writer.signs() {
            self.writer.set_time(self.clock.unix_seconds());
        }
    }

    pub(super) fn send(&mut self, slot: Slot) {
        self.date_request();
        let connection = &mut self.connections[slot];
        let request = &mut self.buffers.request;
        let (target, start) = (connection.route.target, connection.start);
        let (talk, held) = (self.users.conversations.talk(slot), self.users.rows.held(slot));
        self.writer.write(target, start.draw_vu, start.iteration, talk, held, request);
        let &KindState { expect, template, .. } = &self.kinds[request.kind as usize];
        if !connection.can_carry(expect) {
            return self.switch_connection(slot, expect);
        }
        let intended = self.schedule.is_open().then_some(connection.start.intended);
        let (kind, row, asked) = (request.kind, request.row, request.asked);
        // Read immediately before the write: all times are measured from here.
        let now = self.clock.now();
        connection.apply_behavior(request.behavior);
        let placement = self.users.retrying.place(slot, self.records.tallies.placement(now));
        let step = connection.send(&request.bytes, expect, now, placement);
        let sample = &mut connection.exchange.sample;
        (sample.intended, sample.asked) = (intended, asked);
        sample.template = template;
        self.note_turn(slot, Some(now));
        if let Some(answers) = self.records.answers.as_mut().filter(|_| expect.stream) {
            let turn = self.connections[slot].exchange.sample.turn;
            answers.begin(slot, placement.phase, start.draw_vu, start.iteration, turn);
        }
        // A conversation takes one row, unless each turn takes one.
        let is_first = self.users.conversations.talk(slot).is_none_or(Talk::is_fresh);
        if self.count_started(slot) && (is_first || row.is_some()) {
            self.records.rows_sent.note(kind, row);
        }
        self.counts.set_in_flight(self.counts.in_flight + 1, &mut self.records.tallies.tally);
        self.follow_at(slot, step, now);
    }

    pub(super) fn send_on_new_connection(&mut self, slot: Slot) {
        self.close(slot);
        self.connections[slot].state = State::Queued;
        self.connect_queue.waiting.push_back(slot);
    }

    /// Switches a connection that cannot carry the request: a fresh connection becomes a WebSocket,
    /// any other is replaced by a new one.
    pub(super) fn switch_connection(&mut self, slot: Slot, expect: Expect) {
        self.date_request();
        let connection = &mut self.connections[slot];
        if !connection.is_fresh() {
            return self.send_on_new_connection(slot);
        }
        let (route, start, request) = (connection.route, connection.start, &mut self.buffers.request);
        let key = self.writer.write_upgrade(route.target, start.draw_vu, start.iteration, request);
        let now = self.clock.now();
        let step = connection.upgrade(&request.bytes, key.accept(), expect.kind, now);
        self.follow_at(slot, step, now);
    }

    /// Sends the request that waited for the WebSocket.
    pub(super) fn upgraded(&mut self, slot: Slot) {
        if let Some(channel) = &self.connections[slot].exchange.channel {
            self.records.tallies.tally.websocket_opened(self.clock.now().since(channel.since));
        }
        self.send(slot);
    }

    /// Sends the request again: the server had closed the connection before it saw the request.
    pub(super) fn send_again(&mut self, slot: Slot) {
        let exchange = &self.connections[slot].exchange;
        let (kind, in_window) = (exchange.sample.kind, exchange.window.covers(self.clock.now()));
        self.reuse.closed(exchange.last_kept, Nanos::ZERO);
        self.records.tallies.of(exchange.phase).stale_retry(kind, in_window);
        self.counts.set_in_flight(self.counts.in_flight - 1, &mut self.records.tallies.tally);
        self.close(slot);
        self.connections[slot].retry();
        self.connect_queue.waiting.push_front(slot);
    }
}
