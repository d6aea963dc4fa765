//! `OpenAI`'s generation of images. It is asked whether it works; it has no tokens to be timed.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json;
use super::spec::{self, AnswerIs, Spec};
use super::{Answer, Ask, Delta, Flaw, Piece};
use crate::wire::sse;

/// What there is to say about it. Pictures are too large to be kept, so no answer is learned from.
pub(super) const SPEC: Spec = Spec {
    name: "openai-images",
    path: "/openai/v1/images/generations",
    models: &["gpt-image-1"],
    body: Some(body),
    streams: true,
    read_event,
    answer: AnswerIs::Read(read_body),
    learned_body: None,
    ..spec::GET
};

/// The body in pieces. A small picture of low quality: a larger one would be more than an event may hold.
fn body(ask: &Ask<'_>) -> Vec<Piece> {
    let ours = vec![
        ("model", vec![Piece::Model]),
        ("prompt", vec![Piece::Prompt]),
        ("n", vec![json::text("1")]),
        ("size", vec![json::text(r#""256x256""#)]),
        ("quality", vec![json::text(r#""low""#)]),
        json::stream(ask),
    ];
    json::object(ours, ask)
}

/// What one event of a stream means: the last picture ends it.
fn read_event(event: &sse::Event<'_>) -> Result<Delta, Flaw> {
    if event.name == json::ERROR_EVENT {
        return Err(Flaw::Error);
    }
    let data = event.data.trim_ascii();
    if data.is_empty() || data == json::DONE {
        return Ok(Delta::default());
    }
    let Ok(picture) = serde_json::from_slice::<Picture<'_>>(data) else {
        return json::not_as_documented(data).map(|()| Delta::default());
    };
    if json::is(picture.kind, "error") || json::filled(picture.error) {
        return Err(Flaw::Error);
    }
    let done = json::is(picture.kind, "image_generation.completed");
    if done && !json::filled(picture.b64_json) {
        return Err(Flaw::Check { name: "has an image", held: 0 });
    }
    Ok(Delta { done, ..Delta::default() })
}

/// What a complete plain answer means, and whether its checks hold.
fn read_body(body: &[u8]) -> Result<Answer, Flaw> {
    let pictures = match serde_json::from_slice::<Pictures<'_>>(body) {
        Ok(pictures) => pictures,
        Err(_) => json::not_as_documented(body).map(|()| Pictures::default())?,
    };
    if json::filled(pictures.error) {
        return Err(Flaw::Error);
    }
    let all = pictures.data.unwrap_or_default();
    if all.is_empty() || !all.iter().all(|picture| json::filled(picture.b64_json) || json::filled(picture.url)) {
        return Err(Flaw::Check { name: "has an image", held: 0 });
    }
    Ok(Answer { usage: None, checks: 1 })
}

/// A plain answer.
#[derive(Debug, Default, Deserialize)]
struct Pictures<'a> {
    #[serde(borrow)]
    data: Option<Vec<Picture<'a>>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// One picture, or an event.
#[derive(Debug, Deserialize)]
struct Picture<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    b64_json: Option<&'a RawValue>,
    #[serde(borrow)]
    url: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_there_or_is_missed() {
        assert_eq!(read_body(br#"{"created":1,"data":[{"b64_json":"iVBO"}]}"#), Ok(Answer { usage: None, checks: 1 }));
        assert_eq!(read_body(br#"{"data":[{"url":"http://x/1.png"}]}"#), Ok(Answer { usage: None, checks: 1 }));
        let missed = Err(Flaw::Check { name: "has an image", held: 0 });
        for body in ["{}", "[]", "1", r#"{"data":[]}"#, r#"{"data":[{"b64_json":""}]}"#, r#"{"data":{"url":"x"}}"#] {
            assert_eq!(read_body(body.as_bytes()), missed, "{body}");
        }
        assert_eq!(read_body(br#"{"error":{"message":"no"}}"#), Err(Flaw::Error));
        assert_eq!(read_body(b"<html>"), Err(Flaw::BadJson));
    }

    #[test]
    fn the_last_picture_ends_a_stream() {
        let read = |name: &'static [u8], data: &'static [u8]| read_event(&sse::Event { name, data });
        let partial = read(b"", br#"{"type":"image_generation.partial_image","b64_json":"iVBO"}"#);
        assert_eq!(partial, Ok(Delta::default()));
        let last = read(b"", br#"{"type":"image_generation.completed","b64_json":"iVBO"}"#);
        assert_eq!(last, Ok(Delta { done: true, ..Delta::default() }));
        assert!(matches!(read(b"", br#"{"type":"image_generation.completed"}"#), Err(Flaw::Check { .. })));
        assert_eq!(read(b"error", b"{}"), Err(Flaw::Error));
        assert_eq!(read(b"", br#"{"type":"error","error":{"message":"x"}}"#), Err(Flaw::Error));
        assert_eq!(read(b"", b"x"), Err(Flaw::BadJson));
    }
}
