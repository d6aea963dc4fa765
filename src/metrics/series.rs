//! One second of a run as plain numbers.

use super::part::Part;
use super::{Counter, Distribution, Failure, Gauge, Remaining, Tally, Trend};
use crate::units::{Nanos, rounded};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One second of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Index of the second; the first is 0.
    pub t_s: u32,
    /// Virtual users at its end.
    pub vus: u64,
    /// Requests in progress at its end.
    pub in_flight: u64,
    /// Established connections at its end.
    pub connections: u64,
    /// Requests that finished in it.
    pub http_reqs: u64,
    /// Finished requests that failed.
    pub failed: u64,
    /// Requests that were started in it. Earlier builds did not record them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_reqs_started: Option<u64>,
    /// Open loop: requests that became due in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrivals_offered: Option<u64>,
    /// Requests that failed in it, by class. Earlier builds did not record them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failures: BTreeMap<String, u64>,
    /// Generated tokens of the requests that ended in it.
    pub tokens_output: u64,
    /// Token events of the requests that ended in it.
    pub token_events: u64,
    /// Bytes received by the requests that ended in it.
    pub data_received: u64,
    /// Time to first token of the requests that succeeded in it.
    pub ttft: Option<Quantiles>,
    /// Gaps between tokens observed in it.
    pub tbt: Option<Quantiles>,
    /// Durations of the requests that succeeded in it.
    pub http_req_duration: Option<Quantiles>,
    /// CPU time of all workers, as a fraction of one core: 2.0 means two busy cores.
    pub client_cpu: f64,
    /// CPU time of the busiest worker, as a share of its core.
    #[serde(default)]
    pub busiest_worker_cpu: f64,
    /// Share of the second that a worker waited for its core, for the worker that waited longest.
    #[serde(skip)]
    pub run_queue_wait: f64,
    /// 99th percentile of the time from a packet's arrival until it was read, in ms.
    #[serde(default)]
    pub client_lag_p99: Option<f64>,
    /// Fewest remaining requests of a rate limit, according to the server's responses. `None` if
    /// they report none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratelimit_remaining_requests: Option<u32>,
    /// Fewest remaining tokens of a rate limit, according to the server's responses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratelimit_remaining_tokens: Option<u32>,
    /// The limit of requests that responses reported, the lowest if they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratelimit_limit_requests: Option<u32>,
    /// The limit of tokens that responses reported, the lowest if they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratelimit_limit_tokens: Option<u32>,
    /// Numbers by kind of request.
    #[serde(default)]
    pub requests: BTreeMap<String, KindSecond>,
    /// CPU time of the server, as a fraction of one core. Filled in by the server's watcher.
    pub server_cpu: Option<f64>,
    /// Resident memory of the server at its end. Filled in by the server's watcher.
    pub server_rss_bytes: Option<u64>,
    /// Resident memory of this process at its end. Filled in by the server's watcher.
    #[serde(default)]
    pub client_rss_bytes: Option<u64>,
    /// Median round-trip time of the connections at its end, as smoothed by the kernel, in ms.
    /// Filled in by the code that polls the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// The server's own metrics at its end, by name. Filled in by their reader. Counts are per
    /// second.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub server_metrics: BTreeMap<String, f64>,
}

/// One second of one kind of request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KindSecond {
    /// Requests that finished in it.
    pub http_reqs: u64,
    /// Finished requests that failed.
    pub failed: u64,
    /// Generated tokens of the requests that ended in it.
    pub tokens_output: u64,
    /// Time to first token.
    pub ttft: Option<Quantiles>,
    pub tbt: Option<Quantiles>,
    /// Durations of successful requests.
    pub http_req_duration: Option<Quantiles>,
    /// The three times above as whole encoded histograms, for comparing and merging later.
    #[serde(default)]
    pub histograms: Histograms,
}

/// The histograms of a second, encoded. (Unencoded they would take half a megabyte per second.)
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Histograms {
    /// Time to first token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tbt: Option<String>,
    /// Durations of successful requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_req_duration: Option<String>,
}

/// Three percentiles, in ms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
}

impl Second {
    /// Returns the second of the sorted `series` to which a value belongs that was read `at` that
    /// time of the run. Values for second `t` are requested when `t + 1` seconds have passed.
    pub fn read_at(series: &mut [Self], at: Nanos) -> Option<&mut Self> {
        let t_s = (at.as_secs_f64().round() as u32).checked_sub(1)?;
        let place = series.binary_search_by_key(&t_s, |second| second.t_s).ok()?;
        series.get_mut(place)
    }

    /// Returns the rate limits that the responses reported.
    pub fn remaining(&self) -> Remaining {
        Remaining {
            requests: self.ratelimit_remaining_requests,
            tokens: self.ratelimit_remaining_tokens,
            requests_limit: self.ratelimit_limit_requests,
            tokens_limit: self.ratelimit_limit_tokens,
        }
    }

    /// Stores these rate limits.
    pub fn set_remaining(&mut self, remaining: Remaining) {
        self.ratelimit_remaining_requests = remaining.requests;
        self.ratelimit_remaining_tokens = remaining.tokens;
        self.ratelimit_limit_requests = remaining.requests_limit;
        self.ratelimit_limit_tokens = remaining.tokens_limit;
    }

