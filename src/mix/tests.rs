use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::wire::websocket;

fn kind(name: &str, weight: u32) -> Kind {
    Kind {
        name: name.to_owned(),
        weight,
        api: Api::OpenaiChat,
        stream: true,
        websocket: false,
        path: "/openai/v1/chat/completions".to_owned(),
        models: Api::OpenaiChat.models().iter().map(|&model| model.to_owned()).collect(),
        prompt: Prompt::texts(builtin_prompts("medium").expect("built in")),
        model_weights: Vec::new(),
        max_tokens: Some(Tokens::Uniform { min: 50, max: 200 }),
        exact: false,
        limit_name: None,
        check_usage: true,
        body: serde_json::Map::new(),
        headers: Vec::new(),
        timeouts: Timeouts { connect: Nanos(1), first_byte: Nanos(1), stall: Nanos(1), total: Nanos(1) },
        retries: None,
        optional: false,
        behaviors: BehaviorMix::default(),
        conversation: None,
        template_tokens: crate::metrics::TemplateTokens::UNKNOWN,
        scenario: None,
        picture: None,
        custom: None,
    }
}

fn get(name: &str, weight: u32, path: &str) -> Kind {
    Kind { api: Api::Health, stream: false, path: path.to_owned(), max_tokens: None, ..kind(name, weight) }
}

fn envelope() -> Envelope {
    Envelope {
        host: "127.0.0.1:8080".to_owned(),
        origin: String::new(),
        path_prefix: String::new(),
        query: String::new(),
        api_key: None,
        basic_auth: None,
        key_as: KeyAs::OfApi,
        headers: Vec::new(),
    }
}

/// Returns a body like that of a chat API, so that these tests do not depend on a real one.
fn pieces(kind: &Kind) -> Vec<Piece> {
    if kind.api.method() == Method::Get {
        return Vec::new();
    }
    let text = |s: &str| Piece::Text(s.to_owned());
    let mut pieces =
        vec![text("{\"model\":"), Piece::Model, text(",\"messages\":[{\"role\":\"user\",\"content\":"), Piece::Prompt];
    pieces.push(text("}]"));
    if kind.max_tokens.is_some() {
        pieces.extend([text(",\"max_tokens\":"), Piece::MaxTokens]);
    }
    pieces.push(text("}"));
    pieces
}

fn writer(kinds: &[Kind], envelope: &Envelope, seed: u64) -> RequestWriter {
    RequestWriter::with_bodies(&Mix { kinds: kinds.to_vec() }, std::slice::from_ref(envelope), seed, pieces)
}

/// A request as a server would read it.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    kind: u16,
    line: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Seen {
    fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }
}

