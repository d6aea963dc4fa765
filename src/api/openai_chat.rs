//! `OpenAI` chat completions, plain and streamed; also vLLM, llama.cpp, Azure and everything else that is compatible.
//!
//! Lists are summed up while they are read: an event as a rule allocates nothing.

use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

use super::json::{self, Count, DONE, ERROR_EVENT, Each, is_error, is_filled, not_as_documented};
use super::spec::{AnswerIs, MODELS, OPENAI, Spec};
use super::template::{Billed, Reading};
use super::{Answer, Ask, Delta, Flaw, Piece, Token};
use crate::metrics::TokenUsage;
use crate::wire::sse;

/// What there is to say about it.
pub(super) const SPEC: Spec = Spec {
    name: "openai-chat",
    path: "/openai/v1/chat/completions",
    provider: &OPENAI,
    models: MODELS,
    body: Some(body),
    generates: true,
    streams: true,
    websocket: false,
    usage_on_request: true,
    read_event,
    answer: AnswerIs::Read(read_body),
    chunk: Some(&CHUNK),
    is_chunk,
    learned_body: Some(&COMPLETION),
};

/// The body in pieces.
fn body(ask: &Ask<'_>) -> Vec<Piece> {
    let mut ours = vec![("model", vec![Piece::Model]), ("messages", json::one_message()), json::stream(ask)];
    // The same limit under its newer name; OpenAI refuses a request that has both.
    if ask.max_tokens && !ask.extra.contains_key("max_completion_tokens") {
        ours.push(("max_tokens", vec![Piece::MaxTokens]));
    }
    json::object(ours, ask)
}

/// What one event of a stream means. Valid JSON that is no chunk (`""`, `{"type":"ping"}`) means nothing and is no flaw.
fn read_event(event: &sse::Event<'_>) -> Result<Delta, Flaw> {
    if event.name == ERROR_EVENT {
        return Err(Flaw::Error);
    }
    let data = event.data.trim_ascii();
    if data == DONE {
        return Ok(Delta { done: true, ..Delta::default() });
    }
    if data.is_empty() {
        return Ok(Delta::default());
    }
    let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else {
        return not_as_documented(data).map(|()| Delta::default());
    };
    if is_error(chunk.error, chunk.object) {
        return Err(Flaw::Error);
    }
    let choices = chunk.choices.unwrap_or_default();
    Ok(Delta { token: choices.token, usage: chunk.usage.and_then(read_usage).map(|usage| usage.tokens()), done: false })
}

/// What a complete plain answer means, and whether its checks hold.
fn read_body(body: &[u8]) -> Result<Answer, Flaw> {
    let completion = match serde_json::from_slice::<Completion<'_>>(body) {
        Ok(completion) => completion,
        Err(_) => not_as_documented(body).map(|()| Completion::default())?,
    };
    if is_error(completion.error, completion.object) {
        return Err(Flaw::Error);
    }
    if !json::is_filled_list(completion.choices) {
        return Err(Flaw::Check { name: "has choices", held: 0 });
    }
    match completion.usage.and_then(read_usage) {
        Some(usage) if usage.total_tokens.0 > 0 => Ok(Answer { usage: Some(usage.tokens()), checks: 2 }),
        _ => Err(Flaw::Check { name: "has usage", held: 1 }),
    }
}

/// Whether it is an event as documented, and not merely JSON without a flaw.
fn is_chunk(data: &[u8]) -> bool {
    serde_json::from_slice::<Chunk<'_>>(data).is_ok()
}

/// How the structs below read an event, for templates. A field of theirs that this does not name would be taken for one that is
/// skipped: they have to change together, and the tests of the reader compare them.
pub(super) const CHUNK: Reading = Reading::Fields(&[
    (
        "choices",
        Reading::Each(&Reading::Fields(&[(
            "delta",
            Reading::Fields(&[
                ("content", Reading::Filled),
                ("refusal", Reading::Filled),
                ("reasoning_content", Reading::Filled),
                ("reasoning", Reading::Filled),
                ("tool_calls", Reading::Each(&Reading::Fields(&[("function", FUNCTION)]))),
                ("function_call", FUNCTION),
            ]),
        )])),
    ),
    ("usage", Reading::Bill(&USAGE)),
    ("error", Reading::Exact),
    ("object", Reading::Exact),
]);

