//! Units that every layer shares. Imports nothing of this crate.
//!
//! [`Nanos`] is both an instant (nanoseconds since the start of the test, on the monotonic clock)
//! and a length of time. One type for both keeps the hot path free of conversions; names say which
//! is meant (`now`, `sent`, `deadline` are instants; `gap`, `timeout`, `duration` are lengths).

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::str::FromStr;

/// Rounds a float for a result: six digits after the point (of milliseconds: one nanosecond), and
/// never NaN or infinite.
pub fn rounded(value: f64) -> f64 {
    let six = (value * 1e6).round() / 1e6;
    if six.is_finite() {
        six
    } else if value.is_finite() {
        value
    } else {
        0.0
    }
}

/// Formats a value with few digits: two after the point at most, without trailing zeros.
pub(crate) fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Formats a count with its noun: `1 request`, `2 requests`, `3 addresses`.
pub fn plural(n: impl Copy + fmt::Display + TryInto<u64>, noun: &str) -> String {
    let ending = match n.try_into() {
        Ok(1) => "",
        _ if noun.ends_with("ss") => "es",
        _ => "s",
    };
    format!("{n} {noun}{ending}")
}

/// Nanoseconds: an instant since the start of the test, or a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The start of the test, or a length of zero.
    pub const ZERO: Self = Self(0);
    /// Later than every instant of a test (584 years).
    pub const MAX: Self = Self(u64::MAX);

    /// Returns a length of `n` microseconds.
    pub const fn from_micros(n: u64) -> Self {
        Self(n.saturating_mul(1_000))
    }

    /// Returns a length of `n` milliseconds.
    pub const fn from_millis(n: u64) -> Self {
        Self(n.saturating_mul(1_000_000))
    }

    /// Returns a length of `n` seconds.
    pub const fn from_secs(n: u64) -> Self {
        Self(n.saturating_mul(1_000_000_000))
    }

    /// Converts seconds given as a float. Negative and NaN values become zero, huge ones
    /// [`Nanos::MAX`].
    pub fn from_secs_f64(s: f64) -> Self {
        Self((s * 1e9).round() as u64)
    }

    /// Returns whole microseconds, rounded down.
    pub const fn as_micros(self) -> u64 {
        self.0 / 1_000
    }

    /// Returns milliseconds as a float, the unit of every trend in the Document.
    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Returns seconds as a float.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Returns the length from `earlier` to `self`. Zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }

    /// Returns `self + length`, at most [`Nanos::MAX`].
    #[must_use]
    pub const fn saturating_add(self, length: Self) -> Self {
        Self(self.0.saturating_add(length.0))
    }

    /// Converts to the standard library's type, for sockets and polls.
    pub const fn to_duration(self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.0)
    }
}

