//! The page while a run lasts: the same charts, which grow second by second.
//!
//! The page itself holds no numbers. They come as frames: the first holds everything so far, and
//! each later one a second. The frame of a second holds the report's charts for a run of that one
//! second, so the browser only joins them.

use super::chart::{Chart, Number, Picture, Unit};
use super::heat::Rows;
use super::page::{Page, Tile, class, policy, render};
use super::{asked, over_time, run, sweep};
use crate::document::{Document, Quantiles, Sweep};
use crate::metrics::summary::RateValue;
use crate::metrics::{Buckets, Trend};
use crate::report::view::{Block, Headline, Piece, Tone};
use crate::report::{capacity, human, throughput};
use crate::units::plural;
use serde::Serialize;

/// Charts in the order of the report. Charts that are not listed come last.
const ORDER: [&str; 12] = [
    "ttft",
    "tbt",
    "duration",
    "distribution",
    "rates",
    "levels",
    "tokens",
    "failures",
    "kinds",
    "heat-ttft",
    "heat-tbt",
    "heat-http_req_duration",
];

/// Curves over the steps of a sweep come first. There are fewer of them than this.
const MOST_OF_STEPS: usize = 100;
/// The prefix of the names of these curves.
const OF_STEPS: &str = "steps-";

/// The contents of a frame besides its seconds.
#[derive(Debug, Clone)]
pub struct Now {
    /// The progress of the run: `35s of 4m`.
    pub clock: String,
    /// The place in the plan.
    pub stage: String,
    /// Failed requests so far.
    pub failed: RateValue,
    /// The times so far from which the distributions are drawn.
    pub times: Vec<(Trend, Buckets)>,
}

/// A frame for the browser.
#[derive(Serialize)]
struct Frame<'a> {
    clock: &'a str,
    stage: &'a str,
    tiles: Vec<Shown>,
    at: &'a [Number],
    charts: Vec<Drawn<'a>>,
}

#[derive(Serialize)]
struct Shown {
    name: String,
    value: String,
    note: String,
    tone: &'static str,
}

#[derive(Serialize)]
struct Drawn<'a> {
    id: &'a str,
    title: &'a str,
    note: &'a str,
    /// Position on the page.
    order: usize,
    /// True if a second without a value means zero, false if it means unknown.
    counts: bool,
    #[serde(flatten)]
    picture: &'a Picture,
}

/// The steps of a sweep, for the browser.
#[derive(Serialize)]
struct Steps<'a> {
    /// The finished steps, one line each.
    told: &'a [String],
    charts: Vec<Drawn<'a>>,
}

/// Returns the steps of a sweep as JSON for the browser: a line for each finished step, and the
/// curves so far.
pub fn steps(so_far: &Sweep, told: &[String]) -> String {
    let mut charts = sweep::charts(so_far);
    for chart in &mut charts {
        // The charts of a step may have the same names.
        chart.id.insert_str(0, OF_STEPS);
    }
    let charts = charts.iter().enumerate().map(|(i, chart)| Drawn { order: i, ..Drawn::of(chart) });
    let text = serde_json::to_string(&Steps { told, charts: charts.collect() });
    debug_assert!(text.is_ok(), "{text:?}");
    text.unwrap_or_default()
}

/// Returns the page when nothing but the plan is known. `sweep` is set if the run is a step of it.
pub fn page(opening: &Document, sweep: Option<&Sweep>) -> String {
    let asked = || asked::load(&opening.plan).map(|load| Block::Fact("requested", vec![Piece::plain(load)]));
    let (name, facts) = match sweep {
        Some(Sweep::Capacity(found)) => (format!("capacity {}", found.profile), capacity::view(found).head),
        Some(Sweep::Throughput(found)) => ("throughput".to_owned(), throughput::view(found).head),
        None => (opening.run.profile.clone(), asked().into_iter().collect()),
    };
    // The verdict is not known yet, so only facts are shown.
    let facts = facts.into_iter().filter(|block| matches!(block, Block::Fact(..)));
    render(&Page {
        title: format!("{name}: running"),
        subtitle: format!("{}, started {}", opening.target.url, opening.run.started_at),
        headline: Headline { tone: Tone::Plain, word: "LIVE", said: "running", name, why: String::new() },
        tiles: Vec::new(),
        facts: facts.collect(),
        verdict: Vec::new(),
        intervals: Vec::new(),
        at: Vec::new(),
        charts: Vec::new(),
        numbers: Vec::new(),
        made_by: format!("llmsim-blast {}, run {}", opening.build.version, opening.run.id),
        is_live: true,
    })
}

/// Returns the Content-Security-Policy of the page. The page may contact its own server, and
/// nothing else.
pub fn page_policy() -> String {
    policy(true)
}

/// Returns the seconds of a document as JSON for the browser: all so far, or the last one.
pub fn frame(doc: &Document, now: &Now) -> String {
    let mut over_time = over_time::charts(doc, Rows::Fixed);
    let times = now.times.iter().map(|(trend, buckets)| (trend.name().to_owned(), buckets.clone()));
    over_time.charts.extend(run::distribution(&doc.thresholds, &times.collect::<Vec<_>>()));
    for line in over_time.charts.iter_mut().flat_map(|chart| &mut chart.picture.lines) {
        // Thresholds are not judged before the end.
        line.is_broken = false;
    }
    let frame = Frame {
        clock: &now.clock,
        stage: &now.stage,
        tiles: tiles(doc, now.failed).into_iter().map(Shown::of).collect(),
        at: &over_time.at,
        charts: over_time.charts.iter().map(Drawn::of).collect(),
    };
    let text = serde_json::to_string(&frame);
    debug_assert!(text.is_ok(), "{text:?}");
    text.unwrap_or_default()
}

