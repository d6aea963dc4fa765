//! The measured numbers: latencies, throughput, failures, and the same by kind of request.

use super::{Block, Column, Extent, Piece, Remark, Row, Section, Table, Tone, column};
use crate::document::measured::{Numbers, counter, gauge, rate, trend};
use crate::document::{Address, Counter, Document, FailureDetails, Measured, TokenEstimate, Trend};
use crate::metrics;
use crate::report::human;
use crate::units::plural;
use std::collections::BTreeMap;

/// Addresses that are listed. The document has all of them.
const ADDRESSES_SHOWN: usize = 16;
/// Characters of a name.
const NAME: usize = 25;

const LATENCY_COLUMNS: &[Column] = &[
    column("", NAME),
    column("count", 8),
    column("p50", 7),
    column("p90", 7),
    column("p95", 7),
    column("p99", 8),
    column("p99.9", 8),
    column("max", 7),
];

/// The most important latencies.
const FIRST_TRENDS: [metrics::Trend; 5] = [
    metrics::Trend::HttpReqDuration,
    metrics::Trend::HttpReqDurationFromIntended,
    metrics::Trend::Ttft,
    metrics::Trend::Tbt,
    metrics::Trend::Tpot,
];
/// With fewer samples a p99 is about the time of the single slowest one.
const FEWEST_FOR_P99: u64 = 100;
/// Fewest samples for a p99.9.
const FEWEST_FOR_P99_9: u64 = 1_000;
/// Explanation of the mark.
const FEW_SAMPLES: &str = "~ of fewer than 100 samples (p99) or 1,000 (p99.9): the few slowest decide";

const THROUGHPUT_COLUMNS: &[Column] = &[column("", NAME), column("total", 10), column("rate", 12)];

const FAILURES_COLUMNS: &[Column] = &[column("", NAME), column("count", 10), column("share", 12)];

const REQUESTS_COLUMNS: &[Column] = &[
    column("", NAME + 1),
    column("count", 9),
    column("failed", 9),
    column("p50", 9),
    column("p95", 9),
    column("p99", 9),
];

const STREAMS_COLUMNS: &[Column] = &[
    column("", NAME + 1),
    column("ttft p50", 8),
    column("p95", 8),
    column("p99", 8),
    column("tbt p50", 9),
    column("p95", 8),
    column("p99", 8),
];

const TURNS_COLUMNS: &[Column] = &[
    column("", NAME + 1),
    column("requests", 9),
    column("failed", 9),
    column("ttft p50", 9),
    column("p99", 9),
    column("turn p50", 9),
    column("p99", 9),
];

/// Formats a p99. It is marked if it has too few samples.
pub(crate) fn p99(ms: f64, samples: u64) -> String {
    marked(ms, samples < FEWEST_FOR_P99)
}

fn marked(ms: f64, is_marked: bool) -> String {
    format!("{}{}", if is_marked { "~" } else { "" }, human::time(ms))
}

