//! Document → the summary people read: plain text of at most 80 columns, the verdict first. It asks no terminal for anything; colour is
//! a flag, and carries nothing that the text does not say.

mod steady;

use crate::document::endpoints::count as endpoints_that;
use crate::document::{
    Address, Client, ClientVerdict, Conclusion, Counter, Document, EndpointVerdict, FailureDetails, Gauge, Hint,
    Measured, Rate, Target, Threshold, ThresholdVerdict, Trend,
};
use crate::metrics::{self, Metric};
use crate::report::human;
use std::collections::BTreeMap;

mod endpoints;
mod requests;

/// How it shall look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether escape sequences for colour may be used.
    pub color: bool,
    /// Columns. Longer texts (URLs, names) are cut there; the tables need [`MIN_WIDTH`].
    pub width: u16,
}

/// What the tables need; a narrower terminal wraps them.
pub const MIN_WIDTH: u16 = 80;

/// Addresses that are listed; the document has all.
const ADDRESSES_SHOWN: usize = 16;

/// The summary of a run.
pub fn render(doc: &Document, style: Style) -> String {
    let mut page = Page { text: String::new(), color: style.color, width: usize::from(style.width.max(MIN_WIDTH)) };
    head(&mut page, doc);
    hints(&mut page, &doc.hints);
    thresholds(&mut page, &doc.thresholds);
    endpoints::endpoints(&mut page, &doc.endpoints);
    latency(&mut page, doc);
    throughput(&mut page, doc);
    failures(&mut page, doc);
    requests::requests(&mut page, &doc.requests);
    steady::stages(&mut page, &doc.stages);
    server(&mut page, doc);
    steady::changes(&mut page, doc);
    page.text
}

/// What a piece of text is meant to say, and so how it is coloured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tone {
    Plain,
    Title,
    Good,
    Bad,
    Warning,
    Faint,
}

impl Tone {
    /// Its ECMA-48 "select graphic rendition" sequence.
    const fn escape(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Title => "\x1b[1m",
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[31m",
            Self::Warning => "\x1b[33m",
            Self::Faint => "\x1b[2m",
        }
    }
}

/// Lines of a bounded width.
struct Page {
    text: String,
    color: bool,
    width: usize,
}

impl Page {
    /// One line of pieces, cut at the width. Control characters do not pass: names and versions come from files and servers, and must
    /// not drive the reader's terminal.
    fn line(&mut self, pieces: &[(Tone, &str)]) {
        let mut left = self.width;
        for (i, &(tone, piece)) in pieces.iter().enumerate() {
            let is_last = pieces[i + 1..].iter().all(|(_, rest)| rest.trim().is_empty());
            let piece = cut(if is_last { piece.trim_end() } else { piece }, left);
            left -= piece.chars().count();
            if self.color && tone != Tone::Plain && !piece.is_empty() {
                self.text.extend([tone.escape(), &piece, "\x1b[0m"]);
            } else {
                self.text.push_str(&piece);
            }
        }
        self.text.push('\n');
    }

    fn plain(&mut self, text: &str) {
        self.line(&[(Tone::Plain, text)]);
    }

    /// A block's first line, with a blank line before it.
    fn heading(&mut self, title: &str, note: &str) {
        self.text.push('\n');
        self.line(&[(Tone::Title, title), (Tone::Faint, "  "), (Tone::Faint, note)]);
    }

    /// `label` and then `items`, over as many lines as they need.
    fn list(&mut self, label: &str, items: impl Iterator<Item = String>) {
        let mut line = format!("  {label:<18}");
        let indent = line.chars().count();
        for item in items {
            let used = line.chars().count();
            if used > indent && used + 2 + item.chars().count() > self.width {
                self.plain(&format!("{line},"));
                line = " ".repeat(indent);
            }
            let separator = if line.chars().count() > indent { ", " } else { "" };
            line = format!("{line}{separator}{item}");
        }
        self.plain(&line);
    }
}

/// At most `columns` characters, an ellipsis for the rest, and no control characters.
fn cut(text: &str, columns: usize) -> String {
    let clean = text.chars().map(|c| if c.is_control() { '?' } else { c });
    if text.chars().count() <= columns {
        return clean.collect();
    }
    clean.take(columns.saturating_sub(1)).chain((columns > 0).then_some('…')).collect()
}

