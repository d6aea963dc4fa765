//! Draws the number of tokens of each prompt or response.

use fastrand::Rng;
use std::f64::consts::TAU;

/// How many draws from a bell may fall outside its bounds. Then the nearest bound is taken.
/// If the mean is inside the bounds, this happens to one request in a million, unless the bounds
/// exclude almost everything.
const MOST_DRAWS: u32 = 40;

/// A distribution of the number of tokens. Plain data; `min` is at least 1 and at most `max`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tokens {
    /// All numbers from `min` to `max` are equally likely. It is one number if they are equal.
    Uniform {
        min: u32,
        max: u32,
    },
    Normal(Bell),
    /// The logarithm is normally distributed: most numbers are small, and a few are large.
    Lognormal(Bell),
}

/// A distribution with this mean and standard deviation, in tokens, between two bounds. Draws
/// outside the bounds are repeated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bell {
    /// Within the bounds.
    pub mean: f64,
    /// Finite, and not negative.
    pub stddev: f64,
    pub min: u32,
    pub max: u32,
}

impl Tokens {
    /// Creates a distribution that is always `n`.
    pub const fn fixed(n: u32) -> Self {
        Self::Uniform { min: n, max: n }
    }

    /// Returns the number, if it is always the same.
    pub fn as_fixed(&self) -> Option<u32> {
        match self {
            Self::Uniform { min, max } if min == max => Some(*min),
            _ => None,
        }
    }

    /// Returns the largest number that is ever drawn.
    pub const fn most(&self) -> u32 {
        match self {
            Self::Uniform { max, .. } | Self::Normal(Bell { max, .. }) | Self::Lognormal(Bell { max, .. }) => *max,
        }
    }

    pub(super) fn draw(&self, rng: &mut Rng) -> u32 {
        match self {
            Self::Uniform { min, max } => rng.u32(*min..=(*max).max(*min)),
            Self::Normal(bell) => bell.within(|| bell.mean + bell.stddev * normal(rng)),
            Self::Lognormal(bell) => {
                // The parameters of the logarithm that give this mean and deviation.
                let variance = (1.0 + (bell.stddev / bell.mean).powi(2)).ln();
                let mean = bell.mean.ln() - variance / 2.0;
                bell.within(|| (mean + variance.sqrt() * normal(rng)).exp())
            }
        }
    }
}

impl Bell {
    fn within(&self, mut draw: impl FnMut() -> f64) -> u32 {
        let (min, max) = (f64::from(self.min), f64::from(self.max));
        let mut last = self.mean;
        for _ in 0..MOST_DRAWS {
            last = draw().round();
            if (min..=max).contains(&last) {
                break;
            }
        }
        last.clamp(min, max) as u32
    }
}

/// Draws from the normal distribution with mean 0 and deviation 1 (Box and Muller, "A note on the
/// generation of random normal deviates", 1958).
fn normal(rng: &mut Rng) -> f64 {
    // Zero does not have a logarithm.
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (TAU * rng.f64()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns mean, standard deviation, minimum and maximum of many draws.
    fn of_many(tokens: &Tokens) -> (f64, f64, u32, u32) {
        let mut rng = Rng::with_seed(3);
        let drawn: Vec<u32> = (0..200_000).map(|_| tokens.draw(&mut rng)).collect();
        let n = drawn.len() as f64;
        let mean = drawn.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let variance = drawn.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
        let (least, most) = (drawn.iter().min(), drawn.iter().max());
        (mean, variance.sqrt(), *least.expect("some"), *most.expect("some"))
    }

    #[test]
    fn a_distribution_has_the_mean_and_deviation_that_were_asked_for() {
        let bell = Bell { mean: 512.0, stddev: 128.0, min: 1, max: 100_000 };
        for tokens in [Tokens::Normal(bell), Tokens::Lognormal(bell)] {
            let (mean, stddev, ..) = of_many(&tokens);
            assert!((mean - 512.0).abs() < 2.0 && (stddev - 128.0).abs() < 2.0, "{tokens:?}: {mean} {stddev}");
        }
        let (mean, stddev, least, most) = of_many(&Tokens::Uniform { min: 10, max: 21 });
        assert!((mean - 15.5).abs() < 0.1 && (stddev - 3.45).abs() < 0.1, "{mean} {stddev}");
        assert_eq!((least, most), (10, 21));
        let fixed = Tokens::fixed(7);
        assert_eq!((of_many(&fixed), fixed.as_fixed()), ((7.0, 0.0, 7, 7), Some(7)));
    }

    #[test]
    fn bounds_hold_and_nothing_piles_up_at_them() {
        let tokens = Tokens::Normal(Bell { mean: 100.0, stddev: 100.0, min: 50, max: 150 });
        let mut rng = Rng::with_seed(9);
        let mut seen = [0u32; 151];
        (0..100_000).for_each(|_| seen[tokens.draw(&mut rng) as usize] += 1);
        assert!(seen[..50].iter().all(|&n| n == 0));
        assert!(seen[50] < 2 * seen[52] && seen[150] < 2 * seen[148], "{seen:?}");
        let odd = Tokens::Lognormal(Bell { mean: 7.0, stddev: 1e9, min: 7, max: 7 });
        assert_eq!(odd.draw(&mut rng), 7, "an impossible distribution ends, too");
    }
}
