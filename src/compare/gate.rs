//! Gates such as `ttft.p99>5%`: the change of a measure that fails a comparison.

use super::error::CompareError;
use super::measure::{Measure, Unit};
use super::run::{Numbers, Run};
use crate::units::Nanos;

/// A limit for the change of a measure. It is crossed only when both of its parts are.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    pub expression: String,
    pub measure: Measure,
    /// True if growth fails the gate, false if a drop does.
    pub above: bool,
    /// Relative to the base, without a sign: 0.05 for 5 %.
    pub relative: Option<f64>,
    /// In the unit of the measure, without a sign: ms, per second, or a share (0.005 for 0.5 pp).
    pub absolute: Option<f64>,
}

impl Gate {
    /// Parses `MEASURE > LIMIT` or `MEASURE < -LIMIT`, where a limit is `5%`, `0.5ms`, `0.5pp`, or
    /// two of them joined by `&`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected a measure, > or <, and a limit, such as 'ttft.p99>5%', 'tbt.p50>3%&0.5ms', 'error_rate>0.5pp' or \
                        'throughput<-3%'";
        let at = text.find(['<', '>']).ok_or_else(|| format!("`{text}` has neither > nor <: {expected}"))?;
        let measure = Measure::parse(&text[..at])?;
        let above = text[at..].starts_with('>');
        let mut gate = Self { expression: text.trim().to_owned(), measure, above, relative: None, absolute: None };
        for part in text[at + 1..].split('&') {
            let part = part.trim();
            let bad = |why: &str| format!("`{text}`: the limit `{part}` {why}: {expected}");
            let (sign, number) = match part.strip_prefix(['+', '-']) {
                Some(number) => (part.starts_with('+'), number),
                None => (above, part),
            };
            if sign != above {
                return Err(bad("has the wrong sign: write growth with > and +, a drop with < and -"));
            }
            let (is_relative, value) = limit(number, gate.measure.unit()).ok_or_else(|| bad("is not understood"))?;
            let place = if is_relative { &mut gate.relative } else { &mut gate.absolute };
            if place.replace(value).is_some() {
                return Err(bad("is given beside another limit of the same kind"));
            }
        }
        Ok(gate)
    }
}

/// Returns one gate for each measure that the results have. A gate on peaks that leaves the API or
/// the number of worker threads open becomes one gate for each of them.
pub(super) fn expanded(gates: &[Gate], run: &Run) -> Result<Vec<Gate>, CompareError> {
    let mut expanded: Vec<Gate> = Vec::new();
    for gate in gates {
        let wrong = || CompareError::Gate { gate: gate.expression.clone(), sort: run.sort };
        let (asked, peaks) = match (&gate.measure, &run.numbers) {
            (Measure::Metric { .. }, Numbers::Load { .. }) => {
                expanded.push(gate.clone());
                continue;
            }
            (Measure::Peak(asked), Numbers::Peaks(peaks)) => (asked, peaks),
            _ => return Err(wrong()),
        };
        if !peaks.iter().any(|(peak, _)| peak.of.name() == asked.of.name()) {
            return Err(wrong());
        }
        let limit = gate.expression.find(['<', '>']).map_or("", |at| &gate.expression[at..]);
        let each = peaks.iter().map(|(peak, _)| peak).filter(|peak| asked.covers(peak)).map(|peak| Gate {
            expression: format!("{peak}{limit}"),
            measure: Measure::Peak(peak.clone()),
            ..gate.clone()
        });
        let before = expanded.len();
        expanded.extend(each);
        if expanded.len() == before {
            let known: Vec<String> = peaks.iter().map(|(peak, _)| peak.to_string()).collect();
            return Err(CompareError::Peak { gate: gate.expression.clone(), known: known.join(", ") });
        }
    }
    Ok(expanded)
}

/// Returns whether the limit is relative, and its number.
fn limit(text: &str, unit: Unit) -> Option<(bool, f64)> {
    if let Some(percent) = text.strip_suffix('%') {
        // Five percent of an error rate of zero is zero, so shares change by points.
        return number(percent).filter(|_| unit != Unit::Share).map(|p| (true, p / 100.0));
    }
    let absolute = match unit {
        Unit::Share => number(text.strip_suffix("pp")?)? / 100.0,
        Unit::PerSecond => number(text.strip_suffix("/s").unwrap_or(text))?,
        Unit::Ms => text.parse::<Nanos>().ok()?.as_millis_f64(),
        Unit::Factor | Unit::Users => number(text)?,
    };
    Some((false, absolute))
}

/// Parses a percentage such as `2%` as a share of 1, for flags.
pub fn percentage(text: &str) -> Option<f64> {
    number(text.trim().strip_suffix('%')?).map(|percent| percent / 100.0)
}

fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let plain = text.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    plain.then(|| text.parse::<f64>().ok()).flatten().filter(|n| n.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_relative_absolute_or_both() {
        for (text, above, relative, absolute) in [
            ("ttft.p99>5%", true, Some(0.05), None),
            (" ttft.p99 > +5 % ", true, Some(0.05), None),
            ("tbt.p50>3%&0.5ms", true, Some(0.03), Some(0.5)),
            ("amplification>3%&0.1", true, Some(0.03), Some(0.1)),
            ("tbt.p50 > 500us & 3%", true, Some(0.03), Some(0.5)),
            ("error_rate>+0.5pp", true, None, Some(0.005)),
            ("throughput<-3%", false, Some(0.03), None),
            ("throughput<3%", false, Some(0.03), None),
            ("tokens_output.rate<-100/s", false, None, Some(100.0)),
        ] {
            let gate = Gate::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!((gate.above, gate.relative, gate.absolute), (above, relative, absolute), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for (text, why) in [
            ("ttft.p99", "neither > nor <"),
            ("ttft.p99>", "not understood"),
            ("ttft.p99>5", "not understood"),
            ("ttft.p99>NaN%", "not understood"),
            ("ttft.p99>1e400%", "not understood"),
            ("ttft.p99>-5%", "wrong sign"),
            ("throughput<+5%", "wrong sign"),
            ("ttft.p99>5%&6%", "another limit of the same kind"),
            ("ttft.p99>5pp", "not understood"),
            ("error_rate>5%", "not understood"),
            ("error_rate>5ms", "not understood"),
            ("nothing.p99>5%", "no metric is named"),
            ("=5%", "neither"),
        ] {
            let error = Gate::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert_eq!((percentage("2%"), percentage("2"), percentage("-1%")), (Some(0.02), None, None));
    }
}
