//! The charts of a run's seconds.

use super::chart::{
    Axis, Band, BandKind, Chart, Fold, Kind, Line, Measured, Number, Picture, Scale, Series, Unit, numbers, table,
    title, words,
};
use super::heat::Rows;
use super::thin::Grid;
use super::{heat, limit};
use crate::document::{Document, KindSecond, Quantiles, Second};
use crate::metrics::{Failure, Trend};
use std::collections::BTreeMap;

/// Most kinds of request with a line of their own. More cannot be told apart.
const MOST_KINDS: usize = 8;

/// The charts of a run, and the times on their shared axis.
#[derive(Debug)]
pub(super) struct OverTime {
    pub(super) at: Vec<Number>,
    pub(super) charts: Vec<Chart>,
}

/// A chart before its numbers are thinned.
struct Draft {
    id: &'static str,
    title: &'static str,
    note: &'static str,
    kind: Kind,
    y: Axis,
    series: Vec<Measured>,
    fold: Fold,
    lines: Vec<Line>,
}

/// The seconds that all charts show.
struct Clock<'a> {
    series: &'a [Second],
    at: Vec<f64>,
    grid: Grid,
    bands: Vec<Band>,
}

/// Returns the charts of a document's seconds. `rows` is the placement of the maps' rows.
pub(super) fn charts(doc: &Document, rows: Rows) -> OverTime {
    let at: Vec<f64> = doc.series.iter().map(|second| f64::from(second.t_s)).collect();
    let clock = Clock { series: &doc.series, grid: Grid::of(at.len()), at, bands: bands(doc) };
    let latency = [("ttft", Trend::Ttft), ("tbt", Trend::Tbt), ("duration", Trend::HttpReqDuration)];
    let percentiles = latency.into_iter().filter_map(|(id, trend)| {
        let (title, note) = (title(trend), "percentiles of each second");
        let series = clock.percentiles(trend);
        let lines = limit::lines(trend.name(), &doc.thresholds);
        clock.chart(Draft {
            id,
            title,
            note,
            kind: Kind::Lines,
            y: Axis::latency(),
            series,
            fold: Fold::Highest,
            lines,
        })
    });
    let heat = latency.into_iter().filter_map(|(_, trend)| {
        heat::chart(trend, &doc.series, (&clock.bands, &limit::lines(trend.name(), &doc.thresholds)), rows)
    });
    let others = [clock.rates(), clock.levels(), clock.tokens(), clock.failures(), clock.kinds(), clock.rate_limits()];
    let others = others.into_iter().flatten();
    let machines = [clock.server_queue(), clock.server_tokens(), clock.server_kv_use(), clock.round_trips()];
    let machines = machines.into_iter().chain([clock.server_cpu(), clock.server_memory(), clock.client()]).flatten();
    let charts = percentiles.chain(others).chain(heat).chain(machines).collect();
    OverTime { at: numbers(clock.grid.places(&clock.at)), charts }
}

/// Returns the parts that were not measured, and the stages.
fn bands(doc: &Document) -> Vec<Band> {
    let run = &doc.run;
    let band = |from, to, name: &str, kind| Band { from, to, name: name.to_owned(), kind };
    let stages = doc.stages.iter().enumerate();
    let mut bands: Vec<Band> =
        stages.map(|(i, stage)| band(stage.begin_s, stage.end_s, &format!("{}", i + 1), BandKind::Stage)).collect();
    if run.warmup_s > 0.0 {
        bands.push(band(0.0, run.warmup_s, "warm-up", BandKind::Outside));
    }
    if run.cooldown_s > 0.0 {
        bands.push(band(run.warmup_s + run.window_s, run.duration_s, "cooldown", BandKind::Outside));
    }
    bands
}

fn three(quantiles: Option<Quantiles>) -> [Option<f64>; 3] {
    quantiles.map_or([None; 3], |q| [q.p50, q.p95, q.p99].map(Some))
}

