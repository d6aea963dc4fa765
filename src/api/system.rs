//! The endpoints that generate nothing: health, models and statistics. They differ only in data.

use super::anthropic::{self, ANTHROPIC};
use super::scan::{Notes, Value, scan};
use super::spec::{AnswerIs, Check, GET, Must, Spec};
use super::{Answer, Flaw};

const IS_LIST: Check = Check { name: "data is an array", field: "data", must: Must::BeList };
const HAS_ID: Check = Check { name: "has id", field: "id", must: Must::BeText };

pub(super) const HEALTH: Spec =
    Spec { name: "health", path: "/health", standard_path: "/health", answer: AnswerIs::Read(read_health), ..GET };

/// Reads a health response. Many servers report health by the status code alone, with an empty
/// body.
fn read_health(body: &[u8], notes: Option<&mut Notes>) -> Result<Answer, Flaw> {
    const IS_OK: Check = Check { name: "status is ok", field: "status", must: Must::Say("ok") };
    if body.is_empty() { Ok(Answer::default()) } else { read(&[IS_OK], body, notes) }
}

pub(super) const MODELS: Spec = Spec {
    name: "models",
    path: "/openai/v1/models",
    standard_path: "/v1/models",
    answer: AnswerIs::Checked(&[IS_LIST, Check { name: "object is list", field: "object", must: Must::Say("list") }]),
    ..GET
};

pub(super) const MODEL: Spec = Spec {
    name: "model",
    path: "/openai/v1/models/{model}",
    standard_path: "/v1/models/{model}",
    answer: AnswerIs::Checked(&[HAS_ID]),
    ..GET
};

/// Anthropic's list has no `object` field that declares it to be a list.
pub(super) const ANTHROPIC_MODELS: Spec = Spec {
    name: "anthropic-models",
    path: "/anthropic/v1/models",
    standard_path: "/v1/models",
    provider: &ANTHROPIC,
    models: anthropic::MODELS,
    answer: AnswerIs::Checked(&[IS_LIST]),
    ..GET
};

pub(super) const ANTHROPIC_MODEL: Spec = Spec {
    name: "anthropic-model",
    path: "/anthropic/v1/models/{model}",
    standard_path: "/v1/models/{model}",
    provider: &ANTHROPIC,
    models: anthropic::MODELS,
    answer: AnswerIs::Checked(&[HAS_ID]),
    ..GET
};

pub(super) const STATS: Spec = Spec {
    name: "stats",
    path: "/llmsim/stats",
    standard_path: "/llmsim/stats",
    answer: AnswerIs::Checked(&[
        Check { name: "has total_requests", field: "total_requests", must: Must::BeNumber },
        Check { name: "has uptime_secs", field: "uptime_secs", must: Must::BeNumber },
    ]),
    ..GET
};

/// Maximum number of checks of a response.
const MAX_CHECKS: usize = 4;

/// Returns the first check that fails, or an answer if all hold. JSON that is not an object has no
/// fields, so it fails the checks rather than being reported as invalid JSON.
pub(super) fn read(checks: &[Check], body: &[u8], notes: Option<&mut Notes>) -> Result<Answer, Flaw> {
    let mut values = [Value::Null; MAX_CHECKS];
    let is_json = scan(body, notes, |json| {
        json.object(|json, key| {
            match checks.iter().position(|check| check.field.as_bytes() == key) {
                Some(place) => values[place] = json.value()?,
                None => json.skip()?,
            }
            Some(())
        })?;
        Some(())
    });
    if !is_json {
        return Err(Flaw::BadJson);
    }
    match checks.iter().zip(&values).position(|(check, value)| !holds(&check.must, value)) {
        Some(held) => Err(Flaw::Check { name: checks[held].name, held: held as u8 }),
        None => Ok(Answer { usage: None, finish: None, checks: checks.len() as u8 }),
    }
}

