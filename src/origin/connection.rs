//! One client: its socket, its unanswered bytes, the bytes it has not taken yet, and its stream.

use super::request::Pace;
use crate::units::Nanos;
use mio::net::TcpStream;
use std::io::{self, Read, Write};

/// Bytes that may wait for a client that does not read. A connection beyond that is closed: it does
/// not belong to a measurement.
const MAX_WAITING_BYTES: usize = 4 * 1024 * 1024;
/// Unparsed bytes that are kept: the longest request, and what a client that pipelines sends after
/// it.
const MAX_UNREAD_BYTES: usize = 8 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Connection {
    socket: TcpStream,
    /// Distinguishes it from earlier connections in the same slot.
    pub(super) generation: u32,
    /// Requests that are incomplete, or that wait for the end of a stream.
    pub(super) unread: Vec<u8>,
    /// Bytes that the kernel did not take.
    waiting: Vec<u8>,
    /// True if the current response is the last one.
    pub(super) closing: bool,
    pub(super) stream: Option<Stream>,
}

/// A stream under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stream {
    pub(super) pace: Pace,
    /// Time at which its request was read.
    pub(super) asked: Nanos,
    /// Number of token events sent so far.
    pub(super) sent: u32,
    /// Time at which the last event was written. `None` if the event had to wait.
    pub(super) last: Option<Nanos>,
}

impl Stream {
    /// Returns when the next event is due: the next token, or the end. Counted from the request, so
    /// that delays do not add up.
    pub(super) fn due(&self) -> Nanos {
        let gaps = Nanos(self.pace.gap.0.saturating_mul(u64::from(self.sent)));
        let first = self.asked.saturating_add(if self.pace.tokens == 0 { Nanos::ZERO } else { self.pace.ttft });
        first.saturating_add(gaps)
    }
}

/// The outcome of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// The kernel has taken all bytes.
    Whole,
    /// Some bytes wait until the client reads.
    Waits,
    /// The connection is unusable.
    Broken,
}

impl Connection {
    pub(super) fn new(socket: TcpStream, generation: u32) -> Self {
        Self { socket, generation, unread: Vec::new(), waiting: Vec::new(), closing: false, stream: None }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.socket.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    /// Writes bytes after all waiting ones.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Sent {
        if !self.waiting.is_empty() {
            return self.wait(bytes);
        }
        match self.write(bytes) {
            Ok(n) if n == bytes.len() => Sent::Whole,
            Ok(n) => self.wait(&bytes[n..]),
            Err(_) => Sent::Broken,
        }
    }

    /// Writes the waiting bytes, since the client reads again.
    pub(super) fn writable(&mut self) -> Sent {
        if self.waiting.is_empty() {
            return Sent::Whole;
        }
        let waiting = std::mem::take(&mut self.waiting);
        match self.write(&waiting) {
            Ok(n) if n == waiting.len() => Sent::Whole,
            Ok(n) => self.wait(&waiting[n..]),
            Err(_) => Sent::Broken,
        }
    }

    /// Returns true if nothing more is to be sent.
    pub(super) const fn is_over(&self) -> bool {
        self.closing && self.stream.is_none() && self.waiting.is_empty()
    }

    /// Keeps bytes for later. Returns false if there are too many.
    pub(super) fn keep_unread(&mut self, bytes: &[u8]) -> bool {
        self.unread.extend_from_slice(bytes);
        self.unread.len() <= MAX_UNREAD_BYTES
    }

    fn wait(&mut self, bytes: &[u8]) -> Sent {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() > MAX_WAITING_BYTES { Sent::Broken } else { Sent::Waits }
    }

    /// Writes as much as the kernel takes. Returns the number of bytes.
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<usize> {
        let whole = bytes.len();
        while !bytes.is_empty() {
            match self.socket.write(bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(whole - bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_counted_from_the_request() {
        let ms = Nanos::from_millis;
        let pace = Pace { ttft: ms(50), gap: ms(10), tokens: 2, spread: false };
        let mut stream = Stream { pace, asked: ms(1_000), sent: 0, last: None };
        assert_eq!(stream.due(), ms(1_050));
        stream.sent = 1;
        assert_eq!(stream.due(), ms(1_060));
        stream.sent = 2;
        assert_eq!(stream.due(), ms(1_070), "the end comes a gap after the last token");
        stream.pace.tokens = 0;
        stream.sent = 0;
        assert_eq!(stream.due(), ms(1_000), "a stream without tokens ends at once");
    }
}
