use proptest::prelude::*;

use super::super::head::parse_head;
use super::*;

/// Learns `first`, and recognises the head at the front of `bytes`. A recognised head must agree
/// with the parser.
fn recognised(first: &str, bytes: &str) -> Option<(usize, ParsedHead)> {
    let mut known = KnownHead::default();
    if let Ok(parsed) = parse_head(first.as_bytes()) {
        known.learn(first.as_bytes(), &parsed);
    }
    let found = known.recognise(bytes.as_bytes());
    if let Some((len, parsed)) = &found {
        assert_eq!(parse_head(&bytes.as_bytes()[..*len]).as_ref(), Ok(parsed), "{first:?} {bytes:?}");
    }
    found
}

const FIRST: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: 1\r\ncontent-length: 12\r\n\
                     date: Mon, 30 Nov 2026 06:00:00 GMT\r\n\r\n";

#[test]
fn heads_are_recognised_that_differ_in_nothing_that_decides() {
    for (from, to, length) in [
        ("", "", 12),
        ("length: 12", "length: 7", 7),
        ("length: 12", "length: 0", 0),
        ("length: 12", "length: 123456", 123_456),
        ("06:00:00", "06:00:01", 12),
        ("request-id: 1", "request-id: f\u{e9}\t 0123456789", 12),
        ("request-id: 1", "request-id:", 12),
    ] {
        let next = FIRST.replacen(from, to, 1);
        let (len, parsed) = recognised(FIRST, &format!("{next}tail")).unwrap_or_else(|| panic!("{next}"));
        assert_eq!((len, parsed.framing), (next.len(), Framing::Length(length)), "{next}");
    }
}

/// Reads heads one after the other, as a connection does: recognised heads must agree with the
/// parser, and the others are learned. Returns which were recognised.
fn one_after_the_other(heads: &[String]) -> Vec<bool> {
    let mut known = KnownHead::default();
    let each = heads.iter().map(|head| {
        let found = known.recognise(head.as_bytes());
        let parsed = parse_head(head.as_bytes());
        match (&found, &parsed) {
            (Some((len, found)), _) => {
                assert_eq!(parse_head(&head.as_bytes()[..*len]).as_ref(), Ok(found), "{heads:?}");
            }
            (None, Ok(parsed)) => known.learn(head.as_bytes(), parsed),
            (None, Err(_)) => {}
        }
        found.is_some()
    });
    each.collect()
}

#[test]
fn the_head_that_is_kept_follows_those_that_come() {
    let head = |second: &str, length: &str| {
        FIRST.replacen("06:00:00", second, 1).replacen("length: 12", &format!("length: {length}"), 1)
    };
    let heads = [
        head("06:00:00", "12"),
        head("06:00:01", "12"),
        head("06:00:01", "12"),
        head("06:00:01", "34"),
        head("06:00:02", "34"),
        head("06:00:02", "7"),
        head("06:00:02", "34"),
        head("06:00:02", "56"),
        head("06:00:02", "56"),
    ];
    assert_eq!(one_after_the_other(&heads), [false, true, true, true, true, true, true, true, true]);
    // Heads that are never the same as a whole are always recognised, and are kept at times.
    let heads: Vec<_> = (0..100).map(|n| FIRST.replacen("id: 1", &format!("id: {n:03}"), 1)).collect();
    assert_eq!(one_after_the_other(&heads).iter().filter(|recognised| **recognised).count(), heads.len() - 1);
}

#[test]
fn what_is_left_of_rate_limits_is_read_in_heads_that_are_recognised() {
    const LIMITED: &str = "HTTP/1.1 200 OK\r\nx-ratelimit-remaining-requests: 60\r\n\
                           anthropic-ratelimit-tokens-remaining:  9000\r\ncontent-length: 1\r\n\r\n";
    for (from, to, requests, tokens) in [
        ("", "", 60, 9000),
        (": 60", ": 59", 59, 9000),
        (": 60", ": 0", 0, 9000),
        ("9000", "123456789012", 60, u32::MAX),
    ] {
        let next = LIMITED.replacen(from, to, 1);
        let (_, ParsedHead { head, .. }) = recognised(LIMITED, &next).unwrap_or_else(|| panic!("{next}"));
        assert_eq!((head.remaining_requests, head.remaining_tokens), (Some(requests), Some(tokens)), "{next}");
    }
    for to in ["", " ", ": -1", ": 5x", ": 5 ", ": many"] {
        let next = LIMITED.replacen(": 60", to, 1);
        assert_eq!(recognised(LIMITED, &next), None, "{next}");
    }
    // The lower one decides, so no line alone decides.
    for other in ["60", "70", "7"] {
        let both = LIMITED.replacen("9000\r\n", &format!("9000\r\nx-ratelimit-remaining-requests: {other}\r\n"), 1);
        assert_eq!(recognised(&both, &both), None, "{both}");
    }
    let folded = LIMITED.replacen(": 60\r\n", ": 60\r\n 1\r\n", 1);
    assert_eq!(recognised(&folded, &folded), None, "{folded}");
    let unknown = LIMITED.replacen(": 60", ": -1", 1);
    assert!(recognised(&unknown, &unknown).is_some());
}

