//! Instants of rows: numbers in a unit, or dates.

use super::error::ReadError;
use super::json::shown;

/// The unit of the numbers in a column of instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl Unit {
    /// All units, with their names in profiles.
    pub const ALL: [(&'static str, Self); 4] =
        [("s", Self::Seconds), ("ms", Self::Milliseconds), ("us", Self::Microseconds), ("ns", Self::Nanoseconds)];

    /// Returns the number of decimal digits between the unit and a nanosecond.
    const fn digits(self) -> usize {
        match self {
            Self::Seconds => 9,
            Self::Milliseconds => 6,
            Self::Microseconds => 3,
            Self::Nanoseconds => 0,
        }
    }

    /// Returns the unit's name in full.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Microseconds => "microseconds",
            Self::Nanoseconds => "nanoseconds",
        }
    }
}

/// Reads an instant in nanoseconds from a number in that unit, or from a date and time. Digits
/// below a nanosecond are dropped.
pub(super) fn instant(line: u64, column: &str, text: &str, unit: Unit) -> Result<i64, ReadError> {
    let text = text.trim();
    let bare = text.trim_matches('"');
    number(bare, unit).or_else(|| date(bare)).ok_or_else(|| {
        let problem = format!(
            "`{column}` is {}: expected an instant at or after zero, as a number of {} or like 2023-11-16 18:17:03.98",
            shown(text),
            unit.name()
        );
        ReadError::at(line, problem)
    })
}

/// Reads digits with at most one point. Accepts `1.5e3` too, which some tools write.
fn number(text: &str, unit: Unit) -> Option<i64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<isize>().ok().filter(|e| (-30..=30).contains(e))?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || whole.len() > 20 {
        return None;
    }
    let point = (whole.len() + unit.digits()).saturating_add_signed(exponent);
    let mut value: i64 = 0;
    let mut all = whole.bytes().chain(fraction.bytes());
    for _ in 0..point {
        let digit = all.next().map_or(0, |byte| i64::from(byte - b'0'));
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    Some(value)
}

/// Reads `2023-11-16 18:17:03.9799600`, with or without a UTC offset.
fn date(text: &str) -> Option<i64> {
    let without_zone = || jiff::tz::Offset::UTC.to_timestamp(text.parse::<jiff::civil::DateTime>().ok()?).ok();
    let stamp = text.parse::<jiff::Timestamp>().ok().or_else(without_zone)?;
    i64::try_from(stamp.as_nanosecond()).ok().filter(|nanos| *nanos >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_as_people_write_them() {
        let read = |text: &str, unit| instant(7, "timestamp", text, unit);
        for (text, unit, nanos) in [
            ("0", Unit::Seconds, 0),
            ("27482", Unit::Milliseconds, 27_482_000_000),
            ("61.25", Unit::Seconds, 61_250_000_000),
            ("1.5e3", Unit::Seconds, 1_500_000_000_000),
            ("0.0000000019", Unit::Seconds, 1),
            ("\"3\"", Unit::Seconds, 3_000_000_000),
            ("1700158623.97", Unit::Seconds, 1_700_158_623_970_000_000),
            ("2023-11-16 18:17:03.9799600", Unit::Seconds, 1_700_158_623_979_960_000),
            ("2024-05-10 00:00:00.009930+00:00", Unit::Seconds, 1_715_299_200_009_930_000),
            ("2023-11-16T18:17:03Z", Unit::Seconds, 1_700_158_623_000_000_000),
        ] {
            assert_eq!(read(text, unit), Ok(nanos), "{text}");
        }
        for text in ["", "-1", "x", "1e99", "99999999999999999999", "1.2.3", "null", "2023-13-01 00:00:00", "١"] {
            let error = read(text, Unit::Seconds).expect_err(text).to_string();
            assert!(error.starts_with("line 7: `timestamp` is ") && error.contains("a number of seconds"), "{error}");
        }
    }
}
