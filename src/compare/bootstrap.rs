//! Comparison of one run per side by how far its seconds scatter. A moving-block bootstrap (see
//! Künsch 1989) draws blocks of seconds with replacement, because neighbouring seconds are alike.
//! Intervals that treat requests as independent find a difference between two runs of the same
//! build most of the time. The bootstrap does not know how whole runs of one build differ.

use crate::metrics::Buckets;
use std::collections::BTreeMap;

/// Length of a block in seconds: longer than a garbage collection or a burst of another program.
const BLOCK: usize = 10;
/// With fewer blocks the draws scatter too little to be meaningful.
const LEAST_BLOCKS: usize = 30;

/// Seconds that a run must have.
pub const LEAST_SECONDS: usize = BLOCK * LEAST_BLOCKS;

/// The seconds of one run, as running sums.
#[derive(Debug)]
pub(super) struct Seconds {
    /// The longest time of each bucket, in µs.
    times: Vec<u64>,
    /// For each second, how many times were in each bucket before it; one more at the end.
    before: Vec<Vec<u64>>,
}

impl Seconds {
    /// Builds the sums from the distribution of times in each second.
    pub(super) fn of_times(seconds: &[Buckets]) -> Self {
        let mut places = BTreeMap::new();
        for (time, _) in seconds.iter().flat_map(Buckets::iter) {
            places.insert(time, 0);
        }
        places.values_mut().zip(0..).for_each(|(place, i)| *place = i);
        let mut before = vec![vec![0; places.len()]];
        for second in seconds {
            let mut sum = before.last().cloned().unwrap_or_default();
            second.iter().for_each(|(time, n)| sum[places[&time]] += n);
            before.push(sum);
        }
        Self { times: places.into_keys().collect(), before }
    }

    /// Builds the sums from plain counts in each second.
    pub(super) fn of_counts(seconds: &[Vec<u64>]) -> Self {
        let width = seconds.first().map_or(0, Vec::len);
        let mut before = vec![vec![0; width]];
        for second in seconds {
            let sum = before.last().cloned().unwrap_or_default();
            before.push(sum.iter().zip(second).map(|(a, b)| a + b).collect());
        }
        Self { times: Vec::new(), before }
    }

    fn len(&self) -> usize {
        self.before.len() - 1
    }

    pub(super) fn is_enough(&self) -> bool {
        self.len() >= LEAST_SECONDS
    }

    /// Returns the counts of a resampled run: the sum of the blocks that begin at `starts`.
    fn draw(&self, starts: &[usize]) -> Vec<u64> {
        let mut sum = vec![0; self.before[0].len()];
        for &start in starts {
            let (from, to) = (&self.before[start], &self.before[start + BLOCK]);
            for ((sum, from), to) in sum.iter_mut().zip(from).zip(to) {
                *sum += to - from;
            }
        }
        sum
    }

    /// Returns the `p`-th percentile of `counts`, in ms, by nearest rank.
    fn percentile(&self, counts: &[u64], p: f64) -> f64 {
        let all: u64 = counts.iter().sum();
        let rank = (all as f64 * p / 100.0).ceil().max(1.0) as u64;
        let mut below = 0;
        for (time, n) in self.times.iter().zip(counts) {
            below += n;
            if below >= rank {
                return *time as f64 / 1e3;
            }
        }
        0.0
    }

    fn average(&self, counts: &[u64]) -> f64 {
        let all: u64 = counts.iter().sum();
        let sum: f64 = self.times.iter().zip(counts).map(|(time, n)| *time as f64 * *n as f64).sum();
        sum / 1e3 / all.max(1) as f64
    }
}

/// The statistic that is computed from a drawn run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Of {
    /// A percentile, in ms.
    Percentile(f64),
    /// The mean, in ms.
    Average,
    Count,
    /// The first count as a share of the second.
    Share,
}

