//! Bytes ↔ kernel. No HTTP, but for the one question that opens a way through a proxy.
//!
//! A [`Target`] says where and [`Access`] how it is reached; a [`Dialer`] opens one [`Stream`] after the other there. Reads and writes
//! never block and answer in one of three ways, [`IoStatus`]; everything else is an error of the operating system, passed on as it is,
//! or of TLS. A [`Call`] is the same for one blocking question before or after a test.

pub mod access;
mod call;
mod dialer;
mod names;
#[cfg(any(test, feature = "scripted"))]
pub(crate) mod script;
mod socket;
mod stamp;
mod stream;
mod target;
pub mod tls;
mod tunnel;

pub use access::Access;
pub use call::{Call, Door};
pub use dialer::{Dialer, Way};
pub use names::{drop_dead_family, look_up};
pub use stream::{Opening, Stream};
pub use target::TargetError;

use std::io;
use std::net::{SocketAddr, UdpSocket};

/// What is tested: where to connect, and how the URL spelled it. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The URL as given, without credentials or a trailing slash.
    pub url: String,
    /// Whether it is reached through TLS: the scheme is https.
    pub tls: bool,
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Prefix of every path, without a trailing slash; usually empty.
    pub path_prefix: String,
    /// Resolved addresses, used in turn; empty until they were looked up.
    pub addrs: Vec<SocketAddr>,
}

impl Target {
    /// Host and port as a `Host` header has them: brackets around an IPv6 address, the port when it is not the scheme's own
    /// (RFC 9110, section 7.2).
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == self.usual_port() { host } else { format!("{host}:{}", self.port) }
    }

    /// Scheme, host and port as the request line has them when a proxy is asked (RFC 9112, section 3.2.2).
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

/// How a read or write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoStatus {
    /// That many bytes. None, only when reading, if what came was TLS's own or no whole record yet.
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
    /// Nothing is left in the kernel, or in the session: what comes later will be reported.
    pub drained: bool,
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
