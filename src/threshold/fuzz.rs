//! Entry points of the fuzz targets (`fuzz/`): thresholds as people write them.

use super::{parse, parse_goal};

/// Parses a metric, a line break and an expression. A rule that can be parsed must be written in a
/// form that parses to the same rule.
///
/// # Panics
///
/// Panics if this contract is broken, which is what the fuzzer looks for.
pub fn fuzz_threshold(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (metric, expression) = text.split_once('\n').unwrap_or((text, ""));
    let kinds = ["chat".to_owned()];
    if let Ok(rule) = parse(metric, expression, &kinds) {
        assert!(rule.bound.is_finite() && rule.bound >= 0.0, "{text:?}");
        assert_eq!(parse(&rule.key(), &rule.expression, &kinds).as_ref(), Ok(&rule), "{text:?}");
    }
    if let Ok(goal) = parse_goal(metric, expression, &kinds) {
        assert_eq!(parse_goal(&goal.key(), &goal.expression, &kinds).as_ref(), Ok(&goal), "{text:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_inputs_hold() {
        for text in [
            "",
            "ttft\np(95)<2s",
            "itl{request:chat}\n p( 99.9 ) <= 1m30s",
            "http_req_failed\nrate<1%",
            "http_reqs\ncount>=1e3",
            "ttft\n<=500ms",
            "ttft{request:}\n<",
        ] {
            fuzz_threshold(text.as_bytes());
        }
    }
}
