//! The pages of sweeps over loads: `capacity` and `throughput`.

use super::chart::{
    Axis, Band, BandKind, Chart, Fold, Kind, Line, Measured, Picture, Scale, Series, Unit, numbers, table, words,
};
use super::limit;
use super::page::{Page, Tile, render};
use crate::document::Sweep as Found;
use crate::document::capacity::{By, Capacity, Step, Try};
use crate::document::throughput::{self, Mode, Throughput};
use crate::report::view::Tone;
use crate::report::{capacity, human, server_says, throughput as pages};
use crate::units::plural;

/// Returns the page of a sweep.
pub fn of_sweep(found: &Found) -> String {
    match found {
        Found::Capacity(found) => of_capacity(found),
        Found::Throughput(found) => of_throughput(found),
    }
}

/// Returns only the charts of a sweep.
pub(super) fn charts(found: &Found) -> Vec<Chart> {
    match found {
        Found::Capacity(found) => curves(found),
        Found::Throughput(found) => by_workers(found),
    }
}

/// Returns the page of a search for the highest load.
pub fn of_capacity(found: &Capacity) -> String {
    let view = capacity::view(found);
    render(&Page {
        title: format!("capacity {}: {}", found.profile, view.headline.said),
        subtitle: found.target.clone(),
        headline: view.headline,
        tiles: tiles(found),
        facts: view.head,
        verdict: view.verdict,
        intervals: Vec::new(),
        at: Vec::new(),
        charts: curves(found),
        numbers: view.numbers,
        made_by: format!("llmsim-blast {} capacity", found.build.version),
        is_live: false,
    })
}

fn tiles(found: &Capacity) -> Vec<Tile> {
    let tile = |name: &str, tried: Option<Try>, tone| {
        let tried = tried?;
        let note = format!("{} of {} tries held", tried.held, tried.held + tried.failed);
        Some(Tile { name: name.to_owned(), value: found.by.shown(tried.load), note, tone })
    };
    let best = found.holds.and_then(|holds| {
        let step = found.curve.iter().rev().find(|step| step.load.total_cmp(&holds.load).is_eq())?;
        let note = format!("{} there", human::per_second(step.requests_per_s));
        (step.tokens_per_s > 0.0).then(|| Tile {
            name: "Tokens".to_owned(),
            value: human::per_second(step.tokens_per_s),
            note,
            tone: Tone::Plain,
        })
    });
    let tiles = [tile("Goals hold at", found.holds, Tone::Good), tile("and fail at", found.fails, Tone::Bad), best];
    tiles.into_iter().flatten().collect()
}

