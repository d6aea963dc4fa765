//! One file per LLM API: how to build a request, and what a response means in tokens. This module
//! handles bytes only. It knows no sockets and no clock.
//!
//! A [`Reader`] returns the same results as [`Api::read_event`] and [`Api::read_body`]. Workers use
//! it because it is faster: it recognises data that resembles earlier data.
//!
//! To add an API, write a file with its `Spec` and add a row to the table below.

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

/// Defines all APIs in the order of the docs. Each row pairs a name in the code with the `Spec`
/// that describes the API.
macro_rules! apis {
    ($($(#[$doc:meta])* $api:ident = $spec:path,)*) => {
        /// An LLM API, one of a provider's other endpoints, or one of the simulator's own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Api {
            $($(#[$doc])* $api,)*
        }

        impl Api {
            /// All APIs, in the order of the docs.
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
    /// Document reranking.
    Rerank = openai_embeddings::RERANK,
    /// `OpenAI` image generation.
    OpenaiImages = openai_images::SPEC,
    /// Anthropic's token counting.
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
    /// Any other API, as a profile describes it.
    Template = custom::SPEC,
}

/// The paths at which a server has its APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// Each provider has a path prefix of its own, as on llmsim: `/openai/v1/chat/completions`.
    #[default]
    Llmsim,
    /// All APIs are below `/v1`, as on the providers' and compatible servers.
    Standard,
    /// As [`Layout::Standard`], for a target URL that already ends in `/v1`.
    BelowV1,
    /// The same paths as llmsim's. They are those of Azure's unversioned API:
    /// `/openai/v1/chat/completions`.
    AzureV1,
    /// Paths contain the deployment's name, as in Azure's APIs with a date as version:
    /// `/openai/deployments/NAME/chat/completions`.
    AzureDeployments,
}

/// The field that carries the token limit of a chat completions request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LimitName {
    /// The field that every server knows.
    #[default]
    MaxTokens,
    /// The field that `OpenAI`'s reasoning models expect instead.
    MaxCompletionTokens,
}

impl LimitName {
    /// Both fields.
    pub const ALL: [Self; 2] = [Self::MaxTokens, Self::MaxCompletionTokens];

    /// Returns the field's name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// The header that carries the key.
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
    /// Sent unchanged.
    Text(String),
    /// The model's name, as a JSON string with its quotes (in a path: percent-encoded, without
    /// quotes).
    Model,
    /// The prompt, as a JSON string with its quotes.
    Prompt,
    /// The prompt inside a JSON string, without quotes. A fixed text always comes before it.
    PromptInside,
    /// The model's name inside a JSON string.
    ModelInside,
    /// The token limit, as digits.
    MaxTokens,
    /// A number that differs from request to request, as digits.
    Number,
    /// All messages, as a JSON list.
    Messages,
    /// The earlier messages of a conversation, as items of a JSON list. Empty in the first turn.
    History,
    /// Fixed text around the prompt. Like the prompt, it is left out of a request that only returns
    /// the results of the model's tool calls.
    OfUser(&'static str),
    /// The id of the previous response, as a JSON string; `null` in the first turn.
    PreviousResponse,
}

/// The request to build. The holes of [`Piece`] stand for the values that differ between requests.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// True if the response is to be streamed.
    pub stream: bool,
    /// True if the request goes over a WebSocket, where every response is streamed.
    pub websocket: bool,
    /// True if there is a token limit.
    pub max_tokens: bool,
    /// The field that carries this limit in chat completions.
    pub limit_name: LimitName,
    /// True if the response is to have exactly as many tokens as the limit, for servers that
    /// support it.
    pub exact: bool,
    /// How the request carries the earlier messages. `None` if it is not a turn of a conversation.
    pub history: Option<History>,
    /// A picture beside the prompt in the user's message. Not used in conversations.
    pub picture: Option<&'a Picture>,
    /// Extra fields of the JSON body. They override ours.
    pub extra: &'a serde_json::Map<String, serde_json::Value>,
}

/// How a request carries the earlier messages of its conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// Every message so far is sent again.
    Messages,
    /// The server keeps the messages. The request refers to the previous response.
    PreviousResponse,
    /// All messages come as one list from a data set.
    Given,
}

impl History {
    /// Returns the name used in profiles.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Messages => "live",
            Self::PreviousResponse => "server",
            Self::Given => "rows",
        }
    }
}

/// The meaning of one event of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delta {
    /// The kind of generated payload, if the event carries any.
    pub token: Option<Token>,
    /// The usage that the server has billed so far. The last one counts.
    pub usage: Option<TokenUsage>,
    /// Why the response ended, if the event says so.
    pub finish: Option<Finish>,
    /// The API's terminal event: the stream is complete.
    pub done: bool,
    /// Part of the event deviates from the API's documentation and was not understood.
    pub odd: bool,
    /// Part of the reply is more than text, such as a tool call. A conversation must read the whole
    /// event.
    pub structured: bool,
}

/// The kind of payload that a token event carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// Text or tool-call arguments.
    Visible,
    Reasoning,
}

/// The meaning of a complete plain response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answer {
    /// The usage that the server billed, if the response says so.
    pub usage: Option<TokenUsage>,
    /// Why the response ended, if it says so.
    pub finish: Option<Finish>,
    /// Number of checks made. All of them held.
    pub checks: u8,
}

