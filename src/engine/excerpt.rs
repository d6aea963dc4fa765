//! The evidence of a failure: the offending bytes as they came, and one readable line that is made
//! from them.
//!
//! Bytes are gathered only after a failure, and only up to a limit. The line is made only if the
//! tally asks for an example. Servers repeat what they were sent, so keys, and text that looks like
//! a key, are removed before the text leaves this file.

use crate::metrics::{MAX_EXAMPLE_BYTES, Sample};
use crate::redact::Redactor;
use crate::units::plural;
use crate::wire::WireError;
use std::fmt::Write as _;
use std::io;

/// Bytes gathered of a response: several times as many as are shown, so that a secret is recognised
/// before it is cut.
const MAX_RAW_BYTES: usize = 1024;
/// The offending bytes of one exchange. It is reused from request to request. A connection that
/// never sees a failure has no memory for it.
#[derive(Debug, Default)]
pub(super) struct Excerpt(Option<Box<Gathered>>);

#[derive(Debug, Default)]
struct Gathered {
    what: What,
    bytes: Vec<u8>,
}

/// The kind of the bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum What {
    #[default]
    Nothing,
    Body,
    Event,
    /// Bytes that broke a protocol, and why.
    Broken(WireError),
    /// The number of an operating system's error.
    System(i32),
    /// The message of an error that has no number.
    Message,
}

impl Excerpt {
    pub(super) fn clear(&mut self) {
        if let Some(gathered) = &mut self.0 {
            gathered.what = What::Nothing;
            gathered.bytes.clear();
        }
    }

    /// Adds a piece from the beginning of a body, up to the limit.
    pub(super) fn body(&mut self, piece: &[u8]) {
        let gathered = self.0.get_or_insert_default();
        if gathered.what == What::Nothing {
            gathered.what = What::Body;
        }
        if gathered.what == What::Body {
            gathered.add(piece);
        }
    }

    /// Adds the beginning of a stream that is not an event stream: some servers give a reason in
    /// plain JSON or HTML. An ordinary stream costs nothing here.
    pub(super) fn bare(&mut self, piece: &[u8]) {
        let has_begun = self.0.as_ref().is_some_and(|gathered| gathered.what == What::Body);
        if has_begun || matches!(piece.trim_ascii_start().first(), Some(b'{' | b'[' | b'<')) {
            self.body(piece);
        }
    }

    /// Notes an event that cannot be read, or that reports an error. The last such event is kept:
    /// the search ends with the event that counts.
    pub(super) fn event(&mut self, data: &[u8]) {
        self.begin(What::Event).add(data);
    }

    /// Notes bytes that break a protocol.
    pub(super) fn broken(&mut self, error: WireError, at: &[u8]) {
        self.begin(What::Broken(error)).add(at);
    }

    /// Notes an error of the operating system.
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

    /// Returns one line: the status of the response, then the offending bytes. `from` is named if
    /// there was no response.
    pub(super) fn text(&self, sample: &Sample, from: Option<&str>, redactor: &Redactor) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = match sample.status {
            0 if sample.bytes_received == 0 => match from {
                Some(from) => write!(text, "no response from {}", redactor.own(from)),
                None => write!(text, "no response"),
            },
            0 => write!(text, "no status"),
            status => write!(text, "HTTP {status}"),
        };
        if let Some(ms) = sample.retry_after_ms {
            let _ = write!(text, ", retry-after {}", ms.get().div_ceil(1000));
        }
        if let Some(check) = sample.check_failed {
            let _ = write!(text, ", check failed: {check}");
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
                let _ = write!(
                    text,
                    ", {}, {}",
                    plural(sample.bytes_received, "byte"),
                    plural(sample.token_events, "token")
                );
            }
        } else {
            text.push_str(": ");
            text.push_str(&redactor.foreign_line(bytes));
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

/// Returns at most `MAX_EXAMPLE_BYTES` of the text, with an ellipsis for the rest.
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
