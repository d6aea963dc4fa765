//! Takes secrets out of text before it leaves: pages, results, messages, shown responses.
//!
//! Servers repeat what they were sent, in whole or in part, unchanged or encoded. So a secret is
//! looked for in decoded text: `%41`, `\u0041`, `\x41`, `&#65;` and base64 are decoded, and the
//! framing of a chunked body between two bytes of a secret does not hide it. At the end of a text,
//! which may have been cut there, the beginning of a secret is hidden like the whole.
//!
//! A server's text must not command anything, either: control characters, characters that change
//! the direction of text, and commands of a CI runner (`::error::`, `##[error]`) come out as plain
//! text.

mod learned;

pub use learned::Learned;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use std::fmt::Write as _;

/// Replaces a secret.
pub const HIDDEN: &str = "[hidden]";
/// Shorter texts are not secrets: hiding each of their occurrences would hide half of every
/// message.
const SHORTEST_SECRET: usize = 4;
/// This many bytes of a secret's beginning betray it, at the end of a text that was cut.
const BETRAYED: usize = 4;
/// Shorter runs of base64 are not specific enough to hide.
const SHORTEST_BASE64: usize = 8;
/// The most decodings of one place that are tried one after the other: an escape of an escape is
/// the deepest that servers write.
const NESTED: usize = 2;

/// Hides secrets, and never shows them itself.
#[derive(Clone, Default)]
pub struct Redactor {
    /// The secrets, plain and in base64. The longest come first: one may be a part of another.
    needles: Vec<Vec<u8>>,
    /// Secrets that became known later.
    learned: Learned,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// How far a secret matches at a place.
enum Match {
    No,
    /// The secret ends this many bytes on.
    Whole(usize),
    /// The text ends before the secret does.
    Cut,
}

impl Redactor {
    /// Hides these texts, and each of their words.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        Self { needles: sorted(needles(secrets)), learned: Learned::default() }
    }

    /// Also hides secrets that are learned later.
    #[must_use]
    pub fn learning(self, learned: &Learned) -> Self {
        Self { learned: learned.clone(), ..self }
    }

    /// Also hides these texts.
    #[must_use]
    pub fn and(&self, secrets: impl IntoIterator<Item = String>) -> Self {
        let more = needles(secrets);
        Self { needles: sorted([self.needles.as_slice(), &more].concat()), learned: self.learned.clone() }
    }

    /// Returns the text of a server or a file as lines for people: harmless, and without secrets
    /// and texts that look like secrets.
    pub fn foreign(&self, bytes: &[u8]) -> String {
        let text = hide_what_looks_secret(&self.hide(&as_text(bytes)));
        harmless(&text.replace("\r\n", "\n"))
    }

    /// Does the same on one line: line ends, too, become escapes.
    pub fn foreign_line(&self, bytes: &[u8]) -> String {
        defused(&escaped(&hide_what_looks_secret(&self.hide(&as_text(bytes)))))
    }

    /// Returns text of our own that may contain a secret.
    pub fn own(&self, text: &str) -> String {
        hide_user_info(&self.hide(text))
    }

    fn hide(&self, text: &str) -> String {
        let needles = self.learned.beside(&self.needles);
        if needles.is_empty() {
            return text.to_owned();
        }
        let bytes = text.as_bytes();
        let mut shown: Vec<u8> = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while at < bytes.len() {
            let hidden = hidden_at(&needles, bytes, at);
            match hidden {
                0 => {
                    shown.push(bytes[at]);
                    at += 1;
                }
                n => {
                    shown.extend_from_slice(HIDDEN.as_bytes());
                    at += n;
                }
            }
        }
        String::from_utf8_lossy(&shown).into_owned()
    }
}

