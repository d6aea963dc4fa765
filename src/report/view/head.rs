//! The verdict and its basis.

use super::{Block, Extent, Headline, Piece, Remark, Row, Section, Table, Tone, asked, column, network, time};
use crate::document::endpoints::count;
use crate::document::merge::start_spread;
use crate::document::verdict::{Conclusion, ReasonKind};
use crate::document::{
    Client, Dataset, Document, Endpoint, EndpointVerdict, Hint, Judged, Judgement, Target, Validity,
};
use crate::metrics::{Metric, Unit};
use crate::report::human;
use crate::units::plural;

/// Characters of an endpoint's name. Longer names are cut.
const NAME_COLUMNS: usize = 25;

pub(super) fn headline(doc: &Document) -> Headline {
    let (tone, word, said) = match doc.verdict.conclusion {
        Conclusion::Pass => (Tone::Good, "PASS ✓", "passed"),
        Conclusion::Partial => (Tone::Warning, "PARTIAL", "shards are missing"),
        Conclusion::Shard => (Tone::Plain, "SHARD", "one shard ran"),
        Conclusion::Fail => (Tone::Bad, "FAIL ✗", "failed"),
        Conclusion::ServerDied => (Tone::Bad, "FAIL ✗", "the server died"),
        Conclusion::Interrupted => (Tone::Warning, "INTERRUPTED", "interrupted"),
        Conclusion::Incomplete => (Tone::Bad, "INCOMPLETE", "a shard was lost"),
        Conclusion::NoData => (Tone::Bad, "NO DATA", "no data"),
        Conclusion::Invalid => (Tone::Bad, "INVALID ✗", "the client was the bottleneck"),
        Conclusion::Internal => (Tone::Bad, "INTERNAL ERROR", "internal error"),
    };
    Headline { tone, word, said, name: doc.run.profile.clone(), why: doc.verdict.why(doc) }
}

pub(super) fn facts(doc: &Document, extent: Extent) -> Vec<Block> {
    let mut blocks = Vec::new();
    if let Some(shard) = &doc.run.shard {
        let held: Vec<String> = shard.held.iter().map(u32::to_string).collect();
        let text = format!("{} of {} ({})", held.join(", "), shard.count, shard.source);
        blocks.push(Block::Fact("shard", vec![Piece::plain(text)]));
    }
    if !doc.run.merged_from.is_empty() {
        let spread = start_spread(&doc.run.merged_from).map_or_else(String::new, |start| {
            format!(", started within {:.2} ms (± {:.2} ms)", start.late_ms, start.clock_error_ms)
        });
        let text = format!("from {}{spread}", plural(doc.run.merged_from.len(), "run"));
        blocks.push(Block::Fact("merged", vec![Piece::plain(text)]));
    }
    if let Some(reason) = &doc.run.stop_reason {
        blocks.push(Block::Fact("stopped", vec![Piece::new(Tone::Warning, reason)]));
    }
    for line in &doc.target.server.last_lines {
        blocks.push(Block::Fact("last line", vec![Piece::plain(line)]));
    }
    target(&mut blocks, &doc.target);
    let (duration, window) = (human::length(doc.run.duration_s), human::length(doc.run.window_s));
    let text = format!("{duration} (measured for {window}), started {}", doc.run.started_at);
    blocks.push(Block::Fact("duration", vec![Piece::plain(text)]));
    time::outside(&mut blocks, doc.outside.as_ref());
    doc.datasets.iter().for_each(|dataset| self::dataset(&mut blocks, dataset));
    asked::facts(&mut blocks, doc, extent);
    blocks.extend(network::fact(doc));
    client(&mut blocks, &doc.client);
    blocks
}

fn dataset(blocks: &mut Vec<Block>, dataset: &Dataset) {
    let counts = match (dataset.distinct_sent, dataset.repeats_sent) {
        (Some(distinct), Some(repeats)) => format!(": {distinct} different, {}", plural(repeats, "repeat")),
        _ => String::new(),
    };
    let end = if dataset.used_up { "; all rows are used up, which ended the test" } else { "" };
    let Dataset { path, format, order, sent, .. } = dataset;
    let text = format!("{path} ({format}, {order}), {sent} sent{counts}{end}");
    blocks.push(Block::Fact("data set", vec![Piece::plain(text)]));
    for unused in &dataset.unused {
        let rows = plural(unused.rows, "row");
        let text =
            format!("{rows} of {} left out: {} (first on line {})", dataset.rows, unused.reason, unused.first_line);
        blocks.push(Block::Remark(Remark::new(Tone::Warning, 1, text)));
    }
}

