//! What there is to say about an API: one row for each, in the file of the API.

use super::scan::Notes;
use super::talk::Dialect;
use super::{Answer, Ask, Delta, Flaw, KeyHeader, Piece};
use crate::wire::sse;

/// All that distinguishes one API from another.
#[derive(Debug)]
pub(super) struct Spec {
    /// Its name in profiles and flags.
    pub(super) name: &'static str,
    /// Its path on llmsim; `{model}` stands for the model's name.
    pub(super) path: &'static str,
    /// Its path on the provider's own server and on everything that is compatible. What only llmsim
    /// has stands there, too.
    pub(super) standard_path: &'static str,
    /// Whether llmsim has it, so that the endpoint check asks for it.
    pub(super) on_llmsim: bool,
    pub(super) provider: &'static Provider,
    /// The models that it is asked for when a profile names none.
    pub(super) models: &'static [&'static str],
    /// The JSON body of a request, in pieces; a `GET` has none.
    pub(super) body: Option<fn(&Ask<'_>) -> Vec<Piece>>,
    /// Whether it generates tokens, which can be timed and counted.
    pub(super) generates: bool,
    /// Whether its answer can be streamed.
    pub(super) streams: bool,
    /// Whether it can be asked for over a WebSocket.
    pub(super) websocket: bool,
    /// Whether a stream says what it has cost only if the request asks for that.
    pub(super) usage_on_request: bool,
    /// How its messages look in a conversation; none if it has no conversations.
    pub(super) talk: Option<Dialect>,
    /// What one event of a stream means.
    pub(super) read_event: fn(&sse::Event<'_>, Option<&mut Notes>) -> Result<Delta, Flaw>,
    /// What a complete plain answer means.
    pub(super) answer: AnswerIs,
}

/// What the APIs of one house have in common.
#[derive(Debug)]
pub(super) struct Provider {
    /// How a request carries its key.
    pub(super) key_header: KeyHeader,
    /// Headers that every request has to have.
    pub(super) headers: &'static [(&'static str, &'static str)],
}

/// How a plain answer is judged.
#[derive(Debug)]
pub(super) enum AnswerIs {
    /// By a function of its own.
    Read(fn(&[u8], Option<&mut Notes>) -> Result<Answer, Flaw>),
    /// By checks of single fields.
    Checked(&'static [Check]),
}

/// A check of one field of a plain answer.
#[derive(Debug)]
pub(super) struct Check {
    /// As the report prints it.
    pub(super) name: &'static str,
    pub(super) field: &'static str,
    pub(super) must: Must,
}

/// The check that a plain answer says what it has cost. It comes last.
pub const HAS_USAGE: &str = "has usage";

/// What a field must be.
#[derive(Debug)]
pub(super) enum Must {
    Say(&'static str),
    BeText,
    BeList,
    BeNumber,
}

/// `OpenAI`, everything that is compatible, and the simulator itself.
pub(super) const OPENAI: Provider = Provider { key_header: KeyHeader::Bearer, headers: &[] };

/// Names of models that llmsim knows.
pub(super) const MODELS: &[&str] =
    &["gpt-5", "gpt-5-mini", "gpt-4o", "gpt-4o-mini", "claude-opus-4", "claude-sonnet-4", "o3-mini"];

/// A `GET` of the simulator's, to be filled in.
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
