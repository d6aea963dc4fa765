//! Splits a file into records: one per line, or the elements of one JSON array.

use super::error::ReadError;
use std::io::BufRead;

/// Maximum record size: eight times the longest prompt that a profile may contain, and small
/// enough to reject a file without line ends early.
pub(super) const MAX_RECORD_BYTES: usize = 32 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The arrangement of records in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// One record per line.
    Lines,
    /// The elements of one array.
    Array,
}

/// One record of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    /// The line on which it begins, from 1.
    pub(super) line: u64,
    pub(super) text: &'a str,
}

/// Reads records one at a time into a single buffer.
pub(super) struct Records<R> {
    input: R,
    layout: Layout,
    /// The number of the next line.
    line: u64,
    buffer: Vec<u8>,
    /// Number of array elements read.
    elements: u64,
    over: bool,
}

impl<R: BufRead> Records<R> {
    /// Determines the layout from the first byte that is not blank.
    pub(super) fn new(mut input: R) -> Result<Self, ReadError> {
        let mut line = 1;
        let start = input.fill_buf().map_err(|error| ReadError::io(line, &error))?;
        if start.starts_with(BYTE_ORDER_MARK) {
            input.consume(BYTE_ORDER_MARK.len());
        }
        let first = skip_blank(&mut input, &mut line)?;
        let layout = if first == Some(b'[') { Layout::Array } else { Layout::Lines };
        if layout == Layout::Array {
            input.consume(1);
        }
        Ok(Self { input, layout, line, buffer: Vec::new(), elements: 0, over: first.is_none() })
    }

    pub(super) const fn layout(&self) -> Layout {
        self.layout
    }

    /// Returns true if the next byte is this one, or if the input has ended.
    pub(super) fn begins_with(&mut self, byte: u8) -> Result<bool, ReadError> {
        let next = self.input.fill_buf().map_err(|error| ReadError::io(self.line, &error))?;
        Ok(next.first().is_none_or(|first| *first == byte))
    }

    /// Returns the next record. `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Record<'_>>, ReadError> {
        if self.over {
            return Ok(None);
        }
        self.buffer.clear();
        let line = match self.layout {
            Layout::Lines => self.next_line()?,
            Layout::Array => self.next_element()?,
        };
        let Some(line) = line else {
            self.over = true;
            return Ok(None);
        };
        text(&self.buffer, line).map(|text| Some(Record { line, text }))
    }

    /// Returns the remaining input and its line, for a format that defines records differently.
    pub(super) fn into_input(self) -> (R, u64) {
        (self.input, self.line)
    }

    /// Reads the next line that is not blank.
    fn next_line(&mut self) -> Result<Option<u64>, ReadError> {
        loop {
            let line = self.line;
            self.buffer.clear();
            let more = read_line(&mut self.input, &mut self.buffer, line)?;
            self.line += 1;
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(Some(line));
            }
            if !more {
                return Ok(None);
            }
        }
    }

    /// Reads the next element of the array, and the comma before it unless it is the first.
    fn next_element(&mut self) -> Result<Option<u64>, ReadError> {
        let mut next = skip_blank(&mut self.input, &mut self.line)?;
        if self.elements > 0 && next == Some(b',') {
            self.input.consume(1);
            next = skip_blank(&mut self.input, &mut self.line)?;
        } else if self.elements > 0 && next.is_some_and(|byte| byte != b']') {
            return Err(ReadError::at(self.line, "is not JSON: expected a comma, or ] at the end of the array"));
        }
        match next {
            Some(b']') => {
                self.input.consume(1);
                match skip_blank(&mut self.input, &mut self.line)? {
                    None => Ok(None),
                    Some(_) => Err(ReadError::at(self.line, "has more after the array: expected one JSON array")),
                }
            }
            None => Err(ReadError::at(self.line, "the array ends early: expected ] at its end")),
            Some(b'{') => {
                let line = self.line;
                self.element(line)?;
                self.elements += 1;
                Ok(Some(line))
            }
            Some(_) => Err(ReadError::at(self.line, "is not an object: expected an array of JSON objects")),
        }
    }

    /// Copies an object up to its closing brace. The parser checks its validity later.
    fn element(&mut self, line: u64) -> Result<(), ReadError> {
        let mut nesting = Nesting::default();
        loop {
            let bytes = self.input.fill_buf().map_err(|error| ReadError::io(line, &error))?;
            if bytes.is_empty() {
                return Err(ReadError::at(line, "the object ends early: expected } at its end"));
            }
            let end = nesting.end(bytes);
            let taken = end.unwrap_or(bytes.len());
            if self.buffer.len() + taken > MAX_RECORD_BYTES {
                return Err(too_large(line));
            }
            self.line += memchr::memchr_iter(b'\n', &bytes[..taken]).count() as u64;
            self.buffer.extend_from_slice(&bytes[..taken]);
            self.input.consume(taken);
            if end.is_some() {
                return Ok(());
            }
        }
    }
}

/// The state of a scan of an object that arrives in pieces.
#[derive(Debug, Default)]
struct Nesting {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Nesting {
    /// Returns where the object ends that began in an earlier piece or at the start of this one.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if self.escaped {
                self.escaped = false;
                at += 1;
                continue;
            }
            if self.in_string {
                at += memchr::memchr2(b'"', b'\\', &bytes[at..])?;
                self.escaped = bytes[at] == b'\\';
                self.in_string = self.escaped;
                at += 1;
                continue;
            }
            match bytes[at] {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        None
    }
}

