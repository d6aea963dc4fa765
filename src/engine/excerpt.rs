//! What a failure looked like: the offending bytes as they came, and from them one line that people may read.
//!
//! Bytes are gathered only once something is wrong, and only so many; the line is made only when the tally wants one. Servers repeat
//! what they were sent, so keys and whatever looks like one are taken out before the text leaves this file.

use crate::metrics::{MAX_EXAMPLE_BYTES, Sample};
use crate::plan::Plan;
use crate::wire::WireError;
use base64::Engine as _;
use std::fmt::Write as _;
use std::io;

/// Bytes gathered of an answer: several times what is shown, so that a secret is recognised before it is cut.
const MAX_RAW_BYTES: usize = 1024;
/// A shorter value of a header is no secret: it would hide half of every message.
const SHORTEST_SECRET: usize = 6;
/// So many characters of a secret at the end of a text that was cut betray it.
const BETRAYED: usize = 4;
/// What stands in the place of a secret.
const HIDDEN: &str = "[hidden]";

/// The offending bytes of one exchange. Reused from request to request; a connection that never sees a failure has no memory for it.
#[derive(Debug, Default)]
pub(super) struct Excerpt(Option<Box<Gathered>>);

#[derive(Debug, Default)]
struct Gathered {
    what: What,
    bytes: Vec<u8>,
}

/// What the bytes are.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum What {
    #[default]
    Nothing,
    Body,
    Event,
    /// What broke a protocol, and why.
    Broken(WireError),
    /// The operating system's own number of an error.
    System(i32),
    /// Its message, when it has no number.
    Message,
}

impl Excerpt {
    pub(super) fn clear(&mut self) {
        if let Some(gathered) = &mut self.0 {
            gathered.what = What::Nothing;
            gathered.bytes.clear();
        }
    }

    /// The beginning of a body; what follows is added until there is enough.
    pub(super) fn body(&mut self, piece: &[u8]) {
        let gathered = self.0.get_or_insert_default();
        if gathered.what == What::Nothing {
            gathered.what = What::Body;
        }
        if gathered.what == What::Body {
            gathered.add(piece);
        }
    }

    /// An event that is none, or that says that something is wrong. The last one is kept: the one that counts ends the search.
    pub(super) fn event(&mut self, data: &[u8]) {
        self.begin(What::Event).add(data);
    }

    /// Bytes that break a protocol.
    pub(super) fn broken(&mut self, error: WireError, at: &[u8]) {
        self.begin(What::Broken(error)).add(at);
    }

    /// What the system says.
    pub(super) fn system(&mut self, error: &io::Error) {
        match error.raw_os_error() {
            Some(number) => {
                self.begin(What::System(number));
            }
            None => self.begin(What::Message).add(error.to_string().as_bytes()),
        }
    }

    fn begin(&mut self, what: What) -> &mut Gathered {
        self.clear();
        let gathered = self.0.get_or_insert_default();
        gathered.what = what;
        gathered
    }

    /// One line: what came of the answer, then the offending bytes.
    pub(super) fn text(&self, sample: &Sample, secrets: &Secrets) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = match sample.status {
            0 if sample.bytes_received == 0 => write!(text, "no answer"),
            0 => write!(text, "no status"),
            status => write!(text, "HTTP {status}"),
        };
        if let Some(seconds) = sample.retry_after_s {
            let _ = write!(text, ", retry-after {seconds}");
        }
        if let Some(check) = sample.check_failed {
            let _ = write!(text, ", not so: {check}");
        }
        let (what, bytes) = self.0.as_ref().map_or((What::Nothing, &[][..]), |g| (g.what, g.bytes.as_slice()));
        match what {
            What::Broken(error) => {
                let _ = write!(text, ", {error}");
            }
            What::System(number) => {
                let _ = write!(text, ", {}", io::Error::from_raw_os_error(number));
            }
            What::Nothing | What::Body | What::Event | What::Message => {}
        }
        if bytes.is_empty() {
            if sample.bytes_received > 0 {
                let _ = write!(text, ", {} bytes, {} tokens", sample.bytes_received, sample.token_events);
            }
        } else {
            text.push_str(": ");
            text.push_str(&printable(&secrets.hidden_in(bytes)));
        }
        cut(text)
    }
}

