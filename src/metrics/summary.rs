//! Computes the results from a tally: rates, percentiles, the table of failures.

use super::growth::Trending;
use super::part::Part;
use super::soak::Soak;
use super::{Counter, Distribution, Failure, Gauge, Incidents, Paths, Rate, ServerLevel, TURNS, Tally, Trend};
use crate::units::Nanos;
use serde::{Deserialize, Serialize};

/// The results of a tally. Plain numbers without a reference to the tally.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The length of the measurement window, over which rates are computed.
    pub window: Nanos,
    /// CPU time of the workers.
    pub cpu_time: Nanos,
    /// All kinds of request together, including connections.
    pub all: Group,
    /// The group of each kind of request, in the order of the mix.
    pub requests: Vec<(String, Group)>,
    /// The groups of conversation turns that occurred, by the names in [`TURNS`].
    pub turns: Vec<(String, Group)>,
    /// Failed requests by class, in the order of the report. Only classes that occurred.
    pub failures: Vec<(Failure, Incidents)>,
    /// Attempts that failed and were retried, by class. Only classes that occurred.
    pub retried: Vec<(Failure, u64)>,
    /// Responses by status, ascending.
    pub statuses: Vec<(u16, u64)>,
    /// Failed response checks by name, ascending.
    pub failed_checks: Vec<(&'static str, u64)>,
    /// Connection attempts by address, and TLS failures.
    pub paths: Paths,
    /// Levels that were ever set.
    pub gauges: Vec<(Gauge, GaugeValue)>,
    /// Known numbers of the server, each with the number of seconds or readings it is computed
    /// from.
    pub server: Vec<(ServerLevel, f64, u64)>,
}

/// The numbers of one kind of request, or of all.
#[derive(Debug, Clone)]
pub struct Group {
    /// The trends that have times.
    pub trends: Vec<(Trend, Distribution)>,
    /// All counters that apply, including zeros. The group of a single kind has no counters of
    /// connections.
    pub counters: Vec<(Counter, CounterValue)>,
    /// All rates, even with a total of zero.
    pub rates: Vec<(Rate, RateValue)>,
    /// How the tokens of successful requests were counted. `None` if there were none. (Tokens of
    /// requests that failed or were cut off are usually counted by events, because usage comes
    /// last.)
    pub token_source: Option<TokenSource>,
    /// Successful requests whose tokens the server counted, among those with tokens. Only their
    /// input tokens are known.
    pub billed: RateValue,
}

/// A count and its rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CounterValue {
    /// Count over the whole test.
    pub count: u64,
    /// The part that arrived in the measurement window.
    pub in_window: u64,
    /// The part in the window, per second.
    pub rate: f64,
}

/// A ratio of two counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateValue {
    pub matches: u64,
    pub total: u64,
}

impl RateValue {
    /// Returns the ratio; 0 if the total is zero. It is at most 1 if `matches` are a part of
    /// `total`.
    pub fn ratio(self) -> f64 {
        if self.total == 0 { 0.0 } else { self.matches as f64 / self.total as f64 }
    }
}

/// A level with its extremes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GaugeValue {
    pub value: u64,
    pub min: u64,
    pub max: u64,
}

/// How tokens were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenSource {
    /// By the server, in `usage`.
    Usage,
    /// By us, one per event.
    Events,
    /// Differently for different requests.
    Mixed,
}

impl TokenSource {
    /// Returns the name in JSON and the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Events => "events",
            Self::Mixed => "mixed",
        }
    }
}

