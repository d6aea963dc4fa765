//! One blocking connection, for requests before and after a test. It goes through the same sockets,
//! proxies and TLS sessions as the test itself.

use super::tls::failure::{failed, failed_by};
use super::tls::{Client, LEAST_BUFFER, Name, Session, TlsFailure};
use super::tunnel::Tunnel;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Maximum number of reads before a call is open. A handshake needs a few.
const MAX_OPENING_READS: usize = 64;

/// The way to connect to a target. Plain data.
#[derive(Debug, Clone, Default)]
pub struct Endpoint<'a> {
    pub addrs: Vec<SocketAddr>,
    /// A socket in the file system to use instead of the addresses.
    pub unix_socket: Option<PathBuf>,
    /// Local addresses of connections. The first one of a fitting family is used.
    pub source: Vec<IpAddr>,
    /// The TLS client, and the name that the certificate must be for; `None` without TLS.
    pub tls: Option<(&'a Client, &'a Name)>,
    /// The authority of the tunnel that a proxy is asked for.
    pub tunnel_to: Option<String>,
    /// Host and port of the proxy of all connections.
    pub proxy: Option<String>,
}

/// Names the intermediary between us and a target, if there is one.
pub(super) fn via(unix_socket: Option<&Path>, proxy: Option<&str>) -> Option<String> {
    let socket = unix_socket.map(|path| format!("the socket {}", path.display()));
    socket.or_else(|| proxy.map(|proxy| format!("the proxy {proxy}")))
}

impl Endpoint<'_> {
    /// Creates an endpoint with these addresses, without TLS.
    pub fn plain(addrs: &[SocketAddr]) -> Self {
        Self { addrs: addrs.to_vec(), ..Self::default() }
    }

    /// Names the intermediary between us and the target, for messages: its failures are not the
    /// target's.
    pub fn via(&self) -> Option<String> {
        via(self.unix_socket.as_deref(), self.proxy.as_deref())
    }

    /// Returns the number of places to try.
    pub fn places(&self) -> usize {
        if self.unix_socket.is_some() { 1 } else { self.addrs.len() }
    }

    /// Connects to one of the places. Each step may take `timeout`.
    pub fn call(&self, place: usize, timeout: Duration) -> io::Result<Call> {
        let mut wire = match (&self.unix_socket, self.addrs.get(place)) {
            (Some(path), _) => Wire::Unix(UnixStream::connect(path)?),
            (None, Some(addr)) => Wire::Tcp(self.connect(*addr, timeout)?),
            (None, None) => return Err(io::Error::new(io::ErrorKind::NotFound, "the target has no address")),
        };
        wire.set_timeout(timeout)?;
        let Some((client, name)) = self.tls else {
            return Ok(Call { wire, session: None, buffer: Vec::new(), plain: (0, 0) });
        };
        if let Some(authority) = &self.tunnel_to {
            dig(&mut wire, authority)?;
        }
        let session = Some(client.session(name)?);
        let mut call = Call { wire, session, buffer: vec![0; LEAST_BUFFER], plain: (0, 0) };
        call.secure()?;
        Ok(call)
    }

    fn connect(&self, addr: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None)?;
        if let Some(&source) = self.source.iter().find(|source| source.is_ipv4() == addr.is_ipv4()) {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        socket.connect_timeout(&addr.into(), timeout)?;
        Ok(socket.into())
    }
}

fn dig(wire: &mut Wire, authority: &str) -> io::Result<()> {
    let mut tunnel = Tunnel::to(authority);
    wire.write_all(tunnel.unsent())?;
    let mut piece = [0; 1024];
    for _ in 0..MAX_OPENING_READS {
        let n = wire.read(&mut piece)?;
        if n == 0 {
            break;
        }
        if tunnel.received(&piece[..n])? {
            return Ok(());
        }
    }
    Err(failed(TlsFailure::Proxy, "it closed the connection"))
}

/// An open connection that blocks.
#[derive(Debug)]
pub struct Call {
    wire: Wire,
    session: Option<Session>,
    buffer: Vec<u8>,
    /// The range of unread plaintext in `buffer`.
    plain: (usize, usize),
}

#[derive(Debug)]
enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Wire {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))
            }
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))
            }
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Call {
    /// Sets how long one read or write may take from now on.
    pub fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.wire.set_timeout(timeout)
    }

    fn secure(&mut self) -> io::Result<()> {
        for _ in 0..MAX_OPENING_READS {
            self.flush_session()?;
            if self.session.as_ref().is_none_or(Session::is_open) {
                return Ok(());
            }
            match self.receive() {
                Ok(true) => {}
                Ok(false) => return Err(failed(TlsFailure::ClosedInHandshake, "")),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(failed(TlsFailure::ClosedInHandshake, ""));
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Err(failed(TlsFailure::Stalled, ""));
                }
                Err(error) => return Err(error),
            }
        }
        Err(failed(TlsFailure::Other, "the handshake does not end"))
    }

    /// Reads once from the wire, through the TLS session. Returns false at the end.
    fn receive(&mut self) -> io::Result<bool> {
        let Some(session) = &mut self.session else { return Ok(false) };
        if session.is_closed_by_peer() {
            return Ok(false);
        }
        let from = session.load(&mut self.buffer);
        let n = self.wire.read(&mut self.buffer[from..])?;
        if n == 0 {
            return Ok(false);
        }
        let plain = match session.received(&mut self.buffer, from + n) {
            Ok(plain) => plain,
            Err(error) => {
                // The alert goes out if it can. Only the failure of the session counts.
                let _ = self.flush_session();
                return Err(failed_by(&error));
            }
        };
        self.plain = (0, plain);
        self.flush_session()?;
        Ok(true)
    }

    fn flush_session(&mut self) -> io::Result<()> {
        let Some(session) = &mut self.session else { return Ok(()) };
        while !session.unsent().is_empty() {
            let n = self.wire.write(session.unsent())?;
            session.was_sent(n);
        }
        Ok(())
    }
}

impl Read for Call {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.session.is_none() {
            return self.wire.read(into);
        }
        while self.plain.0 == self.plain.1 {
            if !self.receive()? {
                return Ok(0);
            }
        }
        let (from, to) = self.plain;
        let n = into.len().min(to - from);
        into[..n].copy_from_slice(&self.buffer[from..from + n]);
        self.plain.0 += n;
        Ok(n)
    }
}

impl Write for Call {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(session) = &mut self.session else { return self.wire.write(bytes) };
        let n = session.encrypt(bytes).map_err(|error| failed_by(&error))?;
        self.flush_session()?;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
