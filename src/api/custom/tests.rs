use super::*;
use crate::api::tests::filled;
use crate::api::{Api, LimitName, Reader};
use serde_json::json;
use std::sync::Arc;

fn at(pointer: &str, field: Field) -> (Pointer, Field) {
    (Pointer::parse(pointer).expect("a pointer"), field)
}

fn custom(framing: Framing, fields: Vec<(Pointer, Field)>, end_word: Option<&str>) -> Arc<Custom> {
    Arc::new(Custom { method: Method::Post, framing, fields, end_word: end_word.map(str::to_owned) })
}

/// Describes Ollama's own API.
fn ollama() -> Arc<Custom> {
    let fields = vec![
        at("/response", Field::Text),
        at("/thinking", Field::Reasoning),
        at("/prompt_eval_count", Field::InputTokens),
        at("/eval_count", Field::OutputTokens),
        at("/error", Field::Error),
        at("/done", Field::End(Some(json!(true)))),
    ];
    custom(Framing::Ndjson, fields, None)
}

/// Describes chat completions.
fn chat() -> Arc<Custom> {
    let fields = vec![
        at("/choices/0/delta/content", Field::Text),
        at("/choices/0/delta/reasoning_content", Field::Reasoning),
        at("/usage/prompt_tokens", Field::InputTokens),
        at("/usage/completion_tokens", Field::OutputTokens),
        at("/error", Field::Error),
    ];
    custom(Framing::Sse, fields, Some("[DONE]"))
}

fn read(custom: &Custom, data: &str) -> Result<Delta, Flaw> {
    custom.read_event(&sse::Event { name: b"", data: data.as_bytes() }, None)
}

fn usage(input: u32, output: u32) -> TokenUsage {
    TokenUsage { input, output, ..TokenUsage::default() }
}

#[test]
fn pointers_are_those_of_the_standard() {
    for (written, keys) in [
        ("/a", &["a"][..]),
        ("/a/0/b", &["a", "0", "b"]),
        ("/", &[""]),
        ("/a~1b/m~0n", &["a/b", "m~n"]),
        ("/~01", &["~1"]),
        ("/ä b", &["ä b"]),
    ] {
        let pointer = Pointer::parse(written).expect(written);
        assert_eq!(pointer.0.iter().map(|step| String::from_utf8_lossy(&step.key)).collect::<Vec<_>>(), keys);
        assert_eq!(pointer.to_string(), written);
    }
    for (written, problem) in [
        ("", BadPointer::NoSlash),
        ("a", BadPointer::NoSlash),
        ("$.a", BadPointer::NoSlash),
        ("/a~", BadPointer::BadEscape),
        ("/~2", BadPointer::BadEscape),
    ] {
        assert_eq!(Pointer::parse(written), Err(problem), "{written}");
    }
    let place = |written: &str| Pointer::parse(written).expect("a pointer").0[0].place;
    assert_eq!(["/0", "/12", "/01", "/-", "/a", "/+1"].map(place), [Some(0), Some(12), None, None, None, None]);
    let overlap = |a: &str, b: &str| Pointer::parse(a).expect("fine").overlaps(&Pointer::parse(b).expect("fine"));
    assert!(overlap("/a", "/a") && overlap("/a", "/a/b") && overlap("/a/b", "/a"));
    assert!(!overlap("/a", "/b") && !overlap("/a/b", "/a/c") && !overlap("/a", "/ab"));
}

