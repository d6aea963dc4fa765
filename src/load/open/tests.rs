use super::*;
use crate::load::{Shape, ThinkTime};
use proptest::prelude::*;

fn ms(n: u64) -> Nanos {
    Nanos::from_millis(n)
}

fn constant(rate: u32, seconds: u64, vus: u32) -> Arrivals {
    Arrivals {
        start_rate: rate,
        time_unit: Nanos::from_secs(1),
        stages: vec![Stage { duration: Nanos::from_secs(seconds), target: rate }],
        pre_allocated_vus: vus,
        max_vus: vus,
        spacing: Spacing::Constant,
        on_full: OnFull::Queue,
    }
}

fn load(arrivals: &Arrivals, seed: u64, shard: u32, of: u32) -> Load {
    Load {
        shape: Shape::RampingArrivalRate(arrivals.clone()),
        think_time: ThinkTime::default(),
        graceful_stop: Nanos::ZERO,
        seed,
        shard,
        of,
        workers: 1,
        requests: None,
    }
}

fn schedule(arrivals: &Arrivals) -> Schedule {
    Schedule::new(&load(arrivals, 1, 0, 1))
}

/// Returns every arrival of a sequence.
fn all(arrivals: &Arrivals, seed: u64) -> Vec<Arrival> {
    Sequence::new(arrivals, seed).collect()
}

/// Returns all starts of a shard whose requests take no time.
fn starts(arrivals: &Arrivals, seed: u64, shard: u32, of: u32) -> Vec<(u64, Nanos)> {
    starts_of(&load(arrivals, seed, shard, of))
}

fn starts_of(load: &Load) -> Vec<(u64, Nanos)> {
    let mut schedule = Schedule::new(load);
    let mut starts = Vec::new();
    while let Some(now) = schedule.next_due() {
        while let Some(Turn::Start(start)) = schedule.due(now) {
            assert_eq!(start.intended, now, "due at its instant, not before or after");
            starts.push((start.iteration, start.intended));
            schedule.finished(start.slot);
        }
    }
    assert!(schedule.is_over());
    starts
}

#[test]
fn a_constant_rate_is_exact() {
    let arrivals = all(&constant(200, 3, 1), 1);
    assert_eq!(arrivals.len(), 600);
    for (k, arrival) in (0..).zip(&arrivals) {
        assert_eq!((arrival.index, arrival.at), (k, ms(5 * k)));
    }
    let per_minute = Arrivals { time_unit: Nanos::from_secs(60), ..constant(90, 4, 1) };
    let instants: Vec<Nanos> = all(&per_minute, 1).iter().map(|arrival| arrival.at).collect();
    assert_eq!(
        instants,
        [0, 666_666_667, 1_333_333_333, 2_000_000_000, 2_666_666_667, 3_333_333_333].map(Nanos),
        "every two thirds of a second, to the nanosecond"
    );
}

#[test]
fn a_ramp_sends_what_is_under_its_line() {
    let ramp = Arrivals {
        start_rate: 0,
        stages: vec![
            Stage { duration: Nanos::from_secs(10), target: 100 },
            Stage { duration: Nanos::from_secs(5), target: 100 },
            Stage { duration: Nanos::ZERO, target: 20 },
            Stage { duration: Nanos::from_secs(5), target: 0 },
        ],
        ..constant(0, 0, 1)
    };
    let arrivals = all(&ramp, 1);
    // 500 arrivals in the first slope, 500 on the plateau, 50 in the last slope.
    assert_eq!(arrivals.len(), 1_050);
    let before = |at: Nanos| arrivals.iter().filter(|arrival| arrival.at < at).count();
    assert_eq!(before(Nanos::from_secs(5)), 125, "a quarter of the slope's in its first half");
    assert_eq!(before(Nanos::from_secs(10)), 500);
    assert_eq!(before(Nanos::from_secs(15)), 1_000);
    assert_eq!(arrivals[200].at, Nanos(6_324_555_320), "t = sqrt(2 · 200 / 10)");
    assert_eq!(ramp.peak_rate(), 100);
}

#[test]
fn a_rate_of_zero_sends_nothing() {
    let pause = Arrivals {
        start_rate: 0,
        stages: vec![
            Stage { duration: Nanos::from_secs(5), target: 0 },
            Stage { duration: Nanos::ZERO, target: 10 },
            Stage { duration: Nanos::from_secs(1), target: 10 },
        ],
        ..constant(0, 0, 1)
    };
    let arrivals = all(&pause, 1);
    assert_eq!(arrivals.len(), 10);
    assert_eq!(arrivals[0].at, Nanos::from_secs(5));
    assert_eq!(all(&constant(0, 100, 1), 1), []);
}

