//! What a kind of request asks: where its prompts come from, and how one is written into a request.

use super::escape::json_content;
use super::tokens::Tokens;
use super::weighted::{Weighted, zipf};
use super::{Scenario, prose, words};
use crate::dataset::{Body, Rows, Script};
use crate::metrics::Asked;
use crate::units::mix64;
use fastrand::Rng;
use std::sync::Arc;

/// Words of an opening: 60 bits or so, far more than there are requests in a test. A server's
/// prefix cache compares from the front, so that it finds nothing of what follows.
const OPENING_WORDS: u32 = 5;
/// Stands between an opening and the prompt, as in a JSON string.
const BREAK: &[u8] = b".\\n\\n";
/// Keeps apart what shared prefixes are drawn by.
const PREFIX_DRAWS: u64 = 0x5072_6566_6978_0004;

/// Stands before a prompt that is the only message, and after it.
const BEFORE_MESSAGE: &[u8] = br#"[{"role":"user","content":"#;
const AFTER_MESSAGE: &[u8] = b"}]";
/// What a block's words are drawn by, with its number: no seed, so that every test has the same.
const BLOCK_DRAWS: u64 = 0x426c_6f63_6b73_0001;

/// What a kind of request asks. Plain data.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    pub source: PromptSource,
    /// What stands before it and is the same in many requests.
    pub prefix: Option<Prefix>,
    /// Whether a few seeded words open each prompt, so that no two requests are the same.
    pub distinct: bool,
}

/// Where prompts come from.
#[derive(Debug, Clone, PartialEq)]
pub enum PromptSource {
    /// Drawn from these; not empty for APIs that take a prompt.
    Texts(Vec<String>),
    /// Words of one token each, drawn for each request.
    Words(Tokens),
    /// As many words as one of these pairs says first, and as many tokens of answer as it says
    /// second. Not empty.
    Pairs(Arc<[(u32, u32)]>),
    /// A passage of prose of about so many tokens.
    Prose(Tokens),
    /// Rows of a file, one after the other.
    Rows(Arc<Rows>),
}

/// Words that stand before the prompt, the same for all requests of a group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prefix {
    /// Words of one token each.
    pub tokens: u32,
    /// How many different ones there are; at least 1.
    pub groups: u32,
    /// How much more often the first are drawn than the last; 0 draws all alike.
    pub zipf: f64,
}

impl Prompt {
    /// Prompts from there, and nothing else.
    pub const fn of(source: PromptSource) -> Self {
        Self { source, prefix: None, distinct: false }
    }

    /// Prompts drawn from these texts, as they are.
    pub const fn texts(texts: Vec<String>) -> Self {
        Self::of(PromptSource::Texts(texts))
    }

    /// Whether it says how many tokens the answer shall have.
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
    /// What stands at its end, as in a JSON string.
    marker: String,
}

#[derive(Debug)]
enum Source {
    /// As they stand between the quotes of a JSON string.
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

/// A prompt that was drawn and is not written yet.
#[derive(Debug)]
pub(super) struct DrawnPrompt<'a> {
    /// Which of the texts.
    text: usize,
    /// What the row says, if rows are sent.
    row: Option<Body<'a>>,
    /// Its length without the prefix; not known of texts.
    tokens: u32,
    /// Token limit of the answer, if the prompt says it.
    pub(super) output: Option<u32>,
    /// The seed of its prefix.
    prefix: u64,
    /// Whether prefix and opening stand before it.
    is_first: bool,
    /// What the rest is drawn by.
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

    /// The same with the marker of a scenario at its end.
    pub(super) fn ending_in(self, scenario: Option<&Scenario>) -> Self {
        Self { marker: scenario.map_or_else(String::new, |scenario| json_content(&scenario.marker())), ..self }
    }

    /// What it asks as it stands between the quotes of a JSON string, if that is always the same.
    pub(super) fn as_fixed(&self) -> Option<&str> {
        match &self.source {
            Source::Texts(texts) if !self.distinct && self.prefix.is_none() && self.marker.is_empty() => {
                let [text] = texts.as_slice() else { return None };
                Some(text)
            }
            _ => None,
        }
    }

    /// How many texts there are to draw from.
    pub(super) fn texts(&self) -> usize {
        match &self.source {
            Source::Texts(texts) => texts.len(),
            Source::Words(_) | Source::Pairs(_) | Source::Prose(_) | Source::Rows(_) => 0,
        }
    }

    /// The rows, where it has them of a file.
    pub(super) fn rows(&self) -> Option<&Rows> {
        match &self.source {
            Source::Rows(rows) => Some(rows),
            Source::Texts(_) | Source::Words(_) | Source::Pairs(_) | Source::Prose(_) => None,
        }
    }

    /// What the row of that number says. `held` are its bytes if they are not in memory.
    pub(super) fn row<'a>(&'a self, row: usize, held: &'a [u8]) -> Option<Body<'a>> {
        self.rows().map(|rows| rows.body(row, held))
    }

    /// The conversation that the row is.
    pub(super) fn script<'a>(&'a self, row: usize, held: &'a [u8]) -> Option<Script<'a>> {
        self.row(row, held).and_then(script_of)
    }

    /// The prompt of a request: the text of that number, or what `rng` draws, or what the row says.
    /// Only the first of a conversation has what stands before it.
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

    /// How many bytes it will be, roughly: exactly for a text as it is.
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

    /// Appends the prompt as a JSON string, with its quotes: prefix, opening, and what is its own.
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
            // Words follow words, each one token. Texts begin anew.
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

    /// What the prompt asks for. Of a text it is not known how many tokens it has.
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
    /// The body of the request, where the row is one.
    pub(super) const fn whole(&self) -> Option<&'a [u8]> {
        match self.row {
            Some(Body::Whole(body)) => Some(body),
            _ => None,
        }
    }

    /// The conversation that the row is.
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

/// Appends words in blocks: those of a number are always the same.
fn append_blocks(tokens: u32, blocks: &[u64], size: u32, out: &mut Vec<u8>) {
    let mut left = tokens;
    for (i, block) in blocks.iter().enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        // Every block begins with a word that needs no space before it: so it is the same text
        // wherever it stands.
        let words = left.min(size);
        words::append(&mut Rng::with_seed(mix64(BLOCK_DRAWS, *block, 0)), words, true, out);
        left -= words;
    }
}
