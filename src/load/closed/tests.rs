use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::load::Stage;

const MS: u64 = 1_000_000;

fn ms(n: u64) -> Nanos {
    Nanos::from_millis(n)
}

fn load(shape: Shape) -> Load {
    Load {
        shape,
        think_time: ThinkTime::default(),
        graceful_stop: ms(50),
        seed: 7,
        shard: 0,
        of: 1,
        workers: 1,
        requests: None,
    }
}

fn thinking(shape: Shape, min: u64, max: u64) -> Load {
    Load { think_time: ThinkTime { min: ms(min), max: ms(max) }, ..load(shape) }
}

fn constant(vus: u32, duration: u64) -> Shape {
    Shape::ConstantVus { vus, duration: ms(duration) }
}

fn ramping(start_vus: u32, stages: &[(u64, u32)], grace: u64) -> Shape {
    let stages = stages.iter().map(|&(n, target)| Stage { duration: ms(n), target }).collect();
    Shape::RampingVus { start_vus, stages, graceful_ramp_down: ms(grace) }
}

fn per_vu(vus: u32, iterations: u64, max: u64) -> Shape {
    Shape::PerVuIterations { vus, iterations, max_duration: ms(max) }
}

fn shared(vus: u32, iterations: u64, max: u64) -> Shape {
    Shape::SharedIterations { vus, iterations, max_duration: ms(max) }
}

/// The turns that an engine saw, each with its instant.
#[derive(Debug, Default)]
struct Run {
    starts: Vec<(Nanos, Start)>,
    retires: Vec<(Nanos, u32, Nanos)>,
}

impl Run {
    /// Returns the parts of the starts that do not depend on the shard, as a set.
    fn set(&self) -> BTreeSet<(Nanos, u32, u64)> {
        let set: BTreeSet<_> = self.starts.iter().map(|(at, start)| (*at, start.vu, start.iteration)).collect();
        assert_eq!(set.len(), self.starts.len(), "a request was started twice");
        set
    }
}

/// Plays the engine against a server that takes `latency(vu, iteration)`, on a scripted clock that
/// jumps from event to event. Checks at each step that the schedule keeps its contract.
fn run(load: &Load, latency: impl Fn(u32, u64) -> Nanos) -> Run {
    let mut schedule = Schedule::new(load);
    let mut run = Run::default();
    let mut flying: BTreeMap<u32, Nanos> = BTreeMap::new();
    let mut grace: BTreeMap<u32, Nanos> = BTreeMap::new();
    let mut known: BTreeSet<u32> = BTreeSet::new();
    let mut now = Nanos::ZERO;
    loop {
        let promised = schedule.next_due();
        assert!(promised.is_none_or(|at| at < schedule.end()), "due past the end");
        // A request ends when the response is complete, or when its user's grace is over.
        let landing = |(slot, at): (&u32, &Nanos)| grace.get(slot).map_or(*at, |give_up| *at.min(give_up));
        let Some(at) = promised.into_iter().chain(flying.iter().map(landing)).min() else { break };
        assert!(at >= now, "{promised:?} is before {now:?}");
        if at > now + Nanos(1) {
            assert_eq!(schedule.due(Nanos(at.0 - 1)), None, "due before next_due");
        }
        now = at;
        let landed: Vec<u32> = flying.iter().filter(|one| landing(*one) == now).map(|(slot, _)| *slot).collect();
        for slot in landed {
            flying.remove(&slot);
            grace.remove(&slot);
            schedule.finished(slot, now, Nanos::ZERO);
        }
        let mut turns = 0;
        while let Some(turn) = schedule.due(now) {
            turns += 1;
            match turn {
                Turn::Start(start) => {
                    assert!(start.slot < schedule.local_vus() && schedule.is_active(start.slot));
                    assert_eq!(start.vu, start.slot * load.of + load.shard);
                    assert!(start.intended <= now && now < schedule.end());
                    let took = latency(start.draw_vu, start.iteration);
                    assert_eq!(flying.insert(start.slot, now + took), None, "two requests of one user");
                    known.insert(start.slot);
                    run.starts.push((now, start));
                }
                Turn::Retire { slot, give_up } => {
                    assert!(!schedule.is_active(slot));
                    assert!(known.remove(&slot), "retired {slot}, which the engine does not have");
                    if flying.contains_key(&slot) {
                        grace.insert(slot, give_up);
                    }
                    run.retires.push((now, slot, give_up));
                }
            }
            assert!(turns < 100_000, "due never ends");
        }
        assert!(schedule.next_due().is_none_or(|at| at > now), "due has more");
        if now < schedule.end() {
            assert_eq!(schedule.on, schedule.value(now), "users that are on at {now:?}");
        }
        // A user that came back keeps its request, and the engine keeps its connection.
        let came_back: Vec<u32> = grace.keys().copied().filter(|slot| schedule.is_active(*slot)).collect();
        assert!(turns > 0 || promised != Some(now) || !came_back.is_empty(), "nothing was due at {now:?}");
        for slot in came_back {
            grace.remove(&slot);
            known.insert(slot);
        }
    }
    assert!(schedule.is_over(schedule.end()));
    run
}

