//! Bytes ↔ kernel. No HTTP.

mod target;

pub use target::TargetError;

use std::net::SocketAddr;

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
