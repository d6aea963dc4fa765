//! Why no server could be started.

use crate::units::Nanos;
use crate::watch::probe::Health;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why no server could be started. Each message says what to do; those about a child end with its
/// last lines.
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
        /// What is wrong with it.
        reason: String,
    },
    /// The host to listen on cannot be resolved.
    #[error("--host {host}: not an address to listen on: {reason}")]
    BadHost {
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// Someone else listens there.
    #[error("{addr} is in use by another program: stop it, or choose another port with --port")]
    PortTaken { addr: SocketAddr },
    /// This machine does not let us listen there.
    #[error("cannot listen on {addr}: {source}; choose another address with --host and --port")]
    CannotListen { addr: SocketAddr, source: io::Error },
    /// The program cannot be run.
    #[error("{flag} {}: {reason}", path.display())]
    NotExecutable {
        /// Where the name came from.
        flag: &'static str,
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder holds no cargo project.
    #[error("--server-src {}: {reason}; expected a checkout of llmsim", path.display())]
    NotACheckout { path: PathBuf, reason: String },
    /// `cargo build --release` failed.
    #[error("--server-src {}: `cargo build --release` failed ({status}){}", path.display(), quoted(last_lines))]
    BuildFailed {
        path: PathBuf,
        status: String,
        /// The last lines it said.
        last_lines: Vec<String>,
    },
    /// It built, but not llmsim.
    #[error("--server-src {}: it builds no binary called llmsim (found: {found})", path.display())]
    NoBinary {
        path: PathBuf,
        /// What it did build.
        found: String,
    },
    /// The server ended before it was ready.
    #[error("the server ended before it was ready: {status}{}", quoted(last_lines))]
    Exited {
        status: String,
        /// The last lines it said.
        last_lines: Vec<String>,
    },
    /// The server did not become ready in time.
    #[error("the server was not ready after {after}: GET /health: {health}{}", quoted(last_lines))]
    NotReady {
        /// How long we waited.
        after: Nanos,
        /// What the last look said.
        health: Health,
        /// The last lines it said.
        last_lines: Vec<String>,
    },
    #[error("interrupted before the test began; nothing was measured")]
    Interrupted,
    /// The embedded simulator gave up.
    #[error("the embedded simulator stopped: {0}")]
    Embedded(String),
    /// The kernel refused something.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What we were about to do.
        doing: String,
        /// What the kernel said.
        source: io::Error,
    },
}

/// The last lines of a child, set apart from our own words.
pub(super) fn quoted(last_lines: &[String]) -> String {
    if last_lines.is_empty() {
        return "; it said nothing".to_owned();
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
        assert!(text.ends_with("it said nothing"), "{text}");
    }
}
