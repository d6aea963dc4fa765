//! How the program ends: why a command did not come to its end, and with which number.

use crate::compare::CompareError;
use crate::document::merge::MergeError;
use crate::engine::EngineError;
use crate::exit::ExitClass;
use crate::host::limits::{TooFewFiles, TooFewPorts};
use crate::net::tls::TlsConfigError;
use crate::origin::OriginError;
use crate::plan::PlanError;
use crate::server::ServerError;
use std::io;
use std::path::PathBuf;

/// Why a command did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The command line cannot be understood; help and version are here, too.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// The test cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The place of the results cannot be written to; said before the test.
    #[error("--output {}: {source}; expected a file in a folder that exists and can be written to", path.display())]
    OutputPlace {
        /// What was given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The results could not be written; said after the test.
    #[error("--output {}: the results could not be written: {source}", path.display())]
    Results {
        /// What was given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The summary of a step of GitHub Actions; said after everything else.
    #[error("GITHUB_STEP_SUMMARY {}: the summary could not be appended: {source}", path.display())]
    StepSummary {
        /// What it names.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A result that was given cannot be used.
    #[error("{}: {reason}", path.display())]
    Result {
        /// Which.
        path: PathBuf,
        /// The field and what is wrong.
        reason: String,
    },
    /// Results that are not of one test.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// Results that cannot be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// A value of a command that is not a test.
    #[error("{flag}: {problem}")]
    Argument {
        /// Which.
        flag: &'static str,
        /// What is wrong, and what was expected.
        problem: String,
    },
    /// More connections are asked for than there can be file descriptors.
    #[error(transparent)]
    Files(#[from] TooFewFiles),
    /// More connections are asked for than there can be local ports.
    #[error(transparent)]
    Ports(#[from] TooFewPorts),
    /// TLS cannot be set up as it was asked for.
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
    /// An address to connect from that cannot be.
    #[error("--source-ip {source_ip}: {problem}")]
    Source {
        /// The address.
        source_ip: std::net::IpAddr,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// The target's name means nothing.
    #[error(
        "{url}: the host cannot be resolved: {source}; check its spelling, or give its address with --resolve HOST:PORT:ADDR"
    )]
    Resolve {
        /// The target.
        url: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Nothing answers at the target, and nothing may be started there.
    #[error(
        "{url}: {reason}; start the server first, or check --target-url (without --no-server, a target on this machine is started)"
    )]
    Unreachable {
        /// The target.
        url: String,
        /// What happened.
        reason: String,
    },
    /// Something answers at the target, but nothing that could be tested.
    #[error("{url}: {reason}")]
    Unusable {
        /// The target.
        url: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The process to watch is not there.
    #[error("--server-pid {pid}: no such process on this machine; expected the server's own process ID")]
    NoProcess {
        /// What was given.
        pid: u32,
    },
    /// The server has none of the APIs that the profile leaves to it.
    #[error(
        "{url}: has nothing of what the profile sends (skipped: {missing}); name the API and its path: --api, --path"
    )]
    NoApi {
        /// The target.
        url: String,
        /// What was asked for, by name.
        missing: String,
    },
    /// The server could not be started.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The server that was started ended by itself while it was measured.
    #[error("the server ended by itself ({status}) while it was measured{}", last_words(last_lines))]
    Died {
        /// How.
        status: String,
        /// What it said last.
        last_lines: Vec<String>,
    },
    /// The origin could not be started, or has failed.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The origin that was started does not answer any more.
    #[error("the origin at {addr} does not answer {path}; is the machine out of memory or file descriptors?")]
    OriginLost {
        /// Where it was.
        addr: std::net::SocketAddr,
        /// What it was asked.
        path: &'static str,
    },
    /// The instant at which the test was to start is past.
    #[error(
        "--start-at {at}: that was {by_s:.1} s ago, and nothing was sent: the other machines have begun; expected an instant by which all are \
         ready"
    )]
    Late {
        /// When it should have started.
        at: jiff::Timestamp,
        /// How long ago that was.
        by_s: f64,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The terminal or pipe that text goes to, or the signals.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl CliError {
    pub(crate) fn exit_class(&self) -> ExitClass {
        match self {
            Self::Usage(error) if error.exit_code() == 0 => ExitClass::Success,
            Self::Usage(_) | Self::Argument { .. } => ExitClass::Usage,
            Self::Result { .. } | Self::Merge(_) | Self::Compare(_) | Self::Late { .. } => ExitClass::Incomplete,
            Self::Plan(error) if error.is_usage() => ExitClass::Usage,
            Self::Plan(_)
            | Self::OutputPlace { .. }
            | Self::Files(_)
            | Self::Ports(_)
            | Self::NoProcess { .. }
            | Self::Tls(_)
            | Self::Source { .. }
            | Self::Server(ServerError::BadConfig { .. } | ServerError::BadHost { .. }) => ExitClass::Configuration,
            Self::Server(ServerError::Interrupted) => ExitClass::Interrupted,
            Self::Server(_)
            | Self::Resolve { .. }
            | Self::Unreachable { .. }
            | Self::Unusable { .. }
            | Self::Died { .. }
            | Self::NoApi { .. }
            | Self::Origin(_)
            | Self::OriginLost { .. } => ExitClass::NoData,
            // Whoever closes our pipe has seen enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitClass::Success,
            Self::Output(_) | Self::Results { .. } | Self::StepSummary { .. } | Self::Engine(_) => ExitClass::Internal,
        }
    }
}

fn last_words(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |text, line| text + "\n  | " + line)
}
