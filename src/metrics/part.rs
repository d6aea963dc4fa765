//! The numbers of one kind of request, computed from samples.

use super::asked::{Asked, Compared, Finish, TemplateTokens};
use super::{Category, Counter, Distribution, Failure, Outcome, Sample, TokenUsage, Trend};
use crate::units::Nanos;

/// The numbers of one kind of request.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Allocated when the first time is recorded, because most kinds only use a few of the trends
    /// and each distribution takes 184 KiB.
    pub(super) trends: [Option<Box<Distribution>>; Trend::ALL.len()],
    /// Counts over the whole test.
    pub(super) counters: [u64; Counter::ALL.len()],
    /// The parts of the counts that arrived in the measurement window. Rates are computed from
    /// them.
    pub(super) in_window: [u64; Counter::ALL.len()],
    /// Finished requests that failed.
    pub(super) failed: u64,
    /// Response checks that held.
    pub(super) checks_held: u64,
    /// Response checks that failed.
    pub(super) checks_failed: u64,
    /// Requests that met all their goals.
    pub(super) good: u64,
    /// Requests that were judged by such goals.
    pub(super) judged: u64,
    /// Successful requests whose tokens the server counted.
    pub(super) counted_by_usage: u64,
    /// Successful requests whose tokens we counted, one per event.
    pub(super) counted_by_events: u64,
    /// Comparison of the tokens asked for with those billed.
    pub(super) compared: Compared,
    /// Times of requests that were first recorded as successes, perhaps in an earlier second, and
    /// turned out to be failures.
    withdrawn: Option<Box<Self>>,
}

impl Default for Part {
    fn default() -> Self {
        Self {
            trends: [const { None }; Trend::ALL.len()],
            counters: [0; Counter::ALL.len()],
            in_window: [0; Counter::ALL.len()],
            failed: 0,
            checks_held: 0,
            checks_failed: 0,
            good: 0,
            judged: 0,
            counted_by_usage: 0,
            counted_by_events: 0,
            compared: Compared::default(),
            withdrawn: None,
        }
    }
}

impl Part {
    /// Returns the times of a trend. `None` if there are none.
    pub(super) fn trend(&self, trend: Trend) -> Option<&Distribution> {
        self.trends[trend as usize].as_deref().filter(|d| d.count > 0)
    }

    /// Returns a count over the whole test.
    pub(super) fn counter(&self, counter: Counter) -> u64 {
        self.counters[counter as usize]
    }

    /// Returns the part of a count that arrived in the measurement window.
    pub(super) fn counter_in_window(&self, counter: Counter) -> u64 {
        self.in_window[counter as usize]
    }

    pub(super) fn clear(&mut self) {
        // Not `= default()`, which would free the histograms.
        self.trends.iter_mut().flatten().for_each(|d| d.clear());
        let mut withdrawn = self.withdrawn.take();
        if let Some(withdrawn) = &mut withdrawn {
            withdrawn.clear();
        }
        *self = Self { trends: std::mem::take(&mut self.trends), withdrawn, ..Self::default() };
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (trend, more) in self.trends.iter_mut().zip(&other.trends) {
            if let Some(more) = more.as_deref().filter(|d| d.count > 0) {
                trend.get_or_insert_default().add(more);
            }
        }
        for (n, more) in self.counters.iter_mut().zip(&other.counters) {
            *n += more;
        }
        for (n, more) in self.in_window.iter_mut().zip(&other.in_window) {
            *n += more;
        }
        self.failed += other.failed;
        self.checks_held += other.checks_held;
        self.checks_failed += other.checks_failed;
        self.good += other.good;
        self.judged += other.judged;
        self.counted_by_usage += other.counted_by_usage;
        self.counted_by_events += other.counted_by_events;
        self.compared.add(other.compared);
        if let Some(more) = &other.withdrawn {
            self.withdrawn.get_or_insert_default().add(more);
        }
    }

    /// Counts a failure of a request that was first recorded as a success.
    pub(super) fn condemn(&mut self, failure: Failure, s: &Sample) {
        let withdrawn = self.withdrawn.get_or_insert_default();
        withdrawn.time_success(s);
        withdrawn.good += u64::from(s.good == Some(true));
        self.count_failure(failure, s);
    }

