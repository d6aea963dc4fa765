//! Pass or fail: k6's threshold grammar, with one important difference. *No data is a failure.* k6
//! passes a rate or a trend without samples, and so calls a run against a dead server a success.

#[doc(hidden)]
pub mod fuzz;

use crate::metrics::summary::TURN_PREFIX;
use crate::metrics::{Counter, Metric, Rate, Summary, TURNS, Trend, Unit};
use crate::units::{Nanos, rounded};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;

/// One threshold. Plain data, valid by construction: the metric exists and has the aggregation.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The metric that it is set on.
    pub metric: Metric,
    /// Only this kind of request (`http_req_duration{request:chat-stream}`), or only these turns of
    /// conversations (`ttft{turn:9+}`, kept as `turn:9+`).
    pub request: Option<String>,
    /// The number of the metric that is judged.
    pub aggregation: Aggregation,
    /// The comparison.
    pub operator: Operator,
    /// The number to compare with: milliseconds for times, 0 to 1 for shares, otherwise a plain
    /// number.
    pub bound: f64,
    /// The expression as written.
    pub expression: String,
    /// True to stop the run as soon as it fails.
    pub abort_on_fail: bool,
    /// The part of the run that must be over before it may stop the run.
    pub delay_abort_eval: Nanos,
}

/// A number of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aggregation {
    Avg,
    Min,
    Max,
    Med,
    /// Percentile, 0 to 100 (trend).
    P(f64),
    /// Number of samples (trend), or the count (counter).
    Count,
    /// Per second (counter), or the share (rate).
    Rate,
    Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

/// The error for a text that is not a threshold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RuleError(pub String);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The metric as written, selector included.
    pub metric: String,
    /// The expression as written.
    pub expression: String,
    /// The measured value, in the unit of the bound.
    pub value: Option<f64>,
    /// Number of samples behind the value.
    pub samples: u64,
    pub verdict: Judgement,
}

/// The result of a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    Pass,
    Fail,
    /// Nothing was measured. This is not a pass.
    NoData,
}

/// The highest percentile.
const MAX_PERCENTILE: f64 = 100.0;

impl Aggregation {
    /// Returns the aggregations of a metric, for people.
    fn of(metric: Metric) -> &'static str {
        match metric {
            Metric::Trend(_) => "avg, min, max, med, p(N), count",
            Metric::Counter(_) => "count, rate",
            Metric::Rate(_) => "rate",
            Metric::Gauge(_) => "value, min, max",
            Metric::Server(_) => "value",
        }
    }

    /// Parses an aggregation, if `metric` has it.
    fn parse(metric: Metric, text: &str) -> Result<Self, RuleError> {
        let parsed = match (metric, text) {
            (Metric::Trend(_), "avg") => Some(Self::Avg),
            (Metric::Trend(_), "med") => Some(Self::Med),
            (Metric::Trend(_) | Metric::Gauge(_), "min") => Some(Self::Min),
            (Metric::Trend(_) | Metric::Gauge(_), "max") => Some(Self::Max),
            (Metric::Trend(_) | Metric::Counter(_), "count") => Some(Self::Count),
            (Metric::Counter(_) | Metric::Rate(_), "rate") => Some(Self::Rate),
            (Metric::Gauge(_) | Metric::Server(_), "value") => Some(Self::Value),
            (Metric::Trend(_), text) => match text.strip_prefix("p(").and_then(|rest| rest.strip_suffix(')')) {
                Some(percentile) => Some(Self::P(parse_percentile(percentile)?)),
                None => None,
            },
            _ => None,
        };
        parsed.ok_or_else(|| {
            let wrong = if text.is_empty() { "no aggregation".to_owned() } else { format!("no aggregation `{text}`") };
            RuleError(format!("{} has {wrong}: expected one of {}", metric.name(), Self::of(metric)))
        })
    }
}

