//! Converts messages of chat completions to the form of another API. The forms differ in tool calls
//! and their results.
//!
//! | Form | A call | A result |
//! |---|---|---|
//! | `Messages` | in `tool_calls` of the message | a message of the role `tool` |
//! | `Items` | an item `function_call` after the message | an item `function_call_output` |
//! | `SystemApart` | a block `tool_use` of the content | a block `tool_result` in a user message |

use super::json::{is_empty_text, is_text, some};
use super::members::{elements, is_object, member};
use super::row::{Form, Message, Who};

/// Writes the messages of one list in order.
#[derive(Debug)]
pub(super) struct Writer {
    form: Form,
    /// The start of the list in the output.
    start: usize,
    /// True if the last message contains results of tools, to which others can be added.
    in_results: bool,
}

/// The start and the end of a part of the output, relative to the list's start.
pub(super) type Span = (usize, usize);

impl Writer {
    /// Begins a list.
    pub(super) fn new(form: Form, out: &mut Vec<u8>) -> Self {
        let start = out.len();
        out.push(b'[');
        Self { form, start, in_results: false }
    }

    /// Appends a message. Returns the position of its content if it is the result of a tool, or the
    /// reason why it cannot be sent.
    pub(super) fn write(
        &mut self,
        who: Who,
        message: Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Span>, &'static str> {
        let adds = self.form == Form::SystemApart && who == Who::Tool && self.in_results;
        self.in_results = who == Who::Tool;
        if !adds && out.len() - self.start > 1 {
            out.push(b',');
        }
        match (who, message, self.form) {
            (Who::Tool, Message::Object(object), Form::Items | Form::SystemApart) => {
                self.result(object, adds, out).map(Some)
            }
            (Who::Model, Message::Object(object), Form::Items) if message.calls_tools() => items(object, out),
            (Who::Model, Message::Object(object), Form::SystemApart) if message.calls_tools() => blocks(object, out),
            (_, Message::Object(object), _) => {
                let at = out.len() - self.start;
                out.extend_from_slice(object.as_bytes());
                let content = message.content().filter(|_| who == Who::Tool);
                Ok(content.map(|content| {
                    let from = at + (content.as_ptr() as usize - object.as_ptr() as usize);
                    (from, from + content.len())
                }))
            }
            (_, Message::Content(content), _) => {
                said(who, content, out);
                Ok(None)
            }
        }
    }

    /// Writes the result of a tool. If `adds`, the result joins those in the previous message.
    fn result(&self, object: &str, adds: bool, out: &mut Vec<u8>) -> Result<Span, &'static str> {
        let id = text(object, "tool_call_id").ok_or("a tool result does not name its call (tool_call_id)")?;
        let content = text(object, "content").ok_or("a tool result is not text")?;
        let (before, between, after) = match self.form {
            Form::Items => (r#"{"type":"function_call_output","call_id":"#, r#","output":"#, "}"),
            _ => (r#"{"type":"tool_result","tool_use_id":"#, r#","content":"#, "}]}"),
        };
        if adds {
            // Removes the brackets that closed the message.
            out.truncate(out.len() - "]}".len());
            out.push(b',');
        } else if self.form == Form::SystemApart {
            push(out, &[r#"{"role":"user","content":["#]);
        }
        push(out, &[before, id, between]);
        let from = out.len() - self.start;
        push(out, &[content, after]);
        Ok((from, from + content.len()))
    }
}

/// Writes a message that only has content.
fn said(who: Who, content: &str, out: &mut Vec<u8>) {
    let role = match who {
        Who::System => "system",
        Who::User => "user",
        Who::Model => "assistant",
        Who::Tool => "tool",
    };
    push(out, &[r#"{"role":""#, role, r#"","content":"#, content, "}"]);
}

/// A tool call: its id, name and arguments as raw JSON.
type Call<'a> = (&'a str, &'a str, &'a str);

fn calls(object: &str) -> impl Iterator<Item = Result<Call<'_>, &'static str>> {
    elements(member(object, "tool_calls").unwrap_or_default()).map(|call| {
        let function = member(call, "function").filter(|function| is_object(function));
        let function = function.ok_or("a tool call does not call a function")?;
        let arguments = some(member(function, "arguments")).unwrap_or(r#""{}""#);
        match (text(call, "id"), text(function, "name")) {
            (Some(id), Some(name)) => Ok((id, name, arguments)),
            _ => Err("a tool call has no id or no name"),
        }
    })
}

/// Writes a model's message for the Responses API. The text is a message, and each call a separate
/// item.
fn items(object: &str, out: &mut Vec<u8>) -> Result<Option<Span>, &'static str> {
    if let Some(content) = spoken(object)? {
        said(Who::Model, content, out);
        out.push(b',');
    }
    for (i, call) in calls(object).enumerate() {
        let (id, name, arguments) = call?;
        let separator = if i == 0 { "" } else { "," };
        push(out, &[separator, r#"{"type":"function_call","call_id":"#, id, r#","name":"#, name, r#","arguments":"#]);
        if is_text(arguments) {
            push(out, &[arguments, "}"]);
        } else {
            push(out, &[&serde_json::Value::from(arguments).to_string(), "}"]);
        }
    }
    Ok(None)
}

/// Writes a model's message for Anthropic's API. The text and each call are blocks.
fn blocks(object: &str, out: &mut Vec<u8>) -> Result<Option<Span>, &'static str> {
    push(out, &[r#"{"role":"assistant","content":["#]);
    let spoken = spoken(object)?;
    if let Some(content) = spoken {
        push(out, &[r#"{"type":"text","text":"#, content, "}"]);
    }
    for (i, call) in calls(object).enumerate() {
        let (id, name, arguments) = call?;
        let plain = if is_text(arguments) { serde_json::from_str(arguments).ok() } else { Some(arguments.to_owned()) };
        // Some servers send empty arguments for a call without arguments.
        let plain = plain.map(|text: String| if text.trim().is_empty() { "{}".to_owned() } else { text });
        let is_map = |text: &String| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok();
        let input = plain.filter(is_map).ok_or("the arguments of a tool call are not a JSON object")?;
        let separator = if i == 0 && spoken.is_none() { "" } else { "," };
        push(out, &[separator, r#"{"type":"tool_use","id":"#, id, r#","name":"#, name, r#","input":"#, &input, "}"]);
    }
    push(out, &["]}"]);
    Ok(None)
}

/// Returns the text of a message with tool calls.
fn spoken(object: &str) -> Result<Option<&str>, &'static str> {
    match some(member(object, "content")) {
        None => Ok(None),
        Some(content) if is_empty_text(content) => Ok(None),
        Some(content) if is_text(content) => Ok(Some(content)),
        Some(_) => Err("a message with tool calls has content that is not text"),
    }
}

/// Returns a member that is a string, with its quotes.
fn text<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    member(object, name).filter(|value| is_text(value))
}

fn push(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}
