//! Heads that look like the last one.
//!
//! The heads of a server's responses differ in their `Date`, in a number of the request, and in
//! `Content-Length`, if at all. So the last head that was parsed is kept, line by line, with what it
//! meant. The next one is compared with it: lines that decide something must be the same, byte by
//! byte, the length is read, and of all others only the name and that the value is one. A head that
//! is recognised means what parsing it would say; any other is parsed, and kept in its place.

use crate::wire::MAX_HEAD_BYTES;

use super::head::{Framing, Name, ParsedHead, decimal};

/// Longest head that is kept: heads of usual servers have 100 to 600 bytes.
const MAX_KNOWN_BYTES: usize = 2048;
/// Most lines that are kept.
const MAX_KNOWN_LINES: usize = 48;
/// Heads in a row that were not recognised, after which only every so many are kept: a server whose
/// heads never look alike shall cost little more than parsing them.
const PATIENCE: u32 = 16;

/// The last head, and what it meant.
#[derive(Debug, Default)]
pub struct KnownHead {
    bytes: Vec<u8>,
    lines: Vec<Line>,
    /// What all heads mean that are recognised, but for their length; none before the first.
    parsed: Option<ParsedHead>,
    /// Heads since the last one that was recognised.
    unknown: u32,
    /// Every head is parsed as well.
    pub(super) verify: bool,
}

/// A line of the head, its end included.
#[derive(Debug, Clone, Copy)]
struct Line {
    begin: u16,
    end: u16,
    means: Means,
}

/// What a line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    /// It decides: the status line, the framing, the type, the blank line.
    Something,
    /// The length of the body: digits from here to the end of the line.
    Length { digits: u16 },
    /// Nobody reads its value, which begins here.
    Nothing { value: u16 },
}

impl KnownHead {
    /// One that has seen no head. With `verify` every head is parsed as well, and a difference is an
    /// error.
    pub fn new(verify: bool) -> Self {
        Self { verify, ..Self::default() }
    }

    /// What the head at the front of `input` means, and how long it is. None if it does not look
    /// like the last one, or is not whole.
    #[inline]
    pub(super) fn recognise(&mut self, input: &[u8]) -> Option<(usize, ParsedHead)> {
        let mut parsed = self.parsed?;
        let mut at = 0;
        for line in &self.lines {
            let known = &self.bytes[usize::from(line.begin)..usize::from(line.end)];
            let rest = &input[at..];
            if rest.starts_with(known) {
                at += known.len();
                continue;
            }
            match line.means {
                Means::Something => return None,
                Means::Length { digits } => {
                    let (length, len) = length(rest, known, usize::from(digits))?;
                    parsed.framing = Framing::Length(length);
                    at += len;
                }
                Means::Nothing { value } => at += other_value(rest, known, usize::from(value))?,
            }
        }
        if at > MAX_HEAD_BYTES {
            return None;
        }
        self.unknown = 0;
        Some((at, parsed))
    }

    /// Keeps a head that was parsed.
    pub(super) fn learn(&mut self, head: &[u8], parsed: &ParsedHead) {
        self.unknown = self.unknown.saturating_add(1);
        let is_due = self.unknown <= PATIENCE || self.unknown.is_multiple_of(PATIENCE);
        if !is_due || !parsed.is_plain() || head.len() > MAX_KNOWN_BYTES {
            return;
        }
        self.parsed = None;
        self.bytes.clear();
        self.lines.clear();
        self.bytes.extend_from_slice(head);
        let mut begin = 0;
        for (n, line) in head.split_inclusive(|&byte| byte == b'\n').enumerate() {
            if n == MAX_KNOWN_LINES {
                return;
            }
            let end = begin + line.len();
            let means = if n == 0 { Means::Something } else { Means::of(line, parsed) };
            self.lines.push(Line { begin: begin as u16, end: end as u16, means });
            begin = end;
        }
        // Two lengths that are alike may differ in the next head.
        let lengths = self.lines.iter().filter(|line| matches!(line.means, Means::Length { .. })).count();
        self.parsed = (lengths <= 1).then_some(*parsed);
    }
}

impl Means {
    fn of(line: &[u8], parsed: &ParsedHead) -> Self {
        // A line that begins with a blank goes on with the one before it.
        let Some(colon) = line.iter().position(|&byte| byte == b':').filter(|_| !line[0].is_ascii_whitespace()) else {
            return Self::Something;
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let name = Name::of(name);
        if name == Some(Name::ContentLength) {
            let blanks = value.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            let is_framing = decimal(value.trim_ascii()).map(Framing::Length) == Some(parsed.framing);
            let digits = colon + 1 + blanks;
            return if is_framing { Self::Length { digits: digits as u16 } } else { Self::Something };
        }
        if name.is_some() { Self::Something } else { Self::Nothing { value: (colon + 1) as u16 } }
    }
}

/// The length that a line like `known` has, whose digits begin at `digits`, and how long the line
/// is.
#[inline]
fn length(rest: &[u8], known: &[u8], digits: usize) -> Option<(u64, usize)> {
    let value = rest.strip_prefix(&known[..digits])?;
    let count = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let line_end: &[u8] = if known.ends_with(b"\r\n") { b"\r\n" } else { b"\n" };
    value[count..].starts_with(line_end).then_some(())?;
    Some((decimal(&value[..count])?, digits + count + line_end.len()))
}

/// How long a line is that has the name of `known`, whose value begins at `begin`, and any value.
#[inline]
fn other_value(rest: &[u8], known: &[u8], begin: usize) -> Option<usize> {
    let value = rest.strip_prefix(&known[..begin])?;
    let len = memchr::memchr(b'\n', value)?;
    let text = &value[..len];
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    // What a parser takes for a value (RFC 9110, section 5.5): no control characters but the tab.
    let is_value = text.iter().all(|&byte| (byte >= b' ' && byte != 0x7f) || byte == b'\t');
    is_value.then_some(begin + len + 1)
}

#[cfg(test)]
mod tests;
