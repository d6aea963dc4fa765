use super::*;
use crate::metrics::part::time_per_output_token;
use crate::metrics::{Category, Distribution, Summary, TokenUsage};
use proptest::prelude::*;

/// A successful plain request that takes `ms` ms, entirely inside the window.
pub(in crate::metrics) fn success(kind: u16, ms: u64) -> Sample {
    let sent = Nanos::from_secs(1);
    Sample {
        outcome: Outcome::Success,
        status: 200,
        end: sent + Nanos::from_millis(ms),
        first_byte: Some(sent + Nanos::from_millis(ms / 2)),
        bytes_sent: 100,
        bytes_received: 1_000,
        ..Sample::begun(kind, sent)
    }
}

/// A successful stream of `events` token events, 10 ms apart, the first 100 ms after `sent`. It
/// lies entirely inside the window.
pub(in crate::metrics) fn stream(kind: u16, events: u32, usage: Option<u32>) -> Sample {
    let plain = success(kind, 100 + 10 * u64::from(events));
    let first = plain.sent + Nanos::from_millis(100);
    Sample {
        first_event: Some(plain.sent + Nanos::from_millis(90)),
        first_token: Some(first),
        first_visible: Some(first),
        last_token: Some(first + Nanos::from_millis(10 * u64::from(events - 1))),
        longest_gap: Some(Nanos::from_millis(10)),
        token_events: events,
        token_events_in_window: events,
        usage: usage.map(|output| TokenUsage { input: 11, output, reasoning: 0, cached: 0, written: 0 }),
        ..plain
    }
}

fn tally_of(samples: &[Sample]) -> Tally {
    let mut tally = Tally::new(3);
    for sample in samples {
        tally.record(sample);
    }
    tally
}

fn times(tally: &Tally, trend: Trend) -> Option<(u64, f64)> {
    tally.all_kinds().trend(trend).map(|d| (d.count, d.avg_ms()))
}

fn count(tally: &Tally, counter: Counter) -> (u64, u64) {
    let all = tally.all_kinds();
    (all.counter(counter), all.counter_in_window(counter))
}

/// Returns all numbers of a tally as text, including histograms. Equal texts mean equal tallies.
fn fingerprint(tally: &Tally) -> String {
    let part = |p: &Part| {
        let trends = Trend::ALL.map(|t| p.trend(t).map(Distribution::fingerprint));
        let counts = (p.failed, p.checks_held, p.checks_failed, p.counted_by_usage, p.counted_by_events, p.compared);
        format!("{trends:?} {:?} {:?} {counts:?}", p.counters, p.in_window)
    };
    let kinds: Vec<_> = tally.kinds.iter().map(part).collect();
    let tables = format!("{:?} {:?} {:?}", tally.failures, tally.statuses, tally.failed_checks);
    format!("{:?} {kinds:?} {} {tables} {:?}", tally.cpu_time, part(&tally.shared), tally.levels)
}

#[test]
fn a_stream_is_timed_in_every_trend() {
    let tally = tally_of(&[stream(0, 11, Some(21))]);
    assert_eq!(times(&tally, Trend::HttpReqDuration), Some((1, 210.0)));
    assert_eq!(times(&tally, Trend::HttpReqWaiting), Some((1, 105.0)));
    assert_eq!(times(&tally, Trend::Ttfe), Some((1, 90.0)));
    assert_eq!(times(&tally, Trend::Ttft), Some((1, 100.0)));
    assert_eq!(times(&tally, Trend::Ttfo), Some((1, 100.0)));
    assert_eq!(times(&tally, Trend::Stall), Some((1, 10.0)));
    // 100 ms from the first to the last token, with 20 tokens after the first one.
    assert_eq!(times(&tally, Trend::Tpot), Some((1, 5.0)));
    assert_eq!(times(&tally, Trend::Tbt), None);
    assert_eq!(count(&tally, Counter::TokensOutput), (21, 21));
    assert_eq!(count(&tally, Counter::TokensInput), (11, 11));
    assert_eq!(count(&tally, Counter::TokenEvents), (11, 11));
}

#[test]
fn a_single_event_has_no_time_per_token() {
    assert_eq!(times(&tally_of(&[stream(0, 1, None)]), Trend::Tpot), None);
    // The fifty tokens of one event took no observable time. Zero would be wrong.
    assert_eq!(times(&tally_of(&[stream(0, 1, Some(50))]), Trend::Tpot), None);
    // If the server bills one token for several events, there is nothing to divide by.
    assert_eq!(times(&tally_of(&[stream(0, 3, Some(1))]), Trend::Tpot), None);
    assert_eq!(times(&tally_of(&[stream(0, 3, None)]), Trend::Tpot), Some((1, 10.0)));
}

