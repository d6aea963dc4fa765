//! Turns samples into numbers. This module defines the vocabulary of measuring.
//!
//! A finished request is a [`Sample`] of plain numbers. A worker adds samples to a [`Tally`].
//! Tallies add up, in any order, to the tally of the whole run. A [`Summary`] is computed from a
//! tally. Nothing here does I/O or reads a clock.

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
    /// 2xx and a complete, well-formed response.
    Success,
    /// The first failure class that applied.
    Failed(Failure),
    /// Abandoned by its user, as configured for its kind of request. Counts as neither success nor
    /// failure.
    Cancelled,
    /// Cut off by the end of the test. Counts as neither success nor failure.
    Interrupted,
}

/// The tokens that the server billed, according to the response. Missing numbers are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TokenUsage {
    pub input: u32,
    /// Generated tokens, reasoning included.
    pub output: u32,
    /// Reasoning tokens among the generated ones.
    pub reasoning: u32,
    /// Prompt tokens served from the server's cache.
    pub cached: u32,
    /// Prompt tokens written to the server's cache.
    pub written: u32,
}

impl TokenUsage {
    /// Replaces the numbers that a later usage object of the same response contains. Usage is
    /// cumulative, and Anthropic's last usage object does not repeat the input tokens.
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
    /// Index of the request's kind in the plan's mix.
    pub kind: u16,
    /// Number of the turn in its conversation, from 1; 0 if it is not part of one.
    pub turn: u16,
    pub outcome: Outcome,
    /// Status of the response; 0 if no head arrived.
    pub status: u16,
    /// How long the response asks the client to wait, in ms.
    pub retry_after_ms: Option<NonZeroU32>,
    /// Value of the response's `x-should-retry`.
    pub should_retry: Option<bool>,
    /// Step and attempt that a simulator playing a scenario has found in the request. 255 stands
    /// for 255 and above.
    pub played: Option<(u8, u8)>,
    /// When the request was due. Open loop only.
    pub intended: Option<Nanos>,
    /// When the request was written to the connection. If it never was, the instant of the attempt.
    pub sent: Nanos,
    /// When the request was over.
    pub end: Nanos,
    /// First byte of the response.
    pub first_byte: Option<Nanos>,
    /// First event of any kind.
    pub first_event: Option<Nanos>,
    pub first_token: Option<Nanos>,
    /// First token event that is not reasoning.
    pub first_visible: Option<Nanos>,
    pub last_token: Option<Nanos>,
    /// Longest known gap between token events. The gaps themselves were added by [`Tally::gap`] as
    /// they arrived.
    pub longest_gap: Option<Nanos>,
    /// Upper bound of the unknown gaps, in units of 4 ms; `MAX` if no bound is known.
    pub unknown_gaps_within: u8,
    /// True if the first event's instant is not known precisely enough for `ttfe`.
    pub ttfe_censored: bool,
    /// True if the first token's instant is not known precisely enough for `ttft`.
    pub ttft_censored: bool,
    /// True if the first visible token's instant is not known precisely enough for `ttfo`.
    pub ttfo_censored: bool,
    /// True if the first token may have arrived well before `first_token`, so that `tpot` would be
    /// too short.
    pub tpot_censored: bool,
    /// Number of gaps that are unknown and were not added by [`Tally::gap`].
    pub gaps_censored: u32,
    /// Token events, reasoning included.
    pub token_events: u32,
    /// Token events that are reasoning.
    pub reasoning_events: u32,
    /// Tokens in the first token event, if the event's own usage says how many.
    pub tokens_in_first_event: u16,
    /// Token events that arrived inside the measurement window.
    pub token_events_in_window: u32,
    /// True if `end` lies inside the measurement window.
    pub in_window: bool,
    /// The tokens that the request asked for.
    pub asked: Asked,
    /// The tokens that the server's chat template adds to the prompt.
    pub template: TemplateTokens,
    /// The tokens that the server billed, if the response says so.
    pub usage: Option<TokenUsage>,
    /// Why the response ended, if it says so.
    pub finish: Option<Finish>,
    /// Events that were skipped because they were not understood. 255 stands for 255 and above.
    pub bad_events: u8,
    /// Bytes of the request that were written. Requests are far smaller than 4 GiB.
    pub bytes_sent: u32,
    /// Bytes of the response that were read.
    pub bytes_received: u64,
    /// True if the connection had served an earlier request.
    pub reused: bool,
    /// Number of response checks that held.
    pub checks_held: u8,
    /// The response check that failed.
    pub check_failed: Option<&'static str>,
    /// Whether the request met all goals of its kind. `None` if there are no goals or it cannot be
    /// determined.
    pub good: Option<bool>,
}

/// Resolution of the bound on unknown gaps. A sample has one byte for it.
const UNKNOWN_STEP: Nanos = Nanos::from_millis(4);

impl Sample {
    /// Returns the number of generated tokens billed by the server. `None` if it billed none.
    #[inline]
    pub fn billed_output(&self) -> Option<u32> {
        self.usage.map(|usage| usage.output).filter(|&tokens| tokens > 0)
    }

    /// Adds `n` unknown gaps, none of which was longer than `within`.
    pub fn unknown_gaps(&mut self, n: u32, within: Nanos) {
        self.gaps_censored += n;
        if n > 0 {
            let steps = u8::try_from(within.0.div_ceil(UNKNOWN_STEP.0)).unwrap_or(u8::MAX);
            self.unknown_gaps_within = self.unknown_gaps_within.max(steps);
        }
    }

    /// Returns true if the longest gap is known, because no unknown gap can have been longer.
    pub fn longest_gap_is_known(&self) -> bool {
        let is_longer = |longest: Nanos| {
            let steps = u64::from(self.unknown_gaps_within);
            self.unknown_gaps_within < u8::MAX && longest.0 >= steps * UNKNOWN_STEP.0
        };
        self.gaps_censored == 0 || self.longest_gap.is_some_and(is_longer)
    }

    /// Returns the sample of a request of that kind that is written at `sent`. Nothing has arrived
    /// yet. If nothing does, the request counts as cut off.
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
