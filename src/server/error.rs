//! Reasons why a server could not be started.

use crate::units::Nanos;
use crate::watch::probe::Health;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A reason why a server could not be started. Each message says what to do. Messages about a child
/// end with its last lines.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The feature `embedded` is off.
    #[error(
        "this llmsim-blast was built without the embedded simulator: name one with --server-bin FILE or --server-src DIR, or give \
         the --target-url of a running one"
    )]
    NotBuiltIn,
    /// The configuration cannot be used.
    #[error("--server-config {}: {reason}", path.display())]
    BadConfig {
        path: PathBuf,
        /// The problem with it.
        reason: String,
    },
    /// The host to listen on cannot be resolved.
    #[error("--host {host}: not an address to listen on: {reason}")]
    BadHost {
        host: String,
        /// The error of the resolver.
        reason: String,
    },
    /// Another program listens there.
    #[error("{addr} is in use by another program: stop it, or choose another port with --port")]
    PortTaken { addr: SocketAddr },
    /// This machine does not allow listening there.
    #[error("cannot listen on {addr}: {source}; choose another address with --host and --port")]
    CannotListen { addr: SocketAddr, source: io::Error },
    /// The program cannot be run.
    #[error("{flag} {}: {reason}", path.display())]
    NotExecutable {
        /// The flag that named it.
        flag: &'static str,
        path: PathBuf,
        /// The problem with it.
        reason: String,
    },
    /// The folder does not contain a cargo project.
    #[error("--server-src {}: {reason}; expected a checkout of llmsim", path.display())]
    NotACheckout { path: PathBuf, reason: String },
    /// `cargo build --release` failed.
    #[error("--server-src {}: `cargo build --release` failed ({status}){}", path.display(), quoted(last_lines))]
    BuildFailed {
        path: PathBuf,
        status: String,
        /// The last lines of its output.
        last_lines: Vec<String>,
    },
    /// The build succeeded, but did not produce llmsim.
    #[error("--server-src {}: it builds no binary called llmsim (found: {found})", path.display())]
    NoBinary {
        path: PathBuf,
        /// The binaries that it produced.
        found: String,
    },
    /// The server ended before it was ready.
    #[error("the server ended before it was ready: {status}{}", quoted(last_lines))]
    Exited {
        status: String,
        /// The last lines of its output.
        last_lines: Vec<String>,
    },
    /// The server did not become ready in time.
    #[error("the server was not ready after {after}: GET /health: {health}{}", quoted(last_lines))]
    NotReady {
        /// Duration of the wait.
        after: Nanos,
        /// The result of the last probe.
        health: Health,
        /// The last lines of its output.
        last_lines: Vec<String>,
    },
    #[error("interrupted before the test began; nothing was measured")]
    Interrupted,
    /// The embedded simulator failed.
    #[error("the embedded simulator stopped: {0}")]
    Embedded(String),
    /// A system call failed.
    #[error("cannot {doing}: {source}")]
    Io {
        /// The failed action.
        doing: String,
        /// The error of the kernel.
        source: io::Error,
    },
}

/// Formats the last lines of a child, set apart from our own words.
pub(super) fn quoted(last_lines: &[String]) -> String {
    if last_lines.is_empty() {
        return "; it printed nothing".to_owned();
    }
    last_lines.iter().fold("; its last lines:".to_owned(), |mut text, line| {
        // Writing into a String cannot fail.
        let _ = write!(text, "\n  | {line}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_childs_last_lines_are_in_the_message() {
        let lines = vec!["thread 'main' panicked".to_owned(), "Invalid address".to_owned()];
        let text = ServerError::Exited { status: "exit status 101".to_owned(), last_lines: lines }.to_string();
        assert_eq!(
            text,
            "the server ended before it was ready: exit status 101; its last lines:\n  | thread 'main' panicked\n  | Invalid address"
        );
        let text = ServerError::Exited { status: "exit status 1".to_owned(), last_lines: Vec::new() }.to_string();
        assert!(text.ends_with("it printed nothing"), "{text}");
    }
}
