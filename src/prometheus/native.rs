//! Our histograms as native ones: the same counts in wider buckets, which Prometheus can add.

use super::counts::Times;
use super::message::{Histogram, SCHEMA, STALE, Span};

/// Times of up to this many seconds are zero: those that were rounded down to no microsecond.
const ZERO_THRESHOLD: f64 = 5e-7;

/// A distribution at an instant.
pub(super) fn histogram(times: &Times, timestamp: i64) -> Histogram {
    let mut histogram = empty(timestamp);
    (histogram.count, histogram.sum) = (times.count, times.sum);
    let mut buckets: Vec<(i32, i64)> = Vec::new();
    for (micros, n) in times.buckets.iter() {
        if micros == 0 {
            histogram.zero_count += n;
            continue;
        }
        let (place, n) = (place(micros), n.cast_signed());
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

/// The same of no times.
pub(super) fn empty(timestamp: i64) -> Histogram {
    Histogram { schema: SCHEMA, zero_threshold: ZERO_THRESHOLD, timestamp, ..Histogram::default() }
}

/// The end of a series of histograms.
pub(super) fn stale(timestamp: i64) -> Histogram {
    Histogram { sum: STALE, ..empty(timestamp) }
}

/// The bucket of a time.
fn place(micros: u64) -> i32 {
    ((micros as f64 / 1e6).log2() * f64::from(1 << SCHEMA)).ceil() as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Buckets;
    use proptest::prelude::*;

    fn times(micros: Vec<u64>) -> Times {
        let (count, sum) = (micros.len() as u64, micros.iter().map(|micros| *micros as f64 / 1e6).sum());
        Times { count, sum, buckets: Buckets::of(micros) }
    }

    /// The buckets that spans and deltas stand for.
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
        // One second is the bound of bucket 0, and a microsecond more is in the next.
        assert_eq!((place(1_000_000), place(1_000_001), place(2_000_000), place(500_000)), (0, 1, 32, -32));
        let histogram = histogram(&times(vec![0, 0, 1_000_000, 1_000_000, 1_000_001, 2_000_000]), 7);
        assert_eq!((histogram.count, histogram.zero_count, histogram.timestamp), (6, 2, 7));
        assert_eq!(spelled_out(&histogram), [(0, 2), (1, 1), (32, 1)]);
        assert_eq!(histogram.spans, [Span { offset: 0, length: 2 }, Span { offset: 30, length: 1 }]);
        assert!(stale(1).sum.is_nan() && stale(1).sum.to_bits() == 0x7ff0_0000_0000_0002);
    }

    proptest! {
        #[test]
        fn no_time_is_lost_and_each_is_in_its_bucket(micros in prop::collection::vec(0_u64..3_600_000_000, 0..300)) {
            let histogram = histogram(&times(micros.clone()), 0);
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