fn target(blocks: &mut Vec<Block>, target: &Target) {
    let more = match target.more_urls.len() {
        0 => String::new(),
        n => format!(" and {n} more, in turn"),
    };
    blocks.push(Block::Fact("target", vec![Piece::plain(format!("{}{more}", target.url))]));
    if let Some(cold_start) = target.server.cold_start_ms {
        let text = format!("{} for the first request to the new server, not measured", human::time(cold_start));
        blocks.push(Block::Fact("cold start", vec![Piece::plain(text)]));
    }
    let Some(tls) = &target.tls else { return };
    if !tls.verified {
        let text = "certificates were NOT CHECKED: anyone could have answered";
        blocks.push(Block::Fact("INSECURE", vec![Piece::new(Tone::Bad, text)]));
    }
    let all = tls.full + tls.resumed;
    let share = if all > 0 { format!(" ({})", human::percent(tls.resumed as f64 / all as f64)) } else { String::new() };
    let text = format!("{} in full, {} resumed{share}", plural(tls.full, "handshake"), tls.resumed);
    blocks.push(Block::Fact("TLS", vec![Piece::plain(text)]));
}

fn client(blocks: &mut Vec<Block>, client: &Client) {
    let tone = match client.verdict {
        Validity::Ok => Tone::Good,
        Validity::Unknown => Tone::Plain,
        Validity::Strained => Tone::Warning,
        Validity::Bottleneck => Tone::Bad,
    };
    let value = |name: &str| client.signals.iter().find(|s| s.name == name).map(|s| s.value);
    let notes = [
        value("worker_cpu").map(|cpu| format!("busiest worker {} CPU", human::percent(cpu))),
        value("client_lag_p99_ms").map(|lag| format!("p99 read lag {}", human::time(lag))),
    ];
    let note = notes.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let note = if note.is_empty() { note } else { format!(" ({note})") };
    let few = client.signals.iter().find(|s| s.name == "samples").filter(|_| client.verdict == Validity::Unknown);
    let few = few.map(|s| format!("{}; there were {}", s.advice, plain(s.value)));
    let verdict = few.unwrap_or_else(|| client.verdict.name().to_owned());
    blocks.push(Block::Fact("client", vec![Piece::new(tone, verdict), Piece::plain(note)]));
    let warning = match client.verdict {
        Validity::Ok | Validity::Unknown => return,
        Validity::Strained => "the client came near its limit: read high percentiles with care",
        Validity::Bottleneck => "the client was at its limit: these numbers say little about the server",
    };
    blocks.push(Block::Remark(Remark::new(tone, 1, warning)));
    for signal in client.signals.iter().filter(|s| s.verdict > Validity::Ok) {
        let (value, limit) = (plain(signal.value), plain(signal.strained_above));
        let role = if signal.explains { " (of this machine; it may be why)" } else { "" };
        blocks.push(Block::Line(2, vec![Piece::plain(format!("{} {value}, limit {limit}{role}", signal.name))]));
        blocks.push(Block::Remark(Remark::new(Tone::Faint, 3, &signal.advice)));
    }
}

