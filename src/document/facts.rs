//! Conversion of the facts of a run into a document.

use super::{
    Agreement, AgreementLine, Build, Client, Counter, Dataset, Document, Endpoint, Environment, Exact, FailureDetails,
    Failures, Growth, Hint, Judged, Measured, Network, Rate, RetryAfter, Run, SCHEMA, Second, Server, ServerMetrics,
    ServerUse, Shard, Signal, Start, Strictness, Target, TargetServer, Template, TokenEstimate, Trend, Verdict, access,
    asked, plan, redact, stability, stages, tokens,
};
use crate::metrics::soak::Soak;
use crate::metrics::summary::{Group, RateValue};
use crate::metrics::{self, Distribution, Incidents, StageTally, Summary, Unit, validity};
use crate::plan::Plan;
use crate::units::{Nanos, rounded};
use serde_json::Value;
use std::collections::BTreeMap;

/// Everything that a document is made of, from any source. Facts that could not be found out are
/// `None`.
#[derive(Debug)]
pub struct RunFacts<'a> {
    pub id: String,
    /// Start of the run, RFC 3339.
    pub started_at: String,
    /// Time from the first request to the end of the last.
    pub duration: Nanos,
    /// True if a signal ended the run.
    pub interrupted: bool,
    /// True if the run ended because another shard of the test was lost.
    pub incomplete: bool,
    /// Start of the load, if the shard met the others.
    pub start: Option<Start>,
    /// The reason why the run ended before its plan did, in a few words. Also set for a threshold
    /// that aborted it.
    pub stop_reason: Option<String>,
    /// The user's own marks.
    pub tags: BTreeMap<String, String>,
    /// The command line, with secrets already removed.
    pub argv: Vec<String>,
    /// The source of the shard's number, such as a flag or a scheduler, if this is a shard.
    pub shard_source: Option<String>,
    /// The build of this tool.
    pub build: Build,
    pub server: TargetServer,
    /// The server's own statistics before the run.
    pub before: Option<Value>,
    pub after: Option<Value>,
    pub environment: Environment,
    /// The plan. It also holds the profile, the seed and the target.
    pub plan: &'a Plan,
    /// The measured numbers. They also hold the window.
    pub summary: &'a Summary,
    /// The results of the thresholds.
    pub verdicts: &'a [Judged],
    /// The results of the endpoints that were called before the load.
    pub endpoints: &'a [Endpoint],
    /// The tokens that the server's chat template adds to prompts.
    pub templates: &'a [Template],
    /// Second by second.
    pub series: &'a [Second],
    /// The signals by which the client is judged.
    pub signals: &'a [Signal],
    /// Observations about the server and the path.
    pub hints: &'a [Hint],
    /// The server's use of resources, where it could be watched.
    pub server_use: Option<ServerUse>,
    /// Counts of requests that should agree, if the server keeps one.
    pub agreement: Option<Agreement>,
    /// The server's own metrics.
    pub server_metrics: Option<&'a ServerMetrics>,
    /// The network path to the server.
    pub network: Option<&'a Network>,
    /// Facts about stability.
    pub steady: Steady<'a>,
    /// The files from which requests took their rows.
    pub datasets: Vec<Dataset>,
    /// Token counts of the responses by a tokenizer.
    pub token_estimate: Option<TokenEstimate>,
    /// Settings on which the verdict depends beside the numbers.
    pub strictness: Strictness<'a>,
}

/// The facts for the document's parts on stability.
#[derive(Debug, Clone)]
pub struct Steady<'a> {
    /// The requests of each stage, and the time that it was open.
    pub stages: &'a [(StageTally, Nanos)],
    /// The requests outside the measurement window.
    pub outside: Option<&'a Summary>,
    /// The verdicts over time.
    pub soak: &'a Soak,
    pub client_use: Option<ServerUse>,
    pub agreements: Vec<AgreementLine>,
}

