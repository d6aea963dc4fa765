//! The prompts of a kind of request: their source, and how a prompt is written into a request.

use super::escape::json_content;
use super::tokens::Tokens;
use super::weighted::{Weighted, zipf};
use super::{Scenario, prose, words};
use crate::dataset::{Body, Rows, Script};
use crate::metrics::Asked;
use crate::units::mix64;
use fastrand::Rng;
use std::sync::Arc;

/// Words of an opening: about 60 bits, far more than a test has requests. A server's prefix cache
/// compares from the front, so it cannot reuse anything after an opening.
const OPENING_WORDS: u32 = 5;
/// Separates an opening from the prompt, as in a JSON string.
const BREAK: &[u8] = b".\\n\\n";
/// Keeps the draws of shared prefixes apart from others.
const PREFIX_DRAWS: u64 = 0x5072_6566_6978_0004;

/// Texts before and after a prompt that is the only message.
const BEFORE_MESSAGE: &[u8] = br#"[{"role":"user","content":"#;
const AFTER_MESSAGE: &[u8] = b"}]";
/// Draws a block's words, together with its number. The seed is not used, so that every test has
/// the same blocks.
const BLOCK_DRAWS: u64 = 0x426c_6f63_6b73_0001;

/// The prompts of a kind of request. Plain data.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    pub source: PromptSource,
    /// Words before the prompt that are the same in many requests.
    pub prefix: Option<Prefix>,
    /// True if a few random words open each prompt, so that all requests differ.
    pub distinct: bool,
}

/// The source of prompts.
#[derive(Debug, Clone, PartialEq)]
pub enum PromptSource {
    /// One of these, at random. Not empty for APIs that take a prompt.
    Texts(Vec<String>),
    /// Words of one token each, drawn for each request.
    Words(Tokens),
    /// One of these pairs, at random: the number of words of the prompt, and the number of tokens
    /// of the response. Not empty.
    Pairs(Arc<[(u32, u32)]>),
    /// A passage of prose of about this many tokens.
    Prose(Tokens),
    /// Rows of a file, one after the other.
    Rows(Arc<Rows>),
}

/// Words that stand before the prompt, the same for all requests of a group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prefix {
    /// Words of one token each.
    pub tokens: u32,
    /// How many different prefixes exist; at least 1.
    pub groups: u32,
    /// Exponent of the draw: the larger it is, the more often the first prefixes are drawn. With 0
    /// all are equally likely.
    pub zipf: f64,
}

impl Prompt {
    /// Creates prompts from a source, without prefix and opening.
    pub const fn of(source: PromptSource) -> Self {
        Self { source, prefix: None, distinct: false }
    }

    /// Creates prompts that are drawn from these texts, unchanged.
    pub const fn texts(texts: Vec<String>) -> Self {
        Self::of(PromptSource::Texts(texts))
    }

    /// Returns true if the prompt decides how many tokens the response has.
    pub(super) const fn limits_output(&self) -> bool {
        matches!(self.source, PromptSource::Pairs(_))
    }
}

/// Prompts, ready to be written.
#[derive(Debug)]
pub(super) struct PreparedPrompt {
    source: Source,
    prefix: Option<PreparedPrefix>,
    distinct: bool,
    /// The text at its end, as in a JSON string.
    marker: String,
}

#[derive(Debug)]
enum Source {
    /// As the texts stand between the quotes of a JSON string.
    Texts(Vec<String>),
    Words(Tokens),
    Pairs(Arc<[(u32, u32)]>),
    Prose(Tokens),
    Rows(Arc<Rows>),
}

#[derive(Debug)]
struct PreparedPrefix {
    tokens: u32,
    groups: Weighted,
    seed: u64,
}

/// A prompt that was drawn but is not written yet.
#[derive(Debug)]
pub(super) struct DrawnPrompt<'a> {
    /// Index of the text.
    text: usize,
    /// The content of the row, if rows are sent.
    row: Option<Body<'a>>,
    /// Its length without the prefix. Zero for texts, where it is not known.
    tokens: u32,
    /// Token limit of the response, if the prompt sets it.
    pub(super) output: Option<u32>,
    /// The seed of its prefix.
    prefix: u64,
    /// True if prefix and opening stand before it.
    is_first: bool,
    /// The generator of the other draws.
    rng: Rng,
}

