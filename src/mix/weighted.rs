//! Weighted random choice.

use fastrand::Rng;

/// The weight of the first item of a Zipf distribution.
const FIRST: f64 = (1_u64 << 32) as f64;

/// Sums of weights: each includes the weight at its own index.
#[derive(Debug)]
pub(super) struct Weighted(Vec<u64>);

impl Weighted {
    pub(super) fn new(weights: impl IntoIterator<Item = u64>) -> Self {
        let sums = weights.into_iter().scan(0_u64, |sum, weight| {
            *sum = sum.saturating_add(weight);
            Some(*sum)
        });
        Self(sums.collect())
    }

    /// Draws an index, with its weight as probability. Returns 0 if there are no weights.
    pub(super) fn draw(&self, rng: &mut Rng) -> usize {
        let all = self.0.last().copied().unwrap_or_default();
        let point = rng.u64(0..all.max(1));
        let index = self.0.partition_point(|&below| below <= point);
        if index < self.0.len() { index } else { 0 }
    }
}

/// Returns the weights of a Zipf distribution: item `k` of `n`, counted from 1, is `k^-exponent`
/// times as likely as the first one. With an exponent of 0, all are equally likely.
pub fn zipf(n: u32, exponent: f64) -> Vec<u64> {
    (1..=n).map(|k| (FIRST * f64::from(k).powf(-exponent)).round().max(1.0) as u64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_drawn_as_often_as_its_weight_says() {
        let count = |weights: Vec<u64>| {
            let (weighted, mut rng) = (Weighted::new(weights.clone()), Rng::with_seed(1));
            let mut counts = vec![0_u32; weights.len().max(1)];
            (0..100_000).for_each(|_| counts[weighted.draw(&mut rng)] += 1);
            counts
        };
        let counts = count(vec![9, 0, 1]);
        assert!(counts[0].abs_diff(90_000) < 500 && counts[1] == 0, "{counts:?}");
        // 1 + 1/2 + 1/3 + 1/4 = 25/12.
        let counts = count(zipf(4, 1.0));
        let expected = [48_000, 24_000, 16_000, 12_000];
        assert!(counts.iter().zip(expected).all(|(n, expected)| n.abs_diff(expected) < 800), "{counts:?}");
        let counts = count(zipf(4, 0.0));
        assert!(counts.iter().all(|n| n.abs_diff(25_000) < 700), "{counts:?}");
        assert_eq!((count(vec![])[0], count(vec![0])[0]), (100_000, 100_000));
    }
}
