//! One row of any format, as its reader returns it.

use super::error::ReadError;
use super::json::shown;
use super::members::member;
use super::session::Session;
use crate::units::Nanos;
use std::borrow::Cow;

/// Maximum tokens of a prompt or a response. The number is beyond every model's context window.
pub(super) const MAX_TOKENS: u64 = 10_000_000;

/// One row, which borrows from its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row<'a> {
    /// The instant as written, in nanoseconds on the file's clock.
    pub(super) at: Option<i64>,
    pub(super) body: RowBody<'a>,
    /// The conversation that the row is a turn of.
    pub(super) session: Option<Session<'a>>,
    /// How long the row waits after the previous response.
    pub(super) delay: Option<Nanos>,
    /// The requested length of the response in tokens.
    pub(super) output_tokens: Option<u32>,
    /// The path for which the row was written, as a JSON string.
    pub(super) url: Option<&'a str>,
}

impl<'a> Row<'a> {
    /// Returns a row with nothing but its content.
    pub(super) const fn of(body: RowBody<'a>) -> Self {
        Self { at: None, body, session: None, delay: None, output_tokens: None, url: None }
    }
}

/// The content of a row's request.
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
    /// A number of tokens, and the numbers of their blocks if the row has them.
    Words { tokens: u32, blocks: Vec<u64> },
}

/// One message of a conversation, in its format's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said<'a> {
    pub(super) who: Who,
    pub(super) message: Message<'a>,
}

/// The author of a message.
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
    /// Returns the content as JSON.
    pub(super) fn content(self) -> Option<&'a str> {
        match self {
            Self::Object(object) => member(object, "content"),
            Self::Content(content) => Some(content),
        }
    }

    /// Returns true if the model calls tools in the message.
    pub(super) fn calls_tools(self) -> bool {
        matches!(self, Self::Object(object) if member(object, "tool_calls").is_some_and(|calls| calls.starts_with('[')))
    }
}

/// The form of a prompt in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// One string.
    Text,
    /// A list of messages.
    Messages,
    /// As [`Form::Messages`], with tool calls and their results as separate items (Responses).
    Items,
    /// As [`Form::Messages`], with the system message beside the list, and with tool calls and
    /// their results as content blocks (Anthropic).
    SystemApart,
}

/// A row, or the reason why it cannot be sent.
pub(super) type Read<'a> = Result<Result<Row<'a>, &'static str>, ReadError>;

/// Reads a number of tokens in a column.
pub(super) fn tokens(line: u64, column: &str, text: &str) -> Result<u32, ReadError> {
    let digits = text.strip_suffix(".0").unwrap_or(text);
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok()).flatten();
    number.filter(|n| *n <= MAX_TOKENS).map(|n| n as u32).ok_or_else(|| {
        let problem = format!("`{column}` is {}: expected a number of tokens from 0 to {MAX_TOKENS}", shown(text));
        ReadError::at(line, problem)
    })
}