/// Returns mean and variance of the steps between arrivals at 1,000 a second, in units of their
/// mean.
fn moments(spacing: Spacing) -> (f64, f64) {
    let arrivals = all(&Arrivals { spacing, ..constant(1_000, 200, 1) }, 7);
    let mut steps = Vec::with_capacity(arrivals.len());
    let mut last = Nanos::ZERO;
    for arrival in arrivals {
        steps.push((arrival.at - last).as_millis_f64());
        last = arrival.at;
    }
    let mean = steps.iter().sum::<f64>() / steps.len() as f64;
    let variance = steps.iter().map(|step| (step - mean).powi(2)).sum::<f64>() / steps.len() as f64;
    (mean, variance)
}

#[test]
fn random_spacing_has_the_moments_it_should() {
    // A gamma step with shape b and mean 1 has variance 1/b. A Poisson step is one with shape 1.
    for (spacing, expected) in [
        (Spacing::Poisson, 1.0),
        (Spacing::Gamma { burstiness_thousandths: 1_000 }, 1.0),
        (Spacing::Gamma { burstiness_thousandths: 500 }, 2.0),
        (Spacing::Gamma { burstiness_thousandths: 4_000 }, 0.25),
    ] {
        let (mean, variance) = moments(spacing);
        assert!((mean - 1.0).abs() < 0.02, "{spacing:?}: mean {mean}");
        assert!((variance / expected - 1.0).abs() < 0.06, "{spacing:?}: variance {variance}");
    }
}

#[test]
fn random_arrivals_follow_the_ramp() {
    let ramp = Arrivals {
        start_rate: 0,
        stages: vec![Stage { duration: Nanos::from_secs(100), target: 1_000 }],
        spacing: Spacing::Poisson,
        ..constant(0, 0, 1)
    };
    let arrivals = all(&ramp, 3);
    // 50,000 arrivals are expected in all, and 12,500 in the first half. Five standard deviations
    // are 1,118 and 559.
    assert!(arrivals.len().abs_diff(50_000) < 1_118, "{}", arrivals.len());
    let early = arrivals.iter().filter(|arrival| arrival.at < Nanos::from_secs(50)).count();
    assert!(early.abs_diff(12_500) < 559, "{early}");
}

#[test]
fn who_finds_all_users_busy_waits_and_keeps_its_instant() {
    let mut schedule = schedule(&constant(100, 1, 2));
    let start = |schedule: &mut Schedule, now| match schedule.due(now) {
        Some(Turn::Start(start)) => Some((start.slot, start.iteration, start.intended)),
        _ => None,
    };
    assert_eq!(start(&mut schedule, ms(0)), Some((0, 0, ms(0))));
    assert_eq!(schedule.next_due(), Some(ms(10)));
    assert_eq!(start(&mut schedule, ms(10)), Some((1, 1, ms(10))));
    assert_eq!(start(&mut schedule, ms(50)), None, "four wait by now");
    assert_eq!(schedule.next_due(), None, "only a free user can help");
    schedule.finished(1);
    assert_eq!(start(&mut schedule, ms(52)), Some((1, 2, ms(20))));
    schedule.finished(1);
    schedule.finished(0);
    assert_eq!(start(&mut schedule, ms(53)), Some((0, 3, ms(30))), "the one that finished last is the warm one");
    assert_eq!(start(&mut schedule, ms(53)), Some((1, 4, ms(40))));
    assert_eq!(schedule.take_offered(), Offered { arrivals: 5, dropped: 0 });
    assert_eq!(schedule.take_offered(), Offered::default(), "told once");
}

#[test]
fn waiting_arrivals_start_after_the_end_and_are_dropped_when_the_grace_is_over() {
    let mut schedule = schedule(&constant(10, 1, 1));
    assert!(matches!(schedule.due(ms(0)), Some(Turn::Start(_))));
    assert_eq!(schedule.due(ms(1_500)), None);
    assert!(!schedule.is_over(), "nine wait");
    schedule.finished(0);
    assert!(matches!(schedule.due(ms(1_500)), Some(Turn::Start(Start { iteration: 1, .. }))));
    schedule.close(ms(2_000));
    assert!(schedule.is_over());
    assert_eq!(schedule.take_offered(), Offered { arrivals: 10, dropped: 8 });
}

#[test]
fn what_a_stop_prevents_was_never_offered() {
    let mut schedule = schedule(&constant(10, 100, 1));
    assert!(matches!(schedule.due(ms(0)), Some(Turn::Start(_))));
    schedule.close(ms(250));
    assert_eq!(schedule.take_offered(), Offered { arrivals: 3, dropped: 2 });
}

#[test]
fn who_finds_all_users_busy_may_be_dropped_instead() {
    let mut schedule = schedule(&Arrivals { on_full: OnFull::Drop, ..constant(100, 1, 1) });
    assert!(matches!(schedule.due(ms(0)), Some(Turn::Start(_))));
    assert_eq!(schedule.due(ms(35)), None);
    assert_eq!(schedule.next_due(), Some(ms(40)), "the next one has to be counted, too");
    schedule.finished(0);
    assert!(matches!(schedule.due(ms(40)), Some(Turn::Start(Start { iteration: 4, .. }))));
    assert_eq!(schedule.take_offered(), Offered { arrivals: 5, dropped: 3 });
}

