//! An API that a profile describes: the request, and where to find values in the response. The
//! places are JSON pointers (RFC 6901).
//!
//! All pointers are followed in one pass from left to right, with the scanner of the other APIs. So
//! nothing is copied, and templates recognise similar responses without a parser, as with other
//! APIs.

use super::json::{self, Data};
use super::scan::{self, Notes, Scanner, Seen, scan};
use super::spec::{AnswerIs, OPENAI, Spec};
use super::template::Billed;
use super::{Answer, Ask, Delta, Flaw, Method, Piece, Token};
use crate::metrics::TokenUsage;
use crate::wire::sse;
use serde_json::Value;
use std::fmt;
use std::sync::LazyLock;

/// The described API. All specifics are in [`Custom`].
pub(super) const SPEC: Spec = Spec {
    name: "template",
    path: "/",
    standard_path: "/",
    on_llmsim: false,
    provider: &OPENAI,
    models: &[],
    body: Some(body),
    generates: true,
    streams: true,
    websocket: false,
    usage_on_request: false,
    talk: None,
    // Only tests of all APIs read a response without a description.
    read_event: |event, notes| UNDESCRIBED.read_event(event, notes),
    answer: AnswerIs::Read(|body, notes| UNDESCRIBED.read_body(body, notes)),
};

/// The description used when there is none. It resembles chat completions.
static UNDESCRIBED: LazyLock<Custom> = LazyLock::new(|| {
    let fields = [
        ("/choices/0/delta/content", Field::Text),
        ("/choices/0/delta/reasoning_content", Field::Reasoning),
        ("/usage/prompt_tokens", Field::InputTokens),
        ("/usage/completion_tokens", Field::OutputTokens),
        ("/error", Field::Error),
        ("/choices/0/finish_reason", Field::End(None)),
    ];
    let fields = fields.into_iter().filter_map(|(at, field)| Some((Pointer::parse(at).ok()?, field)));
    Custom {
        method: Method::Post,
        framing: Framing::Sse,
        fields: fields.collect(),
        end_word: Some("[DONE]".to_owned()),
    }
});

/// The framing of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// One event per line.
    Ndjson,
    /// One JSON object for the whole response.
    Json,
}

impl Framing {
    /// All framings, with their names in profiles.
    pub const ALL: [(&str, Self); 3] = [("sse", Self::Sse), ("ndjson", Self::Ndjson), ("json", Self::Json)];
}

/// A place in a JSON value, as RFC 6901 writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(Vec<Step>);

/// One step down: a key of an object, or an index of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    key: Vec<u8>,
    place: Option<usize>,
}

impl fmt::Display for Pointer {
    /// Writes the pointer in RFC 6901 notation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = |step: &Step| String::from_utf8_lossy(&step.key).replace('~', "~0").replace('/', "~1");
        self.0.iter().try_for_each(|step| write!(f, "/{}", key(step)))
    }
}

/// Why a text is not a usable pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPointer {
    #[error("expected a JSON pointer (RFC 6901) that starts with /, such as /choices/0/delta/content")]
    NoSlash,
    #[error("`~` stands for nothing but `~0` and `~1` (RFC 6901): expected ~0 for `~`")]
    BadEscape,
}

impl Pointer {
    /// Parses a pointer.
    ///
    /// # Errors
    ///
    /// Returns the problem with the text. A pointer to the whole value is rejected too, because
    /// nothing could be read from it.
    pub fn parse(text: &str) -> Result<Self, BadPointer> {
        let steps = text.strip_prefix('/').ok_or(BadPointer::NoSlash)?;
        let step = |written: &str| {
            let mut key = String::new();
            let mut rest = written.chars();
            while let Some(c) = rest.next() {
                key.push(match c {
                    '~' => match rest.next() {
                        Some('0') => '~',
                        Some('1') => '/',
                        _ => return Err(BadPointer::BadEscape),
                    },
                    c => c,
                });
            }
            // `01` is not an index.
            let is_place = key == "0" || (!key.starts_with('0') && key.bytes().all(|b| b.is_ascii_digit()));
            let place = if is_place { key.parse().ok() } else { None };
            Ok(Step { key: key.into_bytes(), place })
        };
        Ok(Self(steps.split('/').map(step).collect::<Result<_, _>>()?))
    }