pub(crate) fn document(facts: &RunFacts<'_>) -> Document {
    let (plan, summary) = (facts.plan, facts.summary);
    let mut metrics = group(&summary.all);
    metrics.extend(gauges(summary));
    let mut document = Document {
        schema: SCHEMA.to_owned(),
        verdict: Verdict::default(),
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
            incomplete: facts.incomplete,
            start: facts.start,
            tags: facts.tags.clone(),
            seed: plan.seed,
            argv: facts.argv.clone(),
            shard: facts.shard_source.as_ref().map(|source| Shard {
                index: plan.shard.index,
                count: plan.shard.count,
                source: source.clone(),
                held: vec![plan.shard.index],
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
        environment: facts.environment.clone(),
        plan: plan::section(plan),
        client: Client {
            memory: facts.steady.client_use.map(|used| stability::memory(used, facts.steady.soak.client)),
            ..client(facts.signals)
        },
        hints: facts.hints.to_vec(),
        metrics,
        requests: groups(&summary.requests),
        turns: groups(&summary.turns),
        failures: failures(summary),
        templates: facts.templates.to_vec(),
        asked: Vec::new(),
        datasets: facts.datasets.clone(),
        token_estimate: facts.token_estimate.clone(),
        endpoints: facts.endpoints.to_vec(),
        thresholds: facts.verdicts.to_vec(),
        series: facts.series.to_vec(),
        server: facts.server_use.map_or_else(Server::default, |used| server(used, facts.steady.soak.server)),
        agreement: facts.agreement.clone(),
        agreements: facts.steady.agreements.clone(),
        server_metrics: facts.server_metrics.cloned(),
        network: facts.network.cloned(),
        stages: stages::stages(plan, facts.steady.stages),
        outside: facts.steady.outside.map(stages::outside),
        drift: stability::drift(&facts.steady.soak.drift),
    };
    document.asked = asked::rows(&document);
    tokens::estimate(&mut document);
    redact::document(&mut document, &plan.redactor());
    document.judge(facts.strictness);
    document
}

pub(crate) fn gauges(summary: &Summary) -> impl Iterator<Item = (String, Measured)> + '_ {
    summary.gauges.iter().map(|&(gauge, level)| (gauge.name().to_owned(), Measured::Gauge(level)))
}

/// Converts groups by name.
pub(crate) fn groups(groups: &[(String, Group)]) -> BTreeMap<String, BTreeMap<String, Measured>> {
    groups.iter().map(|(name, numbers)| (name.clone(), group(numbers))).collect()
}

pub(crate) fn group(group: &Group) -> BTreeMap<String, Measured> {
    let trends = group.trends.iter().map(|(t, d)| (t.name(), Measured::Trend(Box::new(trend(d, t.unit())))));
    let counters = group.counters.iter().map(|&(counter, value)| {
        use metrics::Counter as C;
        let is_generated = matches!(counter, C::TokensOutput | C::TokensReasoning);
        let is_billed = is_generated || matches!(counter, C::TokensInput | C::TokensCached);
        let token_source = group.token_source.filter(|_| is_generated).map(|s| s.name().to_owned());
        let billed = Some(group.billed).filter(|billed| is_billed && billed.total > 0);
        let numbers = Counter {
            count: value.count,
            rate: rounded(value.rate),
            in_window: Some(value.in_window),
            token_source,
            requests_billed: billed.map(|billed| billed.matches),
            requests_with_tokens: billed.map(|billed| billed.total),
        };
        (counter.name(), Measured::Counter(numbers))
    });
    let rates = group.rates.iter().map(|&(r, value)| (r.name(), Measured::Rate(rate(value))));
    trends.chain(counters).chain(rates).map(|(name, numbers)| (name.to_owned(), numbers)).collect()
}

fn trend(d: &Distribution, unit: Unit) -> Trend {
    let told = |ms: f64| rounded(unit.of_ms(ms));
    let percentiles = d.percentiles_ms([50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99]);
    let [p50, p75, p90, p95, p99, p99_9, p99_99] = percentiles.map(told);
    Trend {
        unit: unit.name().to_owned(),
        count: d.count,
        sum: told(d.sum_ms()),
        avg: told(d.avg_ms()),
        min: told(d.min_ms()),
        max: told(d.max_ms()),
        p50,
        p75,
        p90,
        p95,
        p99,
        p99_9,
        p99_99,
        stddev: told(d.stddev_ms()),
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
        retried: summary.retried.iter().map(|&(class, n)| (class.name().to_owned(), n)).collect(),
        details: summary
            .failures
            .iter()
            .map(|(class, seen)| (class.name().to_owned(), details(seen, finished)))
            .collect(),
    }
}

fn client(signals: &[Signal]) -> Client {
    Client { verdict: validity::verdict(signals), signals: signals.to_vec(), memory: None }
}

fn server(used: ServerUse, growth: Option<Growth>) -> Server {
    Server {
        cpu_s: Some(rounded(used.cpu.as_secs_f64())),
        rss_start_bytes: Some(used.rss_start_bytes),
        rss_end_bytes: Some(used.rss_end_bytes),
        rss_max_bytes: Some(used.rss_max_bytes),
        growth_bytes_per_h: growth.and_then(|growth| growth.bytes_per_h),
        verdict: growth.map(|growth| growth.verdict),
        growth,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Trending, Validity};

    #[test]
    fn the_clients_verdict_is_that_of_its_worst_signal() {
        assert_eq!(client(&[]).verdict, Validity::Unknown);
        let signal = |verdict| Signal {
            name: "x".to_owned(),
            value: 0.5,
            strained_above: 0.8,
            limit: 0.9,
            verdict,
            advice: "do something".to_owned(),
            explains: false,
        };
        let judged = client(&[signal(Validity::Ok), signal(Validity::Strained), signal(Validity::Ok)]);
        assert_eq!((judged.verdict, judged.signals.len()), (Validity::Strained, 3));
    }

    #[test]
    fn the_servers_growth_is_told_as_it_was_judged() {
        let used =
            ServerUse { cpu: Nanos::from_secs(3), rss_start_bytes: 2_000, rss_end_bytes: 1_000, rss_max_bytes: 3_000 };
        assert_eq!((server(used, None).growth_bytes_per_h, server(used, None).verdict), (None, None));
        let growth = Growth {
            from_s: 1.0,
            to_s: 90.0,
            bytes_per_h: Some(-60_000.0),
            low_bytes_per_h: Some(-70_000.0),
            high_bytes_per_h: Some(1.0),
            verdict: Trending::Stable,
        };
        let told = server(used, Some(growth));
        assert_eq!((told.growth_bytes_per_h, told.verdict), (Some(-60_000.0), Some(Trending::Stable)));
        assert_eq!(told.growth, Some(growth));
    }

    #[test]
    fn a_part_of_nothing_has_no_rate() {
        assert_eq!(rate(RateValue { matches: 0, total: 0 }).rate, None);
        assert_eq!((rounded(f64::INFINITY), rounded(f64::NAN), rounded(1e300)), (0.0, 0.0, 1e300));
    }
}
