//! Measures by which two results are compared: one number of a metric of runs, or one peak of
//! sweeps. A measure knows in which direction it is better.

use super::peak::{Peak, PeakOf};
use super::run::{Numbers, Run};
use crate::metrics::summary::RateValue;
use crate::metrics::{self, Counter, Metric, Rate, Summary, Trend};
use crate::units::plural;
use std::fmt;

/// A percentile needs this many samples beyond it. With fewer it is the number of a few unlucky
/// requests.
const BEYOND: f64 = 10.0;

/// One number of a result.
#[derive(Debug, Clone, PartialEq)]
pub enum Measure {
    /// A number of a metric of a run.
    Metric {
        metric: Metric,
        /// Only this kind of request. `None` for all kinds.
        request: Option<String>,
        /// The number of the metric.
        number: Number,
    },
    /// The peak of a sweep.
    Peak(Peak),
}

/// The number of a metric. Extremes are left out, because the extreme of a run is a single request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    Avg,
    /// Percentile, 0 to 100 (trend).
    P(f64),
    /// Per second (counter), or the share itself.
    Rate,
}

/// The unit of a measure's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Ms,
    /// Per second.
    PerSecond,
    /// 0 to 1; changes are differences.
    Share,
    /// One count over another, which may be above 1.
    Factor,
    /// Users in a closed loop.
    Users,
}

/// Short names for the most common measures.
const ALIASES: [(&str, Metric); 2] =
    [("error_rate", Metric::Rate(Rate::HttpReqFailed)), ("throughput", Metric::Counter(Counter::HttpReqs))];

impl Measure {
    pub const fn of(metric: Metric, number: Number) -> Self {
        Self::Metric { metric, request: None, number }
    }

    /// Returns the metric. `None` for a peak.
    pub const fn metric(&self) -> Option<Metric> {
        match self {
            Self::Metric { metric, .. } => Some(*metric),
            Self::Peak(_) => None,
        }
    }

    /// Returns the measures that are always compared in results of this sort, whatever the gates
    /// are.
    pub fn usual_of(run: &Run) -> Vec<Self> {
        match &run.numbers {
            Numbers::Load { .. } => Self::usual(),
            Numbers::Peaks(peaks) => peaks.iter().map(|(peak, _)| Self::Peak(peak.clone())).collect(),
        }
    }

    /// Returns the measures of every comparison of runs. Errors come before latency, because with
    /// different errors the latencies are those of different survivors.
    pub fn usual() -> Vec<Self> {
        let mut measures = vec![
            Self::of(Metric::Rate(Rate::HttpReqFailed), Number::Rate),
            Self::of(Metric::Counter(Counter::HttpReqs), Number::Rate),
            Self::of(Metric::Counter(Counter::TokensOutput), Number::Rate),
        ];
        for trend in [Trend::HttpReqDuration, Trend::Ttft, Trend::Tbt, Trend::Tpot] {
            measures.extend([50.0, 95.0, 99.0].map(|p| Self::of(Metric::Trend(trend), Number::P(p))));
        }
        measures.push(Self::of(Metric::Trend(Trend::Stall), Number::P(99.0)));
        measures
    }

