//! Every metric of a run so far, with the names, units and labels that Prometheus expects
//! (<https://prometheus.io/docs/practices/naming/>): seconds instead of milliseconds, `_total`
//! behind counters, the unit behind the name.

use crate::live::{Outline, Snapshot};
use crate::metrics::{Buckets, Counter, Failure, Gauge, Metric, PartOf, Rate, Second, ServerLevel, Tally, Trend, Unit};
use std::sync::Arc;

/// The prefix of every metric's name.
const PREFIX: &str = "llmsim_blast_";

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// All series of one name.
#[derive(Debug)]
pub(super) struct Family {
    /// The name without the unit and without `_total`.
    pub(super) name: String,
    /// The unit behind the name.
    pub(super) unit: Option<&'static str>,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
    pub(super) points: Vec<Point>,
}

impl Family {
    /// Returns the name for queries, without the suffixes of a classic histogram.
    pub(super) fn full_name(&self) -> String {
        let unit = self.unit.map_or_else(String::new, |unit| format!("_{unit}"));
        let total = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{}{unit}{total}", self.name)
    }
}

/// Labels as names and values.
pub(super) type Labels = Vec<(&'static str, String)>;

#[derive(Debug)]
pub(super) struct Point {
    pub(super) labels: Labels,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Count(u64),
    Level(f64),
    Distribution(Distribution),
}

/// The unit of a distribution, which also sets the steps of its buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scale {
    /// Stored in microseconds.
    Seconds,
    /// Stored as they are.
    Tokens,
}

impl Scale {
    const fn of(unit: Unit) -> Self {
        match unit {
            Unit::Tokens => Self::Tokens,
            _ => Self::Seconds,
        }
    }

    /// Returns the unit behind the name.
    const fn unit(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Tokens => "tokens",
        }
    }

    /// Returns how many steps of our buckets make one unit.
    pub(super) const fn steps(self) -> f64 {
        match self {
            Self::Seconds => 1e6,
            Self::Tokens => 1.0,
        }
    }
}

/// A distribution of times or of tokens.
#[derive(Debug)]
pub(super) struct Distribution {
    pub(super) scale: Scale,
    pub(super) count: u64,
    /// Sum, in units.
    pub(super) sum: f64,
    /// Buckets, in steps.
    pub(super) buckets: Buckets,
}

/// Everything that a run has counted so far.
#[derive(Debug)]
pub struct Counts {
    outline: Arc<Outline>,
    total: Tally,
    /// The last second. `None` before the first.
    last: Option<Second>,
    /// Highest resident memory of the server so far, in bytes.
    server_rss_max: Option<u64>,
}

impl Counts {
    /// Starts a run without counts.
    pub fn new(outline: Arc<Outline>) -> Self {
        let total = Tally::new(outline.kinds.len());
        Self { outline, total, last: None, server_rss_max: None }
    }

    /// Adds the next second.
    pub fn add(&mut self, snapshot: &Snapshot, interval: &Tally) {
        // Times of requests that later fail after all stay. Counts never go down.
        self.total.append(interval);
        self.server_rss_max = self.server_rss_max.max(snapshot.second.server_rss_bytes);
        self.last = Some(snapshot.second.clone());
    }

    /// Returns the times of a trend so far, over all kinds of request.
    pub fn buckets(&self, trend: Trend) -> Buckets {
        self.total.buckets(trend)
    }

    /// Returns all families, in the order of the catalogue, including those without points.
    pub(super) fn families(&self) -> Vec<Family> {
        let mut families = vec![self.info()];
        families.extend(Trend::ALL.map(|trend| self.trend(trend)));
        families.extend(Counter::ALL.map(|counter| self.counter(counter)));
        families.extend(Rate::ALL.into_iter().flat_map(|rate| self.rate(rate)));
        families.extend(Gauge::ALL.map(|gauge| self.gauge(gauge)));
        families.extend(ServerLevel::ALL.map(|level| self.server(level)));
        families.push(self.failures());
        families.extend(self.client());
        families
    }

