//! The bytes of every response. Pure.

use crate::units::Nanos;
use std::fmt::Write as _;

/// Length of the body of a plain response, in bytes: that of llmsim for a short prompt.
pub const PLAIN_BODY_BYTES: usize = 777;
/// Length of a token event on the wire, including the framing of its chunk: a usual length of such
/// a chunk.
pub const EVENT_BYTES: usize = 217;
/// Digits of an instant: enough for 300 years of nanoseconds.
pub const STAMP_DIGITS: usize = 19;

/// Head of every stream.
const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n\
                           transfer-encoding: chunked\r\n\r\n";
/// The part of an event between its id and its choices.
const BEFORE_CHOICES: &str = r#","object":"chat.completion.chunk","created":1700000000,"model":"origin","choices":["#;
/// The id of every stream. Its length gives an event the promised length.
const ID: &str = "chatcmpl-origin-origin-origin-origin";
/// Prompt tokens in every usage.
const PROMPT_TOKENS: u32 = 8;

/// All responses, ready to be sent.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) plain: Vec<u8>,
    pub(super) health: Vec<u8>,
    pub(super) stream_head: &'static [u8],
    event: Vec<u8>,
    /// Offset of the instant in an event.
    stamp_at: usize,
    /// The last burst and its number of tokens: usually the same one is requested again.
    burst: (u32, Vec<u8>),
    /// The last end of a stream and its number of tokens, for the same reason.
    end: (u32, Vec<u8>),
}

