//! Recorded streams through all three decoders at once: HTTP, events, API.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::wire::{Event, http1};

/// The streams of real servers, and the meaning of each event as [`letters`] writes it.
const STREAMS: [(&str, Api, &str, &str); 23] = [
    ("llmsim", Api::OpenaiChat, include_str!("../wire/fixtures/llmsim.sse"), "- T T T 8+2 D"),
    ("OpenAI", Api::OpenaiChat, include_str!("../wire/fixtures/openai.sse"), "- T - 19+10 D"),
    ("OpenAI, tool calls", Api::OpenaiChat, include_str!("../wire/fixtures/openai_tools.sse"), "T T - T - D"),
    ("Azure", Api::OpenaiChat, include_str!("../wire/fixtures/azure.sse"), "- - T - - D"),
    ("vLLM, reasoning", Api::OpenaiChat, include_str!("../wire/fixtures/vllm_reasoning.sse"), "- R R T - 16+6(4) D"),
    ("vLLM, an error in the stream", Api::OpenaiChat, include_str!("../wire/fixtures/vllm_error.sse"), "T error D"),
    ("vLLM, cumulative usage", Api::OpenaiChat, include_str!("../wire/fixtures/vllm_usage.sse"), "8+0 T,8+2 T,8+3 D"),
    ("an error in plain words", Api::OpenaiChat, include_str!("../wire/fixtures/plain_error.sse"), "T error"),
    ("llama.cpp", Api::OpenaiChat, include_str!("../wire/fixtures/llama_cpp.sse"), "- T - 9+3 D"),
    ("OpenRouter", Api::OpenaiChat, include_str!("../wire/fixtures/openrouter.sse"), "R T - 5+4(3) D"),
    ("a gateway", Api::OpenaiChat, include_str!("../wire/fixtures/gateway.sse"), "- bad - - - T R,1+1 1+2 D"),
    ("a proxy in Spring", Api::OpenaiChat, include_str!("../wire/fixtures/spring.sse"), "T T - - 2+2 D"),
    ("two choices", Api::OpenaiChat, include_str!("../wire/fixtures/choices.sse"), "- T - T T - D"),
    (
        "llmsim, Responses",
        Api::OpenaiResponses,
        include_str!("../wire/fixtures/llmsim_responses.sse"),
        "- - - - T T T - - - D,1+8",
    ),
    (
        "llmsim, Responses with reasoning",
        Api::OpenaiResponses,
        include_str!("../wire/fixtures/llmsim_responses_reasoning.sse"),
        "- - - - R R - - - - - T T - - - D,1+8(12)",
    ),
    (
        "OpenAI, Responses with a tool",
        Api::OpenaiResponses,
        include_str!("../wire/fixtures/openai_responses_tools.sse"),
        "- - R T T T - - D,36+87(64)",
    ),
    (
        "OpenAI, a failed response",
        Api::OpenaiResponses,
        include_str!("../wire/fixtures/openai_responses_failed.sse"),
        "- T error",
    ),
    (
        "OpenAI, an incomplete response",
        Api::OpenaiResponses,
        include_str!("../wire/fixtures/openai_responses_incomplete.sse"),
        "T cut",
    ),
    (
        "llmsim, OpenResponses",
        Api::Openresponses,
        include_str!("../wire/fixtures/llmsim_openresponses.sse"),
        "- - - - T T T - - - 4+7 D",
    ),
    (
        "llmsim, Anthropic",
        Api::AnthropicMessages,
        include_str!("../wire/fixtures/llmsim_anthropic.sse"),
        "11+1 - - T T T - 0+7 D",
    ),
    (
        "llmsim, Anthropic with thinking",
        Api::AnthropicMessages,
        include_str!("../wire/fixtures/llmsim_anthropic_thinking.sse"),
        "11+1 - - R R - - - T T - 0+25 D",
    ),
    (
        "Anthropic with a tool",
        Api::AnthropicMessages,
        include_str!("../wire/fixtures/anthropic_tools.sse"),
        "472+2 - - R - - - T - T - T T - 0+40 0+89 D",
    ),
    (
        "Anthropic, an error in the stream",
        Api::AnthropicMessages,
        include_str!("../wire/fixtures/anthropic_error.sse"),
        "8+1 T error",
    ),
];

fn letters(read: &Result<Delta, Flaw>) -> String {
    let delta = match read {
        Ok(delta) => delta,
        Err(Flaw::BadJson) => return "bad".to_owned(),
        Err(Flaw::Error) => return "error".to_owned(),
        Err(Flaw::Incomplete) => return "cut".to_owned(),
        Err(Flaw::Check { .. } | Flaw::NoUsage { .. } | Flaw::Mismatch) => unreachable!("a stream has no checks"),
    };
    let mut text = String::new();
    match delta.token {
        Some(Token::Visible) => text.push('T'),
        Some(Token::Reasoning) => text.push('R'),
        None => {}
    }
    if delta.done {
        text.push('D');
    }
    if let Some(TokenUsage { input, output, reasoning, .. }) = delta.usage {
        let comma = if text.is_empty() { "" } else { "," };
        write!(text, "{comma}{input}+{output}").unwrap();
        if reasoning > 0 {
            write!(text, "({reasoning})").unwrap();
        }
    }
    if text.is_empty() { "-".to_owned() } else { text }
}

