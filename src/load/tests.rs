use super::*;
use proptest::collection;
use proptest::prelude::*;

fn arrivals() -> Arrivals {
    Arrivals {
        start_rate: 1_000,
        time_unit: Nanos::from_secs(1),
        stages: vec![Stage { duration: Nanos::from_millis(50), target: 1_000 }],
        pre_allocated_vus: 3,
        max_vus: 3,
        spacing: Spacing::Constant,
        on_full: OnFull::Queue,
    }
}

/// Returns one shape of each kind, with few users.
fn shapes() -> Vec<Shape> {
    let trace = Trace {
        instants: (0..30).map(Nanos::from_millis).collect(),
        passes: 2,
        period: Nanos::from_millis(31),
        pre_allocated_vus: 2,
        max_vus: 5,
        on_full: OnFull::Queue,
    };
    let duration = Nanos::from_millis(40);
    vec![
        Shape::ConstantVus { vus: 5, duration },
        Shape::ConstantVus { vus: 1, duration },
        Shape::PerVuIterations { vus: 4, iterations: 7, max_duration: duration },
        Shape::SharedIterations { vus: 2, iterations: 50, max_duration: duration },
        Shape::SharedIterations { vus: 7, iterations: 37, max_duration: duration },
        Shape::ConstantArrivalRate(arrivals()),
        Shape::Trace(trace),
    ]
}

/// Returns the load of one worker of one process.
fn load(shape: &Shape, shard: u32, of: u32, workers: u32) -> Load {
    Load {
        shape: shape.clone(),
        // Without a think time, a user would ask again at the same instant for ever.
        think_time: ThinkTime { min: Nanos::from_millis(1), max: Nanos::from_millis(1) },
        graceful_stop: Nanos::ZERO,
        seed: 1,
        shard,
        of,
        workers,
        requests: None,
    }
}

/// Returns what a schedule starts if every request takes one nanosecond.
fn starts(load: &Load) -> Vec<Start> {
    let (mut schedule, mut now, mut starts) = (Schedule::new(load), Nanos::ZERO, Vec::new());
    while let Some(due) = schedule.next_due() {
        now = due.max(now.saturating_add(Nanos::from_millis(1)));
        while let Some(turn) = schedule.due(now) {
            let Turn::Start(start) = turn else { continue };
            now = now.saturating_add(Nanos(1));
            schedule.finished(start.slot, now, Nanos::ZERO);
            starts.push(start);
        }
    }
    starts
}

#[test]
fn requests_are_started_in_the_sequences_that_were_foretold() {
    for shape in shapes() {
        for (shard, of, workers) in [(0, 1, 1), (0, 2, 1), (1, 2, 2), (2, 5, 1), (3, 6, 3), (5, 6, 2)] {
            let load = load(&shape, shard, of, workers);
            let mut sequences = load.sequences();
            let starts = starts(&load);
            for start in &starts {
                let number = if sequences.len() > 1 { start.slot as usize } else { 0 };
                let sequence = &mut sequences[number];
                assert_eq!((start.draw_vu, start.iteration), (sequence.draw_vu, sequence.first), "{shape:?}");
                sequence.first += sequence.step;
            }
            assert_eq!(!starts.is_empty(), shard < shape.peak_vus(), "{shape:?} {shard}/{of}");
        }
    }
}

proptest! {
    /// Each machine has as many workers as it has cores or users, and does not know of other
    /// machines.
    #[test]
    fn processes_of_any_number_of_workers_start_what_one_would(cores in collection::vec(1u32..9, 1..6)) {
        // Think times begin at other nanoseconds in each split. A clock would end users at other
        // requests.
        for shape in shapes().into_iter().filter(|shape| shape.is_open() || !shape.runs_by_time()) {
            // Any free user may start a shared iteration or arrival, so that user is not compared.
            let user = |start: &Start| if shape.counts_by_user() { start.vu } else { 0 };
            let sorted = |starts: Vec<Start>| {
                let mut all: Vec<_> = starts.iter().map(|s| (user(s), s.draw_vu, s.iteration)).collect();
                all.sort_unstable();
                all
            };
            let (one, processes) = (sorted(starts(&load(&shape, 0, 1, 1))), cores.len() as u32);
            for as_many_as_users in [false, true] {
                let of_process = |process: u32| {
                    let (cores, users) = (cores[process as usize], local(shape.peak_vus(), process, processes));
                    let n = if as_many_as_users { cores.min(users).max(1) } else { cores };
                    (0..n).map(move |k| (process + processes * k, processes * n, n))
                };
                let parts = (0..processes).flat_map(of_process);
                let all = sorted(parts.flat_map(|(shard, of, n)| starts(&load(&shape, shard, of, n))).collect());
                prop_assert_eq!(&all, &one, "{:?} by {:?} workers", &shape, &cores);
            }
        }
    }
}
