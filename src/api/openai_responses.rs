//! `OpenAI`'s Responses API, plain and streamed; [`super::openresponses`] speaks almost the same.
//!
//! Every event of a stream says its `type`. What ends in `.delta` and carries a `delta` is generated; what other events repeat of it
//! (`….done`, `response.completed`) is no token once more:
//!
//! | Type | Meaning |
//! |---|---|
//! | `response.output_text.delta`, `response.function_call_arguments.delta`, `response.refusal.delta`, … | a token |
//! | `response.reasoning_summary_text.delta`, `response.reasoning_text.delta`, … | a token of reasoning |
//! | `response.output_item.added` of a function call | a token: the function's name is generated, too |
//! | `response.completed` | usage, and the end |
//! | `response.incomplete` | the answer was cut off |
//! | `response.failed`, `error` | an error inside a 200 |
//!
//! Over a WebSocket the same events are messages, and a request is a message of type `response.create` with the fields of the body
//! beside the type, but for `stream`: every answer is streamed.

use super::json::{self, Data};
use super::scan::{Notes, Scanner, Seen, Value, scan};
use super::spec::{AnswerIs, MODELS, OPENAI, Spec};
use super::{Answer, Ask, Delta, Flaw, Piece, Token};
use crate::metrics::TokenUsage;
use crate::wire::sse;

/// What there is to say about it.
pub(super) const SPEC: Spec = Spec {
    name: "openai-responses",
    path: "/openai/v1/responses",
    provider: &OPENAI,
    models: MODELS,
    body: Some(body),
    generates: true,
    streams: true,
    websocket: true,
    usage_on_request: false,
    read_event: |event, notes| read_event(event, End::Completed, notes),
    answer: AnswerIs::Read(read_body),
};

/// What ends a stream that went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// `response.completed`; a `[DONE]` that a proxy adds says nothing.
    Completed,
    /// `[DONE]`, after it.
    Done,
}

/// The body in pieces.
fn body(ask: &Ask<'_>) -> Vec<Piece> {
    let mut ours = vec![("model", vec![Piece::Model]), ("input", vec![Piece::Prompt])];
    if ask.websocket {
        ours.insert(0, ("type", vec![json::text("\"response.create\"")]));
    } else {
        ours.push(json::stream(ask));
    }
    if ask.max_tokens {
        ours.push(("max_output_tokens", vec![Piece::MaxTokens]));
    }
    json::object(ours, ask)
}

/// What one event of a stream means.
pub(super) fn read_event(event: &sse::Event<'_>, end: End, notes: Option<&mut Notes>) -> Result<Delta, Flaw> {
    let data = match json::data(event)? {
        Data::Nothing => return Ok(Delta::default()),
        Data::Done => return Ok(Delta { done: end == End::Done, ..Delta::default() }),
        Data::Json(data) => data,
    };
    let (mut chunk, mut token) = (Chunk::default(), None);
    let is_json = scan(data, notes, |json| {
        chunk.read(json)?;
        // Without a type it means what the event's name says, which no template sees.
        if chunk.kind == Value::Null {
            json.unlearnable();
        }
        token = chunk.token(&chunk.kind.word(event.name), json);
        Some(())
    });
    if !is_json {
        return Err(Flaw::BadJson);
    }
    let kind = chunk.kind.word(event.name);
    match &*kind {
        b"error" | b"response.failed" => return Err(Flaw::Error),
        _ if chunk.error.is_filled() => return Err(Flaw::Error),
        b"response.incomplete" => return Err(Flaw::Incomplete),
        _ => {}
    }
    Ok(Delta { token, usage: chunk.usage, done: &*kind == b"response.completed" && end == End::Completed })
}

/// What a complete plain answer means, and whether its checks hold.
fn read_body(body: &[u8], notes: Option<&mut Notes>) -> Result<Answer, Flaw> {
    let mut response = Response::default();
    if !scan(body, notes, |json| response.read(json)) {
        return Err(Flaw::BadJson);
    }
    if json::is_error(response.error, response.object) || response.status.is("failed") {
        return Err(Flaw::Error);
    }
    if response.status.is("incomplete") {
        return Err(Flaw::Incomplete);
    }
    if !response.object.is("response") {
        return Err(Flaw::Check { name: "object is response", held: 0 });
    }
    if !response.output.is_filled_list() {
        return Err(Flaw::Check { name: "has output", held: 1 });
    }
    match response.usage {
        Some(usage) => Ok(Answer { usage: Some(usage), checks: 3 }),
        None => Err(Flaw::Check { name: "has usage", held: 2 }),
    }
}

/// One event of a stream.
#[derive(Debug, Default)]
struct Chunk<'a> {
    kind: Value<'a>,
    delta: Seen,
    /// The name of an item of the output; only a call has one.
    item: Seen,
    /// What the answer has cost as it stands.
    usage: Option<TokenUsage>,
    error: Value<'a>,
}

impl<'a> Chunk<'a> {
    fn read(&mut self, json: &mut Scanner<'a, '_>) -> Option<()> {
        json.object(|json, key| {
            match key {
                b"type" => self.kind = json.value()?,
                b"delta" => self.delta = json.filled()?,
                b"item" => self.item = json::filled_in(json, "name")?,
                b"response" => {
                    let usage = json::usage_in(json)?;
                    json::replace(json, &mut self.usage, usage);
                }
                b"error" => self.error = json.value()?,
                _ => json.skip()?,
            }
            Some(())
        })?;
        Some(())
    }

    /// Whether something was generated, if the event is of this kind.
    fn token(&self, kind: &[u8], json: &mut Scanner<'a, '_>) -> Option<Token> {
        let value = match kind {
            b"response.output_item.added" => self.item,
            _ if kind.starts_with(b"response.") && kind.ends_with(b".delta") => self.delta,
            _ => return None,
        };
        let is_reasoning = memchr::memmem::find(kind, b"reasoning").is_some();
        let token = if is_reasoning { Token::Reasoning } else { Token::Visible };
        value.is_filled.then(|| json.generated(value, token))?;
        Some(token)
    }
}

/// A plain answer.
#[derive(Debug, Default)]
struct Response<'a> {
    object: Value<'a>,
    status: Value<'a>,
    error: Value<'a>,
    output: Seen,
    usage: Option<TokenUsage>,
}

impl<'a> Response<'a> {
    fn read(&mut self, json: &mut Scanner<'a, '_>) -> Option<()> {
        json.object(|json, key| {
            match key {
                b"object" => self.object = json.value()?,
                b"status" => self.status = json.value()?,
                b"error" => self.error = json.value()?,
                b"output" => self.output = json.filled()?,
                b"usage" => {
                    let usage = json::usage(json, &json::WORDS)?;
                    json::replace(json, &mut self.usage, usage);
                }
                _ => json.skip()?,
            }
            Some(())
        })?;
        Some(())
    }
}

#[cfg(test)]
mod tests;