    fn labels(&self) -> Labels {
        let Outline { run_id, profile, shard, .. } = &*self.outline;
        vec![("profile", profile.clone()), ("run_id", run_id.clone()), ("shard", shard.clone())]
    }

    /// Returns the common labels and one more, in the order of their names.
    fn labels_with(&self, name: &'static str, value: &str) -> Labels {
        let mut labels = self.labels();
        labels.push((name, value.to_owned()));
        labels.sort_unstable_by_key(|(name, _)| *name);
        labels
    }

    /// Returns the parts of a metric: each kind of request, or the shared part if it belongs to
    /// none.
    fn parts(&self, metric: Metric) -> Vec<(Labels, PartOf)> {
        if metric.is_global() {
            return vec![(self.labels(), PartOf::Shared)];
        }
        let kinds = self.outline.kinds.iter().enumerate();
        kinds.map(|(place, name)| (self.labels_with("kind", name), PartOf::Kind(place))).collect()
    }

    fn info(&self) -> Family {
        let mut labels = self.labels_with("target", &self.outline.target);
        labels.push(("version", env!("CARGO_PKG_VERSION").to_owned()));
        Family {
            name: format!("{PREFIX}run_info"),
            unit: None,
            help: "What is run: always 1.",
            kind: Kind::Gauge,
            points: vec![Point { labels, value: Value::Level(1.0) }],
        }
    }

    fn trend(&self, trend: Trend) -> Family {
        let scale = Scale::of(trend.unit());
        let points = self.parts(Metric::Trend(trend)).into_iter().filter_map(|(labels, part)| {
            let kept = self.total.trend(part, trend)?;
            // A step is stored as a microsecond.
            let sum = kept.sum_ms() * 1e3 / scale.steps();
            let value = Distribution { scale, count: kept.count, sum, buckets: kept.buckets() };
            Some(Point { labels, value: Value::Distribution(value) })
        });
        family(Metric::Trend(trend), "", Some(scale.unit()), Kind::Histogram, points.collect())
    }

    fn counter(&self, counter: Counter) -> Family {
        let metric = Metric::Counter(counter);
        let unit = (metric.unit() == Unit::Bytes).then_some("bytes");
        let parts = self.parts(metric).into_iter();
        let points =
            parts.map(|(labels, part)| Point { labels, value: Value::Count(self.total.counter(part, counter)) });
        family(metric, "", unit, Kind::Counter, points.collect())
    }

    /// Returns a ratio as its two counts, because ratios of several kinds or shards cannot be
    /// added.
    fn rate(&self, rate: Rate) -> [Family; 2] {
        let metric = Metric::Rate(rate);
        ["_matches", "_judged"].map(|ending| {
            let points = self.parts(metric).into_iter().map(|(labels, part)| {
                let value = self.total.rate(part, rate);
                let count = if ending == "_matches" { value.matches } else { value.total };
                Point { labels, value: Value::Count(count) }
            });
            family(metric, ending, None, Kind::Counter, points.collect())
        })
    }

    fn gauge(&self, gauge: Gauge) -> Family {
        let value = self.total.level_now(gauge).map(|level| level as f64);
        family(Metric::Gauge(gauge), "", None, Kind::Gauge, self.level(value))
    }

