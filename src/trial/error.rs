//! Reasons why a run did not complete.

use crate::engine::EngineError;
use crate::exit::ExitClass;
use crate::host::limits::{TooFewFiles, TooFewPorts};
use crate::net::tls::TlsConfigError;
use crate::redact::Redactor;
use crate::rendezvous;
use crate::server::ServerError;
use crate::units::Nanos;
use std::io;

/// A reason why a run did not complete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrialError {
    /// More connections are needed than file descriptors are available.
    #[error(transparent)]
    Files(#[from] TooFewFiles),
    /// More connections are needed than local ports are available.
    #[error(transparent)]
    Ports(#[from] TooFewPorts),
    /// TLS cannot be set up as requested.
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
    /// Connections cannot leave from the given address.
    #[error("--source-ip {source_ip}: {problem}")]
    Source { source_ip: std::net::IpAddr, problem: String },
    /// The source of the API key did not provide one.
    #[error("{place}: {problem}")]
    NoKey { place: String, problem: String },
    /// The target's host name cannot be resolved.
    #[error(
        "{url}: the host cannot be resolved: {source}; check its spelling, or give its address with --resolve HOST:PORT:ADDR"
    )]
    Resolve { url: String, source: io::Error },
    /// Nothing responds at the target, and no server may be started there.
    #[error(
        "{url}: {reason}; start the server first, or check --target-url (without any target, the embedded simulator is started)"
    )]
    Unreachable { url: String, reason: String },
    /// Something responds at the target, but it cannot be tested. The reason says what to do.
    #[error("{url}: {reason}")]
    Unusable { url: String, reason: String },
    /// The process to watch does not exist.
    #[error("--server-pid {pid}: no such process on this machine; expected the server's own process ID")]
    NoProcess { pid: u32 },
    /// The server has none of the optional APIs of the profile. `missing` holds their names.
    #[error(
        "{url}: the server has none of the profile's APIs (skipped: {missing}): choose an API and its path with --api and --path"
    )]
    NoApi { url: String, missing: String },
    /// The server could not be started.
    #[error(transparent)]
    Server(ServerError),
    /// The server that was started ended by itself during the measurement.
    #[error("the server ended by itself ({status}) while it was measured{}", last_words(last_lines))]
    Died { status: String, last_lines: Vec<String> },
    /// The instant at which the test was to start has passed.
    #[error(
        "--start-at {at}: that was {by} ago, so the other machines have already begun, and nothing was sent: choose a time at which \
         all are ready"
    )]
    Late { at: jiff::Timestamp, by: Nanos },
    /// Shard 0 cannot listen at the rendezvous.
    #[error("--rendezvous {place}: shard 0 cannot listen there: {source}; choose a free port of its machine")]
    Listen { place: String, source: io::Error },
    /// Shard 0 refused this process.
    #[error("--rendezvous {place}: shard 0 has refused this shard: {why}")]
    Refused { place: String, why: String },
    /// The shards did not meet.
    #[error("--rendezvous {place}: {why}; nothing was sent")]
    Unmet { place: String, why: String },
    /// Another shard ended before the load began, which ended all shards.
    #[error("shard {}: {}; all shards have ended before the test began, and nothing was sent", .0.shard, .0.text)]
    Elsewhere(rendezvous::Stop),
    /// A signal came before the load began.
    #[error("interrupted before the test began; nothing was measured")]
    Interrupted,
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// One of the other errors. Its text held a secret, or something that a terminal or CI system
    /// would obey.
    #[error("{text}")]
    Redacted { text: String, class: ExitClass },
    /// The output (terminal or pipe) cannot be written, or signals cannot be handled.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl From<ServerError> for TrialError {
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::Interrupted => Self::Interrupted,
            error => Self::Server(error),
        }
    }
}

impl TrialError {
    /// Makes the text safe to show: servers may put anything into their last output, certificates
    /// and responses.
    pub(super) fn redacted(self, redactor: &Redactor) -> Self {
        let said = self.to_string();
        let text = redactor.foreign(said.as_bytes());
        if text == said { self } else { Self::Redacted { text, class: self.exit_class() } }
    }

    pub(crate) fn exit_class(&self) -> ExitClass {
        match self {
            Self::Elsewhere(stop) if stop.cause == rendezvous::Cause::Signal => ExitClass::Interrupted,
            Self::Late { .. } | Self::Unmet { .. } | Self::Elsewhere(_) => ExitClass::Incomplete,
            Self::Files(_)
            | Self::Ports(_)
            | Self::NoKey { .. }
            | Self::NoProcess { .. }
            | Self::Tls(_)
            | Self::Source { .. }
            | Self::Listen { .. }
            | Self::Refused { .. }
            | Self::Server(ServerError::BadConfig { .. } | ServerError::BadHost { .. }) => ExitClass::Configuration,
            Self::Redacted { class, .. } => *class,
            Self::Interrupted => ExitClass::Interrupted,
            Self::Server(_)
            | Self::Resolve { .. }
            | Self::Unreachable { .. }
            | Self::Unusable { .. }
            | Self::Died { .. }
            | Self::NoApi { .. } => ExitClass::NoData,
            // A reader that closes the pipe has seen enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitClass::Success,
            Self::Output(_) | Self::Engine(_) => ExitClass::Internal,
        }
    }
}

fn last_words(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |text, line| text + "\n  | " + line)
}