impl Operator {
    /// Spellings, the longest first, so that none hides another. k6 knows the strict forms, too.
    /// Here they mean the same.
    const SPELLINGS: [(&'static str, Self); 8] = [
        ("===", Self::Equal),
        ("!==", Self::NotEqual),
        ("<=", Self::LessOrEqual),
        (">=", Self::GreaterOrEqual),
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        ("<", Self::Less),
        (">", Self::Greater),
    ];

    /// Returns true if `value operator bound` holds. For NaN, nothing holds.
    fn holds(self, value: f64, bound: f64) -> bool {
        let Some(order) = value.partial_cmp(&bound) else { return false };
        match self {
            Self::Less => order == Ordering::Less,
            Self::LessOrEqual => order != Ordering::Greater,
            Self::Greater => order == Ordering::Greater,
            Self::GreaterOrEqual => order != Ordering::Less,
            Self::Equal => order == Ordering::Equal,
            Self::NotEqual => order != Ordering::Equal,
        }
    }
}

impl Rule {
    /// Returns the metric as written, selector included: the key of the rule.
    pub fn key(&self) -> String {
        match &self.request {
            Some(turn) if turn.starts_with(TURN_PREFIX) => format!("{}{{{turn}}}", self.metric.name()),
            Some(request) => format!("{}{{request:{request}}}", self.metric.name()),
            None => self.metric.name().to_owned(),
        }
    }
}

impl fmt::Display for Rule {
    /// Writes, for example, `http_req_duration{request:chat-stream}: p(95)<2s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key(), self.expression)
    }
}

/// Parses one threshold. `metric` may have a selector, and `expression` is like `p(95)<2s`. Kinds
/// of request are checked against `requests`.
pub fn parse(metric: &str, expression: &str, requests: &[String]) -> Result<Rule, RuleError> {
    let (metric, request) = parse_key(metric, requests)?;
    let (left, operator, right) = split(expression, "an aggregation, an operator and a number, such as p(95)<2s")?;
    let aggregation = Aggregation::parse(metric, left)?;
    let bound = parse_bound(metric, aggregation, right)?;
    Ok(Rule {
        metric,
        request,
        aggregation,
        operator,
        bound,
        expression: expression.trim().to_owned(),
        abort_on_fail: false,
        delay_abort_eval: Nanos::ZERO,
    })
}

/// Parses one latency goal of a single request, such as `<2s` for `ttft`. It becomes a rule on the
/// maximum: a request has met it if the largest of its own values has.
pub fn parse_goal(metric: &str, expression: &str, requests: &[String]) -> Result<Rule, RuleError> {
    const GOALS: [Trend; 9] = [
        Trend::HttpReqDuration,
        Trend::HttpReqDurationFromIntended,
        Trend::HttpReqWaiting,
        Trend::Ttfe,
        Trend::Ttft,
        Trend::Ttfo,
        Trend::Tbt,
        Trend::Tpot,
        Trend::Stall,
    ];
    let (metric, request) = parse_key(metric, requests)?;
    if !GOALS.iter().any(|goal| Metric::Trend(*goal) == metric) {
        let known = GOALS.map(Trend::name).join(", ");
        return Err(RuleError(format!(
            "{} is not a latency of a single request: expected one of {known}",
            metric.name()
        )));
    }
    let (left, operator, right) = split(expression, "an operator and a time, such as <2s")?;
    if !left.is_empty() || !matches!(operator, Operator::Less | Operator::LessOrEqual) {
        return Err(RuleError(format!(
            "`{expression}` is not a goal: one request has one value, so expected < or <= and a time, such as <2s"
        )));
    }
    let bound = parse_bound(metric, Aggregation::Max, right)?;
    let expression = expression.trim().to_owned();
    Ok(Rule {
        metric,
        request,
        aggregation: Aggregation::Max,
        operator,
        bound,
        expression,
        abort_on_fail: false,
        delay_abort_eval: Nanos::ZERO,
    })
}

