//! Adds the seconds of all shards while they run, giving the seconds of the whole test. Integers
//! are exact, and histograms are added bucket by bucket, as `merge` does afterwards.

use super::merge::SecondSum;
use super::read::{self, wrong};
use super::{FieldError, Measured, Second, facts};
use crate::metrics::summary::Group;
use crate::metrics::{Failure, Incidents, Metric, Paths, Summary, Totals};
use crate::threshold::Rule;
use crate::units::Nanos;
use serde::{Deserialize, Serialize};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

/// A second of a shard, in the form that is sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ShardSecond {
    second: Second,
    /// Everything that was recorded in the second, inside and outside the measurement window.
    /// Absent unless shard 0 has viewers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interval: Option<Numbers>,
    #[serde(flatten)]
    so_far: SoFar,
}

/// The counts of a shard since its start.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct SoFar {
    /// Counters and rates, all kinds of request together, by name.
    totals: BTreeMap<String, [u64; 2]>,
    /// The metrics of the rules that may end the test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    numbers: Option<Numbers>,
}

/// A summary, or a part of one, on its way to another process: exact integers, and histograms
/// bucket by bucket.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Numbers {
    window_ns: u64,
    all: BTreeMap<String, Measured>,
    requests: BTreeMap<String, BTreeMap<String, Measured>>,
    turns: BTreeMap<String, BTreeMap<String, Measured>>,
}

impl ShardSecond {
    /// Creates the second. `numbers` is the summary of the window so far. Only the metrics in its
    /// `rules` are sent.
    pub(crate) fn new(second: &Second, totals: &Totals, numbers: Option<(&Summary, &[Rule])>) -> Self {
        let numbers = numbers.map(|(summary, rules)| Numbers::new(summary, rules));
        Self { second: second.clone(), interval: None, so_far: SoFar { totals: totals.named(), numbers } }
    }

