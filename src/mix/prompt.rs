//! What a kind of request asks: where its prompts come from, and how one is written into a request.

use super::words;
use fastrand::Rng;

/// Words of an opening: 60 bits or so, far more than there are requests in a test. A server's
/// prefix cache compares from the front, so that it finds nothing of what follows.
const OPENING_WORDS: u32 = 5;
/// Stands between an opening and the prompt, as in a JSON string.
const AFTER_OPENING: &[u8] = b".\\n\\n";

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
}

/// A prompt that was drawn and is not written yet.
#[derive(Debug)]
pub(super) struct DrawnPrompt {
    /// Which of the texts.
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
        };
        Self { source, distinct: prompt.distinct }
    }

    /// How many texts there are to draw from.
    pub(super) fn texts(&self) -> usize {
        match &self.source {
            Source::Texts(texts) => texts.len(),
            Source::Words(_) => 0,
        }
    }

    /// The prompt of a request: the text of that number, or what `rng` draws.
    pub(super) fn draw(&self, text: usize, rng: Rng) -> DrawnPrompt {
        let words = match &self.source {
            Source::Texts(_) => 0,
            Source::Words(tokens) => *tokens,
        };
        DrawnPrompt { text, words, rng }
    }

    /// How many bytes it will be, roughly: exactly for a text as it is.
    pub(super) fn estimate(&self, drawn: &DrawnPrompt) -> usize {
        let opening = if self.distinct { words::estimate(OPENING_WORDS) - 1 + AFTER_OPENING.len() } else { 0 };
        opening + self.text(drawn).len() + words::estimate(drawn.words) + "\"\"".len()
    }

    /// Appends the prompt as a JSON string, with its quotes.
    pub(super) fn write(&self, mut drawn: DrawnPrompt, out: &mut Vec<u8>) -> Asked {
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
            Source::Words(_) => "",
        }
    }
}

/// What stands between the quotes of a JSON string.
fn json_content(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
}