impl Summary {
    /// Computes a summary. Rates are per second of `window`. `requests` are the names of the kinds
    /// in the order of the mix.
    pub fn new(tally: &Tally, requests: &[String], window: Nanos) -> Self {
        debug_assert_eq!(tally.kinds.len(), requests.len(), "a name for each kind");
        let kinds =
            requests.iter().cloned().zip(tally.kinds.iter().map(|part| Group::new(part, Scope::OneKind, window)));
        let failures = Failure::ALL.into_iter().map(|f| (f, &tally.failures[f as usize]));
        let gauges = Gauge::ALL.into_iter().map(|g| (g, tally.levels[g as usize])).filter(|(_, level)| level.is_set);
        Self {
            window,
            cpu_time: tally.cpu_time,
            all: Group::new(&tally.all_kinds(), Scope::All, window),
            requests: kinds.collect(),
            turns: turns(tally, window),
            failures: failures.filter(|(_, seen)| seen.count > 0).map(|(f, seen)| (f, seen.clone())).collect(),
            retried: Failure::ALL.into_iter().zip(tally.retried).filter(|&(_, n)| n > 0).collect(),
            statuses: tally.statuses.iter().copied().filter(|&(_, n)| n > 0).collect(),
            failed_checks: tally.failed_checks.iter().copied().filter(|&(_, n)| n > 0).collect(),
            paths: tally.paths.clone(),
            gauges: gauges.map(|(g, l)| (g, GaugeValue { value: l.value, min: l.min, max: l.max })).collect(),
            server: tally.remaining.levels().into_iter().filter_map(|(l, n)| Some((l, f64::from(n?), 1))).collect(),
        }
    }

    /// Adds the numbers of the server's process. Growth is left out if the run is too short for a
    /// verdict.
    #[must_use]
    pub fn with_server(mut self, soak: &Soak) -> Self {
        /// Thresholds use MB for memory and MB per hour for growth.
        const MB: f64 = 1e6;
        let judged = soak.server.filter(|growth| growth.verdict != Trending::TooShort);
        let growth = judged.and_then(|growth| {
            let seconds = (growth.to_s - growth.from_s) as u64 + 1;
            Some((ServerLevel::RssGrowth, growth.bytes_per_h? / MB, seconds))
        });
        let most = soak.server_rss_max.map(|(bytes, n)| (ServerLevel::RssMax, bytes as f64 / MB, n));
        let cpu = soak.server_cpu.map(|(cores, n)| (ServerLevel::Cpu, cores, n));
        self.server.extend([growth, most, cpu].into_iter().flatten());
        self
    }

    /// Adds numbers that the server reports, each with the number of readings it is computed from.
    #[must_use]
    pub fn with_levels(mut self, levels: Vec<(ServerLevel, f64, u64)>) -> Self {
        self.server.extend(levels);
        self
    }

    /// Returns a number of the server, with the number of seconds or readings it is computed from.
    pub fn server_level(&self, level: ServerLevel) -> Option<(f64, u64)> {
        self.server.iter().find(|(l, ..)| *l == level).map(|&(_, value, seconds)| (value, seconds))
    }

    /// Returns the group of all kinds of request (`None`) or of one of them. `None` if there is no
    /// such kind. A name such as `turn:3-4` selects turns of conversations of any kind.
    pub fn group(&self, request: Option<&str>) -> Option<&Group> {
        let Some(name) = request else { return Some(&self.all) };
        let turn = name.strip_prefix(TURN_PREFIX);
        let kind = self.requests.iter().find(|(n, _)| n == name);
        kind.or_else(|| self.turns.iter().find(|(n, _)| Some(n.as_str()) == turn)).map(|(_, group)| group)
    }

    /// Returns the times of a trend. `None` if there are none or there is no such kind of request.
    pub fn trend(&self, trend: Trend, request: Option<&str>) -> Option<&Distribution> {
        self.group(request)?.trend(trend)
    }

    /// Returns a count, even if zero. `None` if there is no such kind of request, or if the counter
    /// is not kept per kind.
    pub fn counter(&self, counter: Counter, request: Option<&str>) -> Option<CounterValue> {
        self.group(request)?.counter(counter)
    }

    /// Returns a ratio. `None` if its total is zero or there is no such kind of request.
    pub fn rate(&self, rate: Rate, request: Option<&str>) -> Option<RateValue> {
        self.group(request)?.rate(rate).filter(|value| value.total > 0)
    }

    /// Returns a level. `None` if it was never set.
    pub fn gauge(&self, gauge: Gauge) -> Option<GaugeValue> {
        self.gauges.iter().find(|(g, _)| *g == gauge).map(|&(_, value)| value)
    }