/// Returns latencies that differ between requests and are never zero.
fn uneven(vu: u32, iteration: u64) -> Nanos {
    Nanos(MS + mix64(1, vu.into(), iteration) % (7 * MS))
}

#[test]
fn constant_users_all_start_at_once_and_loop_until_the_end() {
    let run = run(&load(constant(3, 10)), |_, _| ms(3));
    let at: Vec<(u64, u32, u64)> = run.starts.iter().map(|(at, s)| (at.0 / MS, s.vu, s.iteration)).collect();
    assert_eq!(at[..6], [(0, 0, 0), (0, 1, 0), (0, 2, 0), (3, 0, 1), (3, 1, 1), (3, 2, 1)]);
    assert_eq!(at.len(), 12, "at 0, 3, 6 and 9 ms");
    assert_eq!(run.retires, [], "at the natural end nobody is ramped away");
}

#[test]
fn nothing_starts_at_the_end_or_later() {
    let mut schedule = Schedule::new(&thinking(constant(2, 10), 4, 4));
    assert_eq!(std::iter::from_fn(|| schedule.due(ms(0))).count(), 2);
    schedule.finished(0, ms(2), Nanos::ZERO);
    assert_eq!(schedule.next_due(), Some(ms(6)));
    assert!(!schedule.is_over(ms(9)));
    assert_eq!(schedule.due(ms(10)), None);
    assert_eq!(schedule.next_due(), None, "a loop that sleeps until next_due would spin");
    schedule.finished(1, ms(11), Nanos::ZERO);
    assert_eq!((schedule.due(ms(12)), schedule.next_due(), schedule.is_over(ms(12))), (None, None, true));
}

#[test]
fn users_come_and_go_along_the_ramp() {
    let run = run(&load(ramping(0, &[(40, 4), (10, 4), (40, 0)], 5)), |_, _| ms(7));
    let first: Vec<(u64, u32)> =
        run.starts.iter().filter(|(_, s)| s.iteration == 0).map(|(at, s)| (at.0 / MS, s.vu)).collect();
    assert_eq!(first, [(10, 0), (20, 1), (30, 2), (40, 3)]);
    // The last user leaves at the very end, where users are not retired any more.
    assert_eq!(run.retires, [(ms(60), 3, ms(65)), (ms(70), 2, ms(75)), (ms(80), 1, ms(85))]);
}

#[test]
fn who_comes_back_starts_at_once_and_forgets_its_thoughts() {
    // Off at 20 ms while it thinks (until 105 ms), on again at 40 ms.
    let load = thinking(ramping(1, &[(20, 1), (0, 0), (20, 0), (0, 1), (80, 1)], 5), 100, 100);
    let run = run(&load, |_, _| ms(5));
    let starts: Vec<(Nanos, u64, Nanos)> = run.starts.iter().map(|(at, s)| (*at, s.iteration, s.intended)).collect();
    assert_eq!(starts, [(ms(0), 0, ms(0)), (ms(40), 1, ms(40))]);
    assert_eq!(run.retires, [(ms(20), 0, ms(25))]);
}

#[test]
fn who_comes_back_in_time_keeps_its_request() {
    let load = load(ramping(1, &[(20, 1), (0, 0), (20, 0), (0, 1), (80, 1), (0, 0), (10, 0)], 1000));
    let mut schedule = Schedule::new(&load);
    assert!(matches!(schedule.due(ms(0)), Some(Turn::Start(_))));
    assert_eq!(schedule.due(ms(20)), Some(Turn::Retire { slot: 0, give_up: ms(1020) }));
    assert!(!schedule.is_active(0));
    assert_eq!(schedule.due(ms(40)), None);
    assert!(schedule.is_active(0), "so that the engine does not cut it off");
    schedule.finished(0, ms(50), ms(10));
    assert_eq!((schedule.due(ms(59)), schedule.next_due()), (None, Some(ms(60))));
    assert!(matches!(schedule.due(ms(60)), Some(Turn::Start(Start { iteration: 1, .. }))));
    assert_eq!(schedule.due(ms(120)), Some(Turn::Retire { slot: 0, give_up: ms(1120) }));
    schedule.finished(0, ms(121), ms(0));
    assert_eq!((schedule.due(ms(125)), schedule.next_due()), (None, None));
}

