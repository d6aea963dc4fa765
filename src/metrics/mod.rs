//! Samples → numbers: the vocabulary of measuring.
//!
//! A finished request is a [`Sample`] (plain numbers). A worker adds samples to a [`Tally`];
//! tallies add up, in any order, to the tally of the whole run; a [`Summary`] says what a tally
//! means. Nothing here does I/O or reads a clock.

mod asked;
pub mod buckets;
mod catalogue;
mod distribution;
mod failure;
#[doc(hidden)]
pub mod fuzz;
pub mod goals;
pub mod growth;
pub mod hints;
mod incidents;
mod look;
mod part;
mod paths;
mod record;
mod remaining;
pub mod series;
pub mod soak;
mod stage;
pub mod summary;
pub mod tally;
mod told;
mod totals;
pub mod validity;

pub use asked::{Asked, Finish, TemplateTokens};
pub use buckets::{Buckets, DecodeError};
pub use catalogue::{Counter, Gauge, Metric, MetricKind, Rate, ServerLevel, Trend, Unit};
pub use distribution::{Distribution, Exact};
pub use failure::{Category, Failure};
pub use goals::{Goal, Goals};
pub use incidents::{Example, Incidents, MAX_EXAMPLE_BYTES};
pub use look::PartOf;
pub use paths::{Attempts, Paths};
pub use record::{Batch, Record};
pub use remaining::Remaining;
pub use series::Second;
pub use stage::StageTally;
pub use summary::Summary;
pub use tally::{Balance, TURNS, Tally};
pub use totals::Totals;

use crate::units::Nanos;
use std::num::NonZeroU32;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx and a complete, well-formed answer.
    Success,
    /// The first class that applied.
    Failed(Failure),
    /// Given up by its user, as its kind of request asks for: neither a success nor a failure.
    Cancelled,
    /// Cut off by the end of the test: neither a success nor a failure.
    Interrupted,
}

/// What the server said it billed. Absent numbers are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TokenUsage {
    pub input: u32,
    /// Generated tokens, reasoning included.
    pub output: u32,
    /// Reasoning tokens among the generated ones.
    pub reasoning: u32,
    /// Prompt tokens that came from the server's cache.
    pub cached: u32,
    /// Prompt tokens that were written to the server's cache.
    pub written: u32,
}

impl TokenUsage {
    /// What a later bill of the same answer says holds, as far as it says anything: bills are
    /// cumulative, and the last one of Anthropic's does not repeat what the prompt has cost.
    pub fn update(&mut self, later: Self) {
        for (count, later) in [
            (&mut self.input, later.input),
            (&mut self.output, later.output),
            (&mut self.reasoning, later.reasoning),
            (&mut self.cached, later.cached),
            (&mut self.written, later.written),
        ] {
            *count = if later > 0 { later } else { *count };
        }
    }
}

