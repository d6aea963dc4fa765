//! The page of a comparison: both sides' distributions on one axis, with the results of the gates.

use super::chart::{Chart, title};
use super::interval;
use super::page::{Page, Tile, render};
use super::quantiles::{self, Draft};
use crate::compare::{Run, Verdict};
use crate::document::comparison::Compared;
use crate::metrics::{Buckets, Trend};
use crate::report::compare::{change, view};
use crate::report::view::{Block, Piece, Tone};
use std::collections::BTreeSet;

/// Most gates with a tile.
const MOST_TILES: usize = 8;

/// Returns the page of a comparison.
pub fn of_comparison(compared: &Compared<'_>) -> String {
    let view = view(compared);
    let sides = [("base", compared.base), ("head", compared.head)];
    let files = sides.into_iter().flat_map(|(name, runs)| {
        let files = runs.iter().map(|run| run.file.as_str()).collect::<Vec<_>>().join(", ");
        [Block::Fact(if name == "base" { "base results" } else { "head results" }, vec![Piece::plain(files)])]
    });
    let of = [Trend::Ttft, Trend::Tbt, Trend::HttpReqDuration];
    render(&Page {
        title: format!("compare: {}", view.headline.said),
        subtitle: format!("{} + {} {}s", compared.base.len(), compared.head.len(), compared.sort().name()),
        headline: view.headline,
        tiles: tiles(compared),
        facts: view.head.into_iter().chain(files).collect(),
        verdict: view.verdict,
        intervals: interval::of(compared),
        at: Vec::new(),
        charts: of.into_iter().filter_map(|of| chart(compared, of)).collect(),
        numbers: view.numbers,
        made_by: made_by(compared),
        is_live: false,
    })
}

fn made_by(compared: &Compared<'_>) -> String {
    let tools: BTreeSet<&str> = compared.base.iter().chain(compared.head).map(|run| run.tool.as_str()).collect();
    format!(
        "llmsim-blast compare, of {}s of {}",
        compared.sort().name(),
        tools.into_iter().collect::<Vec<_>>().join(" and ")
    )
}

fn tiles(compared: &Compared<'_>) -> Vec<Tile> {
    let gate = |row: &crate::compare::Row| {
        let gate = row.gate.as_ref().map(|gate| gate.expression.clone()).unwrap_or_default();
        let value = row.change.map_or_else(|| "-".to_owned(), |c| change(&row.measure, c.effect));
        let tone = match row.verdict {
            Verdict::Regressed if !compared.comparison.indicative => Tone::Bad,
            Verdict::Improved | Verdict::NoChange => Tone::Good,
            Verdict::Regressed | Verdict::Inconclusive | Verdict::NoValue => Tone::Warning,
        };
        Tile { name: row.measure.to_string(), value, note: format!("{gate}: {}", row.verdict.name()), tone }
    };
    compared.comparison.gates().take(MOST_TILES).map(gate).collect()
}

/// Returns the chart of both sides of a metric. `None` if neither has it.
fn chart(compared: &Compared<'_>, of: Trend) -> Option<Chart> {
    let sides = [("base", sum(compared.base, of)), ("head", sum(compared.head, of))];
    let sides: Vec<(String, Buckets)> = sides.into_iter().map(|(name, sum)| (name.to_owned(), sum)).collect();
    let metric = crate::metrics::Metric::Trend(of);
    let gates = compared.comparison.gates().filter(|row| row.measure.metric() == Some(metric));
    let said: Vec<String> = gates
        .map(|row| {
            let gate = row.gate.as_ref().map(|gate| gate.expression.as_str()).unwrap_or_default();
            let change = row.change.map_or_else(|| "-".to_owned(), |c| change(&row.measure, c.effect));
            format!("{gate}: {change}, {}", row.verdict.name())
        })
        .collect();
    let note = if said.is_empty() { "no gate is set on it".to_owned() } else { said.join("; ") };
    let draft =
        Draft { id: of.name().to_owned(), title: format!("{} by percentile", title(of)), note, lines: Vec::new() };
    quantiles::chart(draft, &sides)
}

/// Adds the times of all runs of a side.
fn sum(runs: &[Run], of: Trend) -> Buckets {
    let times = runs.iter().filter_map(|run| run.summary()?.trend(of, None));
    let decoded = times.filter_map(|times| Buckets::decode(&times.encoded()).ok());
    decoded.fold(Buckets::default(), |mut sum, buckets| {
        sum.add(&buckets);
        sum
    })
}
