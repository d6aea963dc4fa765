//! Checks that reader and parser agree on any input, including unforeseen ones.

use super::*;
use proptest::prelude::*;

/// Values that the parser distinguishes.
const LEAVES: &[&str] = &[
    "\"\"",
    "\"a\"",
    "\"Hi\"",
    "null",
    "0",
    "1",
    "12",
    "-1",
    "1.5",
    "1e999",
    "true",
    "false",
    "[]",
    "{}",
    "\"error\"",
    "\"\\n\"",
    "\"\\ud83d\"",
    "\"é\"",
    "4294967296",
    "\"stop\"",
    "\"message_stop\"",
    "\"content_block_delta\"",
    "\"response.output_text.delta\"",
    "\"response.completed\"",
    "\"failed\"",
    "[ ]",
    "{ }",
    "[\"\"]",
    "[0]",
];

/// Keys that the parser looks for, and some that it ignores.
const KEYS: &[&str] = &[
    "choices",
    "delta",
    "content",
    "finish_reason",
    "usage",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "completion_tokens_details",
    "reasoning_tokens",
    "error",
    "object",
    "reasoning",
    "reasoning_content",
    "tool_calls",
    "function",
    "arguments",
    "name",
    "refusal",
    "function_call",
    "id",
    "message",
    "type",
    "item",
    "response",
    "content_block",
    "text",
    "thinking",
    "partial_json",
    "stop_reason",
    "input_tokens",
    "output_tokens",
    "output_tokens_details",
    "status",
    "output",
    "\\u0063hoices",
];

/// JSON that resembles what the parser looks for.
fn json() -> impl Strategy<Value = String> {
    let (leaf, key) = (prop::sample::select(LEAVES), prop::sample::select(KEYS));
    leaf.prop_map(str::to_owned).prop_recursive(6, 40, 5, move |inner| {
        let pair = (key.clone(), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(pair, 0..6).prop_map(|pairs| {
                let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", pairs.join(","))
            }),
        ]
    })
}

/// A chunk with arbitrary parts.
fn chunk() -> impl Strategy<Value = String> {
    prop_oneof![
        json().prop_map(|value| format!(r#"{{"id":"a","choices":[{{"index":0,"delta":{{"content":{value}}}}}]}}"#)),
        json().prop_map(|value| format!(r#"{{"id":"a","choices":[{{"delta":{value},"finish_reason":{value}}}]}}"#)),
        json().prop_map(|value| format!(r#"{{"choices":[{{"index":0}}],"usage":{value},"id":1}}"#)),
        (json(), json(), json()).prop_map(|(a, b, c)| {
            format!(r#"{{"choices":[{{}}],"usage":{{"prompt_tokens":{a},"total_tokens":{b},"completion_tokens_details":{c}}}}}"#)
        }),
        (json(), json()).prop_map(|(a, b)| format!(r#"{{"choices":{a},"usage":{b}}}"#)),
        (json(), json()).prop_map(|(a, b)| {
            format!(r#"{{"type":"content_block_delta","delta":{{"text":{a},"stop_reason":{b}}},"usage":{{"input_tokens":{b}}}}}"#)
        }),
        (json(), json()).prop_map(|(a, b)| format!(r#"{{"type":{a},"message":{{"usage":{b}}},"usage":{{"output_tokens":3}}}}"#)),
        (json(), json()).prop_map(|(a, b)| {
            format!(r#"{{"delta":{a},"sequence_number":{b},"type":"response.output_text.delta"}}"#)
        }),
        (json(), json()).prop_map(|(a, b)| {
            format!(r#"{{"type":"response.completed","response":{{"usage":{{"input_tokens":{a},"output_tokens":2}},"error":{b}}}}}"#)
        }),
        (json(), json()).prop_map(|(a, b)| format!(r#"{{"object":"response","status":{a},"output":[{b}],"usage":{{"total_tokens":3}}}}"#)),
        json(),
    ]
}

/// A recorded event or plain response of an API.
fn recorded() -> impl Strategy<Value = (Api, Vec<u8>)> {
    let events = FIXTURES.into_iter().flat_map(|(api, stream)| events(stream).into_iter().map(move |data| (api, data)));
    let plain = PLAINS.map(|(api, body)| (api, body.as_bytes().to_vec()));
    let all: Vec<_> = events.chain(plain).collect();
    prop::sample::select(all)
}

/// A change of some bytes: the position (as a share of the length), the number of bytes removed,
/// and the bytes inserted.
fn edit() -> impl Strategy<Value = (f64, usize, Vec<u8>)> {
    let token = prop::sample::select(vec![
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "0",
        "00",
        "-",
        ".",
        "e",
        " ",
        "null",
        "\"\"",
        "\"x\"",
        "\\u0022",
        "\n",
        "é",
        "\"error\":1,",
        "\"content\":\"\",",
        "123456789",
        "1234567890",
    ]);
    let bytes = prop_oneof![
        4 => token.prop_map(|token| token.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..3),
        1 => Just(Vec::new()),
    ];
    (0.0..1.0, 0..3usize, bytes)
}

fn edited(mut data: Vec<u8>, edits: &[(f64, usize, Vec<u8>)]) -> Vec<u8> {
    for (at, gone, bytes) in edits {
        let at = (*at * data.len() as f64) as usize;
        let end = data.len().min(at + gone);
        data.splice(at..end, bytes.iter().copied());
    }
    data
}

/// Replaces the inside of the `nth` string or number.
fn refilled(data: &[u8], nth: usize, filling: &str) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(data) else { return data.to_vec() };
    let mut ends: Vec<(usize, usize)> =
        text.match_indices('"').map(|(i, _)| i).collect::<Vec<_>>().windows(2).map(|w| (w[0] + 1, w[1])).collect();
    ends.extend(text.match_indices(|c: char| c.is_ascii_digit()).map(|(i, _)| (i, i + 1)));
    let Some((start, end)) = ends.get(nth % ends.len().max(1)).copied() else { return data.to_vec() };
    [&data[..start], filling.as_bytes(), &data[end..]].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn recorded_events_with_changes_read_the_same(
        (api, base) in recorded(),
        steps in prop::collection::vec((prop::collection::vec(edit(), 0..3), any::<usize>(), "[ -~]{0,12}"), 1..12),
    ) {
        let mut reader = Reader::new(api, false);
        let mut verifying = Reader::new(api, true);
        for (edits, nth, filling) in steps {
            // The same shape with other values, so that holes open. Then with changed bytes.
            for data in [refilled(&base, nth, &filling), edited(base.clone(), &edits), edited(refilled(&base, nth, &filling), &edits)] {
                let (delta, answer) = read(&mut reader, &data);
                prop_assert_eq!(verifying.read_event(&event(&data)), delta);
                prop_assert_eq!(verifying.read_body(&data), answer);
            }
        }
    }

    #[test]
    fn any_json_reads_the_same_after_any_other(
        api in prop::sample::select(LEARNED.to_vec()),
        data in prop::collection::vec(chunk(), 1..6),
        order in prop::collection::vec((any::<prop::sample::Index>(), any::<usize>(), prop::option::of("[a-z0-9\\\\\"]{0,4}")), 1..24),
    ) {
        let mut reader = Reader::new(api, false);
        for (which, nth, filling) in order {
            let data = data[which.index(data.len())].as_bytes();
            let data = filling.map_or_else(|| data.to_vec(), |filling| refilled(data, nth, &filling));
            same(&mut reader, &data);
        }
    }
}
