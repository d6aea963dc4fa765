//! `OpenAI` chat completions, plain and streamed. Also used for vLLM, llama.cpp, Azure and all
//! other compatible servers.

use super::json::{self, Complaint, Data, Words};
use super::scan::{Notes, Scanner, Seen, Value, scan};
use super::spec::{AnswerIs, MODELS, OPENAI, Spec};
use super::talk::Dialect;
use super::{Answer, Ask, Delta, Flaw, LimitName, Piece, Token};
use crate::metrics::{Finish, TokenUsage};
use crate::wire::sse;

/// The chat completions API.
pub(super) const SPEC: Spec = Spec {
    name: "openai-chat",
    path: "/openai/v1/chat/completions",
    standard_path: "/v1/chat/completions",
    on_llmsim: true,
    provider: &OPENAI,
    models: MODELS,
    body: Some(body),
    generates: true,
    streams: true,
    websocket: false,
    usage_on_request: true,
    talk: Some(Dialect::Chat),
    read_event,
    answer: AnswerIs::Read(read_body),
};

/// Builds the body in pieces.
fn body(ask: &Ask<'_>) -> Vec<Piece> {
    let mut ours =
        vec![("model", vec![Piece::Model]), ("messages", json::messages(ask, Dialect::Chat)), json::stream(ask)];
    // OpenAI rejects a request that has the limit under both names.
    if ask.max_tokens && !LimitName::ALL.iter().any(|name| ask.extra.contains_key(name.name())) {
        ours.push((ask.limit_name.name(), vec![Piece::MaxTokens]));
    }
    ours.extend(json::exactly(ask));
    json::object(ours, ask)
}

/// The field of a choice that holds new content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChoiceIs {
    /// `delta`, a part of a message.
    Delta,
    /// `text`, as in completions that are not chats.
    Text,
}

fn read_event(event: &sse::Event<'_>, notes: Option<&mut Notes>) -> Result<Delta, Flaw> {
    read_event_of(ChoiceIs::Delta, event, notes)
}

/// Reads one event of a stream. Valid JSON that is not a chunk (`""`, `{"type":"ping"}`) is ignored
/// without a flaw.
pub(super) fn read_event_of(
    choice: ChoiceIs,
    event: &sse::Event<'_>,
    notes: Option<&mut Notes>,
) -> Result<Delta, Flaw> {
    let data = match json::data(event)? {
        Data::Nothing => return Ok(Delta::default()),
        Data::Done => return Ok(Delta { done: true, ..Delta::default() }),
        Data::Json(data) => data,
    };
    let mut chunk = Chunk::default();
    let mut odd = false;
    let is_json = scan(data, notes, |json| {
        chunk.read(json, choice)?;
        odd = json.odd;
        Some(())
    });
    if !is_json {
        return Err(Flaw::BadJson);
    }
    if json::is_error(chunk.error, chunk.object) || chunk.kind.is("error") || chunk.choices.failed {
        return Err(Flaw::Error);
    }
    if !chunk.has_choices && chunk.usage.is_none() && chunk.complaint.is_error(&chunk.kind.word(b"")) {
        return Err(Flaw::Error);
    }
    let Choices { token, structured, finish, .. } = chunk.choices;
    Ok(Delta { token, usage: chunk.usage, finish, done: false, odd, structured })
}

/// Reads a complete plain response and checks it.
fn read_body(body: &[u8], notes: Option<&mut Notes>) -> Result<Answer, Flaw> {
    let mut completion = Completion::default();
    if !scan(body, notes, |json| completion.read(json)) {
        return Err(Flaw::BadJson);
    }
    if json::is_error(completion.error, completion.object) || completion.choices.failed {
        return Err(Flaw::Error);
    }
    if completion.choices.count == 0 {
        return Err(Flaw::Check { name: "has choices", held: 0 });
    }
    match completion.usage {
        Some(usage) => Ok(Answer { usage: Some(usage), finish: completion.choices.finish, checks: 2 }),
        None => Err(Flaw::NoUsage { held: 1, finish: completion.choices.finish }),
    }
}

/// The field names of chat completions and of the APIs modelled on them.
pub(super) const WORDS: Words = Words {
    input: "prompt_tokens",
    output: "completion_tokens",
    output_details: "completion_tokens_details",
    input_details: "prompt_tokens_details",
};

