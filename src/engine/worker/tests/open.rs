//! Open load: the effect of a server on users that do not wait for it.

use super::*;
use crate::load::{Arrivals, OnFull, Spacing};
use std::sync::Arc;

/// The server of these tests: its time for a response, and the start and end of its freeze. No
/// response leaves during the freeze.
const SERVICE: Nanos = millis(5);
const FREEZE: Nanos = millis(1_000);
const THAW: Nanos = millis(2_000);

const fn millis(n: u64) -> Nanos {
    Nanos::from_millis(n)
}

fn arrivals(vus: u32) -> Arrivals {
    Arrivals {
        start_rate: 200,
        time_unit: Nanos::from_secs(1),
        stages: vec![Stage { duration: Nanos::from_secs(5), target: 200 }],
        pre_allocated_vus: vus,
        max_vus: vus,
        spacing: Spacing::Constant,
        on_full: OnFull::Queue,
    }
}

/// A server that takes its usual time, except that it is frozen from 1 s to 2 s.
fn freezing(now: Rc<Cell<Nanos>>) -> impl FnMut(Heard<'_>) -> Vec<(Nanos, Act)> {
    move |heard| match heard {
        Heard::Connect { .. } => vec![(Nanos::ZERO, Act::Accept)],
        Heard::Bytes { .. } => {
            let now = now.get();
            let frozen = now + SERVICE >= FREEZE && now < THAW;
            vec![(if frozen { THAW.since(now) + SERVICE } else { SERVICE }, plain())]
        }
    }
}

/// Returns a plan with that rate of requests, and with limits that no freeze reaches.
fn open_plan(arrivals: Arrivals) -> Plan {
    let mut plan = plan(Shape::ConstantArrivalRate(arrivals), false);
    let long = millis(60_000);
    Arc::make_mut(&mut plan.mix).kinds[0].timeouts =
        Timeouts { connect: long, first_byte: long, stall: long, total: long };
    plan
}

/// Runs the plan against the freezing server, whose clock is the worker's.
fn run_frozen(plan: &Plan) -> Ran {
    let clock = Rc::new(Cell::new(Nanos::ZERO));
    run_on(Rc::clone(&clock), plan, Nanos::MAX, u64::MAX, freezing(clock))
}

/// Calculates the waits of such a server's users: arrivals in order, each served by the user that
/// is free first.
fn waits(vus: usize) -> Vec<f64> {
    let mut free_at = vec![Nanos::ZERO; vus];
    let mut waits: Vec<f64> = (0..1_000)
        .map(|k| {
            let intended = ms(5 * k);
            let user = free_at.iter_mut().min().expect("a user");
            let sent = intended.max(*user);
            let frozen = sent + SERVICE >= FREEZE && sent < THAW;
            *user = if frozen { THAW + SERVICE } else { sent + SERVICE };
            user.since(intended).as_millis_f64()
        })
        .collect();
    waits.sort_by(f64::total_cmp);
    waits
}

#[test]
fn a_freeze_of_the_server_is_in_the_times_from_the_intended_instant() {
    let plan = open_plan(arrivals(4));
    let ran = run_frozen(&plan);
    let p99 = |trend| ran.summary.trend(trend, None).expect("times").percentile_ms(99.0);
    // Nearest rank: the 990th of 1,000.
    let expected = waits(4)[989];
    assert!(expected > 900.0, "the arithmetic sees the second: {expected}");
    let measured = p99(Trend::HttpReqDurationFromIntended);
    assert!((measured / expected - 1.0).abs() < 0.05, "{measured} ms, by arithmetic {expected} ms");
    assert!(p99(Trend::HttpReqDuration) < 6.0, "only the four under route saw the freeze: coordinated omission");
    assert!(p99(Trend::ScheduleLag) > 900.0);
    // No arrival is lost.
    for counter in [Counter::ArrivalsOffered, Counter::ArrivalsStarted, Counter::Iterations, Counter::HttpReqs] {
        assert_eq!(ran.count(counter), 1_000, "{}", counter.name());
    }
    assert_eq!(ran.count(Counter::DroppedIterations), 0);
    assert!(ran.failures.is_empty());
}

#[test]
fn with_enough_users_nobody_waits_to_be_sent() {
    let plan = open_plan(arrivals(300));
    let ran = run_frozen(&plan);
    let (_, lag, _) = ran.trend(Trend::ScheduleLag).expect("lags");
    assert!(lag < 1e-6, "{lag} ms late");
    let (from_intended, service) = (ran.trend(Trend::HttpReqDurationFromIntended), ran.trend(Trend::HttpReqDuration));
    assert_eq!(from_intended, service, "sent as intended, both say the same");
    assert!(service.is_some_and(|(_, longest, _)| longest > 1_000.0));
}

#[test]
fn arrivals_may_be_dropped_and_are_counted() {
    let open = Arrivals { on_full: OnFull::Drop, ..arrivals(4) };
    let ran = run_frozen(&open_plan(open));
    let [offered, started, dropped] =
        [Counter::ArrivalsOffered, Counter::ArrivalsStarted, Counter::DroppedIterations].map(|c| ran.count(c));
    assert_eq!((offered, started + dropped), (1_000, 1_000));
    assert!((190..=200).contains(&dropped), "those of the second but the four: {dropped}");
    assert!(ran.trend(Trend::HttpReqDurationFromIntended).is_some_and(|(_, longest, _)| longest < 1_011.0));
}

#[test]
fn who_still_waits_when_the_grace_is_over_is_dropped() {
    let mute = |heard: Heard<'_>| match heard {
        Heard::Connect { .. } => vec![(Nanos::ZERO, Act::Accept)],
        Heard::Bytes { .. } => Vec::new(),
    };
    let plan = open_plan(arrivals(1));
    let ran = run(&plan, mute);
    assert_eq!(ran.ended.at, ms(5_500), "the end and the grace");
    assert_eq!(ran.count(Counter::ArrivalsOffered), 1_000);
    assert_eq!((ran.count(Counter::Interrupted), ran.count(Counter::DroppedIterations)), (1, 999));
}

#[test]
fn a_dead_server_is_asked_at_the_rate_and_no_faster() {
    let refusing = |heard: Heard<'_>| match heard {
        Heard::Connect { .. } => vec![(Nanos::ZERO, Act::Refuse)],
        Heard::Bytes { .. } => Vec::new(),
    };
    let ran = run(&open_plan(arrivals(10)), refusing);
    assert_eq!(ran.failures, [(Failure::ConnectRefused, 1_000)]);
    assert_eq!(ran.connects.len(), 1_000);
    assert!(ran.connects.iter().zip(0..).all(|(at, k)| *at == ms(5 * k)));
}

#[test]
fn a_stop_leaves_the_rest_unoffered() {
    let clock = Rc::new(Cell::new(Nanos::ZERO));
    let ran = run_on(Rc::clone(&clock), &open_plan(arrivals(4)), ms(500), u64::MAX, freezing(clock));
    let offered = ran.count(Counter::ArrivalsOffered);
    assert!((100..=112).contains(&offered), "{offered} of those due in half a second, and until the flag was seen");
    assert_eq!(offered, ran.count(Counter::ArrivalsStarted) + ran.count(Counter::DroppedIterations));
}
