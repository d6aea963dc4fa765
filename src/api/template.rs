//! A learned template: the bytes of one response or event, with holes where others differ. Data
//! that matches it needs no JSON parser.
//!
//! The events of a stream are almost identical. Suppose that the parser has understood one of them.
//! Another event has the same meaning if it has the same bytes everywhere, except in a few values
//! that the parser ignores. Comparing bytes is ten times faster than parsing them:
//!
//! ```text
//! learned   {"id":"c-1","created":17,"choices":[{"index":0,"delta":{"content":"Hi"}}]}
//! holes            ^^^           ^^                ^                         ^^
//! ```
//!
//! The comparison is **exact**, not a heuristic. The parser itself notes a hole where its result
//! does not depend on the content, beyond what the hole's [`Fill`] requires. All other bytes are
//! compared, to the end of the data. So a match means that the parser would return the result that
//! it returned for the learned data. Without a match the parser is called.
//!
//! | A value that the parser … | may be replaced by |
//! |---|---|
//! | skips, or sees only as part of a value that it tests for content | any value of its kind |
//! | only tests for being empty | any non-empty value of its kind |
//! | reads as a count above zero | a count above zero |
//!
//! A hole is *closed* until it is seen to differ. A closed hole is compared like the bytes around
//! it. A model's name and an event's `index` are usually always the same, and one long comparison
//! is cheaper than several short ones.

use super::{Token, lex};
use crate::metrics::TokenUsage;

/// Larger data is not learned from, although it can still be recognised. Events have a few hundred
/// bytes and plain responses a few thousand. A template keeps a copy.
pub(super) const MAX_LEARNED_BYTES: usize = 16 * 1024;
/// Maximum number of holes in a template. Events have a dozen. Data with more holes contains lists
/// of probabilities, whose lengths differ anyway.
pub(super) const MAX_HOLES: usize = 64;

/// A place in the learned data whose content may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hole {
    /// Start in the learned data. A string's quotes are outside.
    pub(super) start: u32,
    /// End in the learned data.
    pub(super) end: u32,
    /// The content that may fill it.
    pub(super) fill: Fill,
    /// The kind of token, if the content was generated.
    pub(super) token: Option<Token>,
}

/// The content that may fill a hole.
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

/// A count in a usage object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Billed {
    /// Prompt tokens.
    Input,
    Output,
    /// Reasoning tokens among the generated ones.
    Reasoning,
    /// Prompt tokens served from a cache.
    Cached,
    /// The total. The parser only needs to know whether it is above zero.
    Total,
}

impl Fill {
    /// Returns where the filling at the front of `bytes` ends. `None` if no filling is certain to
    /// be valid. A count is stored in `usage`.
    ///
    /// The caller compares the bytes after the end. They never continue the filling: after the
    /// inside of a string comes its quote, and after a number comes the learned data's next byte,
    /// which cannot be part of a number.
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

/// A template for data with the same meaning, except for the tokens billed.
#[derive(Debug)]
pub(super) struct Template {
    /// The data that the template was learned from.
    learned: Box<[u8]>,
    usage: Option<TokenUsage>,
    /// All holes, in order.
    holes: Box<[Hole]>,
    /// The holes that were seen to differ or that were generated, in order.
    open: Vec<Hole>,
}

impl Template {
    /// Learns from data that the parser has accepted. The parser noted `holes` in order and read
    /// `usage`. `None` if the data is too large or has too many holes.
    pub(super) fn learn(data: &[u8], holes: &[Hole], usage: Option<TokenUsage>) -> Option<Self> {
        if data.len() > MAX_LEARNED_BYTES || holes.len() > MAX_HOLES {
            return None;
        }
        // Generated content differs from event to event. [`Self::lend`] finds it in the open holes.
        let open = holes.iter().filter(|hole| hole.token.is_some()).copied().collect();
        let template = Self { learned: data.into(), usage, open, holes: holes.into() };
        // The learned data must itself fit with all holes open. It always does, but everything
        // depends on it, so it is checked.
        (template.fit(&template.holes, data, |_, _| {}) == Some(Fit { usage })).then_some(template)
    }

    /// Returns the usage if the data fits with the open holes.
    #[inline]
    pub(super) fn fits(&self, data: &[u8]) -> Option<Fit> {
        self.fit(&self.open, data, |_, _| {})
    }

    /// Lends the generated content of data that fits.
    pub(super) fn lend(&self, data: &[u8], lend: &mut dyn FnMut(Token, &[u8])) {
        self.fit(&self.open, data, |hole, filling| {
            if let Some(token) = hole.token {
                lend(token, filling);
            }
        });
    }

    /// Returns the usage if the data fits with all holes open. Holes whose content differs then
    /// stay open.
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

    /// Compares `data` with the learned data outside `holes` and passes the content of each hole to
    /// `seen`.
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

    /// Falsifies the usage, for tests of the check that detects wrong templates.
    #[cfg(test)]
    pub(super) fn corrupt(&mut self) {
        self.usage = Some(TokenUsage { input: 1, output: 2, reasoning: 3, cached: 0, written: 0 });
    }

    /// Returns the number of bytes and of holes.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.learned.len(), self.holes.len())
    }
}

#[cfg(test)]
mod tests;
