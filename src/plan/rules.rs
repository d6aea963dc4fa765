//! Thresholds and latency goals as written → rules.

use super::profile::{ProfileFile, Threshold, Thresholds};
use super::{PlanError, limits};
use crate::metrics::{Metric, Rate};
use crate::threshold::{self, Rule};

/// What has to hold. `kinds` are the names of the mix.
pub(super) fn thresholds(written: &ProfileFile, kinds: &[String]) -> Result<Vec<Rule>, PlanError> {
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
    if let Some(rule) = rules.iter().find(|r| r.metric == Metric::Rate(Rate::Goodput) && written.profile.slo.is_empty())
    {
        let problem = "needs latency goals: add a table [slo] with goals such as ttft = \"<500ms\"";
        return Err(written.error(&key("thresholds", &rule.key()), problem));
    }
    check_count(written, "thresholds", rules)
}

/// What a single request should keep to.
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

/// The key of a metric below a table.
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
