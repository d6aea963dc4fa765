//! The shards of a plan, each run by itself in a world of its own, add up to the run of the whole
//! plan: in every count, in every histogram, and in every second. (`report::merge` shows that
//! documents add up as tallies do.)

use super::*;
use crate::load::{Arrivals, OnFull, Spacing};
use crate::metrics::summary::Group;
use crate::mix::{Prefix, PromptSource};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// A server whose response to a request depends on the request alone, not on its sender or on other
/// requests.
fn faithful(heard: Heard<'_>) -> Vec<(Nanos, Act)> {
    let Heard::Bytes { bytes, .. } = heard else { return vec![(Nanos::ZERO, Act::Accept)] };
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let n = hasher.finish();
    let first = Nanos::from_micros(200 + n % 90_000);
    // One in 11 fails.
    if n.is_multiple_of(11) {
        return vec![(first, Act::Send(b"HTTP/1.1 503 Overloaded\r\ncontent-length: 0\r\n\r\n".to_vec()))];
    }
    if !bytes.windows(13).any(|part| part == b"\"stream\":true") {
        return vec![(first, plain())];
    }
    let gap = Nanos::from_micros(1 + n % 7_001);
    let tokens = 1 + n / 97 % 9;
    let each = (1..=tokens).map(|i| (first + Nanos(gap.0 * i), token()));
    let last = first + Nanos(gap.0 * (tokens + 1));
    std::iter::once((first, stream_head())).chain(each).chain([(last, stream_end())]).collect()
}

/// Returns every number of a tally but these: levels, whose extremes the shards only bound; numbers
/// of connections, because an arrival takes any idle connection and waits if there is none; and the
/// length of our own passes.
fn numbers(tally: &Tally) -> Vec<String> {
    let summary = Summary::new(tally, &["plain".to_owned(), "stream".to_owned()], Nanos::from_secs(1));
    let others = [Trend::HttpReqConnecting, Trend::HttpReqDurationFromIntended, Trend::ScheduleLag, Trend::PassLength];
    let of_group = |group: &Group| {
        let trends = group.trends.iter().filter(|(trend, _)| !others.contains(trend));
        let trends = trends.map(|(trend, times)| format!("{trend:?} {:?} {}", times.exact(), times.encoded()));
        let connections = [Counter::ConnectionsOpened, Counter::ConnectionsReused];
        let counters = group.counters.iter().filter(|(counter, _)| !connections.contains(counter));
        let counters = counters.map(|(counter, value)| format!("{counter:?} {value:?}"));
        trends.chain(counters).chain([format!("{:?} {:?}", group.rates, group.token_source)]).collect::<Vec<_>>()
    };
    let groups = std::iter::once(&summary.all).chain(summary.requests.iter().map(|(_, group)| group));
    let failures = summary.failures.iter().map(|(failure, seen)| format!("{failure:?} {}", seen.count));
    groups.flat_map(of_group).chain(failures).chain([format!("{:?}", summary.statuses)]).collect()
}

/// Returns the tallies of each second and phase.
fn by_second(plan: &Plan) -> BTreeMap<(u32, u16), Tally> {
    run(plan, faithful).seconds
}

fn shapes() -> impl Strategy<Value = Shape> {
    let stages = prop::collection::vec((1u64..1_500, 0u32..12), 1..4);
    let stages = || {
        stages.clone().prop_map(|all| {
            all.into_iter().map(|(length, target)| Stage { duration: ms(length), target }).collect::<Vec<_>>()
        })
    };
    // As many users as there can be arrivals at once: a shard has fewer to choose from.
    let arrivals = |start_rate, stages, spacing| Arrivals {
        start_rate,
        // No arrival of a steady rate falls on the edge of a second. There a request that finds an
        // idle connection starts before the edge, and one that has to connect after it.
        time_unit: ms(503),
        stages,
        pre_allocated_vus: 120,
        max_vus: 120,
        spacing,
        on_full: OnFull::Queue,
    };
    prop_oneof![
        (6u32..12, 1u64..3_000).prop_map(|(vus, length)| Shape::ConstantVus { vus, duration: ms(length) }),
        (6u32..12, stages())
            .prop_map(|(start_vus, stages)| { Shape::RampingVus { start_vus, stages, graceful_ramp_down: ms(300) } }),
        (6u32..12, 1u64..20).prop_map(|(vus, n)| iterations(vus, n)),
        (0u32..12, stages(), prop_oneof![Just(Spacing::Constant), Just(Spacing::Poisson)])
            .prop_map(move |(rate, stages, spacing)| Shape::RampingArrivalRate(arrivals(rate, stages, spacing))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn all_shards_together_are_the_whole(
        shape in shapes(),
        shards in 2u32..6,
        seed in 0u64..1_000,
        (think, warmup) in (0u64..200, prop_oneof![Just(0), 1u64..800]),
    ) {
        let mut whole = plan(shape, false);
        Arc::make_mut(&mut whole.mix).kinds = vec![kind("plain", false), kind("stream", true)];
        for kind in &mut Arc::make_mut(&mut whole.mix).kinds {
            kind.max_tokens = Some(Tokens::Uniform { min: 1, max: 1_000_000 });
            // Requests of different lengths, so that a request of another user would be noticed.
            kind.prompt.source = PromptSource::Words(Tokens::Uniform { min: 1, max: 50 });
            kind.prompt.prefix = Some(Prefix { tokens: 7, groups: 3, zipf: 1.0 });
        }
        (whole.seed, whole.warmup) = (seed, ms(warmup));
        if whole.shape.arrivals().is_none() {
            whole.think_time = ThinkTime { min: ms(think / 2), max: ms(think) };
        }
        let one = by_second(&whole);
        let mut all: BTreeMap<(u32, u16), Tally> = BTreeMap::new();
        for index in 0..shards {
            for (second, tally) in by_second(&whole.shard(index, shards)) {
                *all.entry(second).or_insert_with(|| Tally::new(2)) += &tally;
            }
        }
        // A second in which nothing came may be missing.
        let nothing = numbers(&Tally::new(2));
        let seen = |seconds: BTreeMap<(u32, u16), Tally>| {
            let all = seconds.into_iter().map(|(second, tally)| (second, numbers(&tally)));
            all.filter(|(_, numbers)| *numbers != nothing).collect::<BTreeMap<_, _>>()
        };
        let (all, one) = (seen(all), seen(one));
        prop_assert!(all.keys().eq(one.keys()), "{:?} and {:?}", all.keys(), one.keys());
        for (second, numbers) in &one {
            prop_assert_eq!(all[second].len(), numbers.len());
            for (merged, whole) in all[second].iter().zip(numbers) {
                prop_assert_eq!(merged, whole, "second and phase {:?}", second);
            }
        }
    }
}
