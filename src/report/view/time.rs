//! Numbers over time, and the server beside the client: stages, requests outside the window,
//! growth, agreement.

use super::{Block, Column, Piece, Row, Section, Table, Tone, column};
use crate::document::{AgreementLine, Document, Growth, Outside, Quantiles, Stage, Trending};
use crate::report::human;

const STAGES_COLUMNS: &[Column] = &[
    column("", 14),
    column("count", 8),
    column("failed", 7),
    column("rate", 8),
    column("p50", 8),
    column("p95", 8),
    column("p99", 8),
    column("ttft p50", 9),
    column("p95", 8),
];

/// Adds the requests outside the measurement window.
pub(super) fn outside(blocks: &mut Vec<Block>, outside: Option<&Outside>) {
    let Some(outside) = outside else { return };
    let tone = if outside.failed > 0 { Tone::Warning } else { Tone::Plain };
    let failed = if outside.failed > 0 { format!("{} failed", outside.failed) } else { "none failed".to_owned() };
    let text = format!("{} more sent in warm-up and cooldown, ", human::count(outside.http_reqs));
    blocks.push(Block::Fact("outside", vec![Piece::plain(text), Piece::new(tone, failed)]));
    let classes: Vec<_> = outside.failures.iter().map(|(class, n)| format!("{class}: {n}")).collect();
    if !classes.is_empty() {
        blocks.push(Block::Fact("", vec![Piece::new(tone, classes.join(", "))]));
    }
}

pub(super) fn stages(stages: &[Stage]) -> Option<Section> {
    let row = |stage: &Stage| {
        let succeeded = stage.http_reqs.saturating_sub(stage.failed);
        let times = |q: Option<Quantiles>| {
            let nothing = || std::array::from_fn(|_| "-".to_owned());
            q.map_or_else(nothing, |q| [human::time(q.p50), human::time(q.p95), super::p99(q.p99, succeeded)])
        };
        let (duration, [ttft50, ttft95, _]): ([String; 3], [String; 3]) =
            (times(stage.http_req_duration), times(stage.ttft));
        let name = format!("{}..{}", human::length(stage.begin_s), human::length(stage.end_s));
        let (count, failed) = (human::count(stage.http_reqs), human::count(stage.failed));
        let cells = [name, count, failed, human::per_second(stage.http_reqs_rate)];
        Row::plain(cells.into_iter().chain(duration).chain([ttft50, ttft95]).collect())
    };
    let table = Table { columns: STAGES_COLUMNS, has_head: true, rows: stages.iter().map(row).collect() };
    let note = "requests sent in each: p50, p95, p99 of http_req_duration, then of ttft".to_owned();
    (!stages.is_empty()).then(|| Section { title: "STAGES", note, blocks: vec![Block::Table(table)] })
}

pub(super) fn server(doc: &Document) -> Option<Section> {
    let (target, used) = (&doc.target.server, &doc.server);
    if target.kind.is_none()
        && used.cpu_s.is_none()
        && used.rss_max_bytes.is_none()
        && doc.agreement.is_none()
        && doc.agreements.is_empty()
    {
        return None;
    }
    let mut name = target.kind.clone().unwrap_or_else(|| "unknown".to_owned());
    for part in [&target.version, &target.git_commit].into_iter().flatten() {
        name = format!("{name} {part}");
    }
    let origin = if target.started { "started for this run" } else { "was already running" };
    let mut blocks = Vec::new();
    if let Some(cpu_s) = used.cpu_s {
        let cores = if doc.run.duration_s > 0.0 { cpu_s / doc.run.duration_s } else { 0.0 };
        blocks.push(Block::List("CPU", vec![format!("{} ({cores:.2} cores on average)", human::time(cpu_s * 1e3))]));
    }
    if let (Some(start), Some(max), Some(end)) = (used.rss_start_bytes, used.rss_max_bytes, used.rss_end_bytes) {
        let [start, max, end] = [start, max, end].map(|n| human::bytes(n as f64));
        blocks.push(Block::List("memory", vec![format!("{start} → at most {max} → {end}")]));
    }
    let mut agree = |name: &str, server: u64, ours: u64, verb: &str| {
        let text = format!("server counted {server}, we {verb}");
        blocks.push(pair(name, text, ours == server));
    };
    if let Some(counts) = &doc.agreement {
        agree("requests", counts.server, counts.ours, &format!("sent {}", counts.ours));
    }
    for error in doc.agreement.iter().flat_map(|counts| &counts.errors) {
        let statuses = error.statuses.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        agree(&error.name, error.server, error.ours, &format!("saw {} ({statuses})", error.ours));
    }
    blocks.extend(doc.agreements.iter().map(agreement));
    Some(Section { title: "SERVER", note: format!("{name}, {origin}"), blocks })
}

