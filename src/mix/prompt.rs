//! What a kind of request asks: where its prompts come from, and how one is written into a request.

use super::words;
use crate::dataset::{Body, Rows};
use crate::units::mix64;
use fastrand::Rng;
use std::sync::Arc;

/// Words of an opening: 60 bits or so, far more than there are requests in a test. A server's
/// prefix cache compares from the front, so that it finds nothing of what follows.
const OPENING_WORDS: u32 = 5;
/// Stands between an opening and the prompt, as in a JSON string.
const AFTER_OPENING: &[u8] = b".\\n\\n";
/// Stands before a prompt that is the only message, and after it.
const BEFORE_MESSAGE: &[u8] = br#"[{"role":"user","content":"#;
const AFTER_MESSAGE: &[u8] = b"}]";
/// What a block's words are drawn by, with its number: no seed, so that every test has the same.
const BLOCK_DRAWS: u64 = 0x426c_6f63_6b73_0001;

/// What a kind of request asks. Plain data.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    pub source: PromptSource,
    /// Whether a few seeded words open each prompt, so that no two requests are the same.
    pub distinct: bool,
}

/// Where prompts come from.
#[derive(Debug, Clone, PartialEq)]
pub enum PromptSource {
    /// Drawn from these; not empty for APIs that take a prompt.
    Texts(Vec<String>),
    /// So many words of one token each, drawn for each request.
    Words(u32),
    /// Rows of a file, one after the other.
    Rows(Arc<Rows>),
}

impl Prompt {
    /// Prompts drawn from these texts, as they are.
    pub const fn texts(texts: Vec<String>) -> Self {
        Self { source: PromptSource::Texts(texts), distinct: false }
    }
}

/// What a request asks for, in tokens. Zero where it says nothing about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// Tokens of the prompt, without what the server's template adds. Not known of texts.
    pub input: u32,
}

/// Prompts, ready to be written.
#[derive(Debug)]
pub(super) struct PreparedPrompt {
    source: Source,
    distinct: bool,
}

#[derive(Debug)]
enum Source {
    /// As they stand between the quotes of a JSON string.
    Texts(Vec<String>),
    Words(u32),
    Rows(Arc<Rows>),
}

/// A prompt that was drawn and is not written yet.
#[derive(Debug)]
pub(super) struct DrawnPrompt {
    /// Which of the texts or rows.
    text: usize,
    /// Words, where it is made of them.
    words: u32,
    /// What the rest is drawn by.
    rng: Rng,
}

impl PreparedPrompt {
    pub(super) fn new(prompt: &Prompt) -> Self {
        let source = match &prompt.source {
            PromptSource::Texts(texts) => Source::Texts(texts.iter().map(|text| json_content(text)).collect()),
            PromptSource::Words(tokens) => Source::Words(*tokens),
            PromptSource::Rows(rows) => Source::Rows(Arc::clone(rows)),
        };
        Self { source, distinct: prompt.distinct }
    }

    /// How many texts there are to draw from.
    pub(super) fn texts(&self) -> usize {
        match &self.source {
            Source::Texts(texts) => texts.len(),
            Source::Words(_) | Source::Rows(_) => 0,
        }
    }

    /// The rows, where it has them of a file.
    pub(super) fn rows(&self) -> Option<&Rows> {
        match &self.source {
            Source::Rows(rows) => Some(rows),
            Source::Texts(_) | Source::Words(_) => None,
        }
    }

    /// The body of a request, where the row is one.
    pub(super) fn whole(&self, drawn: &DrawnPrompt) -> Option<&[u8]> {
        match self.rows()?.body(drawn.text) {
            Body::Whole(body) => Some(body),
            Body::Part(_) | Body::Words { .. } => None,
        }
    }

    /// The prompt of a request: the text of that number, or what `rng` draws.
    pub(super) fn draw(&self, text: usize, rng: Rng) -> DrawnPrompt {
        let words = match &self.source {
            Source::Texts(_) => 0,
            Source::Words(tokens) => *tokens,
            Source::Rows(rows) => match rows.body(text) {
                Body::Words { tokens, .. } => tokens,
                Body::Part(_) | Body::Whole(_) => 0,
            },
        };
        DrawnPrompt { text, words, rng }
    }

    /// How many bytes it will be, roughly: exactly for a text as it is.
    pub(super) fn estimate(&self, drawn: &DrawnPrompt) -> usize {
        if let Some(Body::Part(part)) = self.rows().map(|rows| rows.body(drawn.text)) {
            return part.len();
        }
        let opening = if self.distinct { words::estimate(OPENING_WORDS) - 1 + AFTER_OPENING.len() } else { 0 };
        opening + self.text(drawn).len() + words::estimate(drawn.words) + "\"\"".len()
    }

    /// Appends the prompt as a JSON string, with its quotes.
    pub(super) fn write(&self, mut drawn: DrawnPrompt, out: &mut Vec<u8>) -> Asked {
        match self.rows().map(|rows| (rows.body(drawn.text), rows.block_tokens)) {
            Some((Body::Words { tokens, blocks: blocks @ [_, ..] }, size)) => {
                out.push(b'"');
                append_blocks(tokens, blocks, size, out);
                out.push(b'"');
                return Asked { input: tokens };
            }
            Some((Body::Part(part) | Body::Whole(part), _)) => {
                out.extend_from_slice(part);
                return Asked::default();
            }
            Some((Body::Words { blocks: [], .. }, _)) | None => {}
        }
        out.push(b'"');
        if self.distinct {
            words::append(&mut drawn.rng, OPENING_WORDS, true, out);
            out.extend_from_slice(AFTER_OPENING);
        }
        out.extend_from_slice(self.text(&drawn).as_bytes());
        words::append(&mut drawn.rng, drawn.words, true, out);
        out.push(b'"');
        Asked { input: drawn.words }
    }

    fn text(&self, drawn: &DrawnPrompt) -> &str {
        match &self.source {
            Source::Texts(texts) => texts.get(drawn.text).map_or("", String::as_str),
            Source::Words(_) | Source::Rows(_) => "",
        }
    }

    /// Appends all messages of a row as a JSON list.
    pub(super) fn write_messages(&self, drawn: DrawnPrompt, out: &mut Vec<u8>) -> Asked {
        let is_list = self.rows().is_some_and(|rows| !matches!(rows.body(drawn.text), Body::Words { .. }));
        if is_list {
            return self.write(drawn, out);
        }
        out.extend_from_slice(BEFORE_MESSAGE);
        let asked = self.write(drawn, out);
        out.extend_from_slice(AFTER_MESSAGE);
        asked
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

/// What stands between the quotes of a JSON string.
fn json_content(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
}
