//! Parses requests. Pure.
//!
//! Only the parts of HTTP that a load tester uses are supported: a request line, `Content-Length`,
//! `Connection: close`. Unsupported framing ends the connection, never the process.

use crate::units::Nanos;

const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Longest body: prompts are kilobytes.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// Highest number of tokens of a stream.
const MAX_TOKENS: u32 = 1_000_000;
/// Highest number of tokens of a burst, which is kept in memory as a whole.
const MAX_BURST_TOKENS: u32 = 10_000;
/// Longest time of any kind: longer than a test, and far from the end of the clock.
const MAX_TIME: Nanos = Nanos::from_secs(3600);
/// The default stream.
const USUAL: Pace = Pace { ttft: Nanos::from_millis(50), gap: Nanos::from_millis(10), tokens: 100, spread: false };
/// The default burst.
const USUAL_BURST: u32 = 34;
/// The default freeze.
const USUAL_FREEZE: Nanos = Nanos::from_secs(1);

/// The requested action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Health,
    Plain,
    Stream(Pace),
    Burst {
        tokens: u32,
    },
    Record,
    Reset,
    Freeze {
        length: Nanos,
    },
    Unknown,
    /// The path is known, but its query is invalid.
    BadQuery,
}

/// The schedule of a stream's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// Time from the request to the first token.
    pub(super) ttft: Nanos,
    /// Time between tokens, and from the last one to the end.
    pub(super) gap: Nanos,
    pub(super) tokens: u32,
    /// If true, streams begin up to a gap later, each by a different part of it. Real streams do
    /// not run in lockstep, and a client that finds the tokens of a thousand streams at once has
    /// less work than one that is woken for each.
    pub(super) spread: bool,
}

impl Pace {
    /// Returns the pace of the `n`-th connection.
    pub(super) fn of(self, n: u32) -> Self {
        // Multiples of the golden ratio, modulo one, fill the gap evenly for any number of
        // connections (Weyl's sequence).
        let part = (f64::from(n) * 0.618_033_988_749_895).fract();
        let later = Nanos((self.gap.0 as f64 * part) as u64);
        if self.spread { Self { ttft: self.ttft.saturating_add(later), ..self } } else { self }
    }
}

/// The result of parsing the bytes so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parsed {
    /// The request is incomplete.
    Partial,
    /// A request of `length` bytes.
    Whole { ask: Ask, length: usize, close: bool },
    /// A request that cannot be answered. The beginning of the next one is unknown.
    Broken,
}

/// Parses the first request in `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let Some(head) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return if bytes.len() > MAX_HEAD_BYTES { Parsed::Broken } else { Parsed::Partial };
    };
    let mut lines = bytes[..head].split(|&b| b == b'\n').map(<[u8]>::trim_ascii_end);
    let Some(target) = lines.next().and_then(target) else { return Parsed::Broken };
    let Some(Framing { body, close }) = framing(lines) else { return Parsed::Broken };
    let (start, length) = (head + 4, head + 4 + body);
    if bytes.len() < length {
        return Parsed::Partial;
    }
    Parsed::Whole { ask: ask(target, &bytes[start..length]), length, close }
}

/// Returns `/path?query` for `GET /path?query HTTP/1.1`.
fn target(line: &[u8]) -> Option<&str> {
    let mut words = line.split(|&b| b == b' ');
    let (_method, target, version) = (words.next()?, words.next()?, words.next()?);
    let known = version.starts_with(b"HTTP/1.") && words.next().is_none();
    std::str::from_utf8(target).ok().filter(|_| known)
}

struct Framing {
    body: usize,
    close: bool,
}

/// Returns the length of the body, and whether the connection ends with the response. `None` if the
/// length is unknown or too large.
fn framing<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Framing> {
    let mut framing = Framing { body: 0, close: false };
    for line in lines {
        // Few headers begin with these letters. The others are skipped after a look at one byte.
        if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T')) {
            continue;
        }
        let colon = line.iter().position(|&b| b == b':')?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            framing.body = std::str::from_utf8(value).ok()?.parse().ok().filter(|&n| n <= MAX_BODY_BYTES)?;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return None;
        } else if name.eq_ignore_ascii_case(b"connection") {
            framing.close = value.eq_ignore_ascii_case(b"close");
        }
    }
    Some(framing)
}

fn ask(target: &str, body: &[u8]) -> Ask {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let asked = match path {
        "/health" => Some(Ask::Health),
        "/plain" => Some(Ask::Plain),
        "/stream" => pace(query).map(Ask::Stream),
        "/burst" => value(query, "tokens", USUAL_BURST, |text| count(text, MAX_BURST_TOKENS))
            .map(|tokens| Ask::Burst { tokens }),
        "/record" => Some(Ask::Record),
        "/reset" => Some(Ask::Reset),
        "/freeze" => value(query, "for", USUAL_FREEZE, time).map(|length| Ask::Freeze { length }),
        path if path.ends_with("/chat/completions") && streams(body) => pace(query).map(Ask::Stream),
        path if path.ends_with("/chat/completions") => Some(Ask::Plain),
        _ => Some(Ask::Unknown),
    };
    asked.unwrap_or(Ask::BadQuery)
}

