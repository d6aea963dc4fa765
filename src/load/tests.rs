use super::*;

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

#[test]
fn requests_are_started_in_the_sequences_that_were_foretold() {
    let trace = Trace {
        instants: (0..30).map(Nanos::from_millis).collect(),
        passes: 2,
        period: Nanos::from_millis(31),
        pre_allocated_vus: 2,
        max_vus: 5,
        on_full: OnFull::Queue,
    };
    let duration = Nanos::from_millis(40);
    for shape in [
        Shape::ConstantVus { vus: 5, duration },
        Shape::ConstantVus { vus: 1, duration },
        Shape::PerVuIterations { vus: 4, iterations: 7, max_duration: duration },
        Shape::SharedIterations { vus: 2, iterations: 50, max_duration: duration },
        Shape::ConstantArrivalRate(arrivals()),
        Shape::Trace(trace),
    ] {
        for (shard, of) in [(0, 1), (0, 2), (1, 2), (2, 5)] {
            let load = Load {
                shape: shape.clone(),
                // Somebody who asks again at once asks for ever at one instant.
                think_time: ThinkTime { min: Nanos::from_millis(1), max: Nanos::from_millis(1) },
                graceful_stop: Nanos::ZERO,
                seed: 1,
                shard,
                of,
                requests: None,
            };
            let (mut schedule, mut sequences) = (Schedule::new(&load), load.sequences());
            let (mut now, mut started) = (Nanos::ZERO, 0);
            while let Some(due) = schedule.next_due() {
                now = due.max(now.saturating_add(Nanos::from_millis(1)));
                while let Some(turn) = schedule.due(now) {
                    let Turn::Start(start) = turn else { continue };
                    let number = if sequences.len() > 1 { start.slot as usize } else { 0 };
                    let sequence = &mut sequences[number];
                    assert_eq!((start.draw_vu, start.iteration), (sequence.draw_vu, sequence.first), "{shape:?}");
                    sequence.first += sequence.step;
                    started += 1;
                    schedule.finished(start.slot, now.saturating_add(Nanos(1)), Nanos::ZERO);
                    now = now.saturating_add(Nanos(1));
                }
            }
            assert_eq!(started > 0, shard < shape.peak_vus(), "{shape:?} {shard}/{of}");
        }
    }
}