    /// Returns true if the pointers are equal or one lies inside the other.
    pub fn overlaps(&self, other: &Self) -> bool {
        let both = self.0.len().min(other.0.len());
        self.0[..both] == other.0[..both]
    }
}

/// The meaning of the value at a place.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    /// Generated text.
    Text,
    /// Generated reasoning.
    Reasoning,
    /// Number of input tokens billed.
    InputTokens,
    OutputTokens,
    /// A value with content if the response is an error.
    Error,
    /// The value that ends a stream. Without a given value, any content does.
    End(Option<Value>),
}

/// An API that a profile describes. Plain data.
#[derive(Debug, Clone, PartialEq)]
pub struct Custom {
    pub method: Method,
    pub framing: Framing,
    /// The places and their meaning. No pointer overlaps another, and there are at most
    /// [`Custom::MOST_FIELDS`].
    pub fields: Vec<(Pointer, Field)>,
    /// The data of the event that ends a stream, if a fixed word does.
    pub end_word: Option<String>,
}

/// The values found in an event or a body.
#[derive(Debug, Default)]
struct Found {
    text: Seen,
    reasoning: Seen,
    usage: TokenUsage,
    is_error: bool,
    is_end: bool,
}

impl Custom {
    /// One for each kind of field.
    pub const MOST_FIELDS: usize = 6;

    /// Returns true if the response is a stream.
    pub const fn streams(&self) -> bool {
        !matches!(self.framing, Framing::Json)
    }

    /// Returns the description by its keys in a profile.
    pub fn described(&self) -> Vec<(&'static str, String)> {
        let framing = Framing::ALL.iter().find(|(_, framing)| *framing == self.framing).map_or("", |(name, _)| name);
        let method = if self.method == Method::Get { "GET" } else { "POST" };
        let mut all = vec![("method", method.to_owned()), ("response.framing", framing.to_owned())];
        all.extend(self.fields.iter().map(|(pointer, field)| match field {
            Field::Text => ("response.text", pointer.to_string()),
            Field::Reasoning => ("response.reasoning", pointer.to_string()),
            Field::InputTokens => ("response.input_tokens", pointer.to_string()),
            Field::OutputTokens => ("response.output_tokens", pointer.to_string()),
            Field::Error => ("response.error", pointer.to_string()),
            Field::End(None) => ("response.end", pointer.to_string()),
            Field::End(Some(value)) => ("response.end", format!("{pointer} is {value}")),
        }));
        all.extend(self.end_word.clone().map(|word| ("response.end", word)));
        all
    }

    /// Returns true if the description says where usage is.
    fn bills(&self) -> bool {
        self.fields.iter().any(|(_, field)| matches!(field, Field::InputTokens | Field::OutputTokens))
    }

    /// Reads one event of a stream.
    pub(super) fn read_event(&self, event: &sse::Event<'_>, mut notes: Option<&mut Notes>) -> Result<Delta, Flaw> {
        if self.end_word.as_ref().is_some_and(|word| event.data.trim_ascii() == word.as_bytes()) {
            if let Some(notes) = &mut notes {
                notes.unlearnable = true;
            }
            return Ok(Delta { done: true, ..Delta::default() });
        }
        let data = match json::data(event)? {
            Data::Nothing | Data::Done => return Ok(Delta::default()),
            Data::Json(data) => data,
        };
        let (found, odd) = self.read(data, notes).ok_or(Flaw::BadJson)?;
        if found.is_error {
            return Err(Flaw::Error);
        }
        let token = match (found.text.is_filled, found.reasoning.is_filled) {
            (true, _) => Some(Token::Visible),
            (false, true) => Some(Token::Reasoning),
            (false, false) => None,
        };
        Ok(Delta { token, usage: billed(found.usage), done: found.is_end, odd, ..Delta::default() })
    }

