//! Recorded streams of servers, cut into reads as they come off a socket, and the loop with which a
//! connection decodes them.

#![allow(dead_code, reason = "each bench uses its own part of it")]

use llmsim_blast::api::{Api, Reader};
use llmsim_blast::wire::{Event, http1, sse};
use std::hint::black_box;

/// Recorded streams of many servers: their bodies, with the framing removed.
const FIXTURES: [(&str, Api, &[u8]); 19] = [
    ("azure", Api::OpenaiChat, include_bytes!("../../src/wire/fixtures/azure.sse")),
    ("choices", Api::OpenaiChat, include_bytes!("../../src/wire/fixtures/choices.sse")),
    ("gateway", Api::OpenaiChat, include_bytes!("../../src/wire/fixtures/gateway.sse")),
    ("llama_cpp", Api::OpenaiChat, include_bytes!("../../src/wire/fixtures/llama_cpp.sse")),
    ("llmsim", Api::OpenaiChat, include_bytes!("../../src/wire/fixtures/llmsim.sse")),
    ("openai", Api::OpenaiChat, include_bytes!("../../src/wire/fixtures/openai.sse")),
    ("openai_tools", Api::OpenaiChat, include_bytes!("../../src/wire/fixtures/openai_tools.sse")),
    ("openrouter", Api::OpenaiChat, include_bytes!("../../src/wire/fixtures/openrouter.sse")),
    ("spring", Api::OpenaiChat, include_bytes!("../../src/wire/fixtures/spring.sse")),
    ("vllm_error", Api::OpenaiChat, include_bytes!("../../src/wire/fixtures/vllm_error.sse")),
    ("vllm_reasoning", Api::OpenaiChat, include_bytes!("../../src/wire/fixtures/vllm_reasoning.sse")),
    ("vllm_usage", Api::OpenaiChat, include_bytes!("../../src/wire/fixtures/vllm_usage.sse")),
    ("llmsim_responses", Api::OpenaiResponses, include_bytes!("../../src/wire/fixtures/llmsim_responses.sse")),
    (
        "llmsim_responses_reasoning",
        Api::OpenaiResponses,
        include_bytes!("../../src/wire/fixtures/llmsim_responses_reasoning.sse"),
    ),
    (
        "openai_responses_tools",
        Api::OpenaiResponses,
        include_bytes!("../../src/wire/fixtures/openai_responses_tools.sse"),
    ),
    ("llmsim_openresponses", Api::Openresponses, include_bytes!("../../src/wire/fixtures/llmsim_openresponses.sse")),
    ("anthropic_tools", Api::AnthropicMessages, include_bytes!("../../src/wire/fixtures/anthropic_tools.sse")),
    ("llmsim_anthropic", Api::AnthropicMessages, include_bytes!("../../src/wire/fixtures/llmsim_anthropic.sse")),
    (
        "llmsim_anthropic_thinking",
        Api::AnthropicMessages,
        include_bytes!("../../src/wire/fixtures/llmsim_anthropic_thinking.sse"),
    ),
];

/// The head of a stream as llmsim sends it.
const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\n\
    content-type: text/event-stream\r\n\
    cache-control: no-cache\r\n\
    connection: keep-alive\r\n\
    access-control-expose-headers: *\r\n\
    access-control-allow-origin: *\r\n\
    transfer-encoding: chunked\r\n\
    date: Tue, 24 Nov 2026 09:25:04 GMT\r\n\r\n";

/// The head of a plain response as llmsim sends it, without its last line.
const PLAIN_HEAD: &str = "HTTP/1.1 200 OK\r\n\
    content-type: application/json\r\n\
    access-control-expose-headers: *\r\n\
    access-control-allow-origin: *\r\n\
    date: Tue, 24 Nov 2026 09:25:04 GMT\r\n";

/// The body of a plain response as llmsim sends it.
pub(crate) const PLAIN_BODY: &str = r#"{"id":"chatcmpl-f3cc0d02-814c-8906-cab4-a140a262d07c","object":"chat.completion","created":1795512304,"model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"Incididunt adipiscing velit enim adipiscing commodo sed occaecat nisi ipsum. labore amet commodo excepteur ut fugiat deserunt labore adipiscing ut. laboris enim consectetur ullamco non in magna fugiat qui esse. elit dolore et exercitation ullamco sunt do eiusmod incididunt laborum. pariatur do laboris consequat enim laborum excepteur sint do lorem. aliqua elit consequat excepteur id est consequat est sint laborum. deserunt fugiat excepteur irure minim sit officia aliqua excepteur lorem. irure ullamco sed et velit."},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":109,"total_tokens":119},"system_fingerprint":"fp_llmsim"}"#;

/// A stream: its name, its API and its body.
pub(crate) struct Stream {
    pub(crate) name: String,
    pub(crate) api: Api,
    pub(crate) body: Vec<u8>,
}

/// Returns all recorded streams, and llmsim's at a usual length. The recorded streams are short, so
/// their heads would weigh too much.
pub(crate) fn streams() -> Vec<Stream> {
    let recorded = FIXTURES.iter().map(|&(name, api, body)| Stream { name: name.to_owned(), api, body: body.to_vec() });
    recorded.chain(long(100)).collect()
}