/// One event of a stream.
#[derive(Debug, Default)]
struct Chunk<'a> {
    choices: Choices,
    /// True if the key is present, even with an empty list.
    has_choices: bool,
    usage: Option<TokenUsage>,
    error: Value<'a>,
    object: Value<'a>,
    kind: Value<'a>,
    complaint: Complaint,
}

impl<'a> Chunk<'a> {
    fn read(&mut self, json: &mut Scanner<'a, '_>, choice: ChoiceIs) -> Option<()> {
        json.object(|json, key| {
            match key {
                b"choices" => (self.choices, self.has_choices) = (choices(json, choice)?, true),
                b"type" => self.kind = json.value()?,
                b"usage" => {
                    let usage = json::usage(json, &WORDS)?;
                    json::replace(json, &mut self.usage, usage);
                }
                b"error" => self.error = json.value()?,
                b"object" => self.object = json.value()?,
                _ => self.complaint.field(json, key)?,
            }
            Some(())
        })?;
        Some(())
    }
}

/// Finish reasons of a choice that the server did not complete. vLLM and SGLang send `abort` when
/// they drop a request, for instance while they shut down.
const FAILED: [&str; 2] = ["error", "abort"];

#[derive(Debug, Default, Clone, Copy)]
struct Choices {
    count: u32,
    /// The first token of any choice is the first token. If choices differ, a visible token decides
    /// the kind, because users see it.
    token: Option<Token>,
    /// True if a choice ended with an error.
    failed: bool,
    /// The finish reason of the last choice that has one.
    finish: Option<Finish>,
    /// True if a choice calls a tool.
    structured: bool,
}

fn choices(json: &mut Scanner<'_, '_>, choice: ChoiceIs) -> Option<Choices> {
    json.not_generated(0..json.noted());
    let mut sum = Choices::default();
    json.list(|json| {
        let noted = json.noted();
        let (mut token, mut calls, mut finish_reason) = (None, false, Value::Null);
        let mut text = Seen::default();
        json.object(|json, key| {
            match key {
                b"delta" => {
                    json.not_generated(noted..json.noted());
                    (token, calls) = ChoiceDelta::default().read(json)?;
                }
                b"text" if choice == ChoiceIs::Text => text = json.filled()?,
                b"finish_reason" => finish_reason = json.value()?,
                _ => json.skip()?,
            }
            Some(())
        })?;
        if text.is_filled {
            json.generated(text, Token::Visible);
            token = prefer_visible(token, Some(Token::Visible));
        }
        sum.count += 1;
        sum.token = prefer_visible(sum.token, token);
        sum.structured |= calls;
        sum.failed |= FAILED.iter().any(|reason| finish_reason.is(reason));
        sum.finish = json::finish(finish_reason).or(sum.finish);
        Some(())
    })?;
    Some(sum)
}

fn prefer_visible(a: Option<Token>, b: Option<Token>) -> Option<Token> {
    if b == Some(Token::Visible) { b } else { a.or(b) }
}

/// The content that a choice adds.
#[derive(Debug, Default)]
struct ChoiceDelta {
    content: Seen,
    /// The token in a `content` that is a list.
    parts: Option<Token>,
    refusal: Seen,
    reasoning_content: Seen,
    reasoning: Seen,
    calls: bool,
    call: bool,
}

impl ChoiceDelta {
    /// Returns the kind of token generated, and whether the delta is more than text.
    fn read(mut self, json: &mut Scanner<'_, '_>) -> Option<(Option<Token>, bool)> {
        let mut calls = json.noted()..json.noted();
        let (mut call, mut parts) = (calls.clone(), calls.clone());
        json.object(|json, key| {
            match key {
                b"content" => {
                    json.not_generated(parts.clone());
                    (self.content, self.parts) = (Seen::default(), None);
                    parts.start = json.noted();
                    if json.is_list()? {
                        self.parts = content_parts(json)?;
                    } else {
                        self.content = json.filled()?;
                    }
                    parts.end = json.noted();
                }
                b"refusal" => self.refusal = json.filled()?,
                b"reasoning_content" => self.reasoning_content = json.filled()?,
                b"reasoning" => self.reasoning = json.filled()?,
                b"tool_calls" => {
                    json.not_generated(calls.clone());
                    calls.start = json.noted();
                    self.calls = tool_calls(json)?;
                    calls.end = json.noted();
                }
                b"function_call" => {
                    json.not_generated(call.clone());
                    call.start = json.noted();
                    self.call = function(json)?;
                    call.end = json.noted();
                }
                _ => json.skip()?,
            }
            Some(())
        })?;
        // vLLM sends the same reasoning under both names, so only one of the two is used.
        let reasoning = if self.reasoning_content.is_filled { self.reasoning_content } else { self.reasoning };
        let calls = (self.calls || self.call).then_some(Token::Visible);
        let mut token = prefer_visible(self.parts, calls);
        for (value, kind) in
            [(self.content, Token::Visible), (self.refusal, Token::Visible), (reasoning, Token::Reasoning)]
        {
            if value.is_filled {
                json.generated(value, kind);
                token = prefer_visible(token, Some(kind));
            }
        }
        Some((token, calls.is_some() || self.parts.is_some()))
    }
}

