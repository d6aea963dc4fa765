//! The endpoints that generate nothing: health, models, statistics.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::{Answer, Flaw};

/// The fields that any of these answers is judged by, as they stand.
#[derive(Debug, Default, Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    total_requests: Option<&'a RawValue>,
    #[serde(borrow)]
    uptime_secs: Option<&'a RawValue>,
}

pub(super) fn read_health(body: &[u8]) -> Result<Answer, Flaw> {
    let fields = read(body)?;
    judge(&[("status is ok", is_text(fields.status, |status| status == "ok"))])
}

pub(super) fn read_models(body: &[u8]) -> Result<Answer, Flaw> {
    let fields = read(body)?;
    let is_array = fields.data.is_some_and(|data| data.get().starts_with('['));
    judge(&[("data is an array", is_array), ("object is list", is_text(fields.object, |object| object == "list"))])
}

/// Anthropic's list says nothing of being one.
pub(super) fn read_anthropic_models(body: &[u8]) -> Result<Answer, Flaw> {
    let fields = read(body)?;
    judge(&[("data is an array", fields.data.is_some_and(|data| data.get().starts_with('[')))])
}

pub(super) fn read_model(body: &[u8]) -> Result<Answer, Flaw> {
    let fields = read(body)?;
    judge(&[("has id", is_text(fields.id, |id| !id.is_empty()))])
}

pub(super) fn read_stats(body: &[u8]) -> Result<Answer, Flaw> {
    let fields = read(body)?;
    judge(&[
        ("has total_requests", is_number(fields.total_requests)),
        ("has uptime_secs", is_number(fields.uptime_secs)),
    ])
}

/// The fields of an answer; JSON that is no object has none of them, and fails the checks instead of being called broken.
fn read(body: &[u8]) -> Result<Fields<'_>, Flaw> {
    serde_json::from_slice(body).or_else(|_| match serde_json::from_slice::<IgnoredAny>(body) {
        Ok(_) => Ok(Fields::default()),
        Err(_) => Err(Flaw::BadJson),
    })
}

/// The first check that does not hold, else an answer in which all do.
fn judge(checks: &[(&'static str, bool)]) -> Result<Answer, Flaw> {
    match checks.iter().position(|(_, holds)| !holds) {
        Some(held) => Err(Flaw::Check { name: checks[held].0, held: held as u8 }),
        None => Ok(Answer { usage: None, checks: checks.len() as u8 }),
    }
}

fn is_text(value: Option<&RawValue>, holds: impl Fn(&str) -> bool) -> bool {
    value.is_some_and(|value| serde_json::from_str::<String>(value.get()).is_ok_and(|text| holds(&text)))
}

fn is_number(value: Option<&RawValue>) -> bool {
    value.is_some_and(|value| serde_json::from_str::<f64>(value.get()).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(name: &'static str, held: u8) -> Result<Answer, Flaw> {
        Err(Flaw::Check { name, held })
    }

    const fn passed(checks: u8) -> Answer {
        Answer { usage: None, checks }
    }

    #[test]
    fn health_must_be_ok() {
        assert_eq!(read_health(br#"{"service":"llmsim","status":"ok"}"#), Ok(passed(1)));
        for body in
            [r#"{"status":"degraded"}"#, r#"{"status":null}"#, r#"{"status":{"ok":1}}"#, "{}", "[]", r#""ok""#, "1"]
        {
            assert_eq!(read_health(body.as_bytes()), failed("status is ok", 0), "{body}");
        }
        assert_eq!(read_health(b"ok"), Err(Flaw::BadJson));
        assert_eq!(read_health(b""), Err(Flaw::BadJson));
        assert_eq!(read_health(br#"{"status":"ok"} x"#), Err(Flaw::BadJson));
    }

    #[test]
    fn models_are_a_list() {
        assert_eq!(read_models(br#"{"object":"list","data":[{"id":"gpt-5","object":"model"}]}"#), Ok(passed(2)));
        assert_eq!(read_models(br#"{ "data" : [ ] , "object" : "list" }"#), Ok(passed(2)));
        assert_eq!(read_models(br#"{"object":"list","data":{}}"#), failed("data is an array", 0));
        assert_eq!(read_models(br#"{"object":"list"}"#), failed("data is an array", 0));
        assert_eq!(read_models(br#"{"object":"lists","data":[]}"#), failed("object is list", 1));
        assert_eq!(read_models(b"<html>"), Err(Flaw::BadJson));
    }

    #[test]
    fn models_of_anthropic_are_a_list_that_does_not_say_so() {
        assert_eq!(read_anthropic_models(br#"{"data":[{"type":"model","id":"claude-opus-4-5"}]}"#), Ok(passed(1)));
        assert_eq!(read_anthropic_models(br#"{"models":[]}"#), failed("data is an array", 0));
    }

    #[test]
    fn a_model_has_an_id() {
        assert_eq!(read_model(br#"{"id":"gpt-5","object":"model","created":1,"owned_by":"openai"}"#), Ok(passed(1)));
        assert_eq!(read_model(br#"{"id":""}"#), failed("has id", 0));
        assert_eq!(read_model(br#"{"error":{"message":"no such model"}}"#), failed("has id", 0));
        assert_eq!(read_model(b"{\"id\":\"\xff\"}"), failed("has id", 0), "not UTF-8");
    }

    #[test]
    fn statistics_have_their_numbers() {
        assert_eq!(read_stats(br#"{"uptime_secs":12,"total_requests":3,"model_requests":{"gpt-5":3}}"#), Ok(passed(2)));
        assert_eq!(read_stats(br#"{"uptime_secs":1.5,"total_requests":0}"#), Ok(passed(2)));
        assert_eq!(read_stats(br#"{"uptime_secs":1}"#), failed("has total_requests", 0));
        assert_eq!(read_stats(br#"{"total_requests":1,"uptime_secs":"1"}"#), failed("has uptime_secs", 1));
        let deep = format!("{{\"x\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(read_stats(deep.as_bytes()), failed("has total_requests", 0), "depth is no reason to panic");
    }
}
