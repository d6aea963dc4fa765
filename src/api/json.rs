//! What the JSON of all APIs has in common: bodies put together in pieces, events that say nothing,
//! bills.
//!
//! Compatible servers differ in what is absent, `null` or empty, and in what they add. So
//! everything is optional, and unknown fields are skipped.

use super::scan::{Scanner, Seen, Value};
use super::talk::Dialect;
use super::template::Billed;
use super::{Ask, Flaw, History, Piece};
use crate::metrics::{Finish, TokenUsage};
use crate::wire::sse;

/// The name of an event that is an error whatever its data says.
const ERROR_EVENT: &[u8] = b"error";

/// Ends a stream of the APIs that have no better word for it.
const DONE: &[u8] = b"[DONE]";

/// A piece of fixed text.
pub(super) fn text(text: &str) -> Piece {
    Piece::Text(text.to_owned())
}

/// The messages: what was said before, if it is sent again, and the prompt.
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

/// What the user says: the prompt alone, or parts of which one is a picture.
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
        // Anthropic advises to send pictures before the text.
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

/// What asks for an answer that is as long as its limit, where that is wanted. vLLM and SGLang know
/// both fields.
pub(super) fn exactly(ask: &Ask<'_>) -> impl Iterator<Item = (&'static str, Vec<Piece>)> {
    let both = [("min_tokens", vec![Piece::MaxTokens]), ("ignore_eos", vec![text("true")])];
    both.into_iter().filter(|_| ask.exact)
}

/// A JSON object of these fields, in pieces. A field of the user's takes the place of ours with the
/// same name.
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

/// Appends a piece; texts that meet become one.
pub(super) fn push(pieces: &mut Vec<Piece>, piece: Piece) {
    match (pieces.last_mut(), piece) {
        (Some(Piece::Text(last)), Piece::Text(text)) => last.push_str(&text),
        (_, piece) => pieces.push(piece),
    }
}

/// What an event carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Data<'a> {
    Nothing,
    /// `[DONE]`.
    Done,
    /// What should be JSON.
    Json(&'a [u8]),
}

/// What an event carries that is not an error by its name.
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

/// Whether it is an error and no answer: `{"error":{…}}`, and `{"object":"error",…}` as vLLM had
/// it.
pub(super) fn is_error(error: Value<'_>, object: Value<'_>) -> bool {
    error.is_error() || object.is("error")
}

/// Whether an event is the error of what stands in front of the API, in a form of its own: a web
/// framework's `{"detail":…}`, a gateway's `{"message":…}` or `{"errors":[…]}`. Whether the object
/// is an event of the API after all is for its reader to say.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Complaint(bool);

impl Complaint {
    /// Takes the value of a key that the API does not know.
    pub(super) fn field(&mut self, json: &mut Scanner<'_, '_>, key: &[u8]) -> Option<()> {
        match key {
            b"detail" | b"errors" => self.0 |= json.value()?.is_error(),
            b"message" => self.0 |= json.value()?.is_filled_text(),
            _ => json.skip()?,
        }
        Some(())
    }

    /// Whether it is an error, if no event of the API has this type (empty without one).
    pub(super) fn is_error(self, kind: &[u8]) -> bool {
        self.0 && (kind.is_empty() || kind.ends_with(b"error") || kind.ends_with(b"Error"))
    }
}

/// Why an answer ended; what is no text says nothing.
pub(super) fn finish(reason: Value<'_>) -> Option<Finish> {
    match reason {
        Value::Text(b"") => None,
        Value::Text(word) => Some(Finish::of(word)),
        Value::Escaped(_) => Some(Finish::Other),
        _ => None,
    }
}

/// How an API calls what it bills.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) input: &'static str,
    pub(super) output: &'static str,
    /// What is among the output.
    pub(super) output_details: &'static str,
    /// What is among the input.
    pub(super) input_details: &'static str,
}

/// The words of the Responses API and of Anthropic, who has no total and no details as a rule.
pub(super) const WORDS: Words = Words {
    input: "input_tokens",
    output: "output_tokens",
    output_details: "output_tokens_details",
    input_details: "input_tokens_details",
};

/// What the server billed; `None` when it says nothing: not an object, or all of it zero or absent.
#[expect(clippy::option_option, reason = "the outer one ends a scan that has found no JSON")]
pub(super) fn usage(json: &mut Scanner<'_, '_>, words: &Words) -> Option<Option<TokenUsage>> {
    let (mut usage, mut total) = (TokenUsage::default(), 0);
    // Anthropic bills what its cache read and wrote beside the input, and not inside it as the
    // others do.
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
        // A template does not add.
        json.unlearnable();
    }
    if usage.input | usage.output | total > 0 {
        return Some(Some(usage));
    }
    json.not_counted(noted..);
    Some(None)
}

/// The usage inside an object: of an answer as it stands.
#[expect(clippy::option_option, reason = "the outer one ends a scan that has found no JSON")]
pub(super) fn usage_in(json: &mut Scanner<'_, '_>) -> Option<Option<TokenUsage>> {
    let mut found = None;
    json.object(|json, key| match key {
        b"usage" => usage(json, &WORDS).map(|usage| replace(json, &mut found, usage)),
        _ => json.skip(),
    })?;
    Some(found)
}

/// A bill takes the place of an earlier one in the same data. Which of two holds is not for a
/// template to tell.
pub(super) fn replace(json: &mut Scanner<'_, '_>, usage: &mut Option<TokenUsage>, later: Option<TokenUsage>) {
    if usage.is_some() {
        json.unlearnable();
    }
    *usage = later;
}

/// The count of that name in an object.
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

/// Whether there is anything in the value of that name in an object.
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
