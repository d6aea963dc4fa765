//! Exchanges over a WebSocket: the handshake, and responses that come as messages instead of an
//! event stream.
//!
//! ```text
//! bytes ─▶ http1 ─▶ 101 ─▶ websocket ─▶ a message, an event ─▶ Reader::read_event ─▶ tokens
//! ```
//!
//! A message is the data of an event. Its instant is the read that completed it. No framing
//! surrounds the whole response. It ends with its terminal event or with an error event, and then
//! the connection may carry the next request.

use super::channel::{Handshake, Phase};
use super::{Exchange, Failure, Flaw, Incoming, Outcome, Progress};
use crate::units::Nanos;
use crate::wire::{Event, sse, websocket};

impl Exchange {
    /// Charges the request that now begins with the bytes of the handshake.
    pub(in crate::engine) fn charge_handshake(&mut self) {
        if let Some(channel) = &mut self.channel {
            let traffic = std::mem::take(&mut channel.traffic);
            self.sample.bytes_sent = self.sample.bytes_sent.saturating_add(traffic.written as u32);
            self.sample.bytes_received += traffic.read;
        }
    }

    /// Reads bytes of the response to the handshake.
    pub(in crate::engine) fn shake_hands(&mut self, bytes: &[u8], at: Nanos) -> Handshake {
        let Some(mut channel) = self.channel.take() else { return failed(Failure::Internal) };
        let Phase::Opening(http) = &mut channel.phase else { return failed(Failure::Internal) };
        self.last_read = at;
        channel.traffic.read += bytes.len() as u64;
        let mut input = bytes;
        let mut switched = false;
        loop {
            let before = input;
            match http.next(&mut input) {
                None if self.flaw.is_none() => {
                    self.channel = Some(channel);
                    return Handshake::Pending;
                }
                Some(Ok(Event::Head(head))) if head.status == 101 => switched = true,
                Some(Ok(Event::Head(head))) => self.refused(head),
                Some(Ok(Event::Data(piece))) => self.excerpt.body(piece),
                Some(Ok(Event::End { .. })) if switched => {
                    channel.phase = Phase::Open(websocket::Decoder::new(input));
                    self.channel = Some(channel);
                    return Handshake::Open;
                }
                // The part of a refusal's body that came with its head is the example. The rest is
                // not waited for.
                None | Some(Ok(Event::End { .. })) => break,
                Some(Err(error)) => {
                    self.channel = Some(channel);
                    return match self.broken(error, before) {
                        Progress::Over { outcome, .. } => Handshake::Failed(outcome),
                        Progress::More | Progress::Closed => failed(Failure::Internal),
                    };
                }
            }
        }
        self.channel = Some(channel);
        failed(self.failure(Failure::BadWebsocket))
    }

    /// Notes a response that does not switch protocols. A success status is a failure, too: that
    /// server does not know the upgrade at this path.
    fn refused(&mut self, head: crate::wire::Head) {
        self.on_head(head);
        self.flaw = match self.flaw {
            Some(flaw) if !matches!(head.status, 200..=299) => Some(flaw),
            _ => Some(Failure::BadWebsocket),
        };
    }

    /// Reads messages of the response.
    pub(super) fn on_messages(&mut self, bytes: &[u8], incoming: &mut Incoming<'_>) -> Progress {
        self.sample.bytes_received += bytes.len() as u64;
        self.last_read = incoming.time.at;
        let Some(mut channel) = self.channel.take() else {
            return Progress::Over { outcome: Outcome::Failed(Failure::Internal), reusable: false };
        };
        let progress = match &mut channel.phase {
            Phase::Open(socket) => self.read_messages(socket, bytes, incoming),
            Phase::Opening(_) => Progress::Over { outcome: Outcome::Failed(Failure::Internal), reusable: false },
        };
        self.channel = Some(channel);
        progress
    }

    fn read_messages(
        &mut self,
        socket: &mut websocket::Decoder,
        bytes: &[u8],
        incoming: &mut Incoming<'_>,
    ) -> Progress {
        let mut input = bytes;
        let mut over = false;
        loop {
            let before = input;
            match socket.next(&mut input) {
                None if over => return Progress::Over { outcome: self.outcome(), reusable: true },
                None => return Progress::More,
                // Bytes after the end: the response is complete, but the connection is out of step.
                Some(_) if over => return Progress::Over { outcome: self.outcome(), reusable: false },
                Some(Ok(websocket::Event::Text(data))) => over = self.on_message(data, incoming),
                Some(Ok(websocket::Event::Closed)) => return Progress::Closed,
                Some(Err(error)) => return self.broken(error, before),
            }
        }
    }

    /// Reads a message. Returns true if the response ends with it.
    fn on_message(&mut self, data: &[u8], incoming: &mut Incoming<'_>) -> bool {
        let at = incoming.time.at;
        self.sample.first_byte.get_or_insert(at);
        let meaning = incoming.read_event(&sse::Event { name: b"", data });
        if meaning.is_err() && self.flaw.is_none() {
            self.excerpt.event(data);
        }
        let is_last = matches!(meaning, Err(Flaw::Error | Flaw::Incomplete));
        self.on_event(meaning, at);
        is_last || self.done_at().is_some()
    }

    /// Ends a response whose connection was closed. Without its terminal event it is truncated if
    /// the server `said` that it closes, else it was cut off.
    pub(in crate::engine) fn end_of_messages(&self, said: bool) -> Progress {
        let outcome = match self.outcome() {
            Outcome::Failed(Failure::Truncated) if !said => Outcome::Failed(self.failure(Failure::ClosedEarly)),
            outcome => outcome,
        };
        Progress::Over { outcome, reusable: false }
    }
}

const fn failed(class: Failure) -> Handshake {
    Handshake::Failed(Outcome::Failed(class))
}
