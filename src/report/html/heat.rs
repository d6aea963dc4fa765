//! The latencies of each second, as a map of time and latency.

use super::chart::{Axis, Band, Chart, Heat, Kind, Line, Picture, Scale, Sheet, numbers, title};
use super::thin::spans;
use crate::document::Second;
use crate::metrics::{Buckets, Trend};
use crate::report::human;

/// Most columns of a map. Each is a few pixels wide.
const MOST_COLUMNS: usize = 240;
/// Most rows of a map, and rows per factor of ten in latency.
const MOST_ROWS: usize = 44;
const ROWS_A_TENFOLD: f64 = 22.0;
/// Rows per factor of ten where maps of several stretches of time are joined.
pub(super) const FIXED_ROWS_A_TENFOLD: f64 = 11.0;
/// Most rows of the table below the map.
const TABLE_ROWS: usize = 50;

/// The placement of a map's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// Fitted to the times of this map.
    Fitted,
    /// On one grid for all maps.
    Fixed,
}

/// Returns a metric's map. `None` for a run without histograms of its seconds.
pub(super) fn chart(trend: Trend, series: &[Second], (bands, lines): (&[Band], &[Line]), rows: Rows) -> Option<Chart> {
    let columns = columns(trend, series);
    let all = columns.iter().fold(Buckets::default(), |mut sum, (_, _, buckets)| {
        sum.add(buckets);
        sum
    });
    let edges = edges(&all, rows)?;
    let place = |micros: u64| edges.partition_point(|edge| *edge <= micros as f64 / 1e3).clamp(1, edges.len() - 1) - 1;
    let cells = columns.iter().map(|(_, _, buckets)| {
        let mut counts = vec![0_u64; edges.len() - 1];
        buckets.iter().for_each(|(micros, n)| counts[place(micros)] += n);
        let filled = counts.iter().enumerate().filter(|(_, n)| **n > 0);
        filled.flat_map(|(row, n)| [row as u64, *n]).collect()
    });
    let begins = columns.iter().map(|(begin, ..)| *begin);
    let heat = Heat {
        columns: numbers(begins.chain(columns.last().map(|(_, end, _)| *end))),
        rows: numbers(edges.iter().copied()),
        cells: cells.collect(),
    };
    let [p50, p99, most] = [50.0, 99.0, 100.0].map(|p| human::time(all.percentile_ms(p)));
    let words =
        vec![format!("{} times: half of them within {p50}, 99 % within {p99}, the longest {most}.", all.count())];
    Some(Chart {
        id: format!("heat-{}", trend.name()),
        title: format!("{}: all of them", title(trend)),
        note: "number of samples; a stronger colour means more".to_owned(),
        words,
        table: table(&columns),
        picture: Picture {
            kind: Kind::Heat,
            x: Axis::clock(),
            y: Axis { scale: Scale::Log, ..Axis::latency() },
            right: None,
            at: Some(numbers(columns.iter().map(|(begin, end, _)| f64::midpoint(*begin, *end)))),
            series: Vec::new(),
            bands: bands.to_vec(),
            lines: lines.to_vec(),
            heat: Some(heat),
        },
    })
}

/// Returns the columns: the beginning and the end of a few seconds, and the times recorded in them.
fn columns(trend: Trend, series: &[Second]) -> Vec<(f64, f64, Buckets)> {
    let column = |span: std::ops::Range<usize>| {
        let seconds = series.get(span)?;
        let (begin, end) = (f64::from(seconds.first()?.t_s), f64::from(seconds.last()?.t_s) + 1.0);
        let mut sum = Buckets::default();
        for second in seconds {
            let of = |kind: &crate::document::KindSecond| {
                let h = &kind.histograms;
                match trend {
                    Trend::Ttft => h.ttft.clone(),
                    Trend::Tbt => h.tbt.clone(),
                    _ => h.http_req_duration.clone(),
                }
            };
            // A damaged histogram is left out here. The document was checked as a whole.
            let kinds = second.requests.values().filter_map(of).filter_map(|text| Buckets::decode(&text).ok());
            kinds.for_each(|buckets| sum.add(&buckets));
        }
        Some((begin, end, sum))
    };
    spans(series.len(), MOST_COLUMNS).into_iter().filter_map(column).collect()
}

/// Returns the beginnings of the rows and the end of the last one, in ms. `None` without values.
fn edges(all: &Buckets, rows: Rows) -> Option<Vec<f64>> {
    let least = all.iter().next().map(|(micros, _)| micros.max(1) as f64 / 1e3)?;
    let most = all.iter().last().map(|(micros, _)| micros.max(1) as f64 / 1e3)?;
    if rows == Rows::Fixed {
        let place = |ms: f64| ms.log10() * FIXED_ROWS_A_TENFOLD;
        let (low, high) = (place(least).floor() as i32, (place(most) + 1e-9).ceil() as i32);
        return Some((low..=high.max(low + 1)).map(|i| 10_f64.powf(f64::from(i) / FIXED_ROWS_A_TENFOLD)).collect());
    }
    // Leave some room around a single value.
    let (low, high) = (least / 1.1, most * 1.1);
    let rows = ((high / low).log10() * ROWS_A_TENFOLD).ceil().clamp(4.0, MOST_ROWS as f64) as usize;
    let step = (high / low).powf(1.0 / rows as f64);
    Some((0..=rows).map(|i| low * step.powf(i as f64)).collect())
}

fn table(columns: &[(f64, f64, Buckets)]) -> Sheet {
    let row = |span: std::ops::Range<usize>| {
        let part = columns.get(span)?;
        let begin = human::length(part.first()?.0);
        let mut sum = Buckets::default();
        for (_, _, buckets) in part {
            sum.add(buckets);
        }
        let time = |p: f64| if sum.count() > 0 { human::time(sum.percentile_ms(p)) } else { "-".to_owned() };
        Some(vec![begin, human::count(sum.count()), time(50.0), time(95.0), time(99.0), time(100.0)])
    };
    let head = ["after", "count", "p50", "p95", "p99", "max"].map(str::to_owned).to_vec();
    let rows = spans(columns.len(), TABLE_ROWS).into_iter().filter_map(row).collect();
    Sheet { note: String::new(), head, rows }
}
