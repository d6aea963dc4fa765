//! Thresholds as lines in a chart.

use super::chart::Line;
use crate::document::{Judged, Judgement};
use crate::units::Nanos;

/// Returns the lines of the thresholds on this metric's times, over all kinds of request.
pub(super) fn lines(metric: &str, thresholds: &[Judged]) -> Vec<Line> {
    let ours = thresholds.iter().filter(|judged| judged.metric == metric);
    ours.filter_map(|judged| {
        let at = bound(&judged.expression)?;
        let is_broken = judged.verdict != Judgement::Pass;
        Some(Line { at, name: judged.expression.clone(), is_upright: false, is_broken })
    })
    .collect()
}

/// Returns the lines of goals in the form in which `capacity` keeps them: `ttft p(95)<500ms`.
pub(super) fn goal_lines(metric: &str, goals: &[String]) -> Vec<Line> {
    let ours = goals.iter().filter_map(|goal| goal.split_once(' ').filter(|(name, _)| *name == metric));
    let line = |(_, expression): (&str, &str)| {
        Some(Line {
            at: bound(expression)?,
            name: format!("{metric} {expression}"),
            is_upright: false,
            is_broken: false,
        })
    };
    ours.filter_map(line).collect()
}

/// Returns the bound of a time, in ms. `None` for an expression that counts.
fn bound(expression: &str) -> Option<f64> {
    let at = expression.find(['<', '>', '=', '!'])?;
    let (aggregation, rest) = expression.split_at(at);
    if aggregation.trim() == "count" {
        return None;
    }
    let bound = rest.trim_start_matches(['<', '>', '=', '!']).trim();
    let ms = bound.parse::<f64>().ok().or_else(|| bound.parse::<Nanos>().ok().map(Nanos::as_millis_f64));
    ms.filter(|ms| ms.is_finite() && *ms > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_times_are_read_as_thresholds_read_them() {
        for (expression, ms) in [
            ("p(95)<3000", Some(3_000.0)),
            ("p(99.9) <= 1.5s", Some(1_500.0)),
            ("avg<50us", Some(0.05)),
            ("count>10", None),
            ("p(95)<", None),
            ("nonsense", None),
            ("max<nan", None),
        ] {
            assert_eq!(bound(expression), ms, "{expression}");
        }
    }

    #[test]
    fn goals_name_their_metric() {
        let goals = ["ttft p(95)<500ms".to_owned(), "http_req_failed rate<1%".to_owned()];
        let lines = goal_lines("ttft", &goals);
        assert_eq!((lines.len(), lines[0].at, lines[0].name.as_str()), (1, 500.0, "ttft p(95)<500ms"));
    }
}
