//! The places of values in the responses of an API, as a profile describes them.

use serde::Deserialize;

/// The places of values in a response: JSON pointers (RFC 6901).
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
    /// The end of a stream.
    pub end: Option<WrittenEnd>,
}

/// The end of a stream: an event with just this text, or a value at a place.
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
    /// The value. If it is not set, any value ends the stream but null, `false` and empty ones.
    pub is: Option<toml::Value>,
}