    /// Adds everything that was recorded in the second.
    #[must_use]
    pub(crate) fn with_interval(self, interval: &Summary) -> Self {
        Self { interval: Some(Numbers::shown(interval)), ..self }
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        // Numbers and strings can always be serialized.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Numbers {
    fn new(summary: &Summary, rules: &[Rule]) -> Self {
        let of = |request: Option<&str>| -> Vec<Metric> {
            rules.iter().filter(|rule| rule.request.as_deref() == request).map(|rule| rule.metric).collect()
        };
        let named = |prefix: &str, groups: &[(String, Group)]| {
            let groups = groups.iter().map(|(name, group)| (name.clone(), of(Some(&format!("{prefix}{name}"))), group));
            groups.map(|(name, metrics, group)| (name, facts::group(&only(group, &|m| metrics.contains(&m))))).collect()
        };
        let metrics = of(None);
        let mut all = facts::group(&only(&summary.all, &|metric| metrics.contains(&metric)));
        all.extend(facts::gauges(summary).filter(|(name, _)| metrics.iter().any(|metric| metric.name() == name)));
        let turns = named(crate::metrics::summary::TURN_PREFIX, &summary.turns);
        Self { window_ns: summary.window.0, all, requests: named("", &summary.requests), turns }
    }

    /// Returns all times, counters, rates and levels. Failures by class are left out.
    pub(crate) fn everything(summary: &Summary) -> Self {
        let mut all = facts::group(&summary.all);
        all.extend(facts::gauges(summary));
        let (requests, turns) = (facts::groups(&summary.requests), facts::groups(&summary.turns));
        Self { window_ns: summary.window.0, all, requests, turns }
    }

    /// Returns the numbers of a second for viewers ([`crate::metrics::Tally::told`]): those of each
    /// kind of request, and the global ones that belong to no kind. Trends without samples are left
    /// out, because hundreds of shards send a second every second.
    fn shown(summary: &Summary) -> Self {
        let measured = |group: &Group, is_global: bool| {
            let mut group = only(group, &|metric| metric.is_global() == is_global);
            group.trends.retain(|(_, times)| times.count > 0);
            facts::group(&group)
        };
        let mut all = measured(&summary.all, true);
        all.extend(facts::gauges(summary));
        let requests = summary.requests.iter().map(|(name, group)| (name.clone(), measured(group, false))).collect();
        Self { window_ns: summary.window.0, all, requests, turns: BTreeMap::new() }
    }

    /// Adds a viewers' second to `sum`, within the bounds of a document. After an error `sum` is
    /// useless.
    fn add_to(&self, sum: &mut Summary) -> Result<(), FieldError> {
        let window = Nanos(self.window_ns);
        if !self.requests.keys().eq(sum.requests.iter().map(|(name, _)| name)) {
            return Err(wrong("interval.requests", "they differ from those of an earlier shard"));
        }
        let all = read::group_without_times("all", &self.all, window, &mut sum.all.trends)?;
        let kinds = self.requests.iter().zip(&mut sum.requests);
        let requests = kinds.map(|((name, numbers), (_, group))| {
            Ok((name.clone(), read::group_without_times(name, numbers, window, &mut group.trends)?))
        });
        let requests = requests.collect::<Result<_, FieldError>>()?;
        sum.add(&self.with(all, requests, Vec::new()));
        Ok(())
    }

    /// Converts back to a summary, within the bounds of a document.
    pub(crate) fn summary(&self) -> Result<Summary, FieldError> {
        let window = Nanos(self.window_ns);
        let groups = |groups: &BTreeMap<String, BTreeMap<String, Measured>>| {
            let group = |(name, numbers): (&String, _)| Ok((name.clone(), read::group(name, numbers, window)?));
            groups.iter().map(group).collect::<Result<Vec<_>, FieldError>>()
        };
        Ok(self.with(read::group("all", &self.all, window)?, groups(&self.requests)?, groups(&self.turns)?))
    }

    /// Returns a summary of these groups. The parts that are not transmitted stay empty.
    fn with(&self, all: Group, requests: Vec<(String, Group)>, turns: Vec<(String, Group)>) -> Summary {
        Summary {
            window: Nanos(self.window_ns),
            cpu_time: Nanos::ZERO,
            all,
            requests,
            turns,
            failures: Vec::new(),
            retried: Vec::new(),
            statuses: Vec::new(),
            failed_checks: Vec::new(),
            paths: Paths::default(),
            gauges: read::gauges(&self.all),
            server: Vec::new(),
        }
    }
}

/// Returns the group reduced to the metrics for which `those` is true.
fn only(group: &Group, those: &dyn Fn(Metric) -> bool) -> Group {
    Group {
        trends: group.trends.iter().filter(|(t, _)| those(Metric::Trend(*t))).cloned().collect(),
        counters: group.counters.iter().filter(|(c, _)| those(Metric::Counter(*c))).copied().collect(),
        rates: group.rates.iter().filter(|(r, _)| those(Metric::Rate(*r))).copied().collect(),
        ..group.clone()
    }
}

/// A second of the whole test.
#[derive(Debug)]
pub(crate) struct WholeSecond {
    pub(crate) second: Second,
    /// Counts since the start.
    pub(crate) totals: Totals,
    /// The metrics of the rules that may end the test. `None` if there are no such rules.
    pub(crate) numbers: Option<Summary>,
    /// Everything that was recorded in the second, with failures by class. `None` unless the shards
    /// send it.
    pub(crate) interval: Option<Summary>,
}

/// The sum of all shards, second by second.
#[derive(Debug)]
pub(crate) struct LiveSum {
    shards: Vec<Shard>,
    open: BTreeMap<u32, Open>,
}

/// A second that not every shard has finished.
#[derive(Debug)]
struct Open {
    second: SecondSum,
    interval: Option<Summary>,
}

#[derive(Debug, Default)]
struct Shard {
    /// The last second that the shard has sent.
    reached: Option<u32>,
    has_ended: bool,
    /// Its counts in seconds that are still open.
    waiting: VecDeque<(u32, SoFar)>,
    /// Its latest counts in closed seconds.
    so_far: SoFar,
}

impl LiveSum {
    pub(crate) fn new(count: u32) -> Self {
        Self { shards: (0..count).map(|_| Shard::default()).collect(), open: BTreeMap::new() }
    }

