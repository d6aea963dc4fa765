//! Compares two numbers for the same thing: what the server is configured to do or has counted, and
//! what this tool measured.

use super::server_under_test::ServerRecord;
use crate::document::{Agreement, AgreementLine, ErrorAgreement};
use crate::metrics::summary::TokenSource;
use crate::metrics::{Counter, Distribution, Summary, Trend};
use crate::plan::Plan;
use crate::server::latency::Latency;
use serde_json::Value;

/// Allowed difference of times on an idle machine. llmsim sleeps on timers with a resolution of one
/// millisecond, which never fire early.
const TIMER_MS: f64 = 2.0;
/// In addition, this share of the configured time.
const TIMER_SHARE: f64 = 0.1;
/// Standard errors by which a mean may differ from its distribution's: exceeded by chance once in
/// 16,000 runs.
const ERRORS: f64 = 4.0;

/// Errors that llmsim counts, with the response statuses that it uses for them.
const COUNTED_ERRORS: [(&str, &[u16]); 3] =
    [("rate_limit_errors", &[429]), ("server_errors", &[500, 503]), ("timeout_errors", &[504])];

/// Compares the requests that the server has counted since the run began with those that were sent.
pub(super) fn requests(
    plan: &Plan,
    summary: &Summary,
    outside: Option<&Summary>,
    record: &ServerRecord,
) -> Option<Agreement> {
    // The server has counted all shards.
    if plan.shard.is_part() {
        return None;
    }
    let server = record.counted_by_server("total_requests")?;
    let ours = sent_to_counting_apis(plan, summary) + outside.map_or(0, |outside| sent_to_counting_apis(plan, outside));
    Some(Agreement { ours, server, errors: errors(plan, summary, outside, record) })
}

/// Compares the errors in the same way. Empty if neither side has seen any.
fn errors(plan: &Plan, summary: &Summary, outside: Option<&Summary>, record: &ServerRecord) -> Vec<ErrorAgreement> {
    // An error inside a WebSocket is an event and has no status.
    if plan.mix.kinds.iter().any(|kind| kind.websocket) {
        return Vec::new();
    }
    let agreement = |(name, statuses): (&str, &[u16])| {
        let server = record.counted_by_server(name)?;
        // The server has counted the errors of the warm-up, too.
        let seen = std::iter::once(summary).chain(outside).flat_map(|summary| &summary.statuses);
        let ours = seen.filter(|(status, _)| statuses.contains(status)).map(|(_, n)| n).sum();
        Some(ErrorAgreement { name: name.to_owned(), statuses: statuses.to_vec(), ours, server })
    };
    let all: Vec<_> = COUNTED_ERRORS.into_iter().filter_map(agreement).collect();
    if all.iter().all(|error| error.ours == 0 && error.server == 0) { Vec::new() } else { all }
}

/// Counts the requests that llmsim counts, too: those to APIs that generate tokens or pictures, as
/// often as they were sent.
fn sent_to_counting_apis(plan: &Plan, summary: &Summary) -> u64 {
    let counted = plan.mix.kinds.iter().filter(|kind| kind.api.streams());
    counted.filter_map(|kind| summary.counter(Counter::HttpReqsSent, Some(&kind.name))).map(|sent| sent.count).sum()
}

/// Returns all comparisons that can be made. `outside` holds the requests outside the measurement
/// window, which the server has counted, too.
pub(super) fn lines(
    plan: &Plan,
    summary: &Summary,
    outside: Option<&Summary>,
    record: &ServerRecord,
) -> Vec<AgreementLine> {
    let mut lines: Vec<AgreementLine> =
        record.latency.into_iter().flat_map(|latency| times(plan, latency, summary)).collect();
    // The server has counted all shards.
    if plan.shard.count > 1 {
        return lines;
    }
    if let (Some(before), Some(after)) = (&record.stats_before, &record.stats_after) {
        lines.extend(counts(plan, &[Some(summary), outside], before, after));
    }
    lines
}

/// Compares configured and measured latency of streamed responses: the first event and the gaps
/// between tokens.
fn times(plan: &Plan, latency: Latency, summary: &Summary) -> Vec<AgreementLine> {
    let streams = plan.mix.kinds.iter().any(|kind| kind.stream);
    let line = |name: &str, trend: Trend, mean: u64, deviation: u64| {
        let measured: &Distribution = summary.trend(trend, None).filter(|_| streams)?;
        let (server, ours) = (mean as f64, measured.avg_ms());
        let by_chance = ERRORS * deviation as f64 / (measured.count as f64).sqrt();
        let tolerance = TIMER_MS + TIMER_SHARE * server + by_chance;
        let agree = (ours - server).abs() <= tolerance;
        Some(AgreementLine { name: name.to_owned(), server, ours, tolerance, unit: "ms".to_owned(), agree })
    };
    let first = line("ttfe", Trend::Ttfe, latency.ttft_mean_ms, latency.ttft_stddev_ms);
    let gaps = line("tbt", Trend::Tbt, latency.tbt_mean_ms, latency.tbt_stddev_ms);
    first.into_iter().chain(gaps).collect()
}