    /// Returns how many requests succeeded or failed, without those that were cancelled or cut off
    /// by the end of the test.
    pub fn finished(&self) -> u64 {
        self.counter(Counter::HttpReqs, None).map_or(0, |c| c.count)
    }

    /// Returns how many requests finished without a failure.
    pub fn succeeded(&self) -> u64 {
        self.rate(Rate::HttpReqFailed, None).map_or(0, |s| s.total - s.matches)
    }
}

impl Summary {
    /// Adds what another machine measured at the same time, with the same kinds of request in the
    /// same order. The sum is exact: counts and histograms are those of one run on both machines.
    /// (Extremes of levels are added too, so they are bounds of the true ones.) Rates are per
    /// second of the longer window.
    pub fn add(&mut self, other: &Self) {
        debug_assert_eq!(self.requests.len(), other.requests.len(), "the same kinds");
        self.window = self.window.max(other.window);
        self.cpu_time += other.cpu_time;
        self.all.add(&other.all, self.window);
        for ((_, group), (_, more)) in self.requests.iter_mut().zip(&other.requests) {
            group.add(more, self.window);
        }
        add_each(&mut self.turns, &other.turns, |group, more| group.add(more, self.window));
        add_each(&mut self.failures, &other.failures, Incidents::add);
        add_each(&mut self.retried, &other.retried, |n, more| *n += more);
        add_each(&mut self.statuses, &other.statuses, |n, more| *n += more);
        add_each(&mut self.failed_checks, &other.failed_checks, |n, more| *n += more);
        add_each(&mut self.gauges, &other.gauges, |level, more| {
            level.value += more.value;
            level.min += more.min;
            level.max += more.max;
        });
    }
}

/// Adds the other's values to the entries of an ascending list. Missing entries are inserted.
fn add_each<K: Ord + Clone, V: Clone>(list: &mut Vec<(K, V)>, other: &[(K, V)], add: impl Fn(&mut V, &V)) {
    for (key, more) in other {
        match list.binary_search_by(|(known, _)| known.cmp(key)) {
            Ok(at) => add(&mut list[at].1, more),
            Err(at) => list.insert(at, (key.clone(), more.clone())),
        }
    }
}

/// Prefix of a turn's name where a kind of request is expected.
pub const TURN_PREFIX: &str = "turn:";

/// Returns the turns that occurred, in order.
fn turns(tally: &Tally, window: Nanos) -> Vec<(String, Group)> {
    let parts = TURNS.into_iter().zip(&tally.turns);
    let seen = parts.filter(|(_, part)| part.counter(Counter::HttpReqsSent) > 0 || part.failed > 0);
    seen.map(|(name, part)| (name.to_owned(), Group::new(part, Scope::OneKind, window))).collect()
}

/// The scope of a group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    OneKind,
}

impl Group {
    fn new(part: &Part, scope: Scope, window: Nanos) -> Self {
        let trends = Trend::ALL.into_iter().filter_map(|t| Some((t, part.trend(t)?.clone())));
        let counters = Counter::ALL.into_iter().filter(|c| scope == Scope::All || !c.is_global());
        Self {
            trends: trends.collect(),
            counters: counters.map(|c| (c, CounterValue::new(part, c, window))).collect(),
            rates: Rate::ALL.into_iter().map(|r| (r, RateValue::new(part, r))).collect(),
            token_source: match (part.counted_by_usage, part.counted_by_events) {
                (0, 0) => None,
                (_, 0) => Some(TokenSource::Usage),
                (0, _) => Some(TokenSource::Events),
                _ => Some(TokenSource::Mixed),
            },
            billed: RateValue { matches: part.counted_by_usage, total: part.counted_by_usage + part.counted_by_events },
        }
    }

    /// Adds a group of the same time.
    fn add(&mut self, other: &Self, window: Nanos) {
        add_each(&mut self.trends, &other.trends, Distribution::add);
        add_each(&mut self.counters, &other.counters, |value, more| {
            (value.count, value.in_window) = (value.count + more.count, value.in_window + more.in_window);
        });
        for (_, value) in &mut self.counters {
            *value = CounterValue::over(value.count, value.in_window, window);
        }
        add_each(&mut self.rates, &other.rates, |value, more| {
            (value.matches, value.total) = (value.matches + more.matches, value.total + more.total);
        });
        self.token_source = match (self.token_source, other.token_source) {
            (Some(ours), Some(theirs)) if ours != theirs => Some(TokenSource::Mixed),
            (ours, theirs) => ours.or(theirs),
        };
        self.billed = RateValue {
            matches: self.billed.matches + other.billed.matches,
            total: self.billed.total + other.billed.total,
        };
    }

