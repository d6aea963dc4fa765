use proptest::prelude::*;

use super::*;
use crate::wire::{ContentType, MAX_HEADERS, Played};

/// The result of a whole response. Pieces of content are joined: their cuts do not matter.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    head: Option<Head>,
    body: Vec<u8>,
    reusable: Option<bool>,
    left: Vec<u8>,
}

/// Feeds the pieces in turn, and then the end of the connection if `eof`.
fn feed(pieces: &[&[u8]], eof: bool) -> Result<Seen, WireError> {
    let mut decoder = Decoder::default();
    let mut seen = Seen::default();
    for piece in pieces {
        let mut input = *piece;
        while seen.reusable.is_none()
            && let Some(event) = decoder.next(&mut input)
        {
            note(&mut seen, &event?);
        }
        assert!(seen.reusable.is_some() || input.is_empty(), "None means that the input is used up");
        seen.left.extend_from_slice(input);
    }
    if eof && seen.reusable.is_none() {
        note(&mut seen, &decoder.eof()?);
    }
    Ok(seen)
}

fn note(seen: &mut Seen, event: &Event<'_>) {
    match event {
        Event::Head(head) => assert_eq!(seen.head.replace(*head), None, "one head a response"),
        Event::Data(data) => {
            assert!(seen.head.is_some() && !data.is_empty());
            seen.body.extend_from_slice(data);
        }
        Event::End { reusable } => {
            assert!(seen.head.is_some());
            seen.reusable = Some(*reusable);
        }
    }
}

fn feed_every_way(bytes: &[u8], eof: bool) -> Result<Seen, WireError> {
    let whole = feed(&[bytes], eof);
    assert_eq!(feed(&bytes.chunks(1).collect::<Vec<_>>(), eof), whole, "byte by byte");
    for cut in 0..=bytes.len() {
        assert_eq!(feed(&[&bytes[..cut], &bytes[cut..]], eof), whole, "cut at {cut}");
    }
    if let Ok(Seen { reusable: Some(_), left, .. }) = &whole
        && left.is_empty()
        && !eof
    {
        let with_tail = [bytes, b"tail"].concat();
        assert_eq!(feed(&[&with_tail], eof).unwrap().left, b"tail");
    }
    whole
}

/// Reads a response that ends by its own framing.
fn complete(bytes: &str) -> Seen {
    feed_every_way(bytes.as_bytes(), false).unwrap()
}

fn refused(bytes: &str) -> WireError {
    feed_every_way(bytes.as_bytes(), false).unwrap_err()
}

const JSON: Head = Head {
    status: 200,
    content_type: ContentType::Json,
    encoded: false,
    retry_after_ms: None,
    should_retry: None,
    played: None,
    remaining_requests: None,
    remaining_tokens: None,
    limit_requests: None,
    limit_tokens: None,
};