impl Of {
    /// Computes the statistic from `counts` over `length` seconds.
    fn value(self, seconds: &Seconds, counts: &[u64], length: usize) -> f64 {
        match self {
            Self::Percentile(p) => seconds.percentile(counts, p),
            Self::Average => seconds.average(counts),
            Self::Count => counts[0] as f64 / length as f64,
            Self::Share => counts[0] as f64 / counts[1].max(1) as f64,
        }
    }
}

/// Returns, for each of `numbers`, the interval of 1 − alpha of `change(base, head)` over `draws`
/// pairs of drawn runs.
///
/// Both runs are drawn at the same positions, because they had the same load there, whether it was
/// level or not. The seed is fixed, so the same two runs always give the same interval.
pub(super) fn intervals(
    base: &Seconds,
    head: &Seconds,
    numbers: &[Of],
    (draws, alpha): (usize, f64),
    change: impl Fn(f64, f64) -> f64,
) -> Vec<(f64, f64)> {
    const SEED: u64 = 0x626c_6f63_6b73;
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut changes: Vec<Vec<f64>> = vec![Vec::with_capacity(draws); numbers.len()];
    let length = base.len().min(head.len());
    for _ in 0..draws {
        let starts: Vec<usize> = (0..length / BLOCK).map(|_| random.usize(0..=length - BLOCK)).collect();
        let (b, h) = (base.draw(&starts), head.draw(&starts));
        let covered = starts.len() * BLOCK;
        for (changes, of) in changes.iter_mut().zip(numbers) {
            changes.push(change(of.value(base, &b, covered), of.value(head, &h, covered)));
        }
    }
    let interval = |mut changes: Vec<f64>| {
        changes.sort_by(f64::total_cmp);
        let at =
            |share: f64| changes.get(((changes.len() as f64 * share) as usize).min(changes.len().saturating_sub(1)));
        (at(alpha / 2.0).copied().unwrap_or(0.0), at(1.0 - alpha / 2.0).copied().unwrap_or(0.0))
    };
    changes.into_iter().map(interval).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_run_has_an_interval_of_nothing_and_a_change_is_seen() {
        let seconds = |n: u64| Seconds::of_counts(&vec![vec![n, 100]; 300]);
        let ratio = |b: f64, h: f64| h / b - 1.0;
        let same = intervals(&seconds(10), &seconds(10), &[Of::Count, Of::Share], (50, 0.05), ratio);
        assert_eq!(same, [(0.0, 0.0), (0.0, 0.0)]);
        let (low, high) = intervals(&seconds(10), &seconds(12), &[Of::Count], (50, 0.05), ratio)[0];
        assert!((low - 0.2).abs() < 1e-9 && (high - 0.2).abs() < 1e-9);
        assert!(seconds(1).is_enough() && !Seconds::of_counts(&vec![vec![1]; 299]).is_enough());
    }

    /// A ramp is the same in both runs, so it is not counted as a change. Seconds beyond the end of
    /// the shorter run are not either.
    #[test]
    fn load_that_changes_is_no_scatter_and_neither_is_length() {
        let ramp = |seconds: u64, slower: u64| {
            Seconds::of_counts(&(0..seconds).map(|t| vec![(10 + t.min(200)) * 100 / slower]).collect::<Vec<_>>())
        };
        let ratio = |b: f64, h: f64| h / b - 1.0;
        let of = |base: &Seconds, head: &Seconds| intervals(base, head, &[Of::Count], (100, 0.05), ratio)[0];
        let (low, high) = of(&ramp(300, 100), &ramp(300, 125));
        assert!((low + 0.2).abs() < 0.01 && (high + 0.2).abs() < 0.01, "{low} {high}");
        assert_eq!(of(&ramp(300, 100), &ramp(309, 100)), (0.0, 0.0));
    }

    #[test]
    fn the_same_runs_give_the_same_interval() {
        let seconds =
            |phase: u64| Seconds::of_counts(&(0..400).map(|t| vec![50 + (t * 7 + phase) % 13]).collect::<Vec<_>>());
        let once = || intervals(&seconds(0), &seconds(3), &[Of::Count], (200, 0.05), |b, h| h / b);
        assert_eq!(once(), once());
        assert!(once()[0].0 < once()[0].1);
    }
}
