//! Where data that a parser has accepted can have holes.
//!
//! The parser's structs are described by a [`Reading`], which stands beside them. The walk follows both, and finds for each string
//! and number what the parser makes of it. Three kinds of them can be replaced:
//!
//! | A value that the parser … | may be replaced by |
//! |---|---|
//! | skips, or keeps as a part of a larger value of which it only sees that something is in it | any of its kind |
//! | tells apart only from values that are empty | any of its kind that is not empty |
//! | reads as a count above zero | a count above zero |
//!
//! Everything else stays to the letter: keys, punctuation, white space, `true`, `false`, `null`, and above all what does not have the
//! shape that the reading expects. So structure, depth and the order and number of keys are those that the parser has accepted.

use super::Hole;
use super::fill::{Billed, Fill, number as number_end, text as text_end, tokens};

/// What a parser makes of a value.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) enum Reading {
    /// Nothing: it is skipped, whatever it is.
    Skipped,
    /// Kept as it stands, and asked only whether it is one of `""`, `null`, `[]`, `{}`, `false`.
    Filled,
    /// Read in a way that no hole can follow.
    Exact,
    /// Read as a count of tokens.
    Tokens(Billed),
    /// Read as a struct with these fields. A field that is not among them is skipped.
    Fields(&'static [(&'static str, Reading)]),
    /// Read item by item, all in the same way.
    Each(&'static Reading),
    /// Read as a bill, if there was one to be read: in all other cases the parser saw something that is none.
    Bill(&'static Reading),
}

/// Most holes of a template. Events have a dozen; beyond this are lists of probabilities, which differ in length anyway.
pub(super) const MAX_HOLES: usize = 64;
/// Deepest nesting that is learned from: the walk calls itself. Answers nest to five or six.
const MAX_DEPTH: u32 = 24;

/// The holes of JSON that the parser has accepted, in order; `None` when it is not to be learned from.
pub(super) fn holes(json: &[u8], reading: &Reading, has_bill: bool) -> Option<Vec<Hole>> {
    let mut walk = Walk { json, at: 0, holes: Vec::new(), has_bill };
    walk.value(reading, MAX_DEPTH)?;
    walk.space();
    (walk.at == json.len()).then_some(walk.holes)
}

/// Goes through JSON from left to right. `None` from any step gives up.
#[derive(Debug)]
struct Walk<'a> {
    json: &'a [u8],
    at: usize,
    holes: Vec<Hole>,
    has_bill: bool,
}

impl<'a> Walk<'a> {
    fn value(&mut self, reading: &Reading, depth: u32) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.space();
        match (self.json.get(self.at)?, *reading) {
            (_, Reading::Bill(bill)) => {
                let bill = if self.has_bill { bill } else { &Reading::Exact };
                self.value(bill, depth)
            }
            (b'{', reading) => self.object(&reading, depth),
            (b'[', reading) => self.array(&reading, depth),
            (b'"', reading) => self.string(&reading),
            (b'-' | b'0'..=b'9', reading) => self.number(&reading),
            _ => ["true", "false", "null"].iter().find_map(|word| self.word(word)),
        }
    }

    fn object(&mut self, reading: &Reading, depth: u32) -> Option<()> {
        self.at += 1;
        self.space();
        if self.take(b'}').is_some() {
            return Some(());
        }
        loop {
            self.space();
            let key = self.key()?;
            self.space();
            self.take(b':')?;
            let field = match reading {
                Reading::Fields(fields) => {
                    fields.iter().find(|(name, _)| name.as_bytes() == key).map_or(Reading::Skipped, |(_, field)| *field)
                }
                other => inside(other),
            };
            self.value(&field, depth)?;
            self.space();
            if self.take(b',').is_none() {
                return self.take(b'}');
            }
        }
    }

    fn array(&mut self, reading: &Reading, depth: u32) -> Option<()> {
        self.at += 1;
        self.space();
        if self.take(b']').is_some() {
            return Some(());
        }
        let item = match reading {
            Reading::Each(item) => **item,
            other => inside(other),
        };
        loop {
            self.value(&item, depth)?;
            self.space();
            if self.take(b',').is_none() {
                return self.take(b']');
            }
        }
    }

    /// A key. One that is written with escapes or beyond ASCII gives up: which field it names is the parser's business.
    fn key(&mut self) -> Option<&'a [u8]> {
        self.take(b'"')?;
        let key = &self.json[self.at..];
        let key = &key[..text_end(key)?];
        if !key.is_ascii() || key.contains(&b'\\') {
            return None;
        }
        self.at += key.len() + 1;
        Some(key)
    }

    fn string(&mut self, reading: &Reading) -> Option<()> {
        self.at += 1;
        let end = self.at + text_end(&self.json[self.at..])?;
        match reading {
            Reading::Skipped => self.hole(end, Fill::Text)?,
            Reading::Filled if end > self.at => self.hole(end, Fill::SomeText)?,
            _ => {}
        }
        self.at = end + 1;
        Some(())
    }

    fn number(&mut self, reading: &Reading) -> Option<()> {
        let number = &self.json[self.at..];
        let end = self.at + number_end(number)?;
        match reading {
            Reading::Skipped | Reading::Filled => self.hole(end, Fill::Number)?,
            Reading::Tokens(billed) if tokens(number).is_some_and(|(len, _)| self.at + len == end) => {
                self.hole(end, Fill::Tokens(*billed))?;
            }
            _ => {}
        }
        self.at = end;
        Some(())
    }

    fn hole(&mut self, end: usize, fill: Fill) -> Option<()> {
        if self.holes.len() == MAX_HOLES {
            return None;
        }
        self.holes.push(Hole { start: self.at as u32, end: end as u32, fill });
        Some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.json[self.at..].starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.json.get(self.at) == Some(&byte)).then(|| self.at += 1)
    }

    fn space(&mut self) {
        let space = |byte: &&u8| matches!(**byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at += self.json[self.at..].iter().take_while(space).count();
    }
}

/// How the values inside a list or object are read that is read otherwise than as a list or struct of its own.
///
/// Of a value that is kept as it stands and is not empty, the parser sees that it is not empty, and nothing of what is in it. A
/// struct can also be read from a list, a list never from an object; neither occurs in practice, so neither is followed.
const fn inside(reading: &Reading) -> Reading {
    match reading {
        Reading::Skipped | Reading::Filled => Reading::Skipped,
        _ => Reading::Exact,
    }
}
