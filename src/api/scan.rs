//! Reads JSON once from left to right. Values that the caller asks for are lent unchanged.
//! Everything else is checked and skipped.
//!
//! Only a few values of a response are needed. So nothing is copied, nothing is decoded and no tree
//! is built. The scanner accepts and rejects the same data as `serde_json`, with two rules of its
//! own:
//!
//! - If a key occurs twice in an object, its last value counts, as in most parsers.
//! - A string that is not UTF-8 is rejected wherever it occurs, because JSON exchanged between
//!   systems is UTF-8 (RFC 8259, section 8.1).
//!
//! On request the scanner takes notes while it reads. It notes values that could be replaced
//! without changing the result, from which a [`Template`](super::template::Template) is made, and
//! values that were generated.
//!
//! Every method returns `None` at the first byte that is not valid JSON. That ends the scan.

use super::template::{Billed, Fill, Hole, MAX_HOLES};
use super::{Token, lex};
use std::borrow::Cow;
use std::ops::{Range, RangeFrom};

/// A position in JSON, and the notes taken on the way.
#[derive(Debug)]
pub(super) struct Scanner<'a, 'n> {
    json: &'a [u8],
    at: usize,
    notes: Option<&'n mut Notes>,
    /// True if a value was neither of the expected kind nor `null`.
    pub(super) odd: bool,
}