/// Returns the byte strings to look for: each text and each of its words, plain and in base64.
fn needles(secrets: impl IntoIterator<Item = String>) -> Vec<Vec<u8>> {
    let mut needles: Vec<Vec<u8>> = Vec::new();
    for secret in secrets {
        // A scheme such as Bearer is not part of a secret. Each word after it is as secret as the
        // whole.
        let (first, rest) = secret.split_once(' ').unwrap_or(("", &secret));
        let whole = if is_scheme(first) { rest } else { &secret };
        for word in std::iter::once(whole).chain(whole.split_whitespace()) {
            if word.len() >= SHORTEST_SECRET {
                needles.extend(in_base64(word.as_bytes()));
                needles.push(word.as_bytes().to_vec());
            }
        }
    }
    needles
}

/// Sorts the longest first.
fn sorted(mut needles: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    needles.dedup();
    needles
}

/// Returns how many bytes of a secret stand at a place. Zero if there is none.
fn hidden_at(needles: &[Vec<u8>], bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let mut is_cut = false;
    for needle in needles {
        match matches(rest, needle, 0) {
            Match::Whole(n) => return n,
            Match::Cut => is_cut = true,
            Match::No => {}
        }
        // A text may begin in the middle of a secret.
        let tails = (1..needle.len().saturating_sub(BETRAYED)).filter(|_| at == 0);
        for tail in tails.map(|from| &needle[from..]) {
            match matches(rest, tail, 0) {
                Match::Whole(n) => return n,
                Match::Cut => is_cut = true,
                Match::No => {}
            }
        }
    }
    if is_cut { rest.len() } else { 0 }
}