pub(super) fn latency(doc: &Document, extent: Extent) -> Option<Section> {
    // The other trends are not latencies of the server. They are shown with the client and the
    // failures.
    let not_here = [metrics::Trend::InterruptedAge, metrics::Trend::ClientLag, metrics::Trend::PassLength];
    let is_time = |t: &metrics::Trend| t.unit() == metrics::Unit::Milliseconds;
    let is_asked = |t: &metrics::Trend| extent == Extent::Full || FIRST_TRENDS.contains(t);
    let trends = metrics::Trend::ALL.into_iter().filter(|t| is_time(t) && !not_here.contains(t) && is_asked(t));
    let row = |(name, t): (&str, &Trend)| {
        // This name is the longest, so it is shortened. Its row follows that of the metric whose
        // name it extends.
        let rest = name.strip_prefix("http_req_duration").filter(|rest| rest.len() > 12);
        let name = rest.map_or_else(|| name.to_owned(), |rest| format!("…{rest}"));
        let [p50, p90, p95, max] = [t.p50, t.p90, t.p95, t.max].map(human::time);
        let p99_9 = marked(t.p99_9, t.count < FEWEST_FOR_P99_9);
        Row::plain(vec![name, human::count(t.count), p50, p90, p95, p99(t.p99, t.count), p99_9, max])
    };
    let shown: Vec<_> = trends.filter_map(|t| Some((t.name(), trend(&doc.metrics, t)?))).collect();
    if shown.is_empty() {
        return None;
    }
    let is_marked = shown.iter().any(|(_, t)| t.count < FEWEST_FOR_P99_9);
    let rows = shown.into_iter().map(row).collect();
    let mut blocks = vec![Block::Table(Table { columns: LATENCY_COLUMNS, has_head: true, rows })];
    if is_marked {
        blocks.push(Block::Remark(Remark::new(Tone::Faint, 1, FEW_SAMPLES)));
    }
    let overflow: u64 = doc.metrics.values().map(|m| if let Measured::Trend(t) = m { t.overflow } else { 0 }).sum();
    if overflow > 0 {
        let text = format!("{} longer than an hour: percentiles stop there", plural(overflow, "time"));
        blocks.push(Block::Remark(Remark::new(Tone::Warning, 1, text)));
    }
    let note = match (trend(&doc.metrics, metrics::Trend::HttpReqDuration), extent) {
        (None, _) => "no request succeeded: of those that failed or were aborted",
        (Some(_), Extent::Brief) => "of successful requests",
        (Some(_), Extent::Full) => "of successful requests; failed and aborted ones have rows of their own",
    };
    Some(Section { title: "LATENCY", note: note.to_owned(), blocks })
}

pub(super) fn throughput(doc: &Document, extent: Extent) -> Section {
    use metrics::Counter as C;
    let is_brief = extent == Extent::Brief;
    let get = |c: C| counter(&doc.metrics, c);
    let row = |name: &str, total: String, rate: String, note: &str| Row {
        tail: Some(Piece::plain(format!("  {note}"))),
        ..Row::plain(vec![name.to_owned(), total, rate])
    };
    let mut rows = Vec::new();
    let all = [C::HttpReqs, C::TokensOutput, C::TokensInput, C::TokenEvents, C::TokensReasoning, C::TokensCached];
    for c in all.into_iter().take(if is_brief { 3 } else { all.len() }) {
        let Some(n) = get(c).filter(|n| n.count > 0 || c == C::HttpReqs) else { continue };
        let note = match (c, &n.token_source) {
            (C::TokenEvents, _) => events_per_token(&doc.requests),
            (C::TokensInput | C::TokensCached, _) => coverage_note(n),
            (_, Some(source)) => source_note(source).to_owned(),
            _ => String::new(),
        };
        rows.push(row(c.name(), human::count(n.count), human::per_second(n.rate), &note));
    }
    for c in [C::DataReceived, C::DataSent].into_iter().filter(|_| !is_brief) {
        if let Some(n) = get(c) {
            rows.push(row(c.name(), human::bytes(n.count as f64), format!("{}/s", human::bytes(n.rate)), ""));
        }
    }
    // Arrivals offered, started and completed. A closed loop slows down with the server, while an
    // open loop shows that the server fell behind.
    let offered = get(C::ArrivalsOffered).filter(|n| n.count > 0);
    for c in [C::ArrivalsOffered, C::ArrivalsStarted, C::Iterations, C::DroppedIterations] {
        let Some(n) = get(c).filter(|n| n.count > 0 || c != C::DroppedIterations).filter(|_| offered.is_some()) else {
            continue;
        };
        let note = if c == C::DroppedIterations { "no user was free" } else { "" };
        rows.push(row(c.name(), human::count(n.count), human::per_second(n.rate), note));
    }
    let mut blocks = vec![Block::Table(Table { columns: THROUGHPUT_COLUMNS, has_head: false, rows })];
    blocks.extend(doc.token_estimate.as_ref().map(estimate));
    blocks.extend(goodput(doc));
    let note = format!("rates cover the {} measured", human::length(doc.run.window_s));
    if is_brief {
        return Section { title: "THROUGHPUT", note, blocks };
    }
    let connections =
        [("opened", C::ConnectionsOpened), ("reused", C::ConnectionsReused), ("stale retries", C::StaleRetries)];
    let counts = connections.into_iter().filter_map(|(word, c)| Some(format!("{word} {}", get(c)?.count)));
    blocks.push(Block::List("connections", counts.collect()));
    blocks.extend(addresses(&doc.target.addresses));
    let levels =
        metrics::Gauge::ALL.into_iter().filter_map(|g| Some(format!("{} {}", g.name(), gauge(&doc.metrics, g)?.max)));
    blocks.push(Block::List("at most", levels.collect()));
    if let Some(skipped) = get(C::BadEvents).filter(|n| n.count > 0) {
        let text = format!("{} skipped: not JSON", plural(skipped.count, "event"));
        blocks.push(Block::Remark(Remark::new(Tone::Warning, 1, text)));
    }
    Section { title: "THROUGHPUT", note, blocks }
}

