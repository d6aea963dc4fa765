//! A learned template: the bytes of one answer with holes where others differ, so that the others
//! need no JSON parser.
//!
//! The events of a stream are all but identical. Once the parser has understood one of them, an
//! event that has the same bytes everywhere but in a few values that the parser does not look at
//! must mean the same, and comparing bytes is ten times faster than parsing them:
//!
//! ```text
//! learned   {"id":"c-1","created":17,"choices":[{"index":0,"delta":{"content":"Hi"}}]}
//! holes            ^^^           ^^                ^                         ^^
//! ```
//!
//! It is **exact**, not a heuristic. The parser itself notes a hole where its answer does not
//! depend on what stands there, beyond what the hole's [`Fill`] demands of it; all other bytes are
//! compared, to the very end of the data. So a match means that the parser would say of these bytes
//! what it said of those learned from. No match means nothing: the parser is asked.
//!
//! | A value that the parser … | may be replaced by |
//! |---|---|
//! | skips, or that is a part of a larger one of which it only sees that something is in it | any of its kind |
//! | tells apart only from values that are empty | any of its kind that is not empty |
//! | reads as a count above zero | a count above zero |
//!
//! A hole is *closed* until it is seen to differ, and then compared like the bytes around it: a
//! model's name and an event's `index` are as a rule always the same, and a long comparison is
//! cheaper than a few short ones.

use super::{Token, lex};
use crate::metrics::TokenUsage;

/// Data beyond this size is not learned from; what is recognised may be larger. Events are a few
/// hundred bytes, plain answers a few thousand, and a template keeps a copy.
pub(super) const MAX_LEARNED_BYTES: usize = 16 * 1024;
/// Most holes of a template. Events have a dozen; beyond this are lists of probabilities, which
/// differ in length anyway.
pub(super) const MAX_HOLES: usize = 64;

/// A place in the learned data whose content may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hole {
    /// Where it begins in the learned data; a string's quotes stay outside.
    pub(super) start: u32,
    /// Where it ends there.
    pub(super) end: u32,
    /// With what it may be filled.
    pub(super) fill: Fill,
    /// What stands there was generated.
    pub(super) token: Option<Token>,
}

/// What a hole may be filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    /// The inside of a string.
    Text,
    /// The inside of a string that is not empty.
    SomeText,
    Number,
    /// A count of tokens above zero.
    Tokens(Billed),
}

/// Which of the counts of a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Billed {
    /// Tokens of the prompt.
    Input,
    Output,
    /// Tokens of reasoning among those generated.
    Reasoning,
    /// Tokens of the prompt that came from a cache.
    Cached,
    /// The sum, of which we only want to know that there is one.
    Total,
}

impl Fill {
    /// Where the filling at the front of `bytes` ends; `None` when there is none that can be
    /// vouched for. A count goes to `usage`.
    ///
    /// What follows the end is for the caller to compare. It is never a part of a longer filling:
    /// after a string's inside comes its quote, and after a number what the learned data had there,
    /// which is no character of a number.
    #[inline]
    fn end(self, bytes: &[u8], usage: &mut Option<TokenUsage>) -> Option<usize> {
        match self {
            Self::Text => lex::text(bytes),
            Self::SomeText => lex::text(bytes).filter(|&end| end > 0),
            Self::Number => lex::number(bytes),
            Self::Tokens(billed) => {
                let (end, count) = lex::tokens(bytes)?;
                let usage = usage.get_or_insert_default();
                match billed {
                    Billed::Input => usage.input = count,
                    Billed::Output => usage.output = count,
                    Billed::Reasoning => usage.reasoning = count,
                    Billed::Cached => usage.cached = count,
                    Billed::Total => {}
                }
                Some(end)
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fit {
    pub(super) usage: Option<TokenUsage>,
}

/// A template for data that reads the same but for the tokens billed.
#[derive(Debug)]
pub(super) struct Template {
    /// The data learned from.
    learned: Box<[u8]>,
    usage: Option<TokenUsage>,
    /// All its holes, in order.
    holes: Box<[Hole]>,
    /// Those that were seen to differ, in order.
    open: Vec<Hole>,
}

impl Template {
    /// A template of data that the parser has accepted, in which it noted `holes`, in order, and
    /// from which it took `usage`. `None` when the data is too large to be learned from.
    pub(super) fn learn(data: &[u8], holes: &[Hole], usage: Option<TokenUsage>) -> Option<Self> {
        if data.len() > MAX_LEARNED_BYTES || holes.len() > MAX_HOLES {
            return None;
        }
        // What is generated differs from event to event; and who asks for it finds it here.
        let open = holes.iter().filter(|hole| hole.token.is_some()).copied().collect();
        let template = Self { learned: data.into(), usage, open, holes: holes.into() };
        // What is learned from must fit, with all holes open; it always does, but the whole
        // construction stands on it.
        (template.fit(&template.holes, data, |_, _| {}) == Some(Fit { usage })).then_some(template)
    }

    /// Whether the data fits with the holes that are open.
    #[inline]
    pub(super) fn fits(&self, data: &[u8]) -> Option<Fit> {
        self.fit(&self.open, data, |_, _| {})
    }

    /// Lends what is generated in data that fits.
    pub(super) fn lend(&self, data: &[u8], lend: &mut dyn FnMut(Token, &[u8])) {
        self.fit(&self.open, data, |hole, filling| {
            if let Some(token) = hole.token {
                lend(token, filling);
            }
        });
    }

    /// Whether the data fits with all holes open. If so, those in which it differs stay open from
    /// now on.
    pub(super) fn widen(&mut self, data: &[u8]) -> Option<Fit> {
        let mut differing = Vec::new();
        let fit = self.fit(&self.holes, data, |hole, filling| {
            if filling != &self.learned[hole.start as usize..hole.end as usize] {
                differing.push(hole);
            }
        })?;
        self.open.extend(differing.into_iter().filter(|hole| !self.open.contains(hole)).collect::<Vec<_>>());
        self.open.sort_unstable_by_key(|hole| hole.start);
        Some(fit)
    }

    /// Compares `data` with the learned data, but for `holes`, whose fillings are shown to `seen`.
    #[inline]
    fn fit(&self, holes: &[Hole], data: &[u8], mut seen: impl FnMut(Hole, &[u8])) -> Option<Fit> {
        let mut usage = self.usage;
        let mut rest = data;
        let mut from = 0;
        for &hole in holes {
            rest = rest.strip_prefix(&self.learned[from..hole.start as usize])?;
            let end = hole.fill.end(rest, &mut usage)?;
            let (filling, after) = rest.split_at(end);
            seen(hole, filling);
            rest = after;
            from = hole.end as usize;
        }
        (rest == &self.learned[from..]).then_some(Fit { usage })
    }

    /// Makes it lie about what it recognises, for tests of what finds such lies.
    #[cfg(test)]
    pub(super) fn corrupt(&mut self) {
        self.usage = Some(TokenUsage { input: 1, output: 2, reasoning: 3, cached: 0, written: 0 });
    }

    /// What it holds: bytes and holes.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.learned.len(), self.holes.len())
    }
}

#[cfg(test)]
mod tests;
