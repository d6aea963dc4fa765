//! A worker that gets no core for a while reads late. Its numbers are never better than the truth,
//! and it blames the server only for the server's own delays.

use super::*;
use proptest::prelude::*;
use std::sync::Arc;

/// When the request is sent.
const SENT: Nanos = MS;

/// Events that came within this time share an instant.
const TOLERANCE_MS: f64 = 1.001;

/// A stream: the gaps before its head, its role chunk and its tokens, in µs.
fn streams() -> impl Strategy<Value = Vec<u64>> {
    proptest::collection::vec(prop_oneof![300..3_000_u64, 3_000..60_000_u64], 4..30)
}

/// Pauses between stalls and their lengths, in µs.
fn stalls() -> impl Strategy<Value = Vec<(u64, u64)>> {
    proptest::collection::vec((100..80_000_u64, 500..120_000_u64), 0..12)
}

fn role() -> Act {
    chunk("data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n")
}

/// The true times of a stream, in ms after the request was sent.
struct Truth {
    first_event: f64,
    tokens: Vec<f64>,
    end: f64,
}

impl Truth {
    fn gaps(&self) -> impl Iterator<Item = f64> + '_ {
        self.tokens.windows(2).map(|pair| pair[1] - pair[0])
    }

    fn longest_gap(&self) -> f64 {
        self.gaps().fold(0.0, f64::max)
    }

    fn tpot(&self) -> f64 {
        (self.tokens[self.tokens.len() - 1] - self.tokens[0]) / (self.tokens.len() - 1) as f64
    }
}

fn stream(gaps: &[u64], starved: &[(u64, u64)], stamps: bool) -> (Truth, Ran) {
    let mut at = Nanos::ZERO;
    let instants: Vec<Nanos> = gaps
        .iter()
        .map(|gap| {
            at += Nanos::from_micros(*gap);
            at
        })
        .collect();
    let since = |instant: Nanos| instant.as_secs_f64() * 1e3;
    let end = instants[instants.len() - 1];
    let truth = Truth {
        first_event: since(instants[1]),
        tokens: instants[2..].iter().map(|instant| since(*instant)).collect(),
        end: since(end),
    };
    let mut free = SENT;
    let starved = starved
        .iter()
        .map(|(pause, length)| {
            let begin = free + Nanos::from_micros(*pause);
            free = begin + Nanos::from_micros(*length);
            // A worker that reads within 1 ms of the last bytes cannot know that it is late.
            let comes_by_chance = |end: &Nanos| {
                instants.iter().map(|&instant| SENT + instant).any(|at| at > begin && at <= *end && end.since(at) <= MS)
            };
            while comes_by_chance(&free) {
                free += MS;
            }
            (begin, free)
        })
        .collect();
    let now = Rc::new(Cell::new(Nanos::ZERO));
    let clock = Rc::clone(&now);
    let peer = serving(move |_| {
        let sent = clock.get();
        let acts = instants.iter().enumerate().map(|(i, &instant)| {
            let act = match i {
                0 => stream_head(),
                1 => role(),
                _ => token(),
            };
            let Act::Send(bytes) = act else { unreachable!() };
            (instant, Act::SendStamped(bytes, sent + instant))
        });
        let Act::Send(last) = stream_end() else { unreachable!() };
        acts.chain([(end, Act::SendStamped(last, sent + end))]).collect()
    });
    let mut plan = plan(iterations(1, 1), true);
    Arc::make_mut(&mut plan.mix).kinds[0].timeouts =
        Timeouts { connect: ms(60_000), first_byte: ms(60_000), stall: ms(60_000), total: ms(60_000) };
    plan.tuning.rx_timestamps = Some(stamps);
    (truth, run_starved(now, &plan, Nanos::MAX, u64::MAX, starved, peer))
}

fn one(ran: &Ran, trend: Trend) -> Option<f64> {
    ran.trend(trend).map(|(min, max, count)| {
        assert!(count == 1 && (max - min).abs() < 1e-9, "{trend:?} of one request");
        min
    })
}

proptest! {
    #[test]
    fn what_is_reported_is_never_better_than_the_truth(gaps in streams(), stalls in stalls(), stamps: bool) {
        let (truth, ran) = stream(&gaps, &stalls, stamps);
        prop_assert!(ran.failures.is_empty(), "{:?}", ran.failures);
        for (trend, truth) in [
            (Trend::Ttfe, truth.first_event),
            (Trend::Ttft, truth.tokens[0]),
            (Trend::Ttfo, truth.tokens[0]),
            (Trend::Tpot, truth.tpot()),
            (Trend::HttpReqDuration, truth.end),
        ] {
            // Without stamps nothing shows that the first token had waited, and a time that began
            // late is too short.
            let is_told = stamps || trend != Trend::Tpot;
            if let Some(reported) = one(&ran, trend).filter(|_| is_told) {
                prop_assert!(reported > truth - TOLERANCE_MS, "{trend:?}: {reported} of {truth}");
                // With stamps the worker's lateness is not in the numbers, either.
                let exact = reported < truth + TOLERANCE_MS;
                prop_assert!(exact || !stamps, "{trend:?}: {reported} of {truth}");
            }
        }
        if stamps {
            if let Some(stall) = one(&ran, Trend::Stall) {
                prop_assert!((stall - truth.longest_gap()).abs() < TOLERANCE_MS, "{stall} of {}", truth.longest_gap());
            }
            let (shortest, longest, known) = ran.trend(Trend::Tbt).unwrap_or((f64::MAX, 0.0, 0));
            let unknown = ran.count(Counter::TbtCensored);
            prop_assert_eq!(known + unknown, truth.tokens.len() as u64 - 1, "every gap is known or counted");
            prop_assert!(longest < truth.longest_gap() + TOLERANCE_MS);
            prop_assert!(shortest > truth.gaps().fold(f64::MAX, f64::min) - TOLERANCE_MS);
        }
    }
}

#[test]
fn a_worker_that_is_in_time_knows_everything() {
    for stamps in [true, false] {
        let (truth, ran) = stream(&[5_000, 2_000, 40_000, 10_000, 10_000, 30_000, 10_000], &[], stamps);
        assert_eq!(one(&ran, Trend::Ttfe), Some(truth.first_event));
        assert_eq!(one(&ran, Trend::Ttft), Some(truth.tokens[0]));
        assert_eq!(one(&ran, Trend::Stall), Some(30.0));
        assert_eq!(one(&ran, Trend::Tpot), Some(15.0));
        let unknown = [Counter::TbtCensored, Counter::TtfeCensored, Counter::TtftCensored, Counter::TpotCensored];
        assert_eq!(unknown.map(|counter| ran.count(counter)), [0; 4]);
    }
}

#[test]
fn a_stream_that_lay_there_for_a_while_has_no_times_of_its_own() {
    // Everything came while the worker had no core, and was read at once: the first token seemed to
    // come with the last, so the time per token was zero.
    let (truth, ran) = stream(&[5_000, 2_000, 4_000, 4_000, 4_000, 4_000], &[(4_000, 200_000)], true);
    let times = [Trend::Ttfe, Trend::Ttft, Trend::Ttfo, Trend::Tpot, Trend::Stall, Trend::Tbt];
    assert_eq!(times.map(|trend| ran.trend(trend)), [None; 6]);
    let unknown = [Counter::TtfeCensored, Counter::TtftCensored, Counter::TpotCensored, Counter::StallCensored];
    assert_eq!(unknown.map(|counter| ran.count(counter)), [1; 4]);
    assert_eq!(ran.count(Counter::TbtCensored), truth.tokens.len() as u64 - 1);
}
