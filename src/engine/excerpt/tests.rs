use super::*;
use crate::metrics::Sample;
use crate::units::Nanos;

fn secrets(all: &[&str]) -> Redactor {
    Redactor::new(all.iter().map(|&s| s.to_owned()))
}

fn shown(bytes: &[u8]) -> String {
    secrets(&["open-sesame-1234"]).foreign_line(bytes)
}

#[test]
fn a_line_says_what_came_and_what_was_wrong() {
    let mut excerpt = Excerpt::default();
    let mut sample = Sample::begun(0, Nanos::ZERO);
    assert_eq!(excerpt.text(&sample, None, &secrets(&[])), "no response");
    assert_eq!(excerpt.text(&sample, Some("the proxy gate:1"), &secrets(&[])), "no response from the proxy gate:1");
    (sample.status, sample.retry_after_ms, sample.bytes_received) = (429, std::num::NonZeroU32::new(6_001), 99);
    assert_eq!(excerpt.text(&sample, None, &secrets(&[])), "HTTP 429, retry-after 7, 99 bytes, 0 tokens");
    excerpt.body(b"{\"error\":");
    excerpt.body(b"\"slow down\"}");
    assert_eq!(excerpt.text(&sample, None, &secrets(&[])), r#"HTTP 429, retry-after 7: {"error":"slow down"}"#);
    excerpt.system(&io::Error::from_raw_os_error(104));
    (sample.status, sample.retry_after_ms) = (200, None);
    assert!(excerpt.text(&sample, None, &secrets(&[])).starts_with("HTTP 200, Connection reset by peer"));
    excerpt.broken(WireError::BadChunk("size"), b"zz\r\n");
    assert_eq!(excerpt.text(&sample, None, &secrets(&[])), "HTTP 200, broken chunked body: size: zz\\r\\n");
    excerpt.clear();
    sample.check_failed = Some("has choices");
    excerpt.body(b"{}");
    assert_eq!(excerpt.text(&sample, None, &secrets(&[])), "HTTP 200, check failed: has choices: {}");
}

#[test]
fn nothing_that_drives_a_terminal_gets_through() {
    let text = shown(b"\x1b[2J\0\xff\r\nfine \xc3\xa4 \xe2\x80\xae\x7f\"quoted\"");
    assert_eq!(text, "\\u{1b}[2J\\0\\xff\\r\\nfine \u{e4} \\u{202e}\\u{7f}\"quoted\"");
}

#[test]
fn lines_are_short_and_cut_between_characters() {
    for filler in ["x", "ä", "€"] {
        let mut excerpt = Excerpt::default();
        for _ in 0..100 {
            excerpt.body(filler.repeat(99).as_bytes());
        }
        let text = excerpt.text(&Sample::begun(0, Nanos::ZERO), None, &secrets(&[]));
        assert!(text.len() <= MAX_EXAMPLE_BYTES && text.len() > MAX_EXAMPLE_BYTES - 5 && text.ends_with('…'), "{text}");
        assert!(excerpt.0.as_ref().is_some_and(|g| g.bytes.len() <= MAX_RAW_BYTES));
    }
}

#[test]
fn a_key_that_is_cut_is_hidden_as_well() {
    let key = "open-sesame-1234";
    for cut in 4..=key.len() {
        let mut excerpt = Excerpt::default();
        excerpt.body("x".repeat(MAX_RAW_BYTES - cut).as_bytes());
        excerpt.body(key.as_bytes());
        let bytes = excerpt.0.expect("bytes").bytes;
        let text = secrets(&[key]).foreign_line(&bytes);
        assert!(!text.contains("open") && text.ends_with("[hidden]"), "{cut}: {text}");
    }
}

mod any_bytes {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn make_a_bounded_printable_line_without_the_key(
            pieces in prop::collection::vec(prop_oneof![
                prop::collection::vec(any::<u8>(), 0..300),
                Just(b"open-sesame-1234".to_vec()),
                Just(b"authorization: ".to_vec()),
                Just("ß€".as_bytes().to_vec()),
            ], 0..8),
        ) {
            let mut excerpt = Excerpt::default();
            for piece in &pieces {
                excerpt.body(piece);
            }
            let text = excerpt.text(&Sample::begun(0, Nanos::ZERO), None, &secrets(&["open-sesame-1234"]));
            prop_assert!(text.len() <= MAX_EXAMPLE_BYTES && !text.contains("sesame"), "{}", text);
            prop_assert!(!text.chars().any(char::is_control), "{}", text);
        }
    }
}
