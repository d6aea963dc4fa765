//! The measured difference between runs of one build. Smaller differences between two builds mean
//! nothing.

use super::same::same_test;
use super::{CompareError, LEAST_RUNS, MOST_RUNS, Measure, Run, Unit};

/// The measured difference between runs of one build.
#[derive(Debug, Clone, PartialEq)]
pub struct Noise {
    pub workload: String,
    /// The machine, if all runs were on one.
    pub fingerprint: Option<String>,
    pub runs: usize,
    pub spreads: Vec<(Measure, Spread)>,
}

/// The spread of a measure over the runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The median over the runs.
    pub median: f64,
    pub min: f64,
    pub max: f64,
    /// The highest value over the lowest, minus one. For shares, their difference. Two runs of one
    /// build have been seen this far apart.
    pub spread: f64,
}

/// Measures the spread of every usual measure that all runs have.
pub fn noise(runs: &[Run]) -> Result<Noise, CompareError> {
    if !(LEAST_RUNS..=MOST_RUNS).contains(&runs.len()) {
        return Err(CompareError::NoiseRuns { runs: runs.len() });
    }
    same_test(runs, &[])?;
    if let Some(run) = runs.iter().find(|run| run.build != runs[0].build) {
        let (file, found) = (run.file.clone(), run.build.clone());
        return Err(CompareError::Builds { file, found, other: runs[0].file.clone(), expected: runs[0].build.clone() });
    }
    let mut spreads = Vec::new();
    for measure in Measure::usual_of(&runs[0]) {
        let values: Vec<f64> = runs.iter().filter_map(|run| measure.value(run).ok()).collect();
        let (min, max) = values.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), v| (a.min(*v), b.max(*v)));
        let is_share = measure.unit() == Unit::Share;
        if values.len() < runs.len() || (min <= 0.0 && !is_share) {
            continue;
        }
        let spread = if is_share { max - min } else { max / min - 1.0 };
        spreads.push((measure, Spread { median: super::rank::median(&values), min, max, spread }));
    }
    let first = runs[0].fingerprint.clone();
    let fingerprint = first.filter(|f| runs.iter().all(|run| run.fingerprint.as_ref() == Some(f)));
    Ok(Noise { workload: runs[0].workload.clone(), fingerprint, runs: runs.len(), spreads })
}
