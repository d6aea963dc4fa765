//! Detects a file's format from the names in its first record.

use super::columns::Columns;
use super::error::ReadError;
use super::format::Format;
use super::json::{pick, some};
use super::members::members;

/// Returns the format of a JSON file, given its first record.
pub(super) fn detect(line: u64, record: &str, columns: &Columns, is_trace: bool) -> Result<Format, ReadError> {
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
    let recorded = match () {
        () if columns.at.is_some() => Some(Format::Jsonl),
        () if timestamp && chat_id => Some(Format::Bailian),
        () if timestamp || ids => Some(Format::Mooncake),
        () => None,
    };
    let written = match () {
        () if columns.prompt.is_some() => Some(Format::Prompt),
        () if conversations => Some(Format::Sharegpt),
        () if body && (custom_id || !messages) => Some(Format::Batch),
        () if model && (messages || input) => Some(Format::Body),
        () if messages => Some(Format::Chat),
        () if prompt => Some(Format::Prompt),
        () => None,
    };
    // Many chat logs have a timestamp. It does not determine the format of a data set.
    let found = if is_trace { recorded.or(written) } else { written.or(recorded) };
    found.ok_or_else(|| {
        let names: Vec<String> =
            members(record).take(12).map(|(name, _)| super::json::shown(name.trim_matches('"'))).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let problem = format!(
            "has an unknown format (names: {names}): expected conversations, messages, prompt, body or timestamp among them; or set `format`, or the prompt's `column`"
        );
        ReadError::at(line, problem)
    })
}
