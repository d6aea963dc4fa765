//! Decodes a histogram from text and checks it.
//!
//! The text comes from a file, which may be damaged or malicious. So it is decoded here and not by
//! the histogram library. No allocation depends on a length that the text claims. A histogram with
//! other bounds than ours is rejected rather than converted, because `add` of unequal bounds
//! silently moves counts between buckets.
//!
//! The format is `HdrHistogram`'s "V2 compressed": two big-endian words (a cookie and the length),
//! then zlib data. The inflated data is a header of 40 bytes and the counts. Each count is a
//! zig-zag LEB128 number of at most 9 bytes. A negative number is a run of empty buckets.

use base64::Engine as _;
use flate2::read::ZlibDecoder;
use std::cmp::Ordering;
use std::io::Read;

/// The longest time with its own bucket, in microseconds: one hour, which is beyond any sensible
/// request timeout. Longer times are counted in [`super::Distribution::overflow`] and share the
/// last bucket.
pub(super) const MAX_MICROS: u64 = 3_600_000_000;

/// Significant decimal digits of a bucket. Times are exact to 1 µs below 2 ms, and within 0.1 %
/// above. A distribution takes 184 KiB.
pub(super) const DIGITS: u8 = 3;

/// First words of the compressed form and of the inflated data. The low byte encodes the width of
/// the counts.
const COMPRESSED_COOKIE: u32 = 0x1c84_9314;
const COOKIE: u32 = 0x1c84_9313;
/// Length of the header before the counts, in bytes.
const HEADER: usize = 40;
/// Buckets of 2^k µs come in halves of this many. 2048 is the power of two above 2·10³, for three
/// digits.
const HALF: u64 = 1_024;
/// More than all our 23,552 buckets take at 9 bytes each. Data that inflates to more is not one of
/// our histograms.
const MAX_INFLATED: u64 = 256 * 1_024;
/// Longer than the base64 text of that many bytes after compression.
const MAX_TEXT: usize = 512 * 1_024;
/// Highest count that is accepted. The sum of a great many such histograms still fits 64 bits.
const MAX_COUNT: u64 = 1 << 53;

/// The recorded buckets of a histogram of times, ascending. Memory grows with the number of
/// buckets, whereas a [`super::Distribution`] always takes 184 KiB.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Buckets {
    /// The longest time of each bucket in µs, and the number of times in it.
    entries: Vec<(u64, u64)>,
}

/// Why a text is not one of our histograms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not base64, or far too long.
    #[error("it is not base64 of a histogram")]
    Text,
    /// The data is truncated or altered.
    #[error("it does not inflate: cut off or altered")]
    Damaged,
    #[error("it is not in HdrHistogram's V2 format")]
    Format,
    /// The histogram comes from another program.
    #[error("its bounds are not 1 µs to 1 h with 3 digits: other buckets cannot be added exactly")]
    Bounds,
    /// The sums or extremes are impossible for any times in these buckets.
    #[error("its sums and extremes are not those of its buckets: altered")]
    Exact,
    /// The counts are impossible.
    #[error("its counts are impossible: altered")]
    Counts,
}