/// Describes how many requests met every goal.
fn goodput(doc: &Document) -> Option<Block> {
    let good = rate(&doc.metrics, metrics::Rate::Goodput)?;
    let share = human::percent(good.matches as f64 / good.total as f64);
    Some(Block::List("goodput", vec![format!("{share}: {} of {} met every goal", good.matches, good.total)]))
}

/// Describes the generated tokens as estimated by a tokenizer.
fn estimate(estimate: &TokenEstimate) -> Block {
    let TokenEstimate { tokenizer, sample, tokens_per_event, tokens_output } = estimate;
    let (Some(ratio), Some(tokens)) = (tokens_per_event, tokens_output) else {
        return Block::List("estimate", vec![format!("none by {tokenizer}: no streamed response could be sampled")]);
    };
    let total = format!("{}, {}", plural(tokens.count, "token"), human::per_second(tokens.rate));
    let basis = format!("{ratio:.2} tokens per event in {} by {tokenizer}", plural(sample.answers, "response"));
    let billed = sample.billed_per_token().map(|share| format!("the server bills {share:.2} per token"));
    Block::List("estimate", [total, basis].into_iter().chain(billed).collect())
}

/// Lists connections by address, if there were several addresses or failures.
fn addresses(addresses: &[Address]) -> Option<Block> {
    if addresses.len() < 2 && addresses.iter().all(|address| address.failed == 0) {
        return None;
    }
    let left_out = addresses.len().saturating_sub(ADDRESSES_SHOWN);
    let shown = addresses.iter().take(ADDRESSES_SHOWN).map(|a| match a.failed {
        0 => format!("{}: {}", a.address, a.opened),
        failed => format!("{}: {} ({failed} failed)", a.address, a.opened),
    });
    let items = shown.chain((left_out > 0).then(|| format!("and {left_out} more"))).collect();
    Some(Block::List("by address", items))
}

/// Input tokens are known only for requests whose usage the server reported.
fn coverage_note(n: &Counter) -> String {
    match (n.requests_billed, n.requests_with_tokens) {
        (Some(billed), Some(all)) if billed < all => format!(
            "of {} of {}: the others report no usage (`include_usage` requests it in streams)",
            human::count(billed),
            plural(all, "request")
        ),
        _ => String::new(),
    }
}

fn source_note(source: &str) -> &str {
    match source {
        "usage" => "counted by the server (usage)",
        "events" => "counted by us (one per event)",
        "mixed" => "partly counted by us (mixed)",
        other => other,
    }
}

/// An event is not a token. Returns their ratio over the kinds that stream, because plain responses
/// have tokens but no events.
fn events_per_token(requests: &BTreeMap<String, Numbers>) -> String {
    let count = |numbers, c| counter(numbers, c).map_or(0, |n: &Counter| n.count);
    let both =
        |numbers| (count(numbers, metrics::Counter::TokenEvents), count(numbers, metrics::Counter::TokensOutput));
    let streams = requests.values().map(both).filter(|&(events, _)| events > 0);
    match streams.fold((0, 0), |(events, tokens), (e, t)| (events + e, tokens + t)) {
        (_, 0) => String::new(),
        (events, tokens) => format!("{:.2} events per token", events as f64 / tokens as f64),
    }
}

