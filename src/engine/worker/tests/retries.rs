//! Requests that are sent again after a failure: the counts of requests and attempts, and the fate
//! of the pauses at the end.

use super::*;
use crate::metrics::Rate;
use crate::mix::{Retries, RetryPolicy};
use std::sync::Arc;

fn retried(shape: Shape, stream: bool, policy: RetryPolicy, max: u16) -> Plan {
    let mut plan = plan(shape, stream);
    Arc::make_mut(&mut plan.mix).kinds[0].retries = Some(Retries { policy, max });
    plan
}

fn status(status: u16, fields: &str) -> Act {
    Act::Send(format!("HTTP/1.1 {status} No\r\n{fields}content-length: 2\r\n\r\n{{}}").into_bytes())
}

/// Refuses `n` times with 429, each with that many ms to wait, then responds after 20 ms.
fn limited(n: usize, wait_ms: u32) -> impl FnMut(Heard<'_>) -> Vec<(Nanos, Act)> {
    let limit = status(429, &format!("retry-after-ms: {wait_ms}\r\n"));
    serving(move |nth| if nth < n { vec![(ms(5), limit.clone())] } else { vec![(ms(20), plain())] })
}

fn ends(ran: &Ran) -> [u64; 3] {
    [Counter::HttpReqs, Counter::Cancelled, Counter::Interrupted].map(|c| ran.count(c))
}

/// Returns the attempts, the retries, and the started requests. All of them must have ended.
fn balance(ran: &Ran) -> (u64, u64, u64) {
    let started = ran.count(Counter::HttpReqsStarted);
    assert_eq!(started, ends(ran).iter().sum::<u64>(), "{:?}", ends(ran));
    (ran.count(Counter::Attempts), ran.count(Counter::Retries), started)
}

#[test]
fn a_request_is_one_however_many_attempts_it_takes() {
    let ran = run(&retried(iterations(1, 1), false, RetryPolicy::Openai, 2), limited(2, 100));
    assert_eq!((balance(&ran), &ran.failures), ((3, 2, 1), &vec![]));
    // Connected after 1 ms: twice 5 ms and a pause of 100 ms, then 20 ms.
    assert_eq!(ran.trend(Trend::HttpReqDuration), Some((230.0, 230.0, 1)), "as its user sees it");
    assert_eq!(ran.trend(Trend::AttemptDuration), Some((20.0, 20.0, 1)), "as the server does");
    assert_eq!(ran.connects.len(), 1, "a refusal does not cost the connection");
    assert_eq!(ran.summary.retried, [(Failure::Http429, 2)]);
    assert_eq!(ran.summary.statuses, [(200, 1), (429, 2)]);
    assert_eq!(ran.count(Counter::HttpReqsSent), 3, "which the server has seen");
    let amplification = ran.summary.rate(Rate::Amplification, None).expect("attempts");
    assert_eq!((amplification.matches, amplification.total), (3, 1));
}

#[test]
fn the_last_attempt_says_how_a_request_ends() {
    let ran = run(&retried(iterations(1, 1), false, RetryPolicy::Openai, 2), limited(9, 100));
    assert_eq!((balance(&ran), ran.failures), ((3, 2, 1), vec![(Failure::Http429, 1)]));
    assert_eq!(ran.summary.retried, [(Failure::Http429, 2)]);
}

#[test]
fn without_a_failure_there_is_one_attempt() {
    let ran = run(&retried(iterations(2, 3), false, RetryPolicy::Openai, 2), limited(0, 0));
    assert_eq!((balance(&ran), ran.summary.retried.len()), ((6, 0, 6), 0));
    assert_eq!(ran.trend(Trend::AttemptDuration), ran.trend(Trend::HttpReqDuration));
    // Without retries nothing is counted.
    let ran = run(&plan(iterations(2, 3), false), limited(1, 10));
    assert_eq!((balance(&ran), &ran.failures), ((0, 0, 6), &vec![(Failure::Http429, 1)]));
    assert_eq!(ran.trend(Trend::AttemptDuration), None);
}

