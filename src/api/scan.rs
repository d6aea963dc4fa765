//! JSON, once from left to right: what somebody asks for is lent as it stands, everything else is
//! checked and skipped.
//!
//! An answer is read for a few of its values. So nothing is copied, nothing is decoded and no tree
//! is built. It accepts what `serde_json` accepts and refuses what that refuses, with two rules of
//! its own:
//!
//! - A key that stands twice in an object has its last value, as in most parsers.
//! - A text that is not UTF-8 is refused wherever it stands: JSON between systems is UTF-8 as a
//!   whole (RFC 8259, section 8.1).
//!
//! On request the scanner takes notes while it reads: where something stands that could be replaced
//! without changing what is read, which is what a [`Template`](super::template::Template) is made
//! of, and where something was generated.
//!
//! Every step returns `None` at the first byte that is not JSON. That ends the scan.

use super::template::{Billed, Fill, Hole, MAX_HOLES};
use super::{Token, lex};
use std::borrow::Cow;
use std::ops::{Range, RangeFrom};

/// A place in JSON.
#[derive(Debug)]
pub(super) struct Scanner<'a, 'n> {
    json: &'a [u8],
    at: usize,
    notes: Option<&'n mut Notes>,
    /// Something was neither what it should be nor `null`.
    pub(super) odd: bool,
}

