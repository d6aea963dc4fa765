//! What the JSON of all APIs has in common: bodies put together in pieces, values that may be absent in many ways, bills.
//!
//! Compatible servers differ in what is absent, `null` or empty, and in what they add. So everything is optional, unknown fields are
//! skipped, and a field whose type varies is kept as it stands ([`RawValue`]).

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::template::{Billed, Reading};
use super::{Ask, Flaw, Piece};
use crate::metrics::TokenUsage;

/// The name of an event that is an error whatever its data says.
pub(super) const ERROR_EVENT: &[u8] = b"error";

/// Ends a stream of the APIs that have no better word for it.
pub(super) const DONE: &[u8] = b"[DONE]";

/// A piece of fixed text.
pub(super) fn text(text: &str) -> Piece {
    Piece::Text(text.to_owned())
}

/// The messages of a conversation that is one prompt long.
pub(super) fn one_message() -> Vec<Piece> {
    vec![text(r#"[{"role":"user","content":"#), Piece::Prompt, text("}]")]
}

/// `"stream": …`
pub(super) fn stream(ask: &Ask<'_>) -> (&'static str, Vec<Piece>) {
    ("stream", vec![text(if ask.stream { "true" } else { "false" })])
}

/// A JSON object of these fields, in pieces. A field of the user's takes the place of ours with the same name.
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
fn push(pieces: &mut Vec<Piece>, piece: Piece) {
    match (pieces.last_mut(), piece) {
        (Some(Piece::Text(last)), Piece::Text(text)) => last.push_str(&text),
        (_, piece) => pieces.push(piece),
    }
}

/// What valid JSON says that could not be read as documented: nothing, unless it is an error after all.
pub(super) fn not_as_documented(json: &[u8]) -> Result<(), Flaw> {
    /// No more than is needed to know an error.
    #[derive(Deserialize)]
    struct Failure<'a> {
        #[serde(borrow)]
        error: Option<&'a RawValue>,
        #[serde(borrow)]
        object: Option<&'a RawValue>,
        #[serde(borrow, rename = "type")]
        kind: Option<&'a RawValue>,
    }
    // serde_json looks only into the strings that it keeps; JSON between systems is UTF-8 as a whole (RFC 8259, section 8.1), and a
    // text that is none must be neither a token nor nothing.
    if std::str::from_utf8(json).is_err() {
        return Err(Flaw::BadJson);
    }
    match serde_json::from_slice::<Failure<'_>>(json) {
        Ok(failure) if is_error(failure.error, failure.object) || is(failure.kind, "error") => Err(Flaw::Error),
        Ok(_) => Ok(()),
        Err(_) => serde_json::from_slice::<IgnoredAny>(json).map(|_| ()).map_err(|_| Flaw::BadJson),
    }
}

/// Whether it is an error and no answer: `{"error":{…}}`, and `{"object":"error",…}` as vLLM had it.
pub(super) fn is_error(error: Option<&RawValue>, object: Option<&RawValue>) -> bool {
    filled(error) || is(object, "error")
}

/// Whether the value is this plain text.
pub(super) fn is(value: Option<&RawValue>, word: &str) -> bool {
    plain(value).is_some_and(|text| text == word)
}

/// The inside of a string as it stands; one with escapes is none of the words that anybody looks for.
pub(super) fn plain(value: Option<&RawValue>) -> Option<&str> {
    value?.get().strip_prefix('"')?.strip_suffix('"')
}

/// Whether there is anything in it. Servers fill what they have nothing for with all of these.
pub(super) fn is_filled(value: &RawValue) -> bool {
    !matches!(value.get(), r#""""# | "null" | "[]" | "{}" | "false")
}

/// Whether it is there, with anything in it.
pub(super) fn filled(value: Option<&RawValue>) -> bool {
    value.is_some_and(is_filled)
}

/// Whether it is a list with anything in it.
pub(super) fn is_filled_list(value: Option<&RawValue>) -> bool {
    value.is_some_and(|value| value.get().starts_with('[') && is_filled(value))
}

/// Reads a list item by item into a sum, so that it needs no memory.
pub(super) struct Each<S, T>(pub(super) fn(&mut S, T));

impl<'de, S: Default, T: Deserialize<'de>> Visitor<'de> for Each<S, T> {
    type Value = S;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<S, A::Error> {
        let mut sum = S::default();
        while let Some(item) = items.next_element()? {
            (self.0)(&mut sum, item);
        }
        Ok(sum)
    }
}

/// A count of tokens: a number of any kind, or nothing. What does not fit saturates; it is the peer's number, not ours.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Count(pub(super) u32);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Option::<f64>::deserialize(deserializer)?;
        // Exact: every u32 is a float, and the conversion saturates.
        Ok(Self(number.unwrap_or_default() as u32))
    }
}

/// What the server billed, in the words of the Responses API and of Anthropic, who has no total and no details as a rule. Prompt tokens
/// that came from Anthropic's cache are billed apart, and not counted here.
#[derive(Debug, Deserialize)]
struct Bill {
    #[serde(default)]
    input_tokens: Count,
    #[serde(default)]
    output_tokens: Count,
    #[serde(default)]
    total_tokens: Count,
    output_tokens_details: Option<BillDetails>,
}

#[derive(Debug, Deserialize)]
struct BillDetails {
    #[serde(default)]
    reasoning_tokens: Count,
}

/// How [`read_bill`] reads, for templates.
pub(super) const BILL: Reading = Reading::Fields(&[
    ("input_tokens", Reading::Tokens(Billed::Input)),
    ("output_tokens", Reading::Tokens(Billed::Output)),
    ("total_tokens", Reading::Tokens(Billed::Total)),
    ("output_tokens_details", Reading::Fields(&[("reasoning_tokens", Reading::Tokens(Billed::Reasoning))])),
]);

/// `None` when it says nothing: not an object, or all of it zero or absent.
pub(super) fn read_bill(bill: Option<&RawValue>) -> Option<TokenUsage> {
    let bill: Bill = serde_json::from_str(bill?.get()).ok()?;
    (bill.input_tokens.0 | bill.output_tokens.0 | bill.total_tokens.0 > 0).then(|| TokenUsage {
        input: bill.input_tokens.0,
        output: bill.output_tokens.0,
        reasoning: bill.output_tokens_details.map_or(0, |details| details.reasoning_tokens.0),
    })
}
