//! `OpenAI`'s Responses API, plain and streamed. [`super::openresponses`] is almost the same.
//!
//! Every event of a stream has a `type`. A `delta` in an event whose type ends in `.delta` is
//! generated. Other events repeat this content (`….done`, `response.completed`) and are not counted
//! as tokens again:
//!
//! | Type | Meaning |
//! |---|---|
//! | `response.output_text.delta`, `response.refusal.delta`, … | a token |
//! | `response.function_call_arguments.delta` | a token |
//! | `response.reasoning_text.delta`, … | a reasoning token |
//! | `response.reasoning_summary_text.delta`, … | a reasoning token |
//! | `response.output_item.added` of a function call | a token: the function's name |
//! | `response.completed` | usage, and the end |
//! | `response.incomplete` because of `max_output_tokens` | usage, and the end |
//! | `response.incomplete` for any other reason | the response was cut off |
//! | `response.failed`, `error` | an error inside a 200 |
//!
//! Over a WebSocket the same events are messages. A request is a message of type `response.create`
//! with the fields of the body beside the type, except for `stream`, because every response is
//! streamed.

use super::json::{self, Complaint, Data};
use super::scan::{Notes, Scanner, Seen, Value, scan};
use super::spec::{AnswerIs, MODELS, OPENAI, Spec};
use super::talk::Dialect;
use super::{Answer, Ask, Delta, Flaw, History, Piece, Token};
use crate::metrics::{Finish, TokenUsage};
use crate::wire::sse;

/// The Responses API.
pub(super) const SPEC: Spec = Spec {
    name: "openai-responses",
    path: "/openai/v1/responses",
    standard_path: "/v1/responses",
    on_llmsim: true,
    provider: &OPENAI,
    models: MODELS,
    body: Some(body),
    generates: true,
    streams: true,
    websocket: true,
    usage_on_request: false,
    talk: Some(Dialect::Responses),
    read_event: |event, notes| read_event(event, End::Completed, notes),
    answer: AnswerIs::Read(read_body),
};

/// The event that ends a successful stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// `response.completed`. A `[DONE]` added by a proxy is ignored.
    Completed,
    /// `[DONE]`, which follows `response.completed`.
    Done,
}

