//! Anthropic's API: messages, plain and streamed, and token counting.
//!
//! | Type of event | Meaning |
//! |---|---|
//! | `message_start` | usage: the tokens of the prompt |
//! | `content_block_start` of a tool call | a token, because the tool's name is generated too |
//! | `content_block_delta` with `text_delta`, `input_json_delta` | a token |
//! | `content_block_delta` with `thinking_delta` | a reasoning token |
//! | `message_delta` | usage, cumulative |
//! | `message_stop` | the end (this API sends no `[DONE]`) |
//! | `ping` | nothing |
//! | `error` | an error inside a 200 |

use super::json::{self, Complaint, Data};
use super::scan::{Notes, Scanner, Seen, Value, scan};
use super::spec::{self, AnswerIs, Provider, Spec};
use super::talk::Dialect;
use super::{Answer, Ask, Delta, Flaw, KeyHeader, Piece, Token};
use crate::metrics::{Finish, TokenUsage};
use crate::wire::sse;

/// Every request must name its API version.
pub(super) const ANTHROPIC: Provider =
    Provider { key_header: KeyHeader::XApiKey, headers: &[("anthropic-version", "2023-06-01")] };

/// Model names as used by Anthropic's own API.
pub(super) const MODELS: &[&str] = &["claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"];

/// The messages API.
pub(super) const MESSAGES: Spec = Spec {
    name: "anthropic-messages",
    path: "/anthropic/v1/messages",
    standard_path: "/v1/messages",
    on_llmsim: true,
    provider: &ANTHROPIC,
    models: MODELS,
    body: Some(body),
    generates: true,
    streams: true,
    talk: Some(Dialect::Anthropic),
    read_event,
    answer: AnswerIs::Read(read_body),
    ..spec::GET
};

/// The token counting API.
pub(super) const COUNT_TOKENS: Spec = Spec {
    name: "anthropic-count-tokens",
    path: "/anthropic/v1/messages/count_tokens",
    standard_path: "/v1/messages/count_tokens",
    body: Some(count_body),
    answer: AnswerIs::Read(read_count),
    provider: &ANTHROPIC,
    models: MODELS,
    ..spec::GET
};

/// The token limit of requests that set none. The API rejects a request without a limit.
const USUAL_MAX_TOKENS: &str = "1024";

/// Builds the body of a messages request in pieces.
fn body(ask: &Ask<'_>) -> Vec<Piece> {
    let limit = if ask.max_tokens { Piece::MaxTokens } else { json::text(USUAL_MAX_TOKENS) };
    let ours = vec![
        ("model", vec![Piece::Model]),
        ("max_tokens", vec![limit]),
        ("messages", json::messages(ask, Dialect::Anthropic)),
        json::stream(ask),
    ];
    json::object(ours, ask)
}

/// Builds the body of a token counting request in pieces.
fn count_body(ask: &Ask<'_>) -> Vec<Piece> {
    json::object(vec![("model", vec![Piece::Model]), ("messages", json::messages(ask, Dialect::Anthropic))], ask)
}

/// Reads one event of a stream.
fn read_event(event: &sse::Event<'_>, notes: Option<&mut Notes>) -> Result<Delta, Flaw> {
    let data = match json::data(event)? {
        // Some proxies add `[DONE]`. It has no meaning in this API.
        Data::Nothing | Data::Done => return Ok(Delta::default()),
        Data::Json(data) => data,
    };
    let (mut chunk, mut token, mut odd) = (Chunk::default(), None, false);
    let is_json = scan(data, notes, |json| {
        chunk.read(json)?;
        // Without a type, the event's name gives the meaning, and templates do not see the name.
        // Nor can a template tell which of two usage objects counts.
        if chunk.kind == Value::Null || (chunk.usage.is_some() && chunk.of_message.is_some()) {
            json.unlearnable();
        }
        token = chunk.token(&chunk.kind.word(event.name), json);
        odd = json.odd;
        Some(())
    });
    if !is_json {
        return Err(Flaw::BadJson);
    }
    let kind = chunk.kind.word(event.name);
    if &*kind == b"error" || chunk.error.is_error() || chunk.complaint.is_error(&kind) {
        return Err(Flaw::Error);
    }
    let structured = token.is_some() && (chunk.content_block.name.is_filled || chunk.delta.partial_json.is_filled);
    let usage = chunk.usage.or(chunk.of_message);
    let finish = chunk.delta.finish.filter(|_| &*kind == b"message_delta");
    Ok(Delta { token, usage, finish, done: &*kind == b"message_stop", odd, structured })
}

