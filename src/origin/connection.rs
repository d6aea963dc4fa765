//! One client: its socket, what it said that is not answered yet, what it has not taken yet, and
//! its stream.

use super::request::Pace;
use crate::units::Nanos;
use mio::net::TcpStream;
use std::io::{self, Read, Write};

/// Bytes that wait for a client that does not read. A connection beyond that is closed: it is not
/// one that is measured.
const MAX_WAITING_BYTES: usize = 4 * 1024 * 1024;
/// Bytes that wait to be looked at: the longest request, and what a client that does not wait for
/// answers sends after it.
const MAX_UNREAD_BYTES: usize = 8 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Connection {
    socket: TcpStream,
    /// Tells it from those that had its place before.
    pub(super) generation: u32,
    /// Requests that are not whole yet, or have to wait for the end of a stream.
    pub(super) unread: Vec<u8>,
    /// What the kernel did not take.
    waiting: Vec<u8>,
    /// The answer under way is the last one.
    pub(super) closing: bool,
    pub(super) stream: Option<Stream>,
}

/// A stream under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stream {
    pub(super) pace: Pace,
    /// When its request was read.
    pub(super) asked: Nanos,
    /// Token events so far.
    pub(super) sent: u32,
    /// When the last of them was written; none when it had to wait.
    pub(super) last: Option<Nanos>,
}

impl Stream {
    /// When the next event is due: the next token, or the end. Counted from the request, so that no
    /// lateness adds up.
    pub(super) fn due(&self) -> Nanos {
        let gaps = Nanos(self.pace.gap.0.saturating_mul(u64::from(self.sent)));
        let first = self.asked.saturating_add(if self.pace.tokens == 0 { Nanos::ZERO } else { self.pace.ttft });
        first.saturating_add(gaps)
    }
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// The kernel has it all.
    Whole,
    /// A part waits until the client reads.
    Waits,
    /// The connection is of no more use.
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

    /// Writes behind everything that waits.
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

    /// The client reads again.
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

    /// Nothing more is to be said.
    pub(super) const fn is_over(&self) -> bool {
        self.closing && self.stream.is_none() && self.waiting.is_empty()
    }

    /// Keeps bytes for later; false when there are too many.
    pub(super) fn keep_unread(&mut self, bytes: &[u8]) -> bool {
        self.unread.extend_from_slice(bytes);
        self.unread.len() <= MAX_UNREAD_BYTES
    }

    fn wait(&mut self, bytes: &[u8]) -> Sent {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() > MAX_WAITING_BYTES { Sent::Broken } else { Sent::Waits }
    }

    /// As much as the kernel takes.
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
