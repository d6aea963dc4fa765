//! The description of an API: one row for each, in the file of the API.

use super::scan::Notes;
use super::talk::Dialect;
use super::{Answer, Ask, Delta, Flaw, KeyHeader, Piece};
use crate::wire::sse;

/// Everything that distinguishes one API from another.
#[derive(Debug)]
pub(super) struct Spec {
    /// The API's name in profiles and flags.
    pub(super) name: &'static str,
    /// The path on llmsim. `{model}` stands for the model's name.
    pub(super) path: &'static str,
    /// The path on the provider's own server and on compatible servers. For endpoints that only
    /// llmsim has, it is llmsim's path.
    pub(super) standard_path: &'static str,
    /// True if llmsim has this API, so that the endpoint check calls it.
    pub(super) on_llmsim: bool,
    pub(super) provider: &'static Provider,
    /// The models used when a profile names none.
    pub(super) models: &'static [&'static str],
    /// Builds the JSON body of a request in pieces. `None` for a `GET`.
    pub(super) body: Option<fn(&Ask<'_>) -> Vec<Piece>>,
    /// True if the API generates tokens, which can be timed and counted.
    pub(super) generates: bool,
    /// True if the response can be streamed.
    pub(super) streams: bool,
    /// True if requests can be sent over a WebSocket.
    pub(super) websocket: bool,
    /// True if a stream reports its usage only when the request asks for it.
    pub(super) usage_on_request: bool,
    /// The form of messages in a conversation. `None` if the API has no conversations.
    pub(super) talk: Option<Dialect>,
    /// Reads one event of a stream.
    pub(super) read_event: fn(&sse::Event<'_>, Option<&mut Notes>) -> Result<Delta, Flaw>,
    /// How a complete plain response is read.
    pub(super) answer: AnswerIs,
}

/// The properties that all APIs of one provider share.
#[derive(Debug)]
pub(super) struct Provider {
    /// The header that carries the key.
    pub(super) key_header: KeyHeader,
    /// Headers that every request must have.
    pub(super) headers: &'static [(&'static str, &'static str)],
}

/// How a plain response is read and checked.
#[derive(Debug)]
pub(super) enum AnswerIs {
    /// By the API's own function.
    Read(fn(&[u8], Option<&mut Notes>) -> Result<Answer, Flaw>),
    /// By checks of individual fields.
    Checked(&'static [Check]),
}

/// A check of one field of a plain response.
#[derive(Debug)]
pub(super) struct Check {
    /// The check's name, as the report prints it.
    pub(super) name: &'static str,
    pub(super) field: &'static str,
    pub(super) must: Must,
}

/// The name of the check that a plain response reports its usage. It comes last.
pub const HAS_USAGE: &str = "has usage";

/// The condition on a field.
#[derive(Debug)]
pub(super) enum Must {
    Say(&'static str),
    BeText,
    BeList,
    BeNumber,
}

/// `OpenAI`, all compatible servers, and the simulator itself.
pub(super) const OPENAI: Provider = Provider { key_header: KeyHeader::Bearer, headers: &[] };

/// Model names that llmsim knows.
pub(super) const MODELS: &[&str] =
    &["gpt-5", "gpt-5-mini", "gpt-4o", "gpt-4o-mini", "claude-opus-4", "claude-sonnet-4", "o3-mini"];

/// A template for the simulator's `GET` endpoints.
pub(super) const GET: Spec = Spec {
    name: "",
    path: "/",
    standard_path: "/",
    on_llmsim: true,
    provider: &OPENAI,
    models: MODELS,
    body: None,
    generates: false,
    streams: false,
    websocket: false,
    usage_on_request: false,
    talk: None,
    read_event: |_, _| Ok(Delta { token: None, usage: None, finish: None, done: false, odd: false, structured: false }),
    answer: AnswerIs::Checked(&[]),
};