/// Builds the body in pieces.
fn body(ask: &Ask<'_>) -> Vec<Piece> {
    let is_text = ask.history.is_none() && ask.picture.is_none();
    let input = if is_text { vec![Piece::Prompt] } else { json::messages(ask, Dialect::Responses) };
    let mut ours = vec![("model", vec![Piece::Model]), ("input", input)];
    if ask.history == Some(History::PreviousResponse) {
        ours.push(("previous_response_id", vec![Piece::PreviousResponse]));
    }
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

/// Reads one event of a stream.
pub(super) fn read_event(event: &sse::Event<'_>, end: End, notes: Option<&mut Notes>) -> Result<Delta, Flaw> {
    let data = match json::data(event)? {
        Data::Nothing => return Ok(Delta::default()),
        Data::Done => return Ok(Delta { done: end == End::Done, ..Delta::default() }),
        Data::Json(data) => data,
    };
    let (mut chunk, mut token, mut odd) = (Chunk::default(), None, false);
    let is_json = scan(data, notes, |json| {
        chunk.read(json)?;
        // Without a type, the event's name gives the meaning, and templates do not see the name.
        if chunk.kind == Value::Null {
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
    match &*kind {
        b"error" | b"response.failed" => return Err(Flaw::Error),
        _ if chunk.error.is_error() || chunk.complaint.is_error(&kind) => return Err(Flaw::Error),
        b"response.incomplete" if !is_own_limit(chunk.response.reason) => return Err(Flaw::Incomplete),
        _ => {}
    }
    let is_last = matches!(&*kind, b"response.completed" | b"response.incomplete");
    let finish = match &*kind {
        b"response.completed" => Some(Finish::Stop),
        b"response.incomplete" => json::finish(chunk.response.reason),
        _ => None,
    };
    let (usage, done) = (chunk.response.usage, is_last && end == End::Completed);
    Ok(Delta { token, usage, finish, done, odd, structured: is_last })
}

/// Reads a complete plain response and checks it.
fn read_body(body: &[u8], notes: Option<&mut Notes>) -> Result<Answer, Flaw> {
    let mut response = Response::default();
    if !scan(body, notes, |json| response.read(json)) {
        return Err(Flaw::BadJson);
    }
    if json::is_error(response.error, response.object) || response.status.is("failed") {
        return Err(Flaw::Error);
    }
    if response.status.is("incomplete") && !is_own_limit(response.so_far.reason) {
        return Err(Flaw::Incomplete);
    }
    if !response.object.is("response") {
        return Err(Flaw::Check { name: "object is response", held: 0 });
    }
    if !response.output.is_filled_list() {
        return Err(Flaw::Check { name: "has output", held: 1 });
    }
    let finish = json::finish(response.so_far.reason).or(json::finish(response.status));
    match response.so_far.usage {
        Some(usage) => Ok(Answer { usage: Some(usage), finish, checks: 3 }),
        None => Err(Flaw::NoUsage { held: 2, finish }),
    }
}

/// One event of a stream.
#[derive(Debug, Default)]
struct Chunk<'a> {
    kind: Value<'a>,
    delta: Seen,
    /// The name of an output item. Only calls have one.
    item: Seen,
    response: SoFar<'a>,
    error: Value<'a>,
    complaint: Complaint,
}

impl<'a> Chunk<'a> {
    fn read(&mut self, json: &mut Scanner<'a, '_>) -> Option<()> {
        json.object(|json, key| {
            match key {
                b"type" => self.kind = json.value()?,
                b"delta" => self.delta = json.filled()?,
                b"item" => self.item = json::filled_in(json, "name")?,
                b"response" => {
                    if self.response.usage.is_some() {
                        json.unlearnable();
                    }
                    self.response = SoFar::default();
                    let so_far = &mut self.response;
                    json.object(|json, key| so_far.field(json, key))?;
                }
                b"error" => self.error = json.value()?,
                _ => self.complaint.field(json, key)?,
            }
            Some(())
        })?;
        Some(())
    }

    /// Returns the token in an event of this kind, if anything was generated.
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

/// The usage and status of a response so far.
#[derive(Debug, Default)]
struct SoFar<'a> {
    usage: Option<TokenUsage>,
    /// The reason why the response is incomplete.
    reason: Value<'a>,
}

impl<'a> SoFar<'a> {
    fn field(&mut self, json: &mut Scanner<'a, '_>, key: &[u8]) -> Option<()> {
        match key {
            b"usage" => {
                let usage = json::usage(json, &json::WORDS)?;
                json::replace(json, &mut self.usage, usage);
            }
            b"incomplete_details" => {
                self.reason = Value::Null;
                json.object(|json, key| {
                    match key {
                        b"reason" => self.reason = json.value()?,
                        _ => json.skip()?,
                    }
                    Some(())
                })?;
            }
            _ => json.skip()?,
        }
        Some(())
    }
}

/// Returns true if a response is incomplete because of the request's own limit. Such a response has
/// the intended length.
fn is_own_limit(reason: Value<'_>) -> bool {
    reason.is("max_output_tokens")
}

#[derive(Debug, Default)]
struct Response<'a> {
    object: Value<'a>,
    status: Value<'a>,
    error: Value<'a>,
    output: Seen,
    so_far: SoFar<'a>,
}

impl<'a> Response<'a> {
    fn read(&mut self, json: &mut Scanner<'a, '_>) -> Option<()> {
        json.object(|json, key| {
            match key {
                b"object" => self.object = json.value()?,
                b"status" => self.status = json.value()?,
                b"error" => self.error = json.value()?,
                b"output" => self.output = json.filled()?,
                _ => self.so_far.field(json, key)?,
            }
            Some(())
        })?;
        Some(())
    }
}

#[cfg(test)]
mod tests;
