//! Detects growth by a robust slope with a confidence band. When in doubt, the verdict is "too
//! short to say" rather than a wrong answer.
//!
//! The slope is Theil and Sen's: the median of the slopes of all pairs of points, which a few
//! outliers do not move. Its band is Sen's (1968, "Estimates of the regression coefficient based on
//! Kendall's tau", section 3), from the variance of Kendall's S with the correction for ties. The
//! band assumes independent points, but a server's memory from second to second is not independent.
//! A single step or a wave looks significant. So points are first reduced to few (medians of equal
//! lengths of time), and growth must show in each part of the stretch, not only over the whole.

use crate::units::rounded;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// Maximum number of points for a slope. More are reduced by medians. A slope examines all pairs of
/// points. Neighbouring seconds of a process's memory are nearly equal, which the band would take
/// for independent evidence.
const MAX_POINTS: usize = 60;
/// With fewer points there is no slope.
const MIN_POINTS: usize = 10;
/// Two-sided quantile of the normal distribution for a band of 99 %. A false alarm in a soak test
/// costs someone a day.
const Z_99: f64 = 2.576;
/// Number of parts of the stretch. Each part must lie above the previous one.
const PARTS: usize = 5;

/// Growth per hour below this share of the level is small. At this rate memory doubles in four
/// days.
const SMALL_SHARE_PER_HOUR: f64 = 0.01;
/// Growth per hour below this number of bytes is small too: an allocator's own housekeeping.
const SMALL_BYTES_PER_HOUR: f64 = 1e6;
/// In a shorter stretch the process may still be warming up.
const SHORTEST_S: f64 = 60.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trending {
    /// It does not grow, or by less than matters.
    Stable,
    Growing,
    /// The data does not allow a verdict.
    #[serde(rename = "too short to say")]
    TooShort,
}

impl Trending {
    /// Returns the name in JSON and the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Growing => "growing",
            Self::TooShort => "too short to say",
        }
    }
}

/// A slope with its band, per unit of the points' first coordinate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slope {
    /// The median slope of all pairs.
    pub median: f64,
    /// Lower end of the band.
    pub low: f64,
    /// Upper end of the band.
    pub high: f64,
}

/// The growth of memory over a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// First second considered.
    pub from_s: f64,
    /// Last second considered.
    pub to_s: f64,
    /// The slope. `None` with too few points.
    pub bytes_per_h: Option<f64>,
    /// Lower end of the slope's 99 % band.
    pub low_bytes_per_h: Option<f64>,
    pub high_bytes_per_h: Option<f64>,
    pub verdict: Trending,
}

/// Judges resident memory. The points are seconds and bytes in chronological order, from a stretch
/// in which the load was constant and the process was warm.
pub fn memory(points: &[(f64, f64)]) -> Option<Growth> {
    let (first, last) = (points.first()?, points.last()?);
    let hours: Vec<_> = thinned(points).into_iter().map(|(s, bytes)| (s / 3_600.0, bytes)).collect();
    let slope = slope(&hours);
    let level = median(&mut points.iter().map(|p| p.1).collect::<Vec<_>>());
    let small = SMALL_BYTES_PER_HOUR.max(SMALL_SHARE_PER_HOUR * level);
    let verdict = match slope {
        None => Trending::TooShort,
        Some(slope) => {
            let long = last.0 - first.0 >= SHORTEST_S;
            // In less than a minute, growth only counts if memory doubled, which only a leak does.
            let doubled = last.1 >= 2.0 * first.1;
            if slope.low > small && rises_throughout(&hours) && (long || doubled) {
                Trending::Growing
            } else if slope.high < small && long {
                Trending::Stable
            } else {
                Trending::TooShort
            }
        }
    };
    let part = |of: fn(Slope) -> f64| slope.map(of).filter(|value| value.is_finite()).map(rounded);
    Some(Growth {
        from_s: first.0,
        to_s: last.0,
        bytes_per_h: part(|slope| slope.median),
        low_bytes_per_h: part(|slope| slope.low),
        high_bytes_per_h: part(|slope| slope.high),
        verdict,
    })
}

/// Returns true if each part of the points lies above the previous one. A step, however high, lifts
/// only one part, and a process that has warmed up does not rise in the last part.
fn rises_throughout(points: &[(f64, f64)]) -> bool {
    let length = points.len() / PARTS;
    if length == 0 {
        return false;
    }
    let parts = points[points.len() % PARTS..].chunks(length);
    let levels: Vec<f64> = parts.map(|part| median(&mut part.iter().map(|p| p.1).collect::<Vec<_>>())).collect();
    let rises: Vec<f64> = levels.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let (Some(last), Some(first), Some(most)) =
        (rises.last(), rises.first(), rises.iter().copied().max_by(f64::total_cmp))
    else {
        return false;
    };
    // A last rise of less than half the first means that memory is settling. A rise of more than
    // half the total is a single step.
    rises.iter().all(|rise| *rise > 0.0) && *last >= first / 2.0 && most <= rises.iter().sum::<f64>() / 2.0
}

