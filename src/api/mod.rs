//! One file per LLM API: how to ask, and what an answer means in tokens. Bytes only: no socket, no
//! clock.
//!
//! A [`Reader`] reads like [`Api::read_event`] and [`Api::read_body`] and is what a worker uses: it
//! recognises what it has seen before.
//!
//! To add an API: a file with its `Spec`, and a row in the table below.

mod anthropic;
mod custom;
#[doc(hidden)]
pub mod fuzz;
mod json;
mod lex;
mod openai_chat;
mod openai_completions;
mod openai_embeddings;
mod openai_images;
mod openai_responses;
mod openresponses;
mod picture;
mod reader;
mod scan;
mod spec;
mod stream_options;
mod system;
mod talk;
mod template;
mod typesafe;

pub use custom::{BadPointer, Custom, Field, Framing, Pointer, placeholders, placeholders_in};
pub use picture::Picture;
pub use reader::Reader;
pub use stream_options::{INCLUDE_USAGE, STREAM_OPTIONS, asks_for_usage, remove_usage};
pub use talk::{Reply, Results};

use crate::metrics::{Finish, TokenUsage};
use crate::wire::sse;
use scan::Notes;
pub use spec::HAS_USAGE;
use spec::{AnswerIs, Spec};

/// The table of all APIs, in the order of the docs: a name in the code, and the row that says
/// everything else.
macro_rules! apis {
    ($($(#[$doc:meta])* $api:ident = $spec:path,)*) => {
        /// An LLM API, one of the endpoints beside it, or one of the simulator's own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Api {
            $($(#[$doc])* $api,)*
        }

        impl Api {
            /// All, in the order of the docs.
            pub const ALL: [Self; [$(stringify!($api)),*].len()] = [$(Self::$api),*];

            const fn spec(self) -> &'static Spec {
                match self {
                    $(Self::$api => &$spec,)*
                }
            }
        }
    };
}

apis! {
    /// `OpenAI` chat completions.
    OpenaiChat = openai_chat::SPEC,
    /// `OpenAI` Responses.
    OpenaiResponses = openai_responses::SPEC,
    /// `OpenResponses`.
    Openresponses = openresponses::SPEC,
    AnthropicMessages = anthropic::MESSAGES,
    /// `OpenAI`'s older completions.
    OpenaiCompletions = openai_completions::SPEC,
    OpenaiEmbeddings = openai_embeddings::EMBEDDINGS,
    /// The reranking of documents.
    Rerank = openai_embeddings::RERANK,
    /// `OpenAI` image generation.
    OpenaiImages = openai_images::SPEC,
    /// Anthropic's counting of a message's tokens.
    AnthropicCountTokens = anthropic::COUNT_TOKENS,
    /// `GET /health`.
    Health = system::HEALTH,
    /// The list of models.
    Models = system::MODELS,
    Model = system::MODEL,
    /// Anthropic's list of models.
    AnthropicModels = system::ANTHROPIC_MODELS,
    /// One of Anthropic's models.
    AnthropicModel = system::ANTHROPIC_MODEL,
    Stats = system::STATS,
    /// `TypeSafe`'s typed questions about a text.
    TypesafeSystemone = typesafe::SYSTEM_ONE,
    TypesafeModels = typesafe::MODELS,
    /// Any other, as a profile describes it.
    Template = custom::SPEC,
}

/// Where a server has its APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// Each provider below a path of its own, as llmsim has them: `/openai/v1/chat/completions`.
    #[default]
    Llmsim,
    /// All below `/v1`, as the providers and compatible servers have them.
    Standard,
    /// The same, and the target's URL ends in `/v1`.
    BelowV1,
    /// As llmsim has them. That is the API of Azure without versions of its own:
    /// `/openai/v1/chat/completions`.
    AzureV1,
    /// Below the name of a deployment, as the APIs of Azure with a date for a version are:
    /// `/openai/deployments/NAME/chat/completions`.
    AzureDeployments,
}

/// Under which name a request of chat completions carries its token limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LimitName {
    /// What every server knows.
    #[default]
    MaxTokens,
    /// What `OpenAI`'s reasoning models take instead.
    MaxCompletionTokens,
}