impl From<std::time::Duration> for Nanos {
    fn from(d: std::time::Duration) -> Self {
        Self(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Add for Nanos {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Nanos {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sub for Nanos {
    type Output = Self;
    /// Panics in debug builds if the result would be negative: that is a defect of ours. Use
    /// [`Nanos::since`] for peers' clocks.
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

/// The error for a text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a duration: expected a number with a unit, like 30s, 1m30s, 500ms, 50us")]
pub struct BadDuration {
    pub text: String,
}

/// Units of a duration, and their nanoseconds.
const DURATION_UNITS: [(&str, f64); 7] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// The longest duration that users may ask for: ten years. Anything longer is a typing error, and
/// the sum of two stays far from overflow.
const MAX_DURATION: Nanos = Nanos::from_secs(10 * 365 * 24 * 3600);

impl FromStr for Nanos {
    type Err = BadDuration;

    /// Parses `30s`, `1m30s`, `1.5s`, `500ms`, `50us`, `0`. A unit is required except for zero. A
    /// sign is refused.
    fn from_str(text: &str) -> Result<Self, BadDuration> {
        let bad = || BadDuration { text: text.to_owned() };
        let mut rest = text.trim();
        if rest == "0" {
            return Ok(Self::ZERO);
        }
        if rest.is_empty() {
            return Err(bad());
        }
        let mut total = 0.0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
            let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
            rest = &rest[digits..];
            let unit_len = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
            let (_, factor) = DURATION_UNITS.iter().find(|(name, _)| *name == &rest[..unit_len]).ok_or_else(bad)?;
            total += number * factor;
            rest = &rest[unit_len..];
        }
        if total > MAX_DURATION.0 as f64 {
            return Err(bad());
        }
        Ok(Self(total.round() as u64))
    }
}

impl fmt::Display for Nanos {
    /// Writes the shortest exact form that a person would use: `4m30s`, `2m05s`, `1h`, `500ms`,
    /// `1.5s`, `0s`. Numbers after a larger unit have two digits, so that `2m05s` is not mistaken
    /// for `2m50s`. The text parses back to the same value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SECOND: u64 = 1_000_000_000;
        const MINUTE: u64 = 60 * SECOND;
        let nanos = self.0;
        match nanos {
            0 => return f.write_str("0s"),
            _ if nanos < 1_000 => return write!(f, "{nanos}ns"),
            _ if nanos < 1_000_000 => return write!(f, "{}us", nanos as f64 / 1e3),
            _ if nanos < SECOND => return write!(f, "{}ms", nanos as f64 / 1e6),
            _ if nanos < MINUTE => return write!(f, "{}s", nanos as f64 / 1e9),
            _ => {}
        }
        let (hours, minutes, rest) = (nanos / (60 * MINUTE), nanos / MINUTE % 60, nanos % MINUTE);
        match (hours, minutes, rest) {
            (0, ..) => write!(f, "{minutes}m")?,
            (_, 0, 0) => write!(f, "{hours}h")?,
            _ => write!(f, "{hours}h{minutes:02}m")?,
        }
        match rest {
            0 => Ok(()),
            _ if rest < 10 * SECOND => write!(f, "0{}s", rest as f64 / 1e9),
            _ => write!(f, "{}s", rest as f64 / 1e9),
        }
    }
}

/// Derives one well-mixed number from a seed and two indices: the start of every stream of random
/// draws.
///
/// `a` and `b` are, for example, a user and its iteration. No state is kept between calls. A draw
/// therefore depends on its purpose, and not on the thread or machine that makes it, or on earlier
/// draws. (The finaliser of `SplitMix64`, once per argument, as in Steele, Lea and Flood, "Fast
/// splittable pseudorandom number generators", 2014.)
pub const fn mix64(seed: u64, a: u64, b: u64) -> u64 {
    const fn next(state: u64) -> u64 {
        let z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    next(next(next(seed).wrapping_add(a)).wrapping_add(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_of_something_is_not_several() {
        assert_eq!(
            [plural(0_u32, "user"), plural(1_u64, "user"), plural(2_usize, "user")],
            ["0 users", "1 user", "2 users"]
        );
        assert_eq!([plural(1_u8, "address"), plural(2_u8, "address")], ["1 address", "2 addresses"]);
    }

    #[test]
    fn durations_as_people_write_them() {
        for (text, ns) in [
            ("30s", 30_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5s", 1_500_000_000),
            ("500ms", 500_000_000),
            ("50us", 50_000),
            ("50µs", 50_000),
            ("7ns", 7),
            ("2h", 7_200_000_000_000),
            ("0", 0),
            (" 10s ", 10_000_000_000),
        ] {
            assert_eq!(text.parse::<Nanos>().map(|n| n.0), Ok(ns), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "30", "s", "-5s", "1x", "1.2.3s", "nan", "inf", "1e9s", "99999999h", "5 s", "s5"] {
            let error = text.parse::<Nanos>().expect_err(text);
            assert!(error.to_string().contains("30s"), "{error}");
        }
    }

    #[test]
    fn durations_are_printed_as_people_write_them() {
        for (ns, text) in [
            (0, "0s"),
            (7, "7ns"),
            (1_500, "1.5us"),
            (500_000_000, "500ms"),
            (1_500_000_000, "1.5s"),
            (59_000_000_000, "59s"),
            (60_000_000_000, "1m"),
            (65_500_000_000, "1m05.5s"),
            (125_000_000_000, "2m05s"),
            (270_000_000_000, "4m30s"),
            (3_600_000_000_000, "1h"),
            (3_605_000_000_000, "1h00m05s"),
            (3_900_000_000_000, "1h05m"),
            (90_061_000_000_000, "25h01m01s"),
        ] {
            assert_eq!(Nanos(ns).to_string(), text);
            assert_eq!(text.parse(), Ok(Nanos(ns)));
        }
    }

    #[test]
    fn neighbours_draw_apart() {
        let mut seen = std::collections::HashSet::new();
        let mut ones = 0;
        for (seed, a, b) in (0..16).flat_map(|s| (0..64).flat_map(move |a| (0..64).map(move |b| (s, a, b)))) {
            let n = mix64(seed, a, b);
            ones += n.count_ones();
            assert!(seen.insert(n), "{seed} {a} {b} drew a number twice");
        }
        let share = f64::from(ones) / 64.0 / (16.0 * 64.0 * 64.0);
        assert!((share - 0.5).abs() < 0.001, "{share} of the bits are set");
        assert_ne!(mix64(1, 2, 3), mix64(1, 3, 2), "the order of the arguments matters");
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(ms in 0u64..10_000_000_000) {
            let n = Nanos::from_millis(ms);
            prop_assert_eq!(n.to_string().parse::<Nanos>(), Ok(n));
        }
    }
}