    /// Parses `ttft.p99`, `http_req_duration{request:chat}.avg`, `throughput`,
    /// `tokens_output.rate`, `requests_per_s{workers:2}`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(peak) = Peak::parse(text) {
            return peak.map(Self::Peak);
        }
        let (name, rest) = text.split_at(text.find(['{', '.']).unwrap_or(text.len()));
        let (request, number) = match rest.strip_prefix('{').map(|rest| rest.split_once('}')) {
            None => (None, rest),
            Some(Some((selector, number))) => {
                let request =
                    selector.split_once(':').filter(|(tag, _)| tag.trim() == "request").map(|(_, r)| r.trim());
                let bad = || format!("`{text}`: expected a selector such as {name}{{request:NAME}}");
                (Some(request.filter(|r| !r.is_empty()).ok_or_else(bad)?.to_owned()), number)
            }
            Some(None) => return Err(format!("`{text}`: a closing }} is missing")),
        };
        let alias = ALIASES.into_iter().find(|(alias, _)| *alias == name).map(|(_, metric)| metric);
        let metric = alias.or_else(|| Metric::parse(name)).ok_or_else(|| {
            format!(
                "no metric is named `{name}`: expected one such as ttft, tbt, http_req_duration, error_rate, throughput"
            )
        })?;
        let number = number.strip_prefix('.').unwrap_or(number);
        let number = match (metric, number) {
            (Metric::Trend(trend), _) if trend.unit() == metrics::Unit::Tokens => {
                return Err(format!("`{text}`: token counts of requests belong to the load and are not compared"));
            }
            (Metric::Counter(_) | Metric::Rate(_), "" | "rate") => Number::Rate,
            (Metric::Trend(_), "avg") => Number::Avg,
            (Metric::Trend(_), "med") => Number::P(50.0),
            (Metric::Trend(_), "min" | "max") => {
                return Err(format!(
                    "`{text}`: an extreme is a single request and says little about a build: expected a percentile"
                ));
            }
            (Metric::Trend(_), number) => Number::P(percentile(number).ok_or_else(|| {
                format!("`{text}`: expected avg, med or a percentile behind {name}, such as {name}.p99")
            })?),
            (Metric::Gauge(_), _) => return Err(format!("`{text}`: levels belong to the load and are not compared")),
            (Metric::Server(_), _) => {
                return Err(format!("`{text}`: numbers of the server's process are not compared"));
            }
            (_, number) => return Err(format!("`{text}`: {name} has no `{number}`: expected {name} or {name}.rate")),
        };
        Ok(Self::Metric { metric, request, number })
    }

    /// Returns the unit of the values.
    pub const fn unit(&self) -> Unit {
        let metric = match self {
            Self::Metric { metric, .. } => metric,
            Self::Peak(Peak { of: PeakOf::Users, .. }) => return Unit::Users,
            Self::Peak(_) => return Unit::PerSecond,
        };
        match metric {
            Metric::Trend(_) | Metric::Gauge(_) | Metric::Server(_) => Unit::Ms,
            Metric::Counter(_) => Unit::PerSecond,
            Metric::Rate(rate) if rate.is_share() => Unit::Share,
            Metric::Rate(_) => Unit::Factor,
        }
    }

    /// Returns whether a higher value is better.
    pub const fn more_is_better(&self) -> bool {
        let metric = match self {
            Self::Metric { metric, .. } => metric,
            Self::Peak(_) => return true,
        };
        match metric {
            Metric::Trend(_)
            | Metric::Gauge(_)
            | Metric::Server(_)
            | Metric::Rate(Rate::HttpReqFailed | Rate::InputOff | Rate::OutputOff | Rate::Amplification) => false,
            Metric::Rate(_) => true,
            Metric::Counter(counter) => matches!(
                counter,
                Counter::HttpReqs
                    | Counter::Iterations
                    | Counter::TokensOutput
                    | Counter::TokensInput
                    | Counter::TokenEvents
            ),
        }
    }

    /// Returns the value in a result, or the reason why there is none to compare.
    pub fn value(&self, run: &Run) -> Result<f64, String> {
        match (self, &run.numbers) {
            (Self::Metric { metric, request, number }, Numbers::Load { summary, .. }) => {
                value(*metric, request.as_deref(), *number, summary)
            }
            (Self::Peak(peak), Numbers::Peaks(peaks)) => {
                let known = peaks.iter().find(|(other, _)| other == peak).and_then(|(_, value)| *value);
                known.ok_or_else(|| "no step kept to the limits".to_owned())
            }
            _ => Err(nothing()),
        }
    }
}

fn nothing() -> String {
    "nothing was measured".to_owned()
}

