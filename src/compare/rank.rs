//! Statistics for small samples: few runs per side, each of them one number. No distribution of the
//! runs is assumed, except with `--paired`.
//!
//! Sources: Mann and Whitney 1947 (the test; exact by counting, here with midranks, so that ties
//! are exact too), Hodges and Lehmann 1963 (the shift and its interval from the pairwise
//! differences), Holm 1979 (several tests at once), Student 1908 (pairs).

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// Up to this many values all orders are counted. Beyond, the sum of ranks is close to normal.
const COUNTED: usize = 40;

/// Returns the median. An even number of values gives the mean of the middle two. No values give 0.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    match n {
        0 => 0.0,
        _ if n % 2 == 1 => sorted[n / 2],
        _ => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// Returns every `head − base`, ascending.
pub(super) fn differences(base: &[f64], head: &[f64]) -> Vec<f64> {
    let mut all: Vec<f64> = head.iter().flat_map(|h| base.iter().map(move |b| h - b)).collect();
    all.sort_by(f64::total_cmp);
    all
}

/// Returns the one-sided p: the probability that head ranks at least this high above base when both
/// are the same.
pub(super) fn mann_whitney_above(base: &[f64], head: &[f64]) -> f64 {
    let ranks = doubled_midranks(base, head);
    let (n, m) = (base.len(), head.len());
    let observed: u64 = ranks[n..].iter().sum();
    if n + m > COUNTED {
        return normal_above(&ranks, n, m, observed);
    }
    // ways[k][s]: subsets of k values whose doubled ranks add up to s.
    let most = ranks.iter().sum::<u64>() as usize;
    let mut ways = vec![vec![0.0_f64; most + 1]; m + 1];
    ways[0][0] = 1.0;
    for &rank in &ranks {
        for k in (1..=m).rev() {
            let (fewer, these) = ways.split_at_mut(k);
            for s in (rank as usize..=most).rev() {
                these[0][s] += fewer[k - 1][s - rank as usize];
            }
        }
    }
    let all: f64 = ways[m].iter().sum();
    ways[m][observed as usize..].iter().sum::<f64>() / all
}

/// Returns twice the rank of each value, base first. Equal values share the mean of their ranks.
fn doubled_midranks(base: &[f64], head: &[f64]) -> Vec<u64> {
    let values: Vec<f64> = base.iter().chain(head).copied().collect();
    let rank = |v: &f64| {
        let below = values.iter().filter(|o| *o < v).count() as u64;
        let equal = values.iter().filter(|o| o.total_cmp(v).is_eq()).count() as u64;
        2 * below + equal + 1
    };
    values.iter().map(rank).collect()
}

fn normal_above(ranks: &[u64], n: usize, m: usize, observed: u64) -> f64 {
    let (n, m) = (n as f64, m as f64);
    let mean = m * (n + m + 1.0);
    let about = ranks.iter().map(|r| (*r as f64 - (n + m + 1.0)).powi(2)).sum::<f64>();
    let variance = n * m / ((n + m) * (n + m - 1.0)) * about;
    if variance <= 0.0 {
        return 1.0;
    }
    // Doubled ranks have steps of two. Half a step is the continuity correction.
    let z = (observed as f64 - 1.0 - mean) / variance.sqrt();
    1.0 - Normal::standard().cdf(z)
}

/// Returns how many of the sorted pairwise differences are left off at each end, so that the
/// interval between them holds the shift with at least 1 − alpha. `None` if even all of the
/// differences together do not.
pub(super) fn left_off(n: usize, m: usize, alpha: f64) -> Option<usize> {
    // Counts the (base, head) pairs in order, when all values differ: the number of ways that lead
    // to each count.
    let mut ways = vec![vec![0.0_f64; n * m + 1]; m + 1];
    ways[0][0] = 1.0;
    for value in 1..=n + m {
        for k in (1..=m.min(value)).rev() {
            // The k-th head value at place `value` has value − k base values below it.
            let below = value - k;
            if below > n {
                continue;
            }
            let (fewer, these) = ways.split_at_mut(k);
            for s in (below..=n * m).rev() {
                these[0][s] += fewer[k - 1][s - below];
            }
        }
    }
    let all: f64 = ways[m].iter().sum();
    let mut tail = 0.0;
    let mut left_off = None;
    for (u, ways) in ways[m].iter().enumerate() {
        tail += ways / all;
        if tail > alpha / 2.0 {
            break;
        }
        left_off = Some(u);
    }
    left_off
}

/// Returns the confidence with which the interval of `1 − alpha` holds the shift. It is at most
/// that of the interval between the outermost differences, which misses the shift when one side
/// lies entirely beyond the other.
pub(super) fn confidence(n: usize, m: usize, alpha: f64) -> f64 {
    (1.0 - alpha).min(1.0 - 2.0 / orders(n, m))
}

/// Returns the number of ways in which `n` and `m` values can be ordered.
pub(super) fn orders(n: usize, m: usize) -> f64 {
    (1..=m).fold(1.0, |all, k| all * (n + k) as f64 / k as f64)
}

