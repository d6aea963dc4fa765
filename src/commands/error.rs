//! Why a command did not come to its end.

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

/// Why a command did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// The command line cannot be understood; help and version are here, too.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// A name of the environment that is meant for this program, and that it does not know.
    #[error(transparent)]
    Variable(#[from] UnknownVariable),
    /// `--shard auto`, and the environment does not say which.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The test cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// The place of a result cannot be written to; said before the test.
    #[error("{flag} {}: {source}; expected a file in a folder that exists and can be written to", path.display())]
    OutputPlace { flag: &'static str, path: PathBuf, source: io::Error },
    /// Two results would go to one place; said before the test.
    #[error("{}: two results cannot go to the same place: choose another for one of them", path.display())]
    SamePlace { path: PathBuf },
    /// The results could not be written; said after the test.
    #[error("{flag} {}: the results could not be written: {source}{}", path.display(), elsewhere(rescued.as_deref()))]
    Results { flag: &'static str, path: PathBuf, source: io::Error, rescued: Option<PathBuf> },
    /// The file of requests is not whole; said after the test.
    #[error("--requests {}: not all requests were written: {source}", path.display())]
    Requests { path: PathBuf, source: io::Error },
    /// Nothing can write the file of requests; said before the test.
    #[error("--requests {}: no thread could be started to write it: {source}; raise the limits of threads and memory (ulimit -u, ulimit -v)", path.display())]
    RequestsThread { path: PathBuf, source: io::Error },
    /// The summary of a step of GitHub Actions; said after everything else.
    #[error("GITHUB_STEP_SUMMARY {}: the summary could not be appended: {source}", path.display())]
    StepSummary { path: PathBuf, source: io::Error },
    /// The live page cannot be served there; said before the test.
    #[cfg(feature = "web")]
    #[error(
        "--web {addr}: {source}; expected an address of this machine and a port that nothing else uses (0: any free one)"
    )]
    Web { addr: std::net::SocketAddr, source: io::Error },
    /// Samples cannot be written to a Prometheus; said before the test.
    #[cfg(feature = "web")]
    #[error("--prometheus-write {url}: {source}")]
    Push { url: String, source: crate::prometheus::PushError },
    /// A result that was given cannot be used. The reason names the field.
    #[error("{}: {reason}", path.display())]
    Result { path: PathBuf, reason: String },
    /// Results that are not of one test.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// Results that cannot be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// A value of a command that is not a test: what is wrong with it, and what was expected.
    #[error("{flag}: {problem}")]
    Argument { flag: &'static str, problem: String },
    /// The origin could not be started, or has failed.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The origin that was started does not answer any more.
    #[error("the origin at {addr} does not answer {path}; is the machine out of memory or file descriptors?")]
    OriginLost { addr: std::net::SocketAddr, path: &'static str },
    /// The terminal or pipe that text goes to.
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
            // A reader that closes our pipe has seen enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitClass::Success,
            Self::Output(_) | Self::Results { .. } | Self::Requests { .. } | Self::StepSummary { .. } => {
                ExitClass::Internal
            }
        }
    }
}

/// Where a result is whose place has failed.
fn elsewhere(rescued: Option<&Path>) -> String {
    rescued.map_or_else(String::new, |path| format!("; they are in {}", path.display()))
}
