//! The result of a command of many runs, final or so far.

use super::capacity::Capacity;
use super::throughput::Throughput;

/// The document of a command of many runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Sweep {
    Capacity(Box<Capacity>),
    Throughput(Box<Throughput>),
}

impl Sweep {
    /// Returns the result that the command would have if it were stopped now.
    #[must_use]
    pub fn so_far(mut self) -> Self {
        match &mut self {
            Self::Capacity(found) => {
                found.interrupted = true;
                found.judge(None);
            }
            Self::Throughput(found) => {
                found.interrupted = true;
                found.judge(None);
            }
        }
        self
    }

    /// Returns the JSON for files.
    pub fn to_json(&self) -> String {
        match self {
            Self::Capacity(found) => found.to_json(),
            Self::Throughput(found) => found.to_json(),
        }
    }
}