    /// Returns a number of the server. Growth and the server's own metrics are known only at the
    /// end.
    fn server(&self, level: ServerLevel) -> Family {
        let (unit, value) = match level {
            ServerLevel::RssGrowth => ("bytes_per_hour", None),
            ServerLevel::RssMax => ("bytes", self.server_rss_max.map(|bytes| bytes as f64)),
            ServerLevel::Cpu => ("cores", self.last.as_ref().and_then(|second| second.server_cpu)),
            ServerLevel::Running | ServerLevel::Waiting | ServerLevel::Preemptions => ("requests", None),
            ServerLevel::KvUse | ServerLevel::PrefixHits => ("ratio", None),
            ServerLevel::RemainingRequests
            | ServerLevel::RemainingTokens
            | ServerLevel::LimitRequests
            | ServerLevel::LimitTokens => {
                let named = self.last.as_ref().map(|second| second.remaining().levels());
                let value = named.into_iter().flatten().find(|(of, _)| *of == level).and_then(|(_, value)| value);
                (Metric::Server(level).unit().name(), value.map(f64::from))
            }
        };
        family(Metric::Server(level), "", Some(unit), Kind::Gauge, self.level(value))
    }

    fn failures(&self) -> Family {
        let seen = Failure::ALL.into_iter().map(|class| (class, self.total.failed(class))).filter(|(_, n)| *n > 0);
        let points = seen
            .map(|(class, n)| Point { labels: self.labels_with("class", class.name()), value: Value::Count(n) })
            .collect();
        Family {
            name: format!("{PREFIX}failures"),
            unit: None,
            help: "Failed requests by class.",
            kind: Kind::Counter,
            points,
        }
    }

    /// Returns the numbers behind the verdict on this tool, besides `client_lag`.
    fn client(&self) -> [Family; 2] {
        let of = |value: fn(&Second) -> f64| self.level(self.last.as_ref().map(value));
        let gauge = |name: &str, unit, help, points| Family {
            name: format!("{PREFIX}{name}"),
            unit: Some(unit),
            help,
            kind: Kind::Gauge,
            points,
        };
        [
            gauge("client_cpu", "cores", "CPU time of all workers in the last second.", of(|second| second.client_cpu)),
            gauge(
                "client_busiest_worker",
                "ratio",
                "Share of its core that the busiest worker used in the last second.",
                of(|second| second.busiest_worker_cpu),
            ),
        ]
    }

    /// Returns a point if the value is known.
    fn level(&self, value: Option<f64>) -> Vec<Point> {
        value.into_iter().map(|value| Point { labels: self.labels(), value: Value::Level(value) }).collect()
    }
}

