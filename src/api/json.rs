//! JSON shared by all APIs: bodies in pieces, events without content, and usage objects.
//!
//! Compatible servers differ in which fields are absent, `null` or empty, and in which they add. So
//! all fields are optional, and unknown fields are skipped.

use super::scan::{Scanner, Seen, Value};
use super::talk::Dialect;
use super::template::Billed;
use super::{Ask, Flaw, History, Piece};
use crate::metrics::{Finish, TokenUsage};
use crate::wire::sse;

/// The name of an event that is an error regardless of its data.
const ERROR_EVENT: &[u8] = b"error";

/// The data that ends a stream, for APIs that have no terminal event type.
const DONE: &[u8] = b"[DONE]";

/// Returns a piece of fixed text.
pub(super) fn text(text: &str) -> Piece {
    Piece::Text(text.to_owned())
}

/// Returns the messages in pieces: the prompt, after the earlier messages if they are sent again.
pub(super) fn messages(ask: &Ask<'_>, dialect: Dialect) -> Vec<Piece> {
    const OPEN: &str = r#"{"role":"user","content":"#;
    match ask.history {
        None => {
            let mut pieces = vec![text("["), text(OPEN)];
            pieces.extend(content(ask, dialect));
            pieces.push(text("}]"));
            pieces
        }
        Some(History::Given) => vec![Piece::Messages],
        Some(_) => {
            vec![text("["), Piece::History, Piece::OfUser(OPEN), Piece::Prompt, Piece::OfUser("}"), text("]")]
        }
    }
}

/// Returns the content of the user's message: the prompt alone, or the prompt and a picture as
/// parts.
fn content(ask: &Ask<'_>, dialect: Dialect) -> Vec<Piece> {
    let Some(picture) = ask.picture else { return vec![Piece::Prompt] };
    let (before, after) = match dialect {
        Dialect::Chat => (
            r#"[{"type":"text","text":"#.to_owned(),
            format!(r#"}},{{"type":"image_url","image_url":{{"url":"{}"}}}}]"#, picture.url()),
        ),
        Dialect::Responses => (
            r#"[{"type":"input_text","text":"#.to_owned(),
            format!(r#"}},{{"type":"input_image","image_url":"{}"}}]"#, picture.url()),
        ),
        // Anthropic recommends placing pictures before the text.
        Dialect::Anthropic => (
            format!(
                r#"[{{"type":"image","source":{{"type":"base64","media_type":"{}","data":"{}"}}}},{{"type":"text","text":"#,
                picture.media_type,
                picture.base64()
            ),
            "}]".to_owned(),
        ),
    };
    vec![text(&before), Piece::Prompt, text(&after)]
}

/// `"stream": …`
pub(super) fn stream(ask: &Ask<'_>) -> (&'static str, Vec<Piece>) {
    ("stream", vec![text(if ask.stream { "true" } else { "false" })])
}

/// Returns the fields that ask for a response exactly as long as its limit, if that is wanted. vLLM
/// and SGLang know both fields.
pub(super) fn exactly(ask: &Ask<'_>) -> impl Iterator<Item = (&'static str, Vec<Piece>)> {
    let both = [("min_tokens", vec![Piece::MaxTokens]), ("ignore_eos", vec![text("true")])];
    both.into_iter().filter(|_| ask.exact)
}

/// Returns a JSON object of these fields in pieces. Fields of the user replace ours of the same
/// name.
pub(super) fn object(ours: Vec<(&'static str, Vec<Piece>)>, ask: &Ask<'_>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut separator = "{";
    for (name, value) in ours.into_iter().filter(|(name, _)| !ask.extra.contains_key(*name)) {
        push(&mut pieces, text(&format!("{separator}\"{name}\":")));
        for piece in value {
            push(&mut pieces, piece);
        }
        separator = ",";
    }
    for (name, value) in ask.extra {
        push(&mut pieces, text(&format!("{separator}{}:{value}", serde_json::Value::from(name.as_str()))));
        separator = ",";
    }
    push(&mut pieces, text("}"));
    pieces
}

/// Appends a piece. Adjacent texts are merged.
pub(super) fn push(pieces: &mut Vec<Piece>, piece: Piece) {
    match (pieces.last_mut(), piece) {
        (Some(Piece::Text(last)), Piece::Text(text)) => last.push_str(&text),
        (_, piece) => pieces.push(piece),
    }
}

/// The payload of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Data<'a> {
    Nothing,
    /// `[DONE]`.
    Done,
    /// Data that should be JSON.
    Json(&'a [u8]),
}

/// Returns the payload of an event, unless the event's name marks it as an error.
#[inline]
pub(super) fn data<'a>(event: &sse::Event<'a>) -> Result<Data<'a>, Flaw> {
    if event.name == ERROR_EVENT {
        return Err(Flaw::Error);
    }
    match event.data.trim_ascii() {
        b"" => Ok(Data::Nothing),
        DONE => Ok(Data::Done),
        data => Ok(Data::Json(data)),
    }
}

/// Returns true if the data is an error and not a response: `{"error":{…}}`, or
/// `{"object":"error",…}` as older versions of vLLM sent it.
pub(super) fn is_error(error: Value<'_>, object: Value<'_>) -> bool {
    error.is_error() || object.is("error")
}

/// True if an event looks like an error from a component in front of the API, in that component's
/// own format: a web framework's `{"detail":…}`, a gateway's `{"message":…}` or `{"errors":[…]}`.
/// The API's reader decides whether the object is an event of the API after all.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Complaint(bool);

impl Complaint {
    /// Reads the value of a key that the API does not know.
    pub(super) fn field(&mut self, json: &mut Scanner<'_, '_>, key: &[u8]) -> Option<()> {
        match key {
            b"detail" | b"errors" => self.0 |= json.value()?.is_error(),
            b"message" => self.0 |= json.value()?.is_filled_text(),
            _ => json.skip()?,
        }
        Some(())
    }

    /// Returns true for an error, given that no event of the API has this type (empty if it has no
    /// type).
    pub(super) fn is_error(self, kind: &[u8]) -> bool {
        self.0 && (kind.is_empty() || kind.ends_with(b"error") || kind.ends_with(b"Error"))
    }
}

/// Returns why a response ended. `None` for a value that is not a string, or an empty one.
pub(super) fn finish(reason: Value<'_>) -> Option<Finish> {
    match reason {
        Value::Text(b"") => None,
        Value::Text(word) => Some(Finish::of(word)),
        Value::Escaped(_) => Some(Finish::Other),
        _ => None,
    }
}

/// The names of an API's usage fields.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) input: &'static str,
    pub(super) output: &'static str,
    /// The object with the breakdown of output tokens.
    pub(super) output_details: &'static str,
    /// The object with the breakdown of input tokens.
    pub(super) input_details: &'static str,
}

