//! Entry points of the fuzz targets (`fuzz/`). Each decoder gives the same result for the same
//! bytes, however they are cut into reads.

use super::http1::KnownHead;
use super::{Event, Head, WireError, chunked, http1, sse, websocket};

/// Returns the bytes under test and the lengths of the reads: all bytes at once, and pieces of the
/// length in the first byte.
fn reads(input: &[u8]) -> Option<(&[u8], [usize; 2])> {
    let (&len, bytes) = input.split_first()?;
    Some((bytes, [bytes.len().max(1), usize::from(len).max(1)]))
}

/// Decodes the body of a chunked response.
///
/// # Panics
///
/// If the decoder breaks its contract, so that the fuzzer reports it.
pub fn fuzz_chunked(input: &[u8]) {
    /// The content, and the bytes left after the end, or the error.
    type Seen = (Vec<u8>, Option<Result<Vec<u8>, WireError>>);
    fn decode(bytes: &[u8], len: usize) -> Seen {
        let mut decoder = chunked::Decoder::default();
        let mut content = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (mut read, after) = rest.split_at(len.min(rest.len()));
            while let Some(piece) = decoder.next(&mut read) {
                match piece {
                    Ok(chunked::Piece::Data(data)) => {
                        assert!(!data.is_empty(), "content is never empty");
                        content.extend_from_slice(data);
                    }
                    Ok(chunked::Piece::End) => return (content, Some(Ok([read, after].concat()))),
                    Err(error) => return (content, Some(Err(error))),
                }
            }
            assert!(read.is_empty(), "None means that the input is used up");
            rest = after;
        }
        (content, None)
    }
    let Some((bytes, [whole, cut])) = reads(input) else { return };
    assert_eq!(decode(bytes, whole), decode(bytes, cut), "reads of {cut}");
}

/// Decodes responses, one after the other, to the end of the last one or of the connection. A head
/// that is recognised by an earlier one must give the same result as parsing it.
///
/// # Panics
///
/// If the decoder breaks its contract, so that the fuzzer reports it.
pub fn fuzz_http1(input: &[u8]) {
    /// Heads, content, and the end: whether the connection is reusable and the bytes that are left,
    /// or the error.
    type Seen = (Vec<Head>, Vec<u8>, Result<(bool, Vec<u8>), WireError>);
    fn decode(bytes: &[u8], len: usize, mut known: Option<&mut KnownHead>) -> Seen {
        let mut decoder = http1::Decoder::default();
        let (mut heads, mut content) = (Vec::new(), Vec::new());
        let mut rest = bytes;
        while !rest.is_empty() {
            let (mut read, after) = rest.split_at(len.min(rest.len()));
            while let Some(event) = decoder.next_like(&mut read, known.as_deref_mut()) {
                match event {
                    Ok(Event::Head(head)) => heads.push(head),
                    Ok(Event::Data(data)) => {
                        assert!(
                            !heads.is_empty() && !data.is_empty(),
                            "content is never empty, and comes after the head"
                        );
                        content.extend_from_slice(data);
                    }
                    Ok(Event::End { reusable }) => return (heads, content, Ok((reusable, [read, after].concat()))),
                    Err(error) => return (heads, content, Err(error)),
                }
            }
            assert!(read.is_empty(), "None means that the input is used up");
            rest = after;
        }
        let end = decoder.eof().map(|event| {
            assert!(matches!(event, Event::End { reusable: false }), "a closed connection is not used again");
            (false, Vec::new())
        });
        (heads, content, end)
    }
    fn all(bytes: &[u8], len: usize, mut known: Option<&mut KnownHead>) -> Vec<Seen> {
        let (mut all, mut rest) = (Vec::new(), bytes.to_vec());
        loop {
            let seen = decode(&rest, len, known.as_deref_mut());
            rest = match &seen.2 {
                Ok((true, left)) => left.clone(),
                _ => Vec::new(),
            };
            all.push(seen);
            if rest.is_empty() {
                return all;
            }
        }
    }
    let Some((bytes, [whole, cut])) = reads(input) else { return };
    let parsed = all(bytes, whole, None);
    assert_eq!(parsed, all(bytes, cut, None), "reads of {cut}");
    let mut known = KnownHead::default();
    // The second time the first head may also be recognised by the last one.
    for len in [whole, whole, cut] {
        assert_eq!(parsed, all(bytes, len, Some(&mut known)), "heads that look alike, in reads of {len}");
    }
}

