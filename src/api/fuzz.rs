//! What the fuzz targets call (`fuzz/`).
//!
//! An input is an event stream, so that the fixtures are inputs as they stand. It is an event's data and a body as well.

use super::{Api, Flaw, Reader, json};
use crate::wire::sse;
use serde::de::IgnoredAny;

/// The APIs that generate tokens.
fn generating() -> impl Iterator<Item = Api> {
    Api::ALL.into_iter().filter(|api| api.generates())
}

/// Shows the events of a stream, up to one that is no event.
fn each_event(input: &[u8], mut see: impl FnMut(&sse::Event<'_>)) {
    let mut decoder = sse::Decoder::default();
    let mut rest = input;
    while let Some(Ok(event)) = decoder.next(&mut rest) {
        see(&event);
    }
    if let Some(event) = decoder.eof() {
        see(&event);
    }
}

/// Any bytes, as events and as a body of one API: nothing panics, and "not JSON" is said of what is not JSON, and of nothing else.
///
/// # Panics
///
/// When that does not hold: that is what is looked for.
pub fn fuzz_api(api: Api, input: &[u8]) {
    let see = |event: &sse::Event<'_>| {
        let data = event.data.trim_ascii();
        let read = api.read_event(event);
        if event.name != json::ERROR_EVENT && !data.is_empty() && data != json::DONE {
            assert_bad_json(read == Err(Flaw::BadJson), data);
        }
        assert!(!matches!(read, Err(Flaw::Check { .. } | Flaw::Mismatch)), "a stream has no checks");
    };
    see(&sse::Event { name: b"", data: input });
    each_event(input, see);
    assert_bad_json(api.read_body(input) == Err(Flaw::BadJson), input);
}

/// What is not JSON is said to be none; of what is JSON that may be said only if it is not UTF-8, in a text that nobody keeps.
fn assert_bad_json(said: bool, data: &[u8]) {
    let is_json = serde_json::from_slice::<IgnoredAny>(data).is_ok();
    assert!(said || is_json, "it is not JSON");
    assert!(!said || !is_json || std::str::from_utf8(data).is_err(), "it is JSON");
}

/// Each event is one of a stream and a body, all for the same reader, of each API that generates: whatever the reader has learned from
/// those before, it says of each what the parser says.
///
/// # Panics
///
/// When reader and parser differ: that is what is looked for.
pub fn fuzz_template(input: &[u8]) {
    for api in generating() {
        let mut reader = Reader::new(api, false);
        let mut verifying = Reader::new(api, true);
        each_event(input, |event| {
            let parsed = api.read_event(event);
            assert_eq!(reader.read_event(event), parsed, "an event of {}", api.name());
            assert_eq!(verifying.read_event(event), parsed, "an event of {}, verified", api.name());
            let parsed = api.read_body(event.data);
            assert_eq!(reader.read_body(event.data), parsed, "a body of {}", api.name());
            assert_eq!(verifying.read_body(event.data), parsed, "a body of {}, verified", api.name());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fuzz_all(input: &[u8]) {
        Api::ALL.into_iter().filter(|api| api.generates()).for_each(|api| fuzz_api(api, input));
        fuzz_template(input);
    }

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
            b"data: \xff\n\n",
            b"data: {\n\n",
            b"event: error\ndata: {\n\n",
            b"event: message_stop\ndata: {}\n\n",
            b"event: response.completed\ndata: {\"type\":null}\n\ndata: {\"type\":null}\n\n",
            br#"{"choices":[{"delta":{"content":"a"}}]}"#,
        ] {
            fuzz_all(input);
        }
        let a = r#"{"id":"1","choices":[{"delta":{"content":"a"}}]}"#;
        let events = [a, &a.replace("\"a\"", "\"b\""), &a.replace("\"a\"", "\"\""), &a.replace('1', "2"), &a[1..]];
        fuzz_all(events.map(|data| format!("data: {data}\n\n")).concat().as_bytes());
    }

    #[test]
    fn the_fixtures_hold_and_are_inputs() {
        for input in [
            include_bytes!("../wire/fixtures/anthropic_error.sse").as_slice(),
            include_bytes!("../wire/fixtures/anthropic_tools.sse").as_slice(),
            include_bytes!("../wire/fixtures/azure.sse").as_slice(),
            include_bytes!("../wire/fixtures/choices.sse").as_slice(),
            include_bytes!("../wire/fixtures/gateway.sse").as_slice(),
            include_bytes!("../wire/fixtures/llama_cpp.sse").as_slice(),
            include_bytes!("../wire/fixtures/llmsim.sse").as_slice(),
            include_bytes!("../wire/fixtures/llmsim_anthropic.sse").as_slice(),
            include_bytes!("../wire/fixtures/llmsim_anthropic_thinking.sse").as_slice(),
            include_bytes!("../wire/fixtures/llmsim_openresponses.sse").as_slice(),
            include_bytes!("../wire/fixtures/llmsim_responses.sse").as_slice(),
            include_bytes!("../wire/fixtures/llmsim_responses_reasoning.sse").as_slice(),
            include_bytes!("../wire/fixtures/openai.sse").as_slice(),
            include_bytes!("../wire/fixtures/openai_responses_failed.sse").as_slice(),
            include_bytes!("../wire/fixtures/openai_responses_incomplete.sse").as_slice(),
            include_bytes!("../wire/fixtures/openai_responses_tools.sse").as_slice(),
            include_bytes!("../wire/fixtures/openai_tools.sse").as_slice(),
            include_bytes!("../wire/fixtures/openrouter.sse").as_slice(),
            include_bytes!("../wire/fixtures/plain_error.sse").as_slice(),
            include_bytes!("../wire/fixtures/spring.sse").as_slice(),
            include_bytes!("../wire/fixtures/vllm_error.sse").as_slice(),
            include_bytes!("../wire/fixtures/vllm_reasoning.sse").as_slice(),
            include_bytes!("../wire/fixtures/vllm_usage.sse").as_slice(),
        ] {
            fuzz_all(input);
            let mut events = 0;
            each_event(input, |_| events += 1);
            assert!(events > 0);
        }
    }
}