impl Answers {
    pub(super) fn new() -> Self {
        let event = event();
        let stamp_at = memchr::memmem::find(&event, &[b'0'; STAMP_DIGITS]).unwrap_or_default();
        Self {
            plain: json("200 OK", &plain_body()),
            health: json("200 OK", r#"{"service":"origin","status":"ok"}"#),
            stream_head: STREAM_HEAD.as_bytes(),
            event,
            stamp_at,
            burst: (u32::MAX, Vec::new()),
            end: (u32::MAX, Vec::new()),
        }
    }

    /// Returns a token event that is written at `at`.
    pub(super) fn event(&mut self, at: Nanos) -> &[u8] {
        self.event[self.stamp_at..self.stamp_at + STAMP_DIGITS].copy_from_slice(&stamp(at));
        &self.event
    }

    /// Returns the bytes after the last token: the finish chunk with usage, `[DONE]`, the last
    /// chunk.
    pub(super) fn end(&mut self, tokens: u32) -> &[u8] {
        if self.end.0 != tokens {
            self.end = (tokens, end(tokens));
        }
        &self.end.1
    }

    /// Returns a whole stream of `tokens` events, all written at `at`.
    pub(super) fn burst(&mut self, tokens: u32, at: Nanos) -> &[u8] {
        if self.burst.0 != tokens {
            let mut bytes = STREAM_HEAD.as_bytes().to_vec();
            for _ in 0..tokens {
                bytes.extend_from_slice(&self.event);
            }
            bytes.extend_from_slice(&end(tokens));
            self.burst = (tokens, bytes);
        }
        let digits = stamp(at);
        let (head, after) = (STREAM_HEAD.len(), self.stamp_at);
        for event in self.burst.1[head..].chunks_exact_mut(EVENT_BYTES).take(tokens as usize) {
            event[after..after + STAMP_DIGITS].copy_from_slice(&digits);
        }
        &self.burst.1
    }
}

/// Returns a response with a JSON body.
pub(super) fn json(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// Returns an error response.
pub(super) fn error(status: &str, message: &str) -> Vec<u8> {
    json(status, &format!(r#"{{"error":{{"message":"{message}"}}}}"#))
}

/// Returns a chat completion of exactly the promised length.
fn plain_body() -> String {
    let head = r#"{"id":"chatcmpl-origin","object":"chat.completion","created":1700000000,"model":"origin","choices":[{"index":0,"message":{"role":"assistant","content":""#;
    let tail = r#""},"finish_reason":"stop"}],"usage":{"prompt_tokens":8,"completion_tokens":100,"total_tokens":108}}"#;
    let text = "lorem ipsum dolor sit amet ".chars().cycle().take(PLAIN_BODY_BYTES - head.len() - tail.len());
    format!("{head}{}{tail}", text.collect::<String>())
}

/// Returns a token event with zeros in place of its instant.
fn event() -> Vec<u8> {
    let zeros = "0".repeat(STAMP_DIGITS);
    chunk(&format!(
        "data: {{\"id\":\"{ID}\"{BEFORE_CHOICES}{{\"index\":0,\"delta\":{{\"content\":\"{zeros}\"}},\"finish_reason\":null}}]}}\n\n"
    ))
}

/// Returns the finish chunk with usage, `[DONE]`, and the last chunk.
fn end(tokens: u32) -> Vec<u8> {
    let total = u64::from(tokens) + u64::from(PROMPT_TOKENS);
    let mut bytes = chunk(&format!(
        "data: {{\"id\":\"{ID}\"{BEFORE_CHOICES}{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}],\
         \"usage\":{{\"prompt_tokens\":{PROMPT_TOKENS},\"completion_tokens\":{tokens},\"total_tokens\":{total}}}}}\n\n"
    ));
    bytes.extend_from_slice(&chunk("data: [DONE]\n\n"));
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// Returns a chunk of a chunked body (RFC 9112, section 7.1).
fn chunk(text: &str) -> Vec<u8> {
    let mut chunk = String::new();
    // Writing into a String cannot fail.
    let _ = write!(chunk, "{:x}\r\n{text}\r\n", text.len());
    chunk.into_bytes()
}

/// Formats an instant as digits with leading zeros.
fn stamp(at: Nanos) -> [u8; STAMP_DIGITS] {
    let mut digits = [b'0'; STAMP_DIGITS];
    let mut rest = at.0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Event, http1};

    /// Returns the status and the content of a complete response, as our own decoder reads it.
    fn decoded(mut bytes: &[u8]) -> (u16, String) {
        let mut decoder = http1::Decoder::default();
        let (mut status, mut text) = (0, String::new());
        loop {
            match decoder.next(&mut bytes).unwrap().expect("complete") {
                Event::Head(head) => status = head.status,
                Event::Data(data) => text.push_str(std::str::from_utf8(data).unwrap()),
                Event::End { reusable } => {
                    assert!(reusable && bytes.is_empty());
                    return (status, text);
                }
            }
        }
    }

    #[test]
    fn a_plain_answer_is_as_long_as_promised() {
        let (status, body) = decoded(&Answers::new().plain);
        assert_eq!((status, body.len()), (200, PLAIN_BODY_BYTES));
        let json: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(json["usage"]["total_tokens"], 108);
        assert!(json["choices"][0]["message"]["content"].as_str().unwrap().starts_with("lorem ipsum"));
    }

    #[test]
    fn an_event_is_as_long_as_promised_and_carries_its_instant() {
        let mut answers = Answers::new();
        for at in [Nanos(0), Nanos(1_234_567_890_123), Nanos(9_999_999_999_999_999_999)] {
            let event = answers.event(at).to_vec();
            assert_eq!(event.len(), EVENT_BYTES);
            let text = String::from_utf8(event).unwrap();
            let data = text.split_once("data: ").unwrap().1.trim_end();
            let json: serde_json::Value = serde_json::from_str(data).unwrap();
            let content = json["choices"][0]["delta"]["content"].as_str().unwrap();
            assert_eq!((content.len(), content.parse()), (STAMP_DIGITS, Ok(at.0)));
        }
    }

    #[test]
    fn a_burst_is_a_whole_stream() {
        let mut answers = Answers::new();
        for tokens in [3, 0, 2] {
            let (status, text) = decoded(answers.burst(tokens, Nanos(42)));
            assert_eq!(status, 200);
            assert_eq!(text.matches("\"content\":\"0000000000000000042\"").count(), tokens as usize);
            assert!(text.contains(&format!("\"completion_tokens\":{tokens},")) && text.ends_with("data: [DONE]\n\n"));
        }
        assert!(std::str::from_utf8(answers.end(7)).unwrap().contains("\"total_tokens\":15}"));
    }
}
