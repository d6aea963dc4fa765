//! A TLS session without a socket.
//!
//! A session decrypts in place. It keeps no buffers of its own except for the rest of an incomplete
//! record, and few of thousands of connections are in the middle of one. So it uses rustls'
//! unbuffered connection: the buffered one keeps 4 KiB per connection for good.

use rustls::client::UnbufferedClientConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus};
use rustls::{Error, HandshakeKind};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// Room for plaintext before the ciphertext in a read buffer. A record's plaintext is 16 KiB at
/// most (RFC 8446, section 5.1), and is written before its ciphertext may be overwritten.
pub(in crate::net) const HEADROOM: usize = 17 * 1024;
/// The longest record: 16 KiB, the most that encryption may add, and the header (RFC 8446, section
/// 5.2; RFC 5246, section 6.2.3).
const LONGEST_RECORD: usize = 16 * 1024 + 2048 + 5;
/// The least size of a read buffer.
pub(in crate::net) const LEAST_BUFFER: usize = HEADROOM + 2 * LONGEST_RECORD;
/// Maximum plaintext that is encrypted at once: nearly every request is one system call.
const PLAIN_AT_ONCE: usize = 32 * 1024;
/// The overhead of ciphertext over its plaintext: two or three records, each with a header, a tag
/// and an IV.
const OVERHEAD: usize = 256;
/// Memory that a connection keeps for incomplete records. The memory of a longer one is given back.
const KEPT_BYTES: usize = 512;

/// One TLS session, without its socket.
pub(in crate::net) struct Session {
    conn: UnbufferedClientConnection,
    /// Shared by all sessions of a worker.
    scratch: Rc<RefCell<Vec<u8>>>,
    /// Ciphertext of an incomplete record.
    tail: Vec<u8>,
    /// Ciphertext to be sent, and how much of it was sent.
    unsent: Vec<u8>,
    sent: usize,
    /// The handshake is over.
    open: bool,
    /// The peer has sent `close_notify`.
    peer_closed: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("open", &self.open)
            .field("peer_closed", &self.peer_closed)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Creates a session whose first message is ready to be sent.
    pub(super) fn new(conn: UnbufferedClientConnection, scratch: Rc<RefCell<Vec<u8>>>) -> Result<Self, Error> {
        let mut session =
            Self { conn, scratch, tail: Vec::new(), unsent: Vec::new(), sent: 0, open: false, peer_closed: false };
        session.process(&mut [], 0)?;
        Ok(session)
    }

    /// Returns true if the handshake is over.
    pub(in crate::net) const fn is_open(&self) -> bool {
        self.open
    }

    /// Returns true if the peer has closed the session in an orderly way.
    pub(in crate::net) const fn is_closed_by_peer(&self) -> bool {
        self.peer_closed
    }

    /// Returns true if the session was resumed; `None` before the handshake is over.
    pub(in crate::net) fn resumed(&self) -> Option<bool> {
        self.conn.handshake_kind().map(|kind| kind == HandshakeKind::Resumed)
    }

    /// Returns where in `buffer` to read ciphertext to: behind the rest of an incomplete record,
    /// which this function puts there.
    pub(in crate::net) fn load(&self, buffer: &mut [u8]) -> usize {
        let end = HEADROOM + self.tail.len();
        buffer[HEADROOM..end].copy_from_slice(&self.tail);
        end
    }

    /// Decrypts the ciphertext in `buffer` up to `end`. Returns the number of plaintext bytes,
    /// which are now at the start of `buffer`.
    pub(in crate::net) fn received(&mut self, buffer: &mut [u8], end: usize) -> Result<usize, Error> {
        let (plain, from) = self.process(&mut buffer[..end], HEADROOM)?;
        self.tail.clear();
        self.tail.shrink_to(KEPT_BYTES);
        self.tail.extend_from_slice(&buffer[from..end]);
        Ok(plain)
    }

    /// Feeds the ciphertext in `buffer` from `from` on, and puts the plaintext at its start.
    /// Returns the number of plaintext bytes, and where the remaining ciphertext begins. Plaintext
    /// is shorter than its ciphertext, so with the headroom it never catches up with the unread
    /// ciphertext.
    fn process(&mut self, buffer: &mut [u8], mut from: usize) -> Result<(usize, usize), Error> {
        let mut plain = 0;
        loop {
            let (front, incoming) = buffer.split_at_mut(from);
            let UnbufferedStatus { mut discard, state } = self.conn.process_tls_records(incoming);
            let mut goes_on = true;
            let state = match state {
                Ok(state) => state,
                Err(error) => {
                    self.last_words(&mut buffer[from + discard..]);
                    // The session is unusable: its state no longer fits the bytes.
                    (self.open, self.peer_closed) = (false, true);
                    return Err(error);
                }
            };
            match state {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        let room = front.get_mut(plain..plain + record.payload.len());
                        let room = room.ok_or_else(|| Error::General("no room for a record".to_owned()))?;
                        room.copy_from_slice(record.payload);
                        plain += record.payload.len();
                        discard += record.discard;
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => append(&mut self.unsent, 0, |room| data.encode(room))?,
                // The caller sends the unsent bytes in any case.
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.peer_closed = true,
                ConnectionState::WriteTraffic(_) => {
                    self.open = true;
                    goes_on = false;
                }
                _ => goes_on = false,
            }
            from += discard;
            if !goes_on {
                return Ok((plain, from));
            }
        }
    }