/// Parses a metric's name and its selector.
fn parse_key(key: &str, requests: &[String]) -> Result<(Metric, Option<String>), RuleError> {
    let key = key.trim();
    let (name, selector) = match key.split_once('{') {
        Some((name, selector)) => (name.trim_end(), Some(selector)),
        None => (key, None),
    };
    let metric = Metric::parse(name).ok_or_else(|| unknown_metric(name))?;
    let Some(selector) = selector else { return Ok((metric, None)) };
    let bad = |what: &str| RuleError(format!("`{key}`: {what}: expected a selector such as {name}{{request:NAME}}"));
    let selector = selector.strip_suffix('}').ok_or_else(|| bad("a closing } is missing"))?;
    let (tag, request) = selector.split_once(':').ok_or_else(|| bad("no name behind the tag"))?;
    let (tag, request) = (tag.trim(), request.trim());
    if tag == "turn" {
        return turn(key, metric, request).map(|turn| (metric, Some(turn)));
    }
    if tag != "request" {
        return Err(bad(&format!("no tag `{tag}`")));
    }
    if !requests.iter().any(|known| known == request) {
        let known = if requests.is_empty() { "none".to_owned() } else { requests.join(", ") };
        return Err(RuleError(format!("`{key}`: no kind of request is named `{request}`: expected one of {known}")));
    }
    if metric.is_global() {
        return Err(RuleError(format!(
            "`{key}`: {name} is not measured by kind of request: expected it without a selector"
        )));
    }
    Ok((metric, Some(request.to_owned())))
}

/// Parses the turns that a metric is narrowed to.
fn turn(key: &str, metric: Metric, turn: &str) -> Result<String, RuleError> {
    if !TURNS.contains(&turn) {
        let known = TURNS.join(", ");
        return Err(RuleError(format!("`{key}`: no group of turns is named `{turn}`: expected one of {known}")));
    }
    if metric.is_global() {
        let name = metric.name();
        return Err(RuleError(format!("`{key}`: {name} is not measured by turn: expected it without a selector")));
    }
    Ok(format!("{TURN_PREFIX}{turn}"))
}

/// Returns the error for an unknown metric. It suggests the nearest one, and lists all.
fn unknown_metric(name: &str) -> RuleError {
    /// Below this similarity, a suggestion would confuse.
    const ALIKE: f64 = 0.8;
    let nearest = Metric::all()
        .map(|metric| (strsim::jaro_winkler(name, metric.name()), metric.name()))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness >= ALIKE);
    let hint = nearest.map_or(String::new(), |(_, name)| format!(" (did you mean {name}?)"));
    let known: Vec<_> = Metric::all().map(Metric::name).collect();
    RuleError(format!("no metric is named `{}`{hint}: expected one of {}", name.escape_debug(), known.join(", ")))
}

/// Splits an expression into its three parts, trimmed.
fn split<'a>(expression: &'a str, expected: &str) -> Result<(&'a str, Operator, &'a str), RuleError> {
    let at = expression
        .find(['<', '>', '=', '!'])
        .ok_or_else(|| RuleError(format!("`{expression}` has no operator: expected {expected}")))?;
    let (left, rest) = expression.split_at(at);
    let (spelling, operator) =
        Operator::SPELLINGS.into_iter().find(|(spelling, _)| rest.starts_with(spelling)).ok_or_else(|| {
            RuleError(format!("`{expression}` has no known operator: expected one of < <= > >= == != in {expected}"))
        })?;
    let right = rest[spelling.len()..].trim();
    if right.is_empty() {
        return Err(RuleError(format!("`{expression}` ends after its operator: expected {expected}")));
    }
    Ok((left.trim(), operator, right))
}

/// Parses the `N` of `p(N)`.
fn parse_percentile(text: &str) -> Result<f64, RuleError> {
    plain_number(text.trim()).filter(|p| (0.0..=MAX_PERCENTILE).contains(p)).ok_or_else(|| {
        RuleError(format!("p({text}) is not a percentile: expected a number from 0 to 100, such as p(95) or p(99.9)"))
    })
}

/// Parses the number after the operator, in the unit of the aggregation.
fn parse_bound(metric: Metric, aggregation: Aggregation, text: &str) -> Result<f64, RuleError> {
    let bad = |expected: &str| RuleError(format!("invalid bound '{text}' for {}: expected {expected}", metric.name()));
    match metric {
        Metric::Trend(trend) if trend.unit() == Unit::Tokens => {
            plain_number(text).ok_or_else(|| bad("a number of tokens, such as 512"))
        }
        Metric::Trend(_) if aggregation != Aggregation::Count => plain_number(text)
            .or_else(|| text.parse::<Nanos>().ok().map(Nanos::as_millis_f64))
            .ok_or_else(|| bad("milliseconds, or a duration such as 2s, 500ms, 50us")),
        Metric::Rate(Rate::Amplification) => plain_number(text).ok_or_else(|| bad("a number such as 1.2")),
        Metric::Rate(_) => match text.strip_suffix('%') {
            Some(percent) => plain_number(percent.trim_end()).map(|percent| percent / 100.0),
            None => plain_number(text),
        }
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| bad("a share from 0 to 1, such as 0.01, or a percentage, such as 1%")),
        Metric::Trend(_) | Metric::Counter(_) | Metric::Gauge(_) | Metric::Server(_) => {
            plain_number(text).ok_or_else(|| bad("a number without a unit that is not negative"))
        }
    }
}