fn is_scheme(word: &str) -> bool {
    ["bearer", "basic", "token", "digest"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// Returns a secret in both alphabets of base64, for each of its three possible offsets, without
/// characters that depend on its surroundings.
fn in_base64(secret: &[u8]) -> Vec<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_encode_padding(false);
    let mut all = Vec::new();
    for alphabet in [alphabet::STANDARD, alphabet::URL_SAFE] {
        let engine = GeneralPurpose::new(&alphabet, config);
        for before in 0..3 {
            let text = engine.encode([&[0_u8; 3][..before], secret].concat());
            // Other characters hold bits of bytes before or after the secret.
            let from = (before * 8).div_ceil(6);
            let until = (before + secret.len()) * 8 / 6;
            if until.saturating_sub(from) >= SHORTEST_BASE64 {
                all.push(text.as_bytes()[from..until].to_vec());
            }
        }
    }
    all
}

/// Returns whether `needle` stands at the front of `text`, in any encoding. Its first `done` bytes
/// have already been found.
fn matches(text: &[u8], needle: &[u8], mut done: usize) -> Match {
    let mut at = 0;
    while let Some(&wanted) = needle.get(done) {
        let rest = &text[at..];
        if is_beginning_of_escape(rest) || rest.is_empty() {
            return if done >= BETRAYED { Match::Cut } else { Match::No };
        }
        // The common case.
        if rest[0].eq_ignore_ascii_case(&wanted) && !matches!(rest[0], b'%' | b'\\' | b'&') {
            (at, done) = (at + 1, done + 1);
            continue;
        }
        if done == 0 && !matches!(rest[0], b'%' | b'\\' | b'&' | b'+') {
            return Match::No;
        }
        let meaning = meanings(rest).find(|(byte, _)| byte.eq_ignore_ascii_case(&wanted));
        match meaning {
            Some((_, length)) => (at, done) = (at + length, done + 1),
            None if done > 0 => match framing(rest) {
                Some(length) => at += length,
                None => return Match::No,
            },
            None => return Match::No,
        }
    }
    Match::Whole(at)
}

/// Returns the bytes that the front of a text may stand for, each with its length in the text.
fn meanings(text: &[u8]) -> impl Iterator<Item = (u8, usize)> {
    let hex = |from: usize, digits: usize| -> Option<u8> {
        let digits = std::str::from_utf8(text.get(from..from + digits)?).ok()?;
        u32::from_str_radix(digits, 16).ok().and_then(|code| u8::try_from(code).ok())
    };
    let literal = text.first().map(|byte| (*byte, 1));
    let percent = (text.first() == Some(&b'%')).then(|| hex(1, 2)).flatten().map(|byte| (byte, 3));
    // `%2541` is an escape of an escape.
    let twice = text.starts_with(b"%25").then(|| hex(3, 2)).flatten().map(|byte| (byte, 5));
    let plus = (text.first() == Some(&b'+')).then_some((b' ', 1));
    let slashes = text.iter().take(NESTED).take_while(|byte| **byte == b'\\').count();
    let escape = (slashes > 0)
        .then(|| match text.get(slashes) {
            Some(b'u') => hex(slashes + 1, 4).map(|byte| (byte, slashes + 5)),
            Some(b'x') => hex(slashes + 1, 2).map(|byte| (byte, slashes + 3)),
            Some(&byte) if !byte.is_ascii_alphanumeric() => Some((byte, slashes + 1)),
            _ => None,
        })
        .flatten();
    let doubled = text.starts_with(b"\\\\").then_some((b'\\', 2));
    [percent, twice, escape, doubled, entity(text), plus, literal].into_iter().flatten()
}

/// Decodes an entity of HTML.
fn entity(text: &[u8]) -> Option<(u8, usize)> {
    const NAMED: [(&str, u8); 5] = [("amp", b'&'), ("lt", b'<'), ("gt", b'>'), ("quot", b'"'), ("apos", b'\'')];
    let inner = text.strip_prefix(b"&")?;
    let end = inner.iter().take(8).position(|byte| *byte == b';')?;
    let name = std::str::from_utf8(&inner[..end]).ok()?;
    let number = name.strip_prefix('#').and_then(|number| match number.strip_prefix(['x', 'X']) {
        Some(hex) => u8::from_str_radix(hex, 16).ok(),
        None => number.parse().ok(),
    });
    let byte = number.or_else(|| NAMED.iter().find(|(known, _)| *known == name).map(|(_, byte)| *byte))?;
    Some((byte, end + 2))
}

/// Returns the length of the end of one chunk and the size of the next (RFC 9112 section 7.1),
/// which may stand anywhere in a body.
fn framing(text: &[u8]) -> Option<usize> {
    let size = text.strip_prefix(b"\r\n")?;
    let digits = size.iter().take(16).take_while(|byte| byte.is_ascii_hexdigit()).count();
    let line = size[digits..].windows(2).take(128).position(|pair| pair == b"\r\n")?;
    let is_extension = line == 0 || matches!(size[digits], b';' | b' ' | b'\t');
    (digits > 0 && is_extension).then_some(2 + digits + line + 2)
}

/// Returns true if the text ends in the middle of an escape.
fn is_beginning_of_escape(text: &[u8]) -> bool {
    let is_hex = |digits: &[u8], most: usize| digits.len() < most && digits.iter().all(u8::is_ascii_hexdigit);
    match text {
        [b'%', b'2', b'5', rest @ ..] | [b'%', rest @ ..] | [b'\\', b'x', rest @ ..] => is_hex(rest, 2),
        [b'\\'] | [b'\\', b'\\'] => true,
        [b'\\', b'u', rest @ ..] | [b'\\', b'\\', b'u', rest @ ..] => is_hex(rest, 4),
        [b'&', rest @ ..] => rest.len() < 6 && rest.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'#'),
        _ => false,
    }
}

/// Converts bytes to text. Invalid bytes become `\xNN`.
fn as_text(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Escapes control characters, and others that a terminal or an editor obeys instead of showing.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // `escape_debug` would escape these, too: quotes and backslashes stay unchanged.
            '"' | '\'' | '\\' => out.push(c),
            c => out.extend(c.escape_debug()),
        }
    }
    out
}

/// Returns true if a character is obeyed instead of shown: controls (C0, DEL, C1), characters that
/// change the direction of text, line and paragraph separators, and characters without width.
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || matches!(c, '\u{e0000}'..='\u{e007f}')
}