fn holds(must: &Must, value: &Value<'_>) -> bool {
    match must {
        Must::Say(word) => value.is(word),
        Must::BeText => value.is_filled_text(),
        Must::BeList => value.is_list(),
        Must::BeNumber => matches!(value, Value::Number(_)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Api;

    fn failed(name: &'static str, held: u8) -> Result<Answer, Flaw> {
        Err(Flaw::Check { name, held })
    }

    const fn passed(checks: u8) -> Answer {
        Answer { usage: None, finish: None, checks }
    }

    #[test]
    fn health_must_be_ok() {
        assert_eq!(Api::Health.read_body(br#"{"service":"llmsim","status":"ok"}"#), Ok(passed(1)));
        for body in
            [r#"{"status":"degraded"}"#, r#"{"status":null}"#, r#"{"status":{"ok":1}}"#, "{}", "[]", r#""ok""#, "1"]
        {
            assert_eq!(Api::Health.read_body(body.as_bytes()), failed("status is ok", 0), "{body}");
        }
        assert_eq!(Api::Health.read_body(b"ok"), Err(Flaw::BadJson));
        assert_eq!(Api::Health.read_body(b""), Ok(passed(0)), "vLLM and others say 200 and nothing else");
        assert_eq!(Api::Health.read_body(br#"{"status":"ok"} x"#), Err(Flaw::BadJson));
    }

    #[test]
    fn models_are_a_list() {
        assert_eq!(
            Api::Models.read_body(br#"{"object":"list","data":[{"id":"gpt-5","object":"model"}]}"#),
            Ok(passed(2))
        );
        assert_eq!(Api::Models.read_body(br#"{ "data" : [ ] , "object" : "list" }"#), Ok(passed(2)));
        assert_eq!(Api::Models.read_body(br#"{"object":"list","data":{}}"#), failed("data is an array", 0));
        assert_eq!(Api::Models.read_body(br#"{"object":"list"}"#), failed("data is an array", 0));
        assert_eq!(Api::Models.read_body(br#"{"object":"lists","data":[]}"#), failed("object is list", 1));
        assert_eq!(Api::Models.read_body(b"<html>"), Err(Flaw::BadJson));
    }

    #[test]
    fn models_of_anthropic_are_a_list_that_does_not_say_so() {
        assert_eq!(
            Api::AnthropicModels.read_body(br#"{"data":[{"type":"model","id":"claude-opus-4-5"}]}"#),
            Ok(passed(1))
        );
        assert_eq!(Api::AnthropicModels.read_body(br#"{"models":[]}"#), failed("data is an array", 0));
    }

    #[test]
    fn a_model_has_an_id() {
        assert_eq!(
            Api::Model.read_body(br#"{"id":"gpt-5","object":"model","created":1,"owned_by":"openai"}"#),
            Ok(passed(1))
        );
        assert_eq!(Api::Model.read_body(br#"{"id":""}"#), failed("has id", 0));
        assert_eq!(Api::Model.read_body(br#"{"error":{"message":"no such model"}}"#), failed("has id", 0));
        assert_eq!(Api::Model.read_body(b"{\"id\":\"\xff\"}"), Err(Flaw::BadJson), "not UTF-8");
    }

    #[test]
    fn statistics_have_their_numbers() {
        assert_eq!(
            Api::Stats.read_body(br#"{"uptime_secs":12,"total_requests":3,"model_requests":{"gpt-5":3}}"#),
            Ok(passed(2))
        );
        assert_eq!(Api::Stats.read_body(br#"{"uptime_secs":1.5,"total_requests":0}"#), Ok(passed(2)));
        assert_eq!(Api::Stats.read_body(br#"{"uptime_secs":1}"#), failed("has total_requests", 0));
        assert_eq!(Api::Stats.read_body(br#"{"total_requests":1,"uptime_secs":"1"}"#), failed("has uptime_secs", 1));
        let deep = format!("{{\"x\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(
            Api::Stats.read_body(deep.as_bytes()),
            failed("has total_requests", 0),
            "depth is no reason to panic"
        );
    }
}