#[test]
fn a_refused_connection_is_tried_again_after_a_back_off() {
    let plan = retried(iterations(1, 1), false, RetryPolicy::Openai, 2);
    let mut serve = limited(0, 0);
    let ran = run(&plan, move |heard| match heard {
        Heard::Connect { nth: 0 | 1 } => vec![(MS, Act::Refuse)],
        heard => serve(heard),
    });
    assert_eq!(balance(&ran), (3, 2, 1));
    let pauses: Vec<f64> = ran.connects.windows(2).map(|pair| pair[1].since(pair[0]).as_millis_f64()).collect();
    assert!((376.0..=501.0).contains(&pauses[0]) && (751.0..=1_001.0).contains(&pauses[1]), "{pauses:?}");
    assert_eq!(ran.count(Counter::BackOffs), 0, "the policy says how long to wait");
    let again = run(&plan, |_| vec![(MS, Act::Refuse)]);
    assert_eq!(again.connects[..3], ran.connects[..3], "by the seed");
    assert_eq!((balance(&again), again.failures), ((3, 2, 1), vec![(Failure::ConnectRefused, 1)]));
}

#[test]
fn a_stream_that_breaks_off_is_sent_again_only_by_an_application() {
    let peer = |n: usize| match n {
        0 => vec![(ms(1), stream_head()), (ms(2), token()), (ms(3), Act::Close)],
        _ => five_tokens(),
    };
    let ran = run(&retried(iterations(1, 1), true, RetryPolicy::EveryFailure, 2), serving(peer));
    assert_eq!((balance(&ran), &ran.failures), ((2, 1, 1), &vec![]));
    assert_eq!(ran.summary.retried, [(Failure::ClosedEarly, 1)]);
    assert_eq!(ran.count(Counter::TokenEvents), 6, "what came was received");
    let (ttft, _, _) = ran.trend(Trend::Ttft).expect("tokens");
    let (attempt, _, _) = ran.trend(Trend::AttemptTtft).expect("tokens");
    assert!(ttft > 376.0 && attempt < 50.0, "{ttft} {attempt}");
    let cut = serving(|_| vec![(ms(1), stream_head()), (ms(2), token()), (ms(3), Act::Close)]);
    let ran = run(&retried(iterations(1, 1), true, RetryPolicy::Openai, 2), cut);
    assert_eq!((balance(&ran), ran.failures), ((1, 0, 1), vec![(Failure::ClosedEarly, 1)]));
}

#[test]
fn attempts_have_limits_of_their_own() {
    let peer = serving(|n| if n == 0 { vec![] } else { vec![(ms(600), plain())] });
    let ran = run(&retried(iterations(1, 1), false, RetryPolicy::Openai, 1), peer);
    assert_eq!((balance(&ran), &ran.summary.retried), ((2, 1, 1), &vec![(Failure::TimeoutFirstByte, 1)]));
    let (took, _, _) = ran.trend(Trend::HttpReqDuration).expect("a success");
    assert!((700.0 + 375.0 + 600.0..700.0 + 501.0 + 601.0).contains(&took), "{took}");
}

#[test]
fn what_still_pauses_when_all_is_cut_off_is_interrupted() {
    let shape = Shape::ConstantVus { vus: 3, duration: ms(300) };
    // A pause that ends within the grace of 500 ms goes on to its attempt.
    let ran = run(&retried(shape.clone(), false, RetryPolicy::Openai, 9), limited(3, 400));
    assert_eq!((balance(&ran).2, ends(&ran)), (3, [3, 0, 0]));
    assert!(ran.ended.at < ms(500), "{:?}", ran.ended);
    // A pause that would end later is cut off as soon as nothing new begins.
    let ran = run(&retried(shape.clone(), false, RetryPolicy::Openai, 9), limited(3, 5_000));
    assert_eq!((balance(&ran), ends(&ran)), ((3, 0, 3), [0, 0, 3]));
    assert!((ms(300)..ms(400)).contains(&ran.ended.at), "{:?}", ran.ended);
    assert_eq!(ran.summary.retried, [(Failure::Http429, 3)]);
    assert_eq!(ran.summary.statuses, [(429, 3)], "each answer once");
    // A stop counts as the end. The fourth user has no pause.
    let shape = Shape::ConstantVus { vus: 4, duration: ms(300) };
    let ran = run_until(&retried(shape.clone(), false, RetryPolicy::Openai, 9), ms(50), limited(3, 400));
    assert_eq!((balance(&ran).1, ends(&ran)[2]), (3, 0));
    let ran = run_until(&retried(shape, false, RetryPolicy::Openai, 9), ms(50), limited(3, 5_000));
    assert_eq!((balance(&ran).1, ends(&ran)[2]), (0, 3));
    assert!(ran.ended.at < ms(150), "{:?}", ran.ended);
}

