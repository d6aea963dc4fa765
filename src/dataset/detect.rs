//! Which format a file has, by the names in its first record.

use super::columns::Columns;
use super::error::ReadError;
use super::format::Format;
use super::json::{pick, some};
use super::members::members;

/// The format of the first record of a JSON file.
pub(super) fn detect(line: u64, record: &str, columns: &Columns) -> Result<Format, ReadError> {
    let names = [
        "conversations",
        "custom_id",
        "body",
        "messages",
        "prompt",
        "timestamp",
        "hash_ids",
        "chat_id",
        "model",
        "input",
    ];
    let found = pick(line, record, names)?.map(|value| some(value).is_some());
    let [conversations, custom_id, body, messages, prompt, timestamp, ids, chat_id, model, input] = found;
    if columns.at.is_some() {
        return Ok(Format::Jsonl);
    }
    if columns.prompt.is_some() {
        return Ok(Format::Prompt);
    }
    Ok(match () {
        () if conversations => Format::Sharegpt,
        () if body && (custom_id || !messages) => Format::Batch,
        () if timestamp && chat_id => Format::Bailian,
        () if timestamp || ids => Format::Mooncake,
        () if model && (messages || input) => Format::Body,
        () if messages => Format::Chat,
        () if prompt => Format::Prompt,
        () => {
            let names: Vec<String> =
                members(record).take(12).map(|(name, _)| super::json::shown(name.trim_matches('"'))).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let problem = format!(
                "is of no format that is known, by its names ({names}): expected conversations, messages, prompt, body or timestamp among them, or a `format` that is told, or the column of the prompt"
            );
            return Err(ReadError::at(line, problem));
        }
    })
}