    /// Reads a complete plain response and checks it.
    pub(super) fn read_body(&self, body: &[u8], notes: Option<&mut Notes>) -> Result<Answer, Flaw> {
        let (found, _) = self.read(body, notes).ok_or(Flaw::BadJson)?;
        if found.is_error {
            return Err(Flaw::Error);
        }
        if !found.text.is_filled && !found.reasoning.is_filled {
            return Err(Flaw::Check { name: "has text", held: 0 });
        }
        match billed(found.usage) {
            None if self.bills() => Err(Flaw::NoUsage { held: 1, finish: None }),
            usage => Ok(Answer { usage, finish: None, checks: 1 + u8::from(self.bills()) }),
        }
    }

    /// Follows all pointers. Returns the values found, and whether a value on the way differs from
    /// what a pointer expects. `None` if the data is not JSON.
    fn read(&self, data: &[u8], notes: Option<&mut Notes>) -> Option<(Found, bool)> {
        let (mut found, mut odd) = (Found::default(), false);
        let all = (1_u8 << self.fields.len()) - 1;
        let is_json = scan(data, notes, |json| {
            self.walk(json, 0, all, &mut found)?;
            for (value, token) in [(found.text, Token::Visible), (found.reasoning, Token::Reasoning)] {
                if value.is_filled {
                    json.generated(value, token);
                }
            }
            odd = json.odd;
            Some(())
        });
        is_json.then_some((found, odd))
    }

    /// Clears what was found of these fields.
    fn forget(&self, fields: u8, found: &mut Found) {
        for (_, (_, field)) in self.fields.iter().enumerate().filter(|(i, _)| fields >> i & 1 == 1) {
            match field {
                Field::Text => found.text = Seen::default(),
                Field::Reasoning => found.reasoning = Seen::default(),
                Field::InputTokens => found.usage.input = 0,
                Field::OutputTokens => found.usage.output = 0,
                Field::Error => found.is_error = false,
                Field::End(_) => found.is_end = false,
            }
        }
    }

    /// Reads a value to which the first `depth` steps of the `active` fields have led. Each field
    /// has a bit in `active`.
    fn walk(&self, json: &mut Scanner<'_, '_>, depth: usize, active: u8, found: &mut Found) -> Option<()> {
        if active == 0 {
            return json.skip();
        }
        let (pointer, field) = &self.fields[active.trailing_zeros() as usize];
        // No pointer overlaps another. So a pointer that ends here is the only active one.
        if pointer.0.len() == depth {
            return take(json, field, found);
        }
        let on = |fits: &dyn Fn(&Step) -> bool| {
            let fields = self.fields.iter().enumerate();
            let fitting = fields.filter(|(i, (pointer, _))| active >> i & 1 == 1 && fits(&pointer.0[depth]));
            fitting.fold(0_u8, |bits, (i, _)| bits | 1 << i)
        };
        if json.is_list()? {
            let mut place = 0;
            json.list(|json| {
                let next = on(&|step| step.place == Some(place));
                place += 1;
                self.walk(json, depth + 1, next, found)
            })?;
        } else {
            let mut entered = 0;
            json.object(|json, key| {
                let next = on(&|step| step.key == key);
                // If a key occurs twice, only its last value counts.
                if entered & next != 0 {
                    self.forget(next, found);
                    json.unlearnable();
                }
                entered |= next;
                self.walk(json, depth + 1, next, found)
            })?;
        }
        Some(())
    }
}

/// Reads the value at the end of a pointer.
fn take(json: &mut Scanner<'_, '_>, field: &Field, found: &mut Found) -> Option<()> {
    match field {
        Field::Text => found.text = json.filled()?,
        Field::Reasoning => found.reasoning = json.filled()?,
        Field::InputTokens => found.usage.input = json.count(Billed::Input)?,
        Field::OutputTokens => found.usage.output = json.count(Billed::Output)?,
        Field::Error => found.is_error = json.value()?.is_error(),
        Field::End(wanted) => {
            let value = json.value()?;
            found.is_end = wanted.as_ref().map_or_else(|| value.is_filled(), |wanted| is(value, wanted));
        }
    }
    Some(())
}