    /// Prepares the alert that tells the peer the reason of an error. rustls needs to see the same
    /// bytes again, without those that it has discarded.
    fn last_words(&mut self, rest: &mut [u8]) {
        if let Ok(ConnectionState::EncodeTlsData(mut alert)) = self.conn.process_tls_records(rest).state {
            // If the alert cannot be sent, the connection is closed all the same.
            let _ = append(&mut self.unsent, 0, |room| alert.encode(room));
        }
    }

    /// Encrypts as much of `plain` as is sent at once, and returns how much that is. All earlier
    /// bytes must have been sent.
    pub(in crate::net) fn encrypt(&mut self, plain: &[u8]) -> Result<usize, Error> {
        if !self.open {
            return Err(Error::HandshakeNotComplete);
        }
        let n = plain.len().min(PLAIN_AT_ONCE);
        self.borrow_scratch();
        loop {
            // Pending records go first: data must not overtake the reply to a key update.
            match self.conn.process_tls_records(&mut self.tail).state? {
                ConnectionState::EncodeTlsData(mut data) => append(&mut self.unsent, 0, |room| data.encode(room))?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::WriteTraffic(mut traffic) => {
                    let hint = n + OVERHEAD;
                    return append(&mut self.unsent, hint, |room| traffic.encrypt(&plain[..n], room)).map(|()| n);
                }
                _ => return Err(Error::General("the session is closed".to_owned())),
            }
        }
    }

    /// Prepares the message that nothing more will come (RFC 8446, section 6.1).
    pub(in crate::net) fn say_goodbye(&mut self) {
        if !self.open {
            return;
        }
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = self.conn.process_tls_records(&mut self.tail).state {
            // If the message cannot be made, the connection is closed all the same.
            let _ = append(&mut self.unsent, OVERHEAD, |room| traffic.queue_close_notify(room));
        }
    }

    /// Returns the ciphertext to be sent now; empty if there is none.
    pub(in crate::net) fn unsent(&self) -> &[u8] {
        &self.unsent[self.sent..]
    }

    /// Notes that `n` bytes of it were sent.
    pub(in crate::net) fn was_sent(&mut self, n: usize) {
        self.sent += n;
        if self.sent == self.unsent.len() {
            self.unsent.clear();
            self.sent = 0;
            self.return_scratch(Vec::new());
        }
    }

    /// Keeps the unsent rest in a buffer of its own until the socket takes bytes again, and gives
    /// the worker's buffer back.
    pub(in crate::net) fn park(&mut self) {
        let rest = self.unsent[self.sent..].to_vec();
        self.unsent.clear();
        self.sent = 0;
        self.return_scratch(rest);
    }

    fn borrow_scratch(&mut self) {
        if self.unsent.capacity() == 0 {
            std::mem::swap(&mut self.unsent, &mut self.scratch.borrow_mut());
        }
    }

    fn return_scratch(&mut self, rest: Vec<u8>) {
        let used = std::mem::replace(&mut self.unsent, rest);
        let mut scratch = self.scratch.borrow_mut();
        if scratch.capacity() < used.capacity() {
            *scratch = used;
        }
    }
}

/// The reason why rustls wrote nothing.
enum Unwritten {
    /// It needs this much room.
    Room(usize),
    Other(String),
}

impl From<EncodeError> for Unwritten {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size, .. }) => Self::Room(required_size),
            EncodeError::AlreadyEncoded => Self::Other(error.to_string()),
        }
    }
}

impl From<EncryptError> for Unwritten {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::InsufficientSize(InsufficientSizeError { required_size, .. }) => Self::Room(required_size),
            EncryptError::EncryptExhausted => Self::Other(error.to_string()),
        }
    }
}

/// Lets `write` write to the end of `out`. `hint` is the room that it will probably need.
fn append<E: Into<Unwritten>>(
    out: &mut Vec<u8>,
    hint: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Result<(), Error> {
    let at = out.len();
    let mut room = hint;
    loop {
        out.resize(at + room, 0);
        match write(&mut out[at..]).map_err(Into::into) {
            Ok(n) => {
                out.truncate(at + n);
                return Ok(());
            }
            Err(Unwritten::Room(required)) if required > room => room = required,
            Err(why) => {
                out.truncate(at);
                let why = if let Unwritten::Other(why) = why { why } else { "no room".to_owned() };
                return Err(Error::General(why));
            }
        }
    }
}

#[cfg(test)]
mod tests;
