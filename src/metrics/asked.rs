//! Compares what requests asked for with what the server billed.
//!
//! Numbers of tokens are stored like times, one token as one microsecond. So the same exact sums
//! and histograms serve both.

use super::Counter;

/// The tokens that a request asks for. Zero if it does not specify a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// Tokens of the prompt, without those of the server's template. Unknown for texts.
    pub input: u32,
    /// Prompt tokens that belong to a shared prefix.
    pub prefix: u32,
    /// Token limit of the response.
    pub output: u32,
}

/// Tokens that the server's chat template adds to a prompt, if they were learned. The type has only
/// two bytes because a connection must fit into eight cache lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TemplateTokens(u16);

impl TemplateTokens {
    pub const UNKNOWN: Self = Self(u16::MAX);

    /// Stores a number of tokens. Numbers too large for a template become unknown.
    pub fn known(tokens: u32) -> Self {
        u16::try_from(tokens).map_or(Self::UNKNOWN, Self)
    }

    pub(super) const fn get(self) -> Option<u16> {
        if self.0 == Self::UNKNOWN.0 { None } else { Some(self.0) }
    }
}

impl Default for TemplateTokens {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

/// Why a response ended, according to its `finish_reason`, `stop_reason` or `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model was finished: `stop`, `end_turn`, `completed`.
    Stop,
    /// A limit was reached: `length`, `max_tokens`.
    Length,
    /// The model calls a tool: `tool_calls`, `tool_use`.
    Tools,
    /// Anything else, such as `content_filter`.
    Other,
}

impl Finish {
    /// Returns the name used in request logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Tools => "tool_calls",
            Self::Other => "other",
        }
    }

    /// Returns the meaning of a word in any API.
    pub fn of(word: &[u8]) -> Self {
        match word {
            b"stop" | b"end_turn" | b"stop_sequence" | b"completed" => Self::Stop,
            b"length" | b"max_tokens" | b"max_output_tokens" => Self::Length,
            b"tool_calls" | b"function_call" | b"tool_use" => Self::Tools,
            _ => Self::Other,
        }
    }
}

/// How often a request's and the server's numbers could be compared, and how often they differed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Compared {
    pub(super) input: u64,
    pub(super) input_off: u64,
    pub(super) output: u64,
    pub(super) output_off: u64,
}

impl Compared {
    /// The counters of differences. They are reversed if the request fails afterwards.
    pub(super) const COUNTERS: [Counter; 6] = [
        Counter::InputShort,
        Counter::OutputStopped,
        Counter::OutputCalledTools,
        Counter::OutputCut,
        Counter::OutputShort,
        Counter::OutputLong,
    ];

    pub(super) const fn add(&mut self, other: Self) {
        self.input += other.input;
        self.input_off += other.input_off;
        self.output += other.output;
        self.output_off += other.output_off;
    }