    /// Adds a second of a shard, in the form in which it was sent.
    pub(crate) fn add(&mut self, shard: u32, text: &[u8]) -> Result<(), FieldError> {
        let sent: ShardSecond =
            serde_json::from_slice(text).map_err(|error| wrong("second", format!("it cannot be read: {error}")))?;
        let t_s = sent.second.t_s;
        let Some(shard) = self.shards.get_mut(shard as usize) else { return Ok(()) };
        let most = shard.reached.map_or(0, |reached| reached + 1).saturating_add(read::MAX_SECONDS as u32);
        if shard.reached.is_some_and(|reached| reached >= t_s) || t_s >= most {
            return Err(wrong("second.t_s", format!("{t_s} is not the second after the last")));
        }
        let second = SecondSum::new(t_s as usize, &sent.second)?;
        let sum = match self.open.entry(t_s) {
            Entry::Occupied(sum) => {
                let sum = sum.into_mut();
                sum.second.add(&second);
                sum
            }
            Entry::Vacant(none) => none.insert(Open { second, interval: None }),
        };
        match (&mut sum.interval, sent.interval) {
            (Some(sum), Some(more)) => more.add_to(sum)?,
            (none, Some(first)) => *none = Some(first.summary()?),
            (_, None) => {}
        }
        shard.reached = Some(t_s);
        shard.waiting.push_back((t_s, sent.so_far));
        Ok(())
    }

    /// Notes that a shard sends no more seconds.
    pub(crate) fn end(&mut self, shard: u32) {
        if let Some(shard) = self.shards.get_mut(shard as usize) {
            shard.has_ended = true;
        }
    }

    /// Returns the next second that every shard has finished, if any.
    pub(crate) fn next(&mut self) -> Result<Option<WholeSecond>, FieldError> {
        let Some((&t_s, _)) = self.open.first_key_value() else { return Ok(None) };
        if self.shards.iter().any(|shard| !shard.has_ended && shard.reached.is_none_or(|reached| reached < t_s)) {
            return Ok(None);
        }
        let Some(Open { second, interval }) = self.open.remove(&t_s) else { return Ok(None) };
        let (mut totals, mut numbers) = (Totals::default(), None::<Summary>);
        for shard in &mut self.shards {
            while shard.waiting.front().is_some_and(|(at, _)| *at <= t_s) {
                shard.so_far = shard.waiting.pop_front().unwrap_or_default().1;
            }
            totals.add_named(&shard.so_far.totals);
            let Some(more) = &shard.so_far.numbers else { continue };
            let more = more.summary()?;
            match &mut numbers {
                None => numbers = Some(more),
                Some(sum) => sum.add(&more),
            }
        }
        let second = second.finish();
        let interval = interval.map(|interval| Summary { failures: failures(&second), ..interval });
        Ok(Some(WholeSecond { second, totals, numbers, interval }))
    }
}

/// Returns the failures of a second by class.
fn failures(second: &Second) -> Vec<(Failure, Incidents)> {
    let count = |failure: Failure| second.failures.get(failure.name()).copied();
    let seen = |failure| Some((failure, Incidents { count: count(failure)?, ..Incidents::default() }));
    Failure::ALL.into_iter().filter_map(seen).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Counter, Distribution, Gauge, Outcome, PartOf, Sample, Tally, Trend};
    use crate::threshold::{self, Judgement};

    const NAMES: [&str; 2] = ["a", "b"];

    /// Returns a request of the given kind that took `ms`.
    fn success(kind: u16, ms: u64) -> Sample {
        Sample {
            outcome: Outcome::Success,
            status: 200,
            end: Nanos::from_millis(ms),
            first_byte: Some(Nanos::from_millis(ms)),
            ..Sample::begun(kind, Nanos::ZERO)
        }
    }

    fn names() -> Vec<String> {
        NAMES.map(str::to_owned).to_vec()
    }

    fn rules() -> Vec<Rule> {
        let rule = |metric, text| threshold::parse(metric, text, &names()).expect(text);
        vec![
            rule("http_req_failed", "rate<0.1"),
            rule("http_req_duration{request:b}", "p(95)<6"),
            rule("http_reqs", "count<100"),
            rule("vus", "max<100"),
        ]
    }

    /// Returns a second of a shard with one request of `b` for each of `durations` (in ms), and one
    /// failure.
    fn tally(durations: &[u64]) -> Tally {
        let mut tally = Tally::new(2);
        tally.record(&success(0, 7));
        for ms in durations {
            tally.record(&success(1, *ms));
        }
        tally.record(&Sample { outcome: Outcome::Failed(Failure::Http429), status: 429, ..success(1, 4) });
        tally.level(crate::metrics::Gauge::Vus, 3);
        tally
    }

    /// Sends the seconds of a shard, one for each tally.
    fn send(sum: &mut LiveSum, shard: u32, seconds: &[Tally]) {
        let (mut total, mut totals) = (Tally::new(2), Totals::default());
        for (t_s, tally) in seconds.iter().enumerate() {
            total.append(tally);
            totals.add(tally);
            let summary = Summary::new(&total, &names(), Nanos::from_secs(t_s as u64 + 1));
            let second = Second::new(t_s as u32, tally, &names());
            let interval = Summary::new(tally, &names(), Nanos::from_secs(1));
            let sent = ShardSecond::new(&second, &totals, Some((&summary, &rules()))).with_interval(&interval);
            sum.add(shard, &sent.to_json()).expect("a second");
        }
    }