/// Formats a number without trailing zeros.
fn plain(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(super) fn hints(hints: &[Hint]) -> Option<Section> {
    let remark = |hint: &Hint| Block::Remark(Remark { bullet: "- ", ..Remark::new(Tone::Plain, 1, hint.text.clone()) });
    let note = "what the numbers say about the server and the path to it".to_owned();
    (!hints.is_empty()).then(|| Section { title: "HINTS", note, blocks: hints.iter().map(remark).collect() })
}

/// Returns the reasons why the run does not pass, except those that the head, the thresholds or the
/// endpoints already show.
pub(super) fn reasons(doc: &Document) -> Option<Section> {
    let is_said = |kind| {
        matches!(
            kind,
            ReasonKind::Threshold
                | ReasonKind::Endpoint
                | ReasonKind::NoData
                | ReasonKind::Interrupted
                | ReasonKind::ServerDied
        )
    };
    let unsaid = doc.verdict.reasons.iter().filter(|reason| !is_said(reason.kind));
    let blocks: Vec<Block> = unsaid
        .map(|reason| {
            let text = format!("{}: {}", reason.name, reason.text);
            Block::Remark(Remark { bullet: "✗ ", ..Remark::new(Tone::Bad, 1, text) })
        })
        .collect();
    (!blocks.is_empty()).then_some(Section { title: "WHY", note: String::new(), blocks })
}

pub(super) fn thresholds(all: &[Judged]) -> Option<Section> {
    let mut metrics: Vec<&str> = Vec::new();
    for threshold in all {
        if !metrics.contains(&threshold.metric.as_str()) {
            metrics.push(&threshold.metric);
        }
    }
    let mut blocks = Vec::new();
    for metric in metrics {
        blocks.push(Block::Line(1, vec![Piece::plain(metric)]));
        for judged in all.iter().filter(|judged| judged.metric == metric) {
            let (tone, mark) = match judged.verdict {
                Judgement::Pass => (Tone::Good, "✓ "),
                Judgement::Fail | Judgement::NoData => (Tone::Bad, "✗ "),
            };
            let (measured, samples) = measured(judged);
            blocks.push(Block::Line(
                2,
                vec![
                    Piece::new(tone, mark),
                    Piece::plain(format!("'{}' ", judged.expression)),
                    Piece::new(tone, measured),
                    Piece::new(Tone::Faint, samples),
                ],
            ));
        }
    }
    (!blocks.is_empty()).then_some(Section { title: "THRESHOLDS", note: String::new(), blocks })
}

/// Formats a measured value such as `p(95)=12.345ms`, and its number of samples.
pub(super) fn measured(judged: &Judged) -> (String, String) {
    let Some(value) = judged.value.filter(|_| judged.verdict != Judgement::NoData) else {
        return ("no data: nothing was measured, which is not a pass".to_owned(), String::new());
    };
    let aggregation = judged.expression.split(['<', '>', '=', '!']).next().unwrap_or_default().trim();
    let metric = judged.metric.split('{').next().and_then(Metric::from_name);
    let value = match metric {
        Some(Metric::Trend(trend)) if aggregation != "count" && trend.unit() == Unit::Milliseconds => {
            human::precise_time(value)
        }
        Some(Metric::Rate(rate)) if rate.is_share() => human::percent(value),
        Some(Metric::Rate(_)) => format!("{value:.2}"),
        Some(Metric::Counter(_)) if aggregation == "rate" => human::per_second(value),
        _ => format!("{value}"),
    };
    (format!("{aggregation}={value}"), format!("  {}", plural(judged.samples, "sample")))
}

/// Returns the endpoints. A brief view shows only those that are not `ok`.
pub(super) fn endpoints(all: &[Endpoint], extent: Extent) -> Option<Section> {
    let words =
        [(EndpointVerdict::Ok, "ok"), (EndpointVerdict::Failed, "failed"), (EndpointVerdict::Skipped, "skipped")];
    let counts = words.map(|(verdict, word)| (count(all, verdict), word));
    let counts: Vec<_> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    let note = format!("each requested once before the load: {}", counts.join(", "));
    let columns = const { &[column("endpoint", NAME_COLUMNS), column("took", 7)] };
    let is_shown = |endpoint: &&Endpoint| extent == Extent::Full || endpoint.verdict != EndpointVerdict::Ok;
    let table = Table { columns, has_head: false, rows: all.iter().filter(is_shown).map(endpoint).collect() };
    (!all.is_empty()).then(|| Section { title: "ENDPOINTS", note, blocks: vec![Block::Table(table)] })
}

fn endpoint(endpoint: &Endpoint) -> Row {
    let (tone, mark) = match endpoint.verdict {
        EndpointVerdict::Ok => (Tone::Good, "✓"),
        EndpointVerdict::Failed => (Tone::Bad, "✗"),
        EndpointVerdict::Skipped => (Tone::Faint, "-"),
    };
    let way = match (endpoint.stream, endpoint.method.as_str()) {
        (false, _) => "",
        // A GET that is streamed is always a WebSocket.
        (true, "GET") => " (WebSocket)",
        (true, _) => " (SSE)",
    };
    let took = endpoint.duration_ms.map_or_else(String::new, human::time);
    let word = if endpoint.verdict == EndpointVerdict::Skipped { "skipped: " } else { "" };
    let remarks = endpoint.reason.iter().map(|reason| Remark::new(tone, 3, format!("{word}{reason}"))).collect();
    Row {
        tone,
        mark: Some(mark),
        cells: vec![endpoint.name.clone(), took],
        tail: Some(Piece::plain(format!("  {:<4} {}{way}", endpoint.method, endpoint.path))),
        remarks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tests::{busy_tally, document, verdict};

    #[test]
    fn numbers_of_thresholds_have_the_unit_of_their_metric() {
        let one = |metric: &str, expression: &str, value| {
            let doc = document(&busy_tally(), &[verdict(metric, expression, Some(value), Judgement::Pass)], false);
            measured(&doc.thresholds[0]).0
        };
        assert_eq!(one("ttft", "p(99.9) < 2s", 2_000.4), "p(99.9)=2.0004s");
        assert_eq!(one("ttft", "count>10", 50.0), "count=50");
        assert_eq!(one("http_req_failed{request:chat}", "rate<=0.01", 0.0), "rate=0.00%");
        assert_eq!(one("amplification", "rate<1.5", 1.234), "rate=1.23");
        assert_eq!(one("http_reqs", "rate>=10", 45.67), "rate=45.7/s");
        assert_eq!(one("timeouts", "count==0", 0.0), "count=0");
        assert_eq!(one("vus", "max!=3", 50.0), "max=50");
    }
}