    /// Adds the number of attempts of a request. `s` begins with the last attempt.
    pub(super) fn attempts(&mut self, s: &Sample, n: u64) {
        self.count(Counter::Attempts, n, if s.in_window { n } else { 0 });
        let retries = n.saturating_sub(1);
        self.count(Counter::Retries, retries, if s.in_window { retries } else { 0 });
        if s.outcome == Outcome::Success {
            self.time_attempt(s);
        }
    }

    /// Withdraws the times of an attempt that was recorded as a success.
    pub(super) fn condemn_attempt(&mut self, s: &Sample) {
        self.withdrawn.get_or_insert_default().time_attempt(s);
    }

    fn time_attempt(&mut self, s: &Sample) {
        self.time(Trend::AttemptDuration, s.end.since(s.sent));
        if let Some(token) = s.first_token.filter(|_| !s.ttft_censored) {
            self.time(Trend::AttemptTtft, token.since(s.sent));
        }
    }

    /// Returns the withdrawn times of a trend. `None` if there are none.
    pub(super) fn withdrawn(&self, trend: Trend) -> Option<&Distribution> {
        self.withdrawn.as_ref()?.trend(trend)
    }

    /// Subtracts the withdrawn times. Only the sum over all seconds so far is certain to contain
    /// them.
    pub(super) fn settle(&mut self) {
        let Some(withdrawn) = self.withdrawn.take() else { return };
        for (trend, less) in self.trends.iter_mut().zip(&withdrawn.trends) {
            if let (Some(trend), Some(less)) = (trend, less) {
                trend.subtract(less);
            }
        }
        self.good = self.good.saturating_sub(withdrawn.good);
        self.counted_by_usage = self.counted_by_usage.saturating_sub(withdrawn.counted_by_usage);
        self.counted_by_events = self.counted_by_events.saturating_sub(withdrawn.counted_by_events);
        self.compared.take(withdrawn.compared);
        for counter in Compared::COUNTERS {
            let less = withdrawn.counters[counter as usize];
            for counts in [&mut self.counters, &mut self.in_window] {
                counts[counter as usize] = counts[counter as usize].saturating_sub(less);
            }
        }
    }

    #[inline]
    pub(super) fn time(&mut self, trend: Trend, time: Nanos) {
        self.times_of(trend).record(time);
    }

    pub(super) fn times(&mut self, trend: Trend, time: Nanos, n: u32) {
        self.times_of(trend).record_n(time, n);
    }

    #[inline]
    fn times_of(&mut self, trend: Trend) -> &mut Distribution {
        self.trends[trend as usize].get_or_insert_with(first_times)
    }

    #[inline]
    pub(super) fn count(&mut self, counter: Counter, n: u64, in_window: u64) {
        self.counters[counter as usize] += n;
        self.in_window[counter as usize] += in_window;
    }

    /// Adds a finished or interrupted request.
    pub(super) fn record(&mut self, sample: &Sample) {
        self.count_traffic(sample);
        if let Some(intended) = sample.intended {
            self.time(Trend::ScheduleLag, sample.sent.since(intended));
        }
        self.checks_held += u64::from(sample.checks_held);
        self.checks_failed += u64::from(sample.check_failed.is_some());
        self.judged += u64::from(sample.good.is_some());
        self.good += u64::from(sample.good == Some(true));
        match sample.outcome {
            Outcome::Success => {
                self.count_finished(sample);
                self.time_success(sample);
            }
            Outcome::Failed(failure) => {
                self.count_finished(sample);
                self.count_failure(failure, sample);
            }
            Outcome::Cancelled => {
                self.count(Counter::Cancelled, 1, u64::from(sample.in_window));
                self.count_iteration(sample);
            }
            Outcome::Interrupted => {
                self.count(Counter::Interrupted, 1, u64::from(sample.in_window));
                self.time(Trend::InterruptedAge, sample.end.since(sample.sent));
            }
        }
    }

