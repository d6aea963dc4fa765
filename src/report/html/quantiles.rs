//! Distributions by quantile. The axis is logarithmic in `1 / (1 - q)`, so each further nine has
//! the same width.

use super::chart::{Axis, Chart, Fold, Kind, Line, Measured, Picture, Scale, Series, Unit, numbers, table, words};
use crate::metrics::Buckets;

/// Points between a quantile and the one with one more nine.
const POINTS_A_NINE: f64 = 40.0;
/// Most nines that are drawn: 99.999999 %.
const MOST_NINES: f64 = 8.0;

/// The texts and lines of one chart.
pub(super) struct Draft {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) note: String,
    pub(super) lines: Vec<Line>,
}

/// Draws distributions on one axis. `None` without values.
pub(super) fn chart(draft: Draft, distributions: &[(String, Buckets)]) -> Option<Chart> {
    let most = distributions.iter().map(|(_, buckets)| buckets.count()).max().filter(|n| *n > 0)?;
    let nines = (most as f64).log10().clamp(1.0, MOST_NINES);
    let places = (nines * POINTS_A_NINE).ceil() as i32;
    let at: Vec<f64> = (0..=places).map(|i| 10_f64.powf(f64::from(i) / POINTS_A_NINE)).collect();
    let curve = |(name, buckets): &(String, Buckets)| {
        // A distribution says nothing beyond the last of its times.
        let reach = buckets.count() as f64;
        let value = |odds: &f64| (*odds <= reach).then(|| buckets.percentile_ms((1.0 - 1.0 / odds) * 100.0));
        Measured::new(name, Unit::Time, at.iter().map(value).collect())
    };
    let measured: Vec<Measured> = distributions.iter().filter(|(_, b)| b.count() > 0).map(curve).collect();
    let drawn = measured.iter().enumerate().map(|(i, one)| Series::new(&one.name, &one.values, i));
    let Draft { id, title, note, lines } = draft;
    Some(Chart {
        id,
        title,
        note,
        words: words(&measured, &at, Unit::Odds),
        table: table(&measured, &at, Unit::Odds, Fold::Highest),
        picture: Picture {
            kind: Kind::Lines,
            x: Axis::new(Unit::Odds, "percentile", Scale::Log),
            y: Axis { scale: Scale::Log, ..Axis::latency() },
            right: None,
            at: Some(numbers(at.iter().copied())),
            series: drawn.collect(),
            bands: Vec::new(),
            lines,
            heat: None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_ends_where_its_times_do() {
        let draft = || Draft { id: String::new(), title: String::new(), note: String::new(), lines: Vec::new() };
        let of = |n: u64| Buckets::of((1..=n).map(|i| i * 1_000).collect());
        let chart = chart(draft(), &[("many".to_owned(), of(1_000)), ("few".to_owned(), of(10))]).expect("a chart");
        let [many, few] = &chart.picture.series[..] else { panic!("{chart:?}") };
        let known = |series: &Series| series.values.iter().flatten().count();
        assert_eq!((known(many), known(few)), (121, 41));
        // The p90 of 1 to 10 ms by nearest rank, and the p99.9 of 1 to 1,000 ms.
        assert_eq!(few.values[40].map(|n| n.0.round()), Some(9.0));
        assert_eq!(many.values[120].map(|n| n.0.round()), Some(999.0));
        assert!(super::chart(draft(), &[("none".to_owned(), Buckets::default())]).is_none());
    }
}