/// Reduces the points to at most [`MAX_POINTS`]. Each is the median of equally many points (the
/// last may have fewer), at the mean of their times.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let each = points.len().div_ceil(MAX_POINTS).max(1);
    let middle = |part: &[(f64, f64)]| {
        let mean = part.iter().map(|p| p.0).sum::<f64>() / part.len() as f64;
        (mean, median(&mut part.iter().map(|p| p.1).collect::<Vec<_>>()))
    };
    points.chunks(each).map(middle).collect()
}

/// Returns the Theil–Sen slope with Sen's band of 99 %. `None` with fewer than ten points.
pub fn slope(points: &[(f64, f64)]) -> Option<Slope> {
    let n = points.len();
    if n < MIN_POINTS {
        return None;
    }
    let mut slopes = Vec::with_capacity(n * (n - 1) / 2);
    for (i, a) in points.iter().enumerate() {
        slopes.extend(points[i + 1..].iter().filter(|b| b.0 > a.0).map(|b| (b.1 - a.1) / (b.0 - a.0)));
    }
    let middle = median(&mut slopes);
    let half = Z_99 * kendall_variance(points).sqrt();
    let count = slopes.len() as f64;
    // Sen's ranks, counted from 1: (N − C)/2 from below, and one above (N + C)/2.
    let at = |rank: f64| slopes.get((rank.clamp(1.0, count) - 1.0) as usize).copied().unwrap_or(middle);
    Some(Slope {
        median: middle,
        low: at(((count - half) / 2.0).floor()),
        high: at(f64::midpoint(count, half).ceil() + 1.0),
    })
}

/// Returns the variance of Kendall's S: (n(n−1)(2n+5) − Σ t(t−1)(2t+5)) / 18, where the sum is over
/// groups of `t` equal values (Kendall 1970).
fn kendall_variance(points: &[(f64, f64)]) -> f64 {
    let term = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0);
    let mut values: Vec<f64> = points.iter().map(|p| p.1).collect();
    values.sort_by(f64::total_cmp);
    let ties: f64 = values.chunk_by(|a, b| a.total_cmp(b).is_eq()).map(|group| term(group.len() as f64)).sum();
    (term(points.len() as f64) - ties) / 18.0
}

/// Sorts the values and returns their median; 0 if empty.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match n {
        0 => 0.0,
        _ if n % 2 == 1 => values[n / 2],
        _ => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// A latency at the beginning and at the end of a stretch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// First second considered.
    #[serde(default)]
    pub from_s: f64,
    /// Last second considered.
    #[serde(default)]
    pub to_s: f64,
    /// Median over the first tenth, with one value per second.
    pub first: f64,
    /// Median over the last tenth.
    pub last: f64,
    /// The verdict. `Growing` means that latency increased.
    pub verdict: Trending,
}

/// Minimum number of seconds in a tenth. Fewer consecutive seconds do not allow a verdict.
const TENTH_S: usize = 10;
/// The last tenth must be slower by at least this share to matter.
const SMALL_DRIFT: f64 = 0.1;
/// It must also be slower by this many ms, the granularity of a scheduler.
const SMALL_DRIFT_MS: f64 = 1.0;

/// Compares the first tenth of a stretch with the last. The points are seconds and one latency per
/// second in ms, in chronological order.
///
/// The test is that of Mann and Whitney (1947) with a normal approximation, for which ten values on
/// each side suffice. It does not know that neighbouring seconds are similar, so a difference only
/// counts if it is also large enough to matter.
pub fn drift(points: &[(f64, f64)]) -> Option<Drift> {
    let tenth = points.len() / 10;
    if tenth == 0 {
        return None;
    }
    let latencies = |part: &[(f64, f64)]| part.iter().map(|p| p.1).collect::<Vec<_>>();
    let (mut first, mut last) = (latencies(&points[..tenth]), latencies(&points[points.len() - tenth..]));
    let (a, b) = (median(&mut first), median(&mut last));
    let matters = b - a > (SMALL_DRIFT * a).max(SMALL_DRIFT_MS);
    let verdict = match (tenth >= TENTH_S, matters, is_above(&first, &last)) {
        (true, true, true) => Trending::Growing,
        (true, false, _) => Trending::Stable,
        (false, ..) | (true, true, false) => Trending::TooShort,
    };
    let (from_s, to_s) = (points[0].0, points[points.len() - 1].0);
    Some(Drift { from_s, to_s, first: rounded(a), last: rounded(b), verdict })
}

/// Returns true if `upper` lies above `lower` with the two-sided certainty of [`Z_99`].
fn is_above(lower: &[f64], upper: &[f64]) -> bool {
    let pairs = (lower.len() * upper.len()) as f64;
    let won = |low: f64, high: f64| match high.total_cmp(&low) {
        Ordering::Greater => 1.0,
        Ordering::Equal => 0.5,
        Ordering::Less => 0.0,
    };
    let wins: f64 = lower.iter().map(|&low| upper.iter().map(|&high| won(low, high)).sum::<f64>()).sum();
    let deviation = (pairs * (lower.len() + upper.len() + 1) as f64 / 12.0).sqrt();
    wins - pairs / 2.0 > Z_99 * deviation
}

#[cfg(test)]
mod tests;
