//! Server-sent events (WHATWG HTML, section 9.2), resumable at any byte. Only events that a read
//! has split, or that have several `data` lines, are copied. The same machine reads
//! newline-delimited JSON: there each line is an event.
//!
//! The machine reads lines, which end at CR, LF or CRLF. A whole line is a comment, a field, or the
//! blank line that closes the event. This file does not know the meaning of an event's data (bytes,
//! not text, because a read may cut a character in two), nor when the event arrived.

use super::{MAX_EVENT_BYTES, MAX_KEPT_BYTES, MAX_LINE_BYTES, WireError};

/// One event of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'b> {
    /// The `event:` field, empty if there is none. Name and data are lent separately: if a read has
    /// cut an event between the two lines, the name comes from the decoder's own memory and the
    /// data from the caller's.
    pub name: &'b [u8],
    /// The `data:` fields, joined by newlines.
    pub data: &'b [u8],
}

/// Turns the body of a streamed response into events.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The part of the open event that is kept between two calls. Most events arrive whole and
    /// never need it.
    open: Option<Box<Open>>,
    /// The open event has a `data` field, which may be empty.
    has_data: bool,
    /// The last line ended in CR: an LF that follows belongs to it.
    after_cr: bool,
    /// A line has been read. A byte-order mark is valid only before it.
    begun: bool,
    /// The last event was lent from `open`, which the next call must empty.
    lent: bool,
    /// Each line is an event of its own, and all of it is data.
    by_line: bool,
}

/// The parts of an event that are not in the caller's buffer, or not in one piece there.
#[derive(Debug, Default)]
struct Open {
    /// A line that came without its end.
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
}

/// The parts of the open event that lie in the input of this call. Each takes precedence over the
/// same part in [`Open`].
#[derive(Debug, Default)]
struct Here<'b> {
    name: Option<&'b [u8]>,
    data: Option<&'b [u8]>,
}

/// The name of an event that reports an error.
const ERROR: &[u8] = b"error";

