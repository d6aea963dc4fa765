//! Hints about the server and the network path: patterns in the numbers that are known to have one
//! cause.
//!
//! A hint is not a verdict on the run. It says what was seen, the likely cause, and how to confirm
//! it. It requires enough samples and a client that read in time, because late reads are not the
//! server's fault.

use super::summary::Group;
use super::{Counter, Distribution, Gauge, Summary, Trend};
use crate::units::plural;
use serde::{Deserialize, Serialize};

/// A pattern that was found. Plain data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// The hint's name, for programs.
    pub name: String,
    /// The observation in numbers, and its likely cause.
    pub text: String,
}

/// A pattern to look for. `docs/validity.md` has a row for each.
#[derive(Debug, Clone, Copy)]
pub struct HintKind {
    pub name: &'static str,
    pub pattern: &'static str,
    pub likely_cause: &'static str,
}

impl HintKind {
    /// Returns a hint for this pattern.
    fn seen(self, text: String) -> Hint {
        Hint { name: self.name.to_owned(), text }
    }
}

/// Every pattern that [`hints`] looks for.
pub const HINTS: [HintKind; 10] =
    [NAGLE, CORKED, BURST, BUFFERING, SEVERAL_TOKENS, CLOSES, CHURN, BACKED_OFF, STALE, UNFINISHED];

const NAGLE: HintKind = HintKind {
    name: "nagle",
    pattern: "a plateau of at least 30 samples at 40 to 44 ms",
    likely_cause: "Nagle's algorithm meets delayed acknowledgements; confirm with `--quickack`",
};
const CORKED: HintKind = HintKind {
    name: "corked",
    pattern: "the longest pause of many streams is about 200 ms, and tokens arrive together",
    likely_cause: "a proxy holds small writes back, as HAProxy does without `option http-no-delay`",
};
const CLOSES: HintKind = HintKind {
    name: "closes_connections",
    pattern: "connections were not reused because the server always closes them",
    likely_cause: "the server closes each connection after a response, without saying so",
};
const BACKED_OFF: HintKind = HintKind {
    name: "backed_off",
    pattern: "users paused at least 10 times after failures",
    likely_cause: "the target is down, or a gateway has no server behind it",
};
const BURST: HintKind = HintKind {
    name: "burst",
    pattern: "all tokens arrive at the very end",
    likely_cause: "the server or a proxy holds back the response",
};
const BUFFERING: HintKind = HintKind {
    name: "buffering",
    pattern: "a late first token, then hardly any gaps",
    likely_cause: "a buffering proxy",
};
const SEVERAL_TOKENS: HintKind = HintKind {
    name: "several_tokens_an_event",
    pattern: "more tokens than events",
    likely_cause: "`tbt` is the time between events; `tpot` is the time per token",
};
const CHURN: HintKind = HintKind {
    name: "connection_churn",
    pattern: "connections do not last",
    likely_cause: "the server or a proxy closes connections",
};
const STALE: HintKind = HintKind {
    name: "stale_connections",
    pattern: "at least 1 % of the requests met a connection that was just being closed",
    likely_cause: "a keep-alive timeout shorter than the think time, or connections closed without notice",
};
const UNFINISHED: HintKind = HintKind {
    name: "unfinished_streams",
    pattern: "streams end with their terminal event but without the last chunk",
    likely_cause: "the server or a proxy leaves the response open",
};

/// Delayed acknowledgements of Linux take 40 ms, plus a timer tick of up to 4 ms.
const DELAYED_ACK_MS: (f64, f64) = (38.0, 46.0);
/// A plateau holds at least this share of all times.
const PLATEAU_SHARE: f64 = 0.05;
/// It also holds at least this many times as many as an equally wide interval on either side.
const PLATEAU_OVER_NEIGHBOURS: f64 = 3.0;
/// A plateau with fewer samples may be chance.
const PLATEAU_SAMPLES: f64 = 30.0;
/// A socket that holds back partial segments (`TCP_CORK`, `MSG_MORE`) sends them after 200 ms at
/// the latest, plus timer ticks.
const CORKED_MS: (f64, f64) = (196.0, 212.0);
/// The minimum share of streams whose longest pause lies in that range.
const CORKED_SHARE: f64 = 0.3;
/// If more than this share of the gaps or first tokens is unknown, the client was late.
const MOST_UNKNOWN: f64 = 0.1;
/// A shorter gap was not spent on generation: the tokens were ready and written one after the
/// other.
const NO_GAP_MS: f64 = 0.1;
/// Fewer pauses do not affect a rate.
const FEW_PAUSES: u64 = 10;
/// Fewer samples do not establish a pattern.
const ENOUGH: u64 = 50;