/// Draws curves over the load, with the knee between holding and failing loads.
fn curves(found: &Capacity) -> Vec<Chart> {
    let steps: Vec<&Step> = found.by_load().into_iter().map(|(step, _)| step).collect();
    if steps.len() < 2 {
        return Vec::new();
    }
    let at: Vec<f64> = steps.iter().map(|step| step.load).collect();
    let x = match found.by {
        By::Vus => Unit::Count,
        By::Rate => Unit::Rate,
    };
    let series = |name: &str, unit, of: &dyn Fn(&Step) -> Option<f64>| {
        Measured::new(name, unit, steps.iter().map(|step| of(step)).collect())
    };
    let ms = Unit::Time;
    let latency = vec![
        series("ttft p50", ms, &|step| step.ttft.map(|q| q.p50)),
        series("ttft p95", ms, &|step| step.ttft.map(|q| q.p95)),
        series("ttft p99", ms, &|step| step.ttft.map(|q| q.p99)),
        series("duration p95", ms, &|step| step.http_req_duration.map(|q| q.p95)),
    ];
    let tbt = vec![
        series("tbt p50", ms, &|step| step.tbt.map(|q| q.p50)),
        series("tbt p95", ms, &|step| step.tbt.map(|q| q.p95)),
        series("tbt p99", ms, &|step| step.tbt.map(|q| q.p99)),
    ];
    let requests = vec![series("requests", Unit::Rate, &|step| Some(step.requests_per_s))];
    let tokens = vec![series("tokens", Unit::Rate, &|step| Some(step.tokens_per_s).filter(|n| *n > 0.0))];
    let shares =
        vec![series("goodput", Unit::Share, &|step| step.goodput), series("failed", Unit::Share, &|step| step.failed)];
    let said = |name: &str, unit, key: &str| {
        series(name, unit, &|step| server_says::number(step.server_metrics.as_ref(), key))
    };
    let queue = vec![said("running", Unit::Count, "server_running"), said("waiting", Unit::Count, "server_waiting")];
    let memory =
        vec![said("KV memory", Unit::Share, "server_kv_use"), said("cache hits", Unit::Share, "server_prefix_hits")];
    let goals = |names: &[&str]| names.iter().flat_map(|name| limit::goal_lines(name, &found.goals)).collect();
    let curve = |id: &str, title: &str, y, series, lines| {
        let sweep = Sweep { x: Axis::new(x, capacity::load_name(found.by), Scale::Log), at: &at };
        let mut chart = sweep.chart(id, title, y, series, lines)?;
        (chart.picture.bands, chart.note) = (knee(found, &at), knee_note(found));
        Some(chart)
    };
    let either = Axis::latency();
    [
        curve("latency", "Latency by load", either.clone(), latency, goals(&["ttft", "http_req_duration"])),
        curve("tbt", "Time between tokens by load", either, tbt, goals(&["tbt"])),
        curve("requests", "Completed requests by load", Axis::plain(Unit::Rate), requests, Vec::new()),
        curve("tokens", "Generated tokens by load", Axis::plain(Unit::Rate), tokens, Vec::new()),
        curve("shares", "Goodput and failures by load", Axis::plain(Unit::Share), shares, Vec::new()),
        curve(
            "server-queue",
            "Requests that the server works on, by load",
            Axis::plain(Unit::Count),
            queue,
            Vec::new(),
        ),
        curve("server-memory", "KV memory and cache hits by load", Axis::plain(Unit::Share), memory, Vec::new()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Returns the band from the highest load that holds to the lowest that fails, and the band beyond
/// it.
fn knee(found: &Capacity, at: &[f64]) -> Vec<Band> {
    let Some(fails) = found.fails else { return Vec::new() };
    let end = at.last().copied().unwrap_or(fails.load);
    let from = found.holds.map_or(fails.load, |holds| holds.load);
    let band = |from, to, name: &str, kind| Band { from, to, name: name.to_owned(), kind };
    vec![
        band(from, fails.load, "the knee", BandKind::Outside),
        band(fails.load, end.max(fails.load), "the goals fail", BandKind::Beyond),
    ]
}

fn knee_note(found: &Capacity) -> String {
    match (found.holds, found.fails) {
        (Some(holds), Some(fails)) => {
            format!("the knee lies between {} and {}", found.by.shown(holds.load), found.by.shown(fails.load))
        }
        (Some(holds), None) => format!("the goals hold up to {}", found.by.shown(holds.load)),
        _ => String::new(),
    }
}

/// Points over a load.
struct Sweep<'a> {
    x: Axis,
    at: &'a [f64],
}

impl Sweep<'_> {
    /// Draws a chart. `None` without values.
    fn chart(&self, id: &str, title: &str, y: Axis, mut series: Vec<Measured>, lines: Vec<Line>) -> Option<Chart> {
        series.retain(|one| !one.is_empty());
        if series.is_empty() {
            return None;
        }
        let drawn = series.iter().enumerate();
        let drawn = drawn.map(|(i, one)| Series { has_points: true, ..Series::new(&one.name, &one.values, i) });
        Some(Chart {
            id: id.to_owned(),
            title: title.to_owned(),
            note: String::new(),
            words: words(&series, self.at, self.x.unit),
            table: table(&series, self.at, self.x.unit, Fold::Highest),
            picture: Picture {
                kind: Kind::Lines,
                x: self.x.clone(),
                y,
                right: None,
                at: Some(numbers(self.at.iter().copied())),
                series: drawn.collect(),
                bands: Vec::new(),
                lines,
                heat: None,
            },
        })
    }
}

/// Returns the page of peak rates.
pub fn of_throughput(found: &Throughput) -> String {
    let view = pages::view(found);
    render(&Page {
        title: format!("throughput: {}", view.headline.said),
        subtitle: found.target.clone(),
        headline: view.headline,
        tiles: Vec::new(),
        facts: view.head,
        verdict: view.verdict,
        intervals: Vec::new(),
        at: Vec::new(),
        charts: by_workers(found),
        numbers: view.numbers,
        made_by: format!("llmsim-blast {} throughput", found.build.version),
        is_live: false,
    })
}

/// Draws lines over the concurrency, one for each number of worker threads. Each API has its own
/// charts.
fn by_workers(found: &Throughput) -> Vec<Chart> {
    let apis = found.apis();
    let plain = apis.iter().flat_map(|api| {
        let of = Of { found, mode: Mode::Plain, api: *api };
        [
            by_concurrency(&of, "plain", "Plain responses: requests per second"),
            latency(&of, "plain-p99", "Plain responses: p99 of the duration"),
            queue(&of, "plain-queue", "Plain responses: requests that wait in the server"),
        ]
    });
    let streamed = apis.iter().flat_map(|api| {
        let of = Of { found, mode: Mode::Streamed, api: *api };
        [
            by_concurrency(&of, "streamed", "Streamed responses: tokens per second"),
            latency(&of, "streamed-p99", "Streamed responses: p99 of the duration"),
            queue(&of, "streamed-queue", "Streamed responses: requests that wait in the server"),
        ]
    });
    plain.chain(streamed).flatten().collect()
}

/// The steps of one chart.
struct Of<'a> {
    found: &'a Throughput,
    mode: Mode,
    api: Option<&'a str>,
}

