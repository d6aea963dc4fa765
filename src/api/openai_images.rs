//! `OpenAI`'s image generation. Only its success is checked, because it has no tokens to time.

use super::json::{self, Data};
use super::scan::{Notes, Scanner, Seen, Value, scan};
use super::spec::{self, AnswerIs, Spec};
use super::{Answer, Ask, Delta, Flaw, Piece};
use crate::wire::sse;

/// The image generation API.
pub(super) const SPEC: Spec = Spec {
    name: "openai-images",
    path: "/openai/v1/images/generations",
    standard_path: "/v1/images/generations",
    models: &["gpt-image-1"],
    body: Some(body),
    streams: true,
    read_event,
    answer: AnswerIs::Read(read_body),
    ..spec::GET
};

/// Builds the body in pieces. It asks for a small picture of low quality, because a larger one
/// would exceed the size limit of an event.
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

/// Reads one event of a stream. The last picture ends the stream.
fn read_event(event: &sse::Event<'_>, notes: Option<&mut Notes>) -> Result<Delta, Flaw> {
    let data = match json::data(event)? {
        Data::Nothing | Data::Done => return Ok(Delta::default()),
        Data::Json(data) => data,
    };
    let mut picture = Picture::default();
    if !scan(data, notes, |json| picture.read(json)) {
        return Err(Flaw::BadJson);
    }
    if picture.kind.is("error") || picture.error.is_error() {
        return Err(Flaw::Error);
    }
    let done = picture.kind.is("image_generation.completed");
    if done && !picture.b64_json.is_filled {
        return Err(Flaw::Check { name: "has an image", held: 0 });
    }
    Ok(Delta { done, ..Delta::default() })
}

/// Reads a complete plain response and checks it.
fn read_body(body: &[u8], notes: Option<&mut Notes>) -> Result<Answer, Flaw> {
    let (mut error, mut has_images) = (Value::Null, false);
    let is_json = scan(body, notes, |json| {
        json.object(|json, key| {
            match key {
                b"data" => has_images = pictures(json)?,
                b"error" => error = json.value()?,
                _ => json.skip()?,
            }
            Some(())
        })?;
        Some(())
    });
    match has_images {
        _ if !is_json => Err(Flaw::BadJson),
        _ if error.is_error() => Err(Flaw::Error),
        false => Err(Flaw::Check { name: "has an image", held: 0 }),
        true => Ok(Answer { usage: None, finish: None, checks: 1 }),
    }
}

/// Returns true if the value is a non-empty list in which every picture has content.
fn pictures(json: &mut Scanner<'_, '_>) -> Option<bool> {
    let (mut all, mut missing) = (0, 0);
    json.list(|json| {
        let mut picture = Picture::default();
        picture.read(json)?;
        all += 1;
        missing += u32::from(!picture.b64_json.is_filled && !picture.url.is_filled);
        Some(())
    })?;
    Some(all > 0 && missing == 0)
}

/// A picture, or an event of a stream.
#[derive(Debug, Default)]
struct Picture<'a> {
    kind: Value<'a>,
    b64_json: Seen,
    url: Seen,
    error: Value<'a>,
}

impl<'a> Picture<'a> {
    fn read(&mut self, json: &mut Scanner<'a, '_>) -> Option<()> {
        json.object(|json, key| {
            match key {
                b"type" => self.kind = json.value()?,
                b"b64_json" => self.b64_json = json.filled()?,
                b"url" => self.url = json.filled()?,
                b"error" => self.error = json.value()?,
                _ => json.skip()?,
            }
            Some(())
        })?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Api;

    #[test]
    fn a_picture_is_there_or_is_missed() {
        assert_eq!(
            Api::OpenaiImages.read_body(br#"{"created":1,"data":[{"b64_json":"iVBO"}]}"#),
            Ok(Answer { usage: None, finish: None, checks: 1 })
        );
        assert_eq!(
            Api::OpenaiImages.read_body(br#"{"data":[{"url":"http://x/1.png"}]}"#),
            Ok(Answer { usage: None, finish: None, checks: 1 })
        );
        let missed = Err(Flaw::Check { name: "has an image", held: 0 });
        for body in ["{}", "[]", "1", r#"{"data":[]}"#, r#"{"data":[{"b64_json":""}]}"#, r#"{"data":{"url":"x"}}"#] {
            assert_eq!(Api::OpenaiImages.read_body(body.as_bytes()), missed, "{body}");
        }
        assert_eq!(Api::OpenaiImages.read_body(br#"{"error":{"message":"no"}}"#), Err(Flaw::Error));
        assert_eq!(Api::OpenaiImages.read_body(b"<html>"), Err(Flaw::BadJson));
    }

    #[test]
    fn the_last_picture_ends_a_stream() {
        let read = |name: &'static [u8], data: &'static [u8]| Api::OpenaiImages.read_event(&sse::Event { name, data });
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
