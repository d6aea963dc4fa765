//! What a run brings together → Document.

use super::{
    Agreement, Build, Client, ClientVerdict, Counter, Document, Endpoint, Environment, Exact, FailureDetails, Failures,
    Gauge, Hint, Histograms, KindSecond, Measured, Quantiles, Rate, RetryAfter, Run, SCHEMA, Second, Server, Shard,
    Signal, Target, TargetServer, Threshold, ThresholdVerdict, Trend, access, plan, rounded, steady,
};
use crate::metrics::growth::Growth;
use crate::metrics::summary::{Group, RateValue};
use crate::metrics::validity::Validity;
use crate::metrics::{self, Distribution, Incidents, Summary, hints, series, validity};
use crate::plan::Plan;
use crate::threshold::{Judgement, Verdict};
use crate::units::Nanos;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Of a hash, enough to tell machines apart.
const FINGERPRINT_BYTES: usize = 8;

/// Everything a document is made of, from wherever it comes. What could not be found out is `None`.
#[derive(Debug)]
pub struct RunFacts<'a> {
    /// Unique.
    pub id: String,
    /// When it started, RFC 3339.
    pub started_at: String,
    /// From the first request to the end of the last.
    pub duration: Nanos,
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// Why it ended before its plan did, in a few words; also for a threshold that aborted it.
    pub stop_reason: Option<String>,
    /// The user's own marks.
    pub tags: BTreeMap<String, String>,
    /// The command line, secrets already taken out.
    pub argv: Vec<String>,
    /// What made it a share of a test, when it is one.
    pub shard_source: Option<String>,
    /// Which build of this tool.
    pub build: Build,
    /// Which server answered.
    pub server: TargetServer,
    /// The server's own statistics before the run.
    pub before: Option<Value>,
    /// And after.
    pub after: Option<Value>,
    /// On which machine.
    pub environment: Environment,
    /// What was to be done; also says profile, seed and target.
    pub plan: &'a Plan,
    /// What was measured; also says the window.
    pub summary: &'a Summary,
    /// What the thresholds say.
    pub verdicts: &'a [Verdict],
    /// How every endpoint answered that was asked before the load.
    pub endpoints: &'a [Endpoint],
    /// Second by second.
    pub series: &'a [series::Second],
    /// What the client is judged by.
    pub signals: &'a [validity::Signal],
    /// What was seen of the server and the path.
    pub hints: &'a [hints::Hint],
    /// What the server used, where it could be watched.
    pub server_use: Option<ServerUse>,
    /// Counts of requests that should agree, when the server keeps one.
    pub agreement: Option<Agreement>,
    /// What lasts and what changes.
    pub steady: steady::Steady<'a>,
}

/// What the server used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServerUse {
    /// CPU time during the run.
    pub cpu: Nanos,
    /// Resident memory before the run.
    pub rss_start_bytes: u64,
    /// Resident memory after it.
    pub rss_end_bytes: u64,
    /// Highest resident memory seen.
    pub rss_max_bytes: u64,
}

pub(crate) fn document(facts: &RunFacts<'_>) -> Document {
    let (plan, summary) = (facts.plan, facts.summary);
    let mut metrics = group(&summary.all);
    metrics.extend(gauges(summary));
    Document {
        schema: SCHEMA.to_owned(),
        run: Run {
            id: facts.id.clone(),
            started_at: facts.started_at.clone(),
            duration_s: rounded(facts.duration.as_secs_f64()),
            window_s: rounded(summary.window.as_secs_f64()),
            warmup_s: rounded(plan.warmup.as_secs_f64()),
            cooldown_s: rounded(plan.cooldown.as_secs_f64()),
            profile: plan.name.clone(),
            interrupted: facts.interrupted,
            stop_reason: facts.stop_reason.clone(),
            tags: facts.tags.clone(),
            seed: plan.seed,
            argv: facts.argv.clone(),
            shard: facts.shard_source.as_ref().map(|source| Shard {
                index: plan.share,
                count: plan.of,
                source: source.clone(),
                held: vec![plan.share],
            }),
            merged_from: Vec::new(),
        },
        build: facts.build.clone(),
        target: Target {
            url: plan.target.url.clone(),
            more_urls: plan.access.more_targets.iter().map(|target| target.url.clone()).collect(),
            addresses: access::addresses(summary),
            tls: access::tls(plan, summary),
            server: facts.server.clone(),
            before: facts.before.clone(),
            after: facts.after.clone(),
        },
        environment: Environment { fingerprint: Some(fingerprint(&facts.environment)), ..facts.environment.clone() },
        plan: plan::section(plan),
        client: Client {
            memory: facts.steady.client_use.map(|used| steady::memory(used, facts.steady.soak.client)),
            ..client(facts.signals)
        },
        hints: facts.hints.iter().map(|hint| Hint { name: hint.name.to_owned(), text: hint.text.clone() }).collect(),
        metrics,
        requests: summary.requests.iter().map(|(name, numbers)| (name.clone(), group(numbers))).collect(),
        failures: failures(summary),
        endpoints: facts.endpoints.to_vec(),
        thresholds: facts.verdicts.iter().map(threshold).collect(),
        series: facts.series.iter().map(|s| second(s, &summary.requests)).collect(),
        server: facts.server_use.map_or_else(Server::default, |used| server(used, facts.steady.soak.server)),
        agreement: facts.agreement.clone(),
        agreements: facts.steady.agreements.clone(),
        stages: steady::stages(plan, facts.steady.stages),
        outside: facts.steady.outside.map(steady::outside),
        drift: steady::drift(&facts.steady.soak.drift),
    }
}

