//! A distribution of times: a histogram for percentiles, and exact integers for everything else.

use super::buckets::{Buckets, DIGITS, DecodeError, MAX_MICROS};
use crate::units::Nanos;
use base64::Engine as _;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};

/// Recorded times. Memory does not grow with their number, and recording does not allocate.
///
/// Count, sum, minimum and maximum are exact to the nanosecond, because the histogram would round
/// them to its buckets. Everything is a sum of integers, so adding distributions is exact and
/// independent of the order.
#[derive(Debug, Clone)]
pub struct Distribution {
    /// How many times were recorded.
    pub count: u64,
    /// How many times were beyond the histogram's range (one hour). The maximum is still exact.
    pub overflow: u64,
    /// Sum, in nanoseconds.
    sum: u128,
    /// Sum of squares, in square nanoseconds. Saturates far beyond what an hour's bound allows.
    sum_of_squares: u128,
    /// Shortest time, or [`Nanos::MAX`] if there is none.
    min: Nanos,
    max: Nanos,
    /// Times in microseconds. Never resized: every distribution has the same buckets.
    histogram: Histogram<u64>,
}

/// The exact integers of a distribution, beside its histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exact {
    /// How many times were recorded.
    pub count: u64,
    /// How many times were beyond the histogram's range.
    pub overflow: u64,
    /// Sum, in nanoseconds.
    pub sum: u128,
    /// Sum of squares, in square nanoseconds.
    pub sum_of_squares: u128,
    pub min: Nanos,
    pub max: Nanos,
}

impl Exact {
    /// The largest errors from the width of a bucket and from rounding to whole microseconds, with
    /// a margin: two parts in a thousand, and a microsecond.
    const WIDTH: f64 = 2e-3;
    const ROUNDED_NS: f64 = 1e3;

    /// Returns true if times in these buckets can have these sums and extremes. Times beyond the
    /// histogram's range have no upper limit except the maximum.
    fn is_of(&self, buckets: &Buckets) -> bool {
        let (Some((first, _)), Some((last, _))) = (buckets.iter().next(), buckets.iter().last()) else { return true };
        let lowest = |micros: u64| (micros as f64 * 1e3 * (1.0 - Self::WIDTH) - Self::ROUNDED_NS).max(0.0);
        let highest = |micros: u64| micros as f64 * 1e3 * (1.0 + Self::WIDTH) + Self::ROUNDED_NS;
        let within = |value: f64, micros: u64| (lowest(micros)..=highest(micros)).contains(&value);
        let (min, max) = (self.min.0 as f64, self.max.0 as f64);
        if self.overflow > 0 {
            return min <= highest(first) && max >= MAX_MICROS as f64 * 1e3;
        }
        let sums = |of: &dyn Fn(u64) -> f64| {
            let each = buckets.iter().map(|(micros, n)| (of(micros), n as f64));
            each.fold((0.0, 0.0), |(sum, squares), (ns, n)| (sum + ns * n, squares + ns * ns * n))
        };
        let ((lower, lower_squares), (upper, upper_squares)) = (sums(&lowest), sums(&highest));
        // Documents of earlier builds contain no squares.
        let squares = self.sum_of_squares as f64;
        within(min, first)
            && within(max, last)
            && (lower..=upper).contains(&(self.sum as f64))
            && (squares == 0.0 || (lower_squares..=upper_squares).contains(&squares))
    }
}

impl Default for Distribution {
    fn default() -> Self {
        Self::new()
    }
}

impl Distribution {
    #[expect(clippy::missing_panics_doc, reason = "the bounds are constants and valid: every test makes one")]
    pub fn new() -> Self {
        Self {
            count: 0,
            overflow: 0,
            sum: 0,
            sum_of_squares: 0,
            min: Nanos::MAX,
            max: Nanos::ZERO,
            histogram: Histogram::new_with_bounds(1, MAX_MICROS, DIGITS).expect("the bounds are constants and valid"),
        }
    }

    #[inline]
    pub fn record(&mut self, time: Nanos) {
        self.keep(time, 1);
    }

    /// Records the same time `n` times.
    #[inline]
    pub fn record_n(&mut self, time: Nanos, n: u32) {
        if n > 0 {
            self.keep(time, n.into());
        }
    }

    /// Inlined so that recording one time multiplies nothing by 1: the product of squares is a
    /// function call.
    #[inline]
    fn keep(&mut self, time: Nanos, n: u64) {
        let micros = time.0.saturating_add(500) / 1_000;
        if micros > MAX_MICROS {
            self.overflow += n;
        }
        self.histogram.saturating_record_n(micros.min(MAX_MICROS), n);
        self.count += n;
        let nanos = u128::from(time.0);
        self.sum = self.sum.saturating_add(nanos * u128::from(n));
        self.sum_of_squares = self.sum_of_squares.saturating_add((nanos * nanos).saturating_mul(n.into()));
        self.min = self.min.min(time);
        self.max = self.max.max(time);
    }