impl PreparedPrompt {
    pub(super) fn new(prompt: &Prompt, seed: u64) -> Self {
        let source = match &prompt.source {
            PromptSource::Texts(texts) => Source::Texts(texts.iter().map(|text| json_content(text)).collect()),
            PromptSource::Words(tokens) => Source::Words(*tokens),
            PromptSource::Pairs(pairs) => Source::Pairs(Arc::clone(pairs)),
            PromptSource::Prose(tokens) => Source::Prose(*tokens),
            PromptSource::Rows(rows) => Source::Rows(Arc::clone(rows)),
        };
        let prefix = prompt.prefix.map(|prefix| PreparedPrefix {
            tokens: prefix.tokens,
            groups: Weighted::new(zipf(prefix.groups, prefix.zipf)),
            seed: seed ^ PREFIX_DRAWS,
        });
        Self { source, prefix, distinct: prompt.distinct, marker: String::new() }
    }

    /// Adds the marker of a scenario at the end of each prompt.
    pub(super) fn ending_in(self, scenario: Option<&Scenario>) -> Self {
        Self { marker: scenario.map_or_else(String::new, |scenario| json_content(&scenario.marker())), ..self }
    }

    /// Returns the prompt as it stands between the quotes of a JSON string, if it is always the
    /// same.
    pub(super) fn as_fixed(&self) -> Option<&str> {
        match &self.source {
            Source::Texts(texts) if !self.distinct && self.prefix.is_none() && self.marker.is_empty() => {
                let [text] = texts.as_slice() else { return None };
                Some(text)
            }
            _ => None,
        }
    }

    /// Returns the number of texts to draw from.
    pub(super) fn texts(&self) -> usize {
        match &self.source {
            Source::Texts(texts) => texts.len(),
            Source::Words(_) | Source::Pairs(_) | Source::Prose(_) | Source::Rows(_) => 0,
        }
    }

    /// Returns the rows, if prompts come from a file.
    pub(super) fn rows(&self) -> Option<&Rows> {
        match &self.source {
            Source::Rows(rows) => Some(rows),
            Source::Texts(_) | Source::Words(_) | Source::Pairs(_) | Source::Prose(_) => None,
        }
    }

    /// Returns the content of a row. `held` are its bytes if they are not in memory.
    pub(super) fn row<'a>(&'a self, row: usize, held: &'a [u8]) -> Option<Body<'a>> {
        self.rows().map(|rows| rows.body(row, held))
    }

    /// Returns the row as a conversation, if it is one.
    pub(super) fn script<'a>(&'a self, row: usize, held: &'a [u8]) -> Option<Script<'a>> {
        self.row(row, held).and_then(script_of)
    }