/// Returns true if a value is the one that ends a stream.
fn is(value: scan::Value<'_>, wanted: &Value) -> bool {
    match wanted {
        Value::String(text) => value.is(text),
        Value::Bool(true) => value == scan::Value::True,
        Value::Bool(false) => value == scan::Value::False,
        Value::Number(number) => {
            matches!(value, scan::Value::Number(digits) if digits == number.to_string().as_bytes())
        }
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Returns the usage, or `None` if all counts are zero.
const fn billed(usage: TokenUsage) -> Option<TokenUsage> {
    if usage.input | usage.output > 0 { Some(usage) } else { None }
}

// ---- the request --------------------------------------------------------------------------------

/// The placeholders in the texts of a body, for values that change from request to request.
const PLACEHOLDERS: [(&str, Piece); 4] = [
    ("{{prompt}}", Piece::Prompt),
    ("{{model}}", Piece::Model),
    ("{{max_tokens}}", Piece::MaxTokens),
    ("{{number}}", Piece::Number),
];

/// Returns the names of all placeholders.
pub fn placeholders() -> impl Iterator<Item = &'static str> {
    PLACEHOLDERS.iter().map(|(name, _)| *name)
}

/// Returns the placeholders in the texts of a body.
///
/// # Errors
///
/// Returns the first one that is not a known placeholder, including its braces.
pub fn placeholders_in(value: &Value) -> Result<Vec<&'static str>, String> {
    let mut found = Vec::new();
    match value {
        Value::String(text) => {
            let mut rest = text.as_str();
            while let Some((_, after)) = rest.split_once("{{") {
                let (name, behind) = after.split_once("}}").ok_or_else(|| format!("{{{{{after}"))?;
                let whole = format!("{{{{{name}}}}}");
                found.push(placeholders().find(|known| *known == whole).ok_or(whole)?);
                rest = behind;
            }
        }
        Value::Array(all) => {
            for value in all {
                found.extend(placeholders_in(value)?);
            }
        }
        Value::Object(fields) => {
            for value in fields.values() {
                found.extend(placeholders_in(value)?);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(found)
}

/// Builds the body in pieces: the profile's own body with its placeholders replaced.
fn body(ask: &Ask<'_>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    write(&Value::Object(ask.extra.clone()), &mut pieces);
    pieces
}

fn write(value: &Value, pieces: &mut Vec<Piece>) {
    let fixed = |text: String| json::text(&text);
    match value {
        Value::String(text) => write_text(text, pieces),
        Value::Array(all) => {
            json::push(pieces, fixed("[".to_owned()));
            for (i, value) in all.iter().enumerate() {
                json::push(pieces, fixed(if i > 0 { "," } else { "" }.to_owned()));
                write(value, pieces);
            }
            json::push(pieces, fixed("]".to_owned()));
        }
        Value::Object(fields) => {
            json::push(pieces, fixed("{".to_owned()));
            for (i, (key, value)) in fields.iter().enumerate() {
                let comma = if i > 0 { "," } else { "" };
                json::push(pieces, fixed(format!("{comma}{}:", Value::from(key.as_str()))));
                write(value, pieces);
            }
            json::push(pieces, fixed("}".to_owned()));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => json::push(pieces, fixed(value.to_string())),
    }
}

/// Writes a text. A text that is only a placeholder is replaced by a string or a number. Inside a
/// text, both become part of the text.
fn write_text(text: &str, pieces: &mut Vec<Piece>) {
    if let Some((_, piece)) = PLACEHOLDERS.iter().find(|(name, _)| *name == text) {
        return pieces.push(piece.clone());
    }
    let inside = |text: &str| {
        let quoted = Value::from(text).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    };
    json::push(pieces, json::text("\""));
    let mut rest = text;
    let next = |rest: &str| {
        let places = PLACEHOLDERS.iter().filter_map(|(name, piece)| Some((rest.find(name)?, *name, piece.clone())));
        places.min_by_key(|(at, ..)| *at)
    };
    while let Some((at, name, piece)) = next(rest) {
        json::push(pieces, json::text(&inside(&rest[..at])));
        pieces.push(match piece {
            Piece::Prompt => Piece::PromptInside,
            Piece::Model => Piece::ModelInside,
            number => number,
        });
        rest = &rest[at + name.len()..];
    }
    json::push(pieces, json::text(&format!("{}\"", inside(rest))));
}

#[cfg(test)]
mod tests;