/// Reads a complete plain response and checks it.
fn read_body(body: &[u8], notes: Option<&mut Notes>) -> Result<Answer, Flaw> {
    let message = Message::of(body, notes)?;
    if !message.kind.is("message") {
        return Err(Flaw::Check { name: "type is message", held: 0 });
    }
    if !message.content.is_filled_list() {
        return Err(Flaw::Check { name: "has content", held: 1 });
    }
    match message.usage {
        Some(usage) => Ok(Answer { usage: Some(usage), finish: message.finish, checks: 3 }),
        None => Err(Flaw::NoUsage { held: 2, finish: message.finish }),
    }
}

/// Reads a token count and checks it. Nothing was billed, so the count is not usage.
fn read_count(body: &[u8], notes: Option<&mut Notes>) -> Result<Answer, Flaw> {
    if Message::of(body, notes)?.input_tokens.count() > 0 {
        return Ok(Answer { usage: None, finish: None, checks: 1 });
    }
    Err(Flaw::Check { name: "has input_tokens", held: 0 })
}

/// One event of a stream.
#[derive(Debug, Default)]
struct Chunk<'a> {
    kind: Value<'a>,
    delta: Block,
    content_block: Block,
    /// The usage inside the `message` of a `message_start`.
    of_message: Option<TokenUsage>,
    usage: Option<TokenUsage>,
    error: Value<'a>,
    complaint: Complaint,
}

impl<'a> Chunk<'a> {
    fn read(&mut self, json: &mut Scanner<'a, '_>) -> Option<()> {
        json.object(|json, key| {
            match key {
                b"type" => self.kind = json.value()?,
                b"delta" => self.delta = Block::of(json)?,
                b"content_block" => self.content_block = Block::of(json)?,
                b"message" if !json.is_text()? => {
                    let usage = json::usage_in(json)?;
                    json::replace(json, &mut self.of_message, usage);
                }
                b"usage" => {
                    let usage = json::usage(json, &json::WORDS)?;
                    json::replace(json, &mut self.usage, usage);
                }
                b"error" => self.error = json.value()?,
                _ => self.complaint.field(json, key)?,
            }
            Some(())
        })?;
        Some(())
    }
}

impl Chunk<'_> {
    /// Returns the token in an event of this kind, if anything was generated.
    fn token(&self, kind: &[u8], json: &mut Scanner<'_, '_>) -> Option<Token> {
        match kind {
            b"content_block_start" => self.content_block.token(json),
            b"content_block_delta" => self.delta.token(json),
            _ => None,
        }
    }
}

/// A content block at its start, or a delta to it.
#[derive(Debug, Clone, Copy, Default)]
struct Block {
    text: Seen,
    thinking: Seen,
    partial_json: Seen,
    name: Seen,
    /// The `stop_reason`, which concerns the whole message.
    finish: Option<Finish>,
}

impl Block {
    fn of(json: &mut Scanner<'_, '_>) -> Option<Self> {
        let mut block = Self::default();
        json.object(|json, key| {
            match key {
                b"text" => block.text = json.filled()?,
                b"thinking" => block.thinking = json.filled()?,
                b"partial_json" => block.partial_json = json.filled()?,
                b"name" => block.name = json.filled()?,
                b"stop_reason" => block.finish = json::finish(json.value()?),
                _ => json.skip()?,
            }
            Some(())
        })?;
        Some(block)
    }

    fn token(&self, json: &mut Scanner<'_, '_>) -> Option<Token> {
        let mut token = None;
        let visible = [self.text, self.partial_json, self.name].map(|value| (value, Token::Visible));
        for (value, kind) in visible.into_iter().chain([(self.thinking, Token::Reasoning)]) {
            if value.is_filled {
                json.generated(value, kind);
                token = token.or(Some(kind));
            }
        }
        token
    }
}

/// A plain response: a message or a token count.
#[derive(Debug, Default)]
struct Message<'a> {
    kind: Value<'a>,
    content: Seen,
    usage: Option<TokenUsage>,
    finish: Option<Finish>,
    input_tokens: Value<'a>,
    error: Value<'a>,
}

impl<'a> Message<'a> {
    fn of(body: &'a [u8], notes: Option<&mut Notes>) -> Result<Self, Flaw> {
        let mut message = Self::default();
        if !scan(body, notes, |json| message.read(json)) {
            return Err(Flaw::BadJson);
        }
        if message.kind.is("error") || message.error.is_error() { Err(Flaw::Error) } else { Ok(message) }
    }

    fn read(&mut self, json: &mut Scanner<'a, '_>) -> Option<()> {
        json.object(|json, key| {
            match key {
                b"type" => self.kind = json.value()?,
                b"content" => self.content = json.filled()?,
                b"usage" => {
                    let usage = json::usage(json, &json::WORDS)?;
                    json::replace(json, &mut self.usage, usage);
                }
                b"stop_reason" => self.finish = json::finish(json.value()?),
                b"input_tokens" => self.input_tokens = json.value()?,
                b"error" => self.error = json.value()?,
                _ => json.skip()?,
            }
            Some(())
        })?;
        Some(())
    }
}

#[cfg(test)]
mod tests;