    /// Returns the times of a trend. `None` if there are none.
    pub fn trend(&self, trend: Trend) -> Option<&Distribution> {
        self.trends.iter().find(|(t, _)| *t == trend).map(|(_, d)| d)
    }

    /// Returns a count. `None` if it does not apply to the group.
    pub fn counter(&self, counter: Counter) -> Option<CounterValue> {
        self.counters.iter().find(|(c, _)| *c == counter).map(|&(_, value)| value)
    }

    /// Returns a ratio, even if its total is zero.
    pub fn rate(&self, rate: Rate) -> Option<RateValue> {
        self.rates.iter().find(|(r, _)| *r == rate).map(|&(_, value)| value)
    }
}

impl CounterValue {
    fn new(part: &Part, counter: Counter, window: Nanos) -> Self {
        Self::over(part.counter(counter), part.counter_in_window(counter), window)
    }

    /// Returns a count of which `in_window` arrived in a window of that length.
    pub fn over(count: u64, in_window: u64, window: Nanos) -> Self {
        let rate = if window == Nanos::ZERO { 0.0 } else { in_window as f64 / window.as_secs_f64() };
        Self { count, in_window, rate }
    }
}

impl RateValue {
    /// Returns a part of a whole. It is limited to the whole, because servers may report more.
    const fn within(part: u64, whole: u64) -> Self {
        Self { matches: if part < whole { part } else { whole }, total: whole }
    }

