//! Unbilled tokens as counted by a tokenizer: an estimate, and the sample behind it.

use super::Document;
use super::measured::counter;
use crate::metrics;
use crate::units::rounded;
use serde::{Deserialize, Serialize};

/// Generated tokens of the whole run. Streams without `usage` are known by their events only. A
/// sample of the responses gives the number of tokens per event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenEstimate {
    /// The vocabulary's name, or the path of its file.
    pub tokenizer: String,
    /// The sample behind the ratio.
    #[serde(flatten)]
    pub sample: TokenSample,
    /// Tokens of the sample, relative to its events. `None` if nothing could be sampled.
    pub tokens_per_event: Option<f64>,
    /// Generated tokens: the billed ones, and the events of unbilled streams times that ratio.
    pub tokens_output: Option<EstimatedTokens>,
}

/// Responses whose tokens were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TokenSample {
    pub answers: u64,
    /// Their events with generated content.
    pub events: u64,
    /// Their tokens as counted by the tokenizer.
    pub tokens: u64,
    /// Those among them that the server has billed.
    pub billed_answers: u64,
    /// Tokens that the server has billed for those.
    pub billed_tokens: u64,
    /// Tokens that the tokenizer counts in those.
    pub tokens_of_billed: u64,
}

/// A number of tokens that is not exact.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EstimatedTokens {
    pub count: u64,
    /// Tokens a second, of those that arrived in the measurement window.
    pub rate: f64,
}

impl TokenSample {
    /// Adds the sample of another shard.
    pub(crate) fn add(&mut self, other: &Self) {
        for (ours, theirs) in [
            (&mut self.answers, other.answers),
            (&mut self.events, other.events),
            (&mut self.tokens, other.tokens),
            (&mut self.billed_answers, other.billed_answers),
            (&mut self.billed_tokens, other.billed_tokens),
            (&mut self.tokens_of_billed, other.tokens_of_billed),
        ] {
            *ours += theirs;
        }
    }

    fn tokens_per_event(&self) -> Option<f64> {
        (self.events > 0).then(|| self.tokens as f64 / self.events as f64)
    }

    /// Returns the tokens that the server has billed, relative to those that the tokenizer counts.
    /// `None` if nothing was billed.
    pub fn billed_per_token(&self) -> Option<f64> {
        (self.billed_answers > 0 && self.tokens_of_billed > 0)
            .then(|| self.billed_tokens as f64 / self.tokens_of_billed as f64)
    }
}

impl TokenEstimate {
    /// Creates an estimate without numbers. [`estimate`] adds them.
    pub(crate) fn new(tokenizer: &str, sample: TokenSample) -> Self {
        Self { tokenizer: tokenizer.to_owned(), sample, tokens_per_event: None, tokens_output: None }
    }
}

/// Applies the ratio to the document's own counts.
pub(super) fn estimate(document: &mut Document) {
    let counted = |of| counter(&document.metrics, of).map(|numbers| (numbers.count, numbers.rate));
    let output = counted(metrics::Counter::TokensOutput);
    let unbilled = counted(metrics::Counter::TokenEventsUnbilled).unwrap_or_default();
    let Some(estimate) = &mut document.token_estimate else { return };
    let ratio = estimate.sample.tokens_per_event();
    estimate.tokens_output = ratio.zip(output).map(|(ratio, (count, rate))| {
        let more = ratio - 1.0;
        let count = (count as f64 + unbilled.0 as f64 * more).round().max(0.0) as u64;
        EstimatedTokens { count, rate: rounded((rate + unbilled.1 * more).max(0.0)) }
    });
    estimate.tokens_per_event = ratio.map(rounded);
}

/// Adds the counts of another shard. Nothing remains if the two used different tokenizers.
pub(super) fn add(ours: &mut Option<TokenEstimate>, theirs: Option<TokenEstimate>) {
    match (ours.as_mut(), theirs) {
        (Some(one), Some(other)) if one.tokenizer == other.tokenizer => one.sample.add(&other.sample),
        _ => *ours = None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tokenizer: &str, events: u64, tokens: u64) -> TokenEstimate {
        TokenEstimate::new(tokenizer, TokenSample { answers: 1, events, tokens, ..TokenSample::default() })
    }

    #[test]
    fn samples_of_shards_add_up_if_one_tokenizer_has_counted_them() {
        let mut sum = Some(of("a", 10, 12));
        add(&mut sum, Some(of("a", 30, 28)));
        let sample = sum.as_ref().expect("a sum").sample;
        assert_eq!((sample.answers, sample.events, sample.tokens), (2, 40, 40));
        assert_eq!((sample.tokens_per_event(), sample.billed_per_token()), (Some(1.0), None));
        for other in [Some(of("b", 1, 1)), None] {
            let mut sum = Some(of("a", 10, 12));
            add(&mut sum, other);
            assert_eq!(sum, None);
        }
    }
}
