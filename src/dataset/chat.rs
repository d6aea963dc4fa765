//! Chats: `{"messages":[{"role", "content"},…]}`. The request ends with the last message that is
//! not the model's. The server responds to that message.

use super::error::ReadError;
use super::json::pick;
use super::members::{elements, is_object, member};
use super::row::{Message, Read, Row, RowBody, Said, Who};

pub(super) fn row(line: u64, record: &str) -> Read<'_> {
    Ok(body(line, messages(line, record)?)?.map(Row::of))
}

/// Reads the whole conversation.
pub(super) fn talk(line: u64, record: &str) -> Read<'_> {
    let messages = messages(line, record)?;
    // Errors in the file are reported in the same words as by `row`.
    if let Err(reason) = body(line, messages)? {
        return Ok(Err(reason));
    }
    let mut said = Vec::new();
    for message in elements(messages) {
        let who = match member(message, "role") {
            Some("\"system\"" | "\"developer\"") => Who::System,
            Some("\"user\"") => Who::User,
            Some("\"assistant\"") => Who::Model,
            Some("\"tool\"" | "\"function\"") => Who::Tool,
            _ => return Ok(Err("it has an unknown role")),
        };
        said.push(Said { who, message: Message::Object(message) });
    }
    Ok(Ok(Row::of(RowBody::Talk(said))))
}

fn messages(line: u64, record: &str) -> Result<&str, ReadError> {
    let [messages] = pick(line, record, ["messages"])?;
    messages.ok_or_else(|| {
        ReadError::at(line, "has no `messages`: expected [{\"role\": \"user\", \"content\": …}, …] there")
    })
}

/// Returns the messages up to the last one that asks for a response, without the closing bracket.
pub(super) fn body(line: u64, messages: &str) -> Result<Result<RowBody<'_>, &'static str>, ReadError> {
    if !messages.starts_with('[') {
        return Err(ReadError::at(line, "`messages` is not a list: expected [{\"role\": …, \"content\": …}, …]"));
    }
    // Elements are slices of the list, so their position is a difference of addresses.
    let end_of = |message: &str| message.as_ptr() as usize + message.len() - messages.as_ptr() as usize;
    let mut asked = None;
    for message in elements(messages) {
        if !is_object(message) {
            return Err(ReadError::at(
                line,
                "has a message that is not an object: expected {\"role\": …, \"content\": …}",
            ));
        }
        match member(message, "role") {
            Some("\"user\"" | "\"tool\"" | "\"function\"") => asked = Some(end_of(message)),
            Some(_) => {}
            None => {
                return Err(ReadError::at(
                    line,
                    "has a message without `role`: expected {\"role\": …, \"content\": …}",
                ));
            }
        }
    }
    Ok(asked.map(|end| RowBody::Messages(&messages[..end])).ok_or("it has no user message"))
}