#[test]
fn usage_without_a_number_falls_back_to_events() {
    let tally = tally_of(&[stream(0, 4, Some(0))]);
    assert_eq!(count(&tally, Counter::TokensOutput), (4, 4));
    assert_eq!((tally.kinds[0].counted_by_usage, tally.kinds[0].counted_by_events), (0, 1));
}

#[test]
fn failures_are_timed_apart_by_category() {
    for failure in Failure::ALL {
        let tally = tally_of(&[Sample { outcome: Outcome::Failed(failure), ..stream(0, 5, None) }]);
        let answered = matches!(failure.category(), Category::Status | Category::Protocol | Category::Answer);
        let (here, not_here) = if answered {
            (Trend::HttpReqDurationFailed, Trend::HttpReqDurationAborted)
        } else {
            (Trend::HttpReqDurationAborted, Trend::HttpReqDurationFailed)
        };
        assert_eq!(times(&tally, here), Some((1, 150.0)), "{}", failure.name());
        for trend in [not_here, Trend::HttpReqDuration, Trend::HttpReqWaiting, Trend::Ttft, Trend::Tpot, Trend::Stall] {
            assert_eq!(times(&tally, trend), None, "{} {}", failure.name(), trend.name());
        }
        assert_eq!(tally.failures[failure as usize].count, 1);
        assert_eq!(tally.kinds[0].failed, 1);
        assert_eq!(count(&tally, Counter::HttpReqs), (1, 1));
        assert_eq!(count(&tally, Counter::ConnectionFailures).0, u64::from(failure.category() == Category::Network));
        assert_eq!(count(&tally, Counter::Timeouts).0, u64::from(failure.category() == Category::Timeout));
    }
}

#[test]
fn an_interrupted_request_is_neither_success_nor_failure_but_its_tokens_arrived() {
    let cut =
        Sample { outcome: Outcome::Interrupted, in_window: false, token_events_in_window: 3, ..stream(0, 5, None) };
    let tally = tally_of(&[cut]);
    assert_eq!(count(&tally, Counter::HttpReqs), (0, 0));
    assert_eq!(count(&tally, Counter::Iterations), (0, 0));
    assert_eq!(count(&tally, Counter::Interrupted).0, 1);
    assert_eq!(tally.kinds[0].failed, 0);
    assert_eq!(count(&tally, Counter::TokensOutput), (5, 3));
    assert_eq!(count(&tally, Counter::DataReceived), (1_000, 600));
    let timed: Vec<_> = Trend::ALL.into_iter().filter(|&t| times(&tally, t).is_some()).collect();
    assert_eq!(timed, [Trend::InterruptedAge]);
}

#[test]
fn rates_take_what_arrived_in_the_window() {
    // It ends after the window, but half of its events are inside.
    let late = Sample { in_window: false, token_events_in_window: 5, ..stream(0, 10, Some(30)) };
    let tally = tally_of(&[late]);
    assert_eq!(count(&tally, Counter::HttpReqs), (1, 0));
    assert_eq!(count(&tally, Counter::TokensOutput), (30, 15));
    assert_eq!(count(&tally, Counter::TokenEvents), (10, 5));
    // The tokens of a plain response that ended outside the window are outside.
    let usage = Some(TokenUsage { input: 1, output: 9, reasoning: 2, cached: 0, written: 0 });
    let plain = tally_of(&[Sample { in_window: false, usage, ..success(0, 5) }]);
    assert_eq!(count(&plain, Counter::TokensOutput), (9, 0));
    assert_eq!(count(&plain, Counter::TokensReasoning), (2, 0));
}

#[test]
fn checks_are_counted_by_name() {
    let held = Sample { checks_held: 3, ..success(0, 5) };
    let broken =
        Sample { checks_held: 1, check_failed: Some("choices"), outcome: Outcome::Failed(Failure::Check), ..held };
    let tally = tally_of(&[held, broken, broken]);
    assert_eq!((tally.kinds[0].checks_held, tally.kinds[0].checks_failed), (5, 2));
    assert_eq!(tally.failed_checks, [("choices", 2)]);
}

#[test]
fn a_request_without_an_answer_has_no_status() {
    let refused = Sample { status: 0, outcome: Outcome::Failed(Failure::ConnectRefused), ..success(0, 5) };
    assert_eq!(tally_of(&[refused, success(0, 5)]).statuses, [(200, 1)]);
}

