use proptest::prelude::*;

use super::*;

type Seen = Vec<(Vec<u8>, Vec<u8>)>;

fn own(event: &Event<'_>) -> (Vec<u8>, Vec<u8>) {
    (event.name.to_vec(), event.data.to_vec())
}

/// Feeds the pieces in turn, and then the end of the stream.
fn feed(pieces: &[&[u8]]) -> Result<Seen, WireError> {
    let mut decoder = Decoder::default();
    let mut seen = Vec::new();
    for piece in pieces {
        let mut input = *piece;
        while let Some(event) = decoder.next(&mut input) {
            seen.push(own(&event?));
        }
        assert!(input.is_empty(), "None means that the input is used up");
    }
    seen.extend(decoder.eof().as_ref().map(own));
    assert_eq!(decoder.eof(), None, "an event is told once");
    Ok(seen)
}

/// Returns the names and data of a stream's events, which are the same however the stream is cut.
fn events(stream: &[u8]) -> Vec<(String, String)> {
    let whole = feed(&[stream]);
    assert_eq!(feed(&stream.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
    for cut in 0..=stream.len() {
        assert_eq!(feed(&[&stream[..cut], &stream[cut..]]), whole, "cut at {cut}");
        assert_eq!(feed(&[&stream[..cut], b"", &stream[cut..]]), whole, "cut at {cut} with an empty read");
    }
    let text = |bytes| String::from_utf8(bytes).unwrap();
    whole.unwrap().into_iter().map(|(name, data)| (text(name), text(data))).collect()
}

fn data_of(stream: impl AsRef<[u8]>) -> Vec<String> {
    events(stream.as_ref())
        .into_iter()
        .map(|(name, data)| {
            assert_eq!(name, "");
            data
        })
        .collect()
}

#[test]
fn events_end_at_a_blank_line() {
    assert_eq!(data_of("data: a\n\ndata: b\n\n"), ["a", "b"]);
    assert_eq!(data_of("data: {\"a\":\"b: c\"}\n\n\n\n"), ["{\"a\":\"b: c\"}"]);
    assert_eq!(data_of(""), [""; 0]);
}

#[test]
fn at_most_one_space_is_stripped() {
    assert_eq!(data_of("data:a\n\ndata: a\n\ndata:  a\n\ndata:\ta \n\n"), ["a", "a", " a", "\ta "]);
}

#[test]
fn every_line_end_ends_a_line() {
    for end in ["\n", "\r", "\r\n"] {
        assert_eq!(data_of(format!("data: a{end}{end}data: b{end}data: c{end}{end}")), ["a", "b\nc"], "{end:?}");
    }
    assert_eq!(data_of("data: a\r\n\ndata: b\n\r\ndata: c\r\r\ndata: d\n\r"), ["a", "b", "c", "d"]);
    assert_eq!(data_of("data: a\r\ndata: b\r\n\r\n"), ["a\nb"], "CRLF is one end, not two");
}

#[test]
fn comments_make_no_event() {
    let stream = ": ping\n\n:\n\n: OPENROUTER PROCESSING\r\n\r\n:data: x\n\ndata: a\n: between\ndata: b\n\n";
    assert_eq!(data_of(stream), ["a\nb"]);
}

#[test]
fn an_empty_data_field_is_an_event() {
    assert_eq!(data_of("data:\n\ndata: \n\ndata\n\n"), ["", "", ""]);
    assert_eq!(data_of("data:\ndata:\n\ndata\ndata: a\n\n"), ["\n", "\na"]);
}

#[test]
fn other_fields_are_ignored() {
    assert_eq!(data_of("id: 1\nretry: 10\ndata: a\nfoo: bar\nfoo\n\nid: 2\n\n"), ["a"]);
    assert_eq!(data_of("Data: a\n\n data: b\n\ndatax: c\n\ndat: d\n\n"), [""; 0], "names are compared exactly");
}

#[test]
fn a_name_belongs_to_one_event() {
    let stream =
        b"event: error\ndata: a\n\ndata: b\nevent:x\n\nevent: lost\n\ndata: c\n\nevent: old\nevent: new\ndata: d\n\n";
    let wanted = [("error", "a"), ("x", "b"), ("", "c"), ("new", "d")];
    assert_eq!(events(stream), wanted.map(|(name, data)| (name.to_owned(), data.to_owned())));
    assert_eq!(
        events(b"event: x\nevent\ndata: a\n\n"),
        [(String::new(), "a".to_owned())],
        "an empty name replaces one"
    );
}

#[test]
fn a_byte_order_mark_is_skipped_at_the_start_only() {
    assert_eq!(data_of("\u{feff}data: a\n\n\u{feff}data: b\n\ndata: \u{feff}\n\n"), ["a", "\u{feff}"]);
    assert_eq!(data_of("\u{feff}\n\ndata: a\n\n"), ["a"]);
    assert_eq!(feed(&[b"\xef\xbbdata: a\n\n"]), Ok(vec![]), "half a mark is none");
}

#[test]
fn a_character_may_be_cut_in_two() {
    assert_eq!(data_of("data: \u{1f600}\u{e4}\n\n"), ["\u{1f600}\u{e4}"]);
}

#[test]
fn a_stream_may_end_without_its_last_blank_line() {
    assert_eq!(data_of("data: a\n\ndata: [DONE]\n"), ["a", "[DONE]"]);
    assert_eq!(data_of("data: a\n\ndata: [DONE]"), ["a", "[DONE]"]);
    assert_eq!(data_of("data: a\ndata: b"), ["a\nb"]);
    assert_eq!(data_of("data: a\n\n: bye"), ["a"]);
    assert_eq!(events(b"data: a\nevent: x"), [("x".to_owned(), "a".to_owned())]);
}

#[test]
fn a_held_data_line_is_told() {
    let mut decoder = Decoder::default();
    for (piece, told, holds) in [
        ("event: x\n", 0, false),
        (": c\nda", 0, false),
        ("ta: a", 0, false),
        ("\r", 0, true),
        ("\n", 0, true),
        ("\r", 1, false),
        ("\n: c\n\n", 0, false),
        ("data", 0, false),
        ("\n", 0, true),
    ] {
        let mut input = piece.as_bytes();
        let mut count = 0;
        while let Some(event) = decoder.next(&mut input) {
            assert_eq!(own(&event.unwrap()), (b"x".to_vec(), b"a".to_vec()));
            count += 1;
        }
        assert_eq!((count, decoder.holds_data()), (told, holds), "{piece:?}");
    }
    assert_eq!(decoder.eof(), Some(Event { name: b"", data: b"" }));
}

#[test]
fn whole_events_are_lent_and_nothing_is_held() {
    let stream = b"event: n\ndata: {\"a\":1}\n\n: c\n\ndata: b\r\n\r\n";
    let mut decoder = Decoder::default();
    let mut input = &stream[..];
    let within = stream.as_ptr_range();
    let mut count = 0;
    while let Some(event) = decoder.next(&mut input) {
        let event = event.unwrap();
        assert!(within.contains(&event.data.as_ptr()));
        assert!(event.name.is_empty() || within.contains(&event.name.as_ptr()));
        count += 1;
    }
    assert_eq!(count, 2);
    assert!(decoder.open.is_none());
}

#[test]
fn a_reset_forgets_what_is_held_and_keeps_only_small_buffers() {
    let mut decoder = Decoder::default();
    assert_eq!(decoder.next(&mut &b"event: x\ndata: a\ndata: b"[..]), None);
    decoder.reset();
    assert!(!decoder.holds_data() && decoder.open.is_some());
    assert_eq!(decoder.eof(), None);
    decoder.reset();
    let mut input = &b"\xef\xbb\xbfdata: c\n\n"[..];
    assert_eq!(decoder.next(&mut input), Some(Ok(Event { name: b"", data: b"c" })));

    assert_eq!(decoder.next(&mut vec![b'a'; MAX_KEPT_BYTES + 1].as_slice()), None);
    decoder.reset();
    assert!(decoder.open.is_none());
}

#[test]
fn lines_are_bounded() {
    let too_large = Err(WireError::TooLarge("line of an event stream"));
    let line = |len: usize| format!("data: {}\n\n", "a".repeat(len - 6)).into_bytes();
    assert_eq!(feed(&[&line(MAX_LINE_BYTES)]).unwrap()[0].1.len(), MAX_LINE_BYTES - 6);
    assert_eq!(feed(&line(MAX_LINE_BYTES).chunks(60_000).collect::<Vec<_>>()).unwrap().len(), 1);
    assert_eq!(feed(&[&line(MAX_LINE_BYTES + 1)]), too_large);
    assert_eq!(feed(&line(MAX_LINE_BYTES + 1).chunks(60_000).collect::<Vec<_>>()), too_large);
    let endless = vec![b':'; 2 * MAX_LINE_BYTES];
    assert_eq!(feed(&[&endless]), too_large);
    assert_eq!(feed(&endless.chunks(60_000).collect::<Vec<_>>()), too_large);
}

#[test]
fn events_are_bounded() {
    let line = format!("data: {}\n", "a".repeat(1023));
    let lines = |count: usize| format!("{}\n", line.repeat(count)).into_bytes();
    let limit = MAX_EVENT_BYTES / 1024;
    assert_eq!(feed(&[&lines(limit)]).unwrap()[0].1.len(), MAX_EVENT_BYTES - 1);
    for step in [usize::MAX, 60_000, 1000] {
        let bytes = lines(limit + 1);
        let pieces: Vec<&[u8]> = bytes.chunks(step).collect();
        assert_eq!(feed(&pieces), Err(WireError::TooLarge("event")), "{step}");
    }
    let comments = ": ping\n".repeat(MAX_EVENT_BYTES / 4);
    assert_eq!(feed(&[comments.as_bytes()]), Ok(vec![]), "comments are not part of an event");
}

#[test]
fn the_decoder_is_small() {
    assert!(size_of::<Decoder>() <= 16, "{}", size_of::<Decoder>());
}

/// Reads the whole stream in the standard's own way, which is slow and plain.
fn model(stream: &[u8]) -> Seen {
    let mut lines: Vec<Vec<u8>> = vec![vec![]];
    let mut at = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    while let [byte, rest @ ..] = at {
        at = rest;
        match byte {
            b'\r' => {
                at = at.strip_prefix(b"\n").unwrap_or(at);
                lines.push(vec![]);
            }
            b'\n' => lines.push(vec![]),
            _ => lines.last_mut().unwrap().push(*byte),
        }
    }
    lines.push(vec![]); // The end of the stream closes the last line, if it had no end, and the last event.
    let (mut seen, mut name, mut data) = (Vec::new(), Vec::new(), None::<Vec<u8>>);
    for line in lines {
        if line.is_empty() {
            let name = std::mem::take(&mut name);
            seen.extend(data.take().map(|data| (name, data)));
            continue;
        }
        let mut parts = line.splitn(2, |&byte| byte == b':');
        let field = parts.next().unwrap();
        let value = parts.next().unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => name = value.to_vec(),
            b"data" => {
                data = Some(data.take().map_or_else(|| value.to_vec(), |data| [&data, &b"\n"[..], value].concat()));
            }
            _ => {}
        }
    }
    seen
}

proptest! {
    #[test]
    fn the_events_are_those_of_the_standard_however_cut(
        parts in prop::collection::vec(prop::sample::select(vec![
            "data", "event", ":", ": ", " ", "\n", "\r", "\r\n", "\n\n", "a", "\u{feff}", "id", "data: a\n\n", "data:",
        ]), 0..20),
        step in 1_usize..12,
    ) {
        let stream = parts.concat().into_bytes();
        prop_assert_eq!(feed(&[&stream]), Ok(model(&stream)));
        prop_assert_eq!(feed(&stream.chunks(step).collect::<Vec<_>>()), Ok(model(&stream)));
    }

    #[test]
    fn random_bytes_are_read_the_same_however_cut(
        stream in prop::collection::vec(any::<u8>(), 0..200),
        step in 1_usize..50,
    ) {
        prop_assert_eq!(feed(&stream.chunks(step).collect::<Vec<_>>()), Ok(model(&stream)));
    }
}

#[test]
fn an_error_field_is_an_error_event() {
    let stream = b"data: 1\n\nerror: {\"code\":500}\n\ndata: 2\nerror:x\n\nevent: a\nerror: y\n\n";
    let wanted = [("", "1"), ("error", "{\"code\":500}"), ("error", "2\nx"), ("error", "y")];
    for cut in 0..=stream.len() {
        let mut decoder = Decoder::default();
        let mut seen = Vec::new();
        for mut piece in [&stream[..cut], &stream[cut..]] {
            while let Some(event) = decoder.next(&mut piece) {
                let event = event.unwrap();
                seen.push((event.name.to_vec(), event.data.to_vec()));
            }
        }
        let wanted = wanted.map(|(name, data)| (name.as_bytes().to_vec(), data.as_bytes().to_vec()));
        assert_eq!(seen, wanted, "cut at {cut}");
    }
}

/// Returns the lines of newline-delimited JSON, which are the same however it is cut.
fn lines(stream: &[u8]) -> Vec<String> {
    let feed = |pieces: &[&[u8]]| {
        let (mut decoder, mut seen) = (Decoder::default(), Vec::new());
        decoder.read_by_line(true);
        for piece in pieces {
            let mut input = *piece;
            while let Some(event) = decoder.next(&mut input) {
                seen.push(own(&event.expect("an event")));
                assert!(!decoder.holds_data(), "an event is over with its line");
            }
            assert!(input.is_empty(), "None means that the input is used up");
        }
        seen.extend(decoder.eof().as_ref().map(own));
        seen
    };
    let whole = feed(&[stream]);
    assert_eq!(feed(&stream.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
    for cut in 0..=stream.len() {
        assert_eq!(feed(&[&stream[..cut], &stream[cut..]]), whole, "cut at {cut}");
        assert_eq!(feed(&[&stream[..cut], b"", &stream[cut..]]), whole, "cut at {cut} with an empty read");
    }
    whole.into_iter().map(|(_, data)| String::from_utf8(data).unwrap()).collect()
}

#[test]
fn a_line_of_its_own_is_an_event_where_lines_are_events() {
    assert_eq!(lines(b"{\"a\":1}\n{\"b\":2}\n"), ["{\"a\":1}", "{\"b\":2}"]);
    assert_eq!(lines(b"\xef\xbb\xbf{\"a\":1}\r\n\r\n\n{\"b\":2}"), ["{\"a\":1}", "{\"b\":2}"]);
    assert_eq!(lines(b"data: x\nevent: y\nerror: z\n"), ["data: x", "event: y", "error: z"], "no field has a meaning");
    assert_eq!(lines("{\"a\":\"ä\"}\n".as_bytes()), ["{\"a\":\"ä\"}"]);
    assert_eq!(lines(b""), [""; 0]);
}

#[test]
fn a_reset_ends_the_reading_by_line() {
    let mut decoder = Decoder::default();
    decoder.read_by_line(true);
    decoder.reset();
    let mut input = &b"data: a\n\n"[..];
    assert_eq!(decoder.next(&mut input).map(|event| event.map(|event| event.data.to_vec())), Some(Ok(b"a".to_vec())));
}
