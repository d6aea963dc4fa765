//! Names of columns: those that the user specified, or those known for a format.

use super::error::ReadError;

/// The user's names of columns, for files whose columns differ from their format.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// The prompt.
    pub prompt: Option<String>,
    /// The instant of a row in a trace.
    pub at: Option<String>,
    /// Tokens of the prompt.
    pub input: Option<String>,
    /// Tokens of the response.
    pub output: Option<String>,
}

pub(super) const PROMPT: &[&str] = &["prompt"];
pub(super) const AT: &[&str] = &["timestamp", "at"];
pub(super) const INPUT: &[&str] = &["input_length", "input_tokens", "prompt_tokens"];
pub(super) const OUTPUT: &[&str] = &["output_length", "output_tokens", "completion_tokens"];

/// The columns of a file, as indices into `present`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Found {
    pub(super) prompt: Option<usize>,
    pub(super) at: Option<usize>,
    pub(super) input: Option<usize>,
    pub(super) output: Option<usize>,
}

impl Columns {
    /// Finds each column: the one that the user specified, which must be present, or the first
    /// known name.
    pub(super) fn find(&self, line: u64, present: &[&str]) -> Result<Found, ReadError> {
        let find = |told: Option<&String>, known: &[&str]| match told {
            Some(name) => match present.iter().position(|column| column == name) {
                Some(at) => Ok(Some(at)),
                None => Err(missing(line, name, present)),
            },
            None => Ok(known.iter().find_map(|name| present.iter().position(|column| column == name))),
        };
        Ok(Found {
            prompt: find(self.prompt.as_ref(), PROMPT)?,
            at: find(self.at.as_ref(), AT)?,
            input: find(self.input.as_ref(), INPUT)?,
            output: find(self.output.as_ref(), OUTPUT)?,
        })
    }
}

/// Returns the error that a column is missing.
pub(super) fn missing(line: u64, name: &str, present: &[&str]) -> ReadError {
    /// Maximum number of names listed in a message.
    const MOST: usize = 12;
    let mut shown: Vec<String> = present.iter().take(MOST).map(|name| super::json::shown(name)).collect();
    if present.len() > MOST {
        shown.push("…".to_owned());
    }
    let shown = if shown.is_empty() { "none".to_owned() } else { shown.join(", ") };
    ReadError::at(line, format!("has no column `{name}`: expected one of its columns: {shown}"))
}