    #[test]
    fn the_sum_of_shards_is_what_one_process_would_have_seen() {
        let shards = [[tally(&[1, 2, 3]), tally(&[9])], [tally(&[5]), tally(&[])]];
        let mut sum = LiveSum::new(2);
        send(&mut sum, 0, &shards[0]);
        assert!(sum.next().expect("sound").is_none(), "the other has said nothing");
        send(&mut sum, 1, &shards[1]);
        let (mut total, mut totals) = (Tally::new(2), Totals::default());
        for (t_s, (zero, one)) in shards[0].iter().zip(&shards[1]).enumerate() {
            let mut whole = zero.clone();
            whole += one;
            total.append(&whole);
            totals.add(&whole);
            let seen = sum.next().expect("sound").expect("both have sent it");
            assert_eq!(seen.totals, totals);
            let expected = Second::new(t_s as u32, &whole, &names());
            let histograms = |second: &Second| -> Vec<_> {
                second.requests.values().map(|kind| (kind.http_reqs, kind.failed, kind.histograms.clone())).collect()
            };
            assert_eq!((histograms(&seen.second), seen.second.vus), (histograms(&expected), 6));
            assert_eq!((seen.second.http_reqs, seen.second.failures), (expected.http_reqs, expected.failures));
            let summary = Summary::new(&total, &names(), Nanos::from_secs(t_s as u64 + 1));
            let numbers = seen.numbers.expect("rules ask");
            let judged = threshold::judge(&rules(), &numbers);
            let expected = threshold::judge(&rules(), &summary);
            assert_eq!(judged[..3], expected[..3], "second {t_s}");
            assert_eq!(judged[3].value, Some(6.0), "levels are added");
            let told = Tally::told(seen.interval.expect("it is sent"), &names());
            for kind in [PartOf::Kind(0), PartOf::Kind(1), PartOf::Shared] {
                for counter in Counter::ALL {
                    assert_eq!(told.counter(kind, counter), whole.counter(kind, counter), "{kind:?} {counter:?}");
                }
                let times = |tally: &Tally| tally.trend(kind, Trend::HttpReqDuration).map(Distribution::encoded);
                assert_eq!(times(&told), times(&whole), "{kind:?}");
            }
            assert_eq!((told.failed(Failure::Http429), told.level_now(Gauge::Vus)), (2, Some(6)));
        }
        assert_eq!(totals.counter(Counter::HttpReqs), 13);
    }

    #[test]
    fn a_shard_that_has_ended_is_not_waited_for_and_still_counts() {
        let mut sum = LiveSum::new(2);
        send(&mut sum, 0, &[tally(&[1]), tally(&[1])]);
        send(&mut sum, 1, &[tally(&[1])]);
        assert!(sum.next().expect("sound").is_some() && sum.next().expect("sound").is_none());
        sum.end(1);
        let last = sum.next().expect("sound").expect("only one is left");
        assert_eq!((last.second.http_reqs, last.totals.counter(Counter::HttpReqs)), (3, 9));
        let judged = threshold::judge(&rules(), &last.numbers.expect("rules ask"));
        assert_eq!((judged[0].verdict, judged[0].samples), (Judgement::Fail, 9));
    }

    #[test]
    fn nothing_is_sent_that_nobody_looks_at() {
        let second = Second::new(0, &tally(&[1]), &names());
        let sent = ShardSecond::new(&second, &Totals::default(), None).to_json();
        let sent = String::from_utf8_lossy(&sent);
        assert!(!sent.contains("numbers") && !sent.contains("interval"), "{sent}");
    }

    #[test]
    fn what_is_no_next_second_is_refused() {
        let second = |t_s| ShardSecond::new(&Second::new(t_s, &tally(&[1]), &names()), &Totals::default(), None);
        let mut sum = LiveSum::new(1);
        sum.add(0, &second(3).to_json()).expect("it may skip some");
        for text in [second(3).to_json(), second(0).to_json(), second(u32::MAX).to_json(), b"{}".to_vec(), Vec::new()] {
            assert!(sum.add(0, &text).is_err());
        }
    }
}