    pub(super) fn new(part: &Part, rate: Rate) -> Self {
        match rate {
            Rate::HttpReqFailed => Self { matches: part.failed, total: part.counter(Counter::HttpReqs) },
            Rate::Checks => Self { matches: part.checks_held, total: part.checks_held + part.checks_failed },
            Rate::Goodput => Self { matches: part.good, total: part.judged },
            Rate::InputOff => Self { matches: part.compared.input_off, total: part.compared.input },
            Rate::OutputOff => Self { matches: part.compared.output_off, total: part.compared.output },
            Rate::AskedPrefixShare => {
                let tokens = |trend| part.trend(trend).map_or(0, Distribution::tokens);
                Self::within(tokens(Trend::AskedPrefixTokens), tokens(Trend::AskedInputTokens))
            }
            Rate::CachedShare => Self::within(part.counter(Counter::TokensCached), part.counter(Counter::TokensInput)),
            Rate::Amplification => {
                let attempts = part.counter(Counter::Attempts);
                Self { matches: attempts, total: attempts - part.counter(Counter::Retries) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tally::tests::{stream, success};
    use crate::metrics::{Outcome, Sample};

    fn summary_of(record: impl Fn(&mut Tally), window_s: u64) -> Summary {
        let mut tally = Tally::new(2);
        record(&mut tally);
        Summary::new(&tally, &["chat".to_owned(), "health".to_owned()], Nanos::from_secs(window_s))
    }

    #[test]
    fn an_empty_tally_has_no_times_and_no_shares_but_counts_of_zero() {
        let s = summary_of(|_| (), 10);
        assert!(Trend::ALL.iter().all(|&t| s.trend(t, None).is_none()));
        assert!(Rate::ALL.iter().all(|&m| s.rate(m, None).is_none()));
        assert_eq!(s.counter(Counter::Timeouts, None), Some(CounterValue { count: 0, in_window: 0, rate: 0.0 }));
        assert!(s.gauge(Gauge::Vus).is_none());
        assert_eq!((s.finished(), s.succeeded(), s.all.token_source), (0, 0, None));
    }

    #[test]
    fn a_window_of_nothing_has_rates_of_zero() {
        let s = summary_of(|t| t.record(&success(0, 5)), 0);
        assert_eq!(s.counter(Counter::HttpReqs, None), Some(CounterValue { count: 1, in_window: 1, rate: 0.0 }));
    }

    #[test]
    fn all_is_the_sum_of_the_kinds() {
        let s = summary_of(
            |t| {
                t.record(&success(0, 10));
                t.record(&success(1, 2));
                t.record(&Sample { outcome: Outcome::Failed(Failure::Http429), status: 429, ..success(1, 4) });
            },
            10,
        );
        let durations = |name| s.trend(Trend::HttpReqDuration, name).map(|d| (d.count, d.avg_ms()));
        assert_eq!(durations(None), Some((2, 6.0)));
        assert_eq!(durations(Some("chat")), Some((1, 10.0)));
        assert_eq!(durations(Some("health")), Some((1, 2.0)));
        assert_eq!(s.counter(Counter::HttpReqs, None), Some(CounterValue { count: 3, in_window: 3, rate: 0.3 }));
        let failed = s.rate(Rate::HttpReqFailed, Some("health")).expect("two requests");
        assert_eq!((failed.matches, failed.total, failed.ratio()), (1, 2, 0.5));
        assert_eq!(s.failures.iter().map(|(f, seen)| (*f, seen.count)).collect::<Vec<_>>(), [(Failure::Http429, 1)]);
        assert_eq!(s.statuses, [(200, 2), (429, 1)]);
        assert_eq!((s.finished(), s.succeeded()), (3, 2));
    }

    #[test]
    fn an_unknown_kind_has_nothing() {
        let s = summary_of(|t| t.record(&success(0, 10)), 10);
        assert!(s.trend(Trend::HttpReqDuration, Some("caht")).is_none());
        assert!(s.counter(Counter::HttpReqs, Some("caht")).is_none());
        assert!(s.rate(Rate::HttpReqFailed, Some("caht")).is_none());
    }

    #[test]
    fn connections_belong_to_no_kind() {
        let s = summary_of(|t| t.connection_opened(Nanos::from_millis(1)), 10);
        assert_eq!(s.counter(Counter::ConnectionsOpened, None).map(|c| c.count), Some(1));
        assert!(s.counter(Counter::ConnectionsOpened, Some("chat")).is_none());
        assert_eq!(s.trend(Trend::HttpReqConnecting, None).map(|d| d.count), Some(1));
        assert!(s.trend(Trend::HttpReqConnecting, Some("chat")).is_none());
    }

    /// The metrics that only the group of all kinds has are exactly the global ones. The readers of
    /// results rely on it.
    #[test]
    fn what_is_global_is_known() {
        let ms = Nanos::from_millis(1);
        let s = summary_of(
            |t| {
                t.started();
                t.connection_opened(ms);
                t.websocket_opened(ms);
                t.connection_secured(ms, true);
                t.connection_secured(ms, false);
                t.arrivals(2, 1);
                t.arrival_started(true);
                t.row_late();
                t.client_lag(ms);
                t.pass(ms);
                t.stamp_missing();
                t.clock_stepped();
            },
            1,
        );
        for (trend, _) in &s.all.trends {
            assert!(trend.is_global(), "{trend:?}");
        }
        assert_eq!(s.all.trends.len(), Trend::ALL.into_iter().filter(|t| t.is_global()).count());
        for (counter, value) in &s.all.counters {
            assert_eq!(value.count > 0, counter.is_global(), "{counter:?}");
        }
        assert!(s.requests.iter().all(|(_, group)| group.counters.iter().all(|(c, _)| !c.is_global())));
    }

    #[test]
    fn the_source_of_tokens_is_told() {
        let with_usage = |t: &mut Tally| t.record(&stream(0, 5, Some(7)));
        let without = |t: &mut Tally| t.record(&stream(0, 5, None));
        assert_eq!(summary_of(with_usage, 1).all.token_source, Some(TokenSource::Usage));
        assert_eq!(summary_of(without, 1).all.token_source, Some(TokenSource::Events));
        let both = |t: &mut Tally| {
            with_usage(t);
            without(t);
        };
        assert_eq!(summary_of(both, 1).all.token_source, Some(TokenSource::Mixed));
    }
}