/// One finished request as plain numbers. All instants are on the test's clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Index of its kind in the plan's mix.
    pub kind: u16,
    /// Its turn in a conversation, from 1; 0 if it is not part of one.
    pub turn: u16,
    pub outcome: Outcome,
    /// Status of the response; 0 when no head came.
    pub status: u16,
    /// How long the response asks to wait, in ms, if it does.
    pub retry_after_ms: Option<NonZeroU32>,
    /// What `x-should-retry` of the response says.
    pub should_retry: Option<bool>,
    /// Step and attempt that a simulator has found in the request, if it plays a scenario; 255 stands
    /// for all above.
    pub played: Option<(u8, u8)>,
    /// When the schedule wanted it; open load only.
    pub intended: Option<Nanos>,
    /// When it was put on the wire; the instant of the attempt when it never was.
    pub sent: Nanos,
    /// When it was over.
    pub end: Nanos,
    /// First byte of the response.
    pub first_byte: Option<Nanos>,
    /// First event of any kind.
    pub first_event: Option<Nanos>,
    pub first_token: Option<Nanos>,
    /// First token event that is not reasoning.
    pub first_visible: Option<Nanos>,
    pub last_token: Option<Nanos>,
    /// Longest gap between token events that is known; the gaps themselves went to [`Tally::gap`] as
    /// they came.
    pub longest_gap: Option<Nanos>,
    /// No gap that is not known was longer than so many times 4 ms; `MAX` if that is not known, either.
    pub unknown_gaps_within: u8,
    /// The first event's instant is not known closely enough for `ttfe`.
    pub ttfe_censored: bool,
    /// The first token's instant is not known closely enough for `ttft`.
    pub ttft_censored: bool,
    /// The first visible token's instant is not known closely enough for `ttfo`.
    pub ttfo_censored: bool,
    /// The first token may have come well before `first_token`, so that `tpot` would be too short.
    pub tpot_censored: bool,
    /// Gaps that are not known and did not go to [`Tally::gap`].
    pub gaps_censored: u32,
    /// Token events, reasoning included.
    pub token_events: u32,
    /// Reasoning events among them.
    pub reasoning_events: u32,
    /// Tokens in the first token event, if its own bill says how many.
    pub tokens_in_first_event: u16,
    /// Token events that arrived inside the measurement window.
    pub token_events_in_window: u32,
    /// Whether `end` lies inside the measurement window.
    pub in_window: bool,
    /// What it asked for.
    pub asked: Asked,
    /// What the server adds to the prompt.
    pub template: TemplateTokens,
    /// What the server billed, if it said so.
    pub usage: Option<TokenUsage>,
    /// Why the answer ended, if it said so.
    pub finish: Option<Finish>,
    /// Events skipped because they were not understood; 255 stands for all above.
    pub bad_events: u8,
    /// Bytes of the request that were written. A request is far below 4 GiB.
    pub bytes_sent: u32,
    /// Bytes of the response that were read.
    pub bytes_received: u64,
    /// Whether the connection had served a request before.
    pub reused: bool,
    /// Response checks that held.
    pub checks_held: u8,
    /// The check that did not hold.
    pub check_failed: Option<&'static str>,
    /// Whether it met every goal of a single request; none when there are none or it cannot be
    /// said.
    pub good: Option<bool>,
}

/// How finely the bound of unknown gaps is kept: a sample has one byte for it.
const UNKNOWN_STEP: Nanos = Nanos::from_millis(4);

impl Sample {
    /// Generated tokens that the server has billed; none if it has billed nothing.
    #[inline]
    pub fn billed_output(&self) -> Option<u32> {
        self.usage.map(|usage| usage.output).filter(|&tokens| tokens > 0)
    }

    /// So many more gaps are not known, and none of them was longer than `within`.
    pub fn unknown_gaps(&mut self, n: u32, within: Nanos) {
        self.gaps_censored += n;
        if n > 0 {
            let steps = u8::try_from(within.0.div_ceil(UNKNOWN_STEP.0)).unwrap_or(u8::MAX);
            self.unknown_gaps_within = self.unknown_gaps_within.max(steps);
        }
    }

    /// Whether the longest gap is known: no unknown one can have been longer.
    pub fn longest_gap_is_known(&self) -> bool {
        let is_longer = |longest: Nanos| {
            let steps = u64::from(self.unknown_gaps_within);
            self.unknown_gaps_within < u8::MAX && longest.0 >= steps * UNKNOWN_STEP.0
        };
        self.gaps_censored == 0 || self.longest_gap.is_some_and(is_longer)
    }

    /// A request of that kind as it is put on the wire at `sent`: nothing has come, and it is cut
    /// off if nothing does.
    pub const fn begun(kind: u16, sent: Nanos) -> Self {
        Self {
            kind,
            turn: 0,
            outcome: Outcome::Interrupted,
            status: 0,
            retry_after_ms: None,
            should_retry: None,
            played: None,
            intended: None,
            sent,
            end: sent,
            first_byte: None,
            first_event: None,
            first_token: None,
            first_visible: None,
            last_token: None,
            longest_gap: None,
            unknown_gaps_within: 0,
            ttfe_censored: false,
            ttft_censored: false,
            ttfo_censored: false,
            tpot_censored: false,
            gaps_censored: 0,
            token_events: 0,
            reasoning_events: 0,
            tokens_in_first_event: 0,
            token_events_in_window: 0,
            in_window: true,
            asked: Asked { input: 0, prefix: 0, output: 0 },
            template: TemplateTokens::UNKNOWN,
            usage: None,
            finish: None,
            bad_events: 0,
            bytes_sent: 0,
            bytes_received: 0,
            reused: false,
            checks_held: 0,
            check_failed: None,
            good: None,
        }
    }
}