    /// Counts traffic regardless of how the request ended. Tokens of an interrupted stream did
    /// arrive.
    pub(super) fn count_traffic(&mut self, s: &Sample) {
        let reasoning = s.usage.map(|u| u.reasoning).filter(|&n| n > 0).unwrap_or(s.reasoning_events);
        // Most of these are zero for most requests. A loop over a list would first have to write
        // the list.
        let mut split = |counter, n: u64| {
            if n > 0 {
                self.count(counter, n, arrived_in_window(n, s));
            }
        };
        split(Counter::TokensOutput, tokens(s).into());
        split(Counter::TokensReasoning, reasoning.into());
        split(Counter::TokenEvents, s.token_events.into());
        split(Counter::TokenEventsUnbilled, if billed(s).is_some() { 0 } else { s.token_events.into() });
        split(Counter::DataReceived, s.bytes_received);
        let mut whole = |counter, n: u64| {
            if n > 0 {
                self.count(counter, n, if s.in_window { n } else { 0 });
            }
        };
        let usage = s.usage.unwrap_or_default();
        whole(Counter::TokensInput, usage.input.into());
        whole(Counter::TokensCached, usage.cached.into());
        whole(Counter::TokensCacheWritten, usage.written.into());
        whole(Counter::DataSent, s.bytes_sent.into());
        whole(Counter::ConnectionsReused, s.reused.into());
        whole(Counter::BadEvents, s.bad_events.into());
        whole(Counter::HttpReqsSent, u64::from(s.bytes_sent > 0));
        whole(Counter::TbtCensored, s.gaps_censored.into());
        whole(Counter::TtftCensored, s.ttft_censored.into());
        whole(Counter::TtfeCensored, s.ttfe_censored.into());
        whole(Counter::TpotCensored, s.tpot_censored.into());
        whole(Counter::StallCensored, u64::from(!s.longest_gap_is_known()));
    }

    pub(super) fn count_finished(&mut self, s: &Sample) {
        self.count(Counter::HttpReqs, 1, u64::from(s.in_window));
        self.count_iteration(s);
    }

    /// A conversation is one iteration regardless of its number of requests.
    fn count_iteration(&mut self, s: &Sample) {
        if s.turn == 0 {
            self.count(Counter::Iterations, 1, u64::from(s.in_window));
        }
    }

    pub(super) fn count_failure(&mut self, failure: Failure, s: &Sample) {
        self.failed += 1;
        let category = failure.category();
        let trend = match category {
            Category::Status | Category::Protocol | Category::Answer => Trend::HttpReqDurationFailed,
            Category::Network | Category::Timeout | Category::Ours => Trend::HttpReqDurationAborted,
        };
        self.time(trend, s.end.since(s.sent));
        match category {
            Category::Network => self.count(Counter::ConnectionFailures, 1, u64::from(s.in_window)),
            Category::Timeout => self.count(Counter::Timeouts, 1, u64::from(s.in_window)),
            Category::Status | Category::Protocol | Category::Answer | Category::Ours => {}
        }
    }

    /// Adds the times of a successful request.
    pub(super) fn time_success(&mut self, s: &Sample) {
        self.time(Trend::HttpReqDuration, s.end.since(s.sent));
        if let Some(intended) = s.intended {
            self.time(Trend::HttpReqDurationFromIntended, s.end.since(intended));
        }
        for (trend, instant) in [
            (Trend::HttpReqWaiting, s.first_byte),
            (Trend::Ttfe, s.first_event.filter(|_| !s.ttfe_censored)),
            (Trend::Ttft, s.first_token.filter(|_| !s.ttft_censored)),
            (Trend::Ttfo, s.first_visible.filter(|_| !s.ttfo_censored)),
        ] {
            if let Some(instant) = instant {
                self.time(trend, instant.since(s.sent));
            }
        }
        if let Some(gap) = s.longest_gap.filter(|_| s.longest_gap_is_known()) {
            self.time(Trend::Stall, gap);
        }
        if let Some(tpot) = time_per_output_token(s).filter(|_| !s.tpot_censored) {
            self.time(Trend::Tpot, tpot);
        }
        if s.billed_output().is_some() {
            self.counted_by_usage += 1;
        } else if s.token_events > 0 {
            self.counted_by_events += 1;
        }
        if s.asked.input | s.asked.output > 0 {
            self.compare(s);
        }
    }