/// Compares tokens if both sides count the same: every response was read to its end and reports its
/// usage.
fn counts(plan: &Plan, parts: &[Option<&Summary>], before: &Value, after: &Value) -> Vec<AgreementLine> {
    let counted = |key: &str| after.get(key)?.as_u64()?.checked_sub(before.get(key)?.as_u64()?);
    let all = || parts.iter().copied().flatten();
    let sum = |counter: Counter| -> u64 { all().filter_map(|s| s.counter(counter, None)).map(|c| c.count).sum() };
    let line = |name: &str, server: Option<u64>, ours: u64| {
        let (server, agree) = (server?, server? == ours);
        let (server, ours) = (server as f64, ours as f64);
        Some(AgreementLine { name: name.to_owned(), server, ours, tolerance: 0.0, unit: String::new(), agree })
    };
    // Server and client may disagree on how an abandoned request ended.
    let whole =
        sum(Counter::Interrupted) + sum(Counter::Cancelled) + sum(Counter::Timeouts) + sum(Counter::ConnectionFailures)
            == 0
            && sum(Counter::StaleRetries) + sum(Counter::Retries) == 0
            && plan.mix.kinds.iter().all(|kind| kind.api.generates());
    if !whole {
        return Vec::new();
    }
    let errors: u64 = all().flat_map(|s| &s.statuses).filter(|(status, _)| *status >= 400).map(|(_, n)| n).sum();
    let failed = all().map(|s| s.finished() - s.succeeded()).sum::<u64>();
    let mut lines = Vec::new();
    if failed == errors && all().all(|s| matches!(s.all.token_source, None | Some(TokenSource::Usage))) {
        lines.push(line("tokens", counted("completion_tokens"), sum(Counter::TokensOutput)));
        lines.push(line("prompt tokens", counted("prompt_tokens"), sum(Counter::TokensInput)));
    }
    lines.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Counted;
    use crate::metrics::{Outcome, Sample, Tally, TokenUsage};
    use crate::plan::{Overrides, resolve};
    use crate::units::Nanos;
    use serde_json::json;

    fn plan() -> Plan {
        let mut nothing = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        resolve("load", &Overrides::default(), &mut nothing).expect("built in").plan
    }

    fn sample(first_event_ms: u64, outcome: Outcome, status: u16) -> Sample {
        let at = |ms| Some(Nanos::from_millis(ms));
        let usage = (status == 200).then_some(TokenUsage { input: 9, output: 20, reasoning: 0, cached: 0, written: 0 });
        Sample {
            outcome,
            status,
            end: Nanos::from_millis(500),
            first_byte: at(5),
            first_event: at(first_event_ms),
            first_token: at(first_event_ms),
            last_token: at(400),
            token_events: 20,
            token_events_in_window: 20,
            usage,
            bytes_sent: 10,
            bytes_received: 10,
            ..Sample::begun(0, Nanos::ZERO)
        }
    }

    fn summary(samples: &[Sample]) -> Summary {
        let mut tally = Tally::new(2);
        for sample in samples {
            tally.record(sample);
        }
        Summary::new(&tally, &["chat-stream".to_owned(), "chat-plain".to_owned()], Nanos::from_secs(1))
    }

    #[test]
    fn latency_agrees_within_what_timers_and_chance_allow() {
        let latency = Latency { ttft_mean_ms: 100, ttft_stddev_ms: 0, tbt_mean_ms: 5, tbt_stddev_ms: 0 };
        let of = |ms| {
            let lines = times(&plan(), latency, &summary(&[sample(ms, Outcome::Success, 200)]));
            assert_eq!(lines.len(), 1, "there are no gaps to compare");
            lines[0].agree
        };
        assert_eq!([87, 88, 100, 112, 113].map(of), [false, true, true, true, false]);
        let wide = Latency { ttft_stddev_ms: 50, ..latency };
        assert!(
            times(&plan(), wide, &summary(&[sample(300, Outcome::Success, 200)]))[0].agree,
            "one sample says little"
        );
    }

    #[test]
    fn a_shard_compares_no_counts_with_a_server_that_has_counted_all_shards() {
        let stats =
            |tokens: u64| Some(json!({ "completion_tokens": tokens, "prompt_tokens": 0, "total_requests": tokens }));
        let record = ServerRecord {
            shares_cores: false,
            identity: None,
            server_cores: Vec::new(),
            stats_before: stats(0),
            stats_after: stats(40),
            counted: Counted::default(),
            used: None,
            own_use: None,
            latency: None,
            cold_start_ms: None,
            hints: Vec::new(),
            died: None,
        };
        let seen = summary(&[sample(5, Outcome::Success, 200)]);
        assert!(!lines(&plan(), &seen, None, &record).is_empty());
        let shard = plan().shard(0, 2);
        assert!(lines(&shard, &seen, None, &record).is_empty());
        assert_eq!(requests(&shard, &seen, None, &record), None);
    }

    #[test]
    fn counts_are_compared_where_both_count_the_same() {
        use crate::metrics::Failure::{Http429, TimeoutTotal};
        let (good, limited) = (sample(5, Outcome::Success, 200), sample(5, Outcome::Failed(Http429), 429));
        let before = json!({ "total_errors": 3, "completion_tokens": 100, "prompt_tokens": 0 });
        let after = json!({ "total_errors": 4, "completion_tokens": 140, "prompt_tokens": 17 });
        let limited = Sample { token_events: 0, token_events_in_window: 0, ..limited };
        let (inside, outside) = (summary(&[good, limited]), summary(&[good]));
        let lines = counts(&plan(), &[Some(&inside), Some(&outside)], &before, &after);
        let seen: Vec<_> = lines.iter().map(|l| (l.name.as_str(), l.server as u64, l.ours as u64, l.agree)).collect();
        assert_eq!(seen, [("tokens", 40, 40, true), ("prompt tokens", 17, 18, false)]);
        let given_up = summary(&[good, sample(5, Outcome::Failed(TimeoutTotal), 0)]);
        assert!(counts(&plan(), &[Some(&given_up)], &before, &after).is_empty());
        assert!(counts(&plan(), &[Some(&inside)], &json!({}), &after).is_empty(), "another server's statistics");
    }
}
