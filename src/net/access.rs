//! The ways to targets: names, sources, sockets, proxies, certificates. Plain data.

use super::target::Target;
use crate::units::Nanos;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// The way to the targets. The default is the usual one: the URL's own host, over TCP, from any
/// address of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// Targets in addition to the plan's first one. Connections go to all of them in turn.
    pub more_targets: Vec<Target>,
    /// Addresses for a host and port instead of those from the resolver.
    pub pins: Vec<Pin>,
    /// Other hosts and ports to connect to instead. Requests and certificates keep the original
    /// names.
    pub detours: Vec<Detour>,
    /// How often names are resolved again; `None` to resolve them once.
    pub dns_ttl: Option<Nanos>,
    /// A socket in the file system to connect to instead of any address.
    pub unix_socket: Option<PathBuf>,
    /// Local addresses of connections, used in turn; empty to let the kernel choose.
    pub sources: Vec<IpAddr>,
    /// Connections opened per second, by all workers together; `None` for no limit.
    pub connect_rate: Option<u32>,
    /// Requests after which a connection is closed; `None` for never.
    pub max_requests: Option<u32>,
    /// The proxy of all connections.
    pub proxy: Option<Proxy>,
    /// The trust store, and our own certificate.
    pub tls: Tls,
}

/// An address that replaces the resolved ones of a host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The host, as in the URL; `*` stands for every host.
    pub host: String,
    pub port: u16,
    pub addr: IpAddr,
}

/// Another place to connect to. Empty parts of the origin match any value. Empty parts of the
/// destination keep the original value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detour {
    /// Host of the URL; empty for any.
    pub from_host: String,
    /// Port of the URL; `None` for any.
    pub from_port: Option<u16>,
    /// Host to connect to; empty for the same.
    pub to_host: String,
    /// Port to connect to; `None` for the same.
    pub to_port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Name or address, without brackets.
    pub host: String,
    pub port: u16,
    /// Its addresses, once resolved.
    pub addrs: Vec<SocketAddr>,
}

/// The trust store, and our own certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The trust store.
    pub roots: Roots,
    /// True if certificates are checked.
    pub verify: bool,
    /// Our own certificate, for servers that ask for one.
    pub identity: Option<Identity>,
    /// True if later connections resume the sessions of earlier ones.
    pub resume: bool,
}

impl Default for Tls {
    fn default() -> Self {
        Self { roots: Roots::default(), verify: true, identity: None, resume: true }
    }
}

/// The trust store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Roots {
    /// Mozilla's list, as compiled in.
    #[default]
    BuiltIn,
    Native,
    /// The authorities in a file, and no others.
    File(Pem),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, followed by its chain.
    pub cert: Pem,
    pub key: Pem,
}

/// A file in PEM (RFC 7468). Its text may be a key, and is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    /// The path of the file.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pem").field("path", &self.path).finish_non_exhaustive()
    }
}
