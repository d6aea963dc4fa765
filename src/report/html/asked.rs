//! The requested load of a plan, in words.

use crate::report::human;
use crate::units::plural;
use serde_json::{Map, Value};

/// Most stages that are listed. The plan in the document has all of them.
const STAGES_TOLD: usize = 8;

/// Describes the requested load. `None` for a plan of another build that is not understood.
pub(super) fn load(plan: &Map<String, Value>) -> Option<String> {
    let whole = |key: &str| plan.get(key).and_then(Value::as_u64);
    let ms = |key: &str| plan.get(key).and_then(Value::as_f64).map(|ms| human::length(ms / 1e3));
    let users = |n: u64| plural(n, "user");
    // Arrivals are given per time unit.
    let unit_s = plan.get("time_unit").and_then(Value::as_f64).filter(|ms| *ms > 0.0).map_or(1.0, |ms| ms / 1e3);
    let rate = |n: u64| human::per_second(n as f64 / unit_s);
    let arrival = plan.get("arrival").and_then(Value::as_str).unwrap_or("constant");
    Some(match plan.get("executor")?.as_str()? {
        "constant-vus" => format!("{} for {}", users(whole("vus")?), ms("duration")?),
        "ramping-vus" => format!("users from {}{}", whole("start_vus")?, stages(plan, &|n| n.to_string())?),
        "per-vu-iterations" => {
            format!("{}, {} each", users(whole("vus")?), plural(whole("iterations")?, "request"))
        }
        "shared-iterations" => {
            format!("{} by {}", plural(whole("iterations")?, "request"), users(whole("vus")?))
        }
        "constant-arrival-rate" => format!("{} for {}, {arrival} arrivals", rate(whole("rate")?), ms("duration")?),
        "ramping-arrival-rate" => {
            format!("from {}{}, {arrival} arrivals", rate(whole("start_rate")?), stages(plan, &rate)?)
        }
        _ => return None,
    })
}

/// Formats the stages as ` to 50 in 30s, to 0 in 10s`.
fn stages(plan: &Map<String, Value>, shown: &dyn Fn(u64) -> String) -> Option<String> {
    let all = plan.get("stages")?.as_array()?;
    let stage = |stage: &Value| {
        let length = human::length(stage.get("duration")?.as_f64()? / 1e3);
        Some(format!(" to {} in {length}", shown(stage.get("target")?.as_u64()?)))
    };
    let told: Vec<String> = all.iter().take(STAGES_TOLD).map(stage).collect::<Option<_>>()?;
    let more = all.len().saturating_sub(STAGES_TOLD);
    let more = if more > 0 { format!(", and {}", plural(more as u64, "more stage")) } else { String::new() };
    Some(format!("{}{more}", told.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_executor_has_words() {
        for (plan, words) in [
            (json!({ "executor": "constant-vus", "vus": 1, "duration": 20_000.0 }), "1 user for 20s"),
            (
                json!({ "executor": "ramping-vus", "start_vus": 0, "stages": [
                    { "duration": 30_000.0, "target": 50 }, { "duration": 10_000.0, "target": 0 }] }),
                "users from 0 to 50 in 30s, to 0 in 10s",
            ),
            (json!({ "executor": "per-vu-iterations", "vus": 2, "iterations": 3 }), "2 users, 3 requests each"),
            (json!({ "executor": "shared-iterations", "vus": 2, "iterations": 1 }), "1 request by 2 users"),
            (
                json!({ "executor": "constant-arrival-rate", "rate": 90, "time_unit": 60_000.0, "duration": 5_000.0,
                        "arrival": "poisson" }),
                "1.50/s for 5s, poisson arrivals",
            ),
            (
                json!({ "executor": "ramping-arrival-rate", "start_rate": 5, "time_unit": 1_000.0,
                        "stages": [{ "duration": 5_000.0, "target": 10 }] }),
                "from 5/s to 10/s in 5s, constant arrivals",
            ),
        ] {
            assert_eq!(load(plan.as_object().expect("a plan")).as_deref(), Some(words));
        }
        for strange in
            [json!({}), json!({ "executor": "from the future" }), json!({ "executor": "constant-vus", "vus": -1 })]
        {
            assert_eq!(load(strange.as_object().expect("a plan")), None);
        }
    }
}