/// Returns all hints that apply to the summary. `max_requests` is the plan's limit of requests per
/// connection, if any.
pub fn hints(summary: &Summary, max_requests: Option<u32>) -> Vec<Hint> {
    let mut hints = Vec::new();
    hints.extend(nagle(&summary.all));
    for (name, group) in &summary.requests {
        if is_known(group) {
            hints.extend(corked(name, group).or_else(|| burst(name, group)).or_else(|| buffering(name, group)));
        }
        hints.extend(several_tokens_an_event(name, group));
    }
    hints.extend(not_kept(summary).or_else(|| churn(summary, max_requests)));
    hints.extend(backed_off(summary));
    hints.extend(stale(summary));
    hints.extend(unfinished(summary));
    hints
}

/// Returns true if the times of tokens are the server's, because few are hidden in late reads.
fn is_known(group: &Group) -> bool {
    let count = |counter| group.counter(counter).map_or(0, |c| c.count);
    let known = |trend| group.trend(trend).map_or(0, |d| d.count);
    [(Counter::TbtCensored, Trend::Tbt), (Counter::TtftCensored, Trend::Ttft)].into_iter().all(|(counter, trend)| {
        let (unknown, known) = (count(counter), known(trend));
        unknown as f64 <= (unknown + known) as f64 * MOST_UNKNOWN
    })
}

/// Returns the share of times from `low` to `high` ms if it stands out: at least `least`, with
/// enough samples, and well above both equally wide neighbouring intervals.
fn plateau(d: &Distribution, (low, high): (f64, f64), least: f64) -> Option<f64> {
    let width = high - low;
    let share = d.share_between_ms(low, high);
    let neighbours = d.share_between_ms(low - width, low).max(d.share_between_ms(high, high + width));
    let is_many = share * d.count as f64 >= PLATEAU_SAMPLES;
    (share >= least && is_many && share >= neighbours * PLATEAU_OVER_NEIGHBOURS).then_some(share)
}

/// Looks for a plateau at 40 to 44 ms.
fn nagle(group: &Group) -> Option<Hint> {
    for trend in [Trend::Tbt, Trend::Ttfe, Trend::Ttft, Trend::HttpReqWaiting, Trend::HttpReqDuration] {
        let Some(share) = group.trend(trend).and_then(|d| plateau(d, DELAYED_ACK_MS, PLATEAU_SHARE)) else { continue };
        let text = format!(
            "{:.0} % of {} lie at 40 to 44 ms, and few just below or above. A likely cause: the server writes small \
             pieces with Nagle's algorithm on, and waits for an acknowledgement that this client delays by 40 ms. To \
             find out, run again with --quickack: if the plateau disappears, the server should set TCP_NODELAY",
            share * 100.0,
            trend.name()
        );
        return Some(NAGLE.seen(text));
    }
    None
}

/// Looks for tokens that are held back for 200 ms until more follow.
fn corked(name: &str, group: &Group) -> Option<Hint> {
    let (stall, tbt) = (group.trend(Trend::Stall)?, group.trend(Trend::Tbt)?);
    let share = plateau(stall, CORKED_MS, CORKED_SHARE)?;
    // Tokens that were held back arrive together.
    let together = tbt.share_between_ms(0.0, NO_GAP_MS);
    if together < 0.3 {
        return None;
    }
    let text = format!(
        "{name}: the longest pause of {:.0} % of the streams is about 200 ms, and {:.0} % of the tokens arrive \
         together with the one before. A likely cause: a proxy holds small writes back until the kernel's timer sends \
         them. HAProxy does so without `option http-no-delay`; to find out, set it, or ask the server without the \
         proxy",
        share * 100.0,
        together * 100.0
    );
    Some(CORKED.seen(text))
}