#[test]
fn a_late_engine_does_not_start_who_has_come_and_gone() {
    let mut schedule = Schedule::new(&load(ramping(0, &[(10, 10), (10, 0), (10, 0)], 5)));
    assert_eq!(schedule.next_due(), Some(ms(1)));
    assert_eq!((schedule.due(ms(25)), schedule.next_due()), (None, None));
    let mut schedule = Schedule::new(&load(ramping(0, &[(10, 10), (10, 0), (10, 0)], 5)));
    let late: Vec<Turn> = std::iter::from_fn(|| schedule.due(ms(17))).collect();
    assert_eq!(late.len(), 3, "{late:?}");
    assert_eq!(schedule.vus(ms(17)), 3);
}

#[test]
fn think_time_is_uniform_and_back_off_is_a_least_pause() {
    let load = thinking(constant(200, 10_000), 100, 300);
    let mut schedule = Schedule::new(&load);
    let slots: Vec<u32> = std::iter::from_fn(|| schedule.due(ms(0))).map(|turn| slot_of(&turn)).collect();
    assert_eq!(slots.len(), 200);
    for &slot in &slots {
        schedule.finished(slot, ms(50), if slot == 5 { ms(4000) } else { Nanos::ZERO });
    }
    let mut dues = Vec::new();
    while let Some(at) = schedule.next_due() {
        while let Some(turn) = schedule.due(at) {
            dues.push((at, slot_of(&turn)));
        }
    }
    assert_eq!(dues.pop(), Some((ms(4050), 5)));
    assert_eq!(dues.len(), 199);
    let thoughts: Vec<f64> = dues.iter().map(|(at, _)| at.as_millis_f64() - 50.0).collect();
    assert!(thoughts.iter().all(|t| (100.0..=300.0).contains(t)));
    let mean = thoughts.iter().sum::<f64>() / 199.0;
    assert!((190.0..210.0).contains(&mean), "{mean}");
    assert!(thoughts[0] < 105.0 && thoughts[198] > 295.0, "both ends are reached");
}

#[test]
fn back_off_holds_without_think_time() {
    let mut schedule = Schedule::new(&load(constant(1, 1000)));
    assert!(schedule.due(ms(0)).is_some());
    schedule.finished(0, ms(1), ms(100));
    assert_eq!((schedule.due(ms(100)), schedule.next_due()), (None, Some(ms(101))));
    assert_eq!(schedule.due(ms(101)).map(|turn| slot_of(&turn)), Some(0));
}

#[test]
fn each_user_does_its_iterations_and_leaves() {
    let run = run(&thinking(per_vu(3, 4, 600_000), 5, 9), |vu, _| ms(1 + u64::from(vu)));
    for vu in 0..3 {
        let of_user: Vec<u64> = run.starts.iter().filter(|(_, s)| s.vu == vu).map(|(_, s)| s.iteration).collect();
        assert_eq!(of_user, [0, 1, 2, 3]);
        let last = run.starts.iter().rfind(|(_, s)| s.vu == vu).expect("it started").0;
        let over = last + ms(1 + u64::from(vu));
        assert!(run.retires.contains(&(over, vu, over)), "retired when its last one was over, without a thought");
    }
    assert_eq!(run.retires.len(), 3);
}

#[test]
fn over_is_when_the_last_iteration_is_over() {
    for shape in [per_vu(1, 1, 1000), shared(5, 1, 1000)] {
        let mut schedule = Schedule::new(&load(shape));
        assert_eq!((schedule.local_vus(), schedule.vus(ms(0)), schedule.is_over(ms(0))), (1, 1, false));
        assert!(schedule.due(ms(0)).is_some());
        assert!(!schedule.is_over(ms(1)), "a request is under way");
        schedule.finished(0, ms(2), ms(500));
        assert_eq!(schedule.due(ms(2)), Some(Turn::Retire { slot: 0, give_up: ms(2) }));
        assert!(schedule.is_over(ms(2)));
        assert_eq!((schedule.vus(ms(2)), schedule.due(ms(2)), schedule.next_due()), (0, None, None));
    }
}