fn by_concurrency(of: &Of<'_>, id: &str, title: &str) -> Option<Chart> {
    lines_of(of, (id, title), Unit::Rate, Vec::new(), &|step| Some(step.rate(of.mode)))
}

fn latency(of: &Of<'_>, id: &str, title: &str) -> Option<Chart> {
    let limit = |at| Line { at, name: format!("p99<{at}ms"), is_upright: false, is_broken: false };
    // The duration of a stream depends on the server's pauses.
    let lines = of.found.max_p99_ms.filter(|_| of.mode == Mode::Plain).map(limit).into_iter().collect();
    lines_of(of, (id, title), Unit::Time, lines, &|step| step.http_req_duration.map(|q| q.p99))
}

/// Draws the server's own queue length.
fn queue(of: &Of<'_>, id: &str, title: &str) -> Option<Chart> {
    let waiting = |step: &throughput::Step| server_says::number(step.server_metrics.as_ref(), "server_waiting");
    lines_of(of, (id, title), Unit::Count, Vec::new(), &waiting)
}

/// Draws a line for each number of worker threads.
fn lines_of(
    &Of { found, mode, api }: &Of<'_>,
    (id, title): (&str, &str),
    unit: Unit,
    lines: Vec<Line>,
    value: &dyn Fn(&throughput::Step) -> Option<f64>,
) -> Option<Chart> {
    let steps: Vec<&throughput::Step> = found.steps(mode).iter().filter(|step| step.api.as_deref() == api).collect();
    let mut places: Vec<u32> = steps.iter().map(|step| step.concurrency).collect();
    places.sort_unstable();
    places.dedup();
    let line = |workers: Option<u32>| {
        let name = match workers {
            None => "running server".to_owned(),
            Some(n) => plural(n, "worker thread"),
        };
        let at = |place: &u32| {
            let step = steps.iter().rev().find(|step| step.workers == workers && step.concurrency == *place);
            step.and_then(|step| value(step))
        };
        Measured::new(&name, unit, places.iter().map(at).collect())
    };
    let rows = found.rows(mode);
    let series = rows.iter().filter(|row| row.api == api).map(|row| line(row.workers)).collect();
    let at: Vec<f64> = places.iter().map(|n| f64::from(*n)).collect();
    let y = if unit == Unit::Time { Axis::latency() } else { Axis::plain(unit) };
    let sweep = Sweep { x: Axis::new(Unit::Count, "requests at once", Scale::Log), at: &at };
    match api.filter(|_| found.has_several_apis()) {
        Some(api) => sweep.chart(&format!("{id}-{api}"), &format!("{title}, {api}"), y, series, lines),
        None => sweep.chart(id, title, y, series, lines),
    }
}
