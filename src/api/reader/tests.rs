//! Compares reader and parser: both must return the same for every input, whatever was learned
//! before.

use super::*;
use crate::api::Token;

mod any;

const FIXTURES: [(Api, &str); 22] = [
    (Api::OpenaiChat, include_str!("../../wire/fixtures/llmsim.sse")),
    (Api::OpenaiChat, include_str!("../../wire/fixtures/openai.sse")),
    (Api::OpenaiChat, include_str!("../../wire/fixtures/openai_tools.sse")),
    (Api::OpenaiChat, include_str!("../../wire/fixtures/azure.sse")),
    (Api::OpenaiChat, include_str!("../../wire/fixtures/vllm_reasoning.sse")),
    (Api::OpenaiChat, include_str!("../../wire/fixtures/vllm_error.sse")),
    (Api::OpenaiChat, include_str!("../../wire/fixtures/vllm_usage.sse")),
    (Api::OpenaiChat, include_str!("../../wire/fixtures/llama_cpp.sse")),
    (Api::OpenaiChat, include_str!("../../wire/fixtures/openrouter.sse")),
    (Api::OpenaiChat, include_str!("../../wire/fixtures/gateway.sse")),
    (Api::OpenaiChat, include_str!("../../wire/fixtures/spring.sse")),
    (Api::OpenaiChat, include_str!("../../wire/fixtures/choices.sse")),
    (Api::OpenaiResponses, include_str!("../../wire/fixtures/llmsim_responses.sse")),
    (Api::OpenaiResponses, include_str!("../../wire/fixtures/llmsim_responses_reasoning.sse")),
    (Api::OpenaiResponses, include_str!("../../wire/fixtures/openai_responses_tools.sse")),
    (Api::OpenaiResponses, include_str!("../../wire/fixtures/openai_responses_failed.sse")),
    (Api::OpenaiResponses, include_str!("../../wire/fixtures/openai_responses_incomplete.sse")),
    (Api::Openresponses, include_str!("../../wire/fixtures/llmsim_openresponses.sse")),
    (Api::AnthropicMessages, include_str!("../../wire/fixtures/llmsim_anthropic.sse")),
    (Api::AnthropicMessages, include_str!("../../wire/fixtures/llmsim_anthropic_thinking.sse")),
    (Api::AnthropicMessages, include_str!("../../wire/fixtures/anthropic_tools.sse")),
    (Api::AnthropicMessages, include_str!("../../wire/fixtures/anthropic_error.sse")),
];

const TOKEN: &str = r#"{"id":"c-1","object":"chat.completion.chunk","created":17,"model":"m","choices":[{"index":0,"delta":{"content":"Hi"},"logprobs":null,"finish_reason":null}]}"#;

const PLAIN: &str = r#"{"id":"c-1","object":"chat.completion","created":17,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":8,"completion_tokens":12,"total_tokens":20,"completion_tokens_details":{"reasoning_tokens":3}}}"#;

const PLAINS: [(Api, &str); 4] = [
    (Api::OpenaiChat, PLAIN),
    (
        Api::OpenaiResponses,
        r#"{"id":"resp_1","object":"response","created_at":17,"model":"m","status":"completed","output":[{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"In eiusmod.","annotations":[]}]}],"usage":{"input_tokens":1,"output_tokens":5,"total_tokens":6,"output_tokens_details":{"reasoning_tokens":0}}}"#,
    ),
    (
        Api::Openresponses,
        r#"{"id":"resp_2","object":"response","created_at":17,"completed_at":18,"model":"m","status":"completed","output":[{"type":"message","id":"msg_2","role":"assistant","content":[{"type":"output_text","text":"Enim"}],"status":"completed"}],"usage":{"input_tokens":4,"output_tokens":8,"total_tokens":12}}"#,
    ),
    (
        Api::AnthropicMessages,
        r#"{"id":"msg_3","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"text","text":"Cillum"}],"stop_reason":"end_turn","usage":{"input_tokens":11,"output_tokens":6}}"#,
    ),
];

/// The APIs whose responses are learned.
const LEARNED: [Api; 4] = [Api::OpenaiChat, Api::OpenaiResponses, Api::Openresponses, Api::AnthropicMessages];

