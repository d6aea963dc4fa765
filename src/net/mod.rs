//! Bytes ↔ kernel. No HTTP.
//!
//! A [`Target`] says where, a [`Stream`] is one socket there. Reads and writes never block and answer in one of three ways,
//! [`IoStatus`]; everything else is an error of the operating system, passed on as it is.

#[cfg(test)]
pub(crate) mod script;
mod stamp;
mod target;

pub use target::TargetError;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};

/// What is tested: where to connect, and how the URL spelled it. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The URL as given, without credentials or a trailing slash.
    pub url: String,
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Prefix of every path, without a trailing slash; usually empty.
    pub path_prefix: String,
    /// Resolved addresses, used in turn; empty until [`Target::resolve`].
    pub addrs: Vec<SocketAddr>,
}

impl Target {
    /// Host and port as a `Host` header has them: brackets around an IPv6 address, the port when it is not the scheme's own
    /// (RFC 9110, section 7.2).
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }

    /// Looks the name up, once, before the test: a look-up inside it would stop a worker's loop.
    pub fn resolve(&mut self) -> io::Result<()> {
        self.addrs = (self.host.as_str(), self.port).to_socket_addrs()?.collect();
        if self.addrs.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(())
    }
}

/// How a read or write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoStatus {
    /// That many bytes, at least one.
    Done(usize),
    /// Not now; the poll will tell.
    Blocked,
    /// The peer has closed its side (reads only).
    Closed,
}

/// When the kernel received what a read returned: nanoseconds since the UNIX epoch, on the kernel's real-time clock. If the read
/// returned bytes of several segments it is the arrival of the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub u64);

/// What a read returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// How it ended.
    pub status: IoStatus,
    /// When the kernel received it; none when stamps are off, and rarely when they are on.
    pub stamp: Option<Stamp>,
}

/// Keeps the kernel stamping. It stamps packets only while some socket has asked for it, and takes a moment to begin: without this one,
/// the first packets of a test would have no stamp.
#[derive(Debug)]
pub struct KeepStamping(#[expect(dead_code, reason = "its being open is what counts")] UdpSocket);

impl KeepStamping {
    /// Asks, until it is dropped.
    pub fn begin() -> io::Result<Self> {
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::ReceiveTimestampns, &true)?;
        Ok(Self(socket))
    }
}

/// Receive buffer of a reader that is slow on purpose. The kernel doubles it for its own needs, and gives none smaller than about that.
const SMALL_RECEIVE_BUFFER: usize = 4 * 1024;

/// One socket's bytes.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// A scripted peer.
    #[cfg(test)]
    #[expect(private_interfaces, reason = "exists in this crate's tests only")]
    Script(script::Socket),
}

impl Stream {
    /// Begins to connect, and registers the socket once and for all. Edge-triggered, so that one `epoll_ctl` serves the connection's
    /// whole life: "writable" comes when it is connected and after a write that did not fit, and at no other time.
    pub fn connect(addr: SocketAddr, registry: &Registry, token: Token) -> io::Result<Self> {
        Self::register(TcpStream::connect(addr)?, registry, token)
    }

    /// The same with a receive buffer that holds next to nothing, so that a reader who waits is soon felt by the server. It is set
    /// before connecting: a window that was once announced is not taken back.
    pub fn connect_small(addr: SocketAddr, registry: &Registry, token: Token) -> io::Result<Self> {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(addr),
            socket2::Type::STREAM.nonblocking(),
            Some(socket2::Protocol::TCP),
        )?;
        socket.set_recv_buffer_size(SMALL_RECEIVE_BUFFER)?;
        match socket.connect(&addr.into()) {
            Err(error) if error.raw_os_error() != Some(nix::errno::Errno::EINPROGRESS as i32) => return Err(error),
            _ => {}
        }
        Self::register(TcpStream::from_std(socket.into()), registry, token)
    }

    fn register(mut stream: TcpStream, registry: &Registry, token: Token) -> io::Result<Self> {
        // Small requests go out at once; Nagle's algorithm would hold them back for the peer's delayed acknowledgement.
        stream.set_nodelay(true)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self::Tcp(stream))
    }

    /// Whether connecting is over: `Ok(true)` when it succeeded, `Ok(false)` when it goes on, else why it failed.
    pub fn connected(&self) -> io::Result<bool> {
        match self {
            Self::Tcp(stream) => {
                if let Some(error) = stream.take_error()? {
                    return Err(error);
                }
                match stream.peer_addr() {
                    Ok(_) => Ok(true),
                    Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
                    Err(error) => Err(error),
                }
            }
            #[cfg(test)]
            Self::Script(socket) => socket.connected(),
        }
    }

    /// Reads what is there.
    pub fn recv(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        let read = match self {
            Self::Tcp(stream) => stream.read(buffer).map(|n| (n, None)),
            #[cfg(test)]
            Self::Script(socket) => socket.read(buffer),
        };
        received(read)
    }

    /// From now on the kernel's receive stamps come with [`Stream::recv_stamped`].
    pub fn ask_for_stamps(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                nix::sys::socket::setsockopt(stream, nix::sys::socket::sockopt::ReceiveTimestampns, &true)?;
                Ok(())
            }
            #[cfg(test)]
            Self::Script(_) => Ok(()),
        }
    }

    /// Reads what is there, and when the kernel received it. Costs about a tenth more than [`Stream::recv`].
    pub fn recv_stamped(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        let read = match self {
            Self::Tcp(stream) => stamp::recvmsg(stream, buffer),
            #[cfg(test)]
            Self::Script(socket) => socket.read(buffer),
        };
        received(read)
    }

    /// Acknowledges what was read now. The kernel forgets it with the next packet, so it is to be asked for after each read.
    pub fn acknowledge(&self) {
        match self {
            // A diagnostic: if it cannot be had, the plateau it was to remove is still there to see.
            Self::Tcp(stream) => drop(socket2::SockRef::from(stream).set_tcp_quickack(true)),
            #[cfg(test)]
            Self::Script(_) => {}
        }
    }

    /// Writes what fits.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<IoStatus> {
        let written = match self {
            Self::Tcp(stream) => stream.write(bytes),
            #[cfg(test)]
            Self::Script(socket) => socket.write(bytes),
        };
        match written {
            Ok(n) => Ok(IoStatus::Done(n)),
            Err(error) => unless_blocked(error),
        }
    }

    /// Closes with a reset instead of a FIN, so that no `TIME_WAIT` is left behind: thousands of them at the end of a run would take
    /// the ports of the next one. It also tells the server to stop generating.
    pub fn abort(self) {
        match self {
            Self::Tcp(stream) => {
                // If the option cannot be set the socket is closed in the usual way.
                let _ = socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO));
            }
            #[cfg(test)]
            Self::Script(_) => {}
        }
    }
}

fn received(read: io::Result<(usize, Option<Stamp>)>) -> io::Result<Received> {
    match read {
        Ok((0, stamp)) => Ok(Received { status: IoStatus::Closed, stamp }),
        Ok((n, stamp)) => Ok(Received { status: IoStatus::Done(n), stamp }),
        Err(error) => unless_blocked(error).map(|status| Received { status, stamp: None }),
    }
}

fn unless_blocked(error: io::Error) -> io::Result<IoStatus> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(IoStatus::Blocked),
        _ => Err(error),
    }
}