impl Shown {
    fn of(tile: Tile) -> Self {
        Self { tone: class(&tile.tone), name: tile.name, value: tile.value, note: tile.note }
    }
}

impl<'a> Drawn<'a> {
    fn of(chart: &'a Chart) -> Self {
        Self {
            id: &chart.id,
            title: &chart.title,
            note: &chart.note,
            order: MOST_OF_STEPS + ORDER.iter().position(|id| *id == chart.id).unwrap_or(ORDER.len()),
            counts: matches!(chart.picture.y.unit, Unit::Rate | Unit::Count),
            picture: &chart.picture,
        }
    }
}

/// Returns the tiles with the most important numbers of the last second.
fn tiles(doc: &Document, failed: RateValue) -> Vec<Tile> {
    let Some(second) = doc.series.last() else { return Vec::new() };
    let tile = |name: &str, value: String, note: String, tone| Tile { name: name.to_owned(), value, note, tone };
    let latency = |name: &str, quantiles: Option<Quantiles>| match quantiles {
        Some(q) => {
            let note = format!("p50 {}, p99 {}", human::time(q.p50), human::time(q.p99));
            tile(name, human::time(q.p95), note, Tone::Plain)
        }
        None => tile(name, "-".to_owned(), "nothing in the last second".to_owned(), Tone::Plain),
    };
    let rate =
        |name: &str, n: u64| tile(name, human::per_second(n as f64), "in the last second".to_owned(), Tone::Plain);
    let share = |n: u64, of: u64| if of == 0 { 0.0 } else { n as f64 / of as f64 };
    vec![
        latency("TTFT p95", second.ttft),
        latency("TBT p95", second.tbt),
        latency("Duration p95", second.http_req_duration),
        rate("Requests", second.http_reqs),
        rate("Tokens", second.tokens_output),
        tile(
            "Failed",
            human::percent(share(failed.matches, failed.total)),
            format!("{} of {}", failed.matches, plural(failed.total, "request")),
            if failed.matches > 0 { Tone::Bad } else { Tone::Good },
        ),
        tile(
            "Users",
            human::count(second.vus),
            format!("{} in flight", plural(second.in_flight, "request")),
            Tone::Plain,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tests::all_sorts;
    use serde_json::Value;

    fn now() -> Now {
        let times = vec![(Trend::Ttft, Buckets::of(vec![1_000, 2_000, 400_000]))];
        Now { clock: "1s".to_owned(), stage: "3 VUs".to_owned(), failed: RateValue { matches: 1, total: 4 }, times }
    }

    fn frame_of(doc: &Document) -> Value {
        serde_json::from_str(&frame(doc, &now())).expect("JSON")
    }

    #[test]
    fn frames_of_seconds_have_the_charts_of_the_whole() {
        let whole = all_sorts().remove(0).1;
        let ids = |frame: &Value| -> std::collections::BTreeSet<String> {
            let charts = frame["charts"].as_array().expect("charts");
            charts.iter().map(|chart| chart["id"].as_str().expect("an id").to_owned()).collect()
        };
        let seconds = whole.series.iter().map(|second| Document { series: vec![second.clone()], ..whole.clone() });
        let of_seconds = seconds.flat_map(|doc| ids(&frame_of(&doc))).collect();
        let all = frame_of(&whole);
        assert_eq!(ids(&all), of_seconds);
        assert!(of_seconds.contains("distribution") && of_seconds.contains("heat-ttft"), "{of_seconds:?}");
        assert_eq!(all["at"].as_array().map(Vec::len), Some(whole.series.len()));
        assert_eq!(all["tiles"][5]["value"], "25.00%");
    }

    #[test]
    fn nothing_is_judged_before_the_end() {
        let doc = all_sorts().remove(1).1;
        let frame = frame_of(&doc);
        let charts = frame["charts"].as_array().expect("charts");
        let lines: Vec<&Value> = charts.iter().flat_map(|chart| chart["lines"].as_array().expect("lines")).collect();
        assert!(!lines.is_empty() && lines.iter().all(|line| line["is_broken"] == false), "{lines:?}");
    }

    #[test]
    fn rows_of_maps_lie_on_one_grid() {
        for doc in all_sorts().into_iter().map(|(_, doc)| doc).filter(|doc| !doc.series.is_empty()) {
            for chart in frame_of(&doc)["charts"].as_array().expect("charts") {
                let Some(rows) = chart["heat"]["rows"].as_array() else { continue };
                for edge in rows.iter().filter_map(Value::as_f64) {
                    let place = edge.log10() * super::super::heat::FIXED_ROWS_A_TENFOLD;
                    assert!((place - place.round()).abs() < 0.01, "{edge}");
                }
            }
        }
    }

    #[test]
    fn the_page_may_ask_its_own_server_only() {
        let text = page(&all_sorts().remove(0).1, None);
        assert!(text.contains("connect-src &#39;self&#39;") && text.contains("id=\"link\""), "{text}");
        assert!(page_policy().contains("connect-src 'self'") && !page_policy().contains("unsafe"));
    }
}
