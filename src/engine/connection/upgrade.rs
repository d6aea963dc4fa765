//! The upgrade of a connection to a WebSocket, and its traffic between requests.

use super::{Connection, State, Step};
use crate::engine::exchange::{Between, Channel, Expect, Handshake, Progress};
use crate::metrics::{Failure, Outcome};
use crate::units::Nanos;
use crate::wire::websocket::Accept;

impl Connection {
    /// Returns true if the connection can carry the request: a plain connection a plain request, a
    /// WebSocket a request of its own kind.
    pub(in crate::engine) fn can_carry(&self, expect: Expect) -> bool {
        match &self.exchange.channel {
            None => !expect.websocket,
            Some(channel) => expect.websocket && channel.is_open_for(expect.kind),
        }
    }

    /// Returns true if the connection has carried no request yet.
    pub(in crate::engine) fn is_fresh(&self) -> bool {
        self.served == 0 && self.exchange.channel.is_none()
    }

    /// Asks for a WebSocket, which the server has to confirm with `accept`.
    pub(in crate::engine) fn upgrade(&mut self, bytes: &[u8], accept: Accept, kind: u16, now: Nanos) -> Step {
        self.state = State::Upgrading;
        let sent_before = self.exchange.sample.bytes_sent;
        let result = self.write(bytes);
        // The first request is charged with these bytes, and it has not begun.
        self.exchange.sample.bytes_sent = sent_before;
        match result {
            Ok(written) => {
                self.exchange.channel = Some(Channel::opening(kind, accept, now, bytes.len() as u64));
                self.keep_unsent(&bytes[written..]);
                Step::Rearm
            }
            Err(error) => self.takes_no_more(&error, now),
        }
    }

    /// Reads bytes of the response to the handshake.
    pub(super) fn shake_hands(&mut self, bytes: &[u8], at: Nanos) -> Step {
        match self.exchange.shake_hands(bytes, at) {
            Handshake::Pending => Step::Wait,
            Handshake::Open => {
                self.state = State::Idle;
                Step::Upgraded
            }
            Handshake::Failed(outcome) => Step::Over { outcome, reusable: false },
        }
    }

    /// Reads bytes that came while no request was under way.
    pub(super) fn between_requests(&mut self, bytes: &[u8]) -> Step {
        let Some(channel) = &mut self.exchange.channel else { return Step::Gone };
        let between = channel.idle(bytes);
        self.answer();
        match between {
            Between::Fine if self.state == State::Idle => Step::Wait,
            // A pong did not fit: the peer does not read the replies to its pings.
            Between::Fine | Between::Closed => Step::Gone,
            Between::Broken => self.out_of_step(bytes),
        }
    }

    /// Handles a close frame of the peer. As with a closed connection, the peer may have sent it
    /// before it saw the request.
    pub(super) fn closed_by_word(&mut self, at: Nanos) -> Step {
        if self.may_retry(at) {
            return Step::Stale;
        }
        match self.exchange.end_of_messages(true) {
            Progress::Over { outcome, .. } => Step::Over { outcome, reusable: false },
            Progress::More | Progress::Closed => {
                Step::Over { outcome: Outcome::Failed(Failure::ClosedEarly), reusable: false }
            }
        }
    }

    /// Sends pongs, and the reply to the peer's close frame. They are dropped while a request is
    /// still being written: only the latest of several pings needs a reply (RFC 6455, section
    /// 5.5.3), and a peer that waits for more will ask again.
    pub(super) fn answer(&mut self) {
        let Some(answers) = self.exchange.channel.as_mut().and_then(|channel| channel.answers()) else { return };
        let answers = std::mem::take(answers);
        if !matches!(self.state, State::Idle | State::Receiving) {
            return;
        }
        // The next read shows an error.
        let written = self.write(&answers).unwrap_or(answers.len());
        if written < answers.len() {
            self.state = State::Sending;
            self.keep_unsent(&answers[written..]);
        }
    }
}
