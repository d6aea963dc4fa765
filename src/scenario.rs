//! What to send: a weighted mix of kinds of request, with seeded draws of kind, model, prompt and token limit.
//!
//! The draws of a request depend on the seed, its stream of draws and its iteration only, never on which worker or machine sends it
//! or when: the same run sends the same requests, however many share it.

use crate::api::Api;
use crate::units::Nanos;

/// STUB: the room of scenario provides it.
pub const MODELS: [&str; 7] =
    ["gpt-5", "gpt-5-mini", "gpt-4o", "gpt-4o-mini", "claude-opus-4", "claude-sonnet-4", "o3-mini"];

/// STUB: the room of scenario provides it.
pub fn builtin_prompts(name: &str) -> Option<Vec<String>> {
    matches!(name, "short" | "medium" | "long")
        .then(|| vec![format!("a {name} prompt"), format!("another {name} prompt")])
}

/// A weighted mix. Plain data.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix {
    /// The kinds of request; at least one, at least one weight above zero, names unique.
    pub kinds: Vec<Kind>,
}

/// One kind of request, as it appears in the report.
#[derive(Debug, Clone, PartialEq)]
pub struct Kind {
    /// Its name.
    pub name: String,
    /// Its share of the mix, relative to the other weights.
    pub weight: u32,
    /// Which API it speaks.
    pub api: Api,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// Path below the target's prefix; may contain `{model}`.
    pub path: String,
    /// Models to draw from; not empty for APIs that need one.
    pub models: Vec<String>,
    /// Prompts to draw from; not empty for APIs that need one.
    pub prompts: Vec<String>,
    /// Range of the token limit, inclusive; none leaves the field out.
    pub max_tokens: Option<(u32, u32)>,
    /// Extra fields of the JSON body.
    pub body: serde_json::Map<String, serde_json::Value>,
    /// Extra headers, as given.
    pub headers: Vec<(String, String)>,
    /// Its timeouts.
    pub timeouts: Timeouts,
}

/// How long things may take. Every limit really ends the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Opening the connection.
    pub connect: Nanos,
    /// Sent → first byte of the response.
    pub first_byte: Nanos,
    /// Between two reads.
    pub stall: Nanos,
    /// Sent → end of response.
    pub total: Nanos,
}

/// What every request to a target has in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Value of the `Host` header.
    pub host: String,
    /// Prefix of every path, without a trailing slash; usually empty.
    pub path_prefix: String,
    /// Sent as `Authorization: Bearer …`. Never printed.
    pub api_key: Option<Secret>,
    /// Extra headers of every request; one with a name of ours replaces ours.
    pub headers: Vec<(String, String)>,
}

/// A text that is sent and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from being printed.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

/// Bytes ready to send, and which kind they are. Reused from request to request.
#[derive(Debug, Default)]
pub struct Request {
    /// Head and body.
    pub bytes: Vec<u8>,
    /// Index of its kind in the mix.
    pub kind: u16,
}

/// The mix with everything precomputed that does not change from request to request.
#[derive(Debug)]
pub struct Scenario {}

impl Scenario {
    /// Precomputes heads and bodies.
    pub fn new(_mix: &Mix, _envelope: &Envelope, _seed: u64) -> Self {
        todo!()
    }

    /// Writes the request of that stream of draws and iteration into `request`. Allocates nothing once `request` is warm.
    pub fn write(&self, _draw_vu: u32, _iteration: u64, _request: &mut Request) {
        todo!()
    }
}