/// Returns the value of a metric in a run.
fn value(metric: Metric, request: Option<&str>, number: Number, summary: &Summary) -> Result<f64, String> {
    if summary.group(request).is_none() {
        return Err(format!("no kind of request is named {}", request.unwrap_or_default()));
    }
    match (metric, number) {
        (Metric::Trend(trend), number) => {
            let times = summary.trend(trend, request).ok_or_else(nothing)?;
            let p = if let Number::P(p) = number { p } else { 50.0 };
            let needed = (BEYOND / (1.0 - p / 100.0)).ceil() as u64;
            if times.count < needed {
                return Err(format!("{}, and {needed} are needed", plural(times.count, "sample")));
            }
            Ok(if number == Number::Avg { times.avg_ms() } else { times.percentile_ms(p) })
        }
        (Metric::Counter(counter), _) => summary.counter(counter, request).map(|c| c.rate).ok_or_else(nothing),
        (Metric::Rate(rate), _) => summary.rate(rate, request).map(RateValue::ratio).ok_or_else(nothing),
        (Metric::Gauge(_) | Metric::Server(_), _) => Err(nothing()),
    }
}

/// Parses `p99`, `p99.9`, `p(99)`, `p99_9`. `p100` is refused, because it is an extreme.
fn percentile(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('p')?.replace('_', ".");
    let digits = digits.strip_prefix('(').and_then(|d| d.strip_suffix(')')).unwrap_or(&digits);
    let plain = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    plain.then(|| digits.parse::<f64>().ok()).flatten().filter(|p| *p > 0.0 && *p < 100.0)
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (metric, request, number) = match self {
            Self::Metric { metric, request, number } => (metric, request, number),
            Self::Peak(peak) => return peak.fmt(f),
        };
        let alias = ALIASES.into_iter().find(|(_, other)| other == metric).map(|(alias, _)| alias);
        f.write_str(alias.unwrap_or(metric.name()))?;
        if let Some(request) = request {
            write!(f, "{{request:{request}}}")?;
        }
        match number {
            Number::Avg => f.write_str(".avg"),
            Number::P(p) => write!(f, ".p{p}"),
            Number::Rate if alias.is_some() => Ok(()),
            Number::Rate => f.write_str(".rate"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_read_and_written_the_same() {
        for text in [
            "ttft.p99",
            "tbt.p99.9",
            "http_req_duration{request:chat}.avg",
            "error_rate",
            "throughput",
            "tokens_output.rate",
        ] {
            assert_eq!(Measure::parse(text).map(|m| m.to_string()), Ok(text.to_owned()));
        }
        for (text, same) in [
            ("ttft.med", "ttft.p50"),
            ("ttft.p(95)", "ttft.p95"),
            ("http_reqs.rate", "throughput"),
            ("stall.p99_9", "stall.p99.9"),
            ("itl.p99", "tbt.p99"),
        ] {
            assert_eq!(Measure::parse(text).map(|m| m.to_string()), Ok(same.to_owned()));
        }
        for measure in Measure::usual() {
            assert_eq!(Measure::parse(&measure.to_string()), Ok(measure));
        }
    }

    #[test]
    fn attempts_for_a_request_are_a_factor_and_fewer_are_better() {
        let measure = Measure::parse("amplification").unwrap();
        assert_eq!((measure.unit(), measure.more_is_better()), (Unit::Factor, false));
        let goodput = Measure::parse("goodput").unwrap();
        assert_eq!((goodput.unit(), goodput.more_is_better()), (Unit::Share, true));
    }

    #[test]
    fn nonsense_is_refused() {
        for (text, why) in [
            ("", "no metric is named"),
            ("ttf.p99", "no metric is named `ttf`"),
            ("ttft", "expected avg, med or a percentile"),
            ("ttft.p100", "expected avg"),
            ("ttft.p0", "expected avg"),
            ("ttft.pNaN", "expected avg"),
            ("ttft.max", "an extreme is a single request"),
            ("ttft{request:a.p99", "closing }"),
            ("ttft{kind:a}.p99", "expected a selector"),
            ("throughput.p99", "has no `p99`"),
            ("vus.value", "are not compared"),
        ] {
            let error = Measure::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