#[test]
fn a_user_that_is_ramped_away_pauses_no_longer_than_its_grace() {
    let stages = [(100, 2), (1, 0), (2_000, 0)].map(|(t, target)| Stage { duration: ms(t), target }).to_vec();
    let shape = |grace| Shape::RampingVus { start_vus: 2, stages: stages.clone(), graceful_ramp_down: ms(grace) };
    let ran = run(&retried(shape(300), false, RetryPolicy::Openai, 1), limited(2, 1_000));
    assert_eq!((balance(&ran), ends(&ran)), ((2, 0, 2), [0, 0, 2]));
    let ran = run(&retried(shape(1_500), false, RetryPolicy::Openai, 1), limited(2, 1_000));
    assert_eq!((balance(&ran), ends(&ran)), ((4, 2, 2), [2, 0, 0]));
}

#[test]
fn retries_belong_to_the_phase_of_their_request() {
    let stages = [(50, 1), (500, 1)].map(|(t, target)| Stage { duration: ms(t), target }).to_vec();
    let shape = Shape::RampingVus { start_vus: 1, stages, graceful_ramp_down: ms(100) };
    let ran = run(&retried(shape, false, RetryPolicy::Openai, 1), limited(1, 100));
    for phase in [0, 1] {
        let count = |counter| -> u64 {
            let of = ran.phases.iter().filter(|(of, _)| *of == phase);
            of.filter_map(|(_, s)| s.counter(counter, None)).map(|c| c.count).sum()
        };
        let ended = count(Counter::HttpReqs) + count(Counter::Interrupted);
        assert_eq!(count(Counter::HttpReqsStarted), ended, "phase {phase}");
    }
}

#[test]
fn an_open_load_counts_requests_and_not_attempts() {
    let arrivals = crate::load::Arrivals {
        start_rate: 10,
        time_unit: Nanos::from_secs(1),
        stages: vec![Stage { duration: ms(1_000), target: 10 }],
        pre_allocated_vus: 4,
        max_vus: 4,
        spacing: crate::load::Spacing::Constant,
        on_full: crate::load::OnFull::Drop,
    };
    let shape = Shape::ConstantArrivalRate(arrivals);
    // Every request takes 5 + 250 + 20 ms, so that three users are busy at a time.
    let limit = status(429, "retry-after-ms: 250\r\n");
    let mut served = BTreeMap::new();
    let peer = move |heard: Heard<'_>| match heard {
        Heard::Connect { .. } => vec![(Nanos::ZERO, Act::Accept)],
        Heard::Bytes { connection, .. } => {
            let n = served.entry(connection).or_insert(0);
            *n += 1;
            if *n % 2 == 1 { vec![(ms(5), limit.clone())] } else { vec![(ms(20), plain())] }
        }
    };
    let ran = run(&retried(shape, false, RetryPolicy::Openai, 1), peer);
    assert_eq!(ran.count(Counter::ArrivalsOffered), 10);
    let (attempts, retries, started) = balance(&ran);
    assert_eq!((attempts, retries, started), (20, 10, 10));
    assert_eq!(ran.count(Counter::DroppedIterations), 0);
    let (lag, most, _) = ran.trend(Trend::ScheduleLag).expect("instants");
    assert!(lag >= 0.0 && most < 5.0, "the pause is no lag: {most}");
    let (from_intended, _, _) = ran.trend(Trend::HttpReqDurationFromIntended).expect("successes");
    assert!(from_intended >= 275.0, "{from_intended}");
}

#[test]
fn a_success_that_was_none_takes_its_attempt_along() {
    let late = [(ms(20), plain()), (ms(21), Act::Send(b"garbage".to_vec()))];
    let peer = serving(move |n| if n == 0 { late.to_vec() } else { vec![(ms(20), plain())] });
    let mut plan = retried(iterations(1, 2), false, RetryPolicy::Openai, 1);
    plan.think_time = ThinkTime { min: ms(50), max: ms(50) };
    let ran = run(&plan, peer);
    let mut all = Tally::new(1);
    ran.seconds.values().for_each(|second| all.append(second));
    all.settle();
    let summary = Summary::new(&all, &["r".to_owned()], Nanos::from_secs(1));
    let counts =
        [Trend::HttpReqDuration, Trend::AttemptDuration].map(|trend| summary.trend(trend, None).map_or(0, |d| d.count));
    assert_eq!((counts[0], ran.failures), (counts[1], vec![(Failure::BadHttp, 1)]));
}
