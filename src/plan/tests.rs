use super::*;
use crate::load::Stage;
use proptest::prelude::*;
use std::io;
use std::path::Path;

impl Plan {
    /// Returns a small plan for tests to change.
    pub(crate) fn example() -> Self {
        Self {
            name: "test".to_owned(),
            sources: Vec::new(),
            requests: None,
            description: String::new(),
            shape: Shape::ConstantVus { vus: 1, duration: Nanos::from_secs(1) },
            think_time: ThinkTime::default(),
            graceful_stop: Nanos::ZERO,
            warmup: Nanos::ZERO,
            cooldown: Nanos::ZERO,
            mix: Mix { kinds: Vec::new() }.into(),
            endpoints: Vec::new(),
            endpoint_check: false,
            thresholds: Vec::new(),
            slo: Vec::new(),
            target: Target::parse("http://127.0.0.1:1").expect("a URL"),
            access: Access::default(),
            server: None,
            found: None,
            may_probe: false,
            asks_target: false,
            wait_ready: Nanos::ZERO,
            server_metrics: crate::plan::ServerMetrics::default(),
            server_pid: None,
            other_secrets: Vec::new(),
            credentials: Credentials::default(),
            headers: Vec::new(),
            seed: 1,
            tuning: Tuning::default(),
            shard: Shard::WHOLE,
            start_at: None,
            rendezvous: None,
        }
    }
}

fn plan() -> Plan {
    let mut nothing = |_: &Path| Err(io::ErrorKind::NotFound.into());
    resolve("load", &Overrides::default(), &mut nothing).expect("built in").plan
}

#[test]
fn a_fresh_plan_is_the_whole() {
    let plan = plan();
    assert_eq!(plan.shard, Shard::WHOLE);
    assert_eq!(plan.shard(0, 1), plan);
    let part = plan.shard(1, 3);
    assert_eq!(part.shard, Shard { index: 1, count: 3, workers: 3 });
    assert_eq!(Plan { shard: Shard::WHOLE, ..part }, plan, "a shard differs in nothing else");
}

#[test]
fn a_schedule_gets_the_shard_with_everything_it_needs() {
    let plan = Plan { seed: 7, ..plan() }.shard(2, 5);
    let load = plan.load();
    assert_eq!((load.shard, load.of, load.seed), (2, 5, 7));
    assert_eq!((load.shape, load.think_time, load.graceful_stop), (plan.shape, plan.think_time, plan.graceful_stop));
}

#[test]
fn peak_and_length_of_every_shape() {
    let (vus, iterations, ten) = (7, 3, Nanos::from_secs(10));
    let stage = |secs, target| Stage { duration: Nanos::from_secs(secs), target };
    let ramps = |start_vus, stages| Shape::RampingVus { start_vus, stages, graceful_ramp_down: Nanos::ZERO };
    for (shape, peak, length) in [
        (Shape::ConstantVus { vus, duration: ten }, 7, 10),
        (Shape::PerVuIterations { vus, iterations, max_duration: ten }, 7, 10),
        (Shape::SharedIterations { vus, iterations, max_duration: ten }, 7, 10),
        (ramps(1, vec![stage(3, 20), stage(4, 5)]), 20, 7),
        (ramps(30, vec![stage(3, 20)]), 30, 3),
    ] {
        assert_eq!((shape.peak_vus(), shape.end()), (peak, Nanos::from_secs(length)), "{shape:?}");
    }
}

#[test]
fn goals_speak_of_their_kind_and_of_streams_only() {
    let kinds: Vec<String> = ["chat-plain", "chat-stream"].map(str::to_owned).into();
    let goal = |metric, bound| crate::threshold::parse_goal(metric, bound, &kinds).expect("a goal");
    let slo = vec![
        goal("ttft", "<500ms"),
        goal("http_req_duration", "<=3s"),
        goal("http_req_duration{request:chat-plain}", "<1s"),
    ];
    let whole = Plan { slo, ..plan() };
    let names: Vec<&str> = whole.mix.kinds.iter().map(|kind| kind.name.as_str()).collect();
    let goals = whole.goals();
    let of = |name| {
        let goals = &goals.kinds[names.iter().position(|n| *n == name).expect("of load")];
        goals.iter().map(|g| (g.trend, g.bound.0 / 1_000_000, g.inclusive)).collect::<Vec<_>>()
    };
    assert_eq!(of("chat-stream"), [(Trend::Ttft, 500, false), (Trend::HttpReqDuration, 3_000, true)]);
    assert_eq!(of("chat-plain"), [(Trend::HttpReqDuration, 3_000, true), (Trend::HttpReqDuration, 1_000, false)]);
    assert!(plan().goals().kinds.iter().all(Vec::is_empty));
}

proptest! {
    /// Every user belongs to exactly one shard of all the shards' shards, and to one of the shard
    /// that it was cut from.
    #[test]
    fn shards_of_shards_partition_the_plan(machines in 1u32..8, workers in 1u32..8, vu in 0u32..10_000) {
        let whole = plan();
        let mut owners = Vec::new();
        for machine in 0..machines {
            let shard = Plan { shard: Shard::of_process(machine, machines), ..whole.clone() };
            for worker in 0..workers {
                let part = shard.shard(worker, workers);
                prop_assert!(part.shard.index < part.shard.count);
                if vu % part.shard.count == part.shard.index {
                    owners.push((machine, worker));
                    prop_assert_eq!(vu % shard.shard.count, shard.shard.index, "a part is inside its whole");
                }
            }
        }
        prop_assert_eq!(owners.len(), 1);
    }
}
