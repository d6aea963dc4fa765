//! What this process needs before any run: enough open files, and a flag that signals raise.

use super::error::TrialError;
use super::signals::{self, Stop};
use crate::host::limits;

/// What every run of this process shares.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) stop: Stop,
    /// Files that may be open at once.
    pub(crate) nofile: u64,
}

impl Setup {
    /// Raises the limit of open files so that there can be so many connections, and begins to
    /// listen to signals.
    pub(crate) fn new(connections: u64) -> Result<Self, TrialError> {
        let nofile = limits::raise_nofile(connections + limits::BESIDE_CONNECTIONS)?;
        Ok(Self { stop: signals::watch()?, nofile })
    }

    /// Connections that there can be at once.
    pub(crate) const fn connections(&self) -> u64 {
        self.nofile - limits::BESIDE_CONNECTIONS
    }
}