/// Returns the mean of the differences of pairs, the half-width of its interval of 1 − alpha, its
/// standard error, and the one-sided p of growth.
pub(super) fn paired(differences: &[f64], alpha: f64) -> Option<(f64, f64, f64, f64)> {
    let n = differences.len();
    let mean = differences.iter().sum::<f64>() / n as f64;
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n.checked_sub(1)? as f64);
    let error = (variance / n as f64).sqrt();
    let student = StudentsT::new(0.0, 1.0, n as f64 - 1.0).ok()?;
    let reach = student.inverse_cdf(1.0 - alpha / 2.0) * error;
    let above = match (error > 0.0, mean.partial_cmp(&0.0)?) {
        (true, _) => 1.0 - student.cdf(mean / error),
        (false, std::cmp::Ordering::Greater) => 0.0,
        (false, _) => 1.0,
    };
    Some((mean, reach, error, above))
}

/// Corrects each p for the number of tests (Holm). A corrected p below alpha is significant
/// although several questions were asked.
pub(super) fn holm(ps: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ps.len()).collect();
    order.sort_by(|a, b| ps[*a].total_cmp(&ps[*b]));
    let mut adjusted = vec![0.0; ps.len()];
    let mut least = 0.0_f64;
    for (k, &i) in order.iter().enumerate() {
        least = least.max(ps[i] * (ps.len() - k) as f64).min(1.0);
        adjusted[i] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} is not {b}");
    }

    #[test]
    fn exact_ps_are_those_of_the_tables() {
        let low = |n: i32| (0..n).map(f64::from).collect::<Vec<_>>();
        let high = |n: i32| (100..100 + n).map(f64::from).collect::<Vec<_>>();
        near(mann_whitney_above(&low(3), &high(3)), 1.0 / 20.0);
        near(mann_whitney_above(&low(4), &high(4)), 1.0 / 70.0);
        near(mann_whitney_above(&low(5), &high(5)), 1.0 / 252.0);
        near(mann_whitney_above(&high(4), &low(4)), 1.0);
        near(mann_whitney_above(&low(10), &high(10)), 1.0 / 184_756.0);
        // U is 10, the middle of a symmetric distribution, and 12 of the 126 orders have it.
        near(mann_whitney_above(&[2.0, 4.0, 6.0, 8.0], &[1.0, 3.0, 5.0, 7.0, 9.0]), 69.0 / 126.0);
        // All values are the same, so every order is equally likely.
        near(mann_whitney_above(&[1.0; 4], &[1.0; 4]), 1.0);
        // Beyond the counted sizes, the normal approximation is close to what counting gives.
        let (base, head): (Vec<f64>, Vec<f64>) = ((0..20).map(f64::from).collect(), (5..25).map(f64::from).collect());
        let counted = mann_whitney_above(&base, &head);
        let ranks = doubled_midranks(&base, &head);
        let normal = normal_above(&ranks, 20, 20, ranks[20..].iter().sum());
        assert!((counted - normal).abs() < 0.003, "{counted} {normal}");
    }

    #[test]
    fn intervals_leave_off_what_the_tables_say() {
        // Hollander, Wolfe and Chicken, table A.6: the tail of U at 3+3 is never below 0.025. At
        // 4+4 it is for U = 0 alone.
        assert_eq!(left_off(3, 3, 0.05), None);
        assert_eq!(left_off(4, 4, 0.05), Some(0));
        assert_eq!(left_off(5, 5, 0.05), Some(2));
        assert_eq!(left_off(10, 10, 0.05), Some(23));
    }

    #[test]
    fn few_runs_are_never_surer_than_their_orders() {
        near(confidence(3, 3, 0.1), 0.9);
        near(confidence(3, 3, 0.02), 0.9);
        near(confidence(4, 4, 0.02), 1.0 - 2.0 / 70.0);
        near(confidence(5, 5, 0.1), 0.9);
    }

    #[test]
    fn pairs_are_students() {
        // R: t.test(c(1,2,3,4,5)): mean 3, 95 % from 1.036757 to 4.963243; one-sided p 0.006617.
        let (mean, reach, _, above) = paired(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.05).unwrap();
        assert!((mean - 3.0).abs() < 1e-12 && (reach - 1.963_243).abs() < 1e-5, "{mean} {reach}");
        assert!((above - 0.006_617).abs() < 1e-5, "{above}");
        assert_eq!(paired(&[0.5; 5], 0.05).map(|p| p.3), Some(0.0));
        assert_eq!(paired(&[0.0; 5], 0.05).map(|p| p.3), Some(1.0));
        assert!(paired(&[], 0.05).is_none());
    }

    #[test]
    fn holm_multiplies_and_never_decreases() {
        // The largest, 0.04 times 1, is raised to the 0.06 of the one before it.
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (got, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            near(*got, expected);
        }
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn medians() {
        near(median(&[]), 0.0);
        near(median(&[2.0, 1.0, 9.0]), 2.0);
        near(median(&[4.0, 1.0, 2.0, 9.0]), 3.0);
    }
}