const FUNCTION: Reading = Reading::Fields(&[("name", Reading::Filled), ("arguments", Reading::Filled)]);

/// How a plain answer is read, in the same way.
pub(super) const COMPLETION: Reading = Reading::Fields(&[
    ("choices", Reading::Filled),
    ("usage", Reading::Bill(&USAGE)),
    ("error", Reading::Exact),
    ("object", Reading::Exact),
]);

const USAGE: Reading = Reading::Fields(&[
    ("prompt_tokens", Reading::Tokens(Billed::Input)),
    ("completion_tokens", Reading::Tokens(Billed::Output)),
    ("total_tokens", Reading::Tokens(Billed::Total)),
    ("completion_tokens_details", Reading::Fields(&[("reasoning_tokens", Reading::Tokens(Billed::Reasoning))])),
]);

/// One event of a stream.
#[derive(Debug, Deserialize)]
struct Chunk<'a> {
    choices: Option<Choices>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
}

/// A plain answer.
#[derive(Debug, Default, Deserialize)]
struct Completion<'a> {
    #[serde(borrow)]
    choices: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
}

/// All choices of a chunk together: the first token of any of them is the first token.
#[derive(Debug, Default, Clone, Copy)]
struct Choices {
    token: Option<Token>,
}

#[derive(Debug, Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Option<ChoiceDelta<'a>>,
}

/// What a choice adds. vLLM sends `reasoning_content` and `reasoning` side by side, so neither is an alias of the other.
#[derive(Debug, Deserialize)]
struct ChoiceDelta<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    tool_calls: Option<ToolCalls>,
    #[serde(borrow)]
    function_call: Option<Function<'a>>,
}

impl ChoiceDelta<'_> {
    fn token(&self) -> Option<Token> {
        let filled = |value: Option<&RawValue>| value.is_some_and(is_filled);
        if filled(self.content)
            || filled(self.refusal)
            || self.tool_calls.is_some_and(|calls| calls.filled)
            || self.function_call.as_ref().is_some_and(Function::is_filled)
        {
            Some(Token::Visible)
        } else if filled(self.reasoning_content) || filled(self.reasoning) {
            Some(Token::Reasoning)
        } else {
            None
        }
    }
}

/// All tool calls of a delta together.
#[derive(Debug, Default, Clone, Copy)]
struct ToolCalls {
    filled: bool,
}

#[derive(Debug, Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

/// A call's name comes with its first delta, its arguments in pieces with the others; both are generated.
#[derive(Debug, Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl Function<'_> {
    fn is_filled(&self) -> bool {
        self.name.is_some_and(is_filled) || self.arguments.is_some_and(is_filled)
    }
}

impl<'de> Deserialize<'de> for Choices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Each(|sum: &mut Self, choice: Choice<'de>| {
            let token = choice.delta.and_then(|delta| delta.token());
            // A user sees the visible one of two, so it decides what the event is.
            if token == Some(Token::Visible) || sum.token.is_none() {
                sum.token = token;
            }
        }))
    }
}

impl<'de> Deserialize<'de> for ToolCalls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Each(|sum: &mut Self, call: ToolCall<'de>| {
            sum.filled |= call.function.is_some_and(|function| function.is_filled());
        }))
    }
}

/// What the server billed. Only the last event of a stream has it as a rule, so it is read apart from the chunk.
#[derive(Debug, Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: Count,
    #[serde(default)]
    completion_tokens: Count,
    #[serde(default)]
    total_tokens: Count,
    completion_tokens_details: Option<UsageDetails>,
}

#[derive(Debug, Deserialize)]
struct UsageDetails {
    #[serde(default)]
    reasoning_tokens: Count,
}

impl Usage {
    fn tokens(&self) -> TokenUsage {
        TokenUsage {
            input: self.prompt_tokens.0,
            output: self.completion_tokens.0,
            reasoning: self.completion_tokens_details.as_ref().map_or(0, |details| details.reasoning_tokens.0),
        }
    }
}

/// `None` when it says nothing: not an object, or all of it zero or absent.
fn read_usage(usage: &RawValue) -> Option<Usage> {
    let usage: Usage = serde_json::from_str(usage.get()).ok()?;
    (usage.prompt_tokens.0 | usage.completion_tokens.0 | usage.total_tokens.0 > 0).then_some(usage)
}

#[cfg(test)]
mod tests;
