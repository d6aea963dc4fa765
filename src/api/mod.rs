//! One file per LLM API: how to ask, and what an answer means in tokens. Bytes only: no socket, no clock.
//!
//! A [`Reader`] reads like [`Api::read_event`] and [`Api::read_body`] and is what a worker uses: it recognises what it has seen before.
//!
//! To add an API: a file here with `path`, `body`, `read_event`, `read_body`, and a variant of [`Api`]; the compiler leads from there.

mod anthropic;
#[doc(hidden)]
pub mod fuzz;
mod json;
mod openai_chat;
mod openai_images;
mod openai_responses;
mod openresponses;
mod reader;
mod system;
mod template;

pub use reader::Reader;

use crate::metrics::TokenUsage;
use crate::wire::sse;
use openai_responses::End;

/// An LLM API, one of the endpoints beside it, or one of the simulator's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Api {
    /// `OpenAI` chat completions.
    OpenaiChat,
    /// `OpenAI` Responses.
    OpenaiResponses,
    /// `OpenResponses`.
    Openresponses,
    /// Anthropic Messages.
    AnthropicMessages,
    /// `OpenAI` image generation.
    OpenaiImages,
    /// Anthropic's counting of a message's tokens.
    AnthropicCountTokens,
    /// `GET /health`.
    Health,
    /// The list of models.
    Models,
    /// One model.
    Model,
    /// Anthropic's list of models.
    AnthropicModels,
    /// One of Anthropic's models.
    AnthropicModel,
    /// llmsim's own statistics.
    Stats,
}

/// How a request carries its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyHeader {
    /// `Authorization: Bearer …`
    Bearer,
    /// `x-api-key: …`
    XApiKey,
}

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// No body.
    Get,
    /// A JSON body.
    Post,
}

/// A piece of a request body or path: fixed text, or a hole that is filled for each request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Sent as it stands.
    Text(String),
    /// The model's name, as a JSON string with its quotes (in a path: percent-encoded, without quotes).
    Model,
    /// The prompt, as a JSON string with its quotes.
    Prompt,
    /// The token limit, as digits.
    MaxTokens,
}

/// What to ask for; the holes of [`Piece`] stand for what changes from request to request.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Whether the answer shall be streamed.
    pub stream: bool,
    /// Whether it is asked for over a WebSocket, where every answer is streamed.
    pub websocket: bool,
    /// Whether there is a token limit.
    pub max_tokens: bool,
    /// Extra fields of the JSON body; they win over ours.
    pub extra: &'a serde_json::Map<String, serde_json::Value>,
}

/// What one event of a stream means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delta {
    /// Generated payload, if there is any.
    pub token: Option<Token>,
    /// What the server billed so far; the last one counts.
    pub usage: Option<TokenUsage>,
    /// The model has finished (`finish_reason`, `stop_reason`).
    pub finish: bool,
    /// The API's terminal event: the stream is complete.
    pub done: bool,
}

/// Which kind of payload a token event carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// Text or tool-call arguments.
    Visible,
    /// Reasoning.
    Reasoning,
}

/// What a complete plain answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answer {
    /// What the server billed, if it said so.
    pub usage: Option<TokenUsage>,
    /// How many checks were made, all of which held.
    pub checks: u8,
}

/// Why well-framed bytes are not an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Should be JSON and is not. In a stream the event is skipped and counted; in a plain answer it is a failure.
    #[error("not valid JSON")]
    BadJson,
    /// An error object or error event inside a success.
    #[error("an error inside a 200")]
    Error,
    /// The server says itself that the answer is not all of it.
    #[error("the answer was cut off by the server")]
    Incomplete,
    /// A response check that did not hold.
    #[error("check failed: {name}")]
    Check {
        /// The check's name, as the report prints it.
        name: &'static str,
        /// Checks that held before it.
        held: u8,
    },
    /// A template and the parser disagree about the same bytes: a defect of this tool. Only a [`Reader`] that verifies says so.
    #[error("parse mismatch: recognised as something else than it is")]
    Mismatch,
}

impl Api {
    /// All, in the order of the docs.
    pub const ALL: [Self; 12] = [
        Self::OpenaiChat,
        Self::OpenaiResponses,
        Self::Openresponses,
        Self::AnthropicMessages,
        Self::OpenaiImages,
        Self::AnthropicCountTokens,
        Self::Health,
        Self::Models,
        Self::Model,
        Self::AnthropicModels,
        Self::AnthropicModel,
        Self::Stats,
    ];