fn pair(name: &str, text: String, agrees: bool) -> Block {
    let (tone, mark) = if agrees { (Tone::Good, " ✓") } else { (Tone::Bad, " ✗") };
    Block::Pair(format!("{name}:"), vec![Piece::plain(text), Piece::new(tone, mark)])
}

/// Formats the server's configured or counted value beside ours.
fn agreement(line: &AgreementLine) -> Block {
    let text = if line.unit == "ms" {
        let (said, seen) = (human::time(line.server), human::time(line.ours));
        let off = human::time((line.ours - line.server).abs());
        let side = if line.ours < line.server { "less" } else { "more" };
        format!("configured {said}, measured {seen} on average, {off} {side}")
    } else {
        format!("server counted {}, we counted {}", line.server, line.ours)
    };
    pair(&line.name, text, line.agree)
}

/// Returns the growth of both memories and the drift of latencies while the load was level.
pub(super) fn changes(doc: &Document) -> Option<Section> {
    let client = doc.client.memory.as_ref().and_then(|memory| memory.growth.as_ref());
    let memories = [("server's memory", doc.server.growth.as_ref()), ("our memory", client)];
    let memories = memories.into_iter().filter_map(|(name, growth)| {
        let growth = growth?;
        Some((name.to_owned(), growth.verdict, slope(growth)))
    });
    let drifts = doc.drift.iter().map(|(name, drift)| {
        let (first, last) = (human::time(drift.first), human::time(drift.last));
        (name.clone(), drift.verdict, format!("  {first} in the first tenth, {last} in the last"))
    });
    let line = |(name, verdict, text): (String, Trending, String)| {
        let pieces =
            [Piece::plain(format!("{name:<23}")), Piece::new(tone(verdict), verdict.name()), Piece::plain(text)];
        Block::Line(1, pieces.into())
    };
    let blocks: Vec<Block> = memories.chain(drifts).map(line).collect();
    let note = "while the load was level; bands are of 99 %".to_owned();
    (!blocks.is_empty()).then_some(Section { title: "OVER TIME", note, blocks })
}

fn slope(growth: &Growth) -> String {
    let span = format!("{}..{}", human::length(growth.from_s), human::length(growth.to_s));
    match (growth.bytes_per_h, growth.low_bytes_per_h, growth.high_bytes_per_h) {
        (Some(middle), Some(low), Some(high)) => {
            let [middle, low, high] = [middle, low, high].map(megabytes);
            format!("  {middle} MB/h ({low} to {high}), {span}")
        }
        _ => format!("  {span}"),
    }
}

fn megabytes(bytes: f64) -> String {
    let mb = bytes / 1e6;
    if mb.abs() < 0.05 {
        "0".to_owned()
    } else if mb.abs() < 100.0 {
        format!("{mb:.1}")
    } else {
        format!("{mb:.0}")
    }
}

fn tone(verdict: Trending) -> Tone {
    match verdict {
        Trending::Stable => Tone::Good,
        Trending::Growing => Tone::Bad,
        Trending::TooShort => Tone::Plain,
    }
}
