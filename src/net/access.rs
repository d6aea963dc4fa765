//! How targets are reached: names, sources, sockets, proxies, certificates. Plain data.

use super::target::Target;
use crate::units::Nanos;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// How targets are reached. The default is the usual way: the URL's own host, over TCP, from any
/// address of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// Targets beside the plan's first: connections go to all of them in turn.
    pub more_targets: Vec<Target>,
    /// Addresses that are used for a host and port instead of those from the resolver.
    pub pins: Vec<Pin>,
    /// Other hosts and ports to connect to instead. Requests and certificates keep the original
    /// names.
    pub detours: Vec<Detour>,
    /// How often names are resolved again; none for once.
    pub dns_ttl: Option<Nanos>,
    /// A socket in the file system that is connected to instead of any address.
    pub unix_socket: Option<PathBuf>,
    /// Addresses of this machine that connections leave from, in turn; empty leaves it to the
    /// kernel.
    pub sources: Vec<IpAddr>,
    /// Connections opened per second, by all workers together; none for no limit.
    pub connect_rate: Option<u32>,
    /// Requests after which a connection is closed; none for never.
    pub max_requests: Option<u32>,
    /// The proxy that all connections go through.
    pub proxy: Option<Proxy>,
    /// Who is trusted, and who we are.
    pub tls: Tls,
}

/// An address that stands for a host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The host, as in the URL; `*` stands for every host.
    pub host: String,
    pub port: u16,
    pub addr: IpAddr,
}

/// Another place that is connected to. Empty parts of `from` stand for any, empty parts of `to` for
/// the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detour {
    /// Host of the URL; empty for any.
    pub from_host: String,
    /// Port of the URL; none for any.
    pub from_port: Option<u16>,
    /// Host that is connected to; empty for the same.
    pub to_host: String,
    /// Port that is connected to; none for the same.
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

/// Who is trusted, and who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The trust store.
    pub roots: Roots,
    /// Whether certificates are checked at all.
    pub verify: bool,
    /// Our own certificate, for servers that ask for one.
    pub identity: Option<Identity>,
    /// Whether later connections resume the sessions of earlier ones.
    pub resume: bool,
}

impl Default for Tls {
    fn default() -> Self {
        Self { roots: Roots::default(), verify: true, identity: None, resume: true }
    }
}

/// Whose signatures are believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Roots {
    /// Mozilla's list, as compiled in.
    #[default]
    BuiltIn,
    Native,
    /// Those in a file, and no others.
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
    /// Where it came from.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pem").field("path", &self.path).finish_non_exhaustive()
    }
}