impl Buckets {
    /// Returns the buckets of times in µs. Each distinct time has its own bucket.
    #[cfg(test)]
    pub(crate) fn of(mut micros: Vec<u64>) -> Self {
        micros.sort_unstable();
        Self { entries: micros.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u64)).collect() }
    }

    /// Wraps ascending entries. Each entry is a bucket's longest time in µs and the number of times
    /// in it.
    pub(super) fn ascending(entries: Vec<(u64, u64)>) -> Self {
        debug_assert!(entries.is_sorted_by(|a, b| a.0 < b.0), "they ascend");
        Self { entries }
    }

    /// Decodes the text written by [`super::Distribution::encoded`].
    pub fn decode(text: &str) -> Result<Self, DecodeError> {
        if text.len() > MAX_TEXT {
            return Err(DecodeError::Text);
        }
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| DecodeError::Text)?;
        let plain = inflate(&bytes)?;
        let header = plain.get(..HEADER).ok_or(DecodeError::Damaged)?;
        if word(header, 0) != COOKIE {
            return Err(DecodeError::Format);
        }
        let counts = &plain[HEADER..];
        if word(header, 4) as usize != counts.len() {
            return Err(DecodeError::Damaged);
        }
        let long = |at: usize| (u64::from(word(header, at)) << 32) | u64::from(word(header, at + 4));
        let is_ours = word(header, 8) == 0
            && word(header, 12) == u32::from(DIGITS)
            && (long(16), long(24)) == (1, MAX_MICROS)
            && long(32) == 1.0_f64.to_bits();
        if is_ours { Self::counts(counts) } else { Err(DecodeError::Bounds) }
    }

    /// Decodes the counts after the header.
    fn counts(mut bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut entries = Vec::new();
        let (mut index, mut total) = (0_u64, 0_u64);
        while !bytes.is_empty() {
            let number = zig_zag(&mut bytes)?;
            if number < 0 {
                index = index.checked_add(number.unsigned_abs()).ok_or(DecodeError::Counts)?;
                continue;
            }
            if number > 0 {
                let (shortest, longest) = bucket(index).ok_or(DecodeError::Counts)?;
                let count = number.unsigned_abs();
                total = total.checked_add(count).filter(|n| *n <= MAX_COUNT).ok_or(DecodeError::Counts)?;
                if shortest > MAX_MICROS {
                    return Err(DecodeError::Counts);
                }
                entries.push((longest, count));
            }
            index += 1;
        }
        Ok(Self { entries })
    }

    /// Returns the longest time of each bucket in µs and the number of times in it, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.entries.iter().copied()
    }

    /// Returns the shortest and longest time of each bucket in µs and the number of times in it,
    /// ascending.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
        let width = |longest: u64| 1 << (longest / HALF).checked_ilog2().unwrap_or(0);
        self.iter().map(move |(longest, n)| (longest - (width(longest) - 1), longest, n))
    }

    /// Adds all times of `other`.
    pub fn add(&mut self, other: &Self) {
        let mut sum = Vec::with_capacity(self.entries.len().max(other.entries.len()));
        let (mut ours, mut theirs) = (self.iter().peekable(), other.iter().peekable());
        while let (Some(&(a, n)), Some(&(b, m))) = (ours.peek(), theirs.peek()) {
            sum.push(match a.cmp(&b) {
                Ordering::Less => (a, n),
                Ordering::Greater => (b, m),
                Ordering::Equal => (a, n + m),
            });
            (a <= b).then(|| ours.next());
            (b <= a).then(|| theirs.next());
        }
        sum.extend(ours.chain(theirs));
        self.entries = sum;
    }

    /// Returns the `p`-th percentile (0 to 100) by nearest rank in ms: the upper end of its bucket.
    /// 0 if empty.
    pub fn percentile_ms(&self, p: f64) -> f64 {
        let rank = (p * self.count() as f64 / 100.0).ceil().max(1.0) as u64;
        let mut below = 0;
        let found = self.iter().find(|(_, n)| {
            below += n;
            below >= rank
        });
        found.or(self.entries.last().copied()).map_or(0.0, |(micros, _)| micros as f64 / 1e3)
    }

    /// Returns how many times were recorded.
    pub fn count(&self) -> u64 {
        self.entries.iter().map(|(_, n)| n).sum()
    }
}

fn inflate(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let (head, body) = bytes.split_at_checked(8).ok_or(DecodeError::Damaged)?;
    if word(head, 0) != COMPRESSED_COOKIE {
        return Err(DecodeError::Format);
    }
    if word(head, 4) as usize != body.len() {
        return Err(DecodeError::Damaged);
    }
    let mut plain = Vec::new();
    let read = ZlibDecoder::new(body).take(MAX_INFLATED + 1).read_to_end(&mut plain);
    match read {
        Ok(length) if length as u64 <= MAX_INFLATED => Ok(plain),
        _ => Err(DecodeError::Damaged),
    }
}

