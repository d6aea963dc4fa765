//! The code that uses rustls: the trust store, and a session without a socket.

mod config;
pub(super) mod failure;
mod session;
mod tickets;

pub use config::{Client, Name, TlsConfigError};
pub use failure::{TlsFailure, tls_failure};
pub(super) use session::{LEAST_BUFFER, Session};
