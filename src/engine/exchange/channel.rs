//! A WebSocket: the handshake, then the channel that carries messages.

use crate::metrics::Outcome;
use crate::units::Nanos;
use crate::wire::{http1, websocket};

/// A connection that is, or becomes, a WebSocket. It belongs to one kind of request: path and
/// headers are those of its handshake.
#[derive(Debug)]
pub(in crate::engine) struct Channel {
    kind: u16,
    /// When the handshake was sent.
    pub(in crate::engine) since: Nanos,
    pub(super) phase: Phase,
    /// Bytes of the handshake that no request has been charged with.
    pub(super) traffic: Traffic,
}

/// Bytes of a handshake.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Traffic {
    pub(super) written: u64,
    pub(super) read: u64,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the smaller one lasts for a round trip, the other as long as the connection"
)]
pub(super) enum Phase {
    /// The handshake is not answered yet.
    Opening(http1::Decoder),
    Open(websocket::Decoder),
}

/// The kind of bytes that came between two requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Between {
    /// Pings, pongs, or a part of a frame.
    Fine,
    Closed,
    /// A message that no request asked for, or broken frames.
    Broken,
}

/// The state of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Handshake {
    /// Its response is not complete.
    Pending,
    /// Messages may be sent.
    Open,
    /// The handshake has failed.
    Failed(Outcome),
}

impl Channel {
    /// Begins a handshake of `written` bytes for that kind of request. The server has to confirm it
    /// with `accept`.
    pub(in crate::engine) fn opening(kind: u16, accept: websocket::Accept, now: Nanos, written: u64) -> Box<Self> {
        let phase = Phase::Opening(http1::Decoder::for_upgrade(accept));
        Box::new(Self { kind, since: now, phase, traffic: Traffic { written, read: 0 } })
    }

    /// Returns true if requests of that kind may be sent.
    pub(in crate::engine) fn is_open_for(&self, kind: u16) -> bool {
        self.kind == kind && matches!(self.phase, Phase::Open(_))
    }

    /// Returns the frames that the protocol itself has to send: pongs and the reply to a close.
    pub(in crate::engine) fn answers(&mut self) -> Option<&mut Vec<u8>> {
        match &mut self.phase {
            Phase::Opening(_) => None,
            Phase::Open(socket) => Some(socket.answers()).filter(|answers| !answers.is_empty()),
        }
    }

    /// Returns the number of bytes of a message that is not complete.
    pub(super) fn held(&self) -> usize {
        match &self.phase {
            Phase::Opening(_) => 0,
            Phase::Open(socket) => socket.held(),
        }
    }

    /// Reads bytes that came between two requests.
    pub(in crate::engine) fn idle(&mut self, bytes: &[u8]) -> Between {
        let mut input = bytes;
        let Phase::Open(socket) = &mut self.phase else { return Between::Broken };
        match socket.next(&mut input) {
            None => Between::Fine,
            Some(Ok(websocket::Event::Closed)) => Between::Closed,
            Some(_) => Between::Broken,
        }
    }
}