/// Reads the parts of a `content` list: texts, and thinking as separate parts, which is either a
/// text or a list of further parts.
#[expect(clippy::option_option, reason = "the outer one ends a scan that has found no JSON")]
fn content_parts(json: &mut Scanner<'_, '_>) -> Option<Option<Token>> {
    let mut sum = None;
    json.list(|json| {
        let (mut kind, mut text, mut thinking) = (Value::Null, Seen::default(), Vec::new());
        json.object(|json, key| {
            match key {
                b"type" => kind = json.value()?,
                b"text" => text = json.filled()?,
                b"thinking" | b"reasoning" => thinking = thoughts(json)?,
                _ => json.skip()?,
            }
            Some(())
        })?;
        let of_text = if kind.is("thinking") || kind.is("reasoning") { Token::Reasoning } else { Token::Visible };
        for (value, token) in thinking.into_iter().map(|value| (value, Token::Reasoning)).chain([(text, of_text)]) {
            if value.is_filled {
                json.generated(value, token);
                sum = prefer_visible(sum, Some(token));
            }
        }
        Some(())
    })?;
    Some(sum)
}

/// Reads the texts of a thinking part.
fn thoughts(json: &mut Scanner<'_, '_>) -> Option<Vec<Seen>> {
    if !json.is_list()? {
        return Some(vec![json.filled()?]);
    }
    let mut texts = Vec::new();
    json.list(|json| {
        texts.push(json::filled_in(json, "text")?);
        Some(())
    })?;
    Some(texts)
}

/// Returns true if any of the calls has content.
fn tool_calls(json: &mut Scanner<'_, '_>) -> Option<bool> {
    let mut is_filled = false;
    json.list(|json| {
        let (mut of_call, noted) = (false, json.noted());
        json.object(|json, key| {
            match key {
                b"function" => {
                    json.not_generated(noted..json.noted());
                    of_call = function(json)?;
                }
                _ => json.skip()?,
            }
            Some(())
        })?;
        is_filled |= of_call;
        Some(())
    })?;
    Some(is_filled)
}

/// Returns true if a call has content. Its name comes with the first delta, its arguments in pieces
/// with the others. Both are generated.
fn function(json: &mut Scanner<'_, '_>) -> Option<bool> {
    let (mut name, mut arguments) = (Seen::default(), Seen::default());
    json.object(|json, key| {
        match key {
            b"name" => name = json.filled()?,
            b"arguments" => arguments = json.filled()?,
            _ => json.skip()?,
        }
        Some(())
    })?;
    for value in [name, arguments] {
        if value.is_filled {
            json.generated(value, Token::Visible);
        }
    }
    Some(name.is_filled || arguments.is_filled)
}

#[derive(Debug, Default)]
struct Completion<'a> {
    choices: Choices,
    usage: Option<TokenUsage>,
    error: Value<'a>,
    object: Value<'a>,
}

impl<'a> Completion<'a> {
    fn read(&mut self, json: &mut Scanner<'a, '_>) -> Option<()> {
        json.object(|json, key| {
            match key {
                b"choices" => self.choices = choices(json, ChoiceIs::Delta)?,
                b"usage" => {
                    let usage = json::usage(json, &WORDS)?;
                    json::replace(json, &mut self.usage, usage);
                }
                b"error" => self.error = json.value()?,
                b"object" => self.object = json.value()?,
                _ => json.skip()?,
            }
            Some(())
        })?;
        Some(())
    }
}

#[cfg(test)]
mod tests;