    /// Adds all times of `other`.
    pub fn add(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.count += other.count;
        self.overflow += other.overflow;
        self.sum = self.sum.saturating_add(other.sum);
        self.sum_of_squares = self.sum_of_squares.saturating_add(other.sum_of_squares);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        let added = self.histogram.add(&other.histogram);
        debug_assert!(added.is_ok(), "all distributions have the same bounds: {added:?}");
    }

    /// Subtracts all times of `other`, which must have been added before. If an extreme is removed,
    /// the bound of the outermost remaining bucket takes its place.
    pub fn subtract(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.histogram.subtract(&other.histogram).is_err() {
            debug_assert!(false, "what is taken away was never added");
            return;
        }
        self.count = self.count.saturating_sub(other.count);
        self.overflow = self.overflow.saturating_sub(other.overflow);
        self.sum = self.sum.saturating_sub(other.sum);
        self.sum_of_squares = self.sum_of_squares.saturating_sub(other.sum_of_squares);
        if self.count == 0 {
            (self.min, self.max) = (Nanos::MAX, Nanos::ZERO);
            return;
        }
        let micros = |n: u64| Nanos(n.saturating_mul(1_000));
        if other.min <= self.min {
            self.min = self.min.max(micros(self.histogram.min()));
        }
        if other.max >= self.max && self.overflow == 0 {
            self.max = self.max.min(micros(self.histogram.max()));
        }
    }

    /// Removes all times and keeps the memory. An empty distribution is not touched, because its
    /// memory pages may never have been used.
    pub fn clear(&mut self) {
        if self.count == 0 {
            return;
        }
        self.histogram.reset();
        self.count = 0;
        self.overflow = 0;
        self.sum = 0;
        self.sum_of_squares = 0;
        self.min = Nanos::MAX;
        self.max = Nanos::ZERO;
    }

    /// Returns the sum of a distribution of tokens, which are stored as microseconds.
    pub(super) fn tokens(&self) -> u64 {
        u64::try_from(self.sum / 1_000).unwrap_or(u64::MAX)
    }

