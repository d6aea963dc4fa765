//! Where the answers of an API have what, as a profile describes it.

use serde::Deserialize;

/// Where an answer has what: JSON pointers (RFC 6901).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "expected a table such as { framing = \"sse\", text = \"/choices/0/delta/content\", end = \"[DONE]\" }"
)]
pub struct WrittenResponse {
    /// `sse`, `ndjson` or `json`.
    pub framing: String,
    pub text: String,
    pub reasoning: Option<String>,
    pub input_tokens: Option<String>,
    pub output_tokens: Option<String>,
    pub error: Option<String>,
    /// What ends a stream.
    pub end: Option<WrittenEnd>,
}

/// What ends a stream: an event with that text and nothing else, or a value at a place.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected \"[DONE]\", { at = \"/done\" } or { at = \"/done\", is = true }")]
pub enum WrittenEnd {
    Word(String),
    At(WrittenEndAt),
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenEndAt {
    pub at: String,
    /// The value; any but nothing, `false` and the empty ones if none is named.
    pub is: Option<toml::Value>,
}
