//! JSON traces: Mooncake's, `AIPerf`'s superset of it, Bailian's, and any with named columns.
//!
//! A row specifies the number of tokens of its prompt, and usually its blocks by number. Equal
//! numbers stand for equal text. `AIPerf` also has rows with a text, messages or a whole body.

use super::columns::{AT, Columns, INPUT, OUTPUT, missing};
use super::error::ReadError;
use super::instant::{Unit, instant};
use super::json::{is_empty_text, is_text, pick, shown, some};
use super::members::{elements, is_object, members};
use super::row::{Read, Row, RowBody, tokens};
use super::session::Session;
use crate::units::{Nanos, plural};

/// The interpretation of a trace's numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct JsonTrace<'c> {
    pub(super) unit: Unit,
    pub(super) block_tokens: u32,
    pub(super) columns: &'c Columns,
}

impl JsonTrace<'_> {
    pub(super) fn row(self, line: u64, record: &str) -> Read<'_> {
        let Columns { at, input, output, .. } = self.columns;
        let present: Vec<&str> = members(record).map(|(name, _)| name.trim_matches('"')).collect();
        let name = |told: &'_ Option<String>, known: &[&'static str]| -> String {
            let found = || known.iter().find(|name| present.contains(name)).unwrap_or(&known[0]);
            told.clone().unwrap_or_else(|| (*found()).to_owned())
        };
        let (at, input, output) = (name(at, AT), name(input, INPUT), name(output, OUTPUT));
        let prompt = self.columns.prompt.as_deref().unwrap_or("text_input");
        let names = [
            &*at,
            &input,
            &output,
            "hash_ids",
            prompt,
            "messages",
            "payload",
            "delay",
            "session_id",
            "chat_id",
            "parent_chat_id",
        ];
        let found = pick(line, record, names)?.map(some);
        let [when, length, answer, ids, text, messages, payload, delay, session, chat, parent] = found;
        if when.is_none() && delay.is_none() {
            return Err(missing(line, &at, &present));
        }
        let when = when.map(|when| instant(line, &at, when, self.unit)).transpose()?;
        let delay = delay.map(|delay| instant(line, "delay", delay, self.unit)).transpose()?;
        let session = match (session, chat) {
            (Some(name), _) => Some(Session::Named(name)),
            // The first row of a conversation has the parent -1.
            (None, Some(id)) => Some(Session::Chat { id, parent: parent.filter(|parent| *parent != "-1") }),
            (None, None) => None,
        };
        let output_tokens = answer.map(|answer| tokens(line, &output, answer)).transpose()?;
        if output_tokens == Some(0) {
            return Ok(Err("its response has 0 tokens"));
        }
        let body = match (text, messages, payload) {
            (None, None, None) => {
                let length = length.ok_or_else(|| missing(line, &input, &present))?;
                if output_tokens.is_none() {
                    return Err(missing(line, &output, &present));
                }
                self.words(line, &input, length, ids)?
            }
            (Some(text), None, None) if is_empty_text(text) => Err("the prompt is empty"),
            (Some(text), None, None) if is_text(text) => Ok(RowBody::Quoted(text)),
            (Some(_), None, None) => Err("the prompt is not text"),
            (None, Some(messages), None) => super::chat::body(line, messages)?,
            (None, None, Some(payload)) if is_object(payload) => Ok(RowBody::Whole(payload)),
            (None, None, Some(_)) => Err("the payload is not an object"),
            _ => return Err(ReadError::at(line, "has several of text_input, messages, payload: expected one of them")),
        };
        let delay = delay.map(|delay| Nanos(delay.unsigned_abs()));
        Ok(body.map(|body| Row { at: when, output_tokens, session, delay, ..Row::of(body) }))
    }

    /// Returns a prompt of this many tokens, in the given blocks.
    fn words(
        self,
        line: u64,
        column: &str,
        length: &str,
        ids: Option<&str>,
    ) -> Result<Result<RowBody<'static>, &'static str>, ReadError> {
        let count = tokens(line, column, length)?;
        if count == 0 {
            return Ok(Err("its prompt has 0 tokens"));
        }
        let Some(ids) = ids else { return Ok(Ok(RowBody::Words { tokens: count, blocks: Vec::new() })) };
        let bad = |id: &str| {
            ReadError::at(
                line,
                format!("`hash_ids` has {}: expected a list of whole numbers at or above zero", shown(id)),
            )
        };
        if !ids.starts_with('[') {
            return Err(bad(ids));
        }
        let blocks = elements(ids).map(|id| id.parse().map_err(|_| bad(id))).collect::<Result<Vec<u64>, _>>()?;
        let expected = count.div_ceil(self.block_tokens) as usize;
        if blocks.len() != expected {
            let (n, size) = (blocks.len(), self.block_tokens);
            let problem = format!(
                "has {} for {}: expected {expected} at {size} tokens a block; mooncake has blocks of 512, bailian of 16 (set `format`)",
                plural(n, "hash_id"),
                plural(count, "token")
            );
            return Err(ReadError::at(line, problem));
        }
        Ok(Ok(RowBody::Words { tokens: count, blocks }))
    }
}