    /// Draws the prompt of a request: text number `text`, random tokens, or the content of the row.
    /// In a conversation, only the first prompt has a prefix and an opening.
    pub(super) fn draw<'a>(&self, text: usize, row: Option<Body<'a>>, mut rng: Rng, is_first: bool) -> DrawnPrompt<'a> {
        // llmsim tells conversations apart by the text of their messages.
        let is_first = is_first || !self.marker.is_empty();
        let prefix = self.prefix.as_ref().filter(|_| is_first).map_or(0, |prefix| {
            let group = prefix.groups.draw(&mut rng);
            mix64(prefix.seed, prefix.tokens.into(), group as u64)
        });
        let (tokens, output) = match &self.source {
            Source::Texts(_) => (0, None),
            Source::Words(tokens) | Source::Prose(tokens) => (tokens.draw(&mut rng), None),
            Source::Pairs(pairs) => {
                let pair = pairs.get(rng.usize(0..pairs.len().max(1)));
                pair.map_or((0, None), |&(input, output)| (input, Some(output)))
            }
            Source::Rows(_) => match row {
                Some(Body::Words { tokens, .. }) => (tokens, None),
                Some(Body::Part(_) | Body::Whole(_) | Body::Talk(_)) | None => (0, None),
            },
        };
        DrawnPrompt { text, row, tokens, output, prefix, is_first, rng }
    }

    /// Estimates the length in bytes. The estimate is exact for a text without additions.
    pub(super) fn estimate(&self, drawn: &DrawnPrompt<'_>) -> usize {
        let opening =
            if self.distinct && drawn.is_first { words::estimate(OPENING_WORDS) - 1 + BREAK.len() } else { 0 };
        let prefix = self.prefix(drawn).map_or(0, |prefix| words::estimate(prefix.tokens));
        let own = match &self.source {
            Source::Texts(texts) => texts.get(drawn.text).map_or(0, String::len),
            Source::Words(_) | Source::Pairs(_) => words::estimate(drawn.tokens),
            Source::Prose(_) => prose::estimate(drawn.tokens),
            Source::Rows(_) => match drawn.row {
                Some(Body::Part(part) | Body::Whole(part)) => return part.len(),
                Some(Body::Words { tokens, .. }) => words::estimate(tokens),
                Some(Body::Talk(_)) | None => 0,
            },
        };
        prefix + opening + own + self.marker.len() + "\"\"".len()
    }

    /// Appends the prompt as a JSON string, with its quotes: prefix, opening, and the prompt
    /// itself.
    pub(super) fn write(&self, mut drawn: DrawnPrompt<'_>, out: &mut Vec<u8>) -> Asked {
        if let Some(Body::Part(part) | Body::Whole(part)) = drawn.row {
            out.extend_from_slice(part);
            return Asked::default();
        }
        let in_words = matches!(self.source, Source::Words(_) | Source::Pairs(_) | Source::Rows(_));
        let mut begins = true;
        out.push(b'"');
        let distinct = self.distinct && drawn.is_first;
        if let Some(prefix) = self.prefix(&drawn) {
            words::append(&mut Rng::with_seed(drawn.prefix), prefix.tokens, true, out);
            // Words continue the prefix, one token each. Texts start anew.
            begins = !in_words || distinct;
            if begins {
                out.extend_from_slice(BREAK);
            }
        }
        let rng = &mut drawn.rng;
        if distinct {
            words::append(rng, OPENING_WORDS, true, out);
            out.extend_from_slice(BREAK);
            begins = true;
        }
        match &self.source {
            Source::Texts(texts) => out.extend_from_slice(texts.get(drawn.text).map_or("", String::as_str).as_bytes()),
            Source::Words(_) | Source::Pairs(_) => words::append(rng, drawn.tokens, begins, out),
            Source::Prose(_) => prose::append(rng, drawn.tokens, begins, out),
            Source::Rows(rows) => match drawn.row {
                Some(Body::Words { tokens, blocks: blocks @ [_, ..] }) => {
                    append_blocks(tokens, blocks, rows.block_tokens, out);
                }
                Some(Body::Words { .. } | Body::Part(_) | Body::Whole(_) | Body::Talk(_)) | None => {
                    words::append(rng, drawn.tokens, begins, out);
                }
            },
        }
        out.extend_from_slice(self.marker.as_bytes());
        out.push(b'"');
        self.asked(&drawn)
    }

    fn prefix(&self, drawn: &DrawnPrompt<'_>) -> Option<&PreparedPrefix> {
        self.prefix.as_ref().filter(|_| drawn.is_first)
    }

    /// Returns the tokens that the prompt asks for. The number of tokens of a text is not known.
    fn asked(&self, drawn: &DrawnPrompt<'_>) -> Asked {
        let prefix = self.prefix(drawn).map_or(0, |prefix| prefix.tokens);
        let input = if drawn.tokens > 0 { prefix + drawn.tokens } else { 0 };
        Asked { input, prefix, ..Asked::default() }
    }

    /// Appends all messages of a row as a JSON list.
    pub(super) fn write_messages(&self, drawn: DrawnPrompt<'_>, out: &mut Vec<u8>) -> Asked {
        if drawn.row.is_some_and(|row| !matches!(row, Body::Words { .. })) {
            return self.write(drawn, out);
        }
        out.extend_from_slice(BEFORE_MESSAGE);
        let asked = self.write(drawn, out);
        out.extend_from_slice(AFTER_MESSAGE);
        asked
    }
}

impl<'a> DrawnPrompt<'a> {
    /// Returns the body of the request, if the row is a whole body.
    pub(super) const fn whole(&self) -> Option<&'a [u8]> {
        match self.row {
            Some(Body::Whole(body)) => Some(body),
            _ => None,
        }
    }

    /// Returns the row as a conversation, if it is one.
    pub(super) fn script(&self) -> Option<Script<'a>> {
        self.row.and_then(script_of)
    }
}

const fn script_of(row: Body<'_>) -> Option<Script<'_>> {
    match row {
        Body::Talk(script) => Some(script),
        Body::Part(_) | Body::Whole(_) | Body::Words { .. } => None,
    }
}

/// Appends words in blocks. Blocks with the same number have the same words.
fn append_blocks(tokens: u32, blocks: &[u64], size: u32, out: &mut Vec<u8>) {
    let mut left = tokens;
    for (i, block) in blocks.iter().enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        // Every block begins with a word that needs no space before it. So the block is the same
        // text at every position.
        let words = left.min(size);
        words::append(&mut Rng::with_seed(mix64(BLOCK_DRAWS, *block, 0)), words, true, out);
        left -= words;
    }
}