fn head(page: &mut Page, doc: &Document) {
    let failed = doc.thresholds.iter().filter(|t| t.verdict != ThresholdVerdict::Pass).count();
    let all = doc.thresholds.len();
    let (tone, word, why) = match doc.conclusion() {
        Conclusion::Pass if doc.is_partial() => {
            (Tone::Warning, "PARTIAL", format!("{all} of {all} thresholds held, of the shares that are there"))
        }
        Conclusion::Pass if doc.is_shard() => {
            (Tone::Plain, "SHARE", "it ran; `llmsim-blast merge` judges the whole".to_owned())
        }
        Conclusion::Pass => {
            let held =
                if all == 0 { "no thresholds were set".to_owned() } else { format!("{all} of {all} thresholds held") };
            let ok = endpoints_that(&doc.endpoints, EndpointVerdict::Ok);
            let note = if doc.endpoints.is_empty() {
                String::new()
            } else {
                format!("; {}", plural(ok as u64, "endpoint") + " ok")
            };
            (Tone::Good, "PASS ✓", held + &note)
        }
        Conclusion::Fail => {
            let broken = endpoints_that(&doc.endpoints, EndpointVerdict::Failed);
            let of_endpoints = format!("{broken} of {} failed", plural(doc.endpoints.len() as u64, "endpoint"));
            let of_thresholds = format!("{failed} of {all} thresholds did not hold");
            let why = match (broken, failed) {
                (0, _) => of_thresholds,
                (_, 0) => of_endpoints,
                _ => format!("{of_endpoints}, {of_thresholds}"),
            };
            (Tone::Bad, "FAIL ✗", why)
        }
        Conclusion::Interrupted => {
            (Tone::Warning, "INTERRUPTED", "the numbers are those of the part that ran".to_owned())
        }
        Conclusion::NoData => (Tone::Bad, "NO DATA", "not one request succeeded".to_owned()),
        Conclusion::ServerDied => (Tone::Bad, "FAIL ✗", "the server ended by itself".to_owned()),
    };
    page.line(&[
        (tone, word),
        (Tone::Plain, "  "),
        (Tone::Title, &doc.run.profile),
        (Tone::Plain, ": "),
        (Tone::Plain, &why),
    ]);
    if let Some(shard) = &doc.run.shard {
        let held: Vec<String> = shard.held.iter().map(u32::to_string).collect();
        page.plain(&format!("  share      {} of {} ({})", held.join(", "), shard.count, shard.source));
    }
    if !doc.run.merged_from.is_empty() {
        page.plain(&format!("  merged     from {}", plural(doc.run.merged_from.len() as u64, "run")));
    }
    if let Some(reason) = &doc.run.stop_reason {
        page.line(&[(Tone::Plain, "  stopped    "), (Tone::Warning, reason)]);
    }
    for line in &doc.target.server.last_lines {
        page.line(&[(Tone::Plain, "  it said    "), (Tone::Plain, line)]);
    }
    target(page, &doc.target);
    let (duration, window) = (human::length(doc.run.duration_s), human::length(doc.run.window_s));
    page.plain(&format!("  duration   {duration} (measured for {window}), started {}", doc.run.started_at));
    steady::outside(page, doc.outside.as_ref());
    client(page, &doc.client);
}

fn target(page: &mut Page, target: &Target) {
    let more = match target.more_urls.len() {
        0 => String::new(),
        n => format!(" and {n} more, in turn"),
    };
    page.plain(&format!("  target     {}{more}", target.url));
    let Some(tls) = &target.tls else { return };
    if !tls.verified {
        page.line(&[(Tone::Bad, "  INSECURE   certificates were NOT CHECKED: anyone could have answered")]);
    }
    let all = tls.full + tls.resumed;
    let share = if all > 0 { format!(" ({})", human::percent(tls.resumed as f64 / all as f64)) } else { String::new() };
    page.plain(&format!("  TLS        {} in full, {} resumed{share}", plural(tls.full, "handshake"), tls.resumed));
}