#[test]
fn nothing_to_do_is_over_at_once() {
    for shape in [constant(0, 10), ramping(0, &[(5, 0)], 1), per_vu(5, 0, 10), per_vu(0, 5, 10), shared(5, 0, 10)] {
        let mut schedule = Schedule::new(&load(shape));
        assert!(schedule.is_over(ms(0)));
        assert_eq!((schedule.due(ms(0)), schedule.next_due(), schedule.vus(ms(0))), (None, None, 0));
    }
}

#[test]
fn shared_iterations_go_to_whoever_is_free() {
    // The first user is slow. The other one does the rest, and stops thinking when no work is left.
    let run = run(&thinking(shared(2, 5, 600_000), 1, 1), |_, iteration| ms(if iteration == 0 { 100 } else { 9 }));
    let who: Vec<(u32, u64, u32)> = run.starts.iter().map(|(_, s)| (s.vu, s.iteration, s.draw_vu)).collect();
    assert_eq!(who, [(0, 0, 0), (1, 1, 0), (1, 2, 0), (1, 3, 0), (1, 4, 0)]);
    assert_eq!(run.retires, [(ms(39), 1, ms(39)), (ms(100), 0, ms(100))]);
}

#[test]
fn who_thinks_when_the_work_runs_out_is_retired_at_once() {
    let mut schedule = Schedule::new(&thinking(shared(2, 3, 600_000), 50, 50));
    assert_eq!(std::iter::from_fn(|| schedule.due(ms(0))).count(), 2);
    schedule.finished(0, ms(1), Nanos::ZERO);
    schedule.finished(1, ms(2), Nanos::ZERO);
    assert_eq!(schedule.due(ms(51)).map(|turn| slot_of(&turn)), Some(0));
    assert_eq!(schedule.due(ms(51)), Some(Turn::Retire { slot: 1, give_up: ms(51) }));
    assert_eq!((schedule.due(ms(51)), schedule.next_due()), (None, None));
}

#[test]
fn fifteen_thousand_users_cost_no_allocation_once_warm() {
    let mut schedule = Schedule::new(&thinking(constant(15_000, 60_000), 10, 20));
    let mut capacities = Vec::new();
    let mut now = ms(0);
    for _ in 0..20 {
        let started: Vec<u32> = std::iter::from_fn(|| schedule.due(now)).map(|turn| slot_of(&turn)).collect();
        now += ms(5);
        for slot in started {
            schedule.finished(slot, now, Nanos::ZERO);
        }
        now = schedule.next_due().expect("users think");
        capacities.push((schedule.ready.capacity(), schedule.thinking.capacity()));
    }
    assert!(capacities.iter().all(|c| *c == capacities[0]), "{capacities:?}");
}

fn slot_of(turn: &Turn) -> u32 {
    match turn {
        Turn::Start(start) => start.slot,
        Turn::Retire { slot, .. } => panic!("{slot} was retired"),
    }
}

fn shapes() -> impl Strategy<Value = Shape> {
    let stage = (prop_oneof![Just(0), 1..30 * MS], 0..25u32);
    let stages = prop::collection::vec(stage, 0..7)
        .prop_map(|all| all.into_iter().map(|(ns, target)| Stage { duration: Nanos(ns), target }).collect::<Vec<_>>());
    prop_oneof![
        (0..30u32, 0..60 * MS).prop_map(|(vus, ns)| Shape::ConstantVus { vus, duration: Nanos(ns) }),
        (0..20u32, stages, 0..20 * MS).prop_map(|(start_vus, stages, grace)| Shape::RampingVus {
            start_vus,
            stages,
            graceful_ramp_down: Nanos(grace)
        }),
        (0..30u32, 0..6u64).prop_map(|(vus, iterations)| per_vu(vus, iterations, 1_000_000)),
        (0..30u32, 0..80u64).prop_map(|(vus, iterations)| shared(vus, iterations, 1_000_000)),
    ]
}

fn loads() -> impl Strategy<Value = Load> {
    let think_time = prop_oneof![Just((0, 0)), (0..9 * MS, 0..9 * MS)];
    (shapes(), think_time, any::<u64>()).prop_map(|(shape, (min, more), seed)| Load {
        think_time: ThinkTime { min: Nanos(min), max: Nanos(min + more) },
        seed,
        ..load(shape)
    })
}