/// Returns lines for people, in which nothing drives a terminal or commands a CI runner. Line ends
/// and tabs stay.
pub fn harmless(text: &str) -> String {
    let shown: String = text.chars().map(|c| if is_obeyed(c) && c != '\n' && c != '\t' { '?' } else { c }).collect();
    defused(&shown)
}

/// Breaks commands of GitHub's runner. It obeys a line that begins with `::`, even after blanks,
/// and `##[` at any place. A page may break a line at any blank, so every word may begin a line.
fn defused(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut starts_word = true;
    for (at, c) in text.char_indices() {
        let rest = &text[at..];
        out.push(c);
        if (starts_word && rest.starts_with("::")) || rest.starts_with("##[") {
            out.push(' ');
        }
        starts_word = c.is_whitespace();
    }
    out
}

/// Names in front of a secret in messages, headers and JSON.
const NAMES: [&str; 10] = [
    "authorization",
    "api-key",
    "api_key",
    "apikey",
    "access_token",
    "password",
    "client_secret",
    "set-cookie",
    "cookie",
    "x-auth-token",
];
/// Words right in front of a secret.
const SCHEMES: [&str; 2] = ["bearer ", "basic "];
/// Prefix of the keys of LLM providers.
const KEY_START: &str = "sk-";

/// Hides values after names like `authorization:` and `api_key=`, words after `Bearer`, and words
/// that begin like a key.
fn hide_what_looks_secret(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let starts_word = !text[..at].ends_with(|c: char| c.is_alphanumeric());
        let (shown, hidden) = if starts_word { secret_at(&lower[at..]) } else { (0, 0) };
        if hidden == 0 {
            out.push(c);
            at += c.len_utf8();
        } else {
            out.push_str(&text[at..at + shown]);
            out.push_str(HIDDEN);
            at += shown + hidden;
        }
    }
    hide_user_info(&out)
}

/// Returns the length of a name at the front of `lower`, and of the secret after it. Both are zero
/// if there is none.
fn secret_at(lower: &str) -> (usize, usize) {
    /// Keys are long; `sk-1` is a name.
    const SHORTEST_KEY: usize = 8;
    let word = |from: usize| {
        let ends = |c: char| c.is_whitespace() || c.is_control() || "\"',;&}])<".contains(c);
        let length = lower[from..].find(ends).unwrap_or(lower.len() - from);
        // A secret that is already hidden stays unchanged.
        if lower[from..].starts_with(HIDDEN) { 0 } else { length }
    };
    if lower.starts_with(KEY_START) && word(0) >= SHORTEST_KEY {
        return (0, word(0));
    }
    if let Some(name) = NAMES.iter().find(|name| lower.starts_with(**name)) {
        let rest = &lower[name.len()..];
        let between = rest.len() - rest.trim_start_matches([' ', '"', '\'', ':', '=', '\\']).len();
        if rest[..between].contains([':', '=']) {
            let mut from = name.len() + between;
            from += SCHEMES.iter().find(|scheme| lower[from..].starts_with(**scheme)).map_or(0, |scheme| scheme.len());
            return (from, word(from));
        }
    }
    match SCHEMES.iter().find(|scheme| lower.starts_with(**scheme)) {
        Some(scheme) if word(scheme.len()) >= SHORTEST_KEY && *scheme == SCHEMES[0] => {
            (scheme.len(), word(scheme.len()))
        }
        _ => (0, 0),
    }
}

/// Hides user and password in `http://user:password@host`.
fn hide_user_info(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let ends = |c: char| c.is_whitespace() || "/?#\"'<>\\".contains(c);
        let authority = &after[..after.find(ends).unwrap_or(after.len())];
        rest = match authority.rfind('@') {
            Some(at) if &authority[..at] != HIDDEN => {
                out.push_str(HIDDEN);
                &after[at..]
            }
            _ => after,
        };
    }
    out + rest
}

#[cfg(test)]
mod tests;
