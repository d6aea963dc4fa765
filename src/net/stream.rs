//! The bytes of one connection, in the clear or through TLS.

use super::socket::Socket;
use super::stamp::Stamp;
use super::tls::failure::{failed, failed_by};
use super::tls::{LEAST_BUFFER, Session, TlsFailure};
use super::tunnel::Tunnel;
use std::io;

/// Maximum reads per turn while a connection is being opened: a handshake's flight comes in one or
/// two.
const READS_PER_TURN: usize = 8;

/// The result of a read or write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoStatus {
    /// That many bytes. A read may give 0 bytes: the data was TLS's own, or not a whole record yet.
    Done(usize),
    /// The call would block. The poll reports when the socket is ready.
    Blocked,
    /// The peer has closed its side (reads only).
    Closed,
}

/// The result of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    pub status: IoStatus,
    /// When the kernel received the bytes; `None` if stamps are off, and rarely if they are on.
    pub stamp: Option<Stamp>,
    /// Nothing is left in the kernel or in the TLS session: later data will be reported.
    pub drained: bool,
}

/// The bytes of one connection.
#[derive(Debug)]
pub enum Stream {
    #[expect(private_interfaces, reason = "made by a dialer only")]
    Plain(Socket),
    #[expect(private_interfaces, reason = "made by a dialer only")]
    Tls(Box<Secured>),
}

/// A socket with a TLS session.
#[derive(Debug)]
pub(super) struct Secured {
    pub(super) socket: Socket,
    pub(super) session: Session,
    /// The tunnel through a proxy, until it is open.
    pub(super) tunnel: Option<Box<Tunnel>>,
}

/// The progress of opening a connection beyond its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    Pending,
    /// The connection may be used.
    Open {
        /// True for a short handshake that resumed an earlier session.
        resumed: bool,
    },
}

impl Stream {
    /// Creates a stream whose peer follows a script.
    #[cfg(any(test, feature = "scripted"))]
    pub(crate) fn scripted(socket: super::script::Socket) -> Self {
        Self::Plain(Socket::Script(socket))
    }

    /// Returns `Ok(true)` if the socket is connected, `Ok(false)` while it is still connecting, or
    /// the error of the attempt.
    pub fn connected(&self) -> io::Result<bool> {
        self.socket().connected()
    }

    /// Returns true if a TLS handshake must be completed before the stream can be used.
    pub fn must_be_opened(&self) -> bool {
        matches!(self, Self::Tls(secured) if !secured.session.is_open())
    }

    /// Continues to open the stream with the bytes that the peer has sent. `buffer` is only scratch
    /// memory. If the peer has `closed` its side, nothing will be reported later, so the socket is
    /// read to the end.
    pub fn open(&mut self, buffer: &mut [u8], closed: bool) -> io::Result<Opening> {
        match self {
            Self::Plain(_) => Ok(Opening::Open { resumed: false }),
            Self::Tls(secured) => secured.open(buffer, closed),
        }
    }

    /// Reads the available bytes. The kernel's stamp, if `stamped`, costs about a tenth more.
    pub fn recv(&mut self, buffer: &mut [u8], stamped: bool) -> io::Result<Received> {
        match self {
            Self::Plain(socket) => {
                let room = buffer.len();
                received(if stamped { socket.read_stamped(buffer) } else { socket.read(buffer) }, room)
            }
            Self::Tls(secured) => secured.recv(buffer, stamped, usize::MAX),
        }
    }

    /// Reads at most `portion` of the available bytes; through TLS, bytes of its records.
    pub fn recv_portion(&mut self, buffer: &mut [u8], portion: usize) -> io::Result<Received> {
        match self {
            Self::Plain(socket) => {
                let portion = portion.min(buffer.len());
                received(socket.read(&mut buffer[..portion]), portion)
            }
            Self::Tls(secured) => secured.recv(buffer, false, portion),
        }
    }

    /// Makes the kernel's receive stamps available to the reads that ask for them.
    pub fn ask_for_stamps(&self) -> io::Result<()> {
        self.socket().ask_for_stamps()
    }

    /// Makes every read from now on acknowledge its bytes to the peer at once.
    pub fn acknowledge_at_once(&mut self) {
        self.socket_mut().acknowledge_at_once();
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<IoStatus> {
        match self {
            Self::Plain(socket) => match socket.write(bytes) {
                Ok(n) => Ok(IoStatus::Done(n)),
                Err(error) => unless_blocked(error),
            },
            Self::Tls(secured) => secured.send(bytes),
        }
    }

    /// Sends the remaining bytes of a TLS session, now that the socket takes bytes again.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(secured) => secured.flush().map(drop),
        }
    }

    /// Closes in the usual way.
    pub fn close(self) {
        if let Self::Tls(mut secured) = self {
            secured.session.say_goodbye();
            // A courtesy: if it does not fit, the closed connection tells the peer the same.
            let _ = secured.flush();
        }
    }

    /// Closes with a reset instead of a FIN, so that no `TIME_WAIT` is left behind. Thousands of
    /// them at the end of a run would take the ports of the next one. The reset also tells the
    /// server to stop generating.
    pub fn abort(self) {
        match self {
            Self::Plain(socket) => socket.abort(),
            Self::Tls(secured) => secured.socket.abort(),
        }
    }

    /// Returns the local port; `None` for a socket in the file system.
    pub fn local_port(&self) -> Option<u16> {
        self.socket().local_port()
    }

    fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(secured) => &secured.socket,
        }
    }

    fn socket_mut(&mut self) -> &mut Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(secured) => &mut secured.socket,
        }
    }
}

