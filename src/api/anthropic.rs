//! Anthropic's API: messages, plain and streamed, and the counting of their tokens.
//!
//! | Type of event | Meaning |
//! |---|---|
//! | `message_start` | usage: what the prompt has cost |
//! | `content_block_start` of a tool's use | a token: the tool's name is generated, too |
//! | `content_block_delta` with `text_delta`, `input_json_delta` | a token |
//! | `content_block_delta` with `thinking_delta` | a token of reasoning |
//! | `message_delta` | usage, cumulative |
//! | `message_stop` | the end; there is no `[DONE]` |
//! | `ping` | nothing |
//! | `error` | an error inside a 200 |

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{self, BILL, DONE, ERROR_EVENT};
use super::spec::{self, AnswerIs, Provider, Spec};
use super::template::Reading;
use super::{Answer, Ask, Delta, Flaw, KeyHeader, Piece, Token};
use crate::wire::sse;

/// Every request has to name the version of the API that it speaks.
pub(super) const ANTHROPIC: Provider =
    Provider { key_header: KeyHeader::XApiKey, headers: &[("anthropic-version", "2023-06-01")] };

/// Models by the names that Anthropic's own API uses.
pub(super) const MODELS: &[&str] = &["claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"];

/// What there is to say about messages.
pub(super) const MESSAGES: Spec = Spec {
    name: "anthropic-messages",
    path: "/anthropic/v1/messages",
    provider: &ANTHROPIC,
    models: MODELS,
    body: Some(body),
    generates: true,
    streams: true,
    read_event,
    answer: AnswerIs::Read(read_body),
    chunk: Some(&CHUNK),
    is_chunk,
    learned_body: Some(&MESSAGE),
    ..spec::GET
};

/// What there is to say about counts.
pub(super) const COUNT_TOKENS: Spec = Spec {
    name: "anthropic-count-tokens",
    path: "/anthropic/v1/messages/count_tokens",
    body: Some(count_body),
    answer: AnswerIs::Read(read_count),
    provider: &ANTHROPIC,
    models: MODELS,
    ..spec::GET
};

/// The token limit of a request that has none of its own: the API refuses one without.
const USUAL_MAX_TOKENS: &str = "1024";

/// The body of a message in pieces.
fn body(ask: &Ask<'_>) -> Vec<Piece> {
    let limit = if ask.max_tokens { Piece::MaxTokens } else { json::text(USUAL_MAX_TOKENS) };
    let ours = vec![
        ("model", vec![Piece::Model]),
        ("max_tokens", vec![limit]),
        ("messages", json::one_message()),
        json::stream(ask),
    ];
    json::object(ours, ask)
}

/// The body of a count in pieces.
fn count_body(ask: &Ask<'_>) -> Vec<Piece> {
    json::object(vec![("model", vec![Piece::Model]), ("messages", json::one_message())], ask)
}

/// What one event of a stream means.
fn read_event(event: &sse::Event<'_>) -> Result<Delta, Flaw> {
    if event.name == ERROR_EVENT {
        return Err(Flaw::Error);
    }
    let data = event.data.trim_ascii();
    // A proxy's habit: it says nothing here.
    if data.is_empty() || data == DONE {
        return Ok(Delta::default());
    }
    let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else {
        return json::not_as_documented(data).map(|()| Delta::default());
    };
    let named = || std::str::from_utf8(event.name).unwrap_or_default();
    let kind = if chunk.kind.is_some() { json::plain(chunk.kind).unwrap_or_default() } else { named() };
    if kind == "error" || json::filled(chunk.error) {
        return Err(Flaw::Error);
    }
    Ok(Delta {
        token: match kind {
            "content_block_start" => chunk.content_block.as_ref().and_then(Block::token),
            "content_block_delta" => chunk.delta.as_ref().and_then(Block::token),
            _ => None,
        },
        usage: json::read_bill(chunk.usage.or(chunk.message.and_then(|message| message.usage))),
        done: kind == "message_stop",
    })
}