/// Where connections went, when there was a choice or a failure.
fn addresses(page: &mut Page, addresses: &[Address]) {
    if addresses.len() < 2 && addresses.iter().all(|address| address.failed == 0) {
        return;
    }
    let left_out = addresses.len().saturating_sub(ADDRESSES_SHOWN);
    let shown = addresses.iter().take(ADDRESSES_SHOWN).map(|a| match a.failed {
        0 => format!("{}: {}", a.address, a.opened),
        failed => format!("{}: {} ({failed} failed)", a.address, a.opened),
    });
    page.list("by address", shown.chain((left_out > 0).then(|| format!("and {left_out} more"))));
}

fn client(page: &mut Page, client: &Client) {
    let tone = match client.verdict {
        ClientVerdict::Ok => Tone::Good,
        ClientVerdict::Unknown => Tone::Plain,
        ClientVerdict::Strained => Tone::Warning,
        ClientVerdict::Bottleneck => Tone::Bad,
    };
    let value = |name: &str| client.signals.iter().find(|s| s.name == name).map(|s| s.value);
    let notes = [
        value("worker_cpu").map(|cpu| format!("a worker's CPU {}", human::percent(cpu))),
        value("client_lag_p99_ms").map(|lag| format!("reads p99 {} late", human::time(lag))),
    ];
    let note = notes.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let note = if note.is_empty() { note } else { format!(" ({note})") };
    page.line(&[(Tone::Plain, "  client     "), (tone, client.verdict.name()), (Tone::Plain, &note)]);
    let warning = match client.verdict {
        ClientVerdict::Ok | ClientVerdict::Unknown => return,
        ClientVerdict::Strained => "the client came near its limit: read high percentiles with care",
        ClientVerdict::Bottleneck => "the client was at its limit: these numbers say little about the server",
    };
    page.line(&[(tone, &format!("  {warning}"))]);
    for signal in client.signals.iter().filter(|s| s.verdict > ClientVerdict::Ok) {
        let (value, limit) = (plain(signal.value), plain(signal.strained_above));
        page.line(&[(Tone::Plain, &format!("    {} {value}, limit {limit}", signal.name))]);
        for line in human::wrapped(&signal.advice, page.width.saturating_sub(6)) {
            page.line(&[(Tone::Faint, &format!("      {line}"))]);
        }
    }
}

