use super::*;
use crate::api::openai_chat::{CHUNK, COMPLETION};

const EVENT: &str =
    r#"{"id":"c-1","created":17,"model":"m","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}"#;

fn learn(data: &str) -> Template {
    Template::learn(data.as_bytes(), &CHUNK, None).expect("it can be learned from")
}

/// What stands in the holes of a template.
fn holes(data: &str, reading: &Reading, usage: Option<TokenUsage>) -> Vec<String> {
    let template = Template::learn(data.as_bytes(), reading, usage).expect("it can be learned from");
    let text = |hole: &Hole| data[hole.start as usize..hole.end as usize].to_owned();
    template.holes.iter().map(text).collect()
}

#[test]
fn a_closed_hole_is_compared_and_opens_when_it_differs() {
    let mut template = learn(EVENT);
    assert_eq!(template.fits(EVENT.as_bytes()), Some(Fit { usage: None }));
    let other = EVENT.replace("Hi", "Hello");
    assert_eq!(template.fits(other.as_bytes()), None, "nothing has differed yet");
    assert_eq!(template.widen(other.as_bytes()), Some(Fit { usage: None }));
    assert_eq!(template.open.len(), 1);
    assert_eq!(template.fits(other.as_bytes()), Some(Fit { usage: None }));
    assert_eq!(template.fits(EVENT.as_bytes()), Some(Fit { usage: None }));
    let third = other.replace("c-1", "c-20").replace("17", "1800");
    assert_eq!(template.fits(third.as_bytes()), None);
    assert_eq!(template.widen(third.as_bytes()), Some(Fit { usage: None }));
    assert_eq!(template.widen(third.as_bytes()), Some(Fit { usage: None }), "a second time changes nothing");
    assert_eq!(template.open.len(), 3);
    assert!(template.open.is_sorted_by_key(|hole| hole.start));
    for data in [EVENT, &other, &third] {
        assert_eq!(template.fits(data.as_bytes()), Some(Fit { usage: None }));
    }
}

#[test]
fn holes_are_where_the_parser_does_not_look() {
    assert_eq!(holes(EVENT, &CHUNK, None), ["c-1", "17", "m", "0", "Hi"]);
    assert_eq!(holes(r#" { "a" : [ "x" , -1e5 , { "b" : "y" } , true ] } "#, &CHUNK, None), ["x", "-1e5", "y"]);
    assert_eq!(
        holes(r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{"}}]}}]}"#, &CHUNK, None),
        ["1", "{"]
    );
    assert_eq!(
        holes(r#"{"choices":[{"delta":{"content":[{"type":"text","text":""}]}}]}"#, &CHUNK, None),
        ["text", ""],
        "it counts that there is a list, not what is in it"
    );
}

#[test]
fn no_hole_is_where_the_parser_looks() {
    for data in [
        r#"{"object":"chat.completion.chunk","error":null}"#,
        r#"{"error":{"message":"m","code":5}}"#,
        r#"{"choices":[{"delta":{"content":"","refusal":null,"tool_calls":[]},"finish_reason":null}]}"#,
        // Structs that are read from lists: not followed.
        r#"{"choices":[[{"content":"a"},"stop"]]}"#,
        r#"{"choices":[{"delta":["a","b"]}]}"#,
        r#"{"usage":{"prompt_tokens":1}}"#,
        r#"["a",1]"#,
        r#""a""#,
        "1",
        "null",
    ] {
        assert_eq!(holes(data, &CHUNK, None), [""; 0], "{data}");
    }
    assert_eq!(holes(r#"{"status":"ok"}"#, &Reading::Exact, None), [""; 0]);
}

#[test]
fn counts_are_read_where_there_is_a_bill() {
    let data = r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,"x":{"y":0},
        "completion_tokens_details":{"reasoning_tokens":2,"audio_tokens":0}}}"#;
    let usage = Some(TokenUsage { input: 7, output: 3, reasoning: 2 });
    assert_eq!(holes(data, &CHUNK, usage), ["7", "3", "10", "0", "2", "0"]);
    assert_eq!(holes(data, &CHUNK, None), [""; 0], "what the parser could not read as a bill is none");
    let mut template = Template::learn(data.as_bytes(), &CHUNK, usage).unwrap();
    let other = data.replace(":3,", ":999999999,").replace(":7,", ":1,").replace(":2,", ":20,");
    let other_usage = Some(TokenUsage { input: 1, output: 999_999_999, reasoning: 20 });
    assert_eq!(template.widen(other.as_bytes()), Some(Fit { usage: other_usage }));
    assert_eq!(template.fits(data.as_bytes()), Some(Fit { usage }));
    for odd in [":0,", ":-3,", ":3.0,", ":1000000000,", ":03,", ":null,", ":\"3\","] {
        assert_eq!(template.widen(data.replace(":3,", odd).as_bytes()), None, "{odd} is for the parser");
    }
    for literal in ["0", "3.0", "1000000000", "null"] {
        let data = format!(
            r#"{{"choices":[{{}}],"usage":{{"prompt_tokens":7,"completion_tokens":{literal},"total_tokens":7}}}}"#
        );
        assert_eq!(holes(&data, &COMPLETION, usage), ["7", "7"], "{literal} is no count that a hole can follow");
    }
}

#[test]
fn what_is_odd_is_not_learned_from() {
    let learn = |data: &str| Template::learn(data.as_bytes(), &CHUNK, None);
    let (depth, many) = (100, "1,".repeat(100));
    for data in [
        "",
        "{",
        r#"{"a":1"#,
        r#"{"a":1} x"#,
        r#"{"\u0063hoices":[]}"#,
        r#"{"é":1}"#,
        &format!("{}{}", "[".repeat(depth), "]".repeat(depth)),
        &format!(r#"{{"a":[{many}1]}}"#),
        &format!(r#"{{"a":"{}"}}"#, "a".repeat(MAX_LEARNED_BYTES)),
    ] {
        assert!(learn(data).is_none(), "{data}");
    }
    assert!(Template::learn(b"{\"a\":\"\xff\"}", &CHUNK, None).is_none(), "not UTF-8");
    let largest = format!(r#"{{"a":"{}"}}"#, "a".repeat(MAX_LEARNED_BYTES - 8));
    assert_eq!(learn(&largest).map(|template| template.size()), Some((MAX_LEARNED_BYTES, 1)));
}
