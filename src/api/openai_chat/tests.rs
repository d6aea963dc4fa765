use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::api::Api;
use serde::de::{IgnoredAny, Visitor};

fn read(data: &str) -> Result<Delta, Flaw> {
    Api::OpenaiChat.read_event(&sse::Event { name: b"", data: data.as_bytes() })
}

/// Returns the kind of token in an event with this delta.
fn token(delta: &str) -> Option<Token> {
    read(&format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#)).unwrap().token
}

const NOTHING: Result<Delta, Flaw> =
    Ok(Delta { token: None, usage: None, finish: None, done: false, odd: false, structured: false });

#[test]
fn text_that_is_not_utf8_is_no_json_wherever_it_stands() {
    for data in [
        &b"{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\xff\"}}]}"[..],
        b"{\"choices\":[],\"usage\":{\"\xc3\":1}}",
        b"[\"\xe2\x82\"]",
    ] {
        assert_eq!(Api::OpenaiChat.read_event(&sse::Event { name: b"", data }), Err(Flaw::BadJson));
        assert_eq!(Api::OpenaiChat.read_body(data), Err(Flaw::BadJson));
    }
    // The SSE decoder has already rejoined characters that were split between two reads.
    assert_eq!(token(r#"{"content":"€"}"#), Some(Token::Visible));
}

#[test]
fn content_is_a_token_unless_it_is_empty() {
    assert_eq!(token(r#"{"content":"Hi"}"#), Some(Token::Visible));
    assert_eq!(token(r#"{"role":"assistant","content":" "}"#), Some(Token::Visible));
    assert_eq!(token(r#"{ "content" : "\"" }"#), Some(Token::Visible));
    assert_eq!(token(r#"{"content":"null"}"#), Some(Token::Visible));
    assert_eq!(token(r#"{"content":[{"type":"text","text":"Hi"}]}"#), Some(Token::Visible), "as Mistral sends it");
    assert_eq!(token(r#"{"content":"\ud83d"}"#), Some(Token::Visible), "half an emoji, cut by a tokenizer");
    assert_eq!(token(r#"{"refusal":"No"}"#), Some(Token::Visible));
    for delta in
        ["{}", "null", r#"{"role":"assistant"}"#, r#"{"content":""}"#, r#"{"content":null}"#, r#"{"content":[]}"#]
    {
        assert_eq!(token(delta), None, "{delta}");
    }
}

#[test]
fn reasoning_is_a_token_of_its_own_kind() {
    assert_eq!(token(r#"{"reasoning_content":"a"}"#), Some(Token::Reasoning));
    assert_eq!(token(r#"{"reasoning":"a","content":""}"#), Some(Token::Reasoning));
    assert_eq!(token(r#"{"reasoning":"a","reasoning_content":"a"}"#), Some(Token::Reasoning));
    assert_eq!(token(r#"{"reasoning_content":"","reasoning":null}"#), None);
    assert_eq!(token(r#"{"reasoning_content":"a","content":"b"}"#), Some(Token::Visible));
}

#[test]
fn tool_calls_are_tokens() {
    assert_eq!(token(r#"{"tool_calls":[{"index":0,"function":{"name":"f","arguments":""}}]}"#), Some(Token::Visible));
    assert_eq!(token(r#"{"tool_calls":[{"index":0},{"index":1,"function":{"arguments":"{"}}]}"#), Some(Token::Visible));
    assert_eq!(token(r#"{"tool_calls":[{"function":{"arguments":{"a":1}}}]}"#), Some(Token::Visible));
    assert_eq!(token(r#"{"function_call":{"name":"f"}}"#), Some(Token::Visible));
    for delta in [
        r#"{"tool_calls":[]}"#,
        r#"{"tool_calls":null,"function_call":null}"#,
        r#"{"tool_calls":[{"index":0,"id":"call_1","function":{"name":null,"arguments":""}}]}"#,
        r#"{"function_call":{"arguments":""}}"#,
    ] {
        assert_eq!(token(delta), None, "{delta}");
    }
}

#[test]
fn every_choice_counts() {
    let token = |choices: &str| read(&format!(r#"{{"choices":{choices}}}"#)).unwrap().token;
    assert_eq!(token(r#"[{"index":1,"delta":{"content":"a"}}]"#), Some(Token::Visible));
    assert_eq!(token(r#"[{"delta":{}},{"delta":{"content":"a"}},{"delta":{}}]"#), Some(Token::Visible));
    assert_eq!(token(r#"[{"delta":{"reasoning":"a"}},{"delta":{"content":"a"}}]"#), Some(Token::Visible));
    assert_eq!(token(r#"[{"delta":{"content":"a"}},{"delta":{"reasoning":"a"}}]"#), Some(Token::Visible));
    assert_eq!(token(r#"[{"delta":{"reasoning":"a"}},{"delta":{}}]"#), Some(Token::Reasoning));
    assert_eq!(token(r#"[{"index":0},{}]"#), None);
    assert_eq!(token("[]"), None);
    assert_eq!(token("null"), None);
}

#[test]
fn a_finish_reason_is_neither_a_token_nor_the_end() {
    use crate::metrics::Finish::{Length, Other, Stop, Tools};
    for (reason, finish) in [
        (r#""stop""#, Some(Stop)),
        (r#""length""#, Some(Length)),
        (r#""tool_calls""#, Some(Tools)),
        (r#""content_filter""#, Some(Other)),
        ("null", None),
        (r#""""#, None),
    ] {
        let read = |delta: &str| read(&format!(r#"{{"choices":[{{"delta":{delta},"finish_reason":{reason}}}]}}"#));
        assert_eq!(read("{}"), Ok(Delta { finish, ..Delta::default() }), "{reason}");
        assert_eq!(read(r#"{"content":"a"}"#).map(|delta| delta.token), Ok(Some(Token::Visible)), "{reason}");
    }
}

#[test]
fn usage_is_read_in_every_chunk() {
    let usage = |usage: &str| read(&format!(r#"{{"choices":[],"usage":{usage}}}"#)).unwrap().usage;
    let tokens = |input, output, reasoning| Some(TokenUsage { input, output, reasoning, cached: 0, written: 0 });
    assert_eq!(usage(r#"{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}"#), tokens(1, 2, 0));
    assert_eq!(
        usage(r#"{"completion_tokens":2,"completion_tokens_details":{"reasoning_tokens":1,"audio_tokens":0}}"#),
        tokens(0, 2, 1)
    );
    assert_eq!(
        usage(r#"{"prompt_tokens":1,"completion_tokens":null,"completion_tokens_details":null}"#),
        tokens(1, 0, 0)
    );
    assert_eq!(
        usage(r#"{"prompt_tokens":99999999999999999999999,"completion_tokens":4294967296}"#),
        tokens(u32::MAX, u32::MAX, 0)
    );
    assert_eq!(usage(r#"{"prompt_tokens":-1,"completion_tokens":2.0}"#), tokens(0, 2, 0));
    assert_eq!(usage(r#"{"prompt_tokens":4294967295,"completion_tokens":16777217}"#), tokens(u32::MAX, 16_777_217, 0));
    for nothing in ["null", "{}", "[]", "1", r#"{"prompt_tokens":"1"}"#, r#"{"prompt_tokens":0}"#] {
        assert_eq!(usage(nothing), None, "{nothing}");
    }
}

#[test]
fn done_is_the_terminal_event() {
    let done = Ok(Delta { done: true, ..Delta::default() });
    assert_eq!(read("[DONE]"), done);
    assert_eq!(read(" [DONE] "), done);
    assert_eq!(read("[done]"), Err(Flaw::BadJson));
    assert_eq!(read("\"[DONE]\""), Ok(Delta { odd: true, ..Delta::default() }));
}

#[test]
fn events_that_mean_nothing_are_no_flaw() {
    for data in [
        "",
        " ",
        "\"\"",
        r#"{"type":"ping"}"#,
        "{}",
        "null",
        "[]",
        r#"{"choices":null}"#,
        r#"{"choices":{}}"#,
        r#"{"usage":[]}"#,
    ] {
        assert_eq!(read(data), NOTHING, "{data}");
    }
    assert_eq!(Api::OpenaiChat.read_event(&sse::Event { name: b"ping", data: b"{}" }), NOTHING);
}

#[test]
fn what_is_not_as_documented_is_told_and_the_rest_is_read() {
    let odd = Ok(Delta { odd: true, ..Delta::default() });
    for data in [
        "1",
        "\"a\"",
        "[1]",
        r#"{"choices":[1]}"#,
        r#"{"choices":{"a":1}}"#,
        r#"{"choices":[{"delta":"a"}]}"#,
        r#"{"usage":1}"#,
    ] {
        assert_eq!(read(data), odd, "{data}");
    }
    let token = Ok(Delta { token: Some(Token::Visible), odd: true, ..Delta::default() });
    assert_eq!(read(r#"{"choices":[{"delta":{"content":"a"}}],"usage":1}"#), token);
}

#[test]
fn the_last_of_a_key_that_stands_twice_counts() {
    assert_eq!(token(r#"{"reasoning_content":"a","reasoning_content":"a"}"#), Some(Token::Reasoning));
    assert_eq!(token(r#"{"content":"a","content":""}"#), None);
    assert_eq!(token(r#"{"content":[{"type":"text","text":"a"}],"content":null}"#), None);
    assert_eq!(read(r#"{"choices":[{"delta":{"content":"a"}}],"choices":[]}"#), NOTHING);
    assert_eq!(read(r#"{"error":{"code":1},"error":null}"#), NOTHING);
    let bill = r#"{"usage":{"prompt_tokens":7,"prompt_tokens":8},"usage":{"completion_tokens":2}}"#;
    assert_eq!(read(bill).unwrap().usage, Some(TokenUsage { output: 2, ..TokenUsage::default() }));
}

#[test]
fn parts_of_a_content_are_text_or_thinking() {
    for (content, wanted) in [
        (r#"[{"type":"text","text":"a"}]"#, Some(Token::Visible)),
        (r#"[{"type":"thinking","thinking":[{"type":"text","text":"a"}]}]"#, Some(Token::Reasoning)),
        (r#"[{"type":"thinking","thinking":"a"}]"#, Some(Token::Reasoning)),
        (r#"[{"type":"reasoning","text":"a"}]"#, Some(Token::Reasoning)),
        (
            r#"[{"type":"thinking","thinking":[{"type":"text","text":"a"}]},{"type":"text","text":"b"}]"#,
            Some(Token::Visible),
        ),
        (r#"[{"type":"thinking","thinking":[{"type":"text","text":""}]},{"type":"text","text":""}]"#, None),
        (r#"[{"type":"reference","reference_ids":[1]}]"#, None),
        ("[]", None),
    ] {
        assert_eq!(token(&format!(r#"{{"content":{content}}}"#)), wanted, "{content}");
    }
}

#[test]
fn prompt_tokens_from_a_cache_are_a_part_of_the_prompt() {
    let bill = r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}}"#;
    assert_eq!(
        read(bill).unwrap().usage,
        Some(TokenUsage { input: 9, output: 2, reasoning: 0, cached: 4, written: 0 })
    );
}

#[test]
fn what_is_not_json_is_told() {
    for data in
        ["hello", ": keep-alive", "{", r#"{"choices":[}"#, r#"{"choices":[]} x"#, "[DONE", "<html>", "{'a':1}", "1 2"]
    {
        assert_eq!(read(data), Err(Flaw::BadJson), "{data}");
    }
}

#[test]
fn an_answer_that_was_aborted_is_a_failure() {
    for reason in ["error", "abort"] {
        let whole = format!(
            r#"{{"choices":[{{"message":{{"content":"a"}},"finish_reason":"{reason}"}}],"usage":{{"total_tokens":2}}}}"#
        );
        assert_eq!(Api::OpenaiChat.read_body(whole.as_bytes()), Err(Flaw::Error), "{reason}");
        let text = whole.replace(r#""message":{"content":"a"}"#, r#""text":"a""#);
        assert_eq!(Api::OpenaiCompletions.read_body(text.as_bytes()), Err(Flaw::Error), "{reason}");
    }
}

#[test]
fn an_error_in_a_stream_is_told() {
    for data in [
        r#"{"error":{"message":"overloaded","code":500}}"#,
        r#"{"error":"overloaded"}"#,
        r#"{"choices":[{"delta":{"content":""},"finish_reason":"error"}],"error":{"code":502}}"#,
        r#"{"choices":"none","error":{"code":502}}"#,
        r#"{"object":"error","message":"overloaded","code":40303}"#,
        r#"{"type":"error","message":"overloaded"}"#,
        r#"{"error":1}"#,
        r#"{"error":true}"#,
        r#"{"choices":[{"delta":{"content":"a"}},{"delta":{},"finish_reason":"error"}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":""},"finish_reason":"abort"}]}"#,
    ] {
        assert_eq!(read(data), Err(Flaw::Error), "{data}");
    }
    assert_eq!(Api::OpenaiChat.read_event(&sse::Event { name: b"error", data: b"overloaded" }), Err(Flaw::Error));
    for data in [
        r#"{"error":null,"choices":[]}"#,
        r#"{"error":""}"#,
        r#"{"error":{}}"#,
        r#"{"error":{ }}"#,
        r#"{"error":0}"#,
        r#"{"error":0.0}"#,
        r#"{"error":false}"#,
        r#"{"object":"errors"}"#,
    ] {
        assert_eq!(read(data), NOTHING, "{data}");
    }
}

#[test]
fn depth_is_no_reason_to_panic() {
    let nest = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for depth in [100, 200, 100_000] {
        let nested = nest(depth);
        assert_eq!(read(&nested), Ok(Delta { odd: true, ..Delta::default() }), "{depth}");
        assert_eq!(read(&"[".repeat(depth)), Err(Flaw::BadJson), "{depth}");
        assert_eq!(
            read(&format!(r#"{{"x":{nested},"choices":{nested}}}"#)),
            Ok(Delta { odd: true, ..Delta::default() }),
            "{depth}"
        );
        assert_eq!(token(&format!(r#"{{"x":{nested},"content":"a"}}"#)), Some(Token::Visible), "{depth}");
        assert_eq!(Api::OpenaiChat.read_body(nested.as_bytes()), Err(Flaw::Check { name: "has choices", held: 0 }));
    }
}

const PLAIN: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1764000000,"model":"gpt-5","choices":[{"index":0,
    "message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":8,"completion_tokens":12,
    "total_tokens":20,"completion_tokens_details":{"reasoning_tokens":3}}}"#;

#[test]
fn a_plain_answer_is_checked() {
    let usage = Some(TokenUsage { input: 8, output: 12, reasoning: 3, cached: 0, written: 0 });
    assert_eq!(
        Api::OpenaiChat.read_body(PLAIN.as_bytes()),
        Ok(Answer { usage, finish: Some(crate::metrics::Finish::Stop), checks: 2 })
    );
    let choices = Err(Flaw::Check { name: "has choices", held: 0 });
    let usage = Err(Flaw::NoUsage { held: 1, finish: None });
    for (body, wanted) in [
        ("{}", choices),
        (r#""Hi""#, choices),
        (r#"{"choices":[],"usage":{"total_tokens":1}}"#, choices),
        (r#"{"choices":{"a":1},"usage":{"total_tokens":1}}"#, choices),
        (r#"{"choices":[{}]}"#, usage),
        (r#"{"choices":[{}],"usage":null}"#, usage),
        (r#"{"choices":[{}],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}"#, usage),
        (r#"{"choices":[{}],"error":{"message":"x"}}"#, Err(Flaw::Error)),
        (r#"{"choices":[{"finish_reason":"error"}],"usage":{"total_tokens":1}}"#, Err(Flaw::Error)),
        ("", Err(Flaw::BadJson)),
        ("Internal Server Error", Err(Flaw::BadJson)),
        (&PLAIN[..PLAIN.len() - 1], Err(Flaw::BadJson)),
    ] {
        assert_eq!(Api::OpenaiChat.read_body(body.as_bytes()), wanted, "{body}");
    }
}

#[test]
fn a_bill_without_a_sum_is_a_bill() {
    let body = PLAIN.replace(r#""total_tokens":20,"#, "");
    let usage = Some(TokenUsage { input: 8, output: 12, reasoning: 3, cached: 0, written: 0 });
    assert_eq!(
        Api::OpenaiChat.read_body(body.as_bytes()),
        Ok(Answer { usage, finish: Some(crate::metrics::Finish::Stop), checks: 2 })
    );
}

/// Returns the parsed body with its holes filled.
fn filled(stream: bool, max_tokens: bool, extra: &Map<String, Value>) -> Value {
    let mut text = String::new();
    let mut last_was_text = false;
    for piece in body(&Ask {
        stream,
        websocket: false,
        max_tokens,
        limit_name: LimitName::default(),
        exact: false,
        history: None,
        picture: None,
        extra,
    }) {
        let is_text = matches!(piece, Piece::Text(_));
        assert!(!(is_text && last_was_text), "texts that meet are one piece");
        last_was_text = is_text;
        match piece {
            Piece::Text(piece) => text += &piece,
            Piece::Model => text += r#""gpt-5""#,
            Piece::Prompt => text += r#""say \"hi\"""#,
            Piece::MaxTokens => text += "50",
            piece => panic!("a turn of no conversation: {piece:?}"),
        }
    }
    let mut keys = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(&text);
    serde::Deserializer::deserialize_map(&mut stream, Keys(&mut keys)).unwrap();
    let unique: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(unique.len(), keys.len(), "a name twice in {text}");
    serde_json::from_str(&text).unwrap()
}

struct Keys<'k>(&'k mut Vec<String>);

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, _)) = map.next_entry::<String, IgnoredAny>()? {
            self.0.push(key);
        }
        Ok(())
    }
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap()
}

#[test]
fn a_body_is_what_the_api_wants() {
    let messages = json!([{"role": "user", "content": "say \"hi\""}]);
    assert_eq!(
        filled(true, true, &Map::new()),
        json!({"model": "gpt-5", "messages": messages, "stream": true, "max_tokens": 50})
    );
    assert_eq!(filled(false, false, &Map::new()), json!({"model": "gpt-5", "messages": messages, "stream": false}));
}

#[test]
fn extra_fields_win() {
    let extra = json!({"max_tokens": 7, "messages": [], "stream_options": {"include_usage": true}, "a\"b": "\u{1}"});
    assert_eq!(
        filled(true, true, object(&extra)),
        json!({"model": "gpt-5", "messages": [], "stream": true, "max_tokens": 7, "stream_options": {"include_usage": true},
            "a\"b": "\u{1}"})
    );
    let all = json!({"model": "m", "messages": 1, "stream": 2, "max_tokens": 3});
    assert_eq!(filled(true, true, object(&all)), all);
    assert_eq!(
        body(&Ask {
            stream: true,
            websocket: false,
            max_tokens: true,
            exact: false,
            limit_name: LimitName::default(),
            history: None,
            picture: None,
            extra: object(&all)
        })
        .len(),
        1,
        "nothing is left to be filled in"
    );
}

#[test]
fn a_limit_is_not_given_under_two_names() {
    let value = filled(true, true, object(&json!({"max_completion_tokens": 9})));
    assert_eq!((value.get("max_tokens"), &value["max_completion_tokens"]), (None, &json!(9)));
}

proptest! {
    #[test]
    fn any_body_is_valid_json(
        stream in any::<bool>(),
        max_tokens in any::<bool>(),
        names in prop::collection::vec(prop_oneof!["[a-z\"\\\\]{0,4}", Just("model".to_owned()), Just("stream".to_owned())], 0..6),
        text in any::<String>(),
    ) {
        let extra: Map<String, Value> = names.into_iter().map(|name| (name, Value::from(text.as_str()))).collect();
        let value = filled(stream, max_tokens, &extra);
        for (name, wanted) in &extra {
            prop_assert_eq!(&value[name], wanted);
        }
    }

    #[test]
    fn any_content_is_told_from_none(content in any::<String>()) {
        let delta = json!({"content": content}).to_string();
        prop_assert_eq!(token(&delta), (!content.is_empty()).then_some(Token::Visible));
    }

    #[test]
    fn bad_json_is_what_the_parser_refuses(
        parts in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", "\"choices\"", ":", ",", "\"delta\"", "\"content\"", "\"\"", "\"a\"", "1", "null", "\"usage\"", "{}",
            r#"{"choices":[{"delta":{"content":"a"}}]}"#, "\"error\"",
        ]), 1..10),
    ) {
        let data = parts.concat();
        let valid = serde_json::from_str::<Value>(&data).is_ok();
        prop_assert_eq!(read(&data) != Err(Flaw::BadJson), valid, "{}", data);
    }
}