    /// Returns the numbers of a second's tally, summed over all workers. `names` are the names of
    /// the kinds of request, in the order of the mix.
    pub fn new(t_s: u32, interval: &Tally, names: &[String]) -> Self {
        let all = KindSecond::new(&interval.all_kinds());
        let sum = |counter| interval.kinds.iter().map(|part| part.counter(counter)).sum();
        let level = |gauge: Gauge| interval.levels[gauge as usize].value;
        let failures = Failure::ALL.into_iter().map(|failure| (failure, interval.failures[failure as usize].count));
        let failures = failures.filter(|(_, n)| *n > 0);
        Self {
            t_s,
            vus: level(Gauge::Vus),
            in_flight: level(Gauge::InFlight),
            connections: level(Gauge::Connections),
            http_reqs: all.http_reqs,
            failed: all.failed,
            http_reqs_started: Some(interval.shared.counter(Counter::HttpReqsStarted)),
            arrivals_offered: Some(interval.shared.counter(Counter::ArrivalsOffered)).filter(|n| *n > 0),
            failures: failures.map(|(failure, n)| (failure.name().to_owned(), n)).collect(),
            tokens_output: all.tokens_output,
            token_events: sum(Counter::TokenEvents),
            data_received: sum(Counter::DataReceived),
            ttft: all.ttft,
            tbt: all.tbt,
            http_req_duration: all.http_req_duration,
            client_cpu: rounded(interval.cpu_time.as_secs_f64()),
            busiest_worker_cpu: rounded(interval.busiest.as_secs_f64()),
            run_queue_wait: interval.run_wait.as_secs_f64(),
            client_lag_p99: interval.shared.trend(Trend::ClientLag).map(|d| rounded(d.percentile_ms(99.0))),
            ratelimit_remaining_requests: interval.remaining.requests,
            ratelimit_remaining_tokens: interval.remaining.tokens,
            ratelimit_limit_requests: interval.remaining.requests_limit,
            ratelimit_limit_tokens: interval.remaining.tokens_limit,
            requests: names.iter().cloned().zip(interval.kinds.iter().map(KindSecond::new)).collect(),
            server_cpu: None,
            server_rss_bytes: None,
            client_rss_bytes: None,
            rtt_ms: None,
            server_metrics: BTreeMap::new(),
        }
    }
}

impl KindSecond {
    fn new(part: &Part) -> Self {
        Self {
            http_reqs: part.counter(Counter::HttpReqs),
            failed: part.failed,
            tokens_output: part.counter(Counter::TokensOutput),
            ttft: part.trend(Trend::Ttft).map(Quantiles::of),
            tbt: part.trend(Trend::Tbt).map(Quantiles::of),
            http_req_duration: part.trend(Trend::HttpReqDuration).map(Quantiles::of),
            histograms: Histograms {
                ttft: part.trend(Trend::Ttft).map(Distribution::encoded),
                tbt: part.trend(Trend::Tbt).map(Distribution::encoded),
                http_req_duration: part.trend(Trend::HttpReqDuration).map(Distribution::encoded),
            },
        }
    }
}

impl Quantiles {
    /// Returns the percentiles of a distribution.
    pub fn of(distribution: &Distribution) -> Self {
        let [p50, p95, p99] = distribution.percentiles_ms([50.0, 95.0, 99.0]).map(rounded);
        Self { p50, p95, p99 }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these numbers are exact, and that is what is tested")]
mod tests {
    use super::*;
    use crate::metrics::tally::tests::{stream, success};
    use crate::metrics::{Outcome, Sample};
    use crate::units::Nanos;

    #[test]
    fn a_second_says_what_its_tally_says() {
        let mut tally = Tally::new(2);
        tally.record(&stream(0, 3, None));
        tally.gap(0, 0, Nanos::from_millis(20));
        tally.record(&success(1, 8));
        tally.record(&Sample { outcome: Outcome::Failed(Failure::Http429), status: 429, ..success(1, 4) });
        tally.started();
        tally.arrivals(5, 1);
        tally.level(Gauge::Vus, 4);
        tally.cpu_time = Nanos::from_millis(500);
        let names = ["stream", "plain"].map(str::to_owned);
        let second = Second::new(7, &tally, &names);
        assert_eq!((second.t_s, second.vus, second.in_flight), (7, 4, 0));
        assert_eq!((second.http_reqs, second.failed, second.tokens_output, second.token_events), (3, 1, 3, 3));
        assert_eq!((second.http_reqs_started, second.arrivals_offered), (Some(1), Some(5)));
        assert_eq!(second.failures, BTreeMap::from([("http_429".to_owned(), 1)]));
        assert_eq!(second.client_cpu, 0.5);
        assert_eq!(second.tbt, Some(Quantiles { p50: 20.0, p95: 20.0, p99: 20.0 }));
        assert_eq!(second.requests.len(), 2);
        assert_eq!(second.requests["plain"].http_req_duration, Some(Quantiles { p50: 8.0, p95: 8.0, p99: 8.0 }));
        assert_eq!((second.requests["plain"].tbt, second.requests["plain"].ttft), (None, None));
    }

    #[test]
    fn an_empty_second_has_no_quantiles() {
        let second = Second::new(0, &Tally::new(1), &[]);
        assert_eq!((second.ttft, second.tbt, second.http_req_duration), (None, None, None));
    }
}
