//! CSV: columns are found by their names in the header line, never by position.

use super::columns::{Columns, Found, missing};
use super::error::ReadError;
use super::format::Format;
use super::instant::{Unit, instant};
use super::records::{MAX_RECORD_BYTES, text, too_large};
use super::row::{Read, Row, RowBody, tokens};
use crate::units::plural;
use ::csv::{ByteRecord, ReaderBuilder};
use std::borrow::Cow;
use std::io::{self, Read as Input};

/// A CSV file whose header has been read.
pub(super) struct Csv<R> {
    reader: ::csv::Reader<Bounded<R>>,
    record: ByteRecord,
    /// Number of lines before the first line that the reader sees.
    lines_before: u64,
    names: Vec<String>,
    found: Found,
    format: Format,
    unit: Unit,
}

impl<R: Input> Csv<R> {
    /// Reads the header on `line`. Detects the format if none was specified.
    pub(super) fn new(input: R, line: u64, told: Option<Format>, columns: &Columns) -> Result<Self, ReadError> {
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(Bounded { input, left: MAX_RECORD_BYTES });
        let mut record = ByteRecord::new();
        let lines_before = line - 1;
        reader.read_byte_record(&mut record).map_err(|error| failed(&error, line))?;
        let mut names = Vec::with_capacity(record.len());
        for name in &record {
            names.push(text(name, line)?.trim().to_owned());
        }
        let present: Vec<&str> = names.iter().map(String::as_str).collect();
        let format = told.unwrap_or_else(|| detect(&present));
        let found = find(format, columns, line, &present)?;
        Ok(Self { reader, record, lines_before, names, found, format, unit: Unit::Seconds })
    }

    pub(super) const fn format(&self) -> Format {
        self.format
    }

    pub(super) const fn has_instants(&self) -> bool {
        self.found.at.is_some()
    }

    pub(super) const fn set_unit(&mut self, unit: Unit) {
        self.unit = unit;
    }

    /// Ignores instants, and lengths beside prompts that the user did not specify. In a data set, a
    /// column with the name of a trace's column may have another meaning.
    pub(super) fn only_what_was_told(&mut self, columns: &Columns) {
        self.found.at = None;
        if self.found.prompt.is_some() && columns.output.is_none() {
            self.found.output = None;
        }
    }

    /// Returns the error that the column of instants is missing.
    pub(super) fn no_instants(&self) -> ReadError {
        missing(self.lines_before + 1, "timestamp", &self.names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Returns the next row and the line on which it begins. `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Read<'_>)>, ReadError> {
        let line = self.lines_before + self.reader.position().line();
        self.reader.get_mut().left = MAX_RECORD_BYTES;
        if !self.reader.read_byte_record(&mut self.record).map_err(|error| failed(&error, line))? {
            return Ok(None);
        }
        let line = self.lines_before + self.record.position().map_or(line, ::csv::Position::line);
        if self.record.len() != self.names.len() {
            let (n, names) = (self.record.len(), self.names.len());
            return Err(ReadError::at(
                line,
                format!("has {}: expected {names}, as many as the header", plural(n, "field")),
            ));
        }
        Ok(Some((line, self.row(line))))
    }

    fn row(&self, line: u64) -> Read<'_> {
        let field = |at: Option<usize>| -> Result<Option<(&str, &str)>, ReadError> {
            let Some(at) = at else { return Ok(None) };
            Ok(Some((self.names[at].as_str(), text(self.record.get(at).unwrap_or_default(), line)?)))
        };
        let at = match field(self.found.at)? {
            Some((name, value)) => Some(instant(line, name, value, self.unit)?),
            None => None,
        };
        let count =
            |field: Option<(&str, &str)>| field.map(|(name, value)| tokens(line, name, value.trim())).transpose();
        let output_tokens = count(field(self.found.output)?)?;
        if output_tokens == Some(0) {
            return Ok(Err("its response has 0 tokens"));
        }
        let body = match field(self.found.prompt)? {
            Some((_, prompt)) if prompt.trim().is_empty() => return Ok(Err("the prompt is empty")),
            Some((_, prompt)) => RowBody::Text(Cow::Borrowed(prompt)),
            None => match count(field(self.found.input)?)? {
                None | Some(0) => return Ok(Err("its prompt has 0 tokens")),
                Some(tokens) => RowBody::Words { tokens, blocks: Vec::new() },
            },
        };
        Ok(Ok(Row { at, output_tokens, ..Row::of(body) }))
    }
}

/// Input that fails if a single record takes too many bytes. Otherwise a quote that is never closed
/// would turn the rest of the file into one record.
struct Bounded<R> {
    input: R,
    left: usize,
}

impl<R: Input> Input for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let n = self.input.read(buffer)?;
        self.left = self.left.saturating_sub(n);
        Ok(n)
    }
}

/// Detects the format from a header.
fn detect(present: &[&str]) -> Format {
    let has = |name: &str| present.contains(&name);
    if has("ContextTokens") && has("GeneratedTokens") {
        Format::Azure
    } else if has("Request tokens") && has("Response tokens") {
        Format::Burstgpt
    } else {
        Format::Csv
    }
}

/// Finds the columns of a format. All of them must be present.
fn find(format: Format, columns: &Columns, line: u64, present: &[&str]) -> Result<Found, ReadError> {
    let named = |names: [&str; 3]| {
        let [at, input, output] = names.map(|name| Some(name.to_owned()));
        let told = Columns {
            prompt: None,
            at: columns.at.clone().or(at),
            input: columns.input.clone().or(input),
            output: columns.output.clone().or(output),
        };
        told.find(line, present).map(|found| Found { prompt: None, ..found })
    };
    match format {
        Format::Azure => named(["TIMESTAMP", "ContextTokens", "GeneratedTokens"]),
        Format::Burstgpt => named(["Timestamp", "Request tokens", "Response tokens"]),
        _ => {
            let found = columns.find(line, present)?;
            // A row needs a prompt, or the lengths of a prompt and of a response.
            match (found.prompt, found.input, found.output) {
                (Some(_), ..) | (None, Some(_), Some(_)) => Ok(found),
                (None, Some(_), None) => Err(missing(line, "output_tokens", present)),
                (None, None, _) => Err(missing(line, "prompt", present)),
            }
        }
    }
}

fn failed(error: &::csv::Error, line: u64) -> ReadError {
    match error.kind() {
        ::csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => too_large(line),
        ::csv::ErrorKind::Io(error) => ReadError::io(line, error),
        _ => ReadError::at(line, format!("is not CSV: {error}")),
    }
}
