//! A connection that becomes a WebSocket, and what one does beside carrying requests.

use super::{Connection, State, Step};
use crate::engine::exchange::{Between, Channel, Expect, Handshake, Progress};
use crate::metrics::{Failure, Outcome};
use crate::units::Nanos;
use crate::wire::websocket::Accept;

impl Connection {
    /// Whether a request can be sent as it is: plainly over a plain connection, else over a
    /// WebSocket that is of its kind.
    pub(in crate::engine) fn can_carry(&self, expect: Expect) -> bool {
        match &self.exchange.channel {
            None => !expect.websocket,
            Some(channel) => expect.websocket && channel.is_open_for(expect.kind),
        }
    }

    /// Whether it has carried nothing yet.
    pub(in crate::engine) fn is_fresh(&self) -> bool {
        self.served == 0 && self.exchange.channel.is_none()
    }

    /// Asks for a WebSocket, which the server has to confirm with `accept`.
    pub(in crate::engine) fn upgrade(&mut self, bytes: &[u8], accept: Accept, kind: u16, now: Nanos) -> Step {
        self.state = State::Upgrading;
        let sent_before = self.exchange.sample.bytes_sent;
        let result = self.write(bytes);
        // They are the first request's, which has not begun.
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

    /// Bytes of the handshake's answer.
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

    /// Bytes that came while no request was under way.
    pub(super) fn between_requests(&mut self, bytes: &[u8]) -> Step {
        let Some(channel) = &mut self.exchange.channel else { return Step::Gone };
        let between = channel.idle(bytes);
        self.answer();
        match between {
            Between::Fine if self.state == State::Idle => Step::Wait,
            // A pong did not fit: the peer does not read what it asked for.
            Between::Fine | Between::Closed => Step::Gone,
            Between::Broken => self.out_of_step(bytes),
        }
    }

    /// The peer has said that it closes. As with the end of a connection: it may have done so
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

    /// Sends pongs, and the answer to the peer's closing. While a request is still being written
    /// they are left out: of several pings only the latest has to be answered (RFC 6455, section
    /// 5.5.3), and a peer that waits for more will ask again.
    pub(super) fn answer(&mut self) {
        let Some(answers) = self.exchange.channel.as_mut().and_then(|channel| channel.answers()) else { return };
        let answers = std::mem::take(answers);
        if !matches!(self.state, State::Idle | State::Receiving) {
            return;
        }
        // An error shows itself in the next read.
        let written = self.write(&answers).unwrap_or(answers.len());
        if written < answers.len() {
            self.state = State::Sending;
            self.keep_unsent(&answers[written..]);
        }
    }
}