/// The field names of the Responses API and of Anthropic. Anthropic usually sends no total and no
/// details.
pub(super) const WORDS: Words = Words {
    input: "input_tokens",
    output: "output_tokens",
    output_details: "output_tokens_details",
    input_details: "input_tokens_details",
};

/// Reads the usage that the server billed. The inner `None`: it is not an object, or all counts are
/// zero.
#[expect(clippy::option_option, reason = "the outer one ends a scan that has found no JSON")]
pub(super) fn usage(json: &mut Scanner<'_, '_>, words: &Words) -> Option<Option<TokenUsage>> {
    let (mut usage, mut total) = (TokenUsage::default(), 0);
    // Anthropic counts tokens that its cache read and wrote beside the input tokens. Other APIs
    // include them.
    let (mut read, mut created) = (0, 0);
    let noted = json.noted();
    json.object(|json, key| {
        if key == words.input.as_bytes() {
            usage.input = json.count(Billed::Input)?;
        } else if key == words.output.as_bytes() {
            usage.output = json.count(Billed::Output)?;
        } else if key == b"total_tokens" {
            total = json.count(Billed::Total)?;
        } else if key == words.input_details.as_bytes() {
            usage.cached = count_in(json, "cached_tokens", Billed::Cached)?;
        } else if key == b"cache_read_input_tokens" {
            read = json.value()?.count();
        } else if key == b"cache_creation_input_tokens" {
            created = json.value()?.count();
        } else if key == words.output_details.as_bytes() {
            usage.reasoning = count_in(json, "reasoning_tokens", Billed::Reasoning)?;
        } else {
            json.skip()?;
        }
        Some(())
    })?;
    if read | created > 0 {
        usage.input = usage.input.saturating_add(read).saturating_add(created);
        usage.cached = usage.cached.max(read);
        usage.written = created;
        // Templates cannot add.
        json.unlearnable();
    }
    if usage.input | usage.output | total > 0 {
        return Some(Some(usage));
    }
    json.not_counted(noted..);
    Some(None)
}

/// Reads the usage inside an object, such as the message of a stream's first event.
#[expect(clippy::option_option, reason = "the outer one ends a scan that has found no JSON")]
pub(super) fn usage_in(json: &mut Scanner<'_, '_>) -> Option<Option<TokenUsage>> {
    let mut found = None;
    json.object(|json, key| match key {
        b"usage" => usage(json, &WORDS).map(|usage| replace(json, &mut found, usage)),
        _ => json.skip(),
    })?;
    Some(found)
}

/// Replaces the usage found earlier in the same data. A template cannot tell which of two usage
/// objects counts.
pub(super) fn replace(json: &mut Scanner<'_, '_>, usage: &mut Option<TokenUsage>, later: Option<TokenUsage>) {
    if usage.is_some() {
        json.unlearnable();
    }
    *usage = later;
}

/// Reads the count with that name in an object.
fn count_in(json: &mut Scanner<'_, '_>, name: &str, billed: Billed) -> Option<u32> {
    let mut count = 0;
    json.object(|json, key| {
        if key == name.as_bytes() {
            count = json.count(billed)?;
        } else {
            json.skip()?;
        }
        Some(())
    })?;
    Some(count)
}

/// Reads whether the value with that name in an object has content.
pub(super) fn filled_in(json: &mut Scanner<'_, '_>, name: &str) -> Option<Seen> {
    let mut found = Seen::default();
    json.object(|json, key| {
        if key == name.as_bytes() {
            found = json.filled()?;
        } else {
            json.skip()?;
        }
        Some(())
    })?;
    Some(found)
}