#[test]
fn clear_keeps_levels_and_nothing_else() {
    let mut tally = tally_of(&[stream(0, 5, Some(5)), Sample { check_failed: Some("x"), ..success(1, 3) }]);
    tally.connection_opened(Nanos(5));
    tally.stale_retry(2, true);
    tally.cpu_time = Nanos(9);
    tally.level(Gauge::Vus, 9);
    tally.level(Gauge::Vus, 4);
    tally.clear();
    let mut fresh = Tally::new(3);
    fresh.level(Gauge::Vus, 4);
    let mut merged = fresh.clone();
    merged.append(&tally);
    assert_eq!(fingerprint(&merged), fingerprint(&fresh));
}

#[test]
fn parallel_levels_add_up_and_later_ones_replace() {
    let with = |values: &[u64]| {
        let mut tally = Tally::new(1);
        for &value in values {
            tally.level(Gauge::InFlight, value);
        }
        tally
    };
    let level = |t: &Tally| {
        let l = t.levels[Gauge::InFlight as usize];
        (l.value, l.min, l.max, l.is_set)
    };
    let mut both = with(&[1, 5, 3]);
    both += &with(&[20, 10]);
    assert_eq!(level(&both), (13, 11, 25, true));
    let mut run = with(&[1, 5, 3]);
    run.append(&with(&[20, 10]));
    assert_eq!(level(&run), (10, 1, 20, true));
    run.append(&with(&[]));
    assert_eq!(level(&run), (10, 1, 20, true));
    let mut late = with(&[]);
    late.append(&with(&[7]));
    assert_eq!(level(&late), (7, 7, 7, true));
}

/// The operations on a tally.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a few of them, in a test")]
enum Step {
    Record(Sample),
    Gap(u16, u64),
    Opened(u64),
    Stale(u16),
}