impl Secured {
    fn open(&mut self, buffer: &mut [u8], closed: bool) -> io::Result<Opening> {
        for _ in 0..READS_PER_TURN {
            if !self.flush()? {
                return Ok(Opening::Pending);
            }
            let done = if let Some(tunnel) = &mut self.tunnel {
                let received = received(self.socket.read(buffer), buffer.len())?;
                match received.status {
                    IoStatus::Done(n) if tunnel.received(&buffer[..n])? => {
                        self.tunnel = None;
                        continue;
                    }
                    IoStatus::Closed => return Err(failed(TlsFailure::Proxy, "it closed the connection")),
                    IoStatus::Done(_) => received.drained && !closed,
                    IoStatus::Blocked => true,
                }
            } else {
                let received = self.recv(buffer, false, usize::MAX).map_err(closed_in_handshake)?;
                match received.status {
                    IoStatus::Done(0) => received.drained && !closed,
                    IoStatus::Done(_) => return Err(failed(TlsFailure::Other, "the server spoke first")),
                    IoStatus::Closed => return Err(failed(TlsFailure::ClosedInHandshake, "")),
                    IoStatus::Blocked => true,
                }
            };
            if done {
                break;
            }
        }
        let flushed = self.flush()?;
        match self.session.resumed() {
            Some(resumed) if self.session.is_open() && flushed => Ok(Opening::Open { resumed }),
            _ => Ok(Opening::Pending),
        }
    }

    fn recv(&mut self, buffer: &mut [u8], stamped: bool, most: usize) -> io::Result<Received> {
        if self.session.is_closed_by_peer() {
            return Ok(Received { status: IoStatus::Closed, stamp: None, drained: true });
        }
        debug_assert!(buffer.len() >= LEAST_BUFFER, "{} bytes to read to", buffer.len());
        let from = self.session.load(buffer);
        let room = (buffer.len() - from).min(most);
        let buffer_end = &mut buffer[from..from + room];
        let read = if stamped { self.socket.read_stamped(buffer_end) } else { self.socket.read(buffer_end) };
        let received = received(read, room)?;
        match received.status {
            IoStatus::Done(n) => {
                let plain = match self.session.received(buffer, from + n) {
                    Ok(plain) => plain,
                    Err(error) => {
                        // The alert goes out if it can. Only the failure of the session counts.
                        let _ = self.flush();
                        return Err(failed_by(&error));
                    }
                };
                if !self.session.unsent().is_empty() {
                    self.flush()?;
                }
                let drained = received.drained && !self.session.is_closed_by_peer();
                Ok(Received { status: IoStatus::Done(plain), drained, ..received })
            }
            // Anyone on the way can close a connection. Only the peer can say that nothing is
            // missing (RFC 8446, section 6.1).
            IoStatus::Closed => Err(io::ErrorKind::UnexpectedEof.into()),
            IoStatus::Blocked => Ok(received),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<IoStatus> {
        if !self.flush()? {
            return Ok(IoStatus::Blocked);
        }
        let n = self.session.encrypt(bytes).map_err(|error| failed_by(&error))?;
        // The session keeps the bytes that do not fit, so the request counts as written.
        self.flush()?;
        Ok(IoStatus::Done(n))
    }

    /// Writes the session's pending bytes. Returns true if all of them fit.
    fn flush(&mut self) -> io::Result<bool> {
        if let Some(tunnel) = &mut self.tunnel {
            while !tunnel.unsent().is_empty() {
                match self.socket.write(tunnel.unsent()) {
                    Ok(n) => tunnel.was_sent(n),
                    Err(error) => return unless_blocked(error).map(|_| false),
                }
            }
            return Ok(true);
        }
        while !self.session.unsent().is_empty() {
            match self.socket.write(self.session.unsent()) {
                Ok(n) => self.session.was_sent(n),
                Err(error) => {
                    self.session.park();
                    return unless_blocked(error).map(|_| false);
                }
            }
        }
        Ok(true)
    }
}

/// Converts a closed or reset connection during the handshake into a TLS failure.
fn closed_in_handshake(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            failed(TlsFailure::ClosedInHandshake, "")
        }
        _ => error,
    }
}

fn received(read: io::Result<(usize, Option<Stamp>)>, room: usize) -> io::Result<Received> {
    match read {
        Ok((0, stamp)) => Ok(Received { status: IoStatus::Closed, stamp, drained: true }),
        Ok((n, stamp)) => Ok(Received { status: IoStatus::Done(n), stamp, drained: n < room }),
        Err(error) => unless_blocked(error).map(|status| Received { status, stamp: None, drained: true }),
    }
}

fn unless_blocked(error: io::Error) -> io::Result<IoStatus> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(IoStatus::Blocked),
        _ => Err(error),
    }
}