/// How a body is framed.
#[derive(Debug, Clone, Copy)]
enum Framing {
    Length,
    Chunks(usize),
    ToEof,
}

fn response(stream: &str, framing: Framing) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n".to_vec();
    match framing {
        Framing::Length => bytes.extend(format!("content-length: {}\r\n\r\n{stream}", stream.len()).bytes()),
        Framing::ToEof => bytes.extend(format!("\r\n{stream}").bytes()),
        Framing::Chunks(size) => {
            bytes.extend(b"transfer-encoding: chunked\r\n\r\n");
            for chunk in stream.as_bytes().chunks(size) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        }
    }
    bytes
}

/// Reads a response that arrives in these pieces, followed by the end of the connection.
fn read(api: Api, pieces: &[&[u8]]) -> String {
    let (mut http, mut sse) = (http1::Decoder::default(), sse::Decoder::default());
    let mut seen = Vec::new();
    let mut ended = false;
    for mut piece in pieces.iter().copied() {
        while !ended && let Some(event) = http.next(&mut piece) {
            match event.unwrap() {
                Event::Head(head) => assert_eq!(head.status, 200),
                Event::Data(mut data) => {
                    while let Some(event) = sse.next(&mut data) {
                        seen.push(letters(&api.read_event(&event.unwrap())));
                    }
                }
                Event::End { .. } => ended = true,
            }
        }
    }
    if !ended {
        assert_eq!(http.eof(), Ok(Event::End { reusable: false }));
    }
    seen.extend(sse.eof().map(|event| letters(&api.read_event(&event))));
    seen.join(" ")
}

#[test]
fn recorded_streams_mean_the_same_at_every_cut() {
    for (server, api, stream, wanted) in STREAMS {
        for framing in [Framing::Length, Framing::Chunks(210), Framing::ToEof] {
            let bytes = response(stream, framing);
            assert_eq!(read(api, &[&bytes]), wanted, "{server}, {framing:?}");
            assert_eq!(read(api, &bytes.chunks(1).collect::<Vec<_>>()), wanted, "{server}, {framing:?}, byte by byte");
        }
        let bytes = response(stream, Framing::Chunks(100));
        for cut in 0..=bytes.len() {
            assert_eq!(read(api, &[&bytes[..cut], &bytes[cut..]]), wanted, "{server}, cut at {cut}");
        }
        assert_eq!(read(api, &[&bytes, b"HTTP/1.1 200"]), wanted, "{server}, with a tail");
    }
}

#[test]
fn recorded_streams_mean_the_same_with_every_line_end() {
    for (server, api, stream, wanted) in STREAMS {
        for end in ["\r\n", "\r"] {
            let stream = stream.replace('\n', end);
            for size in [1, 7, 10_000] {
                assert_eq!(
                    read(api, &[&response(&stream, Framing::Chunks(size))]),
                    wanted,
                    "{server}, {end:?}, {size}"
                );
            }
        }
        let unfinished = stream.trim_end();
        assert_eq!(read(api, &[&response(unfinished, Framing::Length)]), wanted, "{server}, without its last line end");
        let mixed = stream.replacen("\n\n", "\r\n\n", 3).replacen("\n\n", "\n\r\n", 1);
        assert_eq!(
            read(api, &[&response(&format!("\u{feff}{mixed}"), Framing::Chunks(11))]),
            wanted,
            "{server}, mixed"
        );
    }
}

/// Returns the parsed body with its holes filled.
pub(super) fn filled(pieces: &[Piece]) -> serde_json::Value {
    let fill = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Model => r#""m""#.to_owned(),
        Piece::Prompt => r#""say \"hi\"""#.to_owned(),
        Piece::Messages => r#"[{"role":"user","content":"row"}]"#.to_owned(),
        Piece::PromptInside => r#"say \"hi\""#.to_owned(),
        Piece::ModelInside => "m".to_owned(),
        Piece::MaxTokens => "50".to_owned(),
        Piece::Number => "7".to_owned(),
        Piece::History => r#"{"role":"user","content":"before"},"#.to_owned(),
        Piece::OfUser(text) => (*text).to_owned(),
        Piece::PreviousResponse => r#""resp_0""#.to_owned(),
    };
    let text: String = pieces.iter().map(fill).collect();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_turn_carries_what_was_said_before() {
    let extra = serde_json::Map::new();
    for api in Api::ALL.into_iter().filter(|api| api.converses()) {
        for history in [History::Messages, History::PreviousResponse] {
            let ask = Ask {
                stream: true,
                websocket: false,
                max_tokens: true,
                exact: false,
                limit_name: LimitName::default(),
                history: Some(history),
                picture: None,
                extra: &extra,
            };
            let body = filled(&api.body(&ask));
            let messages = if body["input"].is_null() { &body["messages"] } else { &body["input"] };
            assert_eq!(messages[0]["content"], "before", "{api:?}");
            assert_eq!(messages[1]["content"], "say \"hi\"", "{api:?}");
            let named = history == History::PreviousResponse && api.keeps_history();
            assert_eq!(body["previous_response_id"] == "resp_0", named, "{api:?}");
        }
    }
}

