//! What changes while the load does not: memory and latency over time.

use super::{Document, Second, rounded};
use crate::metrics::ServerLevel;
use crate::metrics::growth::{self, Growth, Trending};
use crate::units::Nanos;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the server used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServerUse {
    /// CPU time during the run.
    pub cpu: Nanos,
    /// Resident memory before the run.
    pub rss_start_bytes: u64,
    /// Resident memory after it.
    pub rss_end_bytes: u64,
    /// Highest resident memory seen.
    pub rss_max_bytes: u64,
}

/// Resident memory over time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Before the run.
    pub rss_start_bytes: u64,
    /// After it.
    pub rss_end_bytes: u64,
    /// The highest seen.
    pub rss_max_bytes: u64,
    /// Whether it grows; none when there was nothing to judge.
    #[serde(default)]
    pub growth: Option<MemoryGrowth>,
}

/// Growth of memory, by the slope of Theil and Sen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemoryGrowth {
    /// First second that was looked at: the load was level from here on, and the server warm.
    pub from_s: f64,
    /// Last second.
    pub to_s: f64,
    /// The slope; none of too few points.
    pub bytes_per_h: Option<f64>,
    /// Lower end of its band of 99 %.
    pub low_bytes_per_h: Option<f64>,
    /// Upper end.
    pub high_bytes_per_h: Option<f64>,
    /// `stable`, `growing` or `too short to say`.
    pub verdict: String,
}

/// A latency in the first and in the last tenth of the time in which the load was level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// First second that was looked at.
    #[serde(default)]
    pub from_s: f64,
    /// Last second.
    #[serde(default)]
    pub to_s: f64,
    /// Median of the first tenth's seconds, in ms.
    pub first: f64,
    /// The same of the last tenth.
    pub last: f64,
    /// `stable`, `growing` or `too short to say`.
    pub verdict: String,
}

/// What is left of the stretches in which the load was level: the part that they have in common. A share that has none, because too
/// little was answered in it or because it was stopped, changes nothing.
pub(crate) fn add_drift(sum: &mut BTreeMap<String, Drift>, more: &BTreeMap<String, Drift>) {
    for (name, more) in more {
        let Some(sum) = sum.get_mut(name) else {
            sum.insert(name.clone(), more.clone());
            continue;
        };
        (sum.from_s, sum.to_s) = (sum.from_s.max(more.from_s), sum.to_s.min(more.to_s));
    }
}

/// The seconds that lie in the measurement window as a whole; they are counted from the start of the test.
pub(crate) fn in_window(document: &Document) -> impl Iterator<Item = &Second> {
    let (from, until) = (document.run.warmup_s, document.run.warmup_s + document.run.window_s);
    document.series.iter().filter(move |s| from <= f64::from(s.t_s) && f64::from(s.t_s) + 1.0 <= until)
}

/// The numbers of the server's process, as thresholds know them, out of a document.
pub(crate) fn server_levels(document: &Document) -> Vec<(ServerLevel, f64, u64)> {
    let cpu: Vec<f64> = in_window(document).filter_map(|second| second.server_cpu).collect();
    let rss: Vec<u64> = in_window(document).filter_map(|second| second.server_rss_bytes).collect();
    let judged = document.server.growth.as_ref().filter(|growth| growth.verdict != Trending::TooShort.name());
    let growth = judged.and_then(|growth| {
        Some((ServerLevel::RssGrowth, growth.bytes_per_h? / 1e6, (growth.to_s - growth.from_s) as u64 + 1))
    });
    let most = rss.iter().max().map(|max| (ServerLevel::RssMax, *max as f64 / 1e6, rss.len() as u64));
    let mean = (!cpu.is_empty()).then(|| cpu.iter().sum::<f64>() / cpu.len() as f64);
    let cpu = mean.map(|mean| (ServerLevel::Cpu, mean, cpu.len() as u64));
    [growth, most, cpu].into_iter().flatten().collect()
}

pub(crate) fn memory(used: ServerUse, growth: Option<Growth>) -> Memory {
    Memory {
        rss_start_bytes: used.rss_start_bytes,
        rss_end_bytes: used.rss_end_bytes,
        rss_max_bytes: used.rss_max_bytes,
        growth: growth.map(memory_growth),
    }
}

pub(crate) fn memory_growth(growth: Growth) -> MemoryGrowth {
    let of = |part: fn(growth::Slope) -> f64| growth.bytes_per_h.map(part).filter(|v| v.is_finite()).map(rounded);
    MemoryGrowth {
        from_s: growth.from_s,
        to_s: growth.to_s,
        bytes_per_h: of(|slope| slope.median),
        low_bytes_per_h: of(|slope| slope.low),
        high_bytes_per_h: of(|slope| slope.high),
        verdict: growth.verdict.name().to_owned(),
    }
}

pub(crate) fn drift(drifts: &[(&'static str, growth::Drift)]) -> BTreeMap<String, Drift> {
    let row = |d: &growth::Drift| Drift {
        from_s: d.from_s,
        to_s: d.to_s,
        first: rounded(d.first),
        last: rounded(d.last),
        verdict: d.verdict.name().to_owned(),
    };
    drifts.iter().map(|(name, drift)| ((*name).to_owned(), row(drift))).collect()
}