/// A number with as many digits as tell something.
fn plain(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn hints(page: &mut Page, hints: &[Hint]) {
    if hints.is_empty() {
        return;
    }
    page.heading("HINTS", "what the numbers say about the server and the path to it");
    for hint in hints {
        for (i, line) in human::wrapped(&hint.text, page.width.saturating_sub(4)).iter().enumerate() {
            page.plain(&format!("  {} {line}", if i == 0 { "-" } else { " " }));
        }
    }
}

fn thresholds(page: &mut Page, all: &[Threshold]) {
    if all.is_empty() {
        return;
    }
    page.heading("THRESHOLDS", "");
    let mut metrics: Vec<&str> = Vec::new();
    for threshold in all {
        if !metrics.contains(&threshold.metric.as_str()) {
            metrics.push(&threshold.metric);
        }
    }
    for metric in metrics {
        page.plain(&format!("  {metric}"));
        for t in all.iter().filter(|t| t.metric == metric) {
            let (tone, mark) = match t.verdict {
                ThresholdVerdict::Pass => (Tone::Good, "    ✓ "),
                ThresholdVerdict::Fail | ThresholdVerdict::NoData => (Tone::Bad, "    ✗ "),
            };
            let expression = format!("'{}' ", t.expression);
            let (measured, samples) = measured(t);
            page.line(&[(tone, mark), (Tone::Plain, &expression), (tone, &measured), (Tone::Faint, &samples)]);
        }
    }
}

/// `p(95)=12.345ms`, and how many samples stand behind it.
fn measured(t: &Threshold) -> (String, String) {
    let Some(value) = t.value.filter(|_| t.verdict != ThresholdVerdict::NoData) else {
        return ("no data: nothing was measured, which is not a pass".to_owned(), String::new());
    };
    let aggregation = t.expression.split(['<', '>', '=', '!']).next().unwrap_or_default().trim();
    let metric = t.metric.split('{').next().and_then(Metric::from_name);
    let value = match metric {
        Some(Metric::Trend(_)) if aggregation != "count" => human::precise_time(value),
        Some(Metric::Rate(_)) => human::percent(value),
        Some(Metric::Counter(_)) if aggregation == "rate" => human::per_second(value),
        _ => format!("{value}"),
    };
    (format!("{aggregation}={value}"), format!("  {}", plural(t.samples, "sample")))
}

fn latency(page: &mut Page, doc: &Document) {
    // The others are no latencies of the server's; what they say stands with the client and the failures.
    let not_here = [metrics::Trend::InterruptedAge, metrics::Trend::ClientLag, metrics::Trend::PassLength];
    let trends = metrics::Trend::ALL.into_iter().filter(|t| !not_here.contains(t));
    let rows: Vec<_> = trends.filter_map(|t| Some((t.name(), trend(&doc.metrics, t)?))).collect();
    if rows.is_empty() {
        return;
    }
    page.heading("LATENCY", "of successful requests; failed and aborted ones have rows of their own");
    let line = |name: &str, count: &str, columns: [&str; 6]| {
        let columns = columns.map(|c| format!("{c:>7}")).concat();
        format!("  {name:<25}{count:>8}{columns}")
    };
    page.line(&[(Tone::Faint, &line("", "count", ["p50", "p90", "p95", "p99", "p99.9", "max"]))]);
    for (name, t) in rows {
        // The longest name; its row follows that of the metric that it is the other half of.
        let name = name
            .strip_prefix("http_req_duration")
            .filter(|rest| rest.len() > 12)
            .map_or_else(|| name.to_owned(), |rest| format!("…{rest}"));
        let name = name.as_str();
        let times = [t.p50, t.p90, t.p95, t.p99, t.p99_9, t.max].map(human::time);
        page.plain(&line(name, &human::count(t.count), times.each_ref().map(String::as_str)));
    }
    let overflow: u64 = doc.metrics.values().map(|m| if let Measured::Trend(t) = m { t.overflow } else { 0 }).sum();
    if overflow > 0 {
        page.line(&[(
            Tone::Warning,
            &format!("  {} longer than an hour: percentiles stop there", plural(overflow, "time")),
        )]);
    }
}

fn throughput(page: &mut Page, doc: &Document) {
    use metrics::Counter as C;
    let get = |c: C| counter(&doc.metrics, c);
    page.heading(
        "THROUGHPUT",
        &format!("rates are of what arrived in the {} measured", human::length(doc.run.window_s)),
    );
    let line = |name: &str, total: &str, rate: &str, note: &str| format!("  {name:<25}{total:>10}{rate:>12}  {note}");
    for c in [C::HttpReqs, C::TokensOutput, C::TokenEvents, C::TokensReasoning, C::TokensInput] {
        let Some(n) = get(c).filter(|n| n.count > 0 || c == C::HttpReqs) else { continue };
        let note = match (c, &n.token_source) {
            (C::TokenEvents, _) => events_per_token(&doc.requests),
            (_, Some(source)) => source_note(source).to_owned(),
            _ => String::new(),
        };
        page.plain(&line(c.name(), &human::count(n.count), &human::per_second(n.rate), &note));
    }
    for c in [C::DataReceived, C::DataSent] {
        if let Some(n) = get(c) {
            page.plain(&line(c.name(), &human::bytes(n.count as f64), &format!("{}/s", human::bytes(n.rate)), ""));
        }
    }
    // Offered, started, completed: where a closed loop slows down with the server, an open one shows that it fell behind.
    let offered = get(C::ArrivalsOffered).filter(|n| n.count > 0);
    for c in [C::ArrivalsOffered, C::ArrivalsStarted, C::Iterations, C::DroppedIterations] {
        let Some(n) = get(c).filter(|n| n.count > 0 || c != C::DroppedIterations).filter(|_| offered.is_some()) else {
            continue;
        };
        let note = if c == C::DroppedIterations { "no user was free" } else { "" };
        page.plain(&line(c.name(), &human::count(n.count), &human::per_second(n.rate), note));
    }
    let connections =
        [("opened", C::ConnectionsOpened), ("reused", C::ConnectionsReused), ("stale retries", C::StaleRetries)];
    let counts = connections.into_iter().filter_map(|(word, c)| Some(format!("{word} {}", get(c)?.count)));
    page.list("connections", counts);
    addresses(page, &doc.target.addresses);
    if let Some(good) = rate(&doc.metrics, metrics::Rate::Goodput).filter(|r| r.total > 0) {
        let share = human::percent(good.matches as f64 / good.total as f64);
        page.list("goodput", std::iter::once(format!("{share}: {} of {} met every goal", good.matches, good.total)));
    }
    let levels =
        metrics::Gauge::ALL.into_iter().filter_map(|g| Some(format!("{} {}", g.name(), gauge(&doc.metrics, g)?.max)));
    page.list("at most", levels);
    if let Some(skipped) = get(C::BadEvents).filter(|n| n.count > 0) {
        page.line(&[(Tone::Warning, &format!("  {} skipped: not JSON", plural(skipped.count, "event")))]);
    }
}

fn source_note(source: &str) -> &str {
    match source {
        "usage" => "counted by the server (usage)",
        "events" => "counted by us (one an event)",
        "mixed" => "partly counted by us (mixed)",
        other => other,
    }
}

/// One event is not one token: how far apart they are, over the kinds that stream (plain answers have tokens and no events).
fn events_per_token(requests: &BTreeMap<String, BTreeMap<String, Measured>>) -> String {
    let count = |numbers, c| counter(numbers, c).map_or(0, |n: &Counter| n.count);
    let both =
        |numbers| (count(numbers, metrics::Counter::TokenEvents), count(numbers, metrics::Counter::TokensOutput));
    let streams = requests.values().map(both).filter(|&(events, _)| events > 0);
    match streams.fold((0, 0), |(events, tokens), (e, t)| (events + e, tokens + t)) {
        (_, 0) => String::new(),
        (events, tokens) => format!("{:.2} events a streamed token", events as f64 / tokens as f64),
    }
}

fn failures(page: &mut Page, doc: &Document) {
    let (failed, all) = rate(&doc.metrics, metrics::Rate::HttpReqFailed).map_or((0, 0), |r| (r.matches, r.total));
    let share = |n: u64| human::percent(n as f64 / all.max(1) as f64);
    match (failed, all) {
        (_, 0) => page.heading("FAILURES", "no request finished"),
        (0, n) => page.heading("FAILURES", &format!("no failures in {}", plural(n, "request"))),
        (f, n) => page.heading("FAILURES", &format!("{f} of {} ({})", plural(n, "request"), share(f))),
    }
    // In the order of the list, by category; classes that this build does not know come last.
    let known = metrics::Failure::ALL.map(metrics::Failure::name);
    let unknown = doc.failures.classes.keys().map(String::as_str).filter(|name| !known.contains(name));
    for name in known.into_iter().chain(unknown) {
        let Some(&n) = doc.failures.classes.get(name) else { continue };
        let details = doc.failures.details.get(name);
        let when = details.map_or_else(String::new, when);
        let counts = format!("  {name:<25}{:>10}{:>12}", human::count(n), share(n));
        page.line(&[(Tone::Bad, &counts), (Tone::Faint, &when)]);
        if let Some(details) = details {
            particulars(page, details);
        }
    }
    let pairs = |table: &BTreeMap<String, u64>| table.iter().map(|(k, n)| format!("{k}: {n}")).collect::<Vec<_>>();
    for (label, table) in [("statuses", &doc.failures.statuses), ("failed checks", &doc.failures.checks)] {
        if !table.is_empty() {
            page.list(label, pairs(table).into_iter());
        }
    }
    if let Some(tls) = doc.target.tls.as_ref().filter(|tls| !tls.troubles.is_empty()) {
        page.list("TLS", pairs(&tls.troubles).into_iter());
    }
    if let Some(checks) = rate(&doc.metrics, metrics::Rate::Checks).filter(|r| r.total > 0) {
        let held = human::percent(checks.matches as f64 / checks.total as f64);
        page.list("checks", std::iter::once(format!("{} of {} held ({held})", checks.matches, checks.total)));
    }
    if let Some(left) = counter(&doc.metrics, metrics::Counter::Cancelled).filter(|n| n.count > 0) {
        page.list("cancelled", std::iter::once(format!("{} given up by their users, as the profile asks", left.count)));
    }
    if let Some(cut_off) = counter(&doc.metrics, metrics::Counter::Interrupted).filter(|n| n.count > 0) {
        let age = trend(&doc.metrics, metrics::Trend::InterruptedAge);
        let age = age.map_or_else(String::new, |t| format!(", the oldest after {}", human::time(t.max)));
        page.list("interrupted", std::iter::once(format!("{} cut off by the end of the test{age}", cut_off.count)));
    }
}

/// When failures of a class came.
fn when(details: &FailureDetails) -> String {
    let (first, last) = (human::length(details.first_s), human::length(details.last_s));
    if first == last { format!("  after {first}") } else { format!("  after {first} to {last}") }
}

/// What is known of a class beside its number: how long servers asked us to wait, and what the first failure looked like.
fn particulars(page: &mut Page, details: &FailureDetails) {
    let wait = details.retry_after_s.map(|wait| match (wait.min, wait.max) {
        (min, max) if min == max => format!("retry-after {min}s"),
        (min, max) => format!("retry-after {min}s to {max}s"),
    });
    for text in wait.iter().chain(&details.sample) {
        for line in human::wrapped(text, page.width.saturating_sub(6)) {
            page.line(&[(Tone::Faint, &format!("      {line}"))]);
        }
    }
}

fn server(page: &mut Page, doc: &Document) {
    let (target, used) = (&doc.target.server, &doc.server);
    if target.kind.is_none()
        && used.cpu_s.is_none()
        && used.rss_max_bytes.is_none()
        && doc.agreement.is_none()
        && doc.agreements.is_empty()
    {
        return;
    }
    let mut name = target.kind.clone().unwrap_or_else(|| "unknown".to_owned());
    for part in [&target.version, &target.git_commit].into_iter().flatten() {
        name = format!("{name} {part}");
    }
    let origin = if target.started { "started for this run" } else { "was already running" };
    page.heading("SERVER", &format!("{name}, {origin}"));
    if let Some(cpu_s) = used.cpu_s {
        let cores = if doc.run.duration_s > 0.0 { cpu_s / doc.run.duration_s } else { 0.0 };
        page.list("CPU", std::iter::once(format!("{} ({cores:.2} cores on average)", human::time(cpu_s * 1e3))));
    }
    if let (Some(start), Some(max), Some(end)) = (used.rss_start_bytes, used.rss_max_bytes, used.rss_end_bytes) {
        let [start, max, end] = [start, max, end].map(|n| human::bytes(n as f64));
        page.list("memory", std::iter::once(format!("{start} → at most {max} → {end}")));
    }
    let mut agree = |name: &str, server: u64, ours: u64, verb: &str| {
        let (tone, mark) = if ours == server { (Tone::Good, " ✓") } else { (Tone::Bad, " ✗") };
        let text = format!("  {:<17} server counted {server}, we {verb}", format!("{name}:"));
        page.line(&[(Tone::Plain, &text), (tone, mark)]);
    };
    if let Some(counts) = &doc.agreement {
        agree("requests", counts.server, counts.ours, &format!("sent {}", counts.ours));
    }
    for error in doc.agreement.iter().flat_map(|counts| &counts.errors) {
        let statuses = error.statuses.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        agree(&error.name, error.server, error.ours, &format!("saw {} ({statuses})", error.ours));
    }
    steady::agreements(page, &doc.agreements);
}

fn trend(numbers: &BTreeMap<String, Measured>, trend: metrics::Trend) -> Option<&Trend> {
    match numbers.get(trend.name()) {
        Some(Measured::Trend(t)) if t.count > 0 => Some(t),
        _ => None,
    }
}

fn counter(numbers: &BTreeMap<String, Measured>, counter: metrics::Counter) -> Option<&Counter> {
    match numbers.get(counter.name()) {
        Some(Measured::Counter(c)) => Some(c),
        _ => None,
    }
}

fn rate(numbers: &BTreeMap<String, Measured>, rate: metrics::Rate) -> Option<&Rate> {
    match numbers.get(rate.name()) {
        Some(Measured::Rate(r)) => Some(r),
        _ => None,
    }
}

fn gauge(numbers: &BTreeMap<String, Measured>, gauge: metrics::Gauge) -> Option<&Gauge> {
    match numbers.get(gauge.name()) {
        Some(Measured::Gauge(g)) => Some(g),
        _ => None,
    }
}

fn plural(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

#[cfg(test)]
mod tests;
