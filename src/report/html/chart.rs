//! One chart: its picture, the same numbers in words, and as a table.
//!
//! [`Picture`] is the part for the page's script, and [`Chart`] adds its surroundings. Readers who
//! do not see the picture find its numbers in the words and in the table.

use super::thin::spans;
use crate::metrics::Trend;
use crate::report::human;
use serde::{Serialize, Serializer};

/// Most rows of a table below a chart.
const MOST_ROWS: usize = 50;

/// A chart with its surroundings.
#[derive(Debug)]
pub(super) struct Chart {
    /// The chart's name on the page.
    pub(super) id: String,
    pub(super) title: String,
    /// Details that the title leaves out.
    pub(super) note: String,
    /// A description of the picture, one sentence for each series.
    pub(super) words: Vec<String>,
    pub(super) table: Sheet,
    pub(super) picture: Picture,
}

/// Returns the title for the times of a metric.
pub(super) const fn title(trend: Trend) -> &'static str {
    match trend {
        Trend::Ttft => "Time to first token",
        Trend::Tbt => "Time between tokens",
        _ => "Duration of successful requests",
    }
}

/// A table of numbers as text.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    /// The meaning of a row.
    pub(super) note: String,
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

/// The contents of a picture.
#[derive(Debug, Serialize)]
pub(super) struct Picture {
    pub(super) kind: Kind,
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// A second scale, on the right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) right: Option<Axis>,
    /// Places of the points. `None` for a chart over the time of the run, because all such charts
    /// share the places.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<Vec<Number>>,
    pub(super) series: Vec<Series>,
    pub(super) bands: Vec<Band>,
    pub(super) lines: Vec<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) heat: Option<Heat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Lines,
    /// Stacked areas.
    Stack,
    Heat,
}

/// The unit of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Unit {
    /// Seconds since the start of the run.
    Clock,
    /// Milliseconds.
    Time,
    /// Per second.
    Rate,
    Count,
    Bytes,
    /// Processor cores.
    Cores,
    /// 0 to 1.
    Share,
    /// `1 / (1 - q)` of the quantile `q`.
    Odds,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Axis {
    pub(super) unit: Unit,
    pub(super) name: String,
    pub(super) scale: Scale,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Scale {
    Linear,
    Log,
    /// The reader can choose.
    Either,
}

#[derive(Debug, Serialize)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) values: Vec<Option<Number>>,
    /// The dash pattern. 0 is a solid line.
    pub(super) dash: usize,
    /// The colour, as its number on the page.
    pub(super) color: usize,
    /// True if the series uses the right scale.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_right: bool,
    /// True if every value has a mark.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) has_points: bool,
}

/// A stretch of the horizontal axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Band {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) name: String,
    pub(super) kind: BandKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum BandKind {
    /// Not measured (warm-up and cooldown), or the knee of a search.
    Outside,
    Stage,
    /// The goals do not hold.
    Beyond,
}

/// A value to compare with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Line {
    pub(super) at: f64,
    pub(super) name: String,
    /// True if it stands on the horizontal axis rather than the vertical one.
    pub(super) is_upright: bool,
    /// True if the values did not keep to it.
    pub(super) is_broken: bool,
}

/// Numbers of values by place: time across, latency up.
#[derive(Debug, Serialize)]
pub(super) struct Heat {
    /// Beginnings of the columns, then the end of the last one.
    pub(super) columns: Vec<Number>,
    /// Beginnings of the rows, then the end of the last one.
    pub(super) rows: Vec<Number>,
    /// For each column: a row, the number of values in it, the next row, …
    pub(super) cells: Vec<Vec<u64>>,
}

/// A number with four significant digits. No screen shows more, and a page has many numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number(pub(super) f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Digits that are kept.
        const DIGITS: i32 = 4;
        /// From this value on, integers in a double are not exact.
        const WHOLE: f64 = 9e15;
        let n = self.0;
        if !n.is_finite() {
            return serializer.serialize_none();
        }
        if n.fract() == 0.0 && n.abs() < WHOLE {
            return serializer.serialize_i64(n as i64);
        }
        let places = DIGITS - 1 - n.abs().log10().floor() as i32;
        let scale = 10_f64.powi(places.clamp(0, 12));
        let kept = (n * scale).round() / scale;
        if kept.fract() == 0.0 && kept.abs() < WHOLE {
            serializer.serialize_i64(kept as i64)
        } else {
            serializer.serialize_f64(kept)
        }
    }
}

