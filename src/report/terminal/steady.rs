//! The blocks about time: stages, what lies outside the window, growth, drift, agreement.

use super::{Page, Tone};
use crate::document::{AgreementLine, Document, Growth, Outside, Quantiles, Stage, Trending};
use crate::report::human;

/// What was sent outside the measurement window.
pub(crate) fn outside(page: &mut Page, outside: Option<&Outside>) {
    let Some(outside) = outside else { return };
    let tone = if outside.failed > 0 { Tone::Warning } else { Tone::Plain };
    let failed = if outside.failed > 0 { format!("{} failed", outside.failed) } else { "none failed".to_owned() };
    let text = format!("{} more sent in warm-up and cooldown, ", human::count(outside.http_reqs));
    page.line(&[(Tone::Plain, "  not in it  "), (Tone::Plain, &text), (tone, &failed)]);
    let classes: Vec<_> = outside.failures.iter().map(|(class, n)| format!("{class}: {n}")).collect();
    if !classes.is_empty() {
        for line in human::wrapped(&classes.join(", "), page.width.saturating_sub(13)) {
            page.line(&[(tone, &format!("             {line}"))]);
        }
    }
}

/// The stages.
pub(crate) fn stages(page: &mut Page, stages: &[Stage]) {
    if stages.is_empty() {
        return;
    }
    page.heading("STAGES", "requests sent in each: p50, p95, p99 of http_req_duration, then of ttft");
    let line = |name: &str, [count, failed, rate, p50, p95, p99, ttft50, ttft95]: [&str; 8]| {
        format!("  {name:<12}{count:>8}{failed:>7}{rate:>9}{p50:>8}{p95:>8}{p99:>8}{ttft50:>9}{ttft95:>8}")
    };
    page.line(&[(Tone::Faint, &line("", ["count", "failed", "rate", "p50", "p95", "p99", "ttft p50", "p95"]))]);
    for stage in stages {
        let times = |q: Option<Quantiles>| {
            q.map_or_else(|| std::array::from_fn(|_| "-".to_owned()), |q| [q.p50, q.p95, q.p99].map(human::time))
        };
        let (duration, ttft): ([String; 3], [String; 3]) = (times(stage.http_req_duration), times(stage.ttft));
        let name = format!("{}..{}", short(stage.begin_s), short(stage.end_s));
        let rate = human::per_second(stage.http_reqs_rate);
        let (count, failed) = (human::count(stage.http_reqs), human::count(stage.failed));
        page.plain(&line(
            &name,
            [&count, &failed, &rate, &duration[0], &duration[1], &duration[2], &ttft[0], &ttft[1]],
        ));
    }
}

/// Seconds below two minutes, else minutes and seconds.
fn short(seconds: f64) -> String {
    if seconds < 120.0 {
        let text = format!("{seconds:.1}");
        return format!("{}s", text.trim_end_matches('0').trim_end_matches('.'));
    }
    let whole = seconds.round() as u64;
    if whole.is_multiple_of(60) { format!("{}m", whole / 60) } else { format!("{}m{}", whole / 60, whole % 60) }
}

/// Memory of the server and of ours, and latency, over the time in which the load was level.
pub(crate) fn changes(page: &mut Page, doc: &Document) {
    let client = doc.client.memory.as_ref().and_then(|memory| memory.growth.as_ref());
    if doc.server.growth.is_none() && client.is_none() && doc.drift.is_empty() {
        return;
    }
    page.heading("OVER TIME", "while the load was level; bands are of 99 %");
    for (name, growth) in [("server's memory", doc.server.growth.as_ref()), ("our memory", client)] {
        let Some(growth) = growth else { continue };
        let (tone, text) = (tone(growth.verdict), slope(growth));
        page.line(&[(Tone::Plain, &format!("  {name:<25}")), (tone, growth.verdict.name()), (Tone::Plain, &text)]);
    }
    for (name, drift) in &doc.drift {
        let (first, last) = (human::time(drift.first), human::time(drift.last));
        let text = format!("  {first} in the first tenth, {last} in the last");
        page.line(&[
            (Tone::Plain, &format!("  {name:<25}")),
            (tone(drift.verdict), drift.verdict.name()),
            (Tone::Plain, &text),
        ]);
    }
}

fn slope(growth: &Growth) -> String {
    let span = format!("{} to {}", short(growth.from_s), short(growth.to_s));
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

/// What the server is configured to do or has counted, beside what we saw.
pub(crate) fn agreements(page: &mut Page, lines: &[AgreementLine]) {
    for line in lines {
        let (tone, mark) = if line.agree { (Tone::Good, "✓") } else { (Tone::Bad, "✗") };
        let text = if line.unit == "ms" {
            let (said, seen) = (human::time(line.server), human::time(line.ours));
            let off = human::time((line.ours - line.server).abs());
            let side = if line.ours < line.server { "less" } else { "more" };
            format!("configured {said}, measured {seen} on average, {off} {side} ")
        } else {
            format!("server counted {}, we counted {} ", line.server, line.ours)
        };
        let name = format!("  {:<18}", format!("{}:", line.name));
        page.line(&[(Tone::Plain, &name), (Tone::Plain, &text), (tone, mark)]);
    }
}