impl Clock<'_> {
    /// Draws a chart. `None` without values.
    fn chart(&self, draft: Draft) -> Option<Chart> {
        let Draft { id, title, note, kind, y, mut series, fold, lines } = draft;
        series.retain(|one| !one.is_empty());
        if series.is_empty() {
            return None;
        }
        let drawn =
            series.iter().enumerate().map(|(i, one)| Series::new(&one.name, &self.grid.extremes(&one.values), i));
        let thinned = match self.grid.width() {
            0 | 1 => String::new(),
            n => format!("; least and greatest of up to {n} s are drawn"),
        };
        Some(Chart {
            id: id.to_owned(),
            title: title.to_owned(),
            note: format!("{note}{thinned}"),
            words: words(&series, &self.at, Unit::Clock),
            table: table(&series, &self.at, Unit::Clock, fold),
            picture: Picture {
                kind,
                x: Axis::clock(),
                y,
                right: None,
                at: None,
                series: drawn.collect(),
                bands: self.bands.clone(),
                lines,
                heat: None,
            },
        })
    }

    fn measured(&self, name: &str, unit: Unit, of: impl Fn(&Second) -> Option<f64>) -> Measured {
        Measured::new(name, unit, self.series.iter().map(of).collect())
    }

    fn percentiles(&self, trend: Trend) -> Vec<Measured> {
        let of = |second: &Second| match trend {
            Trend::Ttft => second.ttft,
            Trend::Tbt => second.tbt,
            _ => second.http_req_duration,
        };
        let one = |(i, name)| self.measured(name, Unit::Time, move |second| three(of(second))[i]);
        ["p50", "p95", "p99"].into_iter().enumerate().map(one).collect()
    }

    fn rates(&self) -> Option<Chart> {
        let rate = Unit::Rate;
        let series = vec![
            self.measured("due", rate, |second| second.arrivals_offered.map(|n| n as f64)),
            self.measured("started", rate, |second| second.http_reqs_started.map(|n| n as f64)),
            self.measured("completed", rate, |second| Some(second.http_reqs as f64)),
            self.measured("failed", rate, |second| Some(second.failed as f64)),
        ];
        self.chart(Draft {
            id: "rates",
            title: "Requests per second",
            note: "due (open loop), started, completed and, of these, failed",
            kind: Kind::Lines,
            y: Axis::plain(rate),
            series,
            fold: Fold::Mean,
            lines: Vec::new(),
        })
    }

    fn levels(&self) -> Option<Chart> {
        let series = vec![
            self.measured("users", Unit::Count, |second| Some(second.vus as f64)),
            self.measured("in flight", Unit::Count, |second| Some(second.in_flight as f64)),
            self.measured("connections", Unit::Count, |second| Some(second.connections as f64)),
        ];
        self.chart(Draft {
            id: "levels",
            title: "Users, requests in flight, connections",
            note: "at the end of each second",
            kind: Kind::Lines,
            y: Axis::plain(Unit::Count),
            series,
            fold: Fold::Highest,
            lines: Vec::new(),
        })
    }

    fn tokens(&self) -> Option<Chart> {
        let any = self.series.iter().any(|second| second.tokens_output > 0 || second.token_events > 0);
        let series = vec![
            self.measured("tokens", Unit::Rate, |second| Some(second.tokens_output as f64).filter(|_| any)),
            self.measured("token events", Unit::Rate, |second| Some(second.token_events as f64).filter(|_| any)),
        ];
        self.chart(Draft {
            id: "tokens",
            title: "Generated tokens per second",
            note: "counted when their request ends",
            kind: Kind::Lines,
            y: Axis::plain(Unit::Rate),
            series,
            fold: Fold::Mean,
            lines: Vec::new(),
        })
    }

    /// Draws failures by class if the document has classes, otherwise all together.
    fn failures(&self) -> Option<Chart> {
        if self.series.iter().all(|second| second.failed == 0) {
            return None;
        }
        let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
        for (class, n) in self.series.iter().flat_map(|second| &second.failures) {
            *totals.entry(class).or_default() += n;
        }
        // Classes are in the order of the list, by category. Classes that this build does not know
        // come last.
        let known = Failure::ALL.map(Failure::name);
        let mut classes: Vec<&str> = totals.keys().copied().collect();
        classes.sort_by_key(|class| known.iter().position(|name| name == class).unwrap_or(known.len()));
        let mut series: Vec<Measured> =
            classes
                .iter()
                .map(|class| {
                    self.measured(class, Unit::Rate, |second| {
                        Some(second.failures.get(*class).copied().unwrap_or(0) as f64)
                    })
                })
                .collect();
        if series.is_empty() {
            series.push(self.measured("failed", Unit::Rate, |second| Some(second.failed as f64)));
        }
        self.chart(Draft {
            id: "failures",
            title: "Failures per second, by class",
            note: "upon each other",
            kind: Kind::Stack,
            y: Axis::plain(Unit::Rate),
            series,
            fold: Fold::Mean,
            lines: Vec::new(),
        })
    }

    fn kinds(&self) -> Option<Chart> {
        let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
        for (kind, numbers) in self.series.iter().flat_map(|second| &second.requests) {
            *totals.entry(kind).or_default() += numbers.http_reqs;
        }
        if totals.len() < 2 {
            return None;
        }
        let mut kinds: Vec<&str> = totals.keys().copied().collect();
        kinds.sort_by_key(|kind| std::cmp::Reverse(totals.get(kind)));
        let series = kinds.iter().take(MOST_KINDS).map(|kind| {
            let of = |numbers: &KindSecond| numbers.http_req_duration.map(|q| q.p95);
            self.measured(kind, Unit::Time, |second| second.requests.get(*kind).and_then(of))
        });
        self.chart(Draft {
            id: "kinds",
            title: "Duration by kind of request",
            note: "p95 of each second, of the most frequent kinds",
            kind: Kind::Lines,
            y: Axis::latency(),
            series: series.collect(),
            fold: Fold::Highest,
            lines: Vec::new(),
        })
    }

    /// Draws the remaining rate limits from the server's responses.
    fn rate_limits(&self) -> Option<Chart> {
        let requests =
            self.measured("requests", Unit::Count, |second| second.ratelimit_remaining_requests.map(f64::from));
        let tokens = self.measured("tokens", Unit::Count, |second| second.ratelimit_remaining_tokens.map(f64::from));
        let has_both = !requests.is_empty() && !tokens.is_empty();
        let mut chart = self.chart(Draft {
            id: "rate-limits",
            title: "Left of the rate limits",
            note: "the lowest values in the responses of each second",
            kind: Kind::Lines,
            y: Axis::plain(Unit::Count),
            series: vec![requests, tokens],
            fold: Fold::Lowest,
            lines: Vec::new(),
        })?;
        // Tokens are thousands of times as many as requests.
        if has_both {
            second_on_the_right(&mut chart, Axis::new(Unit::Count, "tokens", Scale::Linear));
        }
        Some(chart)
    }

    /// Returns a number from the server's own metrics.
    fn said(&self, name: &str, unit: Unit, key: &str) -> Measured {
        self.measured(name, unit, |second| second.server_metrics.get(key).copied())
    }

    /// Draws lines from the server's own metrics.
    fn of_server(&self, (id, title, unit): (&'static str, &'static str, Unit), series: Vec<Measured>) -> Option<Chart> {
        self.chart(Draft {
            id,
            title,
            note: "as the server says at its /metrics, at the end of each second",
            kind: Kind::Lines,
            y: Axis::plain(unit),
            series,
            fold: Fold::Highest,
            lines: Vec::new(),
        })
    }

    fn server_queue(&self) -> Option<Chart> {
        let series = vec![
            self.said("running", Unit::Count, "server_running"),
            self.said("waiting", Unit::Count, "server_waiting"),
        ];
        self.of_server(("server-queue", "Requests that the server works on", Unit::Count), series)
    }

    fn server_tokens(&self) -> Option<Chart> {
        let series = vec![
            self.said("prompt tokens", Unit::Rate, "server_prompt_tokens"),
            self.said("output tokens", Unit::Rate, "server_output_tokens"),
        ];
        self.of_server(("server-tokens", "Tokens that the server counts", Unit::Rate), series)
    }

    fn server_kv_use(&self) -> Option<Chart> {
        let series = vec![self.said("memory for keys and values", Unit::Share, "server_kv_use")];
        self.of_server(("server-kv", "Use of the memory for keys and values", Unit::Share), series)
    }

    /// Draws the round trip on the network path to the server.
    fn round_trips(&self) -> Option<Chart> {
        self.chart(Draft {
            id: "round-trips",
            title: "Round trip to the server",
            note: "median of the connections at the end of each second, as the kernel smooths it",
            kind: Kind::Lines,
            y: Axis::new(Unit::Time, "", Scale::Linear),
            series: vec![self.measured("round trip", Unit::Time, |second| second.rtt_ms)],
            fold: Fold::Highest,
            lines: Vec::new(),
        })
    }

    fn server_cpu(&self) -> Option<Chart> {
        self.chart(Draft {
            id: "server-cpu",
            title: "CPU of the server",
            note: "",
            kind: Kind::Lines,
            y: Axis::plain(Unit::Cores),
            series: vec![self.measured("server CPU", Unit::Cores, |second| second.server_cpu)],
            fold: Fold::Highest,
            lines: Vec::new(),
        })
    }

    fn server_memory(&self) -> Option<Chart> {
        self.chart(Draft {
            id: "server-memory",
            title: "Memory of the server",
            note: "resident, at the end of each second",
            kind: Kind::Lines,
            y: Axis::plain(Unit::Bytes),
            series: vec![
                self.measured("server memory", Unit::Bytes, |second| second.server_rss_bytes.map(|bytes| bytes as f64)),
            ],
            fold: Fold::Highest,
            lines: Vec::new(),
        })
    }

    /// Draws the signals behind the verdict on the client.
    fn client(&self) -> Option<Chart> {
        let cpu = self.measured("busiest worker", Unit::Share, |second| Some(second.busiest_worker_cpu));
        let lag = self.measured("read lag p99", Unit::Time, |second| second.client_lag_p99);
        let has_lag = !lag.is_empty();
        let mut chart = self.chart(Draft {
            id: "client",
            title: "This tool: CPU and read lag",
            note: "share of a core that the busiest worker used, and how late reads were",
            kind: Kind::Lines,
            y: Axis::plain(Unit::Share),
            series: vec![cpu, lag],
            fold: Fold::Highest,
            lines: Vec::new(),
        })?;
        if has_lag {
            second_on_the_right(&mut chart, Axis::new(Unit::Time, "", Scale::Linear));
        }
        Some(chart)
    }
}

/// Gives the second series of a chart an axis of its own, on the right.
fn second_on_the_right(chart: &mut Chart, axis: Axis) {
    if let Some(second) = chart.picture.series.get_mut(1) {
        second.is_right = true;
        chart.picture.right = Some(axis);
    }
}