/// The scanner's notes.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// In the order of the data.
    pub(super) holes: Vec<Hole>,
    /// True if something was read in a way that no template can reproduce.
    pub(super) unlearnable: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// `null`, or a missing value.
    #[default]
    Null,
    False,
    True,
    /// The inside of a string without escapes.
    Text(&'a [u8]),
    /// The inside of a string with escapes, still escaped.
    Escaped(&'a [u8]),
    Number(&'a [u8]),
    /// An object or a list, with its brackets.
    Nested(&'a [u8]),
}

/// The result of testing a value for content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) is_filled: bool,
    pub(super) is_list: bool,
    /// The index of its note.
    note: Option<u32>,
}

/// Scans all of `json`, whose one value `read` takes. Returns true if the data is valid JSON.
pub(super) fn scan<'a>(
    json: &'a [u8],
    mut notes: Option<&mut Notes>,
    read: impl FnOnce(&mut Scanner<'a, '_>) -> Option<()>,
) -> bool {
    if let Some(notes) = &mut notes {
        notes.holes.clear();
        notes.unlearnable = false;
    }
    let mut scanner = Scanner { json, at: 0, notes, odd: false };
    read(&mut scanner).is_some() && scanner.peek().is_none()
}

impl<'a> Scanner<'a, '_> {
    /// Reads an object. `field` takes the value of each key. Another kind of value is skipped.
    /// Returns true for an object.
    pub(super) fn object(&mut self, mut field: impl FnMut(&mut Self, &[u8]) -> Option<()>) -> Option<bool> {
        if self.peek()? != b'{' {
            return self.other();
        }
        self.at += 1;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(true);
        }
        loop {
            let key = self.key()?;
            field(self, &key)?;
            if self.is_last(b'}')? {
                return Some(true);
            }
        }
    }

    /// Reads a list. `item` takes each value. Another kind of value is skipped. Returns true for a
    /// list.
    pub(super) fn list(&mut self, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<bool> {
        if self.peek()? != b'[' {
            return self.other();
        }
        self.at += 1;
        if self.peek()? == b']' {
            self.at += 1;
            return Some(true);
        }
        loop {
            item(self)?;
            if self.is_last(b']')? {
                return Some(true);
            }
        }
    }

    /// Skips a value of the wrong kind. `null` and values without content are not odd.
    fn other(&mut self) -> Option<bool> {
        if self.peek()? == b'n' {
            return self.skip().map(|()| false);
        }
        self.odd |= self.filled()?.is_filled;
        Some(false)
    }

    /// Returns true if a list comes next.
    pub(super) fn is_list(&mut self) -> Option<bool> {
        Some(self.peek()? == b'[')
    }

    /// Returns true if a string comes next.
    pub(super) fn is_text(&mut self) -> Option<bool> {
        Some(self.peek()? == b'"')
    }

    /// Returns a value. The caller may examine it in any way, so no template may replace it.
    pub(super) fn value(&mut self) -> Option<Value<'a>> {
        let notes = self.notes.take();
        let value = self.any_value();
        self.notes = notes;
        value
    }

    /// Skips a value.
    pub(super) fn skip(&mut self) -> Option<()> {
        let start = self.start()?;
        match self.any_value()? {
            Value::Text(text) | Value::Escaped(text) => self.note(start + 1, text.len(), Fill::Text),
            Value::Number(number) => self.note(start, number.len(), Fill::Number),
            Value::Null | Value::False | Value::True | Value::Nested(_) => {}
        }
        Some(())
    }

    /// Skips a value and returns whether it has content.
    pub(super) fn filled(&mut self) -> Option<Seen> {
        let start = self.start()?;
        let value = self.any_value()?;
        let before = self.noted();
        match value {
            Value::Text(text) | Value::Escaped(text) if !text.is_empty() => {
                self.note(start + 1, text.len(), Fill::SomeText);
            }
            Value::Number(number) => self.note(start, number.len(), Fill::Number),
            _ => {}
        }
        let note = (self.noted() > before).then_some(before as u32);
        Some(Seen { is_filled: value.is_filled(), is_list: value.is_list(), note })
    }

    /// Reads a count of tokens. A value that is not a number counts as zero.
    pub(super) fn count(&mut self, billed: Billed) -> Option<u32> {
        let start = self.start()?;
        let value = self.value()?;
        if let Value::Number(number) = value
            && lex::tokens(number).is_some_and(|(len, _)| len == number.len())
        {
            self.note(start, number.len(), Fill::Tokens(billed));
        }
        Some(value.count())
    }

    /// Returns the number of notes.
    pub(super) fn noted(&self) -> usize {
        self.notes.as_ref().map_or(0, |notes| notes.holes.len())
    }

    /// Notes that a value was generated.
    pub(super) fn generated(&mut self, value: Seen, token: Token) {
        if let (Some(notes), Some(place)) = (&mut self.notes, value.note) {
            notes.holes[place as usize].token = Some(token);
        }
    }

    /// Undoes [`Self::generated`] for these notes, because the same key occurs again.
    pub(super) fn not_generated(&mut self, places: Range<usize>) {
        if let Some(notes) = &mut self.notes {
            notes.holes[places].iter_mut().for_each(|hole| hole.token = None);
        }
    }

    /// Removes the notes of token counts, because the object read was not usage.
    pub(super) fn not_counted(&mut self, places: RangeFrom<usize>) {
        if let Some(notes) = &mut self.notes {
            let rest = notes.holes.split_off(places.start);
            notes.holes.extend(rest.into_iter().filter(|hole| !matches!(hole.fill, Fill::Tokens(_))));
        }
    }

    /// Notes that no template can reproduce what is read.
    pub(super) fn unlearnable(&mut self) {
        if let Some(notes) = &mut self.notes {
            notes.unlearnable = true;
        }
    }

    fn note(&mut self, start: usize, len: usize, fill: Fill) {
        let Some(notes) = &mut self.notes else { return };
        // Text that may have been generated is always noted, because the caller may ask for the
        // text.
        if notes.holes.len() < MAX_HOLES || fill == Fill::SomeText {
            notes.holes.push(Hole { start: start as u32, end: (start + len) as u32, fill, token: None });
        } else {
            notes.unlearnable = true;
        }
    }

    /// Returns where the next value begins.
    fn start(&mut self) -> Option<usize> {
        self.peek()?;
        Some(self.at)
    }

    /// Reads any value. Notes are taken only of values nested in it.
    fn any_value(&mut self) -> Option<Value<'a>> {
        let first = self.peek()?;
        let start = &self.json[self.at..];
        let (value, end) = match first {
            b'"' => {
                let text = &start[1..][..lex::text(&start[1..])?];
                (if text.contains(&b'\\') { Value::Escaped(text) } else { Value::Text(text) }, text.len() + 2)
            }
            b'{' | b'[' => {
                let from = self.at;
                self.skip_nested()?;
                return Some(Value::Nested(&self.json[from..self.at]));
            }
            b'n' => (Value::Null, word(start, b"null")?),
            b't' => (Value::True, word(start, b"true")?),
            b'f' => (Value::False, word(start, b"false")?),
            _ => {
                let end = lex::number(start)?;
                (Value::Number(&start[..end]), end)
            }
        };
        self.at += end;
        Some(value)
    }

    /// Skips an object or a list of any depth.
    fn skip_nested(&mut self) -> Option<()> {
        let mut open = Nesting::default();
        loop {
            let first = self.peek()?;
            if let b'{' | b'[' = first {
                self.at += 1;
                let is_object = first == b'{';
                // In ASCII, each closing bracket is two above its opening bracket.
                if self.peek()? == first + 2 {
                    self.at += 1;
                } else {
                    open.push(is_object);
                    if is_object {
                        self.key()?;
                    }
                    continue;
                }
            } else {
                self.skip()?;
            }
            loop {
                let Some(is_object) = open.last() else { return Some(()) };
                if !self.is_last(if is_object { b'}' } else { b']' })? {
                    if is_object {
                        self.key()?;
                    }
                    break;
                }
                open.pop();
            }
        }
    }

    /// Reads a comma or the closing bracket. Returns true if the list or object ends here.
    fn is_last(&mut self, end: u8) -> Option<bool> {
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b',' => Some(false),
            _ if byte == end => Some(true),
            _ => None,
        }
    }

    /// Reads a key and its colon.
    fn key(&mut self) -> Option<Cow<'a, [u8]>> {
        if self.peek()? != b'"' {
            return None;
        }
        let rest = &self.json[self.at + 1..];
        let key = &rest[..lex::text(rest)?];
        self.at += key.len() + 2;
        if self.peek()? != b':' {
            return None;
        }
        self.at += 1;
        // A key that cannot be decoded matches no field.
        Some(if key.contains(&b'\\') { Cow::Owned(decoded(key).unwrap_or_default().into_bytes()) } else { key.into() })
    }

    /// Returns the next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        while let b' ' | b'\n' | b'\r' | b'\t' = self.json.get(self.at)? {
            self.at += 1;
        }
        self.json.get(self.at).copied()
    }
}