/// Decodes an event stream.
///
/// # Panics
///
/// If the decoder breaks its contract, so that the fuzzer reports it.
pub fn fuzz_sse(input: &[u8]) {
    /// Names and data, and the error that ended the stream.
    type Seen = (Vec<(Vec<u8>, Vec<u8>)>, Option<WireError>);
    fn decode(bytes: &[u8], len: usize) -> Seen {
        let mut decoder = sse::Decoder::default();
        let mut events = Vec::new();
        for mut read in bytes.chunks(len) {
            while let Some(event) = decoder.next(&mut read) {
                match event {
                    Ok(event) => events.push((event.name.to_vec(), event.data.to_vec())),
                    Err(error) => return (events, Some(error)),
                }
            }
            assert!(read.is_empty(), "None means that the input is used up");
        }
        events.extend(decoder.eof().map(|event| (event.name.to_vec(), event.data.to_vec())));
        assert_eq!(decoder.eof(), None, "an event is told once");
        (events, None)
    }
    let Some((bytes, [whole, cut])) = reads(input) else { return };
    assert_eq!(decode(bytes, whole), decode(bytes, cut), "reads of {cut}");
}

/// Decodes the frames of a WebSocket.
///
/// # Panics
///
/// If the decoder breaks its contract, so that the fuzzer reports it.
pub fn fuzz_websocket(input: &[u8]) {
    /// Messages, and the end: closed, or the error.
    type Seen = (Vec<Vec<u8>>, Option<Result<(), WireError>>);
    fn decode(bytes: &[u8], len: usize) -> Seen {
        let mut decoder = websocket::Decoder::new(&[]);
        let mut messages = Vec::new();
        for mut read in bytes.chunks(len) {
            while let Some(event) = decoder.next(&mut read) {
                match event {
                    Ok(websocket::Event::Text(data)) => {
                        assert!(data.len() <= websocket::MAX_MESSAGE_BYTES);
                        messages.push(data.to_vec());
                    }
                    Ok(websocket::Event::Closed) => return (messages, Some(Ok(()))),
                    Err(error) => return (messages, Some(Err(error))),
                }
            }
            assert!(read.is_empty(), "None means that the input is used up");
        }
        (messages, None)
    }
    let Some((bytes, [whole, cut])) = reads(input) else { return };
    assert_eq!(decode(bytes, whole), decode(bytes, cut), "reads of {cut}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_inputs_hold() {
        for len in [0, 1, 2, 3, 7, 255] {
            let with_len = |bytes: &[u8]| [&[len][..], bytes].concat();
            for bytes in [&b""[..], b"\n", b"5\r\nhello\r\n0\r\n\r\ntail", b"5;a=b\r\nhel", b"z\r\n", b"\r\n0"] {
                fuzz_chunked(&with_len(bytes));
            }
            for bytes in [
                &b""[..],
                b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhitail",
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
                b"HTTP/1.0 200 OK\r\n\r\nto the end",
                b"HTTP/1.1 204 No Content\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nx: 1\r\ncontent-length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nx: 2\r\ncontent-length: 1\r\n\r\nh",
                b"SSH-2.0-OpenSSH\r\n",
            ] {
                fuzz_http1(&with_len(bytes));
            }
            for bytes in [
                include_bytes!("fixtures/gateway.sse").as_slice(),
                include_bytes!("fixtures/openrouter.sse"),
                b"\xef\xbb\xbfdata: a\r\r\ndata\ndata:b\n\n: c\n\nevent: d\ndata: e",
            ] {
                fuzz_sse(&with_len(bytes));
            }
        }
        for len in [1, 7, 255] {
            fuzz_websocket(&[&[len][..], include_bytes!("fixtures/llmsim_responses.ws")].concat());
            fuzz_websocket(&[len, 0x89, 2, b'h', b'i', 0x01, 1, b'a', 0x80, 1, b'b', 0x88, 0, 0x81, 0]);
            fuzz_websocket(&[len, 0x81, 127, 0xff, 0xff]);
        }
        fuzz_websocket(b"");
        fuzz_chunked(b"");
        fuzz_http1(b"");
        fuzz_sse(b"");
    }
}
