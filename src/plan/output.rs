//! The destination of a result.

use std::fmt;
use std::path::{Path, PathBuf};

/// The destination of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Standard output, written `-`.
    Stdout,
    File(PathBuf),
}

impl Output {
    /// Returns it as it is written on the command line.
    pub fn path(&self) -> &Path {
        match self {
            Self::Stdout => Path::new("-"),
            Self::File(path) => path,
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().display().fmt(f)
    }
}
