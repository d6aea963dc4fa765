//! The page of a run, single or merged.

use super::chart::{Chart, Line};
use super::heat::Rows;
use super::page::{Page, Tile, render};
use super::quantiles::{self, Draft};
use super::{asked, limit, over_time};
use crate::document::measured::{counter, rate, trend};
use crate::document::{Document, Judged, Measured, Validity};
use crate::metrics::{self, Buckets};
use crate::report::human;
use crate::report::view::{Block, Piece, Tone, View, p99};
use crate::units::plural;

/// Metrics whose distributions share a chart.
const DISTRIBUTIONS: [metrics::Trend; 3] = [metrics::Trend::Ttft, metrics::Trend::Tbt, metrics::Trend::HttpReqDuration];

/// Returns the page of a run.
pub fn of_run(doc: &Document) -> String {
    let view = View::of(doc);
    let over_time = over_time::charts(doc, Rows::Fitted);
    let mut charts = over_time.charts;
    // The distributions come right after the percentiles over time.
    let place = charts.iter().position(|chart| chart.id == "rates").unwrap_or(charts.len());
    charts.splice(place..place, distributions(doc).into_iter().chain(turns(doc)));
    let started = &doc.run.started_at;
    render(&Page {
        title: format!("{}: {}", doc.run.profile, view.headline.said),
        subtitle: format!("{}, started {started}", doc.target.url),
        headline: view.headline,
        tiles: tiles(doc),
        facts: asked_and_got(doc).into_iter().chain(view.head).collect(),
        verdict: view.verdict,
        intervals: Vec::new(),
        at: over_time.at,
        charts,
        numbers: view.numbers,
        made_by: format!("llmsim-blast {}, run {}", doc.build.version, doc.run.id),
        is_live: false,
    })
}

/// Returns the requested load, and the measured requests and tokens.
fn asked_and_got(doc: &Document) -> Vec<Block> {
    let mut facts = Vec::new();
    if let Some(load) = asked::load(&doc.plan) {
        facts.push(Block::Fact("requested", vec![Piece::plain(load)]));
    }
    let count = |of| counter(&doc.metrics, of).filter(|c| c.count > 0).map(|c| (c.count, c.rate));
    let (requests, tokens) = (count(metrics::Counter::HttpReqs), count(metrics::Counter::TokensOutput));
    let got = [(requests, "request"), (tokens, "token")];
    let got = got.into_iter().filter_map(|(counted, noun)| {
        let (n, rate) = counted?;
        Some(format!("{} ({})", plural(n, noun), human::per_second(rate)))
    });
    let got: Vec<String> = got.collect();
    if !got.is_empty() {
        facts.push(Block::Fact("received", vec![Piece::plain(got.join(", "))]));
    }
    facts
}

/// Returns the tiles with the most important numbers.
fn tiles(doc: &Document) -> Vec<Tile> {
    use metrics::Trend as T;
    let latency = [(T::Ttft, "TTFT p95"), (T::Tbt, "TBT p95"), (T::HttpReqDuration, "Duration p95")];
    let latency = latency.into_iter().filter_map(|(of, name)| {
        let t = trend(&doc.metrics, of)?;
        let note = format!("p50 {}, p99 {}", human::time(t.p50), p99(t.p99, t.count));
        Some(Tile { name: name.to_owned(), value: human::time(t.p95), note, tone: Tone::Plain })
    });
    let counted = |of, name: &str, noun| {
        counter(&doc.metrics, of).filter(|c| c.count > 0).map(|c| {
            let note = plural(c.count, noun);
            Tile { name: name.to_owned(), value: human::per_second(c.rate), note, tone: Tone::Plain }
        })
    };
    let failed = rate(&doc.metrics, metrics::Rate::HttpReqFailed).map(|rate| {
        let tone = if rate.matches > 0 { Tone::Bad } else { Tone::Good };
        let note = format!("{} of {}", rate.matches, plural(rate.total, "request"));
        let value = human::percent(rate.matches as f64 / rate.total as f64);
        Tile { name: "Failed".to_owned(), value, note, tone }
    });
    let rates = [
        counted(metrics::Counter::HttpReqs, "Requests", "request"),
        counted(metrics::Counter::TokensOutput, "Tokens", "token"),
        failed,
        Some(client(doc)),
    ];
    latency.chain(rates.into_iter().flatten()).collect()
}

/// Returns the tile that tells whether the numbers can be trusted.
fn client(doc: &Document) -> Tile {
    let (tone, note) = match doc.client.verdict {
        Validity::Ok => (Tone::Good, "this tool kept up"),
        Validity::Unknown => (Tone::Plain, "it is not known whether this tool kept up"),
        Validity::Strained => (Tone::Warning, "read high percentiles with care"),
        Validity::Bottleneck => (Tone::Bad, "these numbers say little about the server"),
    };
    Tile { name: "Client".to_owned(), value: doc.client.verdict.name().to_owned(), note: note.to_owned(), tone }
}

/// Adds the metric to the name of each line, for a chart of several metrics.
fn named(of: metrics::Trend, lines: Vec<Line>) -> impl Iterator<Item = Line> {
    lines.into_iter().map(move |line| Line { name: format!("{} {}", of.name(), line.name), ..line })
}

/// Draws how TTFT grows with the turns of a conversation. `None` for a run without conversations.
fn turns(doc: &Document) -> Option<Chart> {
    let name = metrics::Trend::Ttft.name();
    let decoded = doc.turns.iter().filter_map(|(turn, numbers)| match numbers.get(name) {
        Some(Measured::Trend(t)) => Some((format!("turn {turn}"), Buckets::decode(&t.histogram).ok()?)),
        _ => None,
    });
    let draft = Draft {
        id: "turns".to_owned(),
        title: "Time to first token by turn".to_owned(),
        note: "of the whole window, by percentile".to_owned(),
        lines: limit::lines(name, &doc.thresholds),
    };
    quantiles::chart(draft, &decoded.collect::<Vec<_>>())
}

/// Draws the distributions of the whole run.
fn distributions(doc: &Document) -> Option<Chart> {
    let decoded = DISTRIBUTIONS.into_iter().filter_map(|of| {
        let buckets = Buckets::decode(&trend(&doc.metrics, of)?.histogram).ok()?;
        Some((of.name().to_owned(), buckets))
    });
    distribution(&doc.thresholds, &decoded.collect::<Vec<_>>())
}

/// Draws distributions that are named after their metrics.
pub(super) fn distribution(thresholds: &[Judged], distributions: &[(String, Buckets)]) -> Option<Chart> {
    let draft = Draft {
        id: "distribution".to_owned(),
        title: "Latency by percentile".to_owned(),
        note: "of the whole window; each further nine has the same width".to_owned(),
        lines: DISTRIBUTIONS.into_iter().flat_map(|of| named(of, limit::lines(of.name(), thresholds))).collect(),
    };
    quantiles::chart(draft, distributions)
}
