//! The goals that must hold: goals as typed, and MLPerf's constraints by name.

use crate::metrics::{Metric, Trend};
use crate::plan::{Given, PlanError};
use crate::threshold::{self, Aggregation, Operator, Rule};

/// MLPerf Inference's constraints on the latency of language models: 99 % of requests within these
/// times to first token and per output token, in ms. From the table of benchmarks in the inference
/// rules of MLCommons
/// (<https://github.com/mlcommons/inference_policies/blob/master/inference_rules.adoc>); its
/// scenario Server was called Conversational for some models later.
const PRESETS: [(&str, u32, u32); 11] = [
    ("mlperf-llama2-70b-server", 2_000, 200),
    ("mlperf-llama2-70b-interactive", 450, 40),
    ("mlperf-llama3.1-8b-server", 2_000, 100),
    ("mlperf-llama3.1-8b-interactive", 500, 30),
    ("mlperf-llama3.1-405b-server", 6_000, 175),
    ("mlperf-llama3.1-405b-interactive", 4_500, 80),
    ("mlperf-mixtral-8x7b-server", 2_000, 200),
    ("mlperf-deepseek-r1-server", 2_000, 80),
    ("mlperf-deepseek-r1-interactive", 1_500, 15),
    ("mlperf-gpt-oss-120b-server", 3_000, 80),
    ("mlperf-gpt-oss-120b-interactive", 2_000, 20),
];

/// Returns the goals of that name.
pub(super) fn preset(given: &Given) -> Result<Vec<Rule>, PlanError> {
    let Some((_, ttft, tpot)) = PRESETS.iter().find(|(name, ..)| *name == given.value.trim()) else {
        let known = PRESETS.map(|(name, ..)| name).join(", ");
        return Err(given.bad(format!("one of {known}")));
    };
    [
        ("ttft", format!("p(99)<={ttft}ms")),
        ("tpot", format!("p(99)<={tpot}ms")),
        ("http_req_failed", "rate<1%".to_owned()),
    ]
    .into_iter()
    .map(|(metric, expression)| threshold::parse(metric, &expression, &[]).map_err(|e| given.wrong(e)))
    .collect()
}

/// Derives goals for a single request: the bound of each time that must not be longer. Goodput is
/// then the share of requests that meet them.
pub(super) fn of_one_request(goals: &[Rule], kinds: &[String]) -> Vec<Rule> {
    let upper = |rule: &&Rule| {
        let is_time = matches!(rule.metric, Metric::Trend(_)) && rule.aggregation != Aggregation::Count;
        is_time && matches!(rule.operator, Operator::Less | Operator::LessOrEqual)
    };
    goals
        .iter()
        .filter(upper)
        .filter_map(|rule| {
            let sign = if rule.operator == Operator::Less { "<" } else { "<=" };
            // Trends that are not latencies of a request are refused here and left out.
            threshold::parse_goal(&rule.key(), &format!("{sign}{}", rule.bound), kinds).ok()
        })
        .collect()
}

/// Returns true if a goal concerns tokens, which only streams show.
pub(super) fn speaks_of_tokens(rule: &Rule) -> bool {
    use Trend::{Stall, Tbt, Tpot, Ttfe, Ttfo, Ttft};
    matches!(rule.metric, Metric::Trend(Ttfe | Ttft | Ttfo | Tbt | Tpot | Stall))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::typed_rule;

    #[test]
    fn every_preset_is_understood() {
        for (name, ttft, tpot) in PRESETS {
            let rules = preset(&Given::flag("preset", name)).unwrap();
            let bounds: Vec<f64> = rules.iter().map(|rule| rule.bound).collect();
            assert_eq!(bounds, [f64::from(ttft), f64::from(tpot), 0.01], "{name}");
        }
        let error = preset(&Given::flag("preset", "mlperf")).unwrap_err().to_string();
        assert!(
            error.contains("invalid value 'mlperf' for --preset") && error.contains("mlperf-llama2-70b-server"),
            "{error}"
        );
    }

    #[test]
    fn the_bounds_of_times_are_goals_of_each_request() {
        let rules =
            ["ttft p(95)<500ms", "tbt p(99)<=100ms", "ttft count<5", "http_req_failed rate<1%", "client_lag max<9"];
        let rules: Vec<Rule> = rules.iter().map(|text| typed_rule(&Given::flag("slo", *text), &[]).unwrap()).collect();
        let goals = of_one_request(&rules, &[]);
        let shown: Vec<String> = goals.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["ttft: <500", "tbt: <=100"]);
    }
}