/// Returns llmsim's stream of chat completions with `tokens` token events.
pub(crate) fn llmsim(tokens: usize) -> Stream {
    longer("llmsim", tokens)
}

/// Returns llmsim's stream of every API with `tokens` token events.
pub(crate) fn long(tokens: usize) -> Vec<Stream> {
    ["llmsim", "llmsim_responses", "llmsim_openresponses", "llmsim_anthropic"].map(|name| longer(name, tokens)).into()
}

/// Returns a recorded stream with `tokens` token events: its first word and space, repeated.
fn longer(name: &str, tokens: usize) -> Stream {
    let &(_, api, recorded) = FIXTURES.iter().find(|(known, ..)| *known == name).expect("a recorded stream");
    let is_token = |event: &&[u8]| {
        let mut token = false;
        let read = |event: &sse::Event<'_>| token |= api.read_event(event).is_ok_and(|delta| delta.token.is_some());
        read_events(&mut sse::Decoder::default(), event, &mut { read });
        token
    };
    let events = events(recorded);
    let first = events.iter().position(&is_token).expect("a token");
    let last = events.iter().rposition(&is_token).expect("a token");
    let words = events[first..first + 2].iter().cycle().take(tokens);
    let all = events[..first].iter().chain(words).chain(&events[last + 1..]);
    Stream { name: format!("{name}_{tokens}"), api, body: all.copied().collect::<Vec<_>>().concat() }
}

/// Cuts the body after each blank line.
fn events(body: &[u8]) -> Vec<&[u8]> {
    let mut events = Vec::new();
    let (mut start, mut at) = (0, 0);
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        if line.trim_ascii().is_empty() {
            events.push(&body[start..at]);
            start = at;
        }
    }
    if start < body.len() {
        events.push(&body[start..]);
    }
    events
}

impl Stream {
    /// Returns the chunked body without a head, one chunk for each event.
    pub(crate) fn chunked(&self) -> Vec<u8> {
        let mut chunked: Vec<u8> = events(&self.body).into_iter().flat_map(chunk).collect();
        chunked.extend_from_slice(LAST_CHUNK);
        chunked
    }

    /// Returns the whole response in one read.
    pub(crate) fn one_read(&self) -> Vec<Vec<u8>> {
        vec![[STREAM_HEAD.as_bytes(), &self.chunked()].concat()]
    }

    /// Returns the head, each event and the last chunk in reads of their own. A stream that is
    /// slower than its reader arrives like this.
    pub(crate) fn event_a_read(&self) -> Vec<Vec<u8>> {
        let mut reads = vec![STREAM_HEAD.as_bytes().to_vec()];
        reads.extend(events(&self.body).into_iter().map(chunk));
        reads.push(LAST_CHUNK.to_vec());
        reads
    }

    /// Returns how many events a reader sees.
    pub(crate) fn count(&self) -> u64 {
        self.each(|_| ())
    }

    /// Calls `event` with each decoded event, and returns their number.
    pub(crate) fn each(&self, mut event: impl FnMut(&sse::Event<'_>)) -> u64 {
        let mut decoder = sse::Decoder::default();
        read_events(&mut decoder, &self.body, &mut event)
    }
}

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

fn chunk(event: &[u8]) -> Vec<u8> {
    [format!("{:X}\r\n", event.len()).as_bytes(), event, b"\r\n"].concat()
}

/// Returns a plain response in one read.
pub(crate) fn plain_answer() -> Vec<u8> {
    format!("{PLAIN_HEAD}content-length: {}\r\n\r\n{PLAIN_BODY}", PLAIN_BODY.len()).into_bytes()
}

/// Feeds a piece of a body to the decoder, and returns how many events came out.
pub(crate) fn read_events(decoder: &mut sse::Decoder, piece: &[u8], event: &mut impl FnMut(&sse::Event<'_>)) -> u64 {
    let mut input = piece;
    let mut count = 0;
    while let Some(next) = decoder.next(&mut input) {
        event(&next.expect("recorded streams are well-formed"));
        count += 1;
    }
    count
}

/// A connection's decoders, reused from response to response.
#[derive(Default)]
pub(crate) struct Decoders {
    http: http1::Decoder,
    known: http1::KnownHead,
    sse: sse::Decoder,
}

impl Decoders {
    /// Decodes a whole response, read by read. Events and bodies are only interpreted if there is a
    /// reader. A worker has one.
    pub(crate) fn decode(&mut self, reads: &[Vec<u8>], streamed: bool, mut reader: Option<&mut Reader>) {
        self.http.reset();
        self.sse.reset();
        for read in reads {
            let mut input: &[u8] = black_box(read);
            while let Some(event) = self.http.next_like(&mut input, Some(&mut self.known)) {
                match event.expect("recorded responses are well-formed") {
                    Event::Head(head) => {
                        black_box(head);
                    }
                    Event::Data(piece) if streamed => {
                        read_events(&mut self.sse, piece, &mut |event| {
                            black_box(reader.as_mut().map(|reader| reader.read_event(black_box(event))));
                        });
                    }
                    Event::Data(body) => {
                        black_box(reader.as_mut().map(|reader| reader.read_body(black_box(body))));
                    }
                    Event::End { reusable } => {
                        black_box(reusable);
                        break;
                    }
                }
            }
        }
    }
}