/// Converts the numbers of a picture.
pub(super) fn numbers(values: impl IntoIterator<Item = f64>) -> Vec<Number> {
    values.into_iter().map(Number).collect()
}

impl Unit {
    /// Formats a value for people.
    pub(super) fn shown(self, value: f64) -> String {
        match self {
            Self::Clock => human::length(value),
            Self::Time => human::time(value),
            Self::Rate => human::per_second(value),
            Self::Count => human::count(value.round() as u64),
            Self::Bytes => human::bytes(value),
            Self::Cores => format!("{value:.2} cores"),
            Self::Share => human::percent(value),
            Self::Odds => quantile(value),
        }
    }
}

/// Formats a quantile, such as `p99.9` for 1,000.
pub(super) fn quantile(odds: f64) -> String {
    let percent = (1.0 - 1.0 / odds.max(1.0)) * 100.0;
    let text = format!("{percent:.4}");
    format!("p{}", text.trim_end_matches('0').trim_end_matches('.'))
}

impl Axis {
    pub(super) fn new(unit: Unit, name: &str, scale: Scale) -> Self {
        Self { unit, name: name.to_owned(), scale }
    }

    /// Returns an axis of seconds since the start of the run.
    pub(super) fn clock() -> Self {
        Self::new(Unit::Clock, "time since the start", Scale::Linear)
    }

    /// Returns an axis of latencies.
    pub(super) fn latency() -> Self {
        Self::new(Unit::Time, "", Scale::Either)
    }

    /// Returns an axis that begins at zero.
    pub(super) fn plain(unit: Unit) -> Self {
        Self::new(unit, "", Scale::Linear)
    }
}

impl Series {
    pub(super) fn new(name: &str, values: &[Option<f64>], place: usize) -> Self {
        Self {
            name: name.to_owned(),
            values: values.iter().map(|value| value.map(Number)).collect(),
            dash: place,
            color: place,
            is_right: false,
            has_points: false,
        }
    }
}

/// A series as it was measured, for words and tables.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    pub(super) name: String,
    pub(super) unit: Unit,
    pub(super) values: Vec<Option<f64>>,
}

impl Measured {
    pub(super) fn new(name: &str, unit: Unit, values: Vec<Option<f64>>) -> Self {
        Self { name: name.to_owned(), unit, values }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.iter().all(Option::is_none)
    }

    /// Describes the range of the series, and the place of its highest value.
    fn words(&self, at: &[f64], x: Unit) -> Option<String> {
        let known = || self.values.iter().zip(at).filter_map(|(value, at)| Some(((*value)?, *at)));
        let (least, _) = known().min_by(|a, b| a.0.total_cmp(&b.0))?;
        // Keeps the first of equal values.
        let (most, when) = known().fold(None, |best: Option<(f64, f64)>, one| match best {
            Some(best) if best.0 >= one.0 => Some(best),
            _ => Some(one),
        })?;
        let place = if x == Unit::Clock { "after" } else { "at" };
        let (name, unit) = (&self.name, self.unit);
        if least.total_cmp(&most).is_eq() {
            return Some(format!("{name}: {} throughout.", unit.shown(most)));
        }
        let (least, most, when) = (unit.shown(least), unit.shown(most), x.shown(when));
        Some(format!("{name}: {least} to {most}, highest {place} {when}."))
    }
}

/// The way in which several values become the one of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    Highest,
    Lowest,
    Mean,
}

impl Fold {
    fn of(self, values: &[Option<f64>]) -> Option<f64> {
        let known = || values.iter().flatten().copied();
        let n = known().count();
        match self {
            _ if n == 0 => None,
            Self::Highest => known().reduce(f64::max),
            Self::Lowest => known().reduce(f64::min),
            Self::Mean => Some(known().sum::<f64>() / n as f64),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Highest => "highest",
            Self::Lowest => "lowest",
            Self::Mean => "mean",
        }
    }
}