/// Why well-framed bytes are not a valid response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The data should be JSON and is not. In a stream the event is skipped and counted. A plain
    /// response fails.
    #[error("not valid JSON")]
    BadJson,
    /// An error object or error event inside a success.
    #[error("an error in a response with status 200")]
    Error,
    /// The server says itself that the response is incomplete.
    #[error("the server cut the response off")]
    Incomplete,
    /// A response check failed.
    #[error("check failed: {name}")]
    Check {
        /// The check's name, as the report prints it.
        name: &'static str,
        /// Number of checks that held before it.
        held: u8,
    },
    /// The last check of a plain response failed: the response does not report its usage.
    #[error("check failed: {HAS_USAGE}")]
    NoUsage {
        /// Number of checks that held before it.
        held: u8,
        /// Why the response ended, if it says so.
        finish: Option<Finish>,
    },
    /// A template and the parser disagree about the same bytes, which is a defect of this tool.
    /// Only a [`Reader`] that verifies reports it.
    #[error("parse mismatch: template and parser disagree")]
    Mismatch,
}

impl Api {
    /// Returns the API's name in profiles and flags.
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// Returns the API with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|api| api.name() == name)
    }

    pub const fn method(self) -> Method {
        if self.takes_prompt() { Method::Post } else { Method::Get }
    }

    /// Returns true if the API generates tokens, which can be timed and counted.
    pub const fn generates(self) -> bool {
        self.spec().generates
    }

    /// Returns true if llmsim has this API.
    pub const fn is_on_llmsim(self) -> bool {
        self.spec().on_llmsim
    }

    /// Returns true if flags about requests apply to this API: it generates tokens, or only other
    /// servers have it.
    pub const fn takes_flags(self) -> bool {
        self.generates() || !self.is_on_llmsim()
    }

    /// Returns true if the response can be streamed.
    pub const fn streams(self) -> bool {
        self.spec().streams
    }

    /// Returns true if requests can be sent over a WebSocket.
    pub const fn has_websocket(self) -> bool {
        self.spec().websocket
    }

    /// Returns true if a stream reports its usage only when the request asks for it.
    pub const fn bills_streams_on_request(self) -> bool {
        self.spec().usage_on_request
    }

    /// Returns true if requests can be turns of a conversation.
    pub const fn converses(self) -> bool {
        self.spec().talk.is_some()
    }

    const fn dialect(self) -> Option<talk::Dialect> {
        self.spec().talk
    }

    /// Returns true if a picture can accompany the prompt. This requires an API with messages.
    pub const fn shows_pictures(self) -> bool {
        self.dialect().is_some()
    }

    /// Returns true if the server can keep the messages of a conversation.
    pub const fn keeps_history(self) -> bool {
        matches!(self.spec().talk, Some(talk::Dialect::Responses))
    }

    /// Writes a reply and the results of its tool calls as messages of a conversation, each
    /// followed by a comma. If the server keeps the messages, only the results are written.
    /// `results` appends the result of a tool.
    pub fn write_reply(self, reply: &Reply, history: History, results: Results<'_>, messages: &mut Vec<u8>) {
        if let Some(dialect) = self.spec().talk {
            dialect.write_reply(reply, history, results, messages);
        }
    }

    /// Returns true if a request carries a model and a prompt.
    pub const fn takes_prompt(self) -> bool {
        self.spec().body.is_some()
    }

    /// Returns the path on llmsim. `{model}` stands for the model's name.
    pub const fn path(self) -> &'static str {
        self.spec().path
    }

    /// Returns the path on a server with that layout. `{model}` stands for the model's name.
    pub fn path_in(self, layout: Layout) -> String {
        let standard = self.spec().standard_path;
        let below_v1 = standard.strip_prefix("/v1");
        match (layout, below_v1) {
            (Layout::Llmsim | Layout::AzureV1, _) => self.path().to_owned(),
            (Layout::BelowV1, Some(own)) => own.to_owned(),
            // Azure's Responses API has no deployment in its path. The body names the deployment.
            (Layout::AzureDeployments, Some(own)) if self == Self::OpenaiResponses => format!("/openai{own}"),
            (Layout::AzureDeployments, Some(own)) => format!("/openai/deployments/{{model}}{own}"),
            (Layout::Standard, _) | (Layout::BelowV1 | Layout::AzureDeployments, None) => standard.to_owned(),
        }
    }

    /// Returns the models used when a profile names none.
    pub const fn models(self) -> &'static [&'static str] {
        self.spec().models
    }

    /// Returns the headers that every request must have.
    pub const fn headers(self) -> &'static [(&'static str, &'static str)] {
        self.spec().provider.headers
    }

    /// Returns the header that carries the key.
    pub const fn key_header(self) -> KeyHeader {
        self.spec().provider.key_header
    }

    /// Returns the JSON body of a request in pieces. It is empty for `GET`.
    pub fn body(self, ask: &Ask<'_>) -> Vec<Piece> {
        self.spec().body.map_or_else(Vec::new, |body| body(ask))
    }

    /// Returns the meaning of one event of a stream.
    pub fn read_event(self, event: &sse::Event<'_>) -> Result<Delta, Flaw> {
        (self.spec().read_event)(event, None)
    }

    /// Returns the meaning of a complete plain response if all its checks hold.
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