#[test]
fn a_picture_stands_beside_the_prompt_as_each_api_has_it() {
    use serde_json::json;
    let (extra, picture) = (serde_json::Map::new(), Picture::small());
    let (url, data) = (picture.url(), picture.base64());
    for api in Api::ALL.into_iter().filter(|api| api.shows_pictures()) {
        let body = filled(&api.body(&Ask {
            stream: false,
            websocket: false,
            max_tokens: true,
            exact: false,
            limit_name: LimitName::default(),
            history: None,
            picture: Some(&picture),
            extra: &extra,
        }));
        let said = "say \"hi\"";
        let (messages, content) = match api {
            Api::OpenaiChat => (
                "messages",
                json!([{ "type": "text", "text": said }, { "type": "image_url", "image_url": { "url": url } }]),
            ),
            Api::AnthropicMessages => {
                let source = json!({ "type": "base64", "media_type": "image/png", "data": data });
                ("messages", json!([{ "type": "image", "source": source }, { "type": "text", "text": said }]))
            }
            _ => {
                ("input", json!([{ "type": "input_text", "text": said }, { "type": "input_image", "image_url": url }]))
            }
        };
        assert_eq!(body[messages], json!([{ "role": "user", "content": content }]), "{api:?}");
    }
}

#[test]
fn every_api_that_takes_a_prompt_has_a_body_and_the_others_have_none() {
    let extra = serde_json::Map::new();
    for api in Api::ALL {
        let pieces = api.body(&Ask {
            stream: false,
            websocket: false,
            max_tokens: false,
            exact: false,
            limit_name: LimitName::default(),
            history: None,
            picture: None,
            extra: &extra,
        });
        assert_eq!(!pieces.is_empty(), api.takes_prompt(), "{api:?}");
        assert_eq!(api.method() == Method::Post, api.takes_prompt(), "{api:?}");
        // The body of a described API comes from the profile.
        if api.takes_prompt() && api != Api::Template {
            assert_eq!(filled(&pieces)["model"], "m", "{api:?}");
        }
    }
}

#[test]
fn names_are_found_again() {
    for api in Api::ALL {
        assert_eq!(Api::from_name(api.name()), Some(api));
        assert!(api.path().starts_with('/'));
    }
    assert_eq!(Api::from_name("openai"), None);
}

proptest! {
    #[test]
    fn recorded_streams_mean_the_same_in_random_reads(
        which in 0..STREAMS.len(),
        chunk in 1_usize..400,
        cuts in prop::collection::vec(1_usize..300, 1..40),
    ) {
        let (_, api, stream, wanted) = STREAMS[which];
        let bytes = response(stream, Framing::Chunks(chunk));
        let mut rest = bytes.as_slice();
        let mut pieces = Vec::new();
        for cut in cuts {
            let (piece, tail) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = tail;
        }
        pieces.push(rest);
        prop_assert_eq!(read(api, &pieces), wanted);
    }

    #[test]
    fn no_bytes_make_any_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for api in Api::ALL {
            let _ = api.read_body(&bytes);
            let _ = api.read_event(&sse::Event { name: b"", data: &bytes });
        }
    }
}

/// Components in front of a server send errors in a format of their own.
#[test]
fn a_foreign_error_in_a_stream_is_an_error_and_a_foreign_remark_is_none() {
    for api in
        [Api::OpenaiChat, Api::OpenaiCompletions, Api::OpenaiResponses, Api::Openresponses, Api::AnthropicMessages]
    {
        let read = |data: &str| api.read_event(&sse::Event { name: b"", data: data.as_bytes() });
        for data in [
            r#"{"detail":"Internal Server Error"}"#,
            r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#,
            r#"{"message":"upstream timed out","code":504}"#,
            r#"{"message":"no","type":"internal_server_error"}"#,
            r#"{"errors":[{"code":1}]}"#,
        ] {
            assert_eq!(read(data), Err(Flaw::Error), "{api:?} {data}");
        }
        for data in [
            r#"{"detail":null}"#,
            r#"{"detail":""}"#,
            r#"{"errors":[],"message":""}"#,
            r#"{"type":"ping","message":"still here"}"#,
            r#"{"type":"status","detail":"loading"}"#,
        ] {
            assert_eq!(read(data), Ok(Delta::default()), "{api:?} {data}");
        }
    }
    for data in [
        r#"{"choices":[],"detail":"filtered"}"#,
        r#"{"choices":[{"delta":{"content":"a"}}],"message":"b"}"#,
        r#"{"usage":{"prompt_tokens":1},"message":"b"}"#,
    ] {
        let event = sse::Event { name: b"", data: data.as_bytes() };
        assert!(Api::OpenaiChat.read_event(&event).is_ok(), "{data}");
    }
}
