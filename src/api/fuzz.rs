//! The functions that the fuzz targets call (`fuzz/`).
//!
//! An input is an event stream, so the fixtures serve as inputs unchanged. It also serves as the
//! data of an event and as a body.

use super::json::{self, Data};
use super::{Api, Delta, Flaw, Reader, Token};
use crate::wire::sse;
use serde::de::IgnoredAny;

/// The APIs that generate tokens.
fn generating() -> impl Iterator<Item = Api> {
    Api::ALL.into_iter().filter(|api| api.generates())
}

/// Passes the events of a stream to `see`, up to the first one that is malformed.
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

/// Reads any bytes as events and as a body of one API. Nothing may panic. "Not JSON" must be
/// reported for data that is not JSON or not UTF-8, and for nothing else. Data that `serde_json`
/// has parsed and written again must have the same meaning.
///
/// # Panics
///
/// When one of these properties does not hold, which is what fuzzing looks for.
pub fn fuzz_api(api: Api, input: &[u8]) {
    let see = |event: &sse::Event<'_>| {
        let read = api.read_event(event);
        if let Ok(Data::Json(data)) = json::data(event) {
            assert_eq!(read == Err(Flaw::BadJson), !is_json(data), "an event of {}", api.name());
            if let Some(data) = rewritten(data) {
                // `serde_json` drops an odd value if the same key follows again.
                let but_odd = |read: Result<Delta, Flaw>| read.map(|delta| Delta { odd: false, ..delta });
                let again = api.read_event(&sse::Event { data: &data, ..*event });
                assert_eq!(but_odd(again), but_odd(read), "an event of {}", api.name());
            }
        }
        assert!(
            !matches!(read, Err(Flaw::Check { .. } | Flaw::NoUsage { .. } | Flaw::Mismatch)),
            "a stream has no checks"
        );
    };
    see(&sse::Event { name: b"", data: input });
    each_event(input, see);
    let read = api.read_body(input);
    assert_eq!(read == Err(Flaw::BadJson), !is_json(input), "a body of {}", api.name());
    if let Some(body) = rewritten(input) {
        assert_eq!(api.read_body(&body), read, "a body of {}", api.name());
    }
}

fn is_json(data: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(data).is_ok() && std::str::from_utf8(data).is_ok()
}

/// Rewrites JSON with its keys in another order and without duplicates, with as little white space
/// and as few escapes as possible. `None` if `serde_json` rejects more than the grammar does:
/// halves of surrogate pairs, numbers out of range, or too much depth.
fn rewritten(data: &[u8]) -> Option<Vec<u8>> {
    Some(serde_json::from_slice::<serde_json::Value>(data).ok()?.to_string().into_bytes())
}

/// Reads each event both as an event of a stream and as a body, with one reader per API that
/// generates tokens. For every event the reader must return what the parser returns, and lend the
/// same text, whatever it has learned from earlier events.
///
/// # Panics
///
/// When reader and parser differ, which is what fuzzing looks for.
pub fn fuzz_template(input: &[u8]) {
    for api in generating() {
        let mut reader = Reader::new(api, false);
        let mut verifying = Reader::new(api, true);
        each_event(input, |event| {
            let parsed = api.read_event(event);
            assert_eq!(reader.read_event(event), parsed, "an event of {}", api.name());
            assert_eq!(verifying.read_event(event), parsed, "an event of {}, verified", api.name());
            let fresh = text(&mut Reader::new(api, false), event);
            assert_eq!(text(&mut reader, event), fresh, "the text of an event of {}", api.name());
            let parsed = api.read_body(event.data);
            assert_eq!(reader.read_body(event.data), parsed, "a body of {}", api.name());
            assert_eq!(verifying.read_body(event.data), parsed, "a body of {}, verified", api.name());
        });
    }
}

/// Returns the pieces of text that a reader lends for an event.
fn text(reader: &mut Reader, event: &sse::Event<'_>) -> Vec<(Token, Vec<u8>)> {
    let mut text = Vec::new();
    let _ = reader.read_text(event, &mut |token, piece| text.push((token, piece.to_vec())));
    text
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
