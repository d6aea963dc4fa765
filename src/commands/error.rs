//! Reasons why a command did not complete.

use crate::cli::CliError;
use crate::cli::environment::UnknownVariable;
use crate::cli::scheduler::PlaceError;
use crate::compare::CompareError;
use crate::document::merge::MergeError;
use crate::exit::ExitClass;
use crate::origin::OriginError;
use crate::plan::PlanError;
use crate::server::ServerError;
use crate::trial::TrialError;
use std::io;
use std::path::{Path, PathBuf};

/// A reason why a command did not complete.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// The command line is invalid, or asks for help or the version.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// An environment variable with this program's prefix, but an unknown name.
    #[error(transparent)]
    Variable(#[from] UnknownVariable),
    /// `--shard auto`, but the environment does not determine the shard.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The test cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// The place of a result cannot be written to. Reported before the test.
    #[error("{flag} {}: {source}; expected a file in a folder that exists and can be written to", path.display())]
    OutputPlace { flag: &'static str, path: PathBuf, source: io::Error },
    /// Two results would go to the same place. Reported before the test.
    #[error("{}: two results cannot go to the same place: choose another for one of them", path.display())]
    SamePlace { path: PathBuf },
    /// The results could not be written. Reported after the test.
    #[error("{flag} {}: the results could not be written: {source}{}", path.display(), elsewhere(rescued.as_deref()))]
    Results { flag: &'static str, path: PathBuf, source: io::Error, rescued: Option<PathBuf> },
    /// The file of requests is incomplete. Reported after the test.
    #[error("--requests {}: not all requests were written: {source}", path.display())]
    Requests { path: PathBuf, source: io::Error },
    /// The thread that writes the file of requests cannot be started. Reported before the test.
    #[error("--requests {}: no thread could be started to write it: {source}; raise the limits of threads and memory (ulimit -u, ulimit -v)", path.display())]
    RequestsThread { path: PathBuf, source: io::Error },
    /// The step summary of GitHub Actions could not be appended to. Reported after everything else.
    #[error("GITHUB_STEP_SUMMARY {}: the summary could not be appended: {source}", path.display())]
    StepSummary { path: PathBuf, source: io::Error },
    /// The live page cannot be served at this address. Reported before the test.
    #[cfg(feature = "web")]
    #[error(
        "--web {addr}: {source}; expected an address of this machine and a port that nothing else uses (0: any free one)"
    )]
    Web { addr: std::net::SocketAddr, source: io::Error },
    /// Samples cannot be written to a Prometheus server. Reported before the test.
    #[cfg(feature = "web")]
    #[error("--prometheus-write {url}: {source}")]
    Push { url: String, source: crate::prometheus::PushError },
    /// A given result cannot be used. The reason names the field.
    #[error("{}: {reason}", path.display())]
    Result { path: PathBuf, reason: String },
    /// The results do not belong to one test.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// The results cannot be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// An argument of a command that is not a test: the problem, and the expected value.
    #[error("{flag}: {problem}")]
    Argument { flag: &'static str, problem: String },
    /// The origin could not be started, or has failed.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The origin that was started does not respond any more.
    #[error("the origin at {addr} does not respond to {path}; is the machine out of memory or file descriptors?")]
    OriginLost { addr: std::net::SocketAddr, path: &'static str },
    /// The output (terminal or pipe) cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl From<CliError> for CommandError {
    fn from(error: CliError) -> Self {
        match error {
            CliError::Usage(error) => error.into(),
            CliError::Variable(error) => error.into(),
            CliError::Place(error) => error.into(),
        }
    }
}

impl From<ServerError> for CommandError {
    fn from(error: ServerError) -> Self {
        TrialError::from(error).into()
    }
}

impl CommandError {
    pub(super) fn exit_class(&self) -> ExitClass {
        match self {
            Self::Usage(error) if error.exit_code() == 0 => ExitClass::Success,
            Self::Usage(_)
            | Self::Argument { .. }
            | Self::Compare(CompareError::Gate { .. } | CompareError::Peak { .. }) => ExitClass::Usage,
            Self::Compare(CompareError::Sorts { .. }) => ExitClass::Configuration,
            Self::Result { .. } | Self::Merge(_) | Self::Compare(_) => ExitClass::Incomplete,
            Self::Plan(error) if error.is_usage() => ExitClass::Usage,
            Self::Variable(_)
            | Self::Place(_)
            | Self::Plan(_)
            | Self::OutputPlace { .. }
            | Self::SamePlace { .. }
            | Self::RequestsThread { .. } => ExitClass::Configuration,
            #[cfg(feature = "web")]
            Self::Web { .. } | Self::Push { .. } => ExitClass::Configuration,
            Self::Trial(error) => error.exit_class(),
            Self::Origin(_) | Self::OriginLost { .. } => ExitClass::NoData,
            // A reader that closes the pipe has seen enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitClass::Success,
            Self::Output(_) | Self::Results { .. } | Self::Requests { .. } | Self::StepSummary { .. } => {
                ExitClass::Internal
            }
        }
    }
}

/// Names the file to which a result was rescued.
fn elsewhere(rescued: Option<&Path>) -> String {
    rescued.map_or_else(String::new, |path| format!("; they are in {}", path.display()))
}
