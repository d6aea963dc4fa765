//! Preparations of the process for any run: enough open files, and the flag that signals raise.

use super::error::TrialError;
use super::signals::{self, Stop};
use crate::host::limits;

/// State shared by all runs of this process.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) stop: Stop,
    /// Number of files that may be open at once.
    pub(crate) nofile: u64,
}

impl Setup {
    /// Raises the limit of open files so that this many connections fit, and begins to handle
    /// signals.
    pub(crate) fn new(connections: u64) -> Result<Self, TrialError> {
        let nofile = limits::raise_nofile(connections + limits::BESIDE_CONNECTIONS)?;
        Ok(Self { stop: signals::watch()?, nofile })
    }

    /// Returns how many connections may be open at once.
    pub(crate) const fn connections(&self) -> u64 {
        self.nofile - limits::BESIDE_CONNECTIONS
    }
}