fn event(data: &[u8]) -> sse::Event<'_> {
    sse::Event { name: b"", data }
}

/// Returns the data of a recorded stream's events.
fn events(stream: &str) -> Vec<Vec<u8>> {
    let mut decoder = sse::Decoder::default();
    let mut input = stream.as_bytes();
    let mut events = Vec::new();
    while let Some(event) = decoder.next(&mut input) {
        events.push(event.expect("a recorded stream").data.to_vec());
    }
    events
}

fn chat() -> Reader {
    Reader::new(Api::OpenaiChat, false)
}

/// Returns a reader that has seen the data and two variants, so that the holes of id, creation time
/// and content are open.
fn taught(data: &str) -> Reader {
    let mut reader = chat();
    for (id, created, content) in [("c-1", ":17", "\"Hi\""), ("c-2", ":18", "\"Ho\""), ("c-1", ":17", "\"Hi\"")] {
        let data = data.replace("c-1", id).replace(":17", created).replace("\"Hi\"", content);
        let _ = reader.read_event(&event(data.as_bytes()));
        let _ = reader.read_body(data.as_bytes());
    }
    reader
}

/// Reads the data as an event and as a body, and checks that the parser returns the same.
fn read(reader: &mut Reader, data: &[u8]) -> (Result<Delta, Flaw>, Result<Answer, Flaw>) {
    let text = String::from_utf8_lossy(data);
    let delta = reader.read_event(&event(data));
    assert_eq!(delta, reader.api.read_event(&event(data)), "as an event: {text}");
    let answer = reader.read_body(data);
    assert_eq!(answer, reader.api.read_body(data), "as a body: {text}");
    (delta, answer)
}

/// Checks that reader and parser agree on the data.
fn same(reader: &mut Reader, data: &[u8]) {
    let _ = read(reader, data);
}

fn recognises(reader: &mut Reader, data: &[u8]) -> bool {
    reader.events.recognise(data.trim_ascii()).is_some()
}

