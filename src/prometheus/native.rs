//! Conversion of our histograms into native ones: the same counts in wider buckets, which
//! Prometheus can add.

use super::counts::{Distribution, Scale};
use super::message::{Histogram, SCHEMA, STALE, Span};

/// Up to this many steps count as zero: times that were rounded down to 0 µs, and 0 tokens.
const ZERO_THRESHOLD: f64 = 0.5;

/// Converts a distribution at an instant.
pub(super) fn histogram(distribution: &Distribution, timestamp: i64) -> Histogram {
    let scale = distribution.scale;
    let mut histogram = empty(scale, timestamp);
    (histogram.count, histogram.sum) = (distribution.count, distribution.sum);
    let mut buckets: Vec<(i32, i64)> = Vec::new();
    for (steps, n) in distribution.buckets.iter() {
        if steps == 0 {
            histogram.zero_count += n;
            continue;
        }
        let (place, n) = (place(scale, steps), n.cast_signed());
        match buckets.last_mut() {
            Some((last, sum)) if *last == place => *sum += n,
            _ => buckets.push((place, n)),
        }
    }
    let (mut next, mut before) = (None, 0);
    for (place, n) in buckets {
        match (&mut histogram.spans[..], next) {
            ([.., span], Some(next)) if place == next => span.length += 1,
            _ => histogram.spans.push(Span { offset: place - next.unwrap_or(0), length: 1 }),
        }
        histogram.deltas.push(n - before);
        (next, before) = (Some(place + 1), n);
    }
    histogram
}

/// Returns an empty histogram.
pub(super) fn empty(scale: Scale, timestamp: i64) -> Histogram {
    let zero_threshold = ZERO_THRESHOLD / scale.steps();
    Histogram { schema: SCHEMA, zero_threshold, timestamp, ..Histogram::default() }
}

/// Returns the end of a series of histograms.
pub(super) fn stale(scale: Scale, timestamp: i64) -> Histogram {
    Histogram { sum: STALE, ..empty(scale, timestamp) }
}

/// Returns the bucket of a value in steps.
fn place(scale: Scale, steps: u64) -> i32 {
    ((steps as f64 / scale.steps()).log2() * f64::from(1 << SCHEMA)).ceil() as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Buckets;
    use proptest::prelude::*;

    fn of(scale: Scale, steps: Vec<u64>) -> Distribution {
        let (count, sum) = (steps.len() as u64, steps.iter().map(|steps| *steps as f64 / scale.steps()).sum());
        Distribution { scale, count, sum, buckets: Buckets::of(steps) }
    }

    /// Returns the buckets that spans and deltas encode.
    fn spelled_out(histogram: &Histogram) -> Vec<(i32, i64)> {
        let (mut place, mut count, mut deltas) = (0, 0, histogram.deltas.iter());
        let mut all = Vec::new();
        for span in &histogram.spans {
            place += span.offset;
            for _ in 0..span.length {
                count += deltas.next().expect("a delta for each bucket");
                all.push((place, count));
                place += 1;
            }
        }
        assert_eq!(deltas.next(), None);
        all
    }

    #[test]
    fn a_bucket_holds_what_is_at_most_its_bound() {
        // One second is the bound of bucket 0. A microsecond more is in the next bucket.
        let places = [1_000_000, 1_000_001, 2_000_000, 500_000].map(|micros| place(Scale::Seconds, micros));
        assert_eq!(places, [0, 1, 32, -32]);
        let times = of(Scale::Seconds, vec![0, 0, 1_000_000, 1_000_000, 1_000_001, 2_000_000]);
        let histogram = histogram(&times, 7);
        assert_eq!((histogram.count, histogram.zero_count, histogram.timestamp), (6, 2, 7));
        assert_eq!(spelled_out(&histogram), [(0, 2), (1, 1), (32, 1)]);
        assert_eq!(histogram.spans, [Span { offset: 0, length: 2 }, Span { offset: 30, length: 1 }]);
        let stale = stale(Scale::Seconds, 1);
        assert!(stale.sum.is_nan() && stale.sum.to_bits() == 0x7ff0_0000_0000_0002);
    }

    #[test]
    fn tokens_are_whole_ones() {
        let histogram = histogram(&of(Scale::Tokens, vec![0, 1, 1, 2, 512]), 7);
        assert!((histogram.sum - 516.0).abs() < 1e-9, "{histogram:?}");
        assert_eq!((histogram.zero_count, spelled_out(&histogram)), (1, vec![(0, 2), (32, 1), (9 * 32, 1)]));
        assert!((empty(Scale::Tokens, 7).zero_threshold - 0.5).abs() < 1e-9, "one token is more than none");
    }

    proptest! {
        #[test]
        fn no_time_is_lost_and_each_is_in_its_bucket(micros in prop::collection::vec(0_u64..3_600_000_000, 0..300)) {
            let histogram = histogram(&of(Scale::Seconds, micros.clone()), 0);
            let all = spelled_out(&histogram);
            let sum: i64 = all.iter().map(|(_, n)| n).sum();
            prop_assert_eq!(sum as u64 + histogram.zero_count, micros.len() as u64);
            prop_assert!(all.iter().all(|(_, n)| *n > 0) && all.is_sorted_by(|a, b| a.0 < b.0));
            for micros in micros.into_iter().filter(|micros| *micros > 0) {
                let seconds = micros as f64 / 1e6;
                let bound = |place: i32| 2_f64.powf(f64::from(place) / 32.0);
                let found = all.iter().any(|(place, _)| {
                    bound(place - 1) * (1.0 - 1e-9) < seconds && seconds <= bound(*place) * (1.0 + 1e-9)
                });
                prop_assert!(found, "{} s", seconds);
            }
        }
    }
}