/// Parses a finite number that is not negative. Rust's own parser also accepts words and signs.
fn plain_number(text: &str) -> Option<f64> {
    let ok = text.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    ok.then(|| text.parse::<f64>().ok()).flatten().filter(|number| number.is_finite())
}

pub fn judge(rules: &[Rule], summary: &Summary) -> Vec<Judged> {
    rules
        .iter()
        .map(|rule| {
            let (value, samples) = measured(rule, summary);
            evaluate(rule, value, samples)
        })
        .collect()
}

/// Judges one rule. Without a value or samples there is no data, and the rule does not pass.
pub fn evaluate(rule: &Rule, value: Option<f64>, samples: u64) -> Judged {
    let value = value.filter(|value| samples > 0 && !value.is_nan());
    let verdict = match value {
        None => Judgement::NoData,
        Some(value) if rule.operator.holds(value, rule.bound) => Judgement::Pass,
        Some(_) => Judgement::Fail,
    };
    let value = value.filter(|value| value.is_finite()).map(rounded);
    Judged { metric: rule.key(), expression: rule.expression.clone(), value, samples, verdict }
}

/// Returns the rule's number in the unit of its bound, and the number of samples behind it.
fn measured(rule: &Rule, summary: &Summary) -> (Option<f64>, u64) {
    let request = rule.request.as_deref();
    match rule.metric {
        Metric::Trend(trend) => {
            summary.trend(trend, request).filter(|times| times.count > 0).map_or((None, 0), |times| {
                let value = match rule.aggregation {
                    Aggregation::Count => return (Some(times.count as f64), times.count),
                    Aggregation::Avg => Some(times.avg_ms()),
                    Aggregation::Min => Some(times.min_ms()),
                    Aggregation::Max => Some(times.max_ms()),
                    Aggregation::Med => Some(times.percentile_ms(50.0)),
                    Aggregation::P(percentile) => Some(times.percentile_ms(percentile)),
                    Aggregation::Rate | Aggregation::Value => None,
                };
                (value.map(|ms| trend.unit().of_ms(ms)), times.count)
            })
        }
        Metric::Counter(counter) => summary.counter(counter, request).map_or((None, 0), |counted| {
            let value = match rule.aggregation {
                Aggregation::Count => Some(counted.count as f64),
                Aggregation::Rate => Some(counted.rate),
                _ => None,
            };
            (value, finished(summary, request))
        }),
        Metric::Rate(rate) => summary.rate(rate, request).filter(|part| part.total > 0).map_or((None, 0), |part| {
            let value = (rule.aggregation == Aggregation::Rate).then(|| part.ratio());
            (value, part.total)
        }),
        Metric::Gauge(gauge) => summary.gauge(gauge).map_or((None, 0), |level| {
            let value = match rule.aggregation {
                Aggregation::Value => Some(level.value as f64),
                Aggregation::Min => Some(level.min as f64),
                Aggregation::Max => Some(level.max as f64),
                _ => None,
            };
            (value, 1)
        }),
        Metric::Server(level) => {
            summary.server_level(level).map_or((None, 0), |(value, seconds)| (Some(value), seconds))
        }
    }
}

/// Returns the requests that finished. A count of zero failures only has a meaning if there were
/// requests that could have failed.
fn finished(summary: &Summary, request: Option<&str>) -> u64 {
    match request {
        None => summary.finished(),
        Some(_) => summary.counter(Counter::HttpReqs, request).map_or(0, |requests| requests.count),
    }
}

#[cfg(test)]
mod tests;