#[test]
fn users_are_those_from_the_start_and_those_that_were_needed() {
    let mut schedule = schedule(&Arrivals { pre_allocated_vus: 2, ..constant(100, 1, 5) });
    assert_eq!(schedule.vus(), 2);
    for _ in 0..3 {
        assert!(schedule.due(ms(100)).is_some());
    }
    assert_eq!((schedule.vus(), schedule.local_vus()), (3, 5));
    schedule.finished(0);
    assert_eq!(schedule.vus(), 3, "who has come stays");
}

fn shapes() -> impl Strategy<Value = Arrivals> {
    let stages = prop::collection::vec((0u64..3_000, 0u32..400), 1..5);
    let spacing = prop_oneof![
        Just(Spacing::Constant),
        Just(Spacing::Poisson),
        (50u32..5_000).prop_map(|burstiness_thousandths| Spacing::Gamma { burstiness_thousandths }),
    ];
    (0u32..400, stages, spacing, 1u32..12).prop_map(|(start_rate, stages, spacing, max_vus)| Arrivals {
        start_rate,
        stages: stages.into_iter().map(|(length, target)| Stage { duration: ms(length), target }).collect(),
        spacing,
        max_vus,
        ..constant(0, 0, 1)
    })
}

proptest! {
    #[test]
    fn the_union_of_the_shards_is_the_whole(arrivals in shapes(), seed: u64, of in 1u32..=8) {
        let whole = starts(&arrivals, seed, 0, 1);
        let mut union: Vec<_> = (0..of).flat_map(|shard| starts(&arrivals, seed, shard, of)).collect();
        union.sort_unstable();
        prop_assert_eq!(union, whole);
    }

    #[test]
    fn arrivals_come_in_order_and_before_the_end(arrivals in shapes(), seed: u64) {
        let all = all(&arrivals, seed);
        prop_assert!(all.is_sorted_by_key(|arrival| arrival.at));
        prop_assert!(all.iter().all(|arrival| arrival.at <= arrivals.end()));
    }

    #[test]
    fn even_arrivals_are_as_many_as_the_area_under_the_rate(arrivals in shapes()) {
        let even = Arrivals { spacing: Spacing::Constant, ..arrivals };
        let mut from = f64::from(even.start_rate);
        let area = even.stages.iter().map(|stage| {
            let to = f64::from(stage.target);
            let part = stage.duration.as_secs_f64() * (from + to) / 2.0;
            from = to;
            part
        });
        let area: f64 = area.sum();
        prop_assert!((all(&even, 1).len() as f64 - area.ceil()).abs() <= 1.0);
    }
}

fn trace(instants: &[u64], passes: u32, period: u64, vus: u32) -> Load {
    let trace = Trace {
        instants: instants.iter().map(|&at| ms(at)).collect(),
        passes,
        period: ms(period),
        pre_allocated_vus: vus,
        max_vus: vus,
        on_full: OnFull::Queue,
    };
    Load { shape: Shape::Trace(trace), ..load(&constant(1, 1, 1), 1, 0, 1) }
}

#[test]
fn rows_of_a_trace_are_due_at_their_instants_in_each_pass() {
    let load = trace(&[0, 0, 7, 30], 2, 50, 4);
    let expected = [(0, 0), (1, 0), (2, 7), (3, 30), (4, 50), (5, 50), (6, 57), (7, 80)];
    assert_eq!(starts_of(&load), expected.map(|(index, at)| (index, ms(at))));
    assert_eq!((load.shape.end(), load.shape.peak_vus(), load.shape.is_open()), (ms(100), 4, true));
    assert_eq!(starts_of(&Load { requests: Some(3), ..load }).len(), 3);
    assert_eq!(starts_of(&trace(&[], 3, 50, 1)), []);
    let endless = trace(&[0, 1], u32::MAX, u64::MAX / 1_000_000, 1);
    assert_eq!(endless.shape.end(), Nanos::MAX, "absurd lengths do not overflow");
}

#[test]
fn shards_of_a_trace_take_rows_by_stride_and_keep_the_clock() {
    let instants: Vec<u64> = (0..97).map(|n| n * n / 7).collect();
    let whole = trace(&instants, 3, 2_000, 40);
    for of in [1, 2, 5] {
        let mut all: Vec<(u64, Nanos)> = Vec::new();
        for shard in 0..of {
            let part = starts_of(&Load { shard, of, ..whole.clone() });
            assert!(part.iter().all(|(index, _)| index % u64::from(of) == u64::from(shard)));
            all.extend(part);
        }
        all.sort_unstable();
        assert_eq!(all, starts_of(&whole), "{of} shards");
    }
}

#[test]
fn requests_that_are_used_up_end_the_arrivals() {
    let load = Load { requests: Some(7), ..load(&constant(100, 1, 3), 1, 0, 1) };
    assert_eq!(starts_of(&load).len(), 7);
    let parts: usize = (0..2).map(|shard| starts_of(&Load { shard, of: 2, ..load.clone() }).len()).sum();
    assert_eq!(parts, 7);
}
