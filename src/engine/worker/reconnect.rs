//! Requests that cannot be sent over the connection that there is: it was closed just then, or they need a WebSocket of their kind.

use super::Worker;
use crate::engine::connection::{State, Step};
use crate::engine::exchange::Expect;

impl Worker<'_> {
    /// The server had closed the connection before it answered.
    pub(super) fn send_again(&mut self, slot: u32) {
        let exchange = &self.connections[slot as usize].exchange;
        let (kind, in_window) = (exchange.sample.kind, exchange.window.covers(self.clock.now()));
        self.ledger.of(exchange.phase).stale_retry(kind, in_window);
        self.set_in_flight(self.in_flight - 1);
        self.close(slot);
        let connection = &mut self.connections[slot as usize];
        connection.retried = true;
        connection.state = State::Queued;
        self.to_connect.push_front(slot);
    }

    /// The connection cannot carry the request as it is: a fresh one becomes a WebSocket, any other gives way to a new one.
    pub(super) fn change_over(&mut self, slot: u32, expect: Expect) {
        let connection = &mut self.connections[slot as usize];
        if !connection.is_fresh() {
            self.close(slot);
            self.connections[slot as usize].state = State::Queued;
            self.to_connect.push_back(slot);
            return;
        }
        let (way, start) = (connection.way, connection.start);
        let key = self.scenario.write_upgrade(way.target, start.draw_vu, start.iteration, &mut self.request);
        let now = self.clock.now();
        let step = connection.upgrade(&self.request.bytes, key.accept(), expect.kind, now);
        if step == Step::Wait {
            self.arm_response(slot);
        } else {
            self.follow_at(slot, step, now);
        }
    }

    /// The connection has become a WebSocket.
    pub(super) fn upgraded(&mut self, slot: u32) {
        if let Some(channel) = &self.connections[slot as usize].exchange.channel {
            self.ledger.tally.websocket_opened(self.clock.now().since(channel.since));
        }
        self.send(slot);
    }
}