#[test]
fn a_length_ends_a_body() {
    let seen = complete("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}");
    assert_eq!(seen, Seen { head: Some(JSON), body: b"{}".to_vec(), reusable: Some(true), left: vec![] });
    let seen = complete("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    assert_eq!((seen.head.unwrap().status, seen.body, seen.reusable), (404, vec![], Some(true)));
    assert_eq!(seen.head.unwrap().content_type, ContentType::Missing);
}

#[test]
fn the_end_is_told_without_further_bytes() {
    let mut decoder = Decoder::default();
    let mut input = &b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[..];
    assert!(matches!(decoder.next(&mut input), Some(Ok(Event::Head(_)))));
    assert!(input.is_empty());
    assert_eq!(decoder.next(&mut input), Some(Ok(Event::End { reusable: true })));
    assert_eq!(decoder.next(&mut input), None);
}

#[test]
fn bytes_after_the_end_are_refused() {
    let mut decoder = Decoder::default();
    let mut input = &b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK"[..];
    for _ in 0..3 {
        assert!(matches!(decoder.next(&mut input), Some(Ok(_))));
    }
    assert_eq!(input, b"HTTP/1.1 200 OK");
    assert_eq!(decoder.next(&mut input), Some(Err(WireError::BadHttp("bytes after the end of the response"))));
    assert!(matches!(decoder.next(&mut input), Some(Err(_))), "an error is final");
    assert_eq!(decoder.eof(), Err(WireError::ClosedEarly));
}

#[test]
fn a_reset_decoder_reads_the_next_response() {
    let mut decoder = Decoder::default();
    for cut in [3, 20, 45, 48] {
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
        decoder.reset();
        let mut body = Vec::new();
        let mut end = None;
        for mut input in [&bytes[..cut], &bytes[cut..]] {
            while let Some(event) = decoder.next(&mut input) {
                match event.unwrap() {
                    Event::Head(head) => assert_eq!(head.status, 200),
                    Event::Data(data) => body.extend_from_slice(data),
                    Event::End { reusable } => end = Some(reusable),
                }
            }
        }
        assert_eq!((body, end), (b"ab".to_vec(), Some(true)));
    }
    decoder.reset();
    assert!(matches!(decoder.next(&mut &b"SSH-2.0"[..]), Some(Err(_))));
    decoder.reset();
    assert!(matches!(decoder.next(&mut &b"HTTP/1.1 204 \r\n\r\n"[..]), Some(Ok(_))), "a reset forgets an error");
}

#[test]
fn chunked_wins_over_a_length_and_closes() {
    let chunked = "\r\n3\r\nabc\r\n0\r\n\r\n";
    let seen = complete(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n{chunked}"));
    assert_eq!((seen.body.as_slice(), seen.reusable), (&b"abc"[..], Some(true)));
    let seen = complete(&format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\ntransfer-encoding: chunked\r\n{chunked}"));
    assert_eq!((seen.body.as_slice(), seen.reusable), (&b"abc"[..], Some(false)));
    let seen =
        complete(&format!("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n{chunked}"));
    assert_eq!((seen.body.as_slice(), seen.reusable), (&b"abc"[..], Some(false)));
    let seen = complete(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n{chunked}"));
    assert!(seen.head.unwrap().encoded && seen.body == b"abc");
    let seen =
        complete(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n{chunked}"));
    assert_eq!(seen.body, b"abc");
}

#[test]
fn a_body_without_framing_ends_with_the_connection() {
    for fields in ["", "Transfer-Encoding: gzip\r\n", "Transfer-Encoding: chunked, br\r\nContent-Length: 2\r\n"] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{fields}\r\nhello");
        let seen = feed_every_way(bytes.as_bytes(), true).unwrap();
        assert_eq!((seen.body.as_slice(), seen.reusable), (&b"hello"[..], Some(false)), "{fields}");
    }
    let seen = feed_every_way(b"HTTP/1.1 200 OK\r\n\r\n", true).unwrap();
    assert_eq!((seen.body.as_slice(), seen.reusable), (&b""[..], Some(false)));
}

#[test]
fn identity_is_no_transfer_coding() {
    let seen = complete("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!((seen.body.as_slice(), seen.reusable), (&b"hi"[..], Some(true)));
}

#[test]
fn an_early_close_is_told_from_an_end() {
    for bytes in [
        "",
        "HTTP/1.1 2",
        "HTTP/1.1 200 OK\r\n\r",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n",
    ] {
        assert_eq!(feed_every_way(bytes.as_bytes(), true), Err(WireError::ClosedEarly), "{bytes}");
    }
    let mut decoder = Decoder::default();
    assert!(decoder.next(&mut &b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[..]).is_some());
    assert_eq!(decoder.eof(), Ok(Event::End { reusable: false }), "a proven end is an end, but of the connection too");
}

#[test]
fn interim_responses_are_skipped() {
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 9\r\n\r\n";
    let seen = complete(&format!("{interim}{last}"));
    assert_eq!((seen.head.unwrap().status, seen.body.as_slice()), (200, &b"hi"[..]));
    assert_eq!(
        refused("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"),
        WireError::BadHttp("an upgrade that was not requested")
    );
    let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(usize::from(MAX_INTERIM) + 1);
    assert_eq!(feed(&[endless.as_bytes()], false), Err(WireError::TooLarge("interim responses")));
}

#[test]
fn some_statuses_have_no_body() {
    for status in [204, 304] {
        let seen = complete(&format!("HTTP/1.1 {status} X\r\nContent-Length: 99999999999\r\n\r\n"));
        assert_eq!((seen.body.as_slice(), seen.reusable), (&b""[..], Some(true)));
        let seen = complete(&format!("HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n"));
        assert_eq!((seen.body.as_slice(), seen.reusable), (&b""[..], Some(true)));
    }
}

#[test]
fn connection_is_a_list_in_any_case() {
    let reusable = |version: &str, fields: &str| {
        complete(&format!("{version} 200 OK\r\n{fields}Content-Length: 0\r\n\r\n")).reusable.unwrap()
    };
    assert!(reusable("HTTP/1.1", ""));
    assert!(reusable("HTTP/1.1", "Connection: keep-alive\r\n"));
    assert!(!reusable("HTTP/1.1", "Connection: close\r\n"));
    assert!(!reusable("HTTP/1.1", "CONNECTION: Upgrade,  CLOSE \r\n"));
    assert!(!reusable("HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n"));
    assert!(reusable("HTTP/1.1", "Connection: closed\r\n"));
    assert!(!reusable("HTTP/1.0", ""));
    assert!(reusable("HTTP/1.0", "Connection: Keep-Alive\r\n"));
    assert!(!reusable("HTTP/1.0", "Connection: keep-alive, close\r\n"));
}

#[test]
fn lengths_must_agree() {
    let head = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nab");
    for fields in ["Content-Length: 2\r\ncontent-length: 2", "Content-Length: 2, 2", "Content-Length: 02"] {
        assert_eq!(complete(&head(fields)).body, b"ab");
    }
    for fields in ["Content-Length: 2\r\ncontent-length: 3", "Content-Length: 2, 3"] {
        assert_eq!(refused(&head(fields)), WireError::BadHttp("content-length is given twice and differs"));
    }
    for value in ["", "-2", "+2", "2 2", "0x2", "2,", "two", "2.0"] {
        let bytes = head(&format!("Content-Length: {value}"));
        assert_eq!(refused(&bytes), WireError::BadHttp("content-length is not a number"), "{value}");
    }
}

#[test]
fn content_types_are_told_apart() {
    for (value, wanted) in [
        ("text/event-stream", ContentType::EventStream),
        ("Text/Event-Stream; charset=utf-8", ContentType::EventStream),
        ("application/json", ContentType::Json),
        ("application/json;charset=UTF-8", ContentType::Json),
        ("application/problem+json", ContentType::Json),
        ("text/html; charset=utf-8", ContentType::Other),
        ("application/jsonl", ContentType::Lines),
        ("Application/X-NDJSON; charset=utf-8", ContentType::Lines),
        ("application/jsonx", ContentType::Other),
        ("text/event-streams", ContentType::Other),
        ("", ContentType::Other),
    ] {
        let seen = complete(&format!("HTTP/1.1 200 OK\r\nContent-Type: {value}\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(seen.head.unwrap().content_type, wanted, "{value}");
    }
}

#[test]
fn what_is_left_of_rate_limits_is_read() {
    let left = |fields: &str| {
        let head = complete(&format!("HTTP/1.1 200 OK\r\n{fields}\r\ncontent-length: 0\r\n\r\n")).head.expect("a head");
        (head.remaining_requests, head.remaining_tokens)
    };
    assert_eq!(left("X-RateLimit-Remaining-Requests: 59\r\nx-ratelimit-remaining-tokens: 0"), (Some(59), Some(0)));
    assert_eq!(
        left("anthropic-ratelimit-requests-remaining: 7\r\nanthropic-ratelimit-tokens-remaining: 99999999999"),
        (Some(7), Some(u32::MAX))
    );
    assert_eq!(left("x-ratelimit-remaining-requests: -1\r\nx-ratelimit-remaining-tokens: many"), (None, None));
    // A proxy has limits of its own.
    let of_proxy = "x-ratelimit-remaining-requests: 9\r\nanthropic-ratelimit-requests-remaining: 4";
    assert_eq!(left(of_proxy), (Some(4), None));
    assert_eq!(left("x-ratelimit-limit-requests: 60\r\nx-ratelimit-reset-requests: 1s"), (None, None));
    let limits = |fields: &str| {
        let head = complete(&format!("HTTP/1.1 200 OK\r\n{fields}\r\ncontent-length: 0\r\n\r\n")).head.expect("a head");
        (head.limit_requests, head.limit_tokens)
    };
    assert_eq!(limits("X-RateLimit-Limit-Requests: 60\r\nx-ratelimit-limit-tokens: 150000"), (Some(60), Some(150_000)));
    assert_eq!(
        limits("anthropic-ratelimit-requests-limit: 50\r\nanthropic-ratelimit-tokens-limit: none"),
        (Some(50), None)
    );
    assert_eq!(limits("x-ratelimit-limit-requests: 60\r\nanthropic-ratelimit-requests-limit: 50"), (Some(50), None));
}

#[test]
fn encodings_and_retry_after_are_read() {
    let head =
        |fields: &str| complete(&format!("HTTP/1.1 429 X\r\n{fields}\r\nContent-Length: 0\r\n\r\n")).head.unwrap();
    assert!(head("Content-Encoding: gzip").encoded);
    assert!(head("content-encoding: identity, br").encoded);
    assert!(!head("Content-Encoding: none").encoded && !head("Content-Encoding: None, identity").encoded);
    assert!(head("Content-Encoding: none, gzip").encoded);
    assert!(!head("Content-Encoding: Identity").encoded);
    assert!(!head("Content-Encoding: ").encoded);
}

#[test]
fn how_long_to_wait_is_read() {
    let head =
        |fields: &str| complete(&format!("HTTP/1.1 429 X\r\n{fields}\r\nContent-Length: 0\r\n\r\n")).head.unwrap();
    let wait = |fields: &str| head(fields).retry_after_ms;
    assert_eq!(wait("Retry-After: 30"), Some(30_000));
    assert_eq!(wait("Retry-After: 1.5"), Some(1_500), "SDKs read fractions");
    assert_eq!(wait("Retry-After: 99999999999999999999999"), Some(u32::MAX));
    for nonsense in ["-1", "+1", "1e3", "inf", "NaN", ".5", "1.2.3", "soon", ""] {
        assert_eq!(wait(&format!("Retry-After: {nonsense}")), None, "{nonsense}");
    }
    // The three forms of RFC 9110, section 5.6.7: the present one and two of the past.
    for (retry, now) in [
        ("Mon, 05 Jan 2026 10:00:30 GMT", "Mon, 05 Jan 2026 10:00:00 GMT"),
        ("Monday, 05-Jan-26 10:00:30 GMT", "Mon, 05 Jan 2026 10:00:00 GMT"),
        ("Mon Jan  5 10:00:30 2026", "Mon, 05 Jan 2026 10:00:00 GMT"),
        ("Mon Jan  5 10:00:30 2026", "Monday, 05-Jan-26 10:00:00 GMT"),
    ] {
        assert_eq!(wait(&format!("Retry-After: {retry}\r\nDate: {now}")), Some(30_000), "{retry}");
        assert_eq!(wait(&format!("Retry-After: {retry}")), None, "without a Date there is nothing to compare it with");
    }
    let date = |now: &str| wait(&format!("Retry-After: Mon, 05 Jan 2026 10:00:30 GMT\r\nDate: {now}"));
    assert_eq!(date("Mon, 05 Jan 2026 10:00:31 GMT"), Some(0), "it is over");
    assert_eq!(date("soon"), None);
    assert_eq!(wait("Date: Mon, 05 Jan 2026 10:00:00 GMT\r\nRetry-After: soon"), None);
    assert_eq!(wait("retry-after-ms: 1500"), Some(1_500));
    assert_eq!(wait("retry-after-ms: 0.2"), Some(1), "no sooner than asked");
    assert_eq!(wait("Retry-After: 30\r\nRetry-After-Ms: 200"), Some(200), "the finer one");
    assert_eq!(wait("Retry-After: 30\r\nretry-after-ms: soon"), Some(30_000));
    let played = |step: &str, attempt: &str| {
        head(&format!("x-llmsim-scenario: a\r\nX-LLMSim-Step: {step}\r\nx-llmsim-attempt: {attempt}")).played
    };
    assert_eq!(played("3", "1"), Some(Played { step: 3, attempt: 1 }));
    assert_eq!((played("-1", "1"), played("", "0")), (None, None));
    assert_eq!(played("3", "99999"), Some(Played { step: 3, attempt: 255 }));
    for (value, said) in [("true", Some(true)), (" false ", Some(false)), ("True", None), ("1", None)] {
        assert_eq!(head(&format!("X-Should-Retry: {value}")).should_retry, said, "{value}");
    }
}

#[test]
fn lenient_where_the_standard_is() {
    assert_eq!(complete("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi").body, b"hi", "no reason phrase");
    assert_eq!(complete("HTTP/1.1 200 OK\nContent-Length: 2\n\nhi").body, b"hi", "bare LF");
    assert_eq!(complete("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nhi").body, b"hi", "mixed");
    assert_eq!(complete("HTTP/1.1 200 \u{e4}\r\nContent-Length:2\r\n\r\nhi").body, b"hi", "UTF-8 in the reason");
}

#[test]
fn garbage_is_refused_at_once() {
    let no_status_line = WireError::BadHttp("missing HTTP/1.x status line");
    for bytes in ["SSH-2.0-OpenSSH\r\n", "HTTP/2 200\r\n\r\n", "<html>", "http/1.1 200 OK\r\n\r\n", "\u{16}\u{3}\u{1}"]
    {
        assert_eq!(refused(bytes), no_status_line, "{bytes}");
    }
    let alert = "a TLS alert; the server speaks TLS there, so https:// is expected";
    assert_eq!(refused("\u{15}\u{3}\u{1}\u{0}\u{2}\u{2}\u{46}"), WireError::BadHttp(alert));
    assert_eq!(refused("HTTP/1.2 200 OK\r\n\r\n"), WireError::BadHttp("status line"));
    assert_eq!(refused("HTTP/1.1 2x0 OK\r\n\r\n"), WireError::BadHttp("status line"));
    assert_eq!(refused("HTTP/1.1 099 OK\r\n\r\n"), WireError::BadHttp("status code"));
    assert_eq!(refused("HTTP/1.1 600 OK\r\n\r\n"), WireError::BadHttp("status code"));
    assert_eq!(refused("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"), WireError::BadHttp("header name"));
    assert_eq!(refused("HTTP/1.1 200 OK\r\na: b\0c\r\n\r\n"), WireError::BadHttp("header value"));
    assert!(matches!(refused("HTTP/1.1\r\n\r\n"), WireError::BadHttp(_)));
    assert_eq!(
        refused("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n"),
        WireError::BadChunk("a chunk size is missing")
    );
}

#[test]
fn empty_lines_before_a_response_are_skipped_up_to_a_bound() {
    for stray in ["\r\n", "\n", "\r\n\r\n\r\n", &"\r\n".repeat(8)] {
        let seen = complete(&format!("{stray}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"));
        assert_eq!((seen.body, seen.reusable), (b"hi".to_vec(), Some(false)), "{stray:?}: it is not trusted again");
    }
    assert_eq!(refused(&"\r\n".repeat(9)), WireError::BadHttp("empty lines before the response"));
    assert!(is_stray(b"") && is_stray(b"\r\n") && !is_stray(b"\r\nx") && !is_stray(&[b'\n'; 17]));
}

#[test]
fn a_folded_header_is_one_header() {
    let folds = ["\r\n ", "\r\n\t", "\n  ", "\r\n \r\n "];
    for fold in folds {
        let seen = complete(&format!(
            "HTTP/1.1 200 OK\r\nX-Policy: default-src 'self';{fold}img-src 'none'\r\n\
             Content-Type: text/event-stream;{fold}charset=utf-8\r\nConnection: keep-alive,{fold}close\r\n\
             Content-Length:{fold}2\r\n\r\nhi"
        ));
        let head = seen.head.expect("a head");
        assert_eq!((head.status, head.content_type), (200, ContentType::EventStream), "{fold:?}");
        assert_eq!((seen.body, seen.reusable), (b"hi".to_vec(), Some(false)), "{fold:?}");
    }
    let seen = complete("HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\tchunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
    assert_eq!(seen.body, b"hi");
    // A fold continues a header, so there must be one.
    assert!(matches!(refused("HTTP/1.1 200 OK\r\n folded\r\n\r\n"), WireError::BadHttp(_)));
}

#[test]
fn a_request_timeout_is_recognised() {
    assert!(is_request_timeout(b"HTTP/1.1 408 Request Timeout\r\n"));
    assert!(is_request_timeout(b"HTTP/1.0 408"));
    for other in [&b"HTTP/1.1 40"[..], b"HTTP/1.1 200 OK", b"HTTP/2 408", b"408"] {
        assert!(!is_request_timeout(other));
    }
}

#[test]
fn heads_are_bounded() {
    let too_large = Err(WireError::TooLarge("response head"));
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "a".repeat(MAX_HEAD_BYTES));
    assert_eq!(feed(&[long.as_bytes()], false), too_large);
    assert_eq!(feed(&long.as_bytes().chunks(1000).collect::<Vec<_>>(), false), too_large);
    let endless = format!("HTTP/1.1 200 {}", "a".repeat(2 * MAX_HEAD_BYTES));
    assert_eq!(feed(&[endless.as_bytes()], false), too_large);

    let with_headers = |count| format!("HTTP/1.1 204 X\r\n{}\r\n", "a: b\r\n".repeat(count));
    assert!(feed(&[with_headers(MAX_HEADERS).as_bytes()], false).is_ok());
    let too_many = with_headers(MAX_HEADERS + 1);
    assert_eq!(feed(&[too_many.as_bytes()], false), Err(WireError::TooLarge("number of headers")));
    assert_eq!(
        feed(&[&too_many.as_bytes()[..20], &too_many.as_bytes()[20..]], false).unwrap_err(),
        WireError::TooLarge("number of headers")
    );
}

#[test]
fn bodies_are_bounded_even_when_only_announced() {
    let too_large = WireError::TooLarge("body");
    let length = |length: u64| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    assert!(feed(&[length(MAX_BODY_BYTES).as_bytes()], false).is_ok());
    assert_eq!(refused(&length(MAX_BODY_BYTES + 1)), too_large);
    assert_eq!(refused("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999999\r\n\r\n"), too_large);

    let chunk = |size: u64| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{size:x}\r\n");
    assert!(feed(&[chunk(MAX_BODY_BYTES).as_bytes()], false).is_ok());
    assert_eq!(refused(&chunk(MAX_BODY_BYTES + 1)), too_large);
    assert_eq!(refused(&format!("{}a\r\n{MAX_BODY_BYTES:x}\r\n", chunk(1))), too_large);

    let mut decoder = Decoder::default();
    assert!(decoder.next(&mut &b"HTTP/1.1 200 OK\r\n\r\n"[..]).is_some());
    let block = vec![0; 1024 * 1024];
    for _ in 0..MAX_BODY_BYTES / block.len() as u64 {
        assert!(matches!(decoder.next(&mut &block[..]), Some(Ok(Event::Data(_)))));
    }
    assert_eq!(decoder.next(&mut &b"x"[..]), Some(Err(too_large)));
}

#[test]
fn the_usual_head_is_not_copied() {
    let mut decoder = Decoder::default();
    let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let mut input = &bytes[..];
    while decoder.next(&mut input).is_some() {}
    assert!(decoder.cut.is_none());
}

#[test]
fn a_large_head_is_not_kept() {
    let mut decoder = Decoder::default();
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n", "a".repeat(MAX_HEAD_BYTES / 2));
    assert_eq!(decoder.next(&mut long.as_bytes()), None);
    decoder.reset();
    assert!(decoder.cut.is_none());
    assert_eq!(decoder.next(&mut &b"HTTP/1.1 2"[..]), None);
    decoder.reset();
    assert!(decoder.cut.as_ref().is_some_and(|cut| cut.0.is_empty()), "a small buffer is kept for reuse");
}

#[test]
fn the_decoder_is_small() {
    assert!(size_of::<Decoder>() <= 40, "{}", size_of::<Decoder>());
}

fn written(method: &str, stream: bool, headers: &[(&str, &str)]) -> String {
    let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut out = Vec::new();
    HeadSpec { method, path: "/v1/x?y=1", host: "[::1]:8080", stream, headers: &headers }.write(&mut out);
    String::from_utf8(out).unwrap()
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[test]
fn requests_are_exactly_these_bytes() {
    assert_eq!(
        written("POST", true, &[("Authorization", "Bearer k"), ("X-A", "1")]),
        format!(
            "POST /v1/x?y=1 HTTP/1.1\r\nHost: [::1]:8080\r\nUser-Agent: llmsim-blast/{VERSION}\r\nAccept: text/event-stream\r\n\
             Accept-Encoding: identity\r\nContent-Type: application/json\r\nAuthorization: Bearer k\r\nX-A: 1\r\n\
             Content-Length: "
        )
    );
    assert_eq!(
        written("GET", false, &[]),
        format!(
            "GET /v1/x?y=1 HTTP/1.1\r\nHost: [::1]:8080\r\nUser-Agent: llmsim-blast/{VERSION}\r\nAccept: application/json\r\n\
             Accept-Encoding: identity\r\n\r\n"
        )
    );
    assert_eq!(
        String::from_utf8(simple_get("localhost", "/health")).unwrap(),
        format!(
            "GET /health HTTP/1.1\r\nHost: localhost\r\nUser-Agent: llmsim-blast/{VERSION}\r\nAccept: application/json\r\n\
             Accept-Encoding: identity\r\nConnection: close\r\n\r\n"
        )
    );
}

#[test]
fn an_upgrade_that_was_asked_for_ends_the_http_of_a_connection() {
    let accept = *b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    let read = |pieces: &[&[u8]]| {
        let mut decoder = Decoder::for_upgrade(accept);
        let (mut seen, mut left) = (Vec::new(), Vec::new());
        for piece in pieces {
            let mut input = *piece;
            while !matches!(seen.last(), Some(Ok(None) | Err(_)))
                && let Some(event) = decoder.next(&mut input)
            {
                seen.push(event.map(|event| match event {
                    Event::Head(head) => Some(head.status),
                    Event::Data(_) | Event::End { .. } => None,
                }));
            }
            left.extend_from_slice(input);
        }
        (seen, left)
    };
    let every_way = |bytes: &[u8]| {
        let whole = read(&[bytes]);
        assert_eq!(read(&bytes.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
        for cut in 0..=bytes.len() {
            assert_eq!(read(&[&bytes[..cut], &bytes[cut..]]), whole, "cut at {cut}");
        }
        whole
    };
    let early = "HTTP/1.1 103 Early Hints\r\n\r\n";
    let yes = "HTTP/1.1 101 Yes\r\nConnection: keep-alive, Upgrade\r\nUPGRADE: WebSocket\r\n";
    let proof = "Sec-WebSocket-Accept:  s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let good = format!("{early}{yes}{proof}\r\n\u{1}frames");
    assert_eq!(every_way(good.as_bytes()), (vec![Ok(Some(101)), Ok(None)], b"\x01frames".to_vec()));
    for (head, problem) in [
        (format!("{yes}\r\n"), "a handshake without the right `Sec-WebSocket-Accept`"),
        (format!("{yes}{}\r\n", proof.replace("s3", "S3")), "a handshake without the right `Sec-WebSocket-Accept`"),
        (format!("{yes}{}\r\n", proof.replace('=', "==")), "a handshake without the right `Sec-WebSocket-Accept`"),
        (
            format!("HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\n{proof}\r\n"),
            "a handshake without `Upgrade: websocket` and `Connection: upgrade`",
        ),
    ] {
        assert_eq!(every_way(head.as_bytes()).0, [Err(WireError::BadWebsocket(problem))], "{head}");
    }
    let refusal = every_way(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n").0;
    assert_eq!(refusal, [Ok(Some(404)), Ok(None)]);
}

#[test]
fn a_header_of_the_user_replaces_ours() {
    assert_eq!(
        written(
            "POST",
            true,
            &[("accept", "*/*"), ("HOST", "other"), ("content-type", "application/json; v=2"), ("Content-Length", "7")]
        ),
        format!(
            "POST /v1/x?y=1 HTTP/1.1\r\nHOST: other\r\nUser-Agent: llmsim-blast/{VERSION}\r\naccept: */*\r\n\
             Accept-Encoding: identity\r\ncontent-type: application/json; v=2\r\nContent-Length: "
        )
    );
}

#[test]
fn headers_that_would_break_the_request_are_refused() {
    assert_eq!(check_header("X-Request-Source", "load test\t\u{e4}"), Ok(()));
    for name in ["", "X Y", "X:", "X\r\nY", "\u{e4}", "X\0"] {
        assert!(check_header(name, "a").unwrap_err().contains("not the name"), "{name}");
    }
    for name in ["Content-Length", "transfer-ENCODING"] {
        assert!(check_header(name, "1").unwrap_err().contains("frames the request"), "{name}");
    }
    for value in ["a\r\nX: y", "a\n", "\0", "a\u{7f}"] {
        let error = check_header("Authorization", value).unwrap_err();
        assert!(error.contains("control character") && !error.contains('\n'), "{error}");
    }
}

proptest! {
    #[test]
    fn random_bytes_give_the_same_answer_however_they_are_cut(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        step in 1_usize..50,
    ) {
        let bytes = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", bytes.as_slice()].concat();
        prop_assert_eq!(feed(&bytes.chunks(step).collect::<Vec<_>>(), true), feed(&[&bytes], true));
    }

    #[test]
    fn random_heads_give_the_same_answer_however_they_are_cut(
        parts in prop::collection::vec(prop::sample::select(vec![
            "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 X\r\n", "\r\n", "\n", "\r", "Content-Length: 3\r\n", "Content-Length: 4\r\n",
            "Transfer-Encoding: chunked\r\n", "Connection: close\r\n", "3\r\nabc\r\n", "0\r\n\r\n", "abc", ":", "\0", "HTTP/1.",
        ]), 0..12),
        step in 1_usize..20,
        eof in any::<bool>(),
    ) {
        let bytes = parts.concat().into_bytes();
        prop_assert_eq!(feed(&bytes.chunks(step).collect::<Vec<_>>(), eof), feed(&[&bytes], eof));
    }
}
