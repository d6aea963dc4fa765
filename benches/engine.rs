//! The engine without a kernel: the timer wheel, and a whole worker with scripted sockets and a
//! scripted clock.

#[path = "recorded/mod.rs"]
mod recorded;
#[path = "recorded/run.rs"]
mod run;

use criterion::{Criterion, Throughput};
use llmsim_blast::engine::bench::{Wheel, run_worker};
use llmsim_blast::plan::{Overrides, Plan, resolve};
use llmsim_blast::units::Nanos;
use std::hint::black_box;
use std::rc::Rc;

/// The VUs of the worker and their requests: enough requests that creating the worker weighs
/// little.
const PROFILE: &str = r#"
executor = "per-vu-iterations"
vus = 50
iterations = 20
[[requests]]
name = "stream"
api = "openai-chat"
stream = true
prompt = "Hello"
"#;

/// Sets a deadline for each of ten thousand connections, and then lets the deadlines pass, a
/// millisecond at a time.
fn timers(criterion: &mut Criterion) {
    const KEYS: u32 = 10_000;
    let mut group = criterion.benchmark_group("engine/timers");
    group.throughput(Throughput::Elements(KEYS.into()));
    for (name, spread) in [("within_a_second", 1_000), ("within_a_minute", 60_000)] {
        let mut wheel = Wheel::new(KEYS as usize);
        let mut now = Nanos::ZERO;
        group.bench_function(name, |b| {
            b.iter(|| {
                for key in 0..KEYS {
                    wheel.set(key, now + Nanos::from_millis(1 + u64::from(key) * 7_919 % spread));
                }
                let mut due = 0;
                while due < KEYS {
                    now += Nanos::from_millis(1);
                    while let Some(key) = wheel.pop_due(now) {
                        black_box(key);
                        due += 1;
                    }
                }
            });
        });
    }
    group.finish();
}

/// Runs fifty VUs and a thousand streams of a hundred tokens, first with one read for each
/// response, then with one for each event. The script is part of what is measured: it copies the
/// bytes of each read.
fn worker(criterion: &mut Criterion) {
    let plan = plan();
    let stream = recorded::llmsim(100);
    let (_, events) = run_worker(&plan, &reads(stream.event_a_read()), Nanos::from_millis(10));
    assert_eq!(events, 100_000, "the script is what the worker reads");
    let mut group = criterion.benchmark_group("engine/worker");
    group.throughput(Throughput::Elements(events));
    group.sample_size(10);
    for (name, reads) in [("one_read", reads(stream.one_read())), ("event_a_read", reads(stream.event_a_read()))] {
        group.bench_function(name, |b| b.iter(|| run_worker(black_box(&plan), &reads, Nanos::from_millis(10))));
    }
    group.finish();
}

fn reads(reads: Vec<Vec<u8>>) -> Rc<[Vec<u8>]> {
    reads.into()
}

fn plan() -> Plan {
    let resolved = resolve("bench.toml", &Overrides::default(), &mut |_: &std::path::Path| Ok(PROFILE.to_owned()));
    let mut plan = resolved.expect("a profile").plan;
    plan.target.addrs = vec![([127, 0, 0, 1], 1).into()];
    plan
}

fn main() {
    run::run(&[timers, worker]);
}
