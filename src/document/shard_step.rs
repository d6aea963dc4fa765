//! A step of a sweep that several shards run: adds the measurements of all shards. Integers are
//! added, and histograms bucket by bucket, as in `merge`.

use super::live::Numbers;
use super::merge::worst_of;
use super::read::wrong;
use super::{FieldError, Signal};
use crate::metrics::{Metric, ServerLevel, Summary};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A step as one shard measured it, on its way to shard 0.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ShardStep {
    numbers: Numbers,
    /// Facts about the server by name, each with its number of readings.
    levels: BTreeMap<String, (f64, u64)>,
    signals: Vec<Signal>,
    workers: u32,
}

impl ShardStep {
    pub(crate) fn new(summary: &Summary, signals: &[Signal], workers: usize) -> Self {
        let name = |level| Metric::Server(level).name().to_owned();
        Self {
            numbers: Numbers::everything(summary),
            levels: summary.server.iter().map(|&(level, value, n)| (name(level), (value, n))).collect(),
            signals: signals.to_vec(),
            workers: workers as u32,
        }
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        // Numbers and strings can always be serialized.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The sum of a step over the shards.
#[derive(Debug)]
pub(crate) struct StepSum {
    pub(crate) summary: Summary,
    /// Each signal with its worst value.
    pub(crate) signals: Vec<Signal>,
    /// Worker threads of all shards.
    pub(crate) workers: usize,
}

impl StepSum {
    /// Starts with the step of the first shard, in the form in which it was sent.
    pub(crate) fn new(text: &[u8]) -> Result<Self, FieldError> {
        let ShardStep { numbers, levels, signals, workers } =
            serde_json::from_slice(text).map_err(|error| wrong("step", format!("it cannot be read: {error}")))?;
        let of = |name: &str| ServerLevel::ALL.into_iter().find(|level| Metric::Server(*level).name() == name);
        let server = levels.iter().filter_map(|(name, &(value, n))| Some((of(name)?, value, n))).collect();
        Ok(Self { summary: Summary { server, ..numbers.summary()? }, signals, workers: workers as usize })
    }

    /// Adds the same step of another shard, in the form in which it was sent.
    pub(crate) fn add(&mut self, text: &[u8]) -> Result<(), FieldError> {
        let more = Self::new(text)?;
        let kinds =
            |summary: &Summary| summary.requests.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let (ours, theirs) = (kinds(&self.summary), kinds(&more.summary));
        if ours != theirs {
            return Err(wrong("step.numbers.requests", format!("they are {theirs}, and {ours} at shard 0")));
        }
        self.summary.add(&more.summary);
        for (level, value, n) in more.summary.server {
            match self.summary.server.iter_mut().find(|(known, ..)| *known == level) {
                Some((_, lowest, readings)) if is_of_responses(level) => {
                    (*lowest, *readings) = (lowest.min(value), *readings + n);
                }
                // One observation of the server is enough.
                Some(_) => {}
                None => self.summary.server.push((level, value, n)),
            }
        }
        worst_of(&mut self.signals, more.signals);
        self.workers += more.workers;
        Ok(())
    }
}

/// Returns true if the level comes from the responses of each shard. The lowest of all shards
/// counts then.
fn is_of_responses(level: ServerLevel) -> bool {
    use ServerLevel::{LimitRequests, LimitTokens, RemainingRequests, RemainingTokens};
    matches!(level, RemainingRequests | RemainingTokens | LimitRequests | LimitTokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::validity::Validity;
    use crate::metrics::{Counter, Gauge, Outcome, Remaining, Sample, Tally, Trend};
    use crate::units::Nanos;

    fn success(kind: u16, ms: u64) -> Sample {
        let end = Nanos::from_millis(ms);
        Sample { outcome: Outcome::Success, status: 200, end, ..Sample::begun(kind, Nanos::ZERO) }
    }

    fn tally(users: u64, ms: &[u64], remaining: Option<u32>) -> Tally {
        let mut tally = Tally::new(2);
        for ms in ms {
            tally.record(&success(1, *ms));
        }
        tally.record(&success(0, 2));
        tally.level(Gauge::Vus, users);
        tally.remains(Remaining { requests: remaining, ..Remaining::default() });
        tally
    }

    fn signal(value: f64, verdict: Validity) -> Signal {
        let (name, advice) = ("worker_cpu".to_owned(), String::new());
        Signal { name, value, strained_above: 0.8, limit: 0.9, verdict, advice, explains: false }
    }

    #[test]
    fn the_sum_of_shards_is_the_step_of_one_process() {
        // Not in alphabetical order.
        let names = ["chat", "all"].map(str::to_owned);
        let summary = |tally: &Tally| Summary::new(tally, &names, Nanos::from_secs(10));
        let shards = [tally(3, &[1, 9], Some(70)), tally(2, &[5], Some(4)), tally(0, &[], None)];
        let told = |i: usize, value, verdict| ShardStep::new(&summary(&shards[i]), &[signal(value, verdict)], i + 1);
        let mut sum = StepSum::new(&told(0, 0.95, Validity::Bottleneck).to_json()).expect("sound");
        sum.add(&told(1, 0.2, Validity::Ok).to_json()).expect("sound");
        sum.add(&told(2, 0.85, Validity::Strained).to_json()).expect("sound");
        let mut whole = shards[0].clone();
        for shard in &shards[1..] {
            whole += shard;
        }
        let whole = summary(&whole);
        for name in [None, Some("chat"), Some("all")] {
            let times =
                |summary: &Summary| summary.trend(Trend::HttpReqDuration, name).map(|d| (d.exact(), d.encoded()));
            assert_eq!(times(&sum.summary), times(&whole), "{name:?}");
            for counter in Counter::ALL {
                let of = |summary: &Summary| summary.counter(counter, name).map(|c| (c.count, c.in_window));
                assert_eq!(of(&sum.summary), of(&whole), "{name:?} {counter:?}");
            }
        }
        assert_eq!(sum.summary.gauge(Gauge::Vus), whole.gauge(Gauge::Vus));
        assert_eq!(sum.summary.server_level(ServerLevel::RemainingRequests).map(|(lowest, _)| lowest), Some(4.0));
        assert_eq!((sum.signals, sum.workers), (vec![signal(0.95, Validity::Bottleneck)], 6));
    }

    #[test]
    fn a_step_of_another_test_is_refused() {
        let step = |names: [&str; 2]| {
            let summary = Summary::new(&tally(1, &[1], None), &names.map(str::to_owned), Nanos::from_secs(1));
            ShardStep::new(&summary, &[], 1).to_json()
        };
        let mut sum = StepSum::new(&step(["a", "b"])).expect("sound");
        for text in [step(["a", "c"]), b"{}".to_vec(), Vec::new()] {
            assert!(sum.add(&text).is_err());
        }
        assert!(StepSum::new(b"garbage").is_err());
        assert_eq!(sum.workers, 1, "nothing was added");
    }
}
