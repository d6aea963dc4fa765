//! Numbers for people: three significant digits and a unit that fits.

use crate::redact::is_obeyed;
use crate::units::Nanos;

/// Units of a time and their length in ms, ascending.
const TIME_UNITS: [(&str, f64); 4] = [("ns", 1e-6), ("µs", 1e-3), ("ms", 1.0), ("s", 1e3)];

/// From this length on a time is shown in minutes.
const MINUTES_FROM_MS: f64 = 59_950.0;

/// Steps of a thousand, for bytes and rates.
const PREFIXES: [&str; 6] = ["", "k", "M", "G", "T", "P"];

/// Formats a time: `850µs`, `12.3ms`, `1.00s`, `2m05s`, `1h02m`. It has at most six characters
/// below a hundred hours.
pub(crate) fn time(ms: f64) -> String {
    time_with(ms, 0)
}

/// Formats a time with two more digits, to stand beside the bound that it is compared with:
/// `2.0004s` is not below 2 s, but `2.00s` might be.
pub(crate) fn precise_time(ms: f64) -> String {
    time_with(ms, 2)
}

fn time_with(ms: f64, more_digits: usize) -> String {
    if !ms.is_finite() {
        return "-".to_owned();
    }
    if ms <= 0.0 {
        return "0s".to_owned();
    }
    if ms >= MINUTES_FROM_MS {
        let seconds = (ms / 1e3).round() as u64;
        let minutes = seconds / 60;
        return match minutes / 60 {
            0 => format!("{minutes}m{:02}s", seconds % 60),
            hours => format!("{hours}h{:02}m", minutes % 60),
        };
    }
    // Takes the first unit in which the rounded number has at most three digits: 999.6µs is 1.00ms.
    let fits = |(_, length): &&(&str, f64)| ms / length < 999.5;
    let (unit, length) = TIME_UNITS.iter().find(fits).unwrap_or(&TIME_UNITS[3]);
    format!("{}{unit}", digits(ms / length, more_digits))
}

/// Formats the length of a run like a time, but whole seconds without a fraction.
pub(crate) fn length(seconds: f64) -> String {
    if seconds.fract() == 0.0 { Nanos::from_secs_f64(seconds).to_string() } else { time(seconds * 1e3) }
}

/// Formats bytes: `999 B`, `1.23 MB` (powers of 1,000, as in k6).
pub(crate) fn bytes(n: f64) -> String {
    let (number, prefix) = scaled(n);
    format!("{number} {prefix}B")
}

/// Formats a rate: `0.10/s`, `45.7/s`, `4.57k/s`.
pub(crate) fn per_second(rate: f64) -> String {
    let (number, prefix) = scaled(rate);
    format!("{number}{prefix}/s")
}

/// Formats a count for eight columns: whole up to 99,999,999, then `123M`.
pub(crate) fn count(n: u64) -> String {
    if n < 100_000_000 {
        return n.to_string();
    }
    let (number, prefix) = scaled(n as f64);
    format!("{number}{prefix}")
}

/// Splits `text` into lines of at most `columns`, broken at blanks. A longer word has a line of its
/// own.
pub(crate) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Cuts `text` to at most `columns` characters, with an ellipsis for the rest, and replaces control
/// characters.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    let clean = text.chars().map(|c| if is_obeyed(c) { '?' } else { c });
    if text.chars().count() <= columns {
        return clean.collect();
    }
    clean.take(columns.saturating_sub(1)).chain((columns > 0).then_some('…')).collect()
}

/// Formats a share: `0.10%`. Shares other than 0 and 1 are never rounded to 0 or 100 %.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if p > 0.0 && p < 0.005 => "<0.01%".to_owned(),
        p if (99.995..100.0).contains(&p) => ">99.99%".to_owned(),
        p => format!("{p:.2}%"),
    }
}

fn scaled(n: f64) -> (String, &'static str) {
    if n.fract() == 0.0 && n.abs() < 999.5 {
        return (format!("{n}"), "");
    }
    let mut number = n;
    let mut prefixes = PREFIXES.into_iter().peekable();
    let mut prefix = "";
    while let Some(next) = prefixes.next() {
        prefix = next;
        if number.abs() < 999.5 || prefixes.peek().is_none() {
            break;
        }
        number /= 1e3;
    }
    (digits(number, 0), prefix)
}

/// Formats three significant digits, and `more` digits after them.
fn digits(x: f64, more: usize) -> String {
    let after_point = match x.abs() {
        a if a < 9.995 => 2,
        a if a < 99.95 => 1,
        _ => 0,
    };
    format!("{x:.*}", after_point + more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_carry_into_the_next_unit() {
        for (ms, text) in [
            (0.0, "0s"),
            (0.000_5, "500ns"),
            (0.001, "1.00µs"),
            (0.999_4, "999µs"),
            (0.999_6, "1.00ms"),
            (9.994, "9.99ms"),
            (9.996, "10.0ms"),
            (12.345, "12.3ms"),
            (99.96, "100ms"),
            (999.6, "1.00s"),
            (1_234.0, "1.23s"),
            (59_949.0, "59.9s"),
            (59_951.0, "1m00s"),
            (125_000.0, "2m05s"),
            (3_599_999.0, "1h00m"),
            (3_720_000.0, "1h02m"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(time(ms), text, "{ms}");
        }
    }

    #[test]
    fn a_time_beside_its_bound_tells_which_side_it_is_on() {
        assert_eq!([2_000.4, 12.345, 0.0].map(precise_time), ["2.0004s", "12.345ms", "0s"]);
    }

    #[test]
    fn other_numbers_read_well_too() {
        assert_eq!([0.0, 999.0, 1_230.0, 999_600.0].map(bytes), ["0 B", "999 B", "1.23 kB", "1.00 MB"]);
        assert_eq!([0.0, 0.1, 45.67, 4_567.0].map(per_second), ["0/s", "0.10/s", "45.7/s", "4.57k/s"]);
        assert_eq!([7, 99_999_999, 123_456_789].map(count), ["7", "99999999", "123M"]);
        assert_eq!(
            [0.0, 0.00001, 0.001, 0.99999, 1.0].map(percent),
            ["0.00%", "<0.01%", "0.10%", ">99.99%", "100.00%"]
        );
        assert_eq!(
            [10.0, 0.5, 1.25, 60.0, 125.0, 270.0, 3_605.0, 125.4].map(length),
            ["10s", "500ms", "1.25s", "1m", "2m05s", "4m30s", "1h00m05s", "2m05s"]
        );
    }

    #[test]
    fn text_is_broken_at_blanks() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a-very-long-word b", 5), ["a-very-long-word", "b"]);
        assert!(wrapped("  ", 5).is_empty());
    }
}