    pub(super) const fn take(&mut self, other: Self) {
        self.input = self.input.saturating_sub(other.input);
        self.input_off = self.input_off.saturating_sub(other.input_off);
        self.output = self.output.saturating_sub(other.output);
        self.output_off = self.output_off.saturating_sub(other.output_off);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tally::tests::{stream, success};
    use crate::metrics::{Failure, Rate, Sample, Summary, Tally, TokenUsage, Trend};
    use crate::units::Nanos;

    /// A success that asked for 140 tokens, of which 40 are a prefix, and for a response of 20.
    fn asked(template: Option<u32>, input: u32, output: u32, finish: Option<Finish>) -> Sample {
        Sample {
            asked: Asked { input: 140, prefix: 40, output: 20 },
            template: template.map_or(TemplateTokens::UNKNOWN, TemplateTokens::known),
            usage: Some(TokenUsage { input, output, cached: 32, ..TokenUsage::default() }),
            finish,
            ..success(0, 10)
        }
    }

    fn summary(samples: &[Sample]) -> Summary {
        let mut tally = Tally::new(1);
        for sample in samples {
            tally.record(sample);
        }
        Summary::new(&tally, &["chat".to_owned()], Nanos::from_secs(1))
    }

    fn off(summary: &Summary, rate: Rate) -> Option<(u64, u64)> {
        summary.rate(rate, Some("chat")).map(|rate| (rate.matches, rate.total))
    }

    #[test]
    fn what_is_billed_is_held_against_what_was_asked() {
        let s = summary(&[
            asked(Some(7), 147, 20, Some(Finish::Length)),
            asked(Some(7), 146, 20, Some(Finish::Length)),
            asked(Some(7), 148, 3, Some(Finish::Stop)),
            asked(Some(7), 147, 21, Some(Finish::Stop)),
            asked(Some(7), 147, 5, Some(Finish::Tools)),
            asked(Some(7), 147, 19, Some(Finish::Length)),
            asked(Some(7), 147, 19, None),
            asked(None, 9_999, 20, None),
        ]);
        assert_eq!(off(&s, Rate::InputOff), Some((2, 7)), "without the template nothing is off");
        assert_eq!(off(&s, Rate::OutputOff), Some((5, 8)));
        let counts = Compared::COUNTERS.map(|c| s.counter(c, None).map(|value| value.count));
        assert_eq!(counts, [Some(1); 6]);
        assert_eq!(off(&s, Rate::AskedPrefixShare), Some((8 * 40, 8 * 140)));
        let tokens = |trend: Trend| s.trend(trend, None).map(|d| trend.unit().of_ms(d.percentile_ms(50.0)));
        assert_eq!([Trend::AskedInputTokens, Trend::BilledInputTokens].map(tokens), [Some(140.0), Some(147.0)]);
        assert_eq!([Trend::AskedPrefixTokens, Trend::CachedInputTokens].map(tokens), [Some(40.0), Some(32.0)]);
        assert_eq!([Trend::AskedOutputTokens, Trend::BilledOutputTokens].map(tokens), [Some(20.0), Some(19.0)]);
    }

    #[test]
    fn who_asks_for_nothing_or_is_billed_nothing_is_not_compared() {
        let unbilled = Sample { usage: None, ..asked(Some(7), 0, 0, None) };
        let failed =
            Sample { outcome: crate::metrics::Outcome::Failed(Failure::Http5xx), ..asked(Some(7), 1, 1, None) };
        let s = summary(&[stream(0, 5, Some(5)), unbilled, failed]);
        assert_eq!((off(&s, Rate::InputOff), off(&s, Rate::OutputOff)), (None, None));
        assert_eq!(s.trend(Trend::AskedInputTokens, None).map(|d| d.count), Some(1), "it was asked for all the same");
        assert!(
            s.trend(Trend::BilledInputTokens, None).is_none() && s.trend(Trend::BilledOutputTokens, None).is_none()
        );
    }

    #[test]
    fn a_server_that_claims_more_than_it_bills_has_cached_all_of_it() {
        let s = summary(&[asked(None, 10, 20, None)]);
        assert_eq!(off(&s, Rate::CachedShare), Some((10, 10)));
    }

    #[test]
    fn a_request_that_failed_after_all_is_taken_out() {
        let (good, bad) = (asked(Some(7), 147, 20, None), asked(Some(7), 3, 4, Some(Finish::Stop)));
        let mut tally = Tally::new(1);
        for sample in [good, bad] {
            tally.record(&sample);
        }
        tally.condemn(&bad, Failure::BadHttp, bad.end);
        tally.settle();
        let s = Summary::new(&tally, &["chat".to_owned()], Nanos::from_secs(1));
        assert_eq!((off(&s, Rate::InputOff), off(&s, Rate::OutputOff)), (Some((0, 1)), Some((0, 1))));
        assert!(Compared::COUNTERS.iter().all(|c| s.counter(*c, None).is_some_and(|value| value.count == 0)));
        assert_eq!(s.trend(Trend::BilledInputTokens, None).map(|d| d.count), Some(1));
    }
}