/// Builds a family. A metric whose own name ends with the unit does not get it twice.
fn family(metric: Metric, ending: &str, unit: Option<&'static str>, kind: Kind, points: Vec<Point>) -> Family {
    let name = format!("{PREFIX}{}{ending}", metric.name());
    let bare = unit.and_then(|unit| name.strip_suffix(unit)?.strip_suffix('_')).map(str::to_owned);
    Family { name: bare.unwrap_or(name), unit, help: metric.help(), kind, points }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::metrics::{Asked, Outcome, Sample, TokenUsage, Totals};
    use crate::units::Nanos;
    use std::collections::BTreeSet;

    /// Returns a second in which requests of `chat` took `ms`, and one request failed. Those that
    /// succeeded asked for 300 tokens and got 7.
    pub(in crate::prometheus) fn second(ms: &[u64]) -> (Snapshot, Tally) {
        let mut tally = Tally::new(2);
        for ms in ms {
            let sent = Nanos::from_millis(5);
            let end = sent + Nanos::from_millis(*ms);
            tally.record(&Sample {
                outcome: Outcome::Success,
                status: 200,
                end,
                first_byte: Some(end),
                bytes_received: 100,
                asked: Asked { output: 300, ..Asked::default() },
                usage: Some(TokenUsage { output: 7, ..TokenUsage::default() }),
                ..Sample::begun(0, sent)
            });
            tally.started();
        }
        tally.record(&Sample {
            outcome: Outcome::Failed(Failure::Http429),
            status: 429,
            end: Nanos::from_millis(1),
            ..Sample::begun(1, Nanos::ZERO)
        });
        tally.level(Gauge::Vus, 3);
        let second = Second { server_cpu: Some(0.5), ..Second::new(0, &tally, &[]) };
        let snapshot = Snapshot {
            outline: outline(),
            elapsed: Nanos::from_secs(1),
            stage: None,
            second,
            totals: Totals::default(),
        };
        (snapshot, tally)
    }

    pub(in crate::prometheus) fn outline() -> Arc<Outline> {
        Arc::new(Outline {
            run_id: "run-1".to_owned(),
            shard: "0".to_owned(),
            profile: "load".to_owned(),
            kinds: vec!["chat".to_owned(), "he\"al\\th".to_owned()],
            ..Outline::default()
        })
    }

    /// Returns the counts after two seconds.
    pub(in crate::prometheus) fn counts() -> Counts {
        let mut counts = Counts::new(outline());
        for ms in [&[10, 20][..], &[30]] {
            let (snapshot, tally) = second(ms);
            counts.add(&snapshot, &tally);
        }
        counts
    }

    #[test]
    fn every_metric_of_the_catalogue_has_a_family() {
        let families = counts().families();
        for metric in Metric::all() {
            let of = |family: &&Family| family.full_name().starts_with(&format!("{PREFIX}{}", metric.name()));
            assert!(families.iter().any(|family| of(&family)), "{}", metric.name());
        }
        let names: BTreeSet<String> = families.iter().map(Family::full_name).collect();
        assert_eq!(names.len(), families.len(), "each name once");
        for name in ["ttft_seconds", "http_reqs_total", "data_sent_bytes_total", "vus", "server_rss_max_bytes"] {
            assert!(names.contains(&format!("{PREFIX}{name}")), "{name}: {names:?}");
        }
        for trend in Trend::ALL.into_iter().filter(|trend| trend.unit() == Unit::Tokens) {
            assert!(names.contains(&format!("{PREFIX}{}", trend.name())), "its name says the unit: {names:?}");
        }
        for family in &families {
            for point in &family.points {
                assert!(point.labels.is_sorted(), "{family:?}");
            }
        }
    }

    #[test]
    fn seconds_add_up_by_kind() {
        let families = counts().families();
        let find = |name: &str| families.iter().find(|family| family.full_name() == name).expect(name);
        let counts: Vec<u64> = find("llmsim_blast_http_reqs_total")
            .points
            .iter()
            .map(|point| if let Value::Count(n) = point.value { n } else { 0 })
            .collect();
        assert_eq!(counts, [3, 2]);
        let [failed] = &find("llmsim_blast_failures_total").points[..] else { panic!("one class") };
        assert!(matches!(failed.value, Value::Count(2)) && failed.labels[0] == ("class", "http_429".to_owned()));
        let [times] = &find("llmsim_blast_http_req_duration_seconds").points[..] else { panic!("one kind") };
        let Value::Distribution(times) = &times.value else { panic!("times") };
        assert!(times.count == 3 && (times.sum - 0.06).abs() < 1e-9, "{times:?}");
        for (name, sum) in [("asked_output_tokens", 900.0), ("billed_output_tokens", 21.0)] {
            let [tokens] = &find(&format!("{PREFIX}{name}")).points[..] else { panic!("one kind") };
            let Value::Distribution(tokens) = &tokens.value else { panic!("tokens") };
            assert!(tokens.count == 3 && (tokens.sum - sum).abs() < 1e-9, "{name}: {tokens:?}");
        }
    }

    #[test]
    fn nothing_is_taken_back() {
        let (snapshot, mut tally) = second(&[10]);
        let mut counts = Counts::new(outline());
        counts.add(&snapshot, &tally);
        let sample = Sample { outcome: Outcome::Success, end: Nanos::from_millis(10), ..Sample::begun(0, Nanos::ZERO) };
        tally.clear();
        tally.condemn(&sample, Failure::Reset, Nanos::from_secs(1));
        counts.add(&snapshot, &tally);
        let times = counts.total.trend(PartOf::Kind(0), Trend::HttpReqDuration).expect("times");
        assert_eq!((times.count, counts.total.failed(Failure::Reset)), (1, 1));
    }
}