fn word(json: &[u8], word: &[u8]) -> Option<usize> {
    json.starts_with(word).then_some(word.len())
}

impl Seen {
    pub(super) const fn is_filled_list(self) -> bool {
        self.is_filled && self.is_list
    }
}

impl<'a> Value<'a> {
    /// Returns true if the value has content. Servers use any of the empty values for missing
    /// content.
    pub(super) fn is_filled(&self) -> bool {
        match self {
            Self::Null | Self::False => false,
            Self::True | Self::Number(_) | Self::Escaped(_) => true,
            Self::Text(text) => !text.is_empty(),
            Self::Nested(nested) => !nested[1..nested.len() - 1].trim_ascii().is_empty(),
        }
    }

    /// Returns true if the value reports an error. Servers write `0`, `{}` and other empty values
    /// when there was no error.
    pub(super) fn is_error(&self) -> bool {
        let is_zero = matches!(self, Self::Number(_)) && self.count() == 0;
        self.is_filled() && !is_zero
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self, Self::Nested([b'[', ..]))
    }

    /// Returns true if the value is this string.
    pub(super) fn is(&self, word: &str) -> bool {
        match self {
            Self::Text(text) => *text == word.as_bytes(),
            Self::Escaped(text) => decoded(text).is_some_and(|text| text == word),
            _ => false,
        }
    }

    /// Returns true if the value is a string that is not empty.
    pub(super) fn is_filled_text(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Escaped(_)) && self.is_filled()
    }

    /// Returns the string, or `otherwise` for `null`. Other kinds result in an empty string.
    pub(super) fn word(&self, otherwise: &'a [u8]) -> Cow<'a, [u8]> {
        match self {
            Self::Null => Cow::Borrowed(otherwise),
            Self::Text(text) => Cow::Borrowed(text),
            Self::Escaped(text) => Cow::Owned(decoded(text).unwrap_or_default().into_bytes()),
            Self::False | Self::True | Self::Number(_) | Self::Nested(_) => Cow::Borrowed(b""),
        }
    }

    /// Returns any kind of number as a count. A number that does not fit saturates, because it
    /// comes from the server.
    pub(super) fn count(&self) -> u32 {
        let Self::Number(digits) = self else { return 0 };
        let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<f64>().ok());
        // Exact: an `f64` holds every `u32`, and the conversion saturates.
        number.unwrap_or_default() as u32
    }
}

/// Decodes the escapes of a string. `None` if it contains half of a surrogate pair.
fn decoded(text: &[u8]) -> Option<String> {
    serde_json::from_slice(&[b"\"", text, b"\""].concat()).ok()
}

/// The open brackets, one bit each, so that nothing is allocated up to a depth that no real
/// response reaches.
#[derive(Debug, Default)]
struct Nesting {
    /// The innermost brackets, the last one in the lowest bit. A bit is set for an object.
    bits: u64,
    depth: usize,
    /// The outer brackets, 64 to an item.
    outer: Vec<u64>,
}

impl Nesting {
    const BITS: usize = u64::BITS as usize;

    fn push(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(Self::BITS) {
            self.outer.push(self.bits);
        }
        self.bits = self.bits << 1 | u64::from(is_object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.bits >>= 1;
        self.depth -= 1;
        if self.depth > 0 && self.depth.is_multiple_of(Self::BITS) {
            self.bits = self.outer.pop().unwrap_or_default();
        }
    }

    fn last(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.bits & 1 == 1)
    }
}

#[cfg(test)]
mod tests;