fn seen(writer: &RequestWriter, draw_vu: u32, iteration: u64) -> Seen {
    let mut request = Request::default();
    writer.write(0, draw_vu, iteration, None, &[], &mut request);
    let text = String::from_utf8(request.bytes).expect("these tests send text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let mut lines = head.split("\r\n");
    let line = lines.next().expect("a request line").to_owned();
    let headers = lines
        .map(|line| line.split_once(": ").expect("a header"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let seen = Seen { kind: request.kind, line, headers, body: body.to_owned() };
    match seen.all("content-length")[..] {
        [] => assert_eq!(seen.body, ""),
        [length] => assert_eq!(length, seen.body.len().to_string()),
        ref several => panic!("{several:?}"),
    }
    seen
}

#[test]
fn a_request_to_the_letter() {
    let kind = Kind {
        models: vec!["gpt-5".to_owned()],
        prompt: Prompt::texts(vec!["Hi".to_owned()]),
        max_tokens: Some(Tokens::fixed(20)),
        headers: vec![("X-Run".to_owned(), "7".to_owned())],
        ..kind("chat", 1)
    };
    let envelope = Envelope { api_key: Some(Secret::new("sk-1".to_owned())), ..envelope() };
    let mut request = Request { bytes: b"of before".to_vec(), kind: 9, ..Request::default() };
    writer(&[kind], &envelope, 1).write(0, 0, 0, None, &[], &mut request);
    let expected = format!(
        "POST /openai/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: llmsim-blast/{}\r\n\
         Accept: text/event-stream\r\nAccept-Encoding: identity\r\nContent-Type: application/json\r\n\
         Authorization: Bearer sk-1\r\nX-Run: 7\r\nContent-Length: 77\r\n\r\n\
         {{\"model\":\"gpt-5\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hi\"}}],\"max_tokens\":20}}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(String::from_utf8(request.bytes), Ok(expected));
    assert_eq!(request.kind, 0);
}

#[test]
fn a_websocket_is_asked_for_and_then_asked() {
    let kind = Kind {
        api: Api::OpenaiResponses,
        path: Api::OpenaiResponses.path().to_owned(),
        websocket: true,
        models: vec!["gpt-5".to_owned()],
        prompt: Prompt::texts(vec!["Hi".to_owned()]),
        max_tokens: Some(Tokens::fixed(20)),
        headers: vec![("X-Run".to_owned(), "7".to_owned()), ("connection".to_owned(), "close".to_owned())],
        ..kind("ws", 1)
    };
    let writer = RequestWriter::new(&Mix { kinds: vec![kind] }, &[envelope()], 1);
    let mut request = Request::default();
    let key = writer.write_upgrade(0, 0, 0, &mut request);
    let expected = format!(
        "GET /openai/v1/responses HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: llmsim-blast/{}\r\n\
         Accept: application/json\r\nAccept-Encoding: identity\r\nX-Run: 7\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n",
        env!("CARGO_PKG_VERSION"),
        str::from_utf8(key.as_bytes()).expect("base64")
    );
    assert_eq!(str::from_utf8(&request.bytes), Ok(expected.as_str()));
    assert_ne!(writer.write_upgrade(0, 0, 1, &mut request), key, "each handshake has a nonce of its own");
    assert_eq!(writer.write_upgrade(0, 0, 0, &mut request), key, "drawn from the seed");
    writer.write(0, 0, 0, None, &[], &mut request);
    let expected = r#"{"type":"response.create","model":"gpt-5","input":"Hi","max_output_tokens":20}"#;
    assert_eq!(request.bytes[..2], [0x81, 0x80 | expected.len() as u8]);
    let (head, payload) = request.bytes.split_at_mut(6);
    websocket::mask(payload, head[2..].try_into().expect("four bytes"));
    assert_eq!(str::from_utf8(payload), Ok(expected));
}

#[test]
fn a_get_has_no_body_and_says_nothing_about_one() {
    let envelope = Envelope { path_prefix: "/gateway".to_owned(), ..envelope() };
    let seen = seen(&writer(&[get("health", 1, "/health")], &envelope, 1), 3, 4);
    assert_eq!((seen.line.as_str(), seen.body.as_str()), ("GET /gateway/health HTTP/1.1", ""));
    assert_eq!(seen.all("accept"), ["application/json"]);
    assert!(seen.all("content-type").is_empty() && seen.all("content-length").is_empty());
}

#[test]
fn the_model_in_a_path_is_percent_encoded() {
    let models = vec!["org/mo del?".to_owned(), "größe".to_owned()];
    let writer = writer(&[Kind { models, ..get("model", 1, "models/{model}") }], &envelope(), 1);
    let lines: std::collections::BTreeSet<String> = (0..50).map(|i| seen(&writer, 0, i).line).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(lines, ["GET /models/gr%C3%B6%C3%9Fe HTTP/1.1", "GET /models/org%2Fmo%20del%3F HTTP/1.1"]);
}

#[test]
fn a_path_cannot_break_the_request_line() {
    let seen = seen(&writer(&[get("odd", 1, "/a b\r\nX: y?q=1&r=ü")], &envelope(), 1), 0, 0);
    assert_eq!(seen.line, "GET /a%20b%0D%0AX:%20y?q=1&r=%C3%BC HTTP/1.1");
}

#[test]
fn a_header_replaces_ours_and_the_kind_wins_over_the_target() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let envelope = Envelope {
        api_key: Some(Secret::new("ours".to_owned())),
        headers: vec![
            pair("AUTHORIZATION", "Basic theirs"),
            pair("x-tag", "target"),
            pair("x-both", "a"),
            pair("X-Both", "b"),
            pair("content-length", "5"),
            pair("X-Injected", "1\r\nEvil: yes"),
        ],
        ..envelope()
    };
    let headers = vec![pair("X-TAG", "kind"), pair("host", "example.test"), pair("user-agent", "other/1")];
    let seen = seen(&writer(&[Kind { headers, ..kind("chat", 1) }], &envelope, 1), 0, 0);
    assert_eq!(seen.all("authorization"), ["Basic theirs"]);
    assert_eq!(seen.all("x-tag"), ["kind"]);
    assert_eq!(seen.all("x-both"), ["a", "b"], "twice in one level is meant");
    assert_eq!(seen.all("user-agent"), ["other/1"]);
    assert_eq!(seen.headers[0], pair("host", "example.test"), "first, as RFC 9110 asks");
    assert_eq!(seen.headers.last().map(|(name, _)| name.as_str()), Some("Content-Length"));
    assert!(seen.all("x-injected").is_empty() && seen.all("evil").is_empty());
}

#[test]
fn each_api_gets_its_headers_and_its_key() {
    let envelope = Envelope { api_key: Some(Secret::new("k".to_owned())), ..envelope() };
    let sent = |api: Api, headers: Vec<(String, String)>| {
        let kind = Kind { api, path: api.path().to_owned(), headers, ..kind("r", 1) };
        seen(&writer(&[kind], &envelope, 1), 0, 0)
    };
    for api in Api::ALL {
        let seen = sent(api, Vec::new());
        let anthropic = api.name().starts_with("anthropic");
        assert_eq!(seen.all("x-api-key"), if anthropic { &["k"][..] } else { &[] }, "{api:?}");
        assert_eq!(seen.all("anthropic-version"), if anthropic { &["2023-06-01"][..] } else { &[] }, "{api:?}");
        assert_eq!(seen.all("authorization"), ["Bearer k"], "{api:?}: as vLLM wants it for all its APIs");
    }
    let real = Envelope { host: "api.anthropic.com".to_owned(), ..envelope.clone() };
    let kind = Kind { api: Api::AnthropicMessages, ..kind("r", 1) };
    let seen = seen(&writer(&[kind], &real, 1), 0, 0);
    assert_eq!((seen.all("x-api-key"), seen.all("authorization")), (vec!["k"], vec![]));
    let own = vec![("Anthropic-Version".to_owned(), "2099-01-01".to_owned())];
    assert_eq!(sent(Api::AnthropicMessages, own).all("anthropic-version"), ["2099-01-01"], "the user's own wins");
}

#[test]
fn headers_that_cannot_be_sent_are_named() {
    assert_eq!(check_header("X-Tag", "a\tb ü"), Ok(()));
    for (name, value, problem) in [
        ("", "x", "not the name"),
        ("a b", "x", "not the name"),
        ("a:", "x", "not the name"),
        ("ä", "x", "not the name"),
        ("a", "x\ny", "control character"),
        ("a", "x\0", "control character"),
        ("transfer-ENCODING", "chunked", "frames the request"),
    ] {
        let error = check_header(name, value).expect_err(name);
        assert!(error.contains(problem), "{name:?}: {value:?}: {error}");
    }
}

#[test]
fn texts_that_need_escaping_arrive_as_they_are() {
    let odd = [
        "say \"hi\"",
        "back\\slash",
        "two\nlines\r\n\tand \u{0}\u{1f} controls",
        "größe 漢字 🦀",
        "</script>\u{2028}",
        "",
    ];
    let odd: Vec<String> = odd.map(str::to_owned).to_vec();
    let writer =
        writer(&[Kind { models: odd.clone(), prompt: Prompt::texts(odd.clone()), ..kind("chat", 1) }], &envelope(), 3);
    let (mut models, mut prompts) = (BTreeMap::new(), BTreeMap::new());
    for i in 0..300 {
        let body = seen(&writer, 1, i).json();
        *models.entry(body["model"].as_str().expect("a string").to_owned()).or_insert(0) += 1;
        *prompts.entry(body["messages"][0]["content"].as_str().expect("a string").to_owned()).or_insert(0) += 1;
    }
    assert!(odd.iter().all(|text| models.contains_key(text) && prompts.contains_key(text)));
    assert_eq!((models.len(), prompts.len()), (odd.len(), odd.len()));
}

#[test]
fn token_limits_reach_both_ends_and_may_be_absent() {
    let writer =
        writer(&[Kind { max_tokens: Some(Tokens::Uniform { min: 9, max: 11 }), ..kind("chat", 1) }], &envelope(), 3);
    let mut limits: Vec<u64> =
        (0..100).map(|i| seen(&writer, i, 0).json()["max_tokens"].as_u64().expect("a number")).collect();
    limits.sort_unstable();
    limits.dedup();
    assert_eq!(limits, [9, 10, 11]);
    let without = self::writer(&[Kind { max_tokens: None, ..kind("chat", 1) }], &envelope(), 3);
    assert_eq!(seen(&without, 0, 0).json().get("max_tokens"), None);
}

#[test]
fn kinds_come_as_their_weights_say() {
    let kinds = [kind("a", 70), get("never", 0, "/x"), kind("b", 25), get("c", 5, "/health"), get("never", 0, "/y")];
    let writer = writer(&kinds, &envelope(), 42);
    let mut counts = [0u32; 5];
    for (vu, iteration) in (0..100).flat_map(|vu| (0..200).map(move |i| (vu, i))) {
        counts[writer.draw(vu, iteration).kind] += 1;
    }
    // Four standard deviations of 20,000 draws: 260, 245 and 123.
    assert!(
        counts[0].abs_diff(14_000) < 260 && counts[2].abs_diff(5_000) < 245 && counts[3].abs_diff(1_000) < 123,
        "{counts:?}"
    );
    assert_eq!((counts[1], counts[4]), (0, 0), "a weight of zero is never drawn");
}

#[test]
fn all_models_and_prompts_are_drawn_alike_and_apart() {
    let writer = writer(&[kind("chat", 1)], &envelope(), 42);
    let mut pairs = BTreeMap::new();
    for i in 0..42_000 {
        let draw = writer.draw(0, i);
        *pairs.entry((draw.model, draw.prompt)).or_insert(0u32) += 1;
    }
    assert_eq!(pairs.len(), 7 * 6);
    assert!(pairs.values().all(|count| count.abs_diff(1000) < 140), "{pairs:?}");
}

#[test]
fn another_seed_user_or_iteration_draws_something_else() {
    let draws = |seed, vu: u32, first: u64| {
        let writer = writer(&[kind("a", 1), kind("b", 1)], &envelope(), seed);
        (first..first + 20).map(|i| writer.draw(vu, i)).collect::<Vec<_>>()
    };
    assert_eq!(draws(1, 2, 0), draws(1, 2, 0));
    for other in [draws(2, 2, 0), draws(1, 3, 0), draws(1, 2, 1)] {
        assert_ne!(other, draws(1, 2, 0));
    }
}

/// One text drawn from two equal ones is written piece by piece. A single text is put together
/// beforehand.
#[test]
fn what_never_changes_is_put_together_once_and_reads_the_same() {
    let twice = |texts: &[&str]| texts.iter().chain(texts).map(|&text| text.to_owned()).collect::<Vec<_>>();
    let once = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    for api in Api::ALL.into_iter().filter(|api| api.method() == Method::Post && *api != Api::Template) {
        for (max_tokens, websocket) in [(None, false), (Some(Tokens::fixed(20)), false), (Some(Tokens::fixed(7)), true)]
        {
            let of = |models, prompts| {
                let prompt = Prompt::texts(prompts);
                let path = api.path().to_owned();
                let kind = Kind { api, path, models, prompt, max_tokens, websocket, exact: true, ..kind("k", 1) };
                RequestWriter::new(&Mix { kinds: vec![kind] }, &[envelope()], 1)
            };
            let (model, text) = (&["a \"b\""][..], &["say \"hi\"\n"][..]);
            let (put, drawn) = (of(once(model), once(text)), of(twice(model), twice(text)));
            let (mut folded, mut pieces) = (Request::default(), Request::default());
            for iteration in 0..4 {
                put.write(0, 1, iteration, None, &[], &mut folded);
                drawn.write(0, 1, iteration, None, &[], &mut pieces);
                let [folded, pieces] =
                    [&folded, &pieces].map(|request| (String::from_utf8_lossy(&request.bytes), request.asked));
                assert_eq!(folded, pieces, "{api:?} {max_tokens:?}");
            }
        }
    }
}

#[test]
fn nothing_is_allocated_once_warm() {
    let writer = writer(&[kind("a", 1), get("b", 1, "/health"), of_words(300)], &envelope(), 1);
    let mut request = Request { bytes: Vec::with_capacity(4096), kind: 0, ..Request::default() };
    let address = request.bytes.as_ptr();
    for i in 0..100 {
        writer.write(0, 0, i, None, &[], &mut request);
        assert_eq!((request.bytes.as_ptr(), request.bytes.capacity()), (address, 4096));
    }
}

fn of_words(tokens: u32) -> Kind {
    Kind { prompt: Prompt::of(PromptSource::Words(Tokens::fixed(tokens))), ..kind("words", 1) }
}

#[test]
fn words_are_written_into_the_request_and_its_length_is_right() {
    // Lengths of two to five digits, where the estimate is sometimes wrong.
    for tokens in [1, 2, 7, 8, 9, 100, 116, 117, 118, 119, 120, 121, 122, 1300, 1301, 1302, 1303, 4000] {
        let writer = writer(&[of_words(tokens)], &envelope(), 9);
        let mut prompts = std::collections::BTreeSet::new();
        for iteration in 0..50 {
            let body = seen(&writer, 3, iteration).json();
            let prompt = body["messages"][0]["content"].as_str().expect("a string").to_owned();
            assert_eq!(prompt.split(' ').count(), tokens as usize);
            prompts.insert(prompt);
            let mut request = Request::default();
            writer.write(0, 3, iteration, None, &[], &mut request);
            assert_eq!((request.asked.input, request.asked.prefix), (tokens, 0));
            assert_eq!(body["max_tokens"], request.asked.output);
        }
        assert!(prompts.len() == 50 || tokens == 1, "{tokens}: {}", prompts.len());
    }
}

#[test]
fn messages_of_words_are_framed_and_masked() {
    let websocket = |tokens| Kind {
        api: Api::OpenaiResponses,
        websocket: true,
        models: vec!["gpt-5".to_owned()],
        ..of_words(tokens)
    };
    // Lengths around those at which the frame's head grows: 126 and 65,536 bytes.
    for tokens in [1, 3, 4, 5, 6, 8, 100, 8700, 8710, 8720, 8730, 8740, 8800] {
        let writer = RequestWriter::new(&Mix { kinds: vec![websocket(tokens)] }, &[envelope()], 1);
        for iteration in 0..20 {
            let mut request = Request::default();
            writer.write(0, 0, iteration, None, &[], &mut request);
            let (head, length) = match request.bytes[1] & 0x7f {
                126 => (4, usize::from(u16::from_be_bytes([request.bytes[2], request.bytes[3]]))),
                127 => (10, u64::from_be_bytes(request.bytes[2..10].try_into().expect("eight")) as usize),
                short => (2, usize::from(short)),
            };
            let (head, payload) = request.bytes.split_at_mut(head + 4);
            assert_eq!(payload.len(), length);
            websocket::mask(payload, head[head.len() - 4..].try_into().expect("four bytes"));
            let json: Value = serde_json::from_slice(payload).expect("JSON");
            assert_eq!(json["input"].as_str().map(|input| input.split(' ').count()), Some(tokens as usize));
        }
    }
}

#[test]
fn an_opening_makes_texts_distinct_and_changes_nothing_else() {
    let plain = writer(&[kind("chat", 1)], &envelope(), 3);
    let distinct = Kind { prompt: Prompt { distinct: true, ..kind("chat", 1).prompt }, ..kind("chat", 1) };
    let distinct = writer(&[distinct], &envelope(), 3);
    let mut openings = std::collections::BTreeSet::new();
    for iteration in 0..500 {
        let (plain, distinct) = (seen(&plain, 1, iteration).json(), seen(&distinct, 1, iteration).json());
        let text = |body: &Value| body["messages"][0]["content"].as_str().expect("a string").to_owned();
        let opened = text(&distinct);
        let (opening, rest) = opened.split_once(".\n\n").expect("an opening");
        assert_eq!(rest, text(&plain));
        openings.insert(opening.to_owned());
        assert_eq!((&plain["model"], &plain["max_tokens"]), (&distinct["model"], &distinct["max_tokens"]));
    }
    assert_eq!(openings.len(), 500);
}

#[test]
fn secrets_are_never_printed() {
    let envelope = Envelope {
        api_key: Some(Secret::new("sk-hidden-1".to_owned())),
        headers: vec![("x-api-key".to_owned(), "sk-hidden-2".to_owned())],
        ..envelope()
    };
    let writer = writer(&[kind("chat", 1)], &envelope, 1);
    let mut request = Request::default();
    writer.write(0, 0, 0, None, &[], &mut request);
    let sent = String::from_utf8(std::mem::take(&mut request.bytes)).expect("text");
    assert!(sent.contains("sk-hidden-1") && sent.contains("sk-hidden-2"));
    request.bytes = sent.into_bytes();
    let printed = format!("{envelope:?} {writer:?} {request:?} {envelope:#?} {writer:#?}");
    assert!(printed.contains("x-api-key") && printed.contains("[hidden]"));
    assert!(!printed.contains("sk-hidden"), "{printed}");
    // Bytes print as numbers: "sk-" is 115, 107, 45.
    assert!(!printed.replace(char::is_whitespace, "").contains("115,107,45"), "{printed}");
}

#[test]
fn a_mix_of_nothing_sends_nothing_and_does_not_panic() {
    let mut request = Request { bytes: b"old".to_vec(), kind: 3, ..Request::default() };
    writer(&[], &envelope(), 1).write(0, 0, 0, None, &[], &mut request);
    assert_eq!((request.bytes.len(), request.kind), (0, 0));
    let bare = Kind { models: Vec::new(), prompt: Prompt::texts(Vec::new()), ..kind("bare", 0) };
    assert_eq!(seen(&writer(&[bare], &envelope(), 1), 0, 0).json()["model"], json!(""));
}

#[test]
fn built_in_prompts_grow_with_their_names() {
    let mean = |name: &str| {
        let set = builtin_prompts(name).expect(name);
        assert!(set.len() >= 4, "{name}");
        set.iter().map(String::len).sum::<usize>() / set.len()
    };
    assert!(mean("short") < 20 && (50..150).contains(&mean("medium")) && mean("long") > 500);
    assert_eq!(builtin_prompts("huge"), None);
}

proptest! {
    #[test]
    fn any_text_survives(model in ".*", prompt in "(?s).*", seed in any::<u64>()) {
        let one = Kind { models: vec![model.clone()], prompt: Prompt::texts(vec![prompt.clone()]), ..kind("chat", 1) };
        let body = seen(&writer(&[one], &envelope(), seed), 0, 0).json();
        prop_assert_eq!(body["model"].as_str(), Some(model.as_str()));
        prop_assert_eq!(body["messages"][0]["content"].as_str(), Some(prompt.as_str()));
    }
}

#[test]
fn behavior_is_drawn_like_everything_else_and_changes_nothing_else() {
    let leave = |n, share| Some(Leave { after: After::Tokens(n), share });
    let behavior = BehaviorMix {
        cancel: leave(1, 0.25),
        drop: leave(2, 0.5),
        slow_reader: Some(SlowReader { bytes_per_second: 9, share: 0.1 }),
    };
    let usual = writer(&[kind("chat", 1)], &envelope(), 3);
    let odd = writer(&[Kind { behaviors: behavior, ..kind("chat", 1) }], &envelope(), 3);
    let (mut cancelled, mut dropped, mut slow) = (0, 0, 0);
    let (mut before, mut after) = (Request::default(), Request::default());
    for vu in 0..100 {
        for iteration in 0..100 {
            usual.write(0, vu, iteration, None, &[], &mut before);
            odd.write(0, vu, iteration, None, &[], &mut after);
            assert_eq!(
                (&before.bytes, before.kind, before.behavior),
                (&after.bytes, after.kind, ClientBehavior::default())
            );
            match (after.behavior.leave, after.behavior.by_reset) {
                (Some(After::Tokens(1)), false) => cancelled += 1,
                (Some(After::Tokens(2)), true) => dropped += 1,
                (None, false) => {}
                other => panic!("{other:?}"),
            }
            assert_eq!(after.behavior.bytes_per_second.is_some(), odd.reads_slowly(vu, iteration, None));
            assert!(!usual.reads_slowly(vu, iteration, None));
            slow += u32::from(after.behavior.bytes_per_second.is_some_and(|pace| pace.get() == 9));
        }
    }
    // Of 10,000 requests, within five standard deviations.
    assert!((2_280..2_720).contains(&cancelled), "{cancelled}");
    assert!((4_750..5_250).contains(&dropped), "{dropped}");
    assert!((850..1_150).contains(&slow), "{slow}");
    let all = writer(
        &[Kind { behaviors: BehaviorMix { drop: leave(2, 1.0), ..BehaviorMix::default() }, ..kind("chat", 1) }],
        &envelope(),
        3,
    );
    for iteration in 0..1000 {
        all.write(0, 0, iteration, None, &[], &mut after);
        assert!(after.behavior.leave.is_some());
    }
}

#[test]
fn a_query_of_the_target_follows_every_path() {
    let envelope = Envelope { query: "a=b&c=d".to_owned(), ..envelope() };
    for (path, expected) in [("/v1/x", "GET /v1/x?a=b&c=d HTTP/1.1"), ("/v1/x?y=z", "GET /v1/x?y=z&a=b&c=d HTTP/1.1")] {
        assert_eq!(seen(&writer(&[get("x", 1, path)], &envelope, 1), 3, 4).line, expected);
    }
}
