//! Recognises heads that look like the last one.
//!
//! The heads of a server's responses differ in their `Date`, in a number of the request, and in
//! `Content-Length`, if at all. So a parsed head is kept, line by line, with its meaning. The next
//! head is compared with it, first as a whole, because most heads differ only once a second, when
//! `Date` does. Then it is compared line by line. Lines that decide something must be the same,
//! byte by byte. The length and the remaining rate limits are read. Of all other lines only the
//! name is compared, and the value must be valid. A recognised head has the meaning that parsing
//! would give. Any other head is parsed, and kept instead.

use crate::wire::{Head, MAX_HEAD_BYTES};

use super::head::{Framing, Name, ParsedHead, decimal, saturated};

/// Longest head that is kept. Heads of usual servers have 100 to 600 bytes.
const MAX_KNOWN_BYTES: usize = 2048;
/// Maximum number of lines that are kept.
const MAX_KNOWN_LINES: usize = 48;
/// Heads in a row that were not recognised, or not as a whole, after which only every 16th is kept.
/// A server whose heads never look alike should cost little more than parsing them.
const PATIENCE: u32 = 16;

/// The last head, and its meaning.
#[derive(Debug, Default)]
pub struct KnownHead {
    bytes: Vec<u8>,
    lines: Vec<Line>,
    /// The meaning of recognised heads, apart from their length; `None` before the first one.
    parsed: Option<ParsedHead>,
    /// Heads since the last recognised one.
    unknown: u32,
    /// Heads since the last one that was the same as a whole.
    unlike: u32,
    /// True if every head is parsed as well.
    pub(super) verify: bool,
}

/// A line of the head, its end included.
#[derive(Debug, Clone, Copy)]
struct Line {
    begin: u16,
    end: u16,
    means: Means,
}

/// The purpose of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    /// The line decides something: the status line, the framing, the type, the blank line.
    Something,
    /// The length of the body: digits from here to the end of the line.
    Length { digits: u16 },
    /// The remaining rate limit: digits from here to the end of the line.
    Remaining { name: Name, digits: u16 },
    /// The value, which begins here, is not read.
    Nothing { value: u16 },
}

impl KnownHead {
    /// Creates a state that has seen no head. With `verify` every head is parsed as well, and a
    /// difference is an error.
    pub fn new(verify: bool) -> Self {
        Self { verify, ..Self::default() }
    }

    /// Returns the length and the meaning of the head at the front of `input`. Returns `None` if it
    /// does not look like the last one, or is incomplete.
    #[inline]
    pub(super) fn recognise(&mut self, input: &[u8]) -> Option<(usize, ParsedHead)> {
        let parsed = self.parsed?;
        if input.starts_with(&self.bytes) {
            (self.unknown, self.unlike) = (0, 0);
            return Some((self.bytes.len(), parsed));
        }
        self.recognise_lines(input, parsed)
    }

    /// As [`Self::recognise`], for a head that differs from the kept one, which means `parsed`.
    fn recognise_lines(&mut self, input: &[u8], mut parsed: ParsedHead) -> Option<(usize, ParsedHead)> {
        let mut at = 0;
        let mut lines_fit = true;
        for line in &self.lines {
            let known = &self.bytes[usize::from(line.begin)..usize::from(line.end)];
            let rest = &input[at..];
            if rest.starts_with(known) {
                at += known.len();
                continue;
            }
            let len = match line.means {
                Means::Something => return None,
                Means::Length { digits } => {
                    let (length, len) = number(rest, known, usize::from(digits))?;
                    parsed.framing = Framing::Length(length);
                    len
                }
                Means::Remaining { name, digits } => {
                    let (left, len) = number(rest, known, usize::from(digits))?;
                    *remaining(&mut parsed.head, name) = Some(saturated(left));
                    len
                }
                Means::Nothing { value } => other_value(rest, known, usize::from(value))?,
            };
            lines_fit &= len == known.len();
            at += len;
        }
        if at > MAX_HEAD_BYTES {
            return None;
        }
        self.unknown = 0;
        self.unlike = self.unlike.saturating_add(1);
        if lines_fit && is_due(self.unlike) {
            // Every line has kept its place.
            self.bytes.copy_from_slice(&input[..at]);
            self.parsed = Some(parsed);
        }
        Some((at, parsed))
    }