pub(super) fn failures(doc: &Document, extent: Extent) -> Section {
    let (failed, all) = rate(&doc.metrics, metrics::Rate::HttpReqFailed).map_or((0, 0), |r| (r.matches, r.total));
    let share = |n: u64| human::percent(n as f64 / all.max(1) as f64);
    let note = match (failed, all) {
        (_, 0) => "no request finished".to_owned(),
        (0, n) => format!("no failures in {}", plural(n, "request")),
        (f, n) => format!("{f} of {} ({})", plural(n, "request"), share(f)),
    };
    // Classes are in the order of the list, by category. Classes that this build does not know come
    // last.
    let known = metrics::Failure::ALL.map(metrics::Failure::name);
    let unknown = doc.failures.classes.keys().map(String::as_str).filter(|name| !known.contains(name));
    let mut rows = Vec::new();
    for name in known.into_iter().chain(unknown) {
        let Some(&n) = doc.failures.classes.get(name) else { continue };
        let details = doc.failures.details.get(name);
        rows.push(Row {
            tone: Tone::Bad,
            tail: details.map(|details| Piece::new(Tone::Faint, when(details))),
            remarks: details.map(particulars).unwrap_or_default(),
            ..Row::plain(vec![name.to_owned(), human::count(n), share(n)])
        });
    }
    let mut blocks = vec![Block::Table(Table { columns: FAILURES_COLUMNS, has_head: false, rows })];
    let pairs = |table: &BTreeMap<String, u64>| table.iter().map(|(k, n)| format!("{k}: {n}")).collect::<Vec<_>>();
    for (label, table) in [("statuses", &doc.failures.statuses), ("failed checks", &doc.failures.checks)] {
        let is_detail = label == "statuses" && extent == Extent::Brief;
        if !table.is_empty() && !is_detail {
            blocks.push(Block::List(label, pairs(table)));
        }
    }
    blocks.extend(retries(doc));
    if let Some(tls) = doc.target.tls.as_ref().filter(|tls| !tls.troubles.is_empty()) {
        blocks.push(Block::List("TLS", pairs(&tls.troubles)));
    }
    let checks = rate(&doc.metrics, metrics::Rate::Checks);
    if let Some(checks) = checks.filter(|r| extent == Extent::Full || r.matches < r.total) {
        let held = human::percent(checks.matches as f64 / checks.total as f64);
        blocks.push(Block::List("checks", vec![format!("{} of {} held ({held})", checks.matches, checks.total)]));
    }
    if let Some(left) = counter(&doc.metrics, metrics::Counter::Cancelled).filter(|n| n.count > 0) {
        let text = format!("{} abandoned by their users, as the profile asks", left.count);
        blocks.push(Block::List("cancelled", vec![text]));
    }
    if let Some(cut_off) = counter(&doc.metrics, metrics::Counter::Interrupted).filter(|n| n.count > 0) {
        let age = trend(&doc.metrics, metrics::Trend::InterruptedAge);
        let age = age.map_or_else(String::new, |t| format!(", the oldest after {}", human::time(t.max)));
        blocks.push(Block::List("interrupted", vec![format!("{} cut off by the end of the test{age}", cut_off.count)]));
    }
    Section { title: "FAILURES", note, blocks }
}

/// Describes the retries and their causes.
fn retries(doc: &Document) -> Vec<Block> {
    let amplification = rate(&doc.metrics, metrics::Rate::Amplification);
    let (Some(all), Some(again)) = (amplification, counter(&doc.metrics, metrics::Counter::Retries)) else {
        return Vec::new();
    };
    let (attempts, requests) = (plural(all.matches, "attempt"), plural(all.total, "request"));
    let factor = all.matches as f64 / all.total as f64;
    let text = format!("{}: {attempts} for {requests}, {factor:.2} each", human::count(again.count));
    let mut blocks = vec![Block::List("retries", vec![text])];
    if !doc.failures.retried.is_empty() {
        let after = doc.failures.retried.iter().map(|(class, n)| format!("{class}: {n}")).collect();
        blocks.push(Block::List("retried after", after));
    }
    blocks
}

