//! What the fuzz targets call (`fuzz/`).

use super::{Api, Flaw, Reader};
use crate::wire::sse;
use serde::de::IgnoredAny;

/// Any bytes, as an event and as a body of every API: nothing panics, and "not JSON" is said of what is not JSON.
///
/// # Panics
///
/// When that does not hold: that is what is looked for.
pub fn fuzz_openai_chat(input: &[u8]) {
    let event = sse::Event { name: b"", data: input };
    let data = input.trim_ascii();
    let read = Api::OpenaiChat.read_event(&event);
    if !data.is_empty() && data != b"[DONE]" {
        assert_bad_json(read == Err(Flaw::BadJson), data);
    }
    assert!(!matches!(read, Err(Flaw::Check { .. } | Flaw::Mismatch)), "a stream has no checks");
    for api in Api::ALL {
        let _ = api.read_event(&event);
        assert_bad_json(api.read_body(input) == Err(Flaw::BadJson), input);
    }
}

/// What is not JSON is said to be none; of what is JSON that may be said only if it is not UTF-8, in a text that nobody keeps.
fn assert_bad_json(said: bool, data: &[u8]) {
    let is_json = serde_json::from_slice::<IgnoredAny>(data).is_ok();
    assert!(said || is_json, "it is not JSON");
    assert!(!said || !is_json || std::str::from_utf8(data).is_err(), "it is JSON");
}

/// Each line is an event and a body, all for the same reader: whatever it has learned from those before, it says of each what the
/// parser says.
///
/// # Panics
///
/// When reader and parser differ: that is what is looked for.
pub fn fuzz_template(input: &[u8]) {
    let mut reader = Reader::new(Api::OpenaiChat, false);
    let mut verifying = Reader::new(Api::OpenaiChat, true);
    for line in input.split(|byte| *byte == b'\n') {
        let event = sse::Event { name: b"", data: line };
        let parsed = Api::OpenaiChat.read_event(&event);
        assert_eq!(reader.read_event(&event), parsed, "an event");
        assert_eq!(verifying.read_event(&event), parsed, "an event, verified");
        let parsed = Api::OpenaiChat.read_body(line);
        assert_eq!(reader.read_body(line), parsed, "a body");
        assert_eq!(verifying.read_body(line), parsed, "a body, verified");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_inputs_hold() {
        for input in [
            &b""[..],
            b" ",
            b"[DONE]",
            b"{",
            b"{}",
            b"{\"error\":1}",
            b"\xff",
            br#"{"choices":[{"delta":{"content":"a"}}]}"#,
        ] {
            fuzz_openai_chat(input);
            fuzz_template(input);
        }
        let a = r#"{"id":"1","choices":[{"delta":{"content":"a"}}]}"#;
        let lines = [a, &a.replace("\"a\"", "\"b\""), &a.replace("\"a\"", "\"\""), &a.replace('1', "2"), &a[1..]];
        fuzz_template(lines.join("\n").as_bytes());
        fuzz_template(include_bytes!("../wire/fixtures/openai.sse"));
    }
}