    /// Returns the mean in ms; 0 if empty.
    pub fn avg_ms(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum_ms() / self.count as f64 }
    }

    pub fn sum_ms(&self) -> f64 {
        self.sum as f64 / 1e6
    }

    /// Returns the shortest time in ms; 0 if empty.
    pub fn min_ms(&self) -> f64 {
        self.min.min(self.max).as_millis_f64()
    }

    /// Returns the longest time in ms; 0 if empty.
    pub fn max_ms(&self) -> f64 {
        self.max.as_millis_f64()
    }

    /// Returns the population standard deviation in ms (divided by the count, not by count − 1).
    pub fn stddev_ms(&self) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        // Let q and r be the quotient and remainder of sum / count. Then Σ(x − q)² = Σx² − q·sum −
        // q·r in integers, without the cancellation that Σx²/n − mean² suffers in floats. The true
        // mean is q + r/n.
        let (q, r) = (self.sum / u128::from(self.count), self.sum % u128::from(self.count));
        let about_q =
            self.sum_of_squares.saturating_sub(q.saturating_mul(self.sum)).saturating_sub(q.saturating_mul(r));
        let n = self.count as f64;
        let variance = about_q as f64 / n - (r as f64 / n).powi(2);
        variance.max(0.0).sqrt() / 1e6
    }

    /// Returns the `p`-th percentile (0 to 100) by nearest rank in ms: the smallest bucket such
    /// that at least `p` % of all times are not longer, clamped to the recorded range. 0 if empty.
    pub fn percentile_ms(&self, p: f64) -> f64 {
        self.in_range_ms(self.histogram.value_at_quantile(self.quantile(p)))
    }

    /// Returns the share of times from `low` up to but excluding `high`, in ms, at the resolution
    /// of the buckets. 0 if empty.
    pub fn share_between_ms(&self, low: f64, high: f64) -> f64 {
        let below = |ms: f64| match (ms * 1e3) as u64 {
            0 => 0,
            micros => self
                .histogram
                .iter_recorded()
                .take_while(|v| v.value_iterated_to() < micros)
                .map(|v| v.count_at_value())
                .sum(),
        };
        if self.count == 0 {
            0.0
        } else {
            (below(high) - below(low.max(0.0)).min(below(high))) as f64 / self.count as f64
        }
    }

    /// Returns several percentiles in one pass. They must be ascending.
    pub fn percentiles_ms<const N: usize>(&self, percentiles: [f64; N]) -> [f64; N] {
        debug_assert!(percentiles.is_sorted(), "percentiles must ascend: {percentiles:?}");
        let mut values = self.histogram.value_at_quantiles(percentiles.map(|p| self.quantile(p)));
        std::array::from_fn(|_| self.in_range_ms(values.next().unwrap_or(0)))
    }

    /// Returns the histogram in µs, in `HdrHistogram`'s V2 format, deflated and in base64. Other
    /// readers of such histograms expect this form.
    pub fn encoded(&self) -> String {
        let mut bytes = Vec::new();
        let written = V2DeflateSerializer::new().serialize(&self.histogram, &mut bytes);
        debug_assert!(written.is_ok(), "a Vec takes everything, and counts fit: {written:?}");
        base64::engine::general_purpose::STANDARD.encode(bytes)
    }

    /// Returns the recorded buckets.
    pub fn buckets(&self) -> Buckets {
        Buckets::ascending(
            self.histogram.iter_recorded().map(|v| (v.value_iterated_to(), v.count_at_value())).collect(),
        )
    }

    /// Returns the quantile for which the histogram looks up exactly the rank ⌈p/100 · count⌉. The
    /// histogram computes ⌈quantile · count⌉ in floats, which is one too many for products like
    /// 0.07 · 100. Half a rank less is safe from rounding.
    fn quantile(&self, p: f64) -> f64 {
        let rank = (p * self.count as f64 / 100.0).ceil().max(1.0);
        ((rank - 0.5) / self.count.max(1) as f64).clamp(0.0, 1.0)
    }

    /// Returns the exact integers.
    pub fn exact(&self) -> Exact {
        Exact {
            count: self.count,
            overflow: self.overflow,
            sum: self.sum,
            sum_of_squares: self.sum_of_squares,
            min: self.min.min(self.max),
            max: self.max,
        }
    }

    /// Adds a distribution that was [`Distribution::encoded`], with its exact integers. If the
    /// counts disagree, nothing is added.
    pub fn add_encoded(&mut self, text: &str, exact: &Exact) -> Result<(), DecodeError> {
        let buckets = Buckets::decode(text)?;
        if buckets.count() != exact.count || exact.min > exact.max || exact.overflow > exact.count {
            return Err(DecodeError::Counts);
        }
        if !exact.is_of(&buckets) {
            return Err(DecodeError::Exact);
        }
        if exact.count > 0 {
            self.fill(&buckets);
            self.overflow += exact.overflow;
            self.sum = self.sum.saturating_add(exact.sum);
            self.sum_of_squares = self.sum_of_squares.saturating_add(exact.sum_of_squares);
            (self.min, self.max) = (self.min.min(exact.min), self.max.max(exact.max));
        }
        Ok(())
    }

    /// Returns true if both have the same number of times in every bucket.
    pub fn has_buckets_of(&self, other: &Self) -> bool {
        self.histogram == other.histogram
    }

    /// Returns a distribution of which only the buckets are known. Sums and extremes are computed
    /// from the upper ends of the buckets.
    pub fn of_buckets(buckets: &Buckets) -> Self {
        let mut distribution = Self::new();
        distribution.fill(buckets);
        for (micros, n) in buckets.iter() {
            let (nanos, n) = (u128::from(micros) * 1_000, u128::from(n));
            distribution.sum = distribution.sum.saturating_add(nanos * n);
            distribution.sum_of_squares = distribution.sum_of_squares.saturating_add((nanos * nanos).saturating_mul(n));
            distribution.min = distribution.min.min(Nanos::from_micros(micros));
            distribution.max = Nanos::from_micros(micros);
        }
        distribution
    }

    fn fill(&mut self, buckets: &Buckets) {
        for (micros, n) in buckets.iter() {
            // The last bucket may extend beyond the upper bound.
            let recorded = self.histogram.record_n(micros.min(MAX_MICROS), n);
            debug_assert!(recorded.is_ok(), "{micros} µs is within the bounds: {recorded:?}");
            self.count += n;
        }
    }

    fn in_range_ms(&self, micros: u64) -> f64 {
        (micros as f64 / 1e3).clamp(self.min_ms(), self.max_ms())
    }
}