/// Formats the time span of a class's failures.
fn when(details: &FailureDetails) -> String {
    let (first, last) = (human::length(details.first_s), human::length(details.last_s));
    if first == last { format!("  after {first}") } else { format!("  after {first} to {last}") }
}

/// Returns the details of a class: the waiting times that servers asked for, and a sample of the
/// first failure.
fn particulars(details: &FailureDetails) -> Vec<Remark> {
    let wait = details.retry_after_s.map(|wait| match (wait.min, wait.max) {
        (min, max) if min == max => format!("retry-after {}", human::length(min.into())),
        (min, max) => format!("retry-after {} to {}", human::length(min.into()), human::length(max.into())),
    });
    wait.iter().chain(&details.sample).map(|text| Remark::new(Tone::Faint, 3, text)).collect()
}

pub(super) fn requests(kinds: &BTreeMap<String, Numbers>) -> Option<Section> {
    let row = |(name, numbers): (&String, &Numbers)| {
        let (failed, all) = rate(numbers, metrics::Rate::HttpReqFailed).map_or((0, 0), |r| (r.matches, r.total));
        let counts = [name.clone(), human::count(all), human::count(failed)];
        Row::plain(counts.into_iter().chain(times(numbers, metrics::Trend::HttpReqDuration)).collect())
    };
    let table = Table { columns: REQUESTS_COLUMNS, has_head: true, rows: kinds.iter().map(row).collect() };
    let note = "p50, p95 and p99 of http_req_duration".to_owned();
    (!kinds.is_empty()).then(|| Section { title: "REQUESTS", note, blocks: vec![Block::Table(table)] })
}

/// Returns the time to first token and between tokens, for the kinds that have them.
pub(super) fn streams(kinds: &BTreeMap<String, Numbers>) -> Option<Section> {
    let streams = kinds.iter().filter(|(_, numbers)| trend(numbers, metrics::Trend::Ttft).is_some());
    let row = |(name, numbers): (&String, &Numbers)| {
        let both = [metrics::Trend::Ttft, metrics::Trend::Tbt].map(|of| times(numbers, of));
        Row::plain(std::iter::once(name.clone()).chain(both.into_iter().flatten()).collect())
    };
    let table = Table { columns: STREAMS_COLUMNS, has_head: true, rows: streams.map(row).collect() };
    let note = "p50, p95 and p99 of ttft, then of tbt".to_owned();
    (!table.rows.is_empty()).then(|| Section { title: "STREAMS", note, blocks: vec![Block::Table(table)] })
}

/// Returns the turns of conversations, and how the conversations ended.
pub(super) fn conversations(doc: &Document) -> Option<Section> {
    let row = |(name, numbers): (&String, &Numbers)| {
        let (failed, all) = rate(numbers, metrics::Rate::HttpReqFailed).map_or((0, 0), |r| (r.matches, r.total));
        let [ttft, turn] = [metrics::Trend::Ttft, metrics::Trend::TurnDuration].map(|of| {
            let [p50, _, p99] = times(numbers, of);
            [p50, p99]
        });
        let counts = [format!("turn {name}"), human::count(all), human::count(failed)];
        Row::plain(counts.into_iter().chain(ttft).chain(turn).collect())
    };
    let table = Table { columns: TURNS_COLUMNS, has_head: true, rows: doc.turns.iter().map(row).collect() };
    let ended = |how| counter(&doc.metrics, how).map_or(0, |counter| counter.count);
    let note = format!(
        "{} completed, {} aborted, {} interrupted",
        human::count(ended(metrics::Counter::ConversationsCompleted)),
        human::count(ended(metrics::Counter::ConversationsAborted)),
        human::count(ended(metrics::Counter::ConversationsInterrupted)),
    );
    (!table.rows.is_empty()).then(|| Section { title: "CONVERSATIONS", note, blocks: vec![Block::Table(table)] })
}

fn times(numbers: &Numbers, of: metrics::Trend) -> [String; 3] {
    trend(numbers, of).map_or_else(
        || std::array::from_fn(|_| "-".to_owned()),
        |t| [human::time(t.p50), human::time(t.p95), p99(t.p99, t.count)],
    )
}
