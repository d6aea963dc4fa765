//! Why a file cannot be read.

use std::fmt;
use std::io;

/// Why a file of rows cannot be read: the line, what is wrong there and what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    /// From 1; none when the whole file is meant.
    pub line: Option<u64>,
    pub problem: String,
}

impl ReadError {
    /// Something is wrong on that line.
    pub(super) fn at(line: u64, problem: impl Into<String>) -> Self {
        Self { line: Some(line), problem: problem.into() }
    }

    /// The same of a file that was taken for CSV although nobody said so.
    pub(super) fn of_guessed_csv(self) -> Self {
        Self { problem: format!("{} (read as CSV: it begins with neither `{{` nor `[`)", self.problem), ..self }
    }

    /// Something is wrong with the whole file.
    pub(super) fn whole(problem: impl Into<String>) -> Self {
        Self { line: None, problem: problem.into() }
    }

    /// The file could not be read on from that line.
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
