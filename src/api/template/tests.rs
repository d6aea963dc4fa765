use super::*;
use crate::api::scan::Notes;
use crate::api::{Api, Delta, Flaw};
use crate::wire::sse;

const EVENT: &str =
    r#"{"id":"c-1","created":17,"model":"m","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}"#;

/// Returns what the parser reads and notes of an event.
fn parse(data: &str) -> (Result<Delta, Flaw>, Notes) {
    let mut notes = Notes::default();
    let read = Api::OpenaiChat.scan_event(&sse::Event { name: b"", data: data.as_bytes() }, Some(&mut notes));
    (read, notes)
}

fn learn(data: &str) -> Template {
    let (read, notes) = parse(data);
    Template::learn(data.as_bytes(), &notes.holes, read.unwrap().usage).expect("it can be learned from")
}

/// Returns the contents of the holes of an event.
fn holes(data: &str) -> Vec<String> {
    let text = |hole: &Hole| data[hole.start as usize..hole.end as usize].to_owned();
    learn(data).holes.iter().map(text).collect()
}

/// Returns the contents of the generated holes.
fn generated(data: &str) -> Vec<(Token, &str)> {
    let holes = parse(data).1.holes;
    holes.iter().filter_map(|hole| Some((hole.token?, &data[hole.start as usize..hole.end as usize]))).collect()
}

