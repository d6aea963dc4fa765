//! One row of any format, as its reader hands it on.

use super::error::ReadError;
use super::json::shown;
use super::members::member;
use super::session::Session;
use crate::units::Nanos;
use std::borrow::Cow;

/// Most tokens of a prompt or an answer: beyond every model's window.
pub(super) const MAX_TOKENS: u64 = 10_000_000;

/// One row, which borrows from its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row<'a> {
    /// Its instant as written, in nanoseconds of whatever clock the file has.
    pub(super) at: Option<i64>,
    pub(super) body: RowBody<'a>,
    /// The conversation that it is a turn of.
    pub(super) session: Option<Session<'a>>,
    /// How long it waits after the answer before it.
    pub(super) delay: Option<Nanos>,
    /// How long the answer shall be.
    pub(super) output_tokens: Option<u32>,
    /// The path that it was written for, as a JSON string.
    pub(super) url: Option<&'a str>,
}

impl<'a> Row<'a> {
    /// A row that says nothing but what to send.
    pub(super) const fn of(body: RowBody<'a>) -> Self {
        Self { at: None, body, session: None, delay: None, output_tokens: None, url: None }
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
    /// A conversation, to be sent turn by turn.
    Talk(Vec<Said<'a>>),
    /// The whole body as JSON.
    Whole(&'a str),
    /// So many tokens, in blocks with these numbers, if it says so.
    Words { tokens: u32, blocks: Vec<u64> },
}

/// One message of a conversation, as its format has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said<'a> {
    pub(super) who: Who,
    pub(super) message: Message<'a>,
}

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    System,
    User,
    Model,
    Tool,
}

/// A message in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// The whole object.
    Object(&'a str),
    /// Its content, a string.
    Content(&'a str),
}

impl<'a> Message<'a> {
    /// What it says, as JSON.
    pub(super) fn content(self) -> Option<&'a str> {
        match self {
            Self::Object(object) => member(object, "content"),
            Self::Content(content) => Some(content),
        }
    }

    /// Whether the model calls tools in it.
    pub(super) fn calls_tools(self) -> bool {
        matches!(self, Self::Object(object) if member(object, "tool_calls").is_some_and(|calls| calls.starts_with('[')))
    }
}

/// Where a prompt stands in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// In the place of one string.
    Text,
    /// In the place of a list of messages.
    Messages,
    /// The same, with calls of tools and their results as items of their own (Responses).
    Items,
    /// The same, with a system message beside the list, and with calls of tools and their results as
    /// blocks of content (Anthropic).
    SystemApart,
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