pub(crate) fn gauges(summary: &Summary) -> impl Iterator<Item = (String, Measured)> + '_ {
    summary
        .gauges
        .iter()
        .map(|&(gauge, g)| (gauge.name().to_owned(), Measured::Gauge(Gauge { value: g.value, min: g.min, max: g.max })))
}

/// What two machines must have in common for their numbers to be compared. Not what a run chooses, such as workers.
fn fingerprint(e: &Environment) -> String {
    let machine = format!("{:?}", (&e.cpu_model, e.cores, e.memory_bytes, &e.kernel, &e.os, &e.arch));
    let digest = Sha256::digest(machine.as_bytes());
    digest.iter().take(FINGERPRINT_BYTES).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

pub(crate) fn group(group: &Group) -> BTreeMap<String, Measured> {
    let trends = group.trends.iter().map(|(t, d)| (t.name(), Measured::Trend(Box::new(trend(d)))));
    let counters = group.counters.iter().map(|&(counter, value)| {
        let is_generated = matches!(counter, metrics::Counter::TokensOutput | metrics::Counter::TokensReasoning);
        let token_source = group.token_source.filter(|_| is_generated).map(|s| s.name().to_owned());
        let (rate, in_window) = (rounded(value.rate), Some(value.in_window));
        let numbers = Counter { count: value.count, rate, in_window, token_source };
        (counter.name(), Measured::Counter(numbers))
    });
    let rates = group.rates.iter().map(|&(r, value)| (r.name(), Measured::Rate(rate(value))));
    trends.chain(counters).chain(rates).map(|(name, numbers)| (name.to_owned(), numbers)).collect()
}

pub(crate) fn trend(d: &Distribution) -> Trend {
    let percentiles = d.percentiles_ms([50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99]);
    let [p50, p75, p90, p95, p99, p99_9, p99_99] = percentiles.map(rounded);
    Trend {
        unit: "ms".to_owned(),
        count: d.count,
        sum: rounded(d.sum_ms()),
        avg: rounded(d.avg_ms()),
        min: rounded(d.min_ms()),
        max: rounded(d.max_ms()),
        p50,
        p75,
        p90,
        p95,
        p99,
        p99_9,
        p99_99,
        stddev: rounded(d.stddev_ms()),
        overflow: d.overflow,
        histogram: d.encoded(),
        exact: Some(exact(d)),
    }
}

fn exact(d: &Distribution) -> Exact {
    let exact = d.exact();
    Exact {
        sum_ns: exact.sum.to_string(),
        sum_of_squares_ns2: exact.sum_of_squares.to_string(),
        min_ns: exact.min.0,
        max_ns: exact.max.0,
    }
}

fn rate(value: RateValue) -> Rate {
    Rate { rate: (value.total > 0).then(|| rounded(value.ratio())), matches: value.matches, total: value.total }
}

fn details(seen: &Incidents, finished: u64) -> FailureDetails {
    let (first, last) = seen.span.unwrap_or_default();
    FailureDetails {
        share: rounded(seen.count as f64 / finished.max(1) as f64),
        first_s: rounded(first.as_secs_f64()),
        last_s: rounded(last.as_secs_f64()),
        sample: seen.example.as_ref().map(|example| example.text.clone()),
        retry_after_s: seen.retry_after_s.map(|(min, max)| RetryAfter { min, max }),
    }
}

fn failures(summary: &Summary) -> Failures {
    let finished = summary.finished();
    Failures {
        statuses: summary.statuses.iter().map(|(status, n)| (status.to_string(), *n)).collect(),
        checks: summary.failed_checks.iter().map(|&(name, n)| (name.to_owned(), n)).collect(),
        classes: summary.failures.iter().map(|(class, seen)| (class.name().to_owned(), seen.count)).collect(),
        details: summary
            .failures
            .iter()
            .map(|(class, seen)| (class.name().to_owned(), details(seen, finished)))
            .collect(),
    }
}

pub(crate) fn threshold(verdict: &Verdict) -> Threshold {
    Threshold {
        metric: verdict.metric.clone(),
        expression: verdict.expression.clone(),
        value: verdict.value.filter(|v| v.is_finite()).map(rounded),
        samples: verdict.samples,
        verdict: match verdict.result {
            Judgement::Pass => ThresholdVerdict::Pass,
            Judgement::Fail => ThresholdVerdict::Fail,
            Judgement::NoData => ThresholdVerdict::NoData,
        },
    }
}

fn second(s: &series::Second, requests: &[(String, Group)]) -> Second {
    let kind = |k: &series::KindSecond| KindSecond {
        http_reqs: k.http_reqs,
        failed: k.failed,
        tokens_output: k.tokens_output,
        ttft: quantiles(k.ttft),
        tbt: quantiles(k.tbt),
        http_req_duration: quantiles(k.http_req_duration),
        histograms: Histograms {
            ttft: k.histograms.ttft.clone(),
            tbt: k.histograms.tbt.clone(),
            http_req_duration: k.histograms.http_req_duration.clone(),
        },
    };
    Second {
        t_s: s.t_s,
        vus: s.vus,
        in_flight: s.in_flight,
        connections: s.connections,
        http_reqs: s.http_reqs,
        failed: s.failed,
        tokens_output: s.tokens_output,
        token_events: s.token_events,
        data_received: s.data_received,
        ttft: quantiles(s.ttft),
        tbt: quantiles(s.tbt),
        http_req_duration: quantiles(s.http_req_duration),
        client_cpu: rounded(s.client_cpu),
        busiest_worker_cpu: rounded(s.busiest_worker_cpu),
        client_lag_p99: s.client_lag_p99.map(rounded),
        server_cpu: s.server_cpu.filter(|v| v.is_finite()).map(rounded),
        server_rss_bytes: s.server_rss_bytes,
        client_rss_bytes: s.client_rss_bytes,
        requests: requests.iter().zip(&s.requests).map(|((name, _), k)| (name.clone(), kind(k))).collect(),
    }
}

pub(crate) fn quantiles(q: Option<series::Quantiles>) -> Option<Quantiles> {
    q.map(|q| Quantiles { p50: rounded(q.p50), p95: rounded(q.p95), p99: rounded(q.p99) })
}

/// A verdict on the client, as the document has it.
pub(crate) fn client_verdict(verdict: Validity) -> ClientVerdict {
    match verdict {
        Validity::Ok => ClientVerdict::Ok,
        Validity::Strained => ClientVerdict::Strained,
        Validity::Bottleneck => ClientVerdict::Bottleneck,
    }
}

fn client(signals: &[validity::Signal]) -> Client {
    let signal = |s: &validity::Signal| Signal {
        name: s.name.to_owned(),
        value: rounded(s.value),
        strained_above: s.strained_above,
        limit: s.limit,
        verdict: client_verdict(s.verdict),
        advice: s.advice.to_owned(),
    };
    let verdict = if signals.is_empty() { ClientVerdict::Unknown } else { client_verdict(validity::verdict(signals)) };
    Client { verdict, signals: signals.iter().map(signal).collect(), memory: None }
}

fn server(used: ServerUse, growth: Option<Growth>) -> Server {
    let growth = growth.map(steady::memory_growth);
    Server {
        cpu_s: Some(rounded(used.cpu.as_secs_f64())),
        rss_start_bytes: Some(used.rss_start_bytes),
        rss_end_bytes: Some(used.rss_end_bytes),
        rss_max_bytes: Some(used.rss_max_bytes),
        growth_bytes_per_h: growth.as_ref().and_then(|growth| growth.bytes_per_h),
        verdict: growth.as_ref().map(|growth| growth.verdict.clone()),
        growth,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::growth::{Slope, Trending};

    #[test]
    fn the_clients_verdict_is_that_of_its_worst_signal() {
        assert_eq!(client(&[]).verdict, ClientVerdict::Unknown);
        let signal = |verdict| validity::Signal {
            name: "x",
            value: 0.5,
            strained_above: 0.8,
            limit: 0.9,
            verdict,
            advice: "do something",
        };
        let judged = client(&[signal(Validity::Ok), signal(Validity::Strained), signal(Validity::Ok)]);
        assert_eq!((judged.verdict, judged.signals.len()), (ClientVerdict::Strained, 3));
    }

    #[test]
    fn the_servers_growth_is_told_as_it_was_judged() {
        let used =
            ServerUse { cpu: Nanos::from_secs(3), rss_start_bytes: 2_000, rss_end_bytes: 1_000, rss_max_bytes: 3_000 };
        assert_eq!((server(used, None).growth_bytes_per_h, server(used, None).verdict), (None, None));
        let slope = Some(Slope { median: -60_000.0, low: -70_000.0, high: 1.0 });
        let growth = Growth { from_s: 1.0, to_s: 90.0, bytes_per_h: slope, verdict: Trending::Stable };
        let told = server(used, Some(growth));
        assert_eq!((told.growth_bytes_per_h, told.verdict.as_deref()), (Some(-60_000.0), Some("stable")));
        assert_eq!(told.growth.and_then(|growth| growth.high_bytes_per_h), Some(1.0));
    }

    #[test]
    fn what_cannot_be_compared_is_null() {
        let verdict = Verdict {
            metric: "ttft".to_owned(),
            expression: "p(95)<2".to_owned(),
            value: Some(f64::NAN),
            samples: 0,
            result: Judgement::NoData,
        };
        assert_eq!(threshold(&verdict).value, None);
        assert_eq!(rate(RateValue { matches: 0, total: 0 }).rate, None);
        assert_eq!((rounded(f64::INFINITY), rounded(f64::NAN), rounded(1e300)), (0.0, 0.0, 1e300));
    }
}
