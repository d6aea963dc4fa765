//! One non-blocking socket of any family.

#[cfg(any(test, feature = "scripted"))]
use super::script;
use super::stamp::{self, Stamp};
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{IpBindAddressNoPort, ReceiveTimestampns};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// The events that the poll reports: changes only (edge-triggered). One `epoll_ctl` serves the
/// connection's whole life: "writable" comes when the socket is connected and after a write that
/// did not fit, and at no other time.
const INTEREST: fn() -> Interest = || Interest::READABLE | Interest::WRITABLE;

/// Receive buffer of a reader that is slow on purpose. The kernel doubles it for its own needs, and
/// its smallest buffer is about that large.
const SMALL_RECEIVE_BUFFER: usize = 4 * 1024;

#[derive(Debug)]
pub(super) enum Socket {
    Tcp {
        stream: TcpStream,
        /// True if every read is acknowledged at once.
        quickack: bool,
    },
    Unix(UnixStream),
    #[cfg(any(test, feature = "scripted"))]
    Script(script::Socket),
}

impl Socket {
    /// Begins to connect to an address, from `source` if one is given.
    ///
    /// A socket that is read `slowly` gets a tiny receive buffer, so that the server soon notices a
    /// slow reader.
    pub(super) fn tcp(
        addr: SocketAddr,
        source: Option<IpAddr>,
        slowly: bool,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let mut stream = if source.is_none() && !slowly {
            TcpStream::connect(addr)?
        } else {
            TcpStream::from_std(connect_as_told(addr, source, slowly)?)
        };
        // Small requests go out at once; Nagle's algorithm would hold them back for the peer's
        // delayed acknowledgement.
        stream.set_nodelay(true)?;
        registry.register(&mut stream, token, INTEREST())?;
        Ok(Self::Tcp { stream, quickack: false })
    }

    /// Returns the local port; `None` for a socket in the file system.
    pub(super) fn local_port(&self) -> Option<u16> {
        match self {
            Self::Tcp { stream, .. } => stream.local_addr().ok().map(|addr| addr.port()),
            Self::Unix(_) => None,
            #[cfg(any(test, feature = "scripted"))]
            Self::Script(_) => None,
        }
    }

    /// Connects to a socket in the file system.
    pub(super) fn unix(path: &Path, registry: &Registry, token: Token) -> io::Result<Self> {
        let mut stream = UnixStream::connect(path)?;
        registry.register(&mut stream, token, INTEREST())?;
        Ok(Self::Unix(stream))
    }

    /// Returns `Ok(true)` if the socket is connected, `Ok(false)` while it is still connecting, or
    /// the error of the attempt.
    pub(super) fn connected(&self) -> io::Result<bool> {
        let peer = match self {
            Self::Tcp { stream, .. } => stream.take_error().and_then(|error| match error {
                Some(error) => Err(error),
                None => stream.peer_addr().map(drop),
            }),
            Self::Unix(stream) => stream.take_error().and_then(|error| match error {
                Some(error) => Err(error),
                None => stream.peer_addr().map(drop),
            }),
            #[cfg(any(test, feature = "scripted"))]
            Self::Script(socket) => return socket.connected(),
        };
        match peer {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Option<Stamp>)> {
        match self {
            Self::Tcp { stream, quickack } => {
                let read = stream.read(buffer).map(|n| (n, None));
                acknowledge(stream, *quickack, &read);
                read
            }
            Self::Unix(stream) => stream.read(buffer).map(|n| (n, None)),
            #[cfg(any(test, feature = "scripted"))]
            Self::Script(socket) => socket.read(buffer),
        }
    }

    /// Reads with the kernel's receive stamp. A socket in the file system has no stamp, because the
    /// kernel receives no packets for it.
    pub(super) fn read_stamped(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Option<Stamp>)> {
        match self {
            Self::Tcp { stream, quickack } => {
                let read = stamp::recvmsg(stream, buffer);
                acknowledge(stream, *quickack, &read);
                read
            }
            Self::Unix(stream) => stream.read(buffer).map(|n| (n, None)),
            #[cfg(any(test, feature = "scripted"))]
            Self::Script(socket) => socket.read(buffer),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp { stream, .. } => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
            #[cfg(any(test, feature = "scripted"))]
            Self::Script(socket) => socket.write(bytes),
        }
    }

    pub(super) fn ask_for_stamps(&self) -> io::Result<()> {
        if let Self::Tcp { stream, .. } = self {
            setsockopt(stream, ReceiveTimestampns, &true)?;
        }
        Ok(())
    }

    pub(super) fn acknowledge_at_once(&mut self) {
        if let Self::Tcp { quickack, .. } = self {
            *quickack = true;
        }
    }

    pub(super) fn abort(self) {
        if let Self::Tcp { stream, .. } = self {
            // If the option cannot be set, the socket is closed in the usual way.
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    }
}

/// Acknowledges a read at once if `quickack`. The kernel forgets the option with the next packet,
/// so it is set again after each read.
fn acknowledge(stream: &TcpStream, quickack: bool, read: &io::Result<(usize, Option<Stamp>)>) {
    if quickack && matches!(read, Ok((1.., _))) {
        // For diagnosis only. If the option cannot be set, the delays that it should remove stay
        // visible.
        drop(socket2::SockRef::from(stream).set_tcp_quickack(true));
    }
}

/// Begins to connect from a given local address, with a small receive buffer, or both.
fn connect_as_told(addr: SocketAddr, source: Option<IpAddr>, slowly: bool) -> io::Result<std::net::TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    if slowly {
        // Before connecting: an announced window cannot be taken back.
        socket.set_recv_buffer_size(SMALL_RECEIVE_BUFFER)?;
    }
    if let Some(source) = source {
        // The port is then chosen when connecting, when the destination is known. Otherwise every
        // port could be used only once, for any destination (ip(7)). A kernel without the option
        // keeps that restriction.
        let _ = setsockopt(&socket, IpBindAddressNoPort, &true);
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(&addr.into()) {
        Err(error) if error.raw_os_error() != Some(nix::libc::EINPROGRESS) => Err(error),
        _ => Ok(socket.into()),
    }
}