#[test]
fn lines_of_ollama_are_tokens_a_bill_and_an_end() {
    let ollama = ollama();
    let line = |text: &str| read(&ollama, text);
    let token = |delta: Result<Delta, Flaw>| delta.map(|delta| (delta.token, delta.done, delta.usage));
    assert_eq!(token(line(r#"{"model":"m","response":" Hi","done":false}"#)), Ok((Some(Token::Visible), false, None)));
    assert_eq!(
        token(line(r#"{"response":"","thinking":"x","done":false}"#)),
        Ok((Some(Token::Reasoning), false, None))
    );
    assert_eq!(
        token(line(r#"{"response":"","done":true,"done_reason":"stop","prompt_eval_count":26,"eval_count":290}"#)),
        Ok((None, true, Some(usage(26, 290))))
    );
    assert_eq!(line(r#"{"error":"model not found"}"#), Err(Flaw::Error));
    assert_eq!(token(line(r#"{"error":null,"response":"a","done":"true"}"#)), Ok((Some(Token::Visible), false, None)));
    assert_eq!(line("<html>"), Err(Flaw::BadJson));
    assert_eq!(line(r#"{"response":"cut"#), Err(Flaw::BadJson));
    assert_eq!(token(line("")), Ok((None, false, None)));
    assert_eq!(token(line("[1,2]")), Ok((None, false, None)));
    assert!(line("\"text\"").is_ok_and(|delta| delta.odd), "an object was expected");
    let twice = r#"{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":3},"choices":[],"usage":1}"#;
    assert_eq!(read(&chat(), twice).map(|delta| (delta.token, delta.usage)), Ok((None, None)));
    assert_eq!(token(line(r#"{"response":"a","response":""}"#)), Ok((None, false, None)), "the last value holds");
}

#[test]
fn an_end_is_a_value_or_anything_or_a_word() {
    let end = |is: Option<Value>| custom(Framing::Sse, vec![at("/a/1", Field::End(is))], None);
    for (is, ends, goes_on) in [
        (Some(json!("stop")), r#"{"a":[0,"stop"]}"#, r#"{"a":[0,"stops"]}"#),
        (Some(json!("stop")), r#"{"a":[0,"st\u006fp"]}"#, r#"{"a":["stop"]}"#),
        (Some(json!(7)), r#"{"a":[0,7]}"#, r#"{"a":[0,8]}"#),
        (Some(json!(false)), r#"{"a":[0,false]}"#, r#"{"a":[0,null]}"#),
        (None, r#"{"a":[0,"x"]}"#, r#"{"a":[0,""]}"#),
        (None, r#"{"a":[0,{"b":1}]}"#, r#"{"a":[0,null]}"#),
    ] {
        let custom = end(is);
        assert_eq!(read(&custom, ends).map(|delta| delta.done), Ok(true), "{ends}");
        assert_eq!(read(&custom, goes_on).map(|delta| delta.done), Ok(false), "{goes_on}");
    }
    let word = custom(Framing::Sse, vec![at("/t", Field::Text)], Some("<end>"));
    assert_eq!(read(&word, " <end> ").map(|delta| delta.done), Ok(true));
    assert_eq!(read(&word, "[DONE]").map(|delta| delta.done), Ok(false), "another's word");
    assert_eq!(read(&word, "<end").map(|delta| delta.done), Err(Flaw::BadJson));
}

#[test]
fn chat_completions_that_are_described_are_read_as_the_built_in_ones() {
    let events = [
        r#"{"id":"c","choices":[{"index":0,"delta":{"role":"assistant"}}]}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{"content":""}}]}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{"content":"Hi"}}]}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{"content":" \"there\""}}]}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{"reasoning_content":"so"}}]}"#,
        r#"{"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
        r#"{"id":"d","choices":[],"usage":{"prompt_tokens":30,"completion_tokens":20,"total_tokens":50}}"#,
        r#"{"error":{"message":"x"}}"#,
        "{}",
        "[DONE]",
        "no JSON",
    ];
    for verify in [false, true] {
        let mut built_in = Reader::new(Api::OpenaiChat, verify);
        let mut described = Reader::new(Api::Template, verify).of(Some(chat()));
        // Twice, so that both readers have learned by the second time.
        for data in events.iter().chain(&events) {
            let event = sse::Event { name: b"", data: data.as_bytes() };
            let seen = |read: Result<Delta, Flaw>| read.map(|delta| (delta.token, delta.usage, delta.done));
            let mut lent = (String::new(), String::new());
            let one = built_in.read_text(&event, &mut |_, text| lent.0 += &String::from_utf8_lossy(text));
            let other = described.read_text(&event, &mut |_, text| lent.1 += &String::from_utf8_lossy(text));
            assert_eq!(seen(other), seen(one), "{data}");
            assert_eq!(lent.1, lent.0, "{data}");
        }
    }
}

#[test]
fn a_plain_answer_has_its_text_and_its_bill() {
    let fields = vec![
        at("/choices/0/message/content", Field::Text),
        at("/usage/in", Field::InputTokens),
        at("/usage/out", Field::OutputTokens),
        at("/error", Field::Error),
    ];
    let mut reader = Reader::new(Api::Template, true).of(Some(custom(Framing::Json, fields.clone(), None)));
    let mut plain = |body: &str| reader.read_body(body.as_bytes());
    for (text, tokens) in [("Hi", 2), ("Ho", 3)] {
        let body = format!(r#"{{"choices":[{{"message":{{"content":"{text}"}}}}],"usage":{{"in":1,"out":{tokens}}}}}"#);
        assert_eq!(plain(&body), Ok(Answer { usage: Some(usage(1, tokens)), finish: None, checks: 2 }));
    }
    assert_eq!(plain(r#"{"choices":[]}"#), Err(Flaw::Check { name: "has text", held: 0 }));
    assert_eq!(
        plain(r#"{"choices":[{"message":{"content":"Hi"}}]}"#),
        Err(Flaw::NoUsage { held: 1, finish: None }),
        "a bill is promised"
    );
    assert_eq!(plain(r#"{"error":"x"}"#), Err(Flaw::Error));
    assert_eq!(plain("{"), Err(Flaw::BadJson));
    let unbilled = custom(Framing::Json, fields[..1].to_vec(), None);
    let body = r#"{"choices":[{"message":{"content":"Hi"}}]}"#;
    assert_eq!(unbilled.read_body(body.as_bytes(), None), Ok(Answer { usage: None, finish: None, checks: 1 }));
}

#[test]
fn placeholders_give_way_to_texts_and_numbers() {
    let body = json!({
        "prompt": "{{prompt}}",
        "model": "{{model}}",
        "options": { "num_predict": "{{max_tokens}}", "seed": "{{number}}", "stop": ["a\"b", true, null, 1.5] },
        "inputs": "<s>[\"{{model}}\"] {{prompt}}\n</s>{{max_tokens}}",
    });
    let extra = body.as_object().expect("an object").clone();
    let ask = Ask {
        stream: true,
        websocket: false,
        max_tokens: true,
        limit_name: LimitName::default(),
        exact: false,
        history: None,
        picture: None,
        extra: &extra,
    };
    assert_eq!(
        filled(&Api::Template.body(&ask)),
        json!({
            "prompt": "say \"hi\"",
            "model": "m",
            "options": { "num_predict": 50, "seed": 7, "stop": ["a\"b", true, null, 1.5] },
            "inputs": "<s>[\"m\"] say \"hi\"\n</s>50",
        })
    );
    assert_eq!(placeholders_in(&body).expect("known").len(), 7);
    assert_eq!(placeholders_in(&json!(["{{promt}}"])), Err("{{promt}}".to_owned()));
    assert_eq!(placeholders_in(&json!({ "a": { "b": "x {{ prompt }}" } })), Err("{{ prompt }}".to_owned()));
    assert_eq!(placeholders_in(&json!("{{prompt")), Err("{{prompt".to_owned()));
    assert_eq!(placeholders_in(&json!("{a} }} {")), Ok(Vec::new()));
}