    /// Keeps a parsed head.
    pub(super) fn learn(&mut self, head: &[u8], parsed: &ParsedHead) {
        self.unknown = self.unknown.saturating_add(1);
        if !is_due(self.unknown) || !parsed.is_plain() || head.len() > MAX_KNOWN_BYTES {
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
            let Some(means) = (if n == 0 { Some(Means::Something) } else { Means::of(line, parsed) }) else { return };
            self.lines.push(Line { begin: begin as u16, end: end as u16, means });
            begin = end;
        }
        // Two lengths that are the same here may differ in the next head, and so may two limits.
        let is_length = |means: Means| matches!(means, Means::Length { .. });
        let is_left = |means: Means, of: Name| matches!(means, Means::Remaining { name, .. } if name == of);
        let count = |is: &dyn Fn(Means) -> bool| self.lines.iter().filter(|line| is(line.means)).count();
        let is_sure = count(&is_length) <= 1
            && [Name::RemainingRequests, Name::RemainingTokens]
                .iter()
                .all(|of| count(&|means| is_left(means, *of)) <= 1);
        self.parsed = is_sure.then_some(*parsed);
    }
}

/// Returns true if a head is kept after that many misses.
const fn is_due(misses: u32) -> bool {
    misses <= PATIENCE || misses.is_multiple_of(PATIENCE)
}

impl Means {
    /// Returns `None` if another line has a lower value of the same limit, so that neither alone
    /// decides.
    fn of(line: &[u8], parsed: &ParsedHead) -> Option<Self> {
        // A line that begins with a blank continues the line before it.
        let Some(colon) = line.iter().position(|&byte| byte == b':').filter(|_| !line[0].is_ascii_whitespace()) else {
            return Some(Self::Something);
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let blanks = value.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let digits = (colon + 1 + blanks) as u16;
        let number = decimal(value.trim_ascii());
        Some(match (Name::of(name), number) {
            (None, _) => Self::Nothing { value: (colon + 1) as u16 },
            (Some(Name::ContentLength), Some(length)) if parsed.framing == Framing::Length(length) => {
                Self::Length { digits }
            }
            (Some(name @ (Name::RemainingRequests | Name::RemainingTokens)), Some(left)) => {
                let all = remaining(&mut { *parsed }.head, name).filter(|all| *all == saturated(left));
                return all.map(|_| Self::Remaining { name, digits });
            }
            (Some(_), _) => Self::Something,
        })
    }
}

/// Returns the field of a head with the remaining rate limit of that name.
#[inline]
fn remaining(head: &mut Head, name: Name) -> &mut Option<u32> {
    if name == Name::RemainingRequests { &mut head.remaining_requests } else { &mut head.remaining_tokens }
}

/// Returns the number in a line like `known`, whose digits begin at `digits`, and the length of the
/// line.
#[inline]
fn number(rest: &[u8], known: &[u8], digits: usize) -> Option<(u64, usize)> {
    let value = rest.strip_prefix(&known[..digits])?;
    let count = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let line_end: &[u8] = if known.ends_with(b"\r\n") { b"\r\n" } else { b"\n" };
    value[count..].starts_with(line_end).then_some(())?;
    Some((decimal(&value[..count])?, digits + count + line_end.len()))
}

/// Returns the length of a line that has the name of `known`, whose value begins at `begin`, and
/// any value.
#[inline]
fn other_value(rest: &[u8], known: &[u8], begin: usize) -> Option<usize> {
    let value = rest.strip_prefix(&known[..begin])?;
    let len = memchr::memchr(b'\n', value)?;
    let text = &value[..len];
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    // The values that a parser accepts (RFC 9110, section 5.5): no control characters but the tab.
    let is_value = text.iter().all(|&byte| (byte >= b' ' && byte != 0x7f) || byte == b'\t');
    is_value.then_some(begin + len + 1)
}

#[cfg(test)]
mod tests;
