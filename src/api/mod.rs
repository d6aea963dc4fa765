//! One file per LLM API: how to ask, and what an answer means in tokens. Bytes only: no socket, no clock.
//!
//! A [`Reader`] reads like [`Api::read_event`] and [`Api::read_body`] and is what a worker uses: it recognises what it has seen before.
//!
//! To add an API: a file here with `path`, `body`, `read_event`, `read_body`, and a variant of [`Api`]; the compiler leads from there.

#[doc(hidden)]
pub mod fuzz;
mod openai_chat;
mod reader;
mod system;
mod template;

pub use reader::Reader;

use crate::metrics::TokenUsage;
use crate::wire::sse;

/// An LLM API, or one of the simulator's own endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Api {
    /// `OpenAI` chat completions.
    OpenaiChat,
    /// `GET /health`.
    Health,
    /// The list of models.
    Models,
    /// One model.
    Model,
    /// llmsim's own statistics.
    Stats,
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
    pub const ALL: [Self; 5] = [Self::OpenaiChat, Self::Health, Self::Models, Self::Model, Self::Stats];

    /// Its name in profiles and flags.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai-chat",
            Self::Health => "health",
            Self::Models => "models",
            Self::Model => "model",
            Self::Stats => "stats",
        }
    }

    /// The API with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|api| api.name() == name)
    }

    /// Its method.
    pub const fn method(self) -> Method {
        match self {
            Self::OpenaiChat => Method::Post,
            Self::Health | Self::Models | Self::Model | Self::Stats => Method::Get,
        }
    }

    /// Whether it generates tokens, and so can be streamed and counted.
    pub const fn generates(self) -> bool {
        matches!(self, Self::OpenaiChat)
    }

    /// Its path on llmsim; `{model}` stands for the model's name.
    pub const fn path(self) -> &'static str {
        match self {
            Self::OpenaiChat => openai_chat::PATH,
            Self::Health => "/health",
            Self::Models => "/openai/v1/models",
            Self::Model => "/openai/v1/models/{model}",
            Self::Stats => "/llmsim/stats",
        }
    }

    /// The JSON body of a request, in pieces; empty for `GET`.
    pub fn body(self, ask: &Ask<'_>) -> Vec<Piece> {
        match self {
            Self::OpenaiChat => openai_chat::body(ask),
            Self::Health | Self::Models | Self::Model | Self::Stats => Vec::new(),
        }
    }

    /// What one event of a stream means.
    pub fn read_event(self, event: &sse::Event<'_>) -> Result<Delta, Flaw> {
        match self {
            Self::OpenaiChat => openai_chat::read_event(event),
            Self::Health | Self::Models | Self::Model | Self::Stats => Ok(Delta::default()),
        }
    }

    /// What a complete plain answer means, and whether its checks hold.
    pub fn read_body(self, body: &[u8]) -> Result<Answer, Flaw> {
        match self {
            Self::OpenaiChat => openai_chat::read_body(body),
            Self::Health => system::read_health(body),
            Self::Models => system::read_models(body),
            Self::Model => system::read_model(body),
            Self::Stats => system::read_stats(body),
        }
    }
}

#[cfg(test)]
mod tests;
