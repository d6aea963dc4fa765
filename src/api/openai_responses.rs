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

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{self, BILL, DONE, ERROR_EVENT};
use super::spec::{AnswerIs, MODELS, OPENAI, Spec};
use super::template::Reading;
use super::{Answer, Ask, Delta, Flaw, Piece, Token};
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
    read_event: |event| read_event(event, End::Completed),
    answer: AnswerIs::Read(read_body),
    chunk: Some(&CHUNK),
    is_chunk,
    learned_body: Some(&RESPONSE),
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
pub(super) fn read_event(event: &sse::Event<'_>, end: End) -> Result<Delta, Flaw> {
    if event.name == ERROR_EVENT {
        return Err(Flaw::Error);
    }
    let data = event.data.trim_ascii();
    if data == DONE {
        return Ok(Delta { done: end == End::Done, ..Delta::default() });
    }
    if data.is_empty() {
        return Ok(Delta::default());
    }
    let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else {
        return json::not_as_documented(data).map(|()| Delta::default());
    };
    let named = || std::str::from_utf8(event.name).unwrap_or_default();
    let kind = if chunk.kind.is_some() { json::plain(chunk.kind).unwrap_or_default() } else { named() };
    match kind {
        "error" | "response.failed" => return Err(Flaw::Error),
        _ if json::filled(chunk.error) => return Err(Flaw::Error),
        "response.incomplete" => return Err(Flaw::Incomplete),
        _ => {}
    }
    Ok(Delta {
        token: chunk.token(kind),
        usage: json::read_bill(chunk.response.and_then(|response| response.usage)),
        done: kind == "response.completed" && end == End::Completed,
    })
}

/// What a complete plain answer means, and whether its checks hold.
fn read_body(body: &[u8]) -> Result<Answer, Flaw> {
    let response = match serde_json::from_slice::<Response<'_>>(body) {
        Ok(response) => response,
        Err(_) => json::not_as_documented(body).map(|()| Response::default())?,
    };
    if json::is_error(response.error, response.object) || json::is(response.status, "failed") {
        return Err(Flaw::Error);
    }
    if json::is(response.status, "incomplete") {
        return Err(Flaw::Incomplete);
    }
    if !json::is(response.object, "response") {
        return Err(Flaw::Check { name: "object is response", held: 0 });
    }
    if !json::is_filled_list(response.output) {
        return Err(Flaw::Check { name: "has output", held: 1 });
    }
    match json::read_bill(response.usage) {
        Some(usage) => Ok(Answer { usage: Some(usage), checks: 3 }),
        None => Err(Flaw::Check { name: "has usage", held: 2 }),
    }
}

/// Whether it is an event as documented that says itself what it is, so that the event's name adds nothing.
fn is_chunk(data: &[u8]) -> bool {
    serde_json::from_slice::<Chunk<'_>>(data).is_ok_and(|chunk| json::plain(chunk.kind).is_some())
}

/// How the structs below read an event, for templates. They have to change together.
const CHUNK: Reading = Reading::Fields(&[
    ("type", Reading::Exact),
    ("delta", Reading::Filled),
    ("item", Reading::Fields(&[("name", Reading::Filled)])),
    ("response", Reading::Fields(&[("usage", Reading::Bill(&BILL))])),
    ("error", Reading::Exact),
]);

/// How a plain answer is read, in the same way.
const RESPONSE: Reading = Reading::Fields(&[
    ("object", Reading::Exact),
    ("status", Reading::Exact),
    ("error", Reading::Exact),
    ("output", Reading::Filled),
    ("usage", Reading::Bill(&BILL)),
]);

/// One event of a stream.
#[derive(Debug, Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    item: Option<Item<'a>>,
    #[serde(borrow)]
    response: Option<SoFar<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// An item of the output; only a call has a name.
#[derive(Debug, Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
}

/// The answer as it stands.
#[derive(Debug, Deserialize)]
struct SoFar<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// A plain answer.
#[derive(Debug, Default, Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

impl Chunk<'_> {
    fn token(&self, kind: &str) -> Option<Token> {
        let generated = if kind == "response.output_item.added" {
            self.item.as_ref().is_some_and(|item| json::filled(item.name))
        } else {
            kind.starts_with("response.") && kind.strip_suffix(".delta").is_some() && json::filled(self.delta)
        };
        generated.then(|| if kind.contains("reasoning") { Token::Reasoning } else { Token::Visible })
    }
}

#[cfg(test)]
mod tests;
