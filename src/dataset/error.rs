//! Why a file cannot be read.

use std::fmt;
use std::io;

/// Why a file of rows cannot be read: the line, the problem and what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    /// The line, from 1. `None` if the problem concerns the whole file.
    pub line: Option<u64>,
    pub problem: String,
}

impl ReadError {
    /// Returns an error on that line.
    pub(super) fn at(line: u64, problem: impl Into<String>) -> Self {
        Self { line: Some(line), problem: problem.into() }
    }

    /// Explains that the file was taken for CSV, because no format was specified.
    pub(super) fn of_guessed_csv(self) -> Self {
        Self { problem: format!("{} (read as CSV: it begins with neither `{{` nor `[`)", self.problem), ..self }
    }

    /// Returns an error that concerns the whole file.
    pub(super) fn whole(problem: impl Into<String>) -> Self {
        Self { line: None, problem: problem.into() }
    }

    /// Returns the error that reading failed at that line.
    pub(super) fn io(line: u64, error: &io::Error) -> Self {
        let problem = match error.kind() {
            io::ErrorKind::UnexpectedEof => "the compressed data ends early: expected a whole .gz file".to_owned(),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                format!("the compressed data is damaged ({error}): expected a whole .gz file")
            }
            _ => format!("cannot be read: {error}"),
        };
        Self::at(line, problem)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}