/// What a complete plain answer means, and whether its checks hold.
fn read_body(body: &[u8]) -> Result<Answer, Flaw> {
    let message = read_message(body)?;
    if !json::is(message.kind, "message") {
        return Err(Flaw::Check { name: "type is message", held: 0 });
    }
    if !json::is_filled_list(message.content) {
        return Err(Flaw::Check { name: "has content", held: 1 });
    }
    match json::read_bill(message.usage) {
        Some(usage) => Ok(Answer { usage: Some(usage), checks: 3 }),
        None => Err(Flaw::Check { name: "has usage", held: 2 }),
    }
}

/// A count of tokens and whether it is one. Nothing was billed, so it is no usage.
fn read_count(body: &[u8]) -> Result<Answer, Flaw> {
    let counted = read_message(body)?.input_tokens;
    if counted.is_some_and(|count| serde_json::from_str::<u32>(count.get()).is_ok_and(|count| count > 0)) {
        return Ok(Answer { usage: None, checks: 1 });
    }
    Err(Flaw::Check { name: "has input_tokens", held: 0 })
}

fn read_message(body: &[u8]) -> Result<Message<'_>, Flaw> {
    let message = match serde_json::from_slice::<Message<'_>>(body) {
        Ok(message) => message,
        Err(_) => json::not_as_documented(body).map(|()| Message::default())?,
    };
    if json::is(message.kind, "error") || json::filled(message.error) { Err(Flaw::Error) } else { Ok(message) }
}

/// Whether it is an event as documented that says itself what it is, so that the event's name adds nothing, and that has one bill at
/// most: of two a template could not tell which holds.
fn is_chunk(data: &[u8]) -> bool {
    serde_json::from_slice::<Chunk<'_>>(data).is_ok_and(|chunk| {
        let bills = [chunk.usage, chunk.message.and_then(|message| message.usage)];
        json::plain(chunk.kind).is_some() && bills.iter().flatten().count() < 2
    })
}

/// How the structs below read an event, for templates. They have to change together.
const CHUNK: Reading = Reading::Fields(&[
    ("type", Reading::Exact),
    ("delta", BLOCK),
    ("content_block", BLOCK),
    ("message", Reading::Fields(&[("usage", Reading::Bill(&BILL))])),
    ("usage", Reading::Bill(&BILL)),
    ("error", Reading::Exact),
]);

const BLOCK: Reading = Reading::Fields(&[
    ("text", Reading::Filled),
    ("thinking", Reading::Filled),
    ("partial_json", Reading::Filled),
    ("name", Reading::Filled),
]);

/// How a plain answer is read, in the same way.
const MESSAGE: Reading = Reading::Fields(&[
    ("type", Reading::Exact),
    ("content", Reading::Filled),
    ("usage", Reading::Bill(&BILL)),
    ("input_tokens", Reading::Exact),
    ("error", Reading::Exact),
]);

/// One event of a stream.
#[derive(Debug, Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<Block<'a>>,
    #[serde(borrow)]
    content_block: Option<Block<'a>>,
    #[serde(borrow)]
    message: Option<SoFar<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// A block of content as it begins, or what is added to it, or to the whole message.
#[derive(Debug, Deserialize)]
struct Block<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    partial_json: Option<&'a RawValue>,
    /// Of a tool.
    #[serde(borrow)]
    name: Option<&'a RawValue>,
}

/// The message as it stands.
#[derive(Debug, Clone, Copy, Deserialize)]
struct SoFar<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// A plain answer: a message, or a count.
#[derive(Debug, Default, Deserialize)]
struct Message<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    input_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl Block<'_> {
    fn token(&self) -> Option<Token> {
        if json::filled(self.text) || json::filled(self.partial_json) || json::filled(self.name) {
            Some(Token::Visible)
        } else {
            json::filled(self.thinking).then_some(Token::Reasoning)
        }
    }
}

#[cfg(test)]
mod tests;