#[test]
fn a_token_is_recognised_after_two_others() {
    let mut reader = taught(TOKEN);
    for content in ["x", " ", "a longer piece of text, with more than thirty-two bytes", r"\n", r#"\"\\\u00e9"#, "é☃😀"]
    {
        let data = TOKEN.replace("Hi", content).replace("c-1", "another").replace(":17", ":1764000000");
        assert!(recognises(&mut reader, data.as_bytes()), "{content}");
        assert_eq!(read(&mut reader, data.as_bytes()).0.unwrap().token, Some(Token::Visible));
    }
    assert_eq!(reader.events.known.len(), 1);
}

#[test]
fn traps_of_searching_bytes_are_none() {
    let visible = Some(Token::Visible);
    for (what, data, token) in [
        ("empty content", TOKEN.replace("\"Hi\"", "\"\""), None),
        ("null content", TOKEN.replace("\"Hi\"", "null"), None),
        ("content that says null", TOKEN.replace("Hi", "null"), visible),
        ("a space after the colon", TOKEN.replace("\"content\":", "\"content\": "), visible),
        (
            "another key order",
            TOKEN.replace(
                r#""object":"chat.completion.chunk","created":17"#,
                r#""created":17,"object":"chat.completion.chunk""#,
            ),
            visible,
        ),
        ("reasoning", TOKEN.replace("\"content\"", "\"reasoning_content\""), Some(Token::Reasoning)),
        ("a quote in the content", TOKEN.replace("Hi", r#"\""#), visible),
        ("the text of a key in the content", TOKEN.replace("Hi", r#"\"content\":\"Hi\""#), visible),
        ("an end of the event in the content", TOKEN.replace("Hi", r#"\"},\"finish_reason\":null}]}"#), visible),
        ("an escaped quote", TOKEN.replace("Hi", r"\u0022"), visible),
        (
            "content in logprobs only",
            TOKEN.replace("\"Hi\"", "null").replace("\"logprobs\":null", r#""logprobs":{"content":[{"token":"Hi"}]}"#),
            None,
        ),
        ("content of a nested object only", TOKEN.replace(r#"{"content":"Hi"}"#, r#"{"x":{"content":"Hi"}}"#), None),
        ("content twice", TOKEN.replace(r#""content":"Hi""#, r#""content":"Hi","content":"""#), None),
        (
            "content beside the delta",
            TOKEN.replace(r#""delta":{"content":"Hi"}"#, r#""delta":{},"content":"Hi""#),
            None,
        ),
        (
            "arguments of a tool",
            TOKEN.replace(r#"{"content":"Hi"}"#, r#"{"tool_calls":[{"function":{"arguments":"\"content\":\"Hi\""}}]}"#),
            visible,
        ),
        (
            "no choices",
            TOKEN.replace(r#"[{"index":0,"delta":{"content":"Hi"},"logprobs":null,"finish_reason":null}]"#, "[]"),
            None,
        ),
        (
            "a second choice",
            TOKEN.replace("\"finish_reason\":null}]", r#""finish_reason":null},{"index":1,"delta":{"content":""}}]"#),
            visible,
        ),
        ("content that is half a character", TOKEN.replace("Hi", r"\ud83d"), visible),
    ] {
        let mut reader = taught(TOKEN);
        let (delta, _) = read(&mut reader, data.as_bytes());
        assert_eq!(delta.map(|delta| delta.token), Ok(token), "{what}");
        // The reverse: a token, after the trap was learned.
        let mut reader = taught(&data);
        assert_eq!(read(&mut reader, TOKEN.as_bytes()).0.map(|delta| delta.token), Ok(visible), "after {what}");
        assert_eq!(read(&mut reader, data.as_bytes()).0.map(|delta| delta.token), Ok(token), "{what}, learned");
    }
}

/// If the parser read a field but noted it as skipped, data with another value would match.
#[test]
fn every_field_that_is_read_is_known() {
    let delta = |fields: &str| format!(r#"{{"choices":[{{"delta":{{{fields}}}}}]}}"#);
    let chat = [
        delta(r#""content":@"#),
        delta(r#""refusal":@"#),
        delta(r#""reasoning_content":@"#),
        delta(r#""reasoning":@"#),
        delta(r#""tool_calls":[{"function":{"name":@}}]"#),
        delta(r#""tool_calls":[{"function":{"arguments":@}}]"#),
        delta(r#""function_call":{"name":@}"#),
        delta(r#""function_call":{"arguments":@}"#),
        r#"{"choices":[{"delta":{},"finish_reason":@}]}"#.to_owned(),
        r#"{"choices":[],"object":@}"#.to_owned(),
        r#"{"choices":[],"error":@}"#.to_owned(),
        r#"{"choices":[],"error":{"message":@}}"#.to_owned(),
        r#"{"choices":[1],"usage":{"total_tokens":9,"prompt_tokens":@}}"#.to_owned(),
        r#"{"choices":[1],"usage":{"total_tokens":9,"completion_tokens":@}}"#.to_owned(),
        r#"{"choices":[1],"usage":{"total_tokens":@}}"#.to_owned(),
        r#"{"choices":[1],"usage":{"total_tokens":9,"completion_tokens_details":{"reasoning_tokens":@}}}"#.to_owned(),
        r#"{"choices":[@],"usage":{"total_tokens":9}}"#.to_owned(),
        r#"{"choices":@,"usage":{"total_tokens":9}}"#.to_owned(),
    ];
    let responses = [
        r#"{"type":@,"delta":"a"}"#,
        r#"{"type":"response.output_text.delta","delta":@}"#,
        r#"{"type":"response.output_item.added","item":{"name":@}}"#,
        r#"{"type":"response.output_item.added","item":@}"#,
        r#"{"type":"response.completed","response":{"usage":{"input_tokens":@,"total_tokens":9}}}"#,
        r#"{"type":"response.completed","response":{"usage":{"output_tokens":@,"total_tokens":9}}}"#,
        r#"{"type":"response.completed","response":{"usage":{"total_tokens":@}}}"#,
        r#"{"type":"response.completed","response":{"usage":@}}"#,
        r#"{"type":"response.completed","response":{"usage":{"total_tokens":9,"output_tokens_details":{"reasoning_tokens":@}}}}"#,
        r#"{"type":"response.created","error":@}"#,
        r#"{"object":@,"output":[1],"usage":{"total_tokens":9}}"#,
        r#"{"object":"response","status":@,"output":[1],"usage":{"total_tokens":9}}"#,
        r#"{"object":"response","output":@,"usage":{"total_tokens":9}}"#,
        r#"{"object":"response","output":[1],"usage":{"total_tokens":9},"error":@}"#,
    ];
    let anthropic = [
        r#"{"type":@,"delta":{"text":"a"}}"#,
        r#"{"type":"content_block_delta","delta":{"text":@}}"#,
        r#"{"type":"content_block_delta","delta":{"thinking":@}}"#,
        r#"{"type":"content_block_delta","delta":{"partial_json":@}}"#,
        r#"{"type":"content_block_delta","delta":{"type":@,"thinking":"a"}}"#,
        r#"{"type":"content_block_start","content_block":{"name":@}}"#,
        r#"{"type":"content_block_start","content_block":{"text":@}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":@},"usage":{"output_tokens":3}}"#,
        r#"{"type":"message_delta","usage":{"output_tokens":@,"input_tokens":9}}"#,
        r#"{"type":"message_start","message":{"usage":{"input_tokens":@,"output_tokens":1}}}"#,
        r#"{"type":"message_start","message":{"usage":{"input_tokens":@}},"usage":{"input_tokens":7}}"#,
        r#"{"type":"message_start","message":{"usage":{"input_tokens":7}},"usage":{"input_tokens":@}}"#,
        r#"{"type":"ping","error":@}"#,
        r#"{"type":@,"content":[1],"usage":{"input_tokens":9}}"#,
        r#"{"type":"message","content":@,"usage":{"input_tokens":9}}"#,
        r#"{"type":"message","content":[1],"usage":{"input_tokens":9},"error":@}"#,
    ];
    let all = [(Api::OpenaiChat, chat.to_vec())]
        .into_iter()
        .chain([Api::OpenaiResponses, Api::Openresponses].map(|api| (api, responses.map(str::to_owned).to_vec())))
        .chain([(Api::AnthropicMessages, anthropic.map(str::to_owned).to_vec())]);
    for (api, shapes) in all {
        for shape in shapes {
            for values in [
                ["\"a\"", "\"error\"", "\"\""],
                ["1", "22", "0"],
                ["[1]", "[22]", "[]"],
                ["\"response.completed\"", "\"response.failed\"", "\"response\""],
                ["\"content_block_delta\"", "\"message_stop\"", "\"message\""],
            ] {
                let mut reader = Reader::new(api, false);
                for value in [values[0], values[1], values[2], "null", values[0], values[2], values[1]] {
                    same(&mut reader, shape.replace('@', value).as_bytes());
                }
            }
        }
    }
}

/// If data has no type, the event's name gives its meaning, and templates do not see the name.
#[test]
fn data_without_a_type_is_never_recognised() {
    let delta = br#"{"delta":"Hi","text":"Hi","item_id":"1"}"#;
    let names = [(Api::OpenaiResponses, "response.output_text.delta"), (Api::AnthropicMessages, "message_stop")];
    for (api, name) in names {
        let mut reader = Reader::new(api, false);
        for name in [name, "ping", name, "ping", "error", name] {
            let event = sse::Event { name: name.as_bytes(), data: delta };
            assert_eq!(reader.read_event(&event), api.read_event(&event), "{api:?} {name}");
        }
        assert!(reader.events.known.is_empty());
    }
}

#[test]
fn plain_answers_of_every_api_are_recognised_when_they_come_again() {
    for (api, body) in PLAINS {
        let mut reader = Reader::new(api, false);
        for (from, to) in [("5", "5"), ("\"m\"", "\"n\""), ("11", "17"), ("5", "5")] {
            same(&mut reader, body.replace(from, to).as_bytes());
        }
        assert!(reader.answers.recognise(body.as_bytes()).is_some(), "{api:?}");
        assert!(api.read_body(body.as_bytes()).is_ok(), "{api:?}");
    }
}

#[test]
fn what_is_broken_is_not_recognised() {
    for (what, data) in [
        ("cut short", TOKEN[..TOKEN.len() - 1].to_owned()),
        ("too long", format!("{TOKEN}}}")),
        ("two of them", format!("{TOKEN}{TOKEN}")),
        ("a control character", TOKEN.replace("Hi", "H\ti")),
        ("a bad escape", TOKEN.replace("Hi", r"\x41")),
        ("half an escape", TOKEN.replace("Hi", r"\u00")),
        ("an escaped end", TOKEN.replace("Hi", r"Hi\")),
        ("a leading zero", TOKEN.replace(":17", ":017")),
        ("no number", TOKEN.replace(":17", ":")),
        ("a sign", TOKEN.replace(":17", ":+17")),
        ("a second comma", TOKEN.replace(":17,", ":17,,")),
    ] {
        let mut reader = taught(TOKEN);
        assert_eq!(read(&mut reader, data.as_bytes()).0, Err(Flaw::BadJson), "{what}");
    }
    let mut bytes = TOKEN.as_bytes().to_vec();
    let at = TOKEN.find("Hi").unwrap();
    bytes[at] = 0xff;
    assert!(!recognises(&mut taught(TOKEN), &bytes), "not UTF-8");
    same(&mut taught(TOKEN), &bytes);
    let error = TOKEN.replace("\"model\":\"m\"", "\"error\":{\"code\":500}");
    assert_eq!(read(&mut taught(TOKEN), error.as_bytes()).0, Err(Flaw::Error));
    let object = TOKEN.replace("chat.completion.chunk", "error");
    assert_eq!(read(&mut taught(TOKEN), object.as_bytes()).0, Err(Flaw::Error));
}

#[test]
fn an_error_event_is_one_whatever_it_looks_like() {
    let mut reader = taught(TOKEN);
    let named = |name| sse::Event { name, data: TOKEN.as_bytes() };
    assert_eq!(reader.read_event(&named(b"error")), Err(Flaw::Error));
    assert_eq!(reader.read_event(&named(b"message")).unwrap().token, Some(Token::Visible));
}

#[test]
fn recorded_streams_are_recognised_when_they_come_again() {
    for (api, stream) in FIXTURES {
        let mut reader = Reader::new(api, false);
        let events = events(stream);
        for data in &events {
            same(&mut reader, data);
        }
        for data in &events {
            let delta = reader.api.read_event(&event(data));
            let is_json = matches!(json::data(&event(data)), Ok(Data::Json(_))) && delta.is_ok();
            assert_eq!(recognises(&mut reader, data), is_json, "{}", String::from_utf8_lossy(data));
            same(&mut reader, data);
        }
    }
}

#[test]
fn a_plain_answer_is_recognised_and_its_bill_read() {
    let mut reader = taught(PLAIN);
    let long = "word ".repeat(500) + r#"\n\"quoted\" é"#;
    let data = PLAIN.replace("\"Hi\"", &format!("\"{long}\"")).replace(":12,", ":500,").replace(":20,", ":508,");
    assert_eq!(read(&mut reader, data.as_bytes()).1.unwrap().checks, 2);
    assert!(reader.answers.recognise(data.as_bytes()).is_some());
    assert_eq!(
        read(&mut reader, data.replace(":3}", ":30}").as_bytes()).1,
        Ok(Answer {
            usage: Some(TokenUsage { input: 8, output: 500, reasoning: 30, cached: 0, written: 0 }),
            finish: Some(crate::metrics::Finish::Stop),
            checks: 2
        })
    );
    for (change, to) in [
        (":20,", ":0,"),
        (":20,", ":null,"),
        (":20,", ":-1,"),
        (":20,", ":20.5,"),
        (":20,", ":99999999999,"),
        ("\"total_tokens\":20,", ""),
        (":20,", ":20,\"total_tokens\":20,"),
        ("\"usage\"", "\"usages\""),
        ("\"choices\":[", "\"choices\":[],\"x\":["),
        ("\"choices\":", "\"choices\":[],\"choices\":"),
        ("chat.completion", "error"),
    ] {
        same(&mut reader, PLAIN.replace(change, to).as_bytes());
        same(&mut reader, PLAIN.as_bytes());
    }
}

#[test]
fn endpoints_of_the_simulator_are_recognised() {
    for (api, body, other) in [
        (Api::Health, r#"{"service":"llmsim","status":"ok"}"#, r#"{"service":"llmsim","status":"no"}"#),
        (Api::Models, r#"{"object":"list","data":[]}"#, r#"{"object":"lost","data":[]}"#),
        (Api::Model, r#"{"id":"m","object":"model"}"#, r#"{"id":"","object":"model"}"#),
        (Api::Stats, r#"{"total_requests":1,"uptime_secs":1}"#, r#"{"total_requests":1,"uptime_secs":""}"#),
        (
            Api::TypesafeSystemone,
            r#"{"answers":{"a":{"noul":0.5}},"usage":{"input_tokens":9,"output_tokens":20}}"#,
            r#"{"answers":{},"usage":{"input_tokens":9,"output_tokens":20}}"#,
        ),
    ] {
        let mut reader = Reader::new(api, false);
        for data in [body, other, body, body, other, body] {
            same(&mut reader, data.as_bytes());
        }
        assert!(reader.answers.recognise(body.as_bytes()).is_some(), "{api:?}");
    }
}

#[test]
fn what_is_learned_is_bounded() {
    let mut reader = chat();
    for i in 0..200 {
        let data = format!(r#"{{"key-{i}":"{}"}}"#, "x".repeat(1000));
        same(&mut reader, data.as_bytes());
        assert!(reader.events.known.len() <= MAX_TEMPLATES);
    }
    assert_eq!(reader.events.known.len(), MAX_TEMPLATES);
    let huge = TOKEN.replace("\"m\"", &format!("\"{}\"", "m".repeat(100_000)));
    for _ in 0..3 {
        same(&mut reader, huge.as_bytes());
    }
    assert!(reader.events.known.iter().all(|known| known.template.size().0 < 2000));
}

#[test]
fn credit_runs_out_and_comes_back() {
    let mut reader = chat();
    let odd = |i: usize| format!(r#"{{"key-{i}":1}}"#);
    for i in 0..MAX_CREDIT.into() {
        same(&mut reader, odd(i).as_bytes());
    }
    assert!(reader.events.credit < PRICE_OF_A_MISS);
    same(&mut reader, TOKEN.as_bytes());
    assert!(!recognises(&mut reader, TOKEN.as_bytes()), "it does not learn any more");
    let misses = (0..).take_while(|&i| {
        same(&mut reader, odd(i).as_bytes());
        reader.events.credit < PRICE_OF_A_MISS
    });
    assert!(misses.count() <= MISSES_TO_RESET.into());
    for _ in 0..2 {
        same(&mut reader, TOKEN.as_bytes());
    }
    assert!(recognises(&mut reader, TOKEN.as_bytes()), "it has got another chance");
}

#[test]
fn a_lie_is_found_by_verifying() {
    let mut reader = Reader::new(Api::OpenaiChat, true);
    for _ in 0..2 {
        assert_eq!(reader.read_event(&event(TOKEN.as_bytes())).unwrap().token, Some(Token::Visible));
        assert!(reader.read_body(PLAIN.as_bytes()).is_ok());
    }
    reader.corrupt();
    assert_eq!(reader.read_event(&event(TOKEN.as_bytes())), Err(Flaw::Mismatch));
    assert_eq!(reader.read_body(PLAIN.as_bytes()), Err(Flaw::Mismatch));
    let mut trusting = taught(TOKEN);
    trusting.corrupt();
    assert!(trusting.read_event(&event(TOKEN.as_bytes())).is_ok_and(|delta| delta.usage.is_some()), "the lie is real");
}

#[test]
fn usage_may_be_missing_where_nobody_checks_it() {
    for (api, plain) in PLAINS {
        let bare = plain.replace("\"usage\"", "\"use\"");
        let strict = Reader::new(api, false).read_body(bare.as_bytes());
        assert!(matches!(strict, Err(Flaw::NoUsage { .. })), "{strict:?}");
        for verify in [false, true] {
            let mut reader = Reader::new(api, verify).without_usage();
            for _ in 0..3 {
                let answer = reader.read_body(bare.as_bytes()).expect("enough");
                assert!(answer.usage.is_none() && answer.checks > 0, "{answer:?}");
                let whole = reader.read_body(plain.as_bytes()).expect("as ever");
                assert!(whole.usage.is_some() && whole.finish == answer.finish, "{whole:?} {answer:?}");
            }
            assert_eq!(reader.read_body(b"{"), Err(Flaw::BadJson), "nothing else is forgiven");
        }
    }
}