/// Looks for streams whose tokens all arrive at the very end.
fn burst(name: &str, group: &Group) -> Option<Hint> {
    let (ttft, duration) = (group.trend(Trend::Ttft)?, group.trend(Trend::HttpReqDuration)?);
    let events = group.counter(Counter::TokenEvents)?.count;
    if ttft.count < ENOUGH || events < ttft.count * 3 {
        return None;
    }
    let (first, whole) = (ttft.percentile_ms(50.0), duration.percentile_ms(50.0));
    // If the first token of many requests is unknown, the durations do not show a burst.
    let is_of_all = ttft.count * 10 >= duration.count * 9;
    if first < whole * 0.9 || first > whole || whole < 5.0 || !is_of_all {
        return None;
    }
    let text = format!(
        "{name}: the first token comes after {first:.0} of {whole:.0} ms, and all others arrive with it. A likely \
         cause: the server or a proxy holds the response back until it is complete, instead of streaming it"
    );
    Some(BURST.seen(text))
}

/// Looks for a late first token, followed by tokens without time between them.
fn buffering(name: &str, group: &Group) -> Option<Hint> {
    let (ttft, tbt) = (group.trend(Trend::Ttft)?, group.trend(Trend::Tbt)?);
    if ttft.count < ENOUGH || tbt.count < ENOUGH {
        return None;
    }
    let no_gap = tbt.share_between_ms(0.0, NO_GAP_MS);
    let first = ttft.percentile_ms(50.0);
    if no_gap < 0.5 || first < 5.0 {
        return None;
    }
    let text = format!(
        "{name}: {:.0} % of the gaps between tokens are below {NO_GAP_MS} ms, after a first token at {first:.0} ms: a \
         likely cause is a proxy that collects tokens and passes them on in blocks (with nginx, `proxy_buffering off` \
         stops this)",
        no_gap * 100.0
    );
    Some(BUFFERING.seen(text))
}

/// Looks for events with several tokens. Hidden reasoning arrives in no event and is not counted.
fn several_tokens_an_event(name: &str, group: &Group) -> Option<Hint> {
    let count = |counter| group.counter(counter).map_or(0, |c| c.count);
    let (events, output, reasoning) =
        (count(Counter::TokenEvents), count(Counter::TokensOutput), count(Counter::TokensReasoning));
    let visible = output.saturating_sub(reasoning);
    if events < ENOUGH || events as f64 >= visible as f64 * 0.9 {
        return None;
    }
    let text = format!(
        "{name}: an event holds {:.1} tokens on average: tbt is the time between events; tpot is the time per token",
        visible as f64 / events as f64
    );
    Some(SEVERAL_TOKENS.seen(text))
}

/// Looks for a server that was found to close connections after a response.
fn not_kept(summary: &Summary) -> Option<Hint> {
    let not_kept = summary.counter(Counter::ConnectionsNotKept, None).map_or(0, |c| c.count);
    let text = format!(
        "the server closes its connections after a response without saying so (`connection: close`), so {not_kept} \
         connections were not reused. Clients that do reuse them see errors or have to retry. Opening a connection \
         for each request is not part of the requests' times, but your users wait for it"
    );
    (not_kept >= ENOUGH).then(|| CLOSES.seen(text))
}

/// Looks for users that paused because the target was unavailable.
fn backed_off(summary: &Summary) -> Option<Hint> {
    let pauses = summary.counter(Counter::BackOffs, None).map_or(0, |c| c.count);
    let text = format!(
        "users paused {pauses} times, for 0.1 s to 5 s, because a connection failed or a gateway reported at once \
         that it has no server (502, 503). These pauses limit the request rate, so it is not the rate at which the \
         target can refuse requests"
    );
    (pauses >= FEW_PAUSES).then(|| BACKED_OFF.seen(text))
}

/// Looks for connections that do not last.
fn churn(summary: &Summary, max_requests: Option<u32>) -> Option<Hint> {
    let count = |counter| summary.counter(counter, None).map_or(0, |c| c.count);
    let requests = count(Counter::HttpReqs);
    // Users who abandon a response close their connection, and other connections are closed after
    // their configured number of requests. Neither is the server's doing.
    let ours = count(Counter::Cancelled) + max_requests.map_or(0, |n| requests / u64::from(n.max(1)));
    let opened = count(Counter::ConnectionsOpened).saturating_sub(ours);
    let most = summary.gauge(Gauge::Connections).map_or(0, |gauge| gauge.max);
    if opened < ENOUGH || opened < most * 2 || opened * 10 < requests {
        return None;
    }
    let text = format!(
        "{opened} connections were opened for {requests} requests, at most {most} at a time, because the server \
         closes them. Connecting is not part of a request's times, but your users wait for it"
    );
    Some(CHURN.seen(text))
}

