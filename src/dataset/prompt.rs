//! Prompts in a column: `{"prompt": …}`, as in vLLM's custom data sets and in guidellm.

use super::columns::{Columns, OUTPUT, PROMPT, missing};
use super::json::{is_empty_text, is_text, pick, some};
use super::members::members;
use super::row::{Read, Row, RowBody, tokens};

pub(super) fn row<'a>(line: u64, record: &'a str, columns: &Columns) -> Read<'a> {
    let name = columns.prompt.as_deref().unwrap_or(PROMPT[0]);
    let output = columns.output.as_deref();
    let [prompt, length] = pick(line, record, [name, output.unwrap_or(OUTPUT[0])])?;
    let absent =
        |name| missing(line, name, &members(record).map(|(name, _)| name.trim_matches('"')).collect::<Vec<_>>());
    let prompt = prompt.ok_or_else(|| absent(name))?;
    let output_tokens = match (output, some(length)) {
        (Some(name), None) => return Err(absent(name)),
        (Some(name), Some(length)) => Some(tokens(line, name, length)?),
        // The column was not specified, so its values may not be lengths.
        (None, _) => None,
    };
    if output_tokens == Some(0) {
        return Ok(Err("its response has 0 tokens"));
    }
    Ok(match some(Some(prompt)) {
        Some(prompt) if is_empty_text(prompt) => Err("the prompt is empty"),
        Some(prompt) if is_text(prompt) => Ok(Row { output_tokens, ..Row::of(RowBody::Quoted(prompt)) }),
        Some(prompt) if prompt.starts_with("[{") => {
            super::chat::body(line, prompt)?.map(|body| Row { output_tokens, ..Row::of(body) })
        }
        _ => Err("the prompt is not text"),
    })
}