/// Returns true if a request's body says `"stream":true`, with or without blanks.
fn streams(body: &[u8]) -> bool {
    const KEY: &[u8] = b"\"stream\"";
    memchr::memmem::find(body, KEY).is_some_and(|at| {
        let value = body[at + KEY.len()..].trim_ascii_start();
        value.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"true"))
    })
}

fn pace(query: &str) -> Option<Pace> {
    Some(Pace {
        ttft: value(query, "ttft", USUAL.ttft, time)?,
        gap: value(query, "gap", USUAL.gap, time)?,
        tokens: value(query, "tokens", USUAL.tokens, |text| count(text, MAX_TOKENS))?,
        spread: value(query, "spread", USUAL.spread, |text| text.parse().ok())?,
    })
}

/// Returns the value of `key`, or the default if `key` is missing. `None` if the value is invalid.
fn value<T>(query: &str, key: &str, usual: T, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| *name == key).map_or(Some(usual), |(_, text)| read(text))
}

fn time(text: &str) -> Option<Nanos> {
    text.parse().ok().filter(|&time| time <= MAX_TIME)
}

fn count(text: &str, most: u32) -> Option<u32> {
    text.parse().ok().filter(|&n| n <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(target: &str, body: &str) -> Ask {
        let length = body.len();
        let text = format!("POST {target} HTTP/1.1\r\nHost: x\r\ncontent-LENGTH: {length}\r\n\r\n{body}");
        match parse(text.as_bytes()) {
            Parsed::Whole { ask, length, close: false } if length == text.len() => ask,
            other => panic!("{target}: {other:?}"),
        }
    }

    #[test]
    fn every_path_is_known() {
        let pace = Pace { ttft: Nanos::from_micros(1_500), gap: Nanos::ZERO, tokens: 7, spread: false };
        for (target, ask) in [
            ("/health", Ask::Health),
            ("/plain", Ask::Plain),
            ("/stream", Ask::Stream(USUAL)),
            ("/stream?tokens=7&ttft=1.5ms&gap=0&other=x", Ask::Stream(pace)),
            ("/burst", Ask::Burst { tokens: 34 }),
            ("/burst?tokens=1", Ask::Burst { tokens: 1 }),
            ("/record", Ask::Record),
            ("/reset", Ask::Reset),
            ("/freeze?for=20ms", Ask::Freeze { length: Nanos::from_millis(20) }),
            ("/", Ask::Unknown),
            ("/plain/", Ask::Unknown),
            ("/stream?spread=true", Ask::Stream(Pace { spread: true, ..USUAL })),
            ("/stream?spread=a-lot", Ask::BadQuery),
            ("/stream?ttft=soon", Ask::BadQuery),
            ("/stream?gap=2h", Ask::BadQuery),
            ("/stream?tokens=-1", Ask::BadQuery),
            ("/burst?tokens=99999999", Ask::BadQuery),
        ] {
            assert_eq!(asked(target, ""), ask, "{target}");
        }
    }

    #[test]
    fn a_chat_completion_is_what_its_body_says() {
        for (body, ask) in [
            (r#"{"stream":false}"#, Ask::Plain),
            (r#"{"stream" : true}"#, Ask::Stream(USUAL)),
            (r#"{"messages":[{"content":"\"stream"}]}"#, Ask::Plain),
            ("", Ask::Plain),
        ] {
            assert_eq!(asked("/v1/chat/completions", body), ask, "{body}");
            assert_eq!(asked("/openai/v1/chat/completions", body), ask, "{body}");
        }
    }

    #[test]
    fn a_request_is_partial_up_to_its_last_byte() {
        let text = b"POST /plain HTTP/1.1\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody";
        for cut in 0..text.len() {
            assert_eq!(parse(&text[..cut]), Parsed::Partial, "cut at {cut}");
        }
        let whole = Parsed::Whole { ask: Ask::Plain, length: text.len(), close: true };
        assert_eq!(parse(text), whole);
        assert_eq!(parse(&[&text[..], b"GET /"].concat()), whole, "what follows is not looked at");
    }

    #[test]
    fn what_cannot_be_framed_is_broken() {
        for text in [
            "\r\n\r\n",
            "GET /\r\n\r\n",
            "GET / SPDY/3\r\n\r\n",
            "GET / HTTP/1.1 x\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length\r\n\r\n",
        ] {
            assert_eq!(parse(text.as_bytes()), Parsed::Broken, "{text:?}");
        }
        assert_eq!(parse(&vec![b'x'; MAX_HEAD_BYTES + 1]), Parsed::Broken);
    }

    #[test]
    fn spread_streams_fill_the_gap_evenly() {
        let pace = Pace { spread: true, ..USUAL };
        let mut later: Vec<u64> = (0..100).map(|n| pace.of(n).ttft.since(USUAL.ttft).0).collect();
        later.sort_unstable();
        assert!(later.last().is_some_and(|&last| last < USUAL.gap.0));
        assert!(later.windows(2).all(|pair| pair[1] - pair[0] < USUAL.gap.0 / 40), "{later:?}");
        assert_eq!(USUAL.of(7), USUAL, "only when asked for");
    }
}
