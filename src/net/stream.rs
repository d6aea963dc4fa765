//! One connection's bytes, in the clear or through TLS.

use super::socket::Socket;
use super::stamp::Stamp;
use super::tls::failure::{failed, failed_by};
use super::tls::{LEAST_BUFFER, Session, TlsFailure};
use super::tunnel::Tunnel;
use std::io;

/// Reads in one go while a connection is being opened: a handshake's flight comes in one or two.
const READS_PER_TURN: usize = 8;

/// How a read or write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoStatus {
    /// That many bytes. None, only when reading, if what came was TLS's own or no whole record yet.
    Done(usize),
    /// Would block; the poll reports when it is ready.
    Blocked,
    /// The peer has closed its side (reads only).
    Closed,
}

/// What a read returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    pub status: IoStatus,
    /// When the kernel received it; none when stamps are off, and rarely when they are on.
    pub stamp: Option<Stamp>,
    /// Nothing is left in the kernel, or in the session: what comes later will be reported.
    pub drained: bool,
}

/// One connection's bytes.
#[derive(Debug)]
pub enum Stream {
    #[expect(private_interfaces, reason = "made by a dialer only")]
    Plain(Socket),
    #[expect(private_interfaces, reason = "made by a dialer only")]
    Tls(Box<Secured>),
}

/// A socket with a session on it.
#[derive(Debug)]
pub(super) struct Secured {
    pub(super) socket: Socket,
    pub(super) session: Session,
    /// The way through a proxy, until it is open.
    pub(super) tunnel: Option<Box<Tunnel>>,
}

/// How far a connection has come that is to be opened beyond the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    Pending,
    /// It may be used; whether an earlier session was resumed.
    Open {
        /// A short handshake instead of a full one.
        resumed: bool,
    },
}

impl Stream {
    /// A peer that follows a script.
    #[cfg(any(test, feature = "scripted"))]
    pub(crate) fn scripted(socket: super::script::Socket) -> Self {
        Self::Plain(Socket::Script(socket))
    }

    /// Whether the socket is connected: `Ok(true)` when it is, `Ok(false)` when that goes on, else
    /// why it failed.
    pub fn connected(&self) -> io::Result<bool> {
        self.socket().connected()
    }

    /// Whether more has to be done before it can be used.
    pub fn must_be_opened(&self) -> bool {
        matches!(self, Self::Tls(secured) if !secured.session.is_open())
    }

    /// Goes on with opening it, with what the peer has sent. `buffer` is only borrowed. If the peer
    /// has `closed` its side nothing will be reported later, so that it is read to the end.
    pub fn open(&mut self, buffer: &mut [u8], closed: bool) -> io::Result<Opening> {
        match self {
            Self::Plain(_) => Ok(Opening::Open { resumed: false }),
            Self::Tls(secured) => secured.open(buffer, closed),
        }
    }

    /// Reads what is there: with the kernel's stamp if `stamped`, which costs about a tenth more.
    pub fn recv(&mut self, buffer: &mut [u8], stamped: bool) -> io::Result<Received> {
        match self {
            Self::Plain(socket) => {
                let room = buffer.len();
                received(if stamped { socket.read_stamped(buffer) } else { socket.read(buffer) }, room)
            }
            Self::Tls(secured) => secured.recv(buffer, stamped, usize::MAX),
        }
    }

    /// Reads at most `portion` bytes of what is there; through TLS, of its records.
    pub fn recv_portion(&mut self, buffer: &mut [u8], portion: usize) -> io::Result<Received> {
        match self {
            Self::Plain(socket) => {
                let portion = portion.min(buffer.len());
                received(socket.read(&mut buffer[..portion]), portion)
            }
            Self::Tls(secured) => secured.recv(buffer, false, portion),
        }
    }

    /// From now on the kernel's receive stamps come with the reads that ask for them.
    pub fn ask_for_stamps(&self) -> io::Result<()> {
        self.socket().ask_for_stamps()
    }

    /// From now on every read is acknowledged to the peer at once.
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

    /// Sends what a session has still to send; the socket takes bytes again.
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

    /// Closes with a reset instead of a FIN, so that no `TIME_WAIT` is left behind: thousands of
    /// them at the end of a run would take the ports of the next one. It also tells the server to
    /// stop generating.
    pub fn abort(self) {
        match self {
            Self::Plain(socket) => socket.abort(),
            Self::Tls(secured) => secured.socket.abort(),
        }
    }

    /// Port of this side; none of a socket in the file system.
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
                        // The alert goes out if it can; why the session failed is what counts.
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
            // Anyone on the way can close a connection; only the peer can say that nothing is
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
        // The session keeps what does not fit, so the request counts as written.
        self.flush()?;
        Ok(IoStatus::Done(n))
    }

    /// Writes what the session has to send: whether all of it fit.
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

/// The peer closed or reset the connection during the handshake.
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
