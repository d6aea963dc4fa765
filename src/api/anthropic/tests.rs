use serde_json::{Map, Value, json};

use super::*;
use crate::api::{Api, LimitName};
use crate::metrics::TokenUsage;

fn read(data: &str) -> Result<Delta, Flaw> {
    Api::AnthropicMessages.read_event(&sse::Event { name: b"", data: data.as_bytes() })
}

/// Returns the kind of token in an event with this delta.
fn token(delta: &str) -> Option<Token> {
    read(&format!(r#"{{"type":"content_block_delta","index":0,"delta":{delta}}}"#)).expect("an event").token
}

const NOTHING: Result<Delta, Flaw> =
    Ok(Delta { token: None, usage: None, finish: None, done: false, odd: false, structured: false });

#[test]
fn deltas_are_tokens_unless_they_are_empty() {
    assert_eq!(token(r#"{"type":"text_delta","text":"Hi"}"#), Some(Token::Visible));
    assert_eq!(token(r#"{"text":" ","type":"text_delta"}"#), Some(Token::Visible));
    assert_eq!(token(r#"{"type":"input_json_delta","partial_json":"{"}"#), Some(Token::Visible));
    assert_eq!(token(r#"{"type":"thinking_delta","thinking":"Hm"}"#), Some(Token::Reasoning));
    for delta in [
        r#"{"type":"text_delta","text":""}"#,
        r#"{"type":"input_json_delta","partial_json":""}"#,
        r#"{"type":"thinking_delta","thinking":null}"#,
        r#"{"type":"signature_delta","signature":"EqQB"}"#,
        "{}",
        "null",
    ] {
        assert_eq!(token(delta), None, "{delta}");
    }
}

#[test]
fn a_block_begins_without_a_token_unless_it_names_a_tool() {
    let token = |block: &str| {
        read(&format!(r#"{{"type":"content_block_start","index":1,"content_block":{block}}}"#)).expect("an event").token
    };
    assert_eq!(token(r#"{"type":"text","text":""}"#), None);
    assert_eq!(token(r#"{"type":"thinking","thinking":"","signature":""}"#), None);
    assert_eq!(token(r#"{"type":"tool_use","id":"toolu_1","name":"f","input":{}}"#), Some(Token::Visible));
    assert_eq!(read(r#"{"type":"content_block_stop","delta":{"text":"Hi"}}"#), NOTHING);
}

#[test]
fn usage_comes_at_both_ends_and_the_last_word_holds() {
    let start = read(r#"{"type":"message_start","message":{"usage":{"input_tokens":11,"output_tokens":1}}}"#);
    let start = start.expect("an event").usage.expect("a bill");
    assert_eq!(start, TokenUsage { input: 11, output: 1, reasoning: 0, cached: 0, written: 0 });
    let end = read(r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":40}}"#);
    let end = end.expect("an event");
    assert!(!end.done);
    let mut usage = start;
    usage.update(end.usage.expect("a bill"));
    assert_eq!(usage, TokenUsage { input: 11, output: 40, reasoning: 0, cached: 0, written: 0 });
    assert_eq!(read(r#"{"type":"message_stop"}"#), Ok(Delta { done: true, ..Delta::default() }));
}

#[test]
fn what_the_cache_read_and_wrote_is_a_part_of_the_prompt() {
    let usage =
        r#"{"input_tokens":4522,"cache_creation_input_tokens":7,"cache_read_input_tokens":4511,"output_tokens":1}"#;
    let wanted = Some(TokenUsage { input: 9040, output: 1, reasoning: 0, cached: 4511, written: 7 });
    let start = format!(r#"{{"type":"message_start","message":{{"usage":{usage}}}}}"#);
    assert_eq!(read(&start).unwrap().usage, wanted);
    let body = format!(r#"{{"type":"message","content":[{{"type":"text","text":"a"}}],"usage":{usage}}}"#);
    assert_eq!(
        Api::AnthropicMessages.read_body(body.as_bytes()),
        Ok(Answer { usage: wanted, finish: None, checks: 3 })
    );
    // A template learned from one of these inputs must not match another.
    let mut reader = crate::api::Reader::new(Api::AnthropicMessages, false);
    for input in ["4522", "4523", "1", "4522"] {
        let data = start.replace("4522", input);
        let event = sse::Event { name: b"", data: data.as_bytes() };
        assert_eq!(reader.read_event(&event), Api::AnthropicMessages.read_event(&event), "{data}");
    }
}

#[test]
fn what_is_not_as_documented_is_told() {
    for data in ["1", r#"{"delta":"text"}"#, r#"{"message":[1]}"#] {
        assert!(read(data).unwrap().odd, "{data}");
    }
}

#[test]
fn the_type_in_the_data_beats_the_name_of_the_event() {
    let named =
        |name: &'static [u8], data: &'static [u8]| Api::AnthropicMessages.read_event(&sse::Event { name, data });
    assert!(named(b"message_stop", b"{}").is_ok_and(|delta| delta.done));
    assert!(named(b"message_stop", br#"{"type":"ping"}"#).is_ok_and(|delta| !delta.done));
    assert_eq!(named(b"error", br#"{"type":"ping"}"#), Err(Flaw::Error));
    assert_eq!(named(b"error", b"overloaded"), Err(Flaw::Error));
    assert_eq!(named(b"\xff", b"{}"), NOTHING);
}

#[test]
fn errors_pings_and_nonsense_are_told_apart() {
    for data in [
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
        r#"{"type":"error"}"#,
        r#"{"type":"error","delta":1}"#,
        r#"{"error":"x"}"#,
    ] {
        assert_eq!(read(data), Err(Flaw::Error), "{data}");
    }
    for data in ["", "[DONE]", r#"{"type":"ping"}"#, "\"\"", "[]", "null", r#"{"delta":null}"#] {
        assert_eq!(read(data), NOTHING, "{data}");
    }
    for data in ["hello", "{", "{} x"] {
        assert_eq!(read(data), Err(Flaw::BadJson), "{data}");
    }
}

const PLAIN: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-opus-4-5",
    "content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":11,"output_tokens":6}}"#;

#[test]
fn a_plain_answer_is_checked() {
    let usage = Some(TokenUsage { input: 11, output: 6, reasoning: 0, cached: 0, written: 0 });
    assert_eq!(
        Api::AnthropicMessages.read_body(PLAIN.as_bytes()),
        Ok(Answer { usage, finish: Some(crate::metrics::Finish::Stop), checks: 3 })
    );
    let failed = |name, held| Err(Flaw::Check { name, held });
    for (body, wanted) in [
        ("{}".to_owned(), failed("type is message", 0)),
        (PLAIN.replace(r#"[{"type":"text","text":"Hi"}]"#, "[]"), failed("has content", 1)),
        (
            PLAIN.replace("11", "0").replace('6', "0"),
            Err(Flaw::NoUsage { held: 2, finish: Some(crate::metrics::Finish::Stop) }),
        ),
        (r#"{"type":"error","error":{"type":"api_error"}}"#.to_owned(), Err(Flaw::Error)),
        ("<html>".to_owned(), Err(Flaw::BadJson)),
    ] {
        assert_eq!(Api::AnthropicMessages.read_body(body.as_bytes()), wanted, "{body}");
    }
}

#[test]
fn a_count_is_a_number_above_zero() {
    assert_eq!(
        Api::AnthropicCountTokens.read_body(br#"{"input_tokens":11}"#),
        Ok(Answer { usage: None, finish: None, checks: 1 })
    );
    for body in ["{}", "11", r#"{"input_tokens":0}"#, r#"{"input_tokens":"11"}"#, r#"{"input_tokens":-1}"#] {
        assert_eq!(
            Api::AnthropicCountTokens.read_body(body.as_bytes()),
            Err(Flaw::Check { name: "has input_tokens", held: 0 }),
            "{body}"
        );
    }
    assert_eq!(Api::AnthropicCountTokens.read_body(br#"{"type":"error","error":{}}"#), Err(Flaw::Error));
}

#[test]
fn a_body_is_what_the_api_wants() {
    let no: &Map<String, Value> = &Map::new();
    let filled = |pieces: &[Piece]| crate::api::tests::filled(pieces);
    let messages = json!([{"role": "user", "content": "say \"hi\""}]);
    assert_eq!(
        filled(&body(&Ask {
            stream: true,
            websocket: false,
            max_tokens: true,
            exact: false,
            limit_name: LimitName::default(),
            history: None,
            picture: None,
            extra: no
        })),
        json!({"model": "m", "max_tokens": 50, "messages": messages, "stream": true})
    );
    assert_eq!(
        filled(&body(&Ask {
            stream: false,
            websocket: false,
            max_tokens: false,
            exact: false,
            limit_name: LimitName::default(),
            history: None,
            picture: None,
            extra: no
        }))["max_tokens"],
        1024,
        "it must be there"
    );
    assert_eq!(
        filled(&count_body(&Ask {
            stream: false,
            websocket: false,
            max_tokens: false,
            exact: false,
            limit_name: LimitName::default(),
            history: None,
            picture: None,
            extra: no
        })),
        json!({"model": "m", "messages": messages})
    );
}