impl LimitName {
    /// Both.
    pub const ALL: [Self; 2] = [Self::MaxTokens, Self::MaxCompletionTokens];

    /// The name of the field.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
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
    Get,
    Post,
}

/// A piece of a request body or path: fixed text, or a hole that is filled for each request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Sent as it stands.
    Text(String),
    /// The model's name, as a JSON string with its quotes (in a path: percent-encoded, without
    /// quotes).
    Model,
    /// The prompt, as a JSON string with its quotes.
    Prompt,
    /// The same inside a JSON string: without the quotes. Fixed text stands before it.
    PromptInside,
    /// The model's name inside a JSON string.
    ModelInside,
    /// The token limit, as digits.
    MaxTokens,
    /// A number of each request's own, as digits.
    Number,
    /// All messages, as a JSON list.
    Messages,
    /// The earlier messages of a conversation, as items of a JSON list. Nothing in its first turn.
    History,
    /// Fixed text around the prompt. It is left out with the prompt in a request that only answers
    /// the model's tool calls.
    OfUser(&'static str),
    /// The id of the response before, as a JSON string; `null` in the first turn.
    PreviousResponse,
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
    /// Under which name chat completions carry that limit.
    pub limit_name: LimitName,
    /// Whether there shall be as many tokens as the limit says, where a server can be asked for that.
    pub exact: bool,
    /// How the request carries what was said before; none if it is not a turn of a conversation.
    pub history: Option<History>,
    /// What the user's message shows beside the prompt. Not in a conversation.
    pub picture: Option<&'a Picture>,
    /// Extra fields of the JSON body; they win over ours.
    pub extra: &'a serde_json::Map<String, serde_json::Value>,
}

/// How a request carries what was said before in its conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// Every message so far is sent again.
    Messages,
    /// The server keeps the messages. The request names the response before.
    PreviousResponse,
    /// All messages come as one list, out of a data set.
    Given,
}

impl History {
    /// As profiles write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Messages => "live",
            Self::PreviousResponse => "server",
            Self::Given => "rows",
        }
    }
}

/// What one event of a stream means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delta {
    /// Generated payload, if there is any.
    pub token: Option<Token>,
    /// What the server billed so far; the last one counts.
    pub usage: Option<TokenUsage>,
    /// Why the answer ended, if it says so.
    pub finish: Option<Finish>,
    /// The API's terminal event: the stream is complete.
    pub done: bool,
    /// A part of it is not as documented, and was not understood.
    pub odd: bool,
    /// It holds a part of the reply that is more than text, such as a tool call: a conversation has
    /// to read it as a whole.
    pub structured: bool,
}

/// Which kind of payload a token event carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// Text or tool-call arguments.
    Visible,
    Reasoning,
}

/// What a complete plain answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answer {
    /// What the server billed, if it said so.
    pub usage: Option<TokenUsage>,
    /// Why it ended, if it says so.
    pub finish: Option<Finish>,
    /// How many checks were made, all of which held.
    pub checks: u8,
}

/// Why well-framed bytes are not an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Should be JSON and is not. In a stream the event is skipped and counted; in a plain answer
    /// it is a failure.
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
    /// The last check of a plain answer did not hold: it does not say what it has cost.
    #[error("check failed: {HAS_USAGE}")]
    NoUsage {
        /// Checks that held before it.
        held: u8,
        /// Why the answer ended, if it says so.
        finish: Option<Finish>,
    },
    /// A template and the parser disagree about the same bytes: a defect of this tool. Only a
    /// [`Reader`] that verifies says so.
    #[error("parse mismatch: template and parser disagree")]
    Mismatch,
}