pub(super) fn too_large(line: u64) -> ReadError {
    let most = MAX_RECORD_BYTES >> 20;
    ReadError::at(line, format!("is larger than {most} MiB: expected rows of at most that size"))
}

/// Appends the input up to the next line end, which is consumed but not appended. Returns false at
/// the end of the input.
fn read_line(input: &mut impl BufRead, buffer: &mut Vec<u8>, line: u64) -> Result<bool, ReadError> {
    loop {
        let bytes = input.fill_buf().map_err(|error| ReadError::io(line, &error))?;
        if bytes.is_empty() {
            return Ok(false);
        }
        let end = memchr::memchr(b'\n', bytes);
        let taken = end.unwrap_or(bytes.len());
        if buffer.len() + taken > MAX_RECORD_BYTES {
            return Err(too_large(line));
        }
        buffer.extend_from_slice(&bytes[..taken]);
        input.consume(taken + usize::from(end.is_some()));
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// Skips white space and line ends. Returns the next byte without consuming it.
fn skip_blank(input: &mut impl BufRead, line: &mut u64) -> Result<Option<u8>, ReadError> {
    loop {
        let bytes = input.fill_buf().map_err(|error| ReadError::io(*line, &error))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let blank = bytes.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        let taken = blank.unwrap_or(bytes.len());
        *line += memchr::memchr_iter(b'\n', &bytes[..taken]).count() as u64;
        let next = blank.map(|at| bytes[at]);
        input.consume(taken);
        if next.is_some() {
            return Ok(next);
        }
    }
}

/// Returns a record as text. NUL bytes are rejected, because they come from holes in damaged files.
pub(super) fn text(bytes: &[u8], line: u64) -> Result<&str, ReadError> {
    if let Some(at) = memchr::memchr(0, bytes) {
        return Err(ReadError::at(line, format!("has a NUL byte at byte {}: expected text", at + 1)));
    }
    str::from_utf8(bytes).map_err(|error| {
        ReadError::at(line, format!("is not UTF-8 at byte {}: expected text in UTF-8", error.valid_up_to() + 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::BufReader;

    /// Returns all records with their lines, read in pieces of `size` bytes, or the error.
    fn all(bytes: &[u8], size: usize) -> Result<Vec<(u64, String)>, String> {
        let mut records = Records::new(BufReader::with_capacity(size, bytes)).map_err(|error| error.to_string())?;
        let mut found = Vec::new();
        while let Some(record) = records.next().map_err(|error| error.to_string())? {
            found.push((record.line, record.text.trim().to_owned()));
        }
        Ok(found)
    }

    fn owned(records: &[(u64, &str)]) -> Vec<(u64, String)> {
        records.iter().map(|(line, text)| (*line, (*text).to_owned())).collect()
    }

    #[test]
    fn lines_and_elements_are_records_however_they_are_cut() {
        let lines = "\u{feff}\n {\"a\":1}\r\n\n{\"b\":\"x\\\"}\"}".as_bytes();
        let array = b"\n[\n {\"a\":[1,{\"x\":\"]}\"}]},\n{\"b\":\"\\\\\"}\n]\n\n";
        for size in 3..40 {
            assert_eq!(all(lines, size), Ok(owned(&[(2, "{\"a\":1}"), (4, "{\"b\":\"x\\\"}\"}")])), "{size}");
            let elements = owned(&[(3, "{\"a\":[1,{\"x\":\"]}\"}]}"), (4, "{\"b\":\"\\\\\"}")]);
            assert_eq!(all(array, size), Ok(elements), "{size}");
        }
        assert_eq!(all(b"", 8), Ok(Vec::new()));
        assert_eq!(all(b"[ ]", 8), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_record_is_refused_with_its_line() {
        for (bytes, expected) in [
            (&b"{\"a\":1}\n\0\0\0\n"[..], "line 2: has a NUL byte at byte 1: expected text"),
            (b"{}\n{\"a\":\"\xff\"}", "line 2: is not UTF-8 at byte 7: expected text in UTF-8"),
            (b"[{}", "line 1: the array ends early: expected ] at its end"),
            (b"[{},\n{\"a\":", "line 2: the object ends early: expected } at its end"),
            (b"[{}\n{}]", "line 2: is not JSON: expected a comma, or ] at the end of the array"),
            (b"[\n1]", "line 2: is not an object: expected an array of JSON objects"),
            (b"[{}]\n{}", "line 2: has more after the array: expected one JSON array"),
        ] {
            assert_eq!(all(bytes, 4).expect_err(expected), expected);
        }
    }

    #[test]
    fn a_record_without_end_is_refused_and_not_kept() {
        for start in [&b"{}\n{\"a\":\""[..], b"[{},\n{\"a\":\""] {
            let endless = BufReader::new(std::io::Read::chain(start, std::io::repeat(b'x')));
            let mut records = Records::new(endless).expect("begins well");
            assert!(records.next().expect("the first").is_some());
            let error = records.next().expect_err("too large");
            assert_eq!(error.to_string(), "line 2: is larger than 32 MiB: expected rows of at most that size");
            assert!(records.buffer.len() <= MAX_RECORD_BYTES);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), size in 1usize..20) {
            let _ = all(&bytes, size.max(3));
            let mut array = b"[".to_vec();
            array.extend(bytes);
            let _ = all(&array, size.max(3));
        }
    }
}
