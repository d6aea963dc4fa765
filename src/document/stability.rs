//! Stability under level load: memory and latency over time.

use super::{Document, Second, ServerMetrics};
use crate::metrics::growth::{Drift, Growth, Trending};
use crate::metrics::{Remaining, ServerLevel};
use crate::units::Nanos;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The server's use of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServerUse {
    /// CPU time during the run.
    pub cpu: Nanos,
    /// Resident memory before the run.
    pub rss_start_bytes: u64,
    /// Resident memory after the run.
    pub rss_end_bytes: u64,
    /// Highest resident memory seen.
    pub rss_max_bytes: u64,
}

/// Resident memory over time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    pub rss_start_bytes: u64,
    pub rss_end_bytes: u64,
    pub rss_max_bytes: u64,
    /// The growth and its verdict. `None` if there was nothing to judge.
    #[serde(default)]
    pub growth: Option<Growth>,
}

/// Reduces each stretch of level load to the part that all shards have in common. A shard without a
/// stretch changes nothing: it was stopped, or too few responses came in that time.
pub(crate) fn add_drift(sum: &mut BTreeMap<String, Drift>, more: &BTreeMap<String, Drift>) {
    for (name, more) in more {
        let Some(sum) = sum.get_mut(name) else {
            sum.insert(name.clone(), *more);
            continue;
        };
        (sum.from_s, sum.to_s) = (sum.from_s.max(more.from_s), sum.to_s.min(more.to_s));
    }
}

/// Returns the seconds that lie entirely in the measurement window. Seconds are counted from the
/// start of the test.
pub(crate) fn in_window(document: &Document) -> impl Iterator<Item = &Second> {
    let (from, until) = (document.run.warmup_s, document.run.warmup_s + document.run.window_s);
    document.series.iter().filter(move |s| from <= f64::from(s.t_s) && f64::from(s.t_s) + 1.0 <= until)
}

/// Returns a document's numbers of the server, as thresholds know them.
pub(crate) fn server_levels(document: &Document) -> Vec<(ServerLevel, f64, u64)> {
    let cpu: Vec<f64> = in_window(document).filter_map(|second| second.server_cpu).collect();
    let rss: Vec<u64> = in_window(document).filter_map(|second| second.server_rss_bytes).collect();
    let judged = document.server.growth.as_ref().filter(|growth| growth.verdict != Trending::TooShort);
    let growth = judged.and_then(|growth| {
        Some((ServerLevel::RssGrowth, growth.bytes_per_h? / 1e6, (growth.to_s - growth.from_s) as u64 + 1))
    });
    let most = rss.iter().max().map(|max| (ServerLevel::RssMax, *max as f64 / 1e6, rss.len() as u64));
    let mean = (!cpu.is_empty()).then(|| cpu.iter().sum::<f64>() / cpu.len() as f64);
    let cpu = mean.map(|mean| (ServerLevel::Cpu, mean, cpu.len() as u64));
    let said = document.server_metrics.iter().flat_map(ServerMetrics::levels);
    let (from, until) = (document.run.warmup_s, document.run.warmup_s + document.run.window_s);
    // A short window may not contain a whole second.
    let touched = document.series.iter().filter(|s| f64::from(s.t_s) + 1.0 > from && f64::from(s.t_s) < until);
    let lowest = touched.fold(Remaining::default(), |lowest, second| lowest.lowest(second.remaining()));
    let limits = lowest.levels().into_iter().filter_map(|(level, n)| Some((level, f64::from(n?), 1)));
    [growth, most, cpu].into_iter().flatten().chain(said).chain(limits).collect()
}

pub(crate) fn memory(used: ServerUse, growth: Option<Growth>) -> Memory {
    Memory {
        rss_start_bytes: used.rss_start_bytes,
        rss_end_bytes: used.rss_end_bytes,
        rss_max_bytes: used.rss_max_bytes,
        growth,
    }
}

pub(crate) fn drift(drifts: &[(&'static str, Drift)]) -> BTreeMap<String, Drift> {
    drifts.iter().map(|(name, drift)| ((*name).to_owned(), *drift)).collect()
}