/// Reads a big-endian word. The caller has checked the length.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |four| four.iter().fold(0, |word, byte| (word << 8) | u32::from(*byte)))
}

/// Reads a LEB128 number of at most nine bytes (the ninth is used whole) in zig-zag coding: 0, -1,
/// 1, …
fn zig_zag(bytes: &mut &[u8]) -> Result<i64, DecodeError> {
    let mut value = 0_u64;
    for place in 0..9 {
        let (&byte, rest) = bytes.split_first().ok_or(DecodeError::Damaged)?;
        *bytes = rest;
        let (bits, more) = if place < 8 { (byte & 0x7f, byte & 0x80 != 0) } else { (byte, false) };
        value |= u64::from(bits) << (7 * place);
        if !more {
            break;
        }
    }
    let magnitude = (value >> 1).cast_signed();
    Ok(if value & 1 == 1 { -magnitude - 1 } else { magnitude })
}

/// Returns the shortest and longest time of the bucket at `index`. The first 2,048 buckets are 1 µs
/// wide, the next 1,024 are 2 µs wide, the next 1,024 are 4 µs wide, …
fn bucket(index: u64) -> Option<(u64, u64)> {
    let Some(step) = (index / HALF).checked_sub(1) else { return Some((index, index)) };
    let width = 1_u64.checked_shl(u32::try_from(step).ok()?)?;
    let shortest = (index % HALF + HALF).checked_mul(width)?;
    Some((shortest, shortest.checked_add(width - 1)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Distribution;
    use crate::units::Nanos;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_those_of_the_format() {
        for index in (0..23_000).step_by(7) {
            let (shortest, longest) = bucket(index).expect("a bucket");
            let buckets = Buckets::ascending(vec![(longest, 2)]);
            assert_eq!(buckets.ranges().collect::<Vec<_>>(), [(shortest, longest, 2)]);
        }
        let mut d = Distribution::new();
        for micros in [3, 2_047, 2_049, 10_000, 3_599_999_999] {
            d.record(Nanos::from_micros(micros));
        }
        assert_eq!(d.buckets(), Buckets::decode(&d.encoded()).expect("ours"));
    }

    fn encoded(micros: &[u64]) -> String {
        let mut d = Distribution::new();
        for &t in micros {
            d.record(Nanos::from_micros(t));
        }
        d.encoded()
    }

    fn encoded_of(buckets: &Buckets) -> String {
        let times: Vec<u64> = buckets.iter().flat_map(|(t, n)| std::iter::repeat_n(t, n as usize)).collect();
        encoded(&times)
    }

    #[test]
    fn an_empty_histogram_has_no_buckets() {
        assert_eq!(Buckets::decode(&encoded(&[])), Ok(Buckets::default()));
    }

    #[test]
    fn what_is_damaged_is_refused_wherever_it_is_cut_or_altered() {
        let whole = encoded(&[1, 2_047, 2_048, 70_000, 70_000, 3_600_000_000]);
        let bytes = base64::engine::general_purpose::STANDARD.decode(&whole).unwrap();
        let again = |bytes: &[u8]| Buckets::decode(&base64::engine::general_purpose::STANDARD.encode(bytes));
        assert!(again(&bytes).is_ok());
        for cut in 0..bytes.len() {
            assert!(again(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 0x15;
            // zlib's checksum detects the change. Some bits of its own header have no effect.
            if let Ok(read) = again(&altered) {
                assert_eq!(read, again(&bytes).unwrap(), "altered at {at}");
            }
        }
        assert_eq!(Buckets::decode("not base64!"), Err(DecodeError::Text));
        assert_eq!(Buckets::decode(&"A".repeat(MAX_TEXT + 4)), Err(DecodeError::Text));
        assert_eq!(Buckets::decode("AAAAAAAAAAAAAAAA"), Err(DecodeError::Format));
    }

    /// Returns the text for a header and arbitrary counts.
    fn made(high: u64, digits: u32, counts: &[u8]) -> String {
        use std::io::Write;
        let mut plain = COOKIE.to_be_bytes().to_vec();
        plain.extend((counts.len() as u32).to_be_bytes());
        plain.extend(0_u32.to_be_bytes());
        plain.extend(digits.to_be_bytes());
        plain.extend(1_u64.to_be_bytes());
        plain.extend(high.to_be_bytes());
        plain.extend(1.0_f64.to_be_bytes());
        plain.extend(counts);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&plain).unwrap();
        let body = zlib.finish().unwrap();
        let mut bytes = COMPRESSED_COOKIE.to_be_bytes().to_vec();
        bytes.extend((body.len() as u32).to_be_bytes());
        bytes.extend(body);
        base64::engine::general_purpose::STANDARD.encode(bytes)
    }

    #[test]
    fn made_up_histograms_are_refused_without_a_panic() {
        assert_eq!(Buckets::decode(&made(MAX_MICROS, 3, &[2])).map(|b| b.count()), Ok(1));
        assert_eq!(Buckets::decode(&made(1_000_000, 3, &[2])), Err(DecodeError::Bounds));
        assert_eq!(Buckets::decode(&made(MAX_MICROS, 5, &[2])), Err(DecodeError::Bounds));
        // i64::MIN as a run of empty buckets, twice; a bucket beyond the last; more than the
        // highest accepted count.
        assert_eq!(Buckets::decode(&made(MAX_MICROS, 3, &[[0xff; 9], [0xff; 9]].concat())), Err(DecodeError::Counts));
        assert_eq!(Buckets::decode(&made(MAX_MICROS, 3, &[0xff, 0xff, 0x7f, 2])), Err(DecodeError::Counts));
        let most = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(Buckets::decode(&made(MAX_MICROS, 3, &most)), Err(DecodeError::Counts));
        // A truncated number, and a zlib bomb of zeros.
        assert_eq!(Buckets::decode(&made(MAX_MICROS, 3, &[0x80])), Err(DecodeError::Damaged));
        assert_eq!(Buckets::decode(&made(MAX_MICROS, 3, &vec![0; 50_000_000])), Err(DecodeError::Damaged));
    }

    proptest! {
        #[test]
        fn buckets_are_those_of_the_library(times in prop::collection::vec(0u64..5_000_000_000, 0..60)) {
            let buckets = Buckets::decode(&encoded(&times)).unwrap();
            let mut histogram = hdrhistogram::Histogram::<u64>::new_with_bounds(1, MAX_MICROS, DIGITS).unwrap();
            for &t in &times {
                histogram.saturating_record(t.min(MAX_MICROS));
            }
            let theirs: Vec<_> = histogram
                .iter_recorded()
                .map(|v| (histogram.highest_equivalent(v.value_iterated_to()), v.count_at_value()))
                .collect();
            prop_assert_eq!(buckets.iter().collect::<Vec<_>>(), theirs);
        }

        #[test]
        fn sums_are_those_of_all_times(a in prop::collection::vec(0u64..90_000, 0..60), b in prop::collection::vec(0u64..90_000, 0..60)) {
            let mut sum = Buckets::decode(&encoded(&a)).unwrap();
            sum.add(&Buckets::decode(&encoded(&b)).unwrap());
            prop_assert_eq!(&sum, &Buckets::decode(&encoded(&[a, b].concat())).unwrap());
            prop_assert_eq!(Distribution::of_buckets(&sum).encoded(), encoded_of(&sum));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[A-Za-z0-9+/]{0,80}") {
            let _ = Buckets::decode(&text);
        }
    }
}
