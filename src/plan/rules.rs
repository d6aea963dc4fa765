//! Thresholds and latency goals as written and as typed → rules.

use super::profile::{ProfileFile, Threshold, Thresholds};
use super::source::Changed;
use super::{Given, Overrides, PlanError, limits, noted};
use crate::metrics::{Metric, Rate};
use crate::threshold::{self, Rule};

/// Returns the rules that must hold: the profile's thresholds, unless they are left out, and those
/// that were typed. `kinds` are the names of the mix.
pub(super) fn thresholds(
    written: &ProfileFile,
    overrides: &Overrides,
    kinds: &[String],
    changed: &mut Changed,
) -> Result<Vec<Rule>, PlanError> {
    let are_left_out = noted::flag("no_thresholds", overrides, changed)?;
    let mut rules = if are_left_out { Vec::new() } else { of_profile(written, kinds)? };
    for given in overrides.many("threshold") {
        let rule = typed(given, kinds)?;
        if is_without_goals(&rule, written) {
            return Err(given.misplaced(format!("sets a threshold on `{}`, which {NEEDS_GOALS}", rule.key())));
        }
        changed.insert(key_of("thresholds", &rule), given.origin.clone());
        rules.push(rule);
    }
    check_count(written, "thresholds", rules)
}

/// Parses a rule as typed: `METRIC EXPRESSION`.
pub(crate) fn typed(given: &Given, kinds: &[String]) -> Result<Rule, PlanError> {
    // A selector may contain anything but a blank, so the first blank ends the metric.
    let (metric, expression) = given
        .value
        .trim()
        .split_once(char::is_whitespace)
        .ok_or_else(|| given.bad("a metric and a threshold, such as 'ttft p(95)<500ms'"))?;
    threshold::parse(metric, expression, kinds).map_err(|error| given.wrong(error))
}

/// Returns the key under which a typed rule is noted.
pub(super) fn key_of(table: &str, rule: &Rule) -> String {
    format!("{} {}", key(table, &rule.key()), rule.expression)
}

/// Returns true for a rule on goodput without goals: goodput is the share of requests that meet
/// them.
fn is_without_goals(rule: &Rule, written: &ProfileFile) -> bool {
    rule.metric == Metric::Rate(Rate::Goodput) && written.profile.slo.is_empty()
}

/// Follows the name of a metric in messages.
const NEEDS_GOALS: &str = "needs latency goals: add a table [slo] with goals such as ttft = \"<500ms\"";

fn of_profile(written: &ProfileFile, kinds: &[String]) -> Result<Vec<Rule>, PlanError> {
    let mut rules = Vec::new();
    for (metric, thresholds) in &written.profile.thresholds {
        for (index, entry) in thresholds.all().iter().enumerate() {
            let key = match thresholds {
                Thresholds::One(_) => key("thresholds", metric),
                Thresholds::More(_) => format!("{}[{index}]", key("thresholds", metric)),
            };
            let expression = match entry {
                Threshold::Short(expression) => expression,
                Threshold::Long(long) => &long.threshold,
            };
            let mut rule =
                threshold::parse(metric, expression, kinds).map_err(|error| written.error(&key, error.to_string()))?;
            if let Threshold::Long(long) = entry {
                rule.abort_on_fail = long.abort_on_fail;
                if let Some(text) = &long.delay_abort_eval {
                    rule.delay_abort_eval = written.time(&format!("{key}.delay_abort_eval"), text)?;
                    if !long.abort_on_fail {
                        let problem = "has no effect without `abort_on_fail = true`: set both or neither";
                        return Err(written.error(&format!("{key}.delay_abort_eval"), problem));
                    }
                }
            }
            rules.push(rule);
        }
    }
    if let Some(rule) = rules.iter().find(|rule| is_without_goals(rule, written)) {
        return Err(written.error(&key("thresholds", &rule.key()), NEEDS_GOALS));
    }
    Ok(rules)
}

/// Returns the latency goals of single requests.
pub(super) fn goals(written: &ProfileFile, kinds: &[String]) -> Result<Vec<Rule>, PlanError> {
    let mut rules = Vec::new();
    for (metric, expressions) in &written.profile.slo {
        for expression in expressions.texts() {
            let rule = threshold::parse_goal(metric, expression, kinds)
                .map_err(|error| written.error(&key("slo", metric), error.to_string()))?;
            rules.push(rule);
        }
    }
    check_count(written, "slo", rules)
}

/// Returns the key of a metric in a table.
fn key(table: &str, metric: &str) -> String {
    format!("{table}.{metric}")
}

/// Refuses more rules than can be judged every second.
fn check_count(written: &ProfileFile, key: &str, rules: Vec<Rule>) -> Result<Vec<Rule>, PlanError> {
    if rules.len() > limits::MAX_RULES {
        return Err(written.error(key, format!("has {} rules: expected at most {}", rules.len(), limits::MAX_RULES)));
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_rule_is_a_metric_and_a_condition() {
        let rule = |text: &str| typed(&Given::flag("threshold", text), &["chat".to_owned()]);
        let ttft = rule(" ttft{request:chat}  p(95) < 500ms ").unwrap();
        assert_eq!((ttft.key().as_str(), ttft.bound), ("ttft{request:chat}", 500.0));
        assert!((rule("http_req_failed rate<1%").unwrap().bound - 0.01).abs() < 1e-12);
        for (text, expected) in [
            ("ttft", "expected a metric and a threshold"),
            ("ttft p(95)", "no operator"),
            ("tftt p(95)<1s", "did you mean ttft"),
            ("ttft{request:x} p(95)<1s", "expected one of chat"),
        ] {
            let error = rule(text).unwrap_err();
            assert!(error.to_string().contains("for --threshold: ") && error.is_usage(), "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