impl Gathered {
    fn add(&mut self, piece: &[u8]) {
        let room = MAX_RAW_BYTES - self.bytes.len();
        self.bytes.extend_from_slice(&piece[..piece.len().min(room)]);
    }
}

/// What no example may show.
#[derive(Default)]
pub(super) struct Secrets(Vec<String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Secrets {
    /// The key, user and password, and the values of all headers of a plan: users call secrets what they like.
    pub(super) fn of(plan: &Plan) -> Self {
        let headers = plan.headers.iter().chain(plan.mix.kinds.iter().flat_map(|kind| &kind.headers));
        let key = plan.credentials.api_key.as_ref().map(|key| key.reveal().to_owned());
        let pair = plan.credentials.basic_auth.as_ref().map(crate::mix::Secret::reveal).unwrap_or_default();
        let password = pair.split_once(':').map(|(_, password)| password).unwrap_or_default();
        // As it is sent, the pair is in base64.
        let sent = base64::engine::general_purpose::STANDARD.encode(pair);
        let basic = [pair.to_owned(), password.to_owned(), sent];
        // The word after "Bearer" is as secret as the whole.
        let words = headers.flat_map(|(_, value)| std::iter::once(value.as_str()).chain(value.split_whitespace()));
        let mut all: Vec<String> = key.into_iter().chain(basic).chain(words.map(str::to_owned)).collect();
        all.retain(|secret| secret.len() >= SHORTEST_SECRET);
        // The longest first: a part of one may be another.
        all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        all.dedup();
        Self(all)
    }

    /// The bytes as text, without secrets and without what looks like one. Bytes that are no text stay in it as `\xNN`.
    fn hidden_in(&self, bytes: &[u8]) -> String {
        let mut text = String::new();
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            for byte in chunk.invalid() {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
        for secret in &self.0 {
            text = text.replace(secret.as_str(), HIDDEN);
            if bytes.len() == MAX_RAW_BYTES {
                hide_cut_end(&mut text, secret);
            }
        }
        hide_what_looks_secret(&text)
    }
}

/// The text was cut: its end may be the beginning of a secret.
fn hide_cut_end(text: &mut String, secret: &str) {
    let beginnings = secret.char_indices().map(|(at, _)| &secret[..at]).filter(|start| start.len() >= BETRAYED);
    if let Some(start) = beginnings.rev().find(|start| text.ends_with(start)) {
        text.truncate(text.len() - start.len());
        text.push_str(HIDDEN);
    }
}

/// Names that are followed by a secret in messages, headers and JSON.
const NAMES: [&str; 9] = [
    "authorization",
    "api-key",
    "api_key",
    "apikey",
    "access_token",
    "password",
    "client_secret",
    "set-cookie",
    "cookie",
];
/// Words that a secret follows directly.
const SCHEMES: [&str; 2] = ["bearer ", "basic "];
/// How keys of LLM providers begin.
const KEY_START: &str = "sk-";

/// Hides values behind names like `authorization:` and `api_key=`, words after `Bearer`, and what begins like a key.
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
    out
}

/// The lengths of a name at the front of `lower` and of the secret behind it; zeros when there is none.
fn secret_at(lower: &str) -> (usize, usize) {
    /// Keys are long; `sk-1` is a name.
    const SHORTEST_KEY: usize = 8;
    let word = |from: usize| {
        let ends = |c: char| c.is_whitespace() || c.is_control() || "\"',;&}])<".contains(c);
        lower[from..].find(ends).unwrap_or(lower.len() - from)
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

/// Control characters, and what a terminal might take for one, as escapes.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // Escaped by their looks in source code; quotes and backslashes stay as they are.
            '"' | '\'' | '\\' => out.push(c),
            c => out.extend(c.escape_debug()),
        }
    }
    out
}

/// At most so many bytes, with an ellipsis for the rest.
fn cut(mut text: String) -> String {
    if text.len() > MAX_EXAMPLE_BYTES {
        let room = MAX_EXAMPLE_BYTES - '…'.len_utf8();
        let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= room).last();
        text.truncate(end.unwrap_or_default());
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