/// The meaning of a whole line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line<'b> {
    Blank,
    Data(&'b [u8]),
    Name(&'b [u8]),
    /// Name and data in one: `error:`, a field of llama.cpp's own that replaces `data:`.
    Error(&'b [u8]),
    /// Comments; `id` and `retry`, which are about reconnecting; unknown fields.
    Ignored,
}

impl Decoder {
    /// Prepares for a new stream. Keeps the buffers, forgets everything else.
    pub fn reset(&mut self) {
        let size = |open: &Open| open.line.capacity() + open.name.capacity() + open.data.capacity();
        let mut open = self.open.take().filter(|open| size(open) <= MAX_KEPT_BYTES);
        if let Some(open) = &mut open {
            open.line.clear();
            open.name.clear();
            open.data.clear();
        }
        *self = Self { open, ..Self::default() };
    }

    /// Sets whether each line is an event that is all data (newline-delimited JSON), until the next
    /// reset.
    pub fn read_by_line(&mut self, by_line: bool) {
        self.by_line = by_line;
    }

    /// Returns the next event that carries data; see the contract in [`super`]. Comments and events
    /// without a `data` field are skipped.
    ///
    /// An event that lies whole in `input` and has one `data` line is lent from there, and nothing
    /// is copied.
    pub fn next<'d, 'b: 'd>(&'d mut self, input: &mut &'b [u8]) -> Option<Result<Event<'d>, WireError>> {
        self.forget_lent();
        if input.is_empty() {
            return None;
        }
        if let Some((event, rest)) = self.whole(input) {
            *input = rest;
            return Some(Ok(event));
        }
        let mut here = Here::default();
        loop {
            match self.line(input, &mut here) {
                Ok(Some(Line::Blank)) if self.has_data => break,
                Ok(Some(_)) if self.by_line && self.has_data => break,
                // An event without data is skipped, and its name is dropped with it.
                Ok(Some(Line::Blank)) => {
                    here.name = None;
                    if let Some(open) = &mut self.open {
                        open.name.clear();
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(self.close(&here)))
    }

    /// Reads an event that lies whole at the front of `input` and has the usual form: one data
    /// line, perhaps after its name, and a blank line. All other input is left for
    /// [`line`](Self::line), which would also give the same result for the usual form.
    #[inline]
    fn whole<'b>(&self, input: &'b [u8]) -> Option<(Event<'b>, &'b [u8])> {
        if self.has_data || self.after_cr || self.by_line || !self.begun || self.held() > 0 {
            return None;
        }
        let (name, rest) = match input.strip_prefix(b"event:") {
            Some(line) => line_before_lf(line)?,
            None => (&[][..], input),
        };
        let (data, rest) = line_before_lf(rest.strip_prefix(b"data:")?)?;
        let rest = rest.strip_prefix(b"\n")?;
        Some((Event { name: value_of(name), data: value_of(data) }, rest))
    }

    /// Returns true if a whole data line is held whose event no blank line has closed yet. The
    /// line's arrival is the event's arrival.
    pub fn holds_data(&self) -> bool {
        self.has_data
    }

    /// Returns the number of bytes of the open event that are held here.
    pub fn held(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.line.len() + open.name.len() + open.data.len())
    }

    /// Ends the stream. Returns an event that has data but was never closed by a blank line. (The
    /// standard drops such an event. Some servers forget the last blank line, and their data was
    /// received.) For the same reason a last line without its end counts.
    pub fn eof(&mut self) -> Option<Event<'_>> {
        self.forget_lent();
        let mut here = Here::default();
        if self.open.as_ref().is_some_and(|open| !open.line.is_empty()) {
            // A line that makes the event too large is left out: no later call could report it.
            let _ = self.own_line(&mut here);
        }
        self.has_data.then(|| self.close(&here))
    }

    fn forget_lent(&mut self) {
        if self.lent {
            self.lent = false;
            if let Some(open) = &mut self.open {
                open.name.clear();
                open.data.clear();
            }
        }
    }

    /// Lends the open event and prepares for the next one.
    fn close<'d, 'b: 'd>(&'d mut self, here: &Here<'b>) -> Event<'d> {
        self.has_data = false;
        self.lent = self.open.is_some();
        let (name, data): (&[u8], &[u8]) = self.open.as_ref().map_or((&[], &[]), |open| (&open.name, &open.data));
        Event { name: here.name.unwrap_or(name), data: here.data.unwrap_or(data) }
    }

    /// Takes a line and adds it to the open event. Returns `None` if there is no whole line; then
    /// all of `input` is held.
    fn line<'b>(&mut self, input: &mut &'b [u8], here: &mut Here<'b>) -> Result<Option<Line<'b>>, WireError> {
        if self.after_cr && !input.is_empty() {
            self.after_cr = false;
            *input = input.strip_prefix(b"\n").unwrap_or(input);
        }
        // In most streams every second line is blank, and that case needs no search.
        let end = if input.first() == Some(&b'\n') { Some(0) } else { memchr::memchr2(b'\n', b'\r', input) };
        let (piece, rest) = input.split_at(end.unwrap_or(input.len()));
        let held = self.open.as_ref().map_or(0, |open| open.line.len());
        if held + piece.len() > MAX_LINE_BYTES {
            return Err(WireError::TooLarge("line of an event stream"));
        }
        let Some((&end, rest)) = rest.split_first() else {
            *input = rest;
            self.hold(piece, here);
            return Ok(None);
        };
        *input = rest;
        self.after_cr = end == b'\r';
        if held > 0 {
            self.open.get_or_insert_default().line.extend_from_slice(piece);
            return self.own_line(here).map(Some);
        }
        let line = self.meaning(piece);
        match line {
            Line::Data(data) if self.has_data => join(&mut self.open.get_or_insert_default().data, here, data)?,
            Line::Data(data) => {
                self.has_data = true;
                here.data = Some(data);
            }
            Line::Name(name) => here.name = Some(name),
            Line::Error(data) => {
                here.name = Some(ERROR);
                if self.has_data {
                    join(&mut self.open.get_or_insert_default().data, here, data)?;
                } else {
                    self.has_data = true;
                    here.data = Some(data);
                }
            }
            Line::Blank | Line::Ignored => {}
        }
        Ok(Some(line))
    }

    /// Adds the held line, which is now whole, to the open event.
    fn own_line(&mut self, here: &mut Here<'_>) -> Result<Line<'static>, WireError> {
        let mut open = self.open.take().unwrap_or_default();
        let line = self.meaning(&open.line);
        let added = match line {
            Line::Blank => Ok(Line::Blank),
            Line::Ignored => Ok(Line::Ignored),
            Line::Data(data) if self.has_data => join(&mut open.data, here, data).map(|()| Line::Ignored),
            Line::Data(data) => {
                self.has_data = true;
                open.data.extend_from_slice(data);
                Ok(Line::Ignored)
            }
            Line::Name(name) => {
                here.name = None;
                open.name.clear();
                open.name.extend_from_slice(name);
                Ok(Line::Ignored)
            }
            Line::Error(data) => {
                here.name = Some(ERROR);
                if self.has_data {
                    join(&mut open.data, here, data).map(|()| Line::Ignored)
                } else {
                    self.has_data = true;
                    open.data.extend_from_slice(data);
                    Ok(Line::Ignored)
                }
            }
        };
        open.line.clear();
        self.open = Some(open);
        added
    }

    /// Holds the parts that lie in the input of this call, because the next call has another input.
    fn hold(&mut self, piece: &[u8], here: &Here<'_>) {
        if piece.is_empty() && here.name.is_none() && here.data.is_none() {
            return;
        }
        let open = self.open.get_or_insert_default();
        open.line.extend_from_slice(piece);
        if let Some(name) = here.name {
            open.name.clear();
            open.name.extend_from_slice(name);
        }
        if let Some(data) = here.data {
            open.data.extend_from_slice(data);
        }
    }

    /// Returns the meaning of a whole line without its line end.
    fn meaning<'l>(&mut self, mut line: &'l [u8]) -> Line<'l> {
        if !self.begun {
            self.begun = true;
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if self.by_line {
            return if line.is_empty() { Line::Blank } else { Line::Data(line) };
        }
        if let Some(value) = line.strip_prefix(b"data:") {
            return Line::Data(value_of(value));
        }
        if line.is_empty() {
            return Line::Blank;
        }
        // A field without a colon has an empty value. A comment is a line with an empty field.
        let (field, value) = memchr::memchr(b':', line).map_or((line, &[][..]), |at| (&line[..at], &line[at + 1..]));
        match field {
            b"data" => Line::Data(value),
            b"event" => Line::Name(value_of(value)),
            b"error" => Line::Error(value_of(value)),
            _ => Line::Ignored,
        }
    }
}

/// Returns the value of a field: the text after its colon, without one leading space.
#[inline]
fn value_of(after_colon: &[u8]) -> &[u8] {
    after_colon.strip_prefix(b" ").unwrap_or(after_colon)
}

/// Returns the rest of a line of ordinary length that ends in LF, and the bytes after it.
#[inline]
fn line_before_lf(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, rest) = bytes.split_at(memchr::memchr2(b'\n', b'\r', bytes)?);
    let is_short = line.len() <= MAX_LINE_BYTES - "event:".len();
    rest.strip_prefix(b"\n").filter(|_| is_short).map(|rest| (line, rest))
}

/// Adds a further `data` line to an event that has one.
fn join(data: &mut Vec<u8>, here: &mut Here<'_>, line: &[u8]) -> Result<(), WireError> {
    if let Some(first) = here.data.take() {
        data.extend_from_slice(first);
    }
    if data.len() + 1 + line.len() > MAX_EVENT_BYTES {
        return Err(WireError::TooLarge("event"));
    }
    data.push(b'\n');
    data.extend_from_slice(line);
    Ok(())
}

#[cfg(test)]
mod tests;
