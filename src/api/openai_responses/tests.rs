use serde_json::{Map, Value, json};

use super::*;
use crate::api::{Api, LimitName};
use crate::metrics::TokenUsage;

fn read(data: &str) -> Result<Delta, Flaw> {
    Api::OpenaiResponses.read_event(&sse::Event { name: b"", data: data.as_bytes() })
}

/// Reads an event of this type with these fields.
fn typed(kind: &str, fields: &str) -> Delta {
    read(&format!(r#"{{"type":"response.{kind}","sequence_number":7,{fields}}}"#)).expect("an event")
}

const NOTHING: Result<Delta, Flaw> =
    Ok(Delta { token: None, usage: None, finish: None, done: false, odd: false, structured: false });

#[test]
fn deltas_are_tokens_unless_they_are_empty() {
    for kind in ["output_text", "function_call_arguments", "refusal", "mcp_call_arguments", "custom_tool_call_input"] {
        let kind = format!("{kind}.delta");
        assert_eq!(typed(&kind, r#""delta":"Hi""#).token, Some(Token::Visible), "{kind}");
        assert_eq!(typed(&kind, r#""delta":"""#).token, None, "{kind}");
        assert_eq!(typed(&kind, r#""delta":null"#).token, None, "{kind}");
    }
    for kind in ["reasoning_summary_text.delta", "reasoning_text.delta", "reasoning.delta"] {
        assert_eq!(typed(kind, r#""delta":"Hm""#).token, Some(Token::Reasoning), "{kind}");
    }
}

#[test]
fn what_repeats_the_deltas_is_no_token() {
    for (kind, fields) in [
        ("output_text.done", r#""text":"Hi""#),
        ("content_part.done", r#""part":{"type":"output_text","text":"Hi"}"#),
        ("output_item.done", r#""item":{"type":"function_call","name":"f","arguments":"{}"}"#),
        ("output_item.added", r#""item":{"type":"message","content":[]}"#),
        ("in_progress", r#""delta":"Hi""#),
    ] {
        assert_eq!(typed(kind, fields), Delta::default(), "{kind}");
    }
    let call = typed("output_item.added", r#""item":{"type":"function_call","name":"get_weather","arguments":""}"#);
    assert_eq!(call.token, Some(Token::Visible), "a function's name is generated");
}

#[test]
fn the_type_in_the_data_beats_the_name_of_the_event() {
    let named = |name: &'static str, data: &'static str| {
        Api::OpenaiResponses.read_event(&sse::Event { name: name.as_bytes(), data: data.as_bytes() })
    };
    let token = |read: Result<Delta, Flaw>| read.expect("an event").token;
    assert_eq!(token(named("response.output_text.delta", r#"{"delta":"Hi"}"#)), Some(Token::Visible));
    assert_eq!(token(named("response.output_text.delta", r#"{"type":"ping","delta":"Hi"}"#)), None);
    assert!(named("response.completed", "{}").is_ok_and(|delta| delta.done));
    assert_eq!(named("error", r#"{"type":"ping"}"#), Err(Flaw::Error));
    assert_eq!(named("\u{0}", "{}"), NOTHING);
}

#[test]
fn the_end_brings_the_bill() {
    let end = typed(
        "completed",
        r#""response":{"status":"completed","error":null,"usage":{"input_tokens":3,"output_tokens":9,
        "output_tokens_details":{"reasoning_tokens":4},"total_tokens":12}}"#,
    );
    let usage = Some(TokenUsage { input: 3, output: 9, reasoning: 4, cached: 0, written: 0 });
    assert_eq!(
        end,
        Delta {
            token: None,
            usage,
            finish: Some(crate::metrics::Finish::Stop),
            done: true,
            odd: false,
            structured: true
        }
    );
    for usage in ["null", "{}", "[]", r#"{"input_tokens":0,"output_tokens":0}"#] {
        assert_eq!(typed("created", &format!(r#""response":{{"usage":{usage}}}"#)), Delta::default(), "{usage}");
    }
    assert_eq!(read("[DONE]"), NOTHING, "what a proxy adds is not the end");
}

#[test]
fn failures_and_incomplete_answers_are_told() {
    for data in [
        r#"{"type":"error","code":"server_error","message":"x","param":null}"#,
        r#"{"type":"response.failed","response":{"status":"failed"}}"#,
        r#"{"error":{"message":"x"}}"#,
        r#"{"type":"response.output_text.delta","delta":"Hi","error":"x"}"#,
        r#"{"type":"error","response":[]}"#,
    ] {
        assert_eq!(read(data), Err(Flaw::Error), "{data}");
    }
    for details in ["{}", r#"{"incomplete_details":null}"#, r#"{"incomplete_details":{"reason":"content_filter"}}"#] {
        let data = format!(r#"{{"type":"response.incomplete","response":{details}}}"#);
        assert_eq!(read(&data), Err(Flaw::Incomplete), "{data}");
    }
    for error in ["0", "{}", "null", "\"\""] {
        assert_eq!(read(&format!(r#"{{"type":"ping","error":{error}}}"#)), NOTHING, "{error}");
    }
}

#[test]
fn an_answer_that_has_reached_its_own_limit_is_whole() {
    let response = r#""status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},
        "usage":{"input_tokens":11,"output_tokens":32,"input_tokens_details":{"cached_tokens":3}}"#;
    let usage = Some(TokenUsage { input: 11, output: 32, reasoning: 0, cached: 3, written: 0 });
    assert_eq!(
        typed("incomplete", &format!(r#""response":{{{response}}}"#)),
        Delta {
            token: None,
            usage,
            finish: Some(crate::metrics::Finish::Length),
            done: true,
            odd: false,
            structured: true
        }
    );
    let open =
        sse::Event { name: b"response.incomplete", data: &format!(r#"{{"response":{{{response}}}}}"#).into_bytes() };
    assert_eq!(Api::Openresponses.read_event(&open).map(|delta| delta.done), Ok(false), "its end is [DONE]");
    let body = format!(r#"{{"object":"response","output":[{{"type":"reasoning"}}],{response}}}"#);
    assert_eq!(
        Api::OpenaiResponses.read_body(body.as_bytes()),
        Ok(Answer { usage, finish: Some(crate::metrics::Finish::Length), checks: 3 })
    );
    let filtered = body.replace("max_output_tokens", "content_filter");
    assert_eq!(Api::OpenaiResponses.read_body(filtered.as_bytes()), Err(Flaw::Incomplete));
}

#[test]
fn events_that_mean_nothing_are_no_flaw_and_what_is_no_json_is_one() {
    for data in ["", " ", "\"\"", "{}", "null", "[]", r#"{"type":1}"#, r#"{"type":"ping"}"#, r#"{"response":null}"#] {
        assert_eq!(read(data), NOTHING, "{data}");
    }
    for data in ["hello", "{", r#"{"type":}"#, "{} x"] {
        assert_eq!(read(data), Err(Flaw::BadJson), "{data}");
    }
}

const PLAIN: &str = r#"{"id":"resp_1","object":"response","created_at":1764000000,"status":"completed","error":null,
    "output":[{"type":"message","content":[{"type":"output_text","text":"Hi"}]}],
    "usage":{"input_tokens":8,"output_tokens":12,"total_tokens":20,"output_tokens_details":{"reasoning_tokens":3}}}"#;

#[test]
fn a_plain_answer_is_checked() {
    let usage = Some(TokenUsage { input: 8, output: 12, reasoning: 3, cached: 0, written: 0 });
    assert_eq!(
        Api::OpenaiResponses.read_body(PLAIN.as_bytes()),
        Ok(Answer { usage, finish: Some(crate::metrics::Finish::Stop), checks: 3 })
    );
    let failed = |name, held| Err(Flaw::Check { name, held });
    for (body, wanted) in [
        ("{}".to_owned(), failed("object is response", 0)),
        ("[]".to_owned(), failed("object is response", 0)),
        (PLAIN.replace(r#"[{"type":"message""#, r#"[],"x":[{"type":"message""#), failed("has output", 1)),
        (
            PLAIN.replace("\"usage\"", "\"use\""),
            Err(Flaw::NoUsage { held: 2, finish: Some(crate::metrics::Finish::Stop) }),
        ),
        (PLAIN.replace("completed", "failed"), Err(Flaw::Error)),
        (PLAIN.replace("\"error\":null", "\"error\":{\"code\":1}"), Err(Flaw::Error)),
        (PLAIN.replace("completed", "incomplete"), Err(Flaw::Incomplete)),
        (PLAIN[1..].to_owned(), Err(Flaw::BadJson)),
        (String::new(), Err(Flaw::BadJson)),
    ] {
        assert_eq!(Api::OpenaiResponses.read_body(body.as_bytes()), wanted, "{body}");
    }
}

#[test]
fn a_body_is_what_the_api_wants() {
    let filled = |stream, max_tokens, extra: &Value| {
        let extra: &Map<_, _> = extra.as_object().expect("an object");
        crate::api::tests::filled(&body(&Ask {
            stream,
            websocket: false,
            max_tokens,
            exact: false,
            limit_name: LimitName::default(),
            history: None,
            picture: None,
            extra,
        }))
    };
    assert_eq!(
        filled(true, true, &json!({})),
        json!({"model": "m", "input": "say \"hi\"", "stream": true, "max_output_tokens": 50})
    );
    assert_eq!(
        filled(false, false, &json!({"reasoning": {"effort": "low"}, "input": []})),
        json!({"model": "m", "input": [], "stream": false, "reasoning": {"effort": "low"}})
    );
}