impl Api {
    /// Its name in profiles and flags.
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// The API with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|api| api.name() == name)
    }

    pub const fn method(self) -> Method {
        if self.takes_prompt() { Method::Post } else { Method::Get }
    }

    /// Whether it generates tokens, which can be timed and counted.
    pub const fn generates(self) -> bool {
        self.spec().generates
    }

    /// Whether llmsim has it.
    pub const fn is_on_llmsim(self) -> bool {
        self.spec().on_llmsim
    }

    /// Whether flags about requests are meant for it: for what generates, and for what only other
    /// servers have.
    pub const fn takes_flags(self) -> bool {
        self.generates() || !self.is_on_llmsim()
    }

    /// Whether its answer can be streamed.
    pub const fn streams(self) -> bool {
        self.spec().streams
    }

    /// Whether it can be asked for over a WebSocket.
    pub const fn has_websocket(self) -> bool {
        self.spec().websocket
    }

    /// Whether a stream says what it has cost only if the request asks for that.
    pub const fn bills_streams_on_request(self) -> bool {
        self.spec().usage_on_request
    }

    /// Whether its requests can be turns of a conversation.
    pub const fn converses(self) -> bool {
        self.spec().talk.is_some()
    }

    const fn dialect(self) -> Option<talk::Dialect> {
        self.spec().talk
    }

    /// Whether a picture may stand beside the prompt: where there are messages.
    pub const fn shows_pictures(self) -> bool {
        self.dialect().is_some()
    }

    /// Whether the server can keep the messages of a conversation.
    pub const fn keeps_history(self) -> bool {
        matches!(self.spec().talk, Some(talk::Dialect::Responses))
    }

    /// Writes a reply and the results of its tool calls as messages of a conversation, each followed
    /// by a comma. A server that keeps the messages is sent the results only. `results` appends what
    /// a tool returns.
    pub fn write_reply(self, reply: &Reply, history: History, results: Results<'_>, messages: &mut Vec<u8>) {
        if let Some(dialect) = self.spec().talk {
            dialect.write_reply(reply, history, results, messages);
        }
    }

    /// Whether it is asked with a model and a prompt.
    pub const fn takes_prompt(self) -> bool {
        self.spec().body.is_some()
    }

    /// Its path on llmsim; `{model}` stands for the model's name.
    pub const fn path(self) -> &'static str {
        self.spec().path
    }

    /// Its path on a server of that layout; `{model}` stands for the model's name.
    pub fn path_in(self, layout: Layout) -> String {
        let standard = self.spec().standard_path;
        let below_v1 = standard.strip_prefix("/v1");
        match (layout, below_v1) {
            (Layout::Llmsim | Layout::AzureV1, _) => self.path().to_owned(),
            (Layout::BelowV1, Some(own)) => own.to_owned(),
            // Responses are not those of a deployment. The body names it.
            (Layout::AzureDeployments, Some(own)) if self == Self::OpenaiResponses => format!("/openai{own}"),
            (Layout::AzureDeployments, Some(own)) => format!("/openai/deployments/{{model}}{own}"),
            (Layout::Standard, _) | (Layout::BelowV1 | Layout::AzureDeployments, None) => standard.to_owned(),
        }
    }

    /// The models that it is asked for when a profile names none.
    pub const fn models(self) -> &'static [&'static str] {
        self.spec().models
    }

    /// Headers that every request of it has to have.
    pub const fn headers(self) -> &'static [(&'static str, &'static str)] {
        self.spec().provider.headers
    }

    /// How it wants the key.
    pub const fn key_header(self) -> KeyHeader {
        self.spec().provider.key_header
    }

    /// The JSON body of a request, in pieces; empty for `GET`.
    pub fn body(self, ask: &Ask<'_>) -> Vec<Piece> {
        self.spec().body.map_or_else(Vec::new, |body| body(ask))
    }

    /// What one event of a stream means.
    pub fn read_event(self, event: &sse::Event<'_>) -> Result<Delta, Flaw> {
        (self.spec().read_event)(event, None)
    }

    /// What a complete plain answer means, and whether its checks hold.
    pub fn read_body(self, body: &[u8]) -> Result<Answer, Flaw> {
        self.scan_body(body, None)
    }

    fn scan_event(self, event: &sse::Event<'_>, notes: Option<&mut Notes>) -> Result<Delta, Flaw> {
        (self.spec().read_event)(event, notes)
    }

    fn scan_body(self, body: &[u8], notes: Option<&mut Notes>) -> Result<Answer, Flaw> {
        match self.spec().answer {
            AnswerIs::Read(read) => read(body, notes),
            AnswerIs::Checked(checks) => system::read(checks, body, notes),
        }
    }
}

#[cfg(test)]
mod tests;
