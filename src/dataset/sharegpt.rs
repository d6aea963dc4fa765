//! `ShareGPT`: `{"id", "conversations":[{"from":"human"|"gpt"|…, "value"},…]}`. The prompt is the
//! first turn, which must come from a user.

use super::error::ReadError;
use super::json::{is_empty_text, is_text, pick, some};
use super::members::{elements, member};
use super::row::{Message, Read, Row, RowBody, Said, Who};

/// Turns that may come before a conversation begins.
const BEFORE: [&str; 1] = ["\"system\""];
const PERSON: [&str; 2] = ["\"human\"", "\"user\""];

const MODEL: [&str; 5] = ["\"gpt\"", "\"assistant\"", "\"chatgpt\"", "\"bing\"", "\"bard\""];

/// Reads the whole conversation.
pub(super) fn talk(line: u64, record: &str) -> Read<'_> {
    let mut said = Vec::new();
    for turn in elements(conversations(line, record)?) {
        let who = match member(turn, "from").unwrap_or_default() {
            from if BEFORE.contains(&from) => Who::System,
            from if PERSON.contains(&from) => Who::User,
            from if MODEL.contains(&from) => Who::Model,
            _ => return Ok(Err("a turn comes from neither a user, a model nor a system")),
        };
        match some(member(turn, "value")) {
            Some(value) if is_empty_text(value) && who == Who::User => return Ok(Err("a turn is empty")),
            Some(value) if is_text(value) => said.push(Said { who, message: Message::Content(value) }),
            _ => return Ok(Err("a turn has no text")),
        }
    }
    Ok(Ok(Row::of(RowBody::Talk(said))))
}

pub(super) fn row(line: u64, record: &str) -> Read<'_> {
    let conversations = conversations(line, record)?;
    let from = |turn| member(turn, "from").unwrap_or_default();
    let Some(first) = elements(conversations).find(|turn| !BEFORE.contains(&from(turn))) else {
        return Ok(Err("the conversation has no turns"));
    };
    if !PERSON.contains(&from(first)) {
        return Ok(Err("the conversation does not begin with a user"));
    }
    Ok(match some(member(first, "value")) {
        Some(value) if is_empty_text(value) => Err("the first turn is empty"),
        Some(value) if is_text(value) => Ok(Row::of(RowBody::Quoted(value))),
        _ => Err("the first turn has no text"),
    })
}

/// Returns the list of turns.
fn conversations(line: u64, record: &str) -> Result<&str, ReadError> {
    let [conversations] = pick(line, record, ["conversations"])?;
    let Some(conversations) = conversations else {
        return Err(ReadError::at(
            line,
            "has no `conversations`: expected [{\"from\": \"human\", \"value\": …}, …] there",
        ));
    };
    if !conversations.starts_with('[') {
        return Err(ReadError::at(line, "`conversations` is not a list: expected [{\"from\": …, \"value\": …}, …]"));
    }
    Ok(conversations)
}