proptest! {
    #[test]
    fn the_union_of_the_shards_is_the_whole(whole in loads(), of in 1..16u32) {
        let expected = run(&whole, uneven);
        let parts: Vec<Run> = (0..of).map(|shard| run(&Load { shard, of, ..whole.clone() }, uneven)).collect();
        let started: usize = parts.iter().map(|part| part.starts.len()).sum();
        prop_assert_eq!(started, expected.starts.len());
        if let Shape::SharedIterations { vus, iterations, .. } = whole.shape {
            // Which user does an iteration, and when, depends on the free users. But each iteration
            // is done exactly once.
            let mut done: Vec<u64> = parts.iter().flat_map(|part| &part.starts).map(|(_, s)| s.iteration).collect();
            done.sort_unstable();
            let all = if vus == 0 { 0 } else { iterations };
            prop_assert_eq!(done, (0..all).collect::<Vec<_>>());
        } else {
            let union: BTreeSet<_> = parts.iter().flat_map(Run::set).collect();
            prop_assert_eq!(union, expected.set());
            let retires: usize = parts.iter().map(|part| part.retires.len()).sum();
            prop_assert_eq!(retires, expected.retires.len());
        }
    }

    #[test]
    fn the_users_of_the_shards_add_up(whole in loads(), of in 1..16u32, t in 0..200 * MS) {
        let users = |shard, of| {
            let schedule = Schedule::new(&Load { shard, of, ..whole.clone() });
            assert!(schedule.vus(Nanos(t)) <= schedule.local_vus());
            (schedule.vus(Nanos(t)), schedule.local_vus())
        };
        let (now, most) = users(0, 1);
        let sums = (0..of).map(|shard| users(shard, of)).fold((0, 0), |(a, b), (x, y)| (a + x, b + y));
        if matches!(whole.shape, Shape::SharedIterations { .. }) {
            // Iterations are dealt evenly, but not always one to each user: there are at most as
            // many users as iterations.
            prop_assert!(sums.0 <= now && sums.1 <= most);
        } else {
            prop_assert_eq!(sums, (now, most));
        }
    }

    #[test]
    fn a_shard_can_be_shared_again(whole in loads(), a in 1..4u32, b in 1..4u32) {
        let nested: BTreeSet<_> = (0..a)
            .flat_map(|i| (0..b).map(move |j| i + a * j))
            .flat_map(|shard| run(&Load { shard, of: a * b, ..whole.clone() }, uneven).starts)
            .map(|(_, s)| (s.draw_vu, s.iteration))
            .collect();
        let expected: BTreeSet<_> =
            run(&whole, uneven).starts.into_iter().map(|(_, s)| (s.draw_vu, s.iteration)).collect();
        prop_assert_eq!(nested, expected);
    }
}

#[test]
fn users_end_when_the_requests_are_used_up() {
    let numbers = |load: &Load| {
        let stride = load.shape.stride();
        let run = run(load, |vu, _| ms(1 + u64::from(vu)));
        let mut all: Vec<u64> = run.starts.iter().map(|(_, s)| s.iteration * stride + u64::from(s.draw_vu)).collect();
        all.sort_unstable();
        all
    };
    for shape in [constant(3, 1_000), per_vu(3, 100, 1_000), shared(3, 100, 1_000), constant(30, 1_000)] {
        let whole = Load { requests: Some(20), ..load(shape) };
        let expected: Vec<u64> = (0..20).collect();
        assert_eq!(numbers(&whole), expected, "{:?}", whole.shape);
        for of in [2, 5] {
            let mut union: Vec<u64> = (0..of).flat_map(|shard| numbers(&Load { shard, of, ..whole.clone() })).collect();
            union.sort_unstable();
            assert_eq!(union, expected, "{of} shards of {:?}", whole.shape);
        }
    }
}

#[test]
fn a_schedule_without_requests_left_is_over_before_its_time() {
    let mut schedule = Schedule::new(&Load { requests: Some(1), ..load(constant(2, 1_000)) });
    assert_eq!(schedule.local_vus(), 1, "a user without a request is never switched on");
    assert!(matches!(schedule.due(ms(0)), Some(Turn::Start(_))));
    schedule.finished(0, ms(5), Nanos::ZERO);
    assert!(matches!(schedule.due(ms(5)), Some(Turn::Retire { slot: 0, .. })));
    assert!(schedule.is_over(ms(5)));
}