    /// Compares a successful request's token counts with those that the server billed.
    pub(super) fn compare(&mut self, s: &Sample) {
        let billed = s.usage.unwrap_or_default();
        if s.asked.input > 0 {
            self.compare_input(s.asked, s.template, billed);
        }
        if s.asked.output > 0 {
            self.compare_output(s, billed.output);
        }
    }

    fn compare_input(&mut self, asked: Asked, template: TemplateTokens, billed: TokenUsage) {
        self.time(Trend::AskedInputTokens, kept(asked.input));
        if asked.prefix > 0 {
            self.time(Trend::AskedPrefixTokens, kept(asked.prefix));
        }
        if billed.input == 0 {
            return;
        }
        self.time(Trend::BilledInputTokens, kept(billed.input));
        self.time(Trend::CachedInputTokens, kept(billed.cached));
        if let Some(template) = template.get() {
            let wanted = asked.input.saturating_add(template.into());
            self.compared.input += 1;
            self.compared.input_off += u64::from(billed.input != wanted);
            self.count_one(Counter::InputShort, billed.input < wanted);
        }
    }

    fn compare_output(&mut self, s: &Sample, billed: u32) {
        let asked = s.asked.output;
        self.time(Trend::AskedOutputTokens, kept(asked));
        if billed == 0 {
            return;
        }
        self.time(Trend::BilledOutputTokens, kept(billed));
        self.compared.output += 1;
        if billed == asked {
            return;
        }
        self.compared.output_off += 1;
        let why = match s.finish {
            _ if billed > asked => Counter::OutputLong,
            Some(Finish::Stop) => Counter::OutputStopped,
            Some(Finish::Length) => Counter::OutputCut,
            Some(Finish::Tools) => Counter::OutputCalledTools,
            Some(Finish::Other) | None => Counter::OutputShort,
        };
        self.count_one(why, true);
    }

    /// Counts a whole request if `counts`, in the period in which the request was sent.
    fn count_one(&mut self, counter: Counter, counts: bool) {
        self.count(counter, u64::from(counts), u64::from(counts));
    }
}

/// Called once for each trend of a kind. It is separate to keep the recording path short.
#[cold]
fn first_times() -> Box<Distribution> {
    Box::default()
}

/// Returns a number of tokens in the form in which distributions store it.
const fn kept(n: u32) -> Nanos {
    Nanos::from_micros(n as u64)
}

/// Returns the number of generated tokens: the server's count, or one per event. Usage is
/// cumulative. The last usage of a stream that ended early may be older than its last events. For
/// example, Anthropic's first event bills one token.
fn tokens(s: &Sample) -> u32 {
    billed(s).unwrap_or(s.token_events)
}

/// Returns the tokens that the server billed. Its count is ignored if a failed request received
/// more.
fn billed(s: &Sample) -> Option<u32> {
    let billed = s.billed_output()?;
    (s.outcome == Outcome::Success || billed >= s.token_events).then_some(billed)
}

/// Returns how much of a request's `n` arrived in the measurement window. A stream that crosses the
/// edge of the window is split in proportion to its token events, rounded to a whole number.
/// Without token events, everything counts if the request ended in the window.
fn arrived_in_window(n: u64, s: &Sample) -> u64 {
    let (events, inside) = (u128::from(s.token_events), u128::from(s.token_events_in_window));
    match (events, s.in_window) {
        (0, true) => n,
        (0, false) => 0,
        _ if inside >= events => n,
        // The result is at most n, so it fits.
        _ => ((u128::from(n) * inside + events / 2) / events) as u64,
    }
}

/// Returns (last token − first token) / (tokens − tokens in the first event). The first event
/// counts as one token, unless it reports its number itself. `None` for a single event, whose
/// tokens after the first took no observable time.
pub(super) fn time_per_output_token(s: &Sample) -> Option<Nanos> {
    if s.token_events < 2 {
        return None;
    }
    let after_first = u64::from(tokens(s).checked_sub(u32::from(s.tokens_in_first_event.max(1)))?);
    let took = s.last_token?.since(s.first_token?);
    took.0.checked_div(after_first).map(Nanos)
}