/// Describes series at these places in words.
pub(super) fn words(series: &[Measured], at: &[f64], x: Unit) -> Vec<String> {
    series.iter().filter_map(|one| one.words(at, x)).collect()
}

/// Returns the table of series at these places, with several places a row if there are many.
pub(super) fn table(series: &[Measured], at: &[f64], x: Unit, fold: Fold) -> Sheet {
    let rows = spans(at.len(), MOST_ROWS);
    let width = rows.iter().map(std::iter::ExactSizeIterator::len).max().unwrap_or(1);
    let note = match (width, x) {
        (0 | 1, _) => String::new(),
        (n, Unit::Clock) => format!("Each row is the {} of up to {n} seconds.", fold.name()),
        (n, _) => format!("Each row is the {} of up to {n} points.", fold.name()),
    };
    let place = match x {
        Unit::Clock => "after",
        Unit::Odds => "percentile",
        _ => "load",
    };
    let row = |span: &std::ops::Range<usize>| {
        let begin = at.get(span.start).map_or_else(String::new, |at| x.shown(*at));
        let cell = |one: &Measured| {
            let value = one.values.get(span.clone()).and_then(|values| fold.of(values));
            value.map_or_else(|| "-".to_owned(), |value| one.unit.shown(value))
        };
        std::iter::once(begin).chain(series.iter().map(cell)).collect()
    };
    let head = std::iter::once(place.to_owned()).chain(series.iter().map(|one| one.name.clone())).collect();
    Sheet { note, head, rows: rows.iter().map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_wrong_in_the_fourth_digit() {
        let text = |n: f64| serde_json::to_string(&Number(n)).expect("JSON");
        for (n, short) in [
            (0.0, "0"),
            (12.0, "12"),
            (1_234_567.0, "1234567"),
            (1_234.567, "1235"),
            (394.239_11, "394.2"),
            (0.001_234_56, "0.001235"),
            (-2.345_67, "-2.346"),
            (999.96, "1000"),
            (f64::NAN, "null"),
            (f64::INFINITY, "null"),
            (1e300, "1e+300"),
        ] {
            assert_eq!(text(n), short);
        }
    }

    #[test]
    fn quantiles_have_the_digits_that_tell_them_apart() {
        assert_eq!(
            [1.0, 2.0, 10.0, 100.0, 1_000.0, 100_000.0].map(quantile),
            ["p0", "p50", "p90", "p99", "p99.9", "p99.999"]
        );
    }

    #[test]
    fn words_name_the_ends_and_the_first_of_the_highest() {
        let series = [
            Measured::new("p99", Unit::Time, vec![Some(2.0), None, Some(80.0), Some(80.0), Some(1.5)]),
            Measured::new("users", Unit::Count, vec![Some(5.0); 5]),
            Measured::new("nothing", Unit::Count, vec![None; 5]),
        ];
        let at = [0.0, 1.0, 2.0, 3.0, 4.0];
        let said = words(&series, &at, Unit::Clock);
        assert_eq!(said, ["p99: 1.50ms to 80.0ms, highest after 2s.", "users: 5 throughout."]);
    }

    #[test]
    fn a_table_has_at_most_fifty_rows_and_says_what_a_row_is() {
        let at: Vec<f64> = (0..3_600).map(f64::from).collect();
        let series = [Measured::new("p99", Unit::Time, at.iter().map(|t| Some(*t)).collect())];
        let long = table(&series, &at, Unit::Clock, Fold::Highest);
        assert_eq!((long.rows.len(), long.note.as_str()), (50, "Each row is the highest of up to 72 seconds."));
        assert_eq!(
            (&long.head, &long.rows[1]),
            (&vec!["after".to_owned(), "p99".to_owned()], &vec!["1m12s".to_owned(), "143ms".to_owned()])
        );
        let mean = table(&series, &at, Unit::Clock, Fold::Mean);
        assert_eq!(mean.rows[0][1], "35.5ms");
        let short = table(&series, &at[..3], Unit::Clock, Fold::Highest);
        assert_eq!((short.rows.len(), short.note.as_str()), (3, ""));
    }
}
