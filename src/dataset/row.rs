//! One row of any format, as its reader hands it on.

use super::error::ReadError;
use super::json::shown;
use std::borrow::Cow;

/// Most tokens of a prompt or an answer: beyond every model's window.
pub(super) const MAX_TOKENS: u64 = 10_000_000;

/// One row, which borrows from its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row<'a> {
    /// Its instant as written, in nanoseconds of whatever clock the file has.
    pub(super) at: Option<i64>,
    pub(super) body: RowBody<'a>,
    /// How long the answer shall be.
    pub(super) output_tokens: Option<u32>,
    /// The path that it was written for, as a JSON string.
    pub(super) url: Option<&'a str>,
}

impl<'a> Row<'a> {
    /// A row that says nothing but what to send.
    pub(super) const fn of(body: RowBody<'a>) -> Self {
        Self { at: None, body, output_tokens: None, url: None }
    }
}

/// What a row says of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RowBody<'a> {
    /// A prompt as a JSON string, with its quotes.
    Quoted(&'a str),
    /// A prompt as plain text.
    Text(Cow<'a, str>),
    /// A list of messages as JSON, without the closing bracket.
    Messages(&'a str),
    /// The whole body as JSON.
    Whole(&'a str),
    /// So many tokens, in blocks with these numbers, if it says so.
    Words { tokens: u32, blocks: Vec<u64> },
}

/// A row, or why it cannot be sent.
pub(super) type Read<'a> = Result<Result<Row<'a>, &'static str>, ReadError>;

/// A number of tokens of a column.
pub(super) fn tokens(line: u64, column: &str, text: &str) -> Result<u32, ReadError> {
    let digits = text.strip_suffix(".0").unwrap_or(text);
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok()).flatten();
    number.filter(|n| *n <= MAX_TOKENS).map(|n| n as u32).ok_or_else(|| {
        let problem = format!("`{column}` is {}: expected a number of tokens from 0 to {MAX_TOKENS}", shown(text));
        ReadError::at(line, problem)
    })
}