#[test]
fn a_closed_hole_is_compared_and_opens_when_it_differs() {
    let mut template = learn(EVENT);
    assert_eq!(template.fits(EVENT.as_bytes()), Some(Fit { usage: None }));
    let other = EVENT.replace("Hi", "Hello");
    assert_eq!(template.open.len(), 1, "what is generated is open from the start");
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
    assert_eq!(holes(EVENT), ["c-1", "17", "m", "0", "Hi"]);
    assert_eq!(holes(r#"{ "a" : [ "x" , -1e5 , { "b" : "y" } , true ] }"#), ["x", "-1e5", "y"]);
    assert_eq!(
        holes(r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{"}}]}}]}"#),
        ["1", "{"]
    );
    assert_eq!(
        holes(r#"{"choices":[{"delta":{"content":[{"type":"text","text":"a"},{"type":"text","text":""}]}}]}"#),
        ["a"],
        "a part is read, and its kind"
    );
    assert_eq!(holes(r#"{"choices":[["a",1]]}"#), ["a", "1"], "it counts that this is not a choice");
}

#[test]
fn no_hole_is_where_the_parser_looks() {
    for data in [
        r#"{"object":"chat.completion.chunk","error":null}"#,
        r#"{"error":{},"object":["a",1]}"#,
        r#"{"choices":[{"delta":{"content":"","refusal":null,"tool_calls":[]},"finish_reason":null}]}"#,
        r#"{"usage":{"prompt_tokens":0,"total_tokens":null}}"#,
        "null",
    ] {
        assert_eq!(holes(data), [""; 0], "{data}");
    }
}

#[test]
fn counts_are_read_where_there_is_a_bill() {
    let data = r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,"x":{"y":0},
        "completion_tokens_details":{"reasoning_tokens":2,"audio_tokens":0}}}"#;
    let usage = Some(TokenUsage { input: 7, output: 3, reasoning: 2, cached: 0, written: 0 });
    assert_eq!(holes(data), ["7", "3", "10", "0", "2", "0"]);
    let no_bill = r#"{"usage":{"x":1,"completion_tokens_details":{"reasoning_tokens":2}}}"#;
    assert_eq!(holes(no_bill), ["1"], "what the parser did not take for a bill has no counts");
    let mut template = learn(data);
    let other = data.replace(":3,", ":999999999,").replace(":7,", ":1,").replace(":2,", ":20,");
    let other_usage = Some(TokenUsage { input: 1, output: 999_999_999, reasoning: 20, cached: 0, written: 0 });
    assert_eq!(template.widen(other.as_bytes()), Some(Fit { usage: other_usage }));
    assert_eq!(template.fits(data.as_bytes()), Some(Fit { usage }));
    for odd in [":0,", ":-3,", ":3.0,", ":1000000000,", ":03,", ":null,", ":\"3\","] {
        assert_eq!(template.widen(data.replace(":3,", odd).as_bytes()), None, "{odd} is for the parser");
    }
    for literal in ["0", "3.0", "1000000000", "null"] {
        let data =
            format!(r#"{{"choices":[],"usage":{{"prompt_tokens":7,"completion_tokens":{literal},"total_tokens":7}}}}"#);
        assert_eq!(holes(&data), ["7", "7"], "{literal} is no count that a hole can follow");
    }
}

#[test]
fn what_was_generated_is_lent_as_it_stands() {
    let (visible, reasoning) = (Token::Visible, Token::Reasoning);
    let delta = |delta: &str| format!(r#"{{"choices":[{{"delta":{delta}}}]}}"#);
    for (data, wanted) in [
        (EVENT.replace("Hi", r"a\nb"), vec![(visible, r"a\nb")]),
        (delta(r#"{"content":""}"#), vec![]),
        (delta(r#"{"content":"é","reasoning":"x"}"#), vec![(visible, "é"), (reasoning, "x")]),
        (delta(r#"{"reasoning_content":"x","reasoning":"x"}"#), vec![(reasoning, "x")]),
        (
            delta(r#"{"tool_calls":[{"function":{"name":"f","arguments":"{"}},{"function":{"arguments":"}"}}]}"#),
            vec![(visible, "f"), (visible, "{"), (visible, "}")],
        ),
        (
            r#"{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}"#.to_owned(),
            vec![(visible, "a"), (visible, "b")],
        ),
        // If a key occurs twice, the last one counts.
        (delta(r#"{"content":"a","content":"b"}"#), vec![(visible, "b")]),
        (r#"{"choices":[{"delta":{"content":"a"},"delta":{"content":"b"}}]}"#.to_owned(), vec![(visible, "b")]),
        (
            r#"{"choices":[{"delta":{"content":"a"}}],"choices":[{"delta":{"refusal":"b"}}]}"#.to_owned(),
            vec![(visible, "b")],
        ),
        (
            delta(r#"{"tool_calls":[{"function":{"name":"a"}}],"tool_calls":[{"function":{"name":"b"}}]}"#),
            vec![(visible, "b")],
        ),
        (delta(r#"{"tool_calls":[{"function":{"name":"a"},"function":{"name":"b"}}]}"#), vec![(visible, "b")]),
    ] {
        assert_eq!(generated(&data), wanted, "{data}");
        let mut lent = Vec::new();
        learn(&data).lend(data.as_bytes(), &mut |token, piece| lent.push((token, piece.to_vec())));
        let wanted: Vec<_> = wanted.iter().map(|(token, text)| (*token, text.as_bytes().to_vec())).collect();
        assert_eq!(lent, wanted, "{data}, by its template");
    }
}

#[test]
fn what_is_odd_is_not_learned_from() {
    let learnable = |data: &str| {
        let notes = parse(data).1;
        !notes.unlearnable && Template::learn(data.as_bytes(), &notes.holes, None).is_some()
    };
    assert!(learnable(r#"{"\u0063hoices":[],"é":1}"#));
    let many = "1,".repeat(100);
    let bill = r#""usage":{"total_tokens":1}"#;
    for data in [
        &format!(r#"{{"a":[{many}1]}}"#),
        &format!(r#"{{"a":"{}"}}"#, "a".repeat(MAX_LEARNED_BYTES)),
        &format!("{{{bill},{bill}}}"),
    ] {
        assert!(!learnable(data), "{data}");
    }
    let largest = format!(r#"{{"a":"{}"}}"#, "a".repeat(MAX_LEARNED_BYTES - 8));
    assert_eq!(learn(&largest).size(), (MAX_LEARNED_BYTES, 1));
}
