//! Thresholds that may end a run before its plan does.

use crate::metrics::Summary;
use crate::plan::Plan;
use crate::threshold::{self, Judgement, Rule};
use crate::units::Nanos;

/// Returns the rules of a plan that may end it.
pub(super) fn aborting(plan: &Plan) -> Vec<Rule> {
    plan.thresholds.iter().filter(|rule| rule.abort_on_fail).cloned().collect()
}

/// Returns the first rule that has failed by now, as written.
pub(super) fn failed_early(rules: &[Rule], numbers: &Summary, elapsed: Nanos) -> Option<String> {
    let due: Vec<Rule> = rules.iter().filter(|rule| rule.delay_abort_eval <= elapsed).cloned().collect();
    let verdicts = threshold::judge(&due, numbers);
    // A rule without data has not failed.
    let failed = verdicts.into_iter().find(|verdict| verdict.verdict == Judgement::Fail)?;
    Some(format!("{} {}", failed.metric, failed.expression))
}