fn tally_of_steps(steps: &[Step]) -> Tally {
    let mut tally = Tally::new(3);
    for step in steps {
        match step {
            Step::Record(sample) => {
                tally.record(sample);
                if let Outcome::Failed(failure) = sample.outcome
                    && tally.wants_example(failure, sample.end)
                {
                    tally.example(failure, sample.end, format!("{} events", sample.token_events));
                }
            }
            Step::Gap(kind, gap) => tally.gap(*kind, 0, Nanos(*gap)),
            Step::Opened(took) => tally.connection_opened(Nanos(*took)),
            Step::Stale(kind) => tally.stale_retry(*kind, true),
        }
    }
    tally
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let outcome = prop_oneof![
        4 => Just(Outcome::Success),
        2 => (0..Failure::ALL.len()).prop_map(|i| Outcome::Failed(Failure::ALL[i])),
        1 => Just(Outcome::Interrupted),
        1 => Just(Outcome::Cancelled),
    ];
    let shape = (0u16..3, outcome, 1u32..50, prop::option::of(0u32..100), any::<bool>(), 0u64..5_000_000_000_000);
    let extras = (prop::sample::select(vec![0u16, 200, 404, 429, 500]), 0u32..50, 0u8..4, any::<bool>());
    (shape, extras).prop_map(
        |((kind, outcome, events, usage, in_window, took), (status, inside, checks_held, broken))| {
            let base = stream(kind, events, usage);
            let check_failed = broken.then_some(["choices", "usage"][usize::from(kind % 2)]);
            let token_events_in_window = inside.min(events);
            Sample {
                outcome,
                status,
                retry_after_ms: std::num::NonZeroU32::new(inside).filter(|_| status == 429),
                in_window,
                checks_held,
                check_failed,
                token_events_in_window,
                end: base.sent + Nanos(took),
                ..base
            }
        },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any_sample().prop_map(Step::Record),
        2 => (0u16..3, 0u64..10_000_000_000).prop_map(|(kind, gap)| Step::Gap(kind, gap)),
        1 => (0u64..10_000_000_000).prop_map(Step::Opened),
        1 => (0u16..3).prop_map(Step::Stale),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_split_adds_up_to_the_whole(steps in prop::collection::vec((any_step(), 0usize..4), 0..40)) {
        let all: Vec<_> = steps.iter().map(|(step, _)| step.clone()).collect();
        let mut sum = Tally::new(3);
        let mut chain = Tally::new(3);
        for worker in 0..4 {
            let own: Vec<_> = steps.iter().filter(|(_, w)| *w == worker).map(|(step, _)| step.clone()).collect();
            sum += &tally_of_steps(&own);
            chain.append(&tally_of_steps(&own));
        }
        let whole = tally_of_steps(&all);
        prop_assert_eq!(fingerprint(&sum), fingerprint(&whole));
        prop_assert_eq!(fingerprint(&chain), fingerprint(&whole));
        // The percentiles of the merged tally are those of a tally that recorded everything.
        let names = ["a", "b", "c"].map(str::to_owned);
        let of = |tally: &Tally| Summary::new(tally, &names, Nanos::from_secs(1));
        let (merged, direct) = (of(&sum), of(&whole));
        for trend in Trend::ALL {
            let read = |s: &Summary| s.trend(trend, None).map(|d| (d.count, d.percentiles_ms([50.0, 95.0, 99.0, 99.9])));
            prop_assert_eq!(read(&merged), read(&direct));
        }
    }

    #[test]
    fn order_and_grouping_do_not_matter(
        lists in prop::array::uniform3(prop::collection::vec(any_step(), 0..12)),
        levels in prop::array::uniform3(prop::option::of(0u64..1_000)),
    ) {
        let mut tallies = [0, 1, 2].map(|i| tally_of_steps(&lists[i]));
        for (tally, level) in tallies.iter_mut().zip(levels) {
            if let Some(value) = level {
                tally.level(Gauge::Connections, value);
            }
        }
        let [a, b, c] = tallies;
        let plus = |x: &Tally, y: &Tally| {
            let mut sum = x.clone();
            sum += y;
            sum
        };
        prop_assert_eq!(fingerprint(&plus(&a, &b)), fingerprint(&plus(&b, &a)));
        prop_assert_eq!(fingerprint(&plus(&plus(&a, &b), &c)), fingerprint(&plus(&a, &plus(&b, &c))));
    }

    #[test]
    fn a_cleared_tally_counts_like_a_new_one(before in prop::collection::vec(any_step(), 0..12), after in prop::collection::vec(any_step(), 0..12)) {
        let mut used = tally_of_steps(&before);
        used.clear();
        used += &tally_of_steps(&after);
        let mut sum = Tally::new(3);
        sum += &used;
        prop_assert_eq!(fingerprint(&sum), fingerprint(&tally_of_steps(&after)));
    }
}

#[test]
fn a_first_event_that_says_how_many_tokens_it_holds_is_not_one_token() {
    // 11 events: the first has 11 tokens, and ten of one token each follow 10 ms apart.
    let sample = Sample { tokens_in_first_event: 11, ..stream(0, 11, Some(21)) };
    assert_eq!(time_per_output_token(&sample), Some(Nanos::from_millis(10)));
    let unknown = Sample { tokens_in_first_event: 0, ..sample };
    assert_eq!(time_per_output_token(&unknown), Some(Nanos::from_millis(5)));
    let all = Sample { tokens_in_first_event: 21, ..sample };
    assert_eq!(time_per_output_token(&all), None, "none are left to share the time");
}

#[test]
fn a_stream_that_ended_early_has_no_fewer_tokens_than_events() {
    for (outcome, wanted) in [
        (Outcome::Success, 1),
        (Outcome::Failed(Failure::Truncated), 12),
        (Outcome::Cancelled, 12),
        (Outcome::Interrupted, 12),
    ] {
        let tally = tally_of(&[Sample { outcome, ..stream(0, 12, Some(1)) }]);
        assert_eq!(count(&tally, Counter::TokensOutput).0, wanted, "{outcome:?}");
    }
    let tally = tally_of(&[Sample { outcome: Outcome::Cancelled, ..stream(0, 12, Some(40)) }]);
    assert_eq!(count(&tally, Counter::TokensOutput).0, 40, "several tokens per event");
}

#[test]
fn cached_tokens_are_counted_apart() {
    let usage = Some(TokenUsage { input: 9, output: 2, reasoning: 0, cached: 4, written: 0 });
    let tally = tally_of(&[Sample { usage, ..success(0, 10) }]);
    assert_eq!((count(&tally, Counter::TokensInput).0, count(&tally, Counter::TokensCached).0), (9, 4));
}

#[test]
fn the_lowest_that_is_left_of_rate_limits_is_kept() {
    let remaining = |requests, tokens| Remaining { requests, tokens, ..Remaining::default() };
    let mut tally = Tally::new(1);
    for left in [remaining(Some(7), None), remaining(Some(5), Some(90)), remaining(None, None)] {
        tally.remains(left);
    }
    tally.remains(remaining(Some(3), None));
    assert_eq!(tally.remaining, remaining(Some(3), Some(90)));
    let mut other = Tally::new(1);
    other.remains(remaining(Some(4), Some(80)));
    other += &tally;
    assert_eq!(other.remaining, remaining(Some(3), Some(80)));
    other.clear();
    assert_eq!(other.remaining, Remaining::default(), "a second begins anew");
}