#[cfg(test)]
impl Distribution {
    /// Returns all numbers as text. The histogram's own `Debug` is not used, because its maximum is
    /// a bucket's edge after an addition.
    pub(super) fn fingerprint(&self) -> String {
        let (n, sums) = (self.count, (self.sum, self.sum_of_squares));
        format!("{n} {} {sums:?} {:?} {:?} {}", self.overflow, self.min, self.max, self.encoded())
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these numbers are exact, and that is what is tested")]
mod tests {
    use super::*;
    use hdrhistogram::serialization::Deserializer;
    use proptest::prelude::*;

    fn of(times: &[u64]) -> Distribution {
        let mut d = Distribution::new();
        for &t in times {
            d.record(Nanos(t));
        }
        d
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-9)
    }

    #[test]
    fn nothing_is_zero_everywhere() {
        let d = Distribution::new();
        let numbers = [d.avg_ms(), d.min_ms(), d.max_ms(), d.stddev_ms(), d.percentile_ms(99.0), d.sum_ms()];
        assert_eq!(numbers, [0.0; 6]);
        assert_eq!(d.percentiles_ms([50.0, 99.0]), [0.0, 0.0]);
    }

    #[test]
    fn one_time_is_every_percentile_exactly() {
        let d = of(&[1_234_567_891]);
        for p in [0.0, 0.01, 50.0, 99.99, 100.0] {
            assert_eq!(d.percentile_ms(p), 1_234.567_891, "p{p}");
        }
        assert_eq!((d.avg_ms(), d.stddev_ms()), (1_234.567_891, 0.0));
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        // 1 ms to 100 ms. 0.07 · 100 is 7.000000000000001 in floats: the naive rank would be 8.
        let d = of(&(1..=100).map(|n| n * 1_000_000).collect::<Vec<_>>());
        for p in 1..=100 {
            let value = d.percentile_ms(f64::from(p));
            assert!((value - f64::from(p)).abs() <= 0.001 * f64::from(p), "p{p}: {value}");
        }
        assert_eq!(d.percentile_ms(100.0), 100.0);
    }

    #[test]
    fn too_long_is_counted_and_the_highest_is_exact() {
        let d = of(&[1_000_000, 3_600_000_000_000, 7_200_000_000_000, u64::MAX, u64::MAX]);
        assert_eq!((d.count, d.overflow), (5, 3));
        assert_eq!(d.max_ms(), u64::MAX as f64 / 1e6);
        assert!(d.percentile_ms(90.0) >= 3_600_000.0);
        assert!(d.stddev_ms().is_finite());
    }

    #[test]
    fn clear_leaves_nothing() {
        let mut d = of(&[5_000, 7_000_000]);
        d.clear();
        assert_eq!((d.count, d.max_ms(), d.min_ms(), d.percentile_ms(50.0)), (0, 0.0, 0.0, 0.0));
        d.record(Nanos::from_millis(3));
        assert_eq!((d.avg_ms(), d.min_ms(), d.max_ms()), (3.0, 3.0, 3.0));
    }

    #[test]
    fn deviation_of_near_equal_large_times_survives() {
        // An hour ± 1 ns. The squares agree in their first 24 digits.
        let hour = 3_600_000_000_000;
        let d = of(&[hour - 1, hour + 1]);
        assert!(close(d.stddev_ms(), 1e-6), "{}", d.stddev_ms());
    }

    #[test]
    fn the_encoded_histogram_decodes_to_the_same_counts() {
        let d = of(&[1_000, 2_000_000, 2_000_000, 59_000_000_000, u64::MAX]);
        let text = d.encoded();
        assert!(text.starts_with("HISTFAAAA"), "Java's readers know it by this prefix: {text}");
        let bytes = base64::engine::general_purpose::STANDARD.decode(&text).expect("base64");
        let back: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).expect("V2 deflate");
        assert_eq!(back, d.histogram);
    }

    proptest! {
        #[test]
        fn numbers_are_those_of_the_sorted_list(mut times in prop::collection::vec(0u64..100_000_000_000, 1..200), p in 0.0f64..=100.0) {
            let d = of(&times);
            times.sort_unstable();
            let n = times.len();
            prop_assert_eq!(d.min_ms(), times[0] as f64 / 1e6);
            prop_assert_eq!(d.max_ms(), times[n - 1] as f64 / 1e6);
            let mean = times.iter().map(|&t| t as f64).sum::<f64>() / n as f64;
            let variance = times.iter().map(|&t| (t as f64 - mean).powi(2)).sum::<f64>() / n as f64;
            prop_assert!(close(d.avg_ms(), mean / 1e6));
            prop_assert!((d.stddev_ms() - variance.sqrt() / 1e6).abs() <= 1e-6 * d.stddev_ms() + 1e-6);
            let rank = ((p * n as f64 / 100.0).ceil() as usize).max(1);
            let exact = times[rank - 1] as f64 / 1e6;
            let error = (d.percentile_ms(p) - exact).abs();
            prop_assert!(error <= exact * 0.001 + 0.001, "p{} is {}, not {}", p, exact, d.percentile_ms(p));
        }

        #[test]
        fn one_pass_says_the_same_as_many(times in prop::collection::vec(0u64..10_000_000_000, 1..100)) {
            let d = of(&times);
            let ps = [0.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0];
            prop_assert_eq!(d.percentiles_ms(ps), ps.map(|p| d.percentile_ms(p)));
        }
    }
}