#[test]
fn everything_else_is_left_to_the_parser() {
    for (from, to) in [
        ("200 OK", "500 OK"),
        ("HTTP/1.1", "HTTP/1.0"),
        ("json", "jsonl"),
        ("x-request-id", "X-Request-Id"),
        ("x-request-id: 1", "x-request-id: 1\r\n 2"),
        ("x-request-id: 1", "x-request-id: \x01"),
        ("x-request-id: 1", "x-request-id: \x7f"),
        ("x-request-id: 1", "x-request-id: a\rb"),
        ("x-request-id: 1", "connection: close"),
        ("x-request-id: 1\r\n", ""),
        ("x-request-id: 1", "x-more: 1\r\nx-request-id: 1"),
        ("length: 12", "length: "),
        ("length: 12", "length: 12 "),
        ("length: 12", "length: 12, 12"),
        ("length: 12", "length: -1"),
        ("GMT\r\n\r\n", "GMT\r\nconnection: close\r\n\r\n"),
    ] {
        let next = FIRST.replacen(from, to, 1);
        assert_eq!(recognised(FIRST, &next), None, "{next}");
    }
    for cut in 0..FIRST.len() {
        assert_eq!(recognised(FIRST, &FIRST[..cut]), None, "a head that is not whole: {cut}");
    }
}

#[test]
fn heads_are_not_kept_whose_meaning_is_not_in_their_lines() {
    for head in [
        "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n",
        "HTTP/1.1 503 No\r\nretry-after: Mon, 30 Nov 2026 06:00:09 GMT\r\ndate: Mon, 30 Nov 2026 06:00:00 GMT\r\n\r\n",
        "HTTP/1.1 503 No\r\nretry-after: Mon, 30 Nov 2026 06:00:09 GMT\r\ndate: soon\r\n\r\n",
        "HTTP/1.1 503 No\r\nretry-after: Mon, 30 Nov 2026 06:00:09 GMT\r\nretry-after-ms: soon\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n",
        "HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    ] {
        assert_eq!(recognised(head, head), None, "{head}");
    }
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: text/event-stream\r\n\r\n";
    assert!(recognised(chunked, chunked).is_some());
}

#[test]
fn a_server_whose_heads_never_look_alike_is_given_up_for_a_while() {
    let mut known = KnownHead::default();
    let head = |n: usize| format!("HTTP/1.1 200 OK\r\nx-{n}: 1\r\ncontent-length: 1\r\n\r\n");
    for n in 0..PATIENCE as usize + 2 {
        let head = head(n);
        assert!(known.recognise(head.as_bytes()).is_none());
        known.learn(head.as_bytes(), &parse_head(head.as_bytes()).expect("a head"));
    }
    let kept = known.bytes.clone();
    assert_eq!(kept, head(PATIENCE as usize - 1).into_bytes(), "the last one of the patience");
    assert!(known.recognise(&kept).is_some(), "it is recognised when it comes back");
    let head = head(1);
    known.learn(head.as_bytes(), &parse_head(head.as_bytes()).expect("a head"));
    assert_eq!(known.bytes, head.as_bytes(), "and patience begins again");
}

/// A line of a head, with or without a meaning.
fn line() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("content-length"),
        Just("Content-Length"),
        Just("content-type"),
        Just("connection"),
        Just("transfer-encoding"),
        Just("retry-after"),
        Just("x-ratelimit-remaining-requests"),
        Just("anthropic-ratelimit-requests-remaining"),
        Just("X-RateLimit-Remaining-Tokens"),
        Just("content-encoding"),
        Just("date"),
        Just("x-a"),
        Just(" folded"),
    ];
    let value = prop_oneof![
        Just("5".to_owned()),
        Just("close".to_owned()),
        Just("chunked".to_owned()),
        Just("text/event-stream".to_owned()),
        "[ -~\t]{0,6}",
        "[0-9]{1,21}",
        "[\u{0}-\u{ff}]{0,3}",
    ];
    let end = prop_oneof![4 => Just("\r\n"), 1 => Just("\n")];
    (name, prop_oneof![Just(": "), Just(":"), Just(" :")], value, end)
        .prop_map(|(name, colon, value, end)| format!("{name}{colon}{value}{end}"))
}

proptest! {
    #[test]
    fn what_is_recognised_means_what_a_parser_says(
        status in prop_oneof![Just(200_u16), Just(204), Just(304), Just(503), Just(103)],
        lines in proptest::collection::vec(line(), 0..6),
        others in proptest::collection::vec((0_usize..6, line()), 0..5),
    ) {
        let head = |lines: &[String]| format!("HTTP/1.1 {status} X\r\n{}\r\n", lines.concat());
        let first = head(&lines);
        let mut changed = lines;
        let mut heads = vec![first.clone()];
        for (at, line) in others {
            if let Some(old) = changed.get_mut(at) {
                *old = line;
            }
            heads.push(head(&changed));
        }
        recognised(&first, &head(&changed));
        heads.extend(heads.clone());
        heads.dedup();
        one_after_the_other(&heads);
    }
}
