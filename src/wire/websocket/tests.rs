use super::*;

/// A recorded stream of llmsim over a WebSocket.
const RECORDED: &[u8] = include_bytes!("../fixtures/llmsim_responses.ws");

/// The messages, the end, and the number of bytes to reply.
#[derive(Debug, PartialEq, Eq, Default)]
struct Seen {
    texts: Vec<String>,
    end: Option<Result<(), WireError>>,
    answers: usize,
}

fn read(pieces: &[&[u8]]) -> Seen {
    let mut decoder = Decoder::new(&[]);
    let mut seen = Seen::default();
    for piece in pieces {
        let mut input = *piece;
        while let Some(event) = decoder.next(&mut input) {
            match event {
                Ok(Event::Text(text)) => seen.texts.push(String::from_utf8_lossy(text).into_owned()),
                Ok(Event::Closed) => seen.end = Some(Ok(())),
                Err(error) => seen.end = Some(Err(error)),
            }
            if seen.end.is_some() {
                seen.answers = decoder.answers().len();
                return seen;
            }
        }
        assert!(input.is_empty(), "None means that the input is used up");
    }
    seen.answers = decoder.answers().len();
    seen
}

/// Reads the bytes whole, byte by byte, at every two-way cut, and as bytes that came with the
/// handshake.
fn read_every_way(bytes: &[u8]) -> Seen {
    let whole = read(&[bytes]);
    assert_eq!(read(&bytes.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
    for cut in 0..=bytes.len() {
        assert_eq!(read(&[&bytes[..cut], &bytes[cut..]]), whole, "cut at {cut}");
    }
    whole
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        n @ ..=125 => out.push(n as u8),
        n @ ..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(127);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
    out
}

#[test]
fn a_recorded_stream_says_the_same_however_it_is_cut() {
    let seen = read_every_way(RECORDED);
    assert!(seen.texts.len() > 10, "{}", seen.texts.len());
    assert!(seen.texts[0].contains("response.created"), "{}", seen.texts[0]);
    assert!(seen.texts.iter().any(|text| text.contains("response.output_text.delta")));
    assert!(seen.texts.last().is_some_and(|text| text.contains("response.completed")));
    assert_eq!((seen.end, seen.answers), (None, 0));
}

#[test]
fn fragments_are_one_message_and_pings_between_them_are_answered() {
    let bytes = [
        frame(0x01, b"one "),
        frame(0x89, b"are you there"),
        frame(0x80, b"message"),
        frame(0x8a, b""),
        frame(0x81, b""),
        frame(0x81, "é".repeat(40_000).as_bytes()),
    ]
    .concat();
    let seen = read(&[&bytes]);
    assert_eq!(seen.texts[..2], ["one message".to_owned(), String::new()]);
    assert_eq!(seen.texts[2].len(), 80_000);
    // A pong: head, mask, the ping's payload.
    assert_eq!((seen.end, seen.answers), (None, 2 + 4 + 13));
    let small = &bytes[..60.min(bytes.len())];
    read_every_way(&small[..small.len() - 20]);
}

#[test]
fn a_closing_is_answered_and_nothing_follows_it() {
    for reason in [&b""[..], b"\x03\xe8bye"] {
        let bytes = [frame(0x81, b"a"), frame(0x88, reason), frame(0x81, b"b")].concat();
        let seen = read_every_way(&bytes);
        assert_eq!((seen.texts, seen.end), (vec!["a".to_owned()], Some(Ok(()))));
        assert_eq!(seen.answers, 2 + 4 + reason.len());
    }
}

#[test]
fn what_breaks_the_protocol_is_told() {
    let bad = |what| Some(Err(WireError::BadWebsocket(what)));
    for (bytes, end) in [
        (frame(0x82, b"binary"), bad("a binary message")),
        (frame(0x81, b"\xff"), bad("a text that is not UTF-8")),
        (frame(0xc1, b"compressed"), bad("a broken frame")),
        (frame(0x80, b"goes on with nothing"), bad("a broken frame")),
        (frame(0x83, b"unknown"), bad("a broken frame")),
        (frame(0x09, b"half a ping"), bad("a broken frame")),
        (vec![0x81, 0x81, 1, 2, 3, 4, 5], bad("a broken frame")),
        (
            [vec![0x81, 127], (MAX_MESSAGE_BYTES as u64 + 1).to_be_bytes().to_vec()].concat(),
            Some(Err(WireError::TooLarge("message"))),
        ),
        ([vec![0x81, 127], u64::MAX.to_be_bytes().to_vec()].concat(), Some(Err(WireError::TooLarge("message")))),
    ] {
        let seen = read_every_way(&bytes);
        assert_eq!((seen.texts.len(), seen.end), (0, end), "{bytes:?}");
    }
}

#[test]
fn fragments_together_are_bounded_too() {
    let part = vec![b'a'; MAX_MESSAGE_BYTES / 2];
    let bytes = [frame(0x01, &part), frame(0x00, &part), frame(0x80, b"more")].concat();
    assert_eq!(read(&[&bytes]).end, Some(Err(WireError::TooLarge("message"))));
}

/// The example of RFC 6455, section 1.3.
#[test]
fn the_key_of_the_standard_is_accepted_as_it_says() {
    let key = Key::new(u128::from_be_bytes(*b"the sample nonce"));
    assert_eq!(key.as_bytes(), b"dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(&key.accept(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

/// The example of RFC 6455, section 5.7, and each form of a length.
#[test]
fn a_message_is_a_masked_frame() {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let mut out = Vec::new();
    begin_text(5, key, &mut out);
    out.extend_from_slice(b"Hello");
    mask(&mut out[6..], key);
    assert_eq!(out, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    for (length, head) in [(125, 2), (126, 4), (0xffff, 4), (0x1_0000, 10)] {
        let mut out = Vec::new();
        begin_text(length, key, &mut out);
        assert_eq!(out.len(), head + 4);
    }
}