/// What the scanner notes.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// In the order in which they stand in the data.
    pub(super) holes: Vec<Hole>,
    /// Something was read in a way that no template can follow.
    pub(super) unlearnable: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// `null`, and what is not there.
    #[default]
    Null,
    False,
    True,
    /// The inside of a text without escapes.
    Text(&'a [u8]),
    /// The inside of a text with escapes, as they stand.
    Escaped(&'a [u8]),
    Number(&'a [u8]),
    /// An object or a list, with its brackets.
    Nested(&'a [u8]),
}

/// What is known of a value of which nobody asks more than whether there is anything in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) is_filled: bool,
    pub(super) is_list: bool,
    /// Where it is among the notes.
    note: Option<u32>,
}

/// Scans all of `json`, of which `read` takes the one value. Says whether it is JSON.
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
    /// Reads an object: `field` takes the value of each key. Whether there was an object; another
    /// value is skipped.
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

    /// Reads a list: `item` takes each value. Whether there was a list; another value is skipped.
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

    /// Goes past a value that should be another. One that is not there at all is not odd.
    fn other(&mut self) -> Option<bool> {
        if self.peek()? == b'n' {
            return self.skip().map(|()| false);
        }
        self.odd |= self.filled()?.is_filled;
        Some(false)
    }

    /// Whether a list comes next.
    pub(super) fn is_list(&mut self) -> Option<bool> {
        Some(self.peek()? == b'[')
    }

    /// Whether a text comes next.
    pub(super) fn is_text(&mut self) -> Option<bool> {
        Some(self.peek()? == b'"')
    }

    /// Takes a value. It may be looked at in any way, so that nothing else can stand in its place.
    pub(super) fn value(&mut self) -> Option<Value<'a>> {
        let notes = self.notes.take();
        let value = self.any_value();
        self.notes = notes;
        value
    }

    /// Goes past a value.
    pub(super) fn skip(&mut self) -> Option<()> {
        let start = self.start()?;
        match self.any_value()? {
            Value::Text(text) | Value::Escaped(text) => self.note(start + 1, text.len(), Fill::Text),
            Value::Number(number) => self.note(start, number.len(), Fill::Number),
            Value::Null | Value::False | Value::True | Value::Nested(_) => {}
        }
        Some(())
    }

    /// Goes past a value, and says whether there is anything in it.
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

    /// Reads a count of tokens; what is not a number is none.
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

    /// How many notes there are.
    pub(super) fn noted(&self) -> usize {
        self.notes.as_ref().map_or(0, |notes| notes.holes.len())
    }

    /// Notes that a value was generated.
    pub(super) fn generated(&mut self, value: Seen, token: Token) {
        if let (Some(notes), Some(place)) = (&mut self.notes, value.note) {
            notes.holes[place as usize].token = Some(token);
        }
    }

    /// Takes back that something was generated: the same key stands there once more.
    pub(super) fn not_generated(&mut self, places: Range<usize>) {
        if let Some(notes) = &mut self.notes {
            notes.holes[places].iter_mut().for_each(|hole| hole.token = None);
        }
    }

    /// Takes back that tokens were counted: what was read is not a bill.
    pub(super) fn not_counted(&mut self, places: RangeFrom<usize>) {
        if let Some(notes) = &mut self.notes {
            let rest = notes.holes.split_off(places.start);
            notes.holes.extend(rest.into_iter().filter(|hole| !matches!(hole.fill, Fill::Tokens(_))));
        }
    }

    /// Notes that what is read cannot be told by a template.
    pub(super) fn unlearnable(&mut self) {
        if let Some(notes) = &mut self.notes {
            notes.unlearnable = true;
        }
    }

    fn note(&mut self, start: usize, len: usize, fill: Fill) {
        let Some(notes) = &mut self.notes else { return };
        // A text that may have been generated is noted in any case: somebody may want to hear it.
        if notes.holes.len() < MAX_HOLES || fill == Fill::SomeText {
            notes.holes.push(Hole { start: start as u32, end: (start + len) as u32, fill, token: None });
        } else {
            notes.unlearnable = true;
        }
    }

    /// Where the next value begins.
    fn start(&mut self) -> Option<usize> {
        self.peek()?;
        Some(self.at)
    }

    /// Any value. Notes are taken of what is inside it only.
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

    /// Goes past an object or a list, however deep.
    fn skip_nested(&mut self) -> Option<()> {
        let mut open = Nesting::default();
        loop {
            let first = self.peek()?;
            if let b'{' | b'[' = first {
                self.at += 1;
                let is_object = first == b'{';
                // Both closing brackets come two after the opening ones.
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

    /// Whether the list or object ends here, and not only one of its values.
    fn is_last(&mut self, end: u8) -> Option<bool> {
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b',' => Some(false),
            _ if byte == end => Some(true),
            _ => None,
        }
    }

    /// A key, and past its colon.
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
        // A key that cannot be decoded is the name of no field.
        Some(if key.contains(&b'\\') { Cow::Owned(decoded(key).unwrap_or_default().into_bytes()) } else { key.into() })
    }

    /// The next byte that is not white space.
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
    /// Whether there is anything in it. Servers fill what they have nothing for with all of these.
    pub(super) fn is_filled(&self) -> bool {
        match self {
            Self::Null | Self::False => false,
            Self::True | Self::Number(_) | Self::Escaped(_) => true,
            Self::Text(text) => !text.is_empty(),
            Self::Nested(nested) => !nested[1..nested.len() - 1].trim_ascii().is_empty(),
        }
    }

    /// Whether it says that something went wrong. `0`, `{}` and the like are what servers write
    /// when nothing did.
    pub(super) fn is_error(&self) -> bool {
        let is_zero = matches!(self, Self::Number(_)) && self.count() == 0;
        self.is_filled() && !is_zero
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self, Self::Nested([b'[', ..]))
    }

    /// Whether it is this text.
    pub(super) fn is(&self, word: &str) -> bool {
        match self {
            Self::Text(text) => *text == word.as_bytes(),
            Self::Escaped(text) => decoded(text).is_some_and(|text| text == word),
            _ => false,
        }
    }

    /// Whether it is a text with anything in it.
    pub(super) fn is_filled_text(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Escaped(_)) && self.is_filled()
    }

    /// As a word: without one, `otherwise` is it.
    pub(super) fn word(&self, otherwise: &'a [u8]) -> Cow<'a, [u8]> {
        match self {
            Self::Null => Cow::Borrowed(otherwise),
            Self::Text(text) => Cow::Borrowed(text),
            Self::Escaped(text) => Cow::Owned(decoded(text).unwrap_or_default().into_bytes()),
            Self::False | Self::True | Self::Number(_) | Self::Nested(_) => Cow::Borrowed(b""),
        }
    }

    /// As a count: a number of any kind. One that does not fit saturates; it is the peer's number,
    /// not ours.
    pub(super) fn count(&self) -> u32 {
        let Self::Number(digits) = self else { return 0 };
        let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<f64>().ok());
        // Exact: every u32 is a float, and the conversion saturates.
        number.unwrap_or_default() as u32
    }
}

/// A text without its escapes. One that has half of a surrogate pair has none.
fn decoded(text: &[u8]) -> Option<String> {
    serde_json::from_slice(&[b"\"", text, b"\""].concat()).ok()
}

/// Which brackets are open: a bit for each, so that nothing is allocated up to a depth that no
/// answer has.
#[derive(Debug, Default)]
struct Nesting {
    /// The innermost ones, the last in the lowest bit; set for an object.
    bits: u64,
    depth: usize,
    /// Those further out, by 64.
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