    /// Its name in profiles and flags.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai-chat",
            Self::OpenaiResponses => "openai-responses",
            Self::Openresponses => "openresponses",
            Self::AnthropicMessages => "anthropic-messages",
            Self::OpenaiImages => "openai-images",
            Self::AnthropicCountTokens => "anthropic-count-tokens",
            Self::Health => "health",
            Self::Models => "models",
            Self::Model => "model",
            Self::AnthropicModels => "anthropic-models",
            Self::AnthropicModel => "anthropic-model",
            Self::Stats => "stats",
        }
    }

    /// The API with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|api| api.name() == name)
    }

    /// Its method.
    pub const fn method(self) -> Method {
        if self.takes_prompt() { Method::Post } else { Method::Get }
    }

    /// Whether it generates tokens, which can be timed and counted.
    pub const fn generates(self) -> bool {
        matches!(self, Self::OpenaiChat | Self::OpenaiResponses | Self::Openresponses | Self::AnthropicMessages)
    }

    /// Whether its answer can be streamed.
    pub const fn streams(self) -> bool {
        self.generates() || matches!(self, Self::OpenaiImages)
    }

    /// Whether it can be asked for over a WebSocket.
    pub const fn has_websocket(self) -> bool {
        matches!(self, Self::OpenaiResponses)
    }

    /// Whether it is asked with a model and a prompt.
    pub const fn takes_prompt(self) -> bool {
        self.generates() || matches!(self, Self::OpenaiImages | Self::AnthropicCountTokens)
    }

    /// Its path on llmsim; `{model}` stands for the model's name.
    pub const fn path(self) -> &'static str {
        match self {
            Self::OpenaiChat => openai_chat::PATH,
            Self::OpenaiResponses => openai_responses::PATH,
            Self::Openresponses => openresponses::PATH,
            Self::AnthropicMessages => anthropic::PATH,
            Self::OpenaiImages => openai_images::PATH,
            Self::AnthropicCountTokens => anthropic::COUNT_PATH,
            Self::Health => "/health",
            Self::Models => "/openai/v1/models",
            Self::Model => "/openai/v1/models/{model}",
            Self::AnthropicModels => "/anthropic/v1/models",
            Self::AnthropicModel => "/anthropic/v1/models/{model}",
            Self::Stats => "/llmsim/stats",
        }
    }

    /// Whether it is one of Anthropic's.
    const fn is_anthropic(self) -> bool {
        matches!(
            self,
            Self::AnthropicMessages | Self::AnthropicCountTokens | Self::AnthropicModels | Self::AnthropicModel
        )
    }

    /// Headers that every request of it has to have.
    pub const fn headers(self) -> &'static [(&'static str, &'static str)] {
        if self.is_anthropic() { anthropic::HEADERS } else { &[] }
    }

    /// How it wants the key.
    pub const fn key_header(self) -> KeyHeader {
        if self.is_anthropic() { KeyHeader::XApiKey } else { KeyHeader::Bearer }
    }

    /// The JSON body of a request, in pieces; empty for `GET`.
    pub fn body(self, ask: &Ask<'_>) -> Vec<Piece> {
        match self {
            Self::OpenaiChat => openai_chat::body(ask),
            Self::OpenaiResponses => openai_responses::body(ask),
            Self::Openresponses => openresponses::body(ask),
            Self::AnthropicMessages => anthropic::body(ask),
            Self::OpenaiImages => openai_images::body(ask),
            Self::AnthropicCountTokens => anthropic::count_body(ask),
            Self::Health | Self::Models | Self::Model | Self::AnthropicModels | Self::AnthropicModel | Self::Stats => {
                Vec::new()
            }
        }
    }

    /// What one event of a stream means.
    pub fn read_event(self, event: &sse::Event<'_>) -> Result<Delta, Flaw> {
        match self {
            Self::OpenaiChat => openai_chat::read_event(event),
            Self::OpenaiResponses => openai_responses::read_event(event, End::Completed),
            Self::Openresponses => openresponses::read_event(event),
            Self::AnthropicMessages => anthropic::read_event(event),
            Self::OpenaiImages => openai_images::read_event(event),
            Self::AnthropicCountTokens
            | Self::Health
            | Self::Models
            | Self::Model
            | Self::AnthropicModels
            | Self::AnthropicModel
            | Self::Stats => Ok(Delta::default()),
        }
    }

    /// What a complete plain answer means, and whether its checks hold.
    pub fn read_body(self, body: &[u8]) -> Result<Answer, Flaw> {
        match self {
            Self::OpenaiChat => openai_chat::read_body(body),
            Self::OpenaiResponses => openai_responses::read_body(body),
            Self::Openresponses => openresponses::read_body(body),
            Self::AnthropicMessages => anthropic::read_body(body),
            Self::OpenaiImages => openai_images::read_body(body),
            Self::AnthropicCountTokens => anthropic::read_count(body),
            Self::Health => system::read_health(body),
            Self::Models => system::read_models(body),
            Self::AnthropicModels => system::read_anthropic_models(body),
            Self::Model | Self::AnthropicModel => system::read_model(body),
            Self::Stats => system::read_stats(body),
        }
    }
}

#[cfg(test)]
mod tests;