/// Looks for requests on connections that the server was just closing.
fn stale(summary: &Summary) -> Option<Hint> {
    let count = |counter| summary.counter(counter, None).map_or(0, |c| c.count);
    let (retries, requests) = (count(Counter::StaleRetries), count(Counter::HttpReqs));
    if retries < ENOUGH || retries * 100 < requests {
        return None;
    }
    let text = format!(
        "{retries} of {requests} requests met a connection that the server was just closing, and were sent again: the keep-alive timeout \
         of the server or a proxy is shorter than the users' think time, or connections are closed after a number of requests without \
         `connection: close`. Clients that do not retry see these as errors"
    );
    Some(STALE.seen(text))
}

/// Looks for streams whose last chunk never arrives.
fn unfinished(summary: &Summary) -> Option<Hint> {
    let count = |counter| summary.counter(counter, None).map_or(0, |c| c.count);
    let unfinished = count(Counter::UnfinishedStreams);
    if unfinished == 0 {
        return None;
    }
    let text = format!(
        "{} ended with the terminal event but without the end of the response (the last chunk). They count as \
         complete, their connections were not used again, and each user waited for the end for up to 250 ms, which is \
         not part of any duration",
        plural(unfinished, "stream")
    );
    Some(UNFINISHED.seen(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Outcome, Sample, Tally};
    use crate::units::Nanos;

    fn summary(tally: &Tally) -> Summary {
        Summary::new(tally, &["chat".to_owned()], Nanos::from_secs(1))
    }

    fn seen(tally: &Tally) -> Vec<String> {
        hints(&summary(tally), None).into_iter().map(|hint| hint.name).collect()
    }

    /// Returns a stream with its first token at `first` ms and its end at `end` ms.
    fn stream(first: u64, end: u64, events: u32, output: u32) -> Sample {
        Sample {
            outcome: Outcome::Success,
            status: 200,
            end: Nanos::from_millis(end),
            first_byte: Some(Nanos::from_millis(1)),
            first_event: Some(Nanos::from_millis(first)),
            first_token: Some(Nanos::from_millis(first)),
            first_visible: Some(Nanos::from_millis(first)),
            last_token: Some(Nanos::from_millis(end)),
            token_events: events,
            token_events_in_window: events,
            usage: Some(crate::metrics::TokenUsage { input: 1, output, reasoning: 0, cached: 0, written: 0 }),
            bytes_sent: 1,
            bytes_received: 1,
            reused: true,
            ..Sample::begun(0, Nanos::ZERO)
        }
    }

    fn tally(samples: u64, sample: &Sample, gap: impl Fn(u64) -> Nanos) -> Tally {
        let mut tally = Tally::new(1);
        for i in 0..samples {
            tally.record(sample);
            for j in 0..10 {
                tally.gap(0, 0, gap(i * 10 + j));
            }
        }
        tally
    }

    #[test]
    fn a_good_stream_gives_no_hint() {
        assert_eq!(seen(&tally(100, &stream(50, 550, 50, 50), |i| Nanos::from_millis(8 + i % 5))), [""; 0]);
        // Gaps that are spread across 40 ms are not a plateau.
        assert_eq!(seen(&tally(100, &stream(50, 550, 50, 50), |i| Nanos::from_millis(20 + i % 50))), [""; 0]);
    }

    #[test]
    fn connections_that_are_closed_under_requests_are_named() {
        let mut tally = tally(1_000, &stream(50, 550, 50, 50), |i| Nanos::from_millis(8 + i % 5));
        (0..49).for_each(|_| tally.stale_retry(0, true));
        assert_eq!(seen(&tally), [""; 0]);
        tally.stale_retry(0, true);
        assert_eq!(seen(&tally), ["stale_connections"]);
    }

    #[test]
    fn streams_without_an_end_are_named() {
        let mut tally = tally(100, &stream(50, 550, 50, 50), |i| Nanos::from_millis(8 + i % 5));
        tally.unfinished_stream(0, true);
        assert_eq!(seen(&tally), ["unfinished_streams"]);
    }

    #[test]
    fn a_plateau_at_the_delayed_acknowledgement_is_named() {
        let gap = |i| if i % 5 == 0 { Nanos::from_micros(40_000 + i % 4_000) } else { Nanos::from_micros(20 + i % 3) };
        assert!(seen(&tally(100, &stream(1, 550, 50, 50), gap)).contains(&"nagle".to_owned()));
    }

    #[test]
    fn a_few_times_at_forty_ms_are_no_plateau() {
        // 6 of 84, as seen on a server without Nagle's algorithm.
        let mut tally = Tally::new(1);
        for i in 0..84 {
            tally.record(&stream(1, 550, 50, 50));
            tally.gap(0, 0, if i % 14 == 0 { Nanos::from_millis(41) } else { Nanos::from_millis(8 + i % 5) });
        }
        assert_eq!(seen(&tally), [""; 0]);
    }

    /// Returns the tally of streams whose tokens arrive in three groups, `pause` ms apart.
    fn heaps(streams: u64, pause: u64) -> Tally {
        let sample = Sample { longest_gap: Some(Nanos::from_millis(pause)), ..stream(50, 450, 30, 30) };
        let mut tally = Tally::new(1);
        for _ in 0..streams {
            tally.record(&sample);
            (0..29).for_each(|j| tally.gap(0, 0, if j % 10 == 9 { Nanos::from_millis(pause) } else { Nanos::ZERO }));
        }
        tally
    }

    #[test]
    fn tokens_that_wait_for_the_timer_of_a_corked_socket_are_named() {
        assert_eq!(seen(&heaps(100, 203)), ["corked"]);
        assert_eq!(seen(&heaps(100, 150)), ["buffering"], "a pause of another length is another matter");
        assert!(!seen(&heaps(20, 203)).contains(&"corked".to_owned()), "a few streams are too few");
    }

    #[test]
    fn a_client_that_was_late_says_nothing_of_the_server() {
        for late in [|s: &mut Sample| s.ttft_censored = true, |s: &mut Sample| s.gaps_censored = 20] {
            let mut tally = tally(100, &stream(549, 550, 50, 50), |_| Nanos::ZERO);
            let mut sample = stream(549, 550, 50, 50);
            late(&mut sample);
            (0..40).for_each(|_| tally.record(&sample));
            assert_eq!(seen(&tally), [""; 0]);
        }
    }

    #[test]
    fn tokens_in_one_burst_at_the_end_are_no_streaming() {
        assert_eq!(seen(&tally(100, &stream(549, 550, 50, 50), |_| Nanos::ZERO)), ["burst"]);
    }

    #[test]
    fn tokens_in_blocks_after_a_late_first_one_are_a_buffer() {
        let gap = |i| if i % 5 == 0 { Nanos::from_millis(60) } else { Nanos::from_micros(10) };
        assert_eq!(seen(&tally(100, &stream(60, 550, 50, 50), gap)), ["buffering"]);
    }

    #[test]
    fn several_tokens_an_event_are_said() {
        let ten = |_| Nanos::from_millis(10);
        assert_eq!(seen(&tally(100, &stream(50, 550, 25, 100), ten)), ["several_tokens_an_event"]);
        // Hidden reasoning arrives in no event.
        let mut hidden = stream(50, 550, 50, 200);
        hidden.usage =
            Some(crate::metrics::TokenUsage { input: 1, output: 200, reasoning: 150, cached: 0, written: 0 });
        assert_eq!(seen(&tally(100, &hidden, ten)), [""; 0]);
    }

    #[test]
    fn connections_that_do_not_last_are_said() {
        let mut tally = tally(100, &stream(50, 550, 50, 50), |_| Nanos::from_millis(10));
        tally.level(Gauge::Connections, 10);
        for _ in 0..100 {
            tally.connection_opened(Nanos::from_micros(50));
        }
        assert_eq!(seen(&tally), ["connection_churn"]);
        let seen = |max_requests| hints(&summary(&tally), Some(max_requests)).len();
        assert_eq!((seen(1), seen(2), seen(3)), (0, 1, 1), "we close them after one; after two there would be 50");
    }

    #[test]
    fn users_who_leave_take_their_connections_with_them() {
        let mut tally = Tally::new(1);
        for _ in 0..200 {
            tally.connection_opened(Nanos::from_micros(50));
            tally.record(&Sample { outcome: Outcome::Cancelled, ..stream(10, 100, 3, 0) });
        }
        tally.level(Gauge::Connections, 2);
        assert_eq!(seen(&tally), [""; 0], "it is not the server that closes them");
    }
}
