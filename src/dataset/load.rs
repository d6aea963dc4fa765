//! Turns a file into [`Rows`]: every row is rendered as it will be sent, and facts about the file
//! are collected.

use super::arena::Rows;
use super::columns::Columns;
use super::csv::Csv;
use super::detect::detect;
use super::error::ReadError;
use super::format::Format;
use super::instant::Unit;
use super::members::{elements, is_named, member, members};
use super::records::{Layout, Records};
use super::row::{Form, Message, Read as ReadRow, Row, RowBody, Who};
use super::said::Writer;
use super::session::Links;
use super::spool::MakeSpool;
use super::talk;
use crate::units::{Nanos, plural};
use flate2::bufread::MultiGzDecoder;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader};

/// The first bytes of a gzip file (RFC 1952, section 2.3.1).
const GZIP: &[u8] = b"\x1f\x8b";
/// Number of bytes read at a time.
const READ_BYTES: usize = 256 << 10;
/// Maximum number of rows. They are numbered with 32 bits.
const MAX_ROWS: usize = 1 << 31;

/// How to read a file, and how to render its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The format. `None` to detect it.
    pub format: Option<Format>,
    pub columns: Columns,
    /// The form of a prompt in a request.
    pub form: Form,
    /// True if requests ask for a stream. Whole bodies must agree.
    pub stream: bool,
    /// True to set `stream` in whole bodies.
    pub patch_stream: bool,
    /// The name to set as `model` in whole bodies.
    pub patch_model: Option<String>,
    /// The end of the path for which a batch's row must have been written.
    pub url_end: &'static str,
    /// Maximum memory for rows, in bytes. Beyond it, their bytes are written to a spool.
    pub most_memory: u64,
    /// True if rows are conversations to send turn by turn.
    pub talk: bool,
    /// True if the rows of a session are turns of one conversation.
    pub sessions: bool,
    /// Present for a trace, whose rows have instants: the unit of the instants, if specified.
    pub trace: Option<Option<Unit>>,
    /// The seed for shuffling the rows.
    pub shuffle: Option<u64>,
    /// The size of the file on disk, if known.
    pub size: Option<u64>,
}

/// Rows that cannot be sent for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unused {
    pub reason: String,
    pub rows: u64,
    /// The line of the first such row, from 1.
    pub first_line: u64,
}

/// Facts about a file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub format: Format,
    /// The unit of the instants.
    pub unit: Unit,
    /// Number of rows in the file.
    pub rows: u64,
    pub unused: Vec<Unused>,
    /// Number of rows that specify the length of their response.
    pub with_output: u64,
}

/// The result of reading a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub rows: Rows,
    /// When each row is due, relative to the first one. Empty if the file is not a trace.
    pub instants: Vec<Nanos>,
    /// The conversation that each row is a turn of, if that was requested.
    pub links: Option<Links>,
    pub facts: Facts,
}

/// Reads all rows. Fails if none of them can be sent. `spool` creates the file for the rows beyond
/// the memory limit.
pub fn load(input: &mut dyn BufRead, options: &Options, spool: &mut MakeSpool<'_>) -> Result<Loaded, ReadError> {
    let start = input.fill_buf().map_err(|error| ReadError::io(1, &error))?;
    if start.starts_with(GZIP) {
        let input = BufReader::with_capacity(READ_BYTES, MultiGzDecoder::new(input));
        return read(input, options, spool);
    }
    read(input, options, spool)
}

fn read(input: impl BufRead, options: &Options, spool: &mut MakeSpool<'_>) -> Result<Loaded, ReadError> {
    let mut records = Records::new(input)?;
    let is_csv = match options.format {
        Some(format) => format.is_csv(),
        None => records.layout() == Layout::Lines && !records.begins_with(b'{')?,
    };
    let mut loader = Loader::new(options, spool);
    let format = if is_csv { loader.csv(records)? } else { loader.json(&mut records)? };
    loader.finish(format)
}

struct Loader<'o, 's> {
    options: &'o Options,
    spool: &'o mut MakeSpool<'s>,
    rows: Rows,
    instants: Vec<Nanos>,
    links: Links,
    /// The first instant as written, and the last one.
    first_at: Option<i64>,
    last_at: i64,
    unused: BTreeMap<&'static str, (u64, u64)>,
    read: u64,
    with_output: u64,
    unit: Unit,
}

impl<'o, 's> Loader<'o, 's> {
    fn new(options: &'o Options, spool: &'o mut MakeSpool<'s>) -> Self {
        let mut rows = Rows::default();
        rows.reserve(options.size.unwrap_or_default().min(options.most_memory) as usize);
        Self {
            options,
            spool,
            rows,
            instants: Vec::new(),
            links: Links::default(),
            first_at: None,
            last_at: 0,
            unused: BTreeMap::new(),
            read: 0,
            with_output: 0,
            unit: Unit::Seconds,
        }
    }

    fn csv(&mut self, records: Records<impl BufRead>) -> Result<Format, ReadError> {
        let (input, line) = records.into_input();
        if self.options.talk {
            return Err(ReadError::at(line, "is not JSON: expected conversations in the format sharegpt or chat"));
        }
        let csv = Csv::new(input, line, self.options.format, &self.options.columns);
        let mut csv =
            csv.map_err(|error| if self.options.format.is_none() { error.of_guessed_csv() } else { error })?;
        match self.options.trace {
            Some(_) if !csv.has_instants() => return Err(csv.no_instants()),
            Some(_) => {}
            None => csv.only_what_was_told(&self.options.columns),
        }
        self.unit = self.options.trace.flatten().unwrap_or(csv.format().unit());
        csv.set_unit(self.unit);
        let format = csv.format();
        while let Some((line, row)) = csv.next()? {
            self.add(line, row)?;
        }
        Ok(format)
    }

    fn json(&mut self, records: &mut Records<impl BufRead>) -> Result<Format, ReadError> {
        let mut format = self.options.format;
        while let Some(record) = records.next()? {
            let known = match format {
                Some(known) => known,
                None => detect(record.line, record.text, &self.options.columns, self.options.trace.is_some())?,
            };
            if format.is_none() || self.read == 0 {
                self.begin(known, record.line)?;
            }
            format = Some(known);
            let row = if self.options.talk {
                known.talk(record.line, record.text)
            } else {
                known.row(record.line, record.text, &self.options.columns, self.unit)
            };
            self.add(record.line, row)?;
        }
        format.ok_or_else(|| ReadError::whole("is empty: expected at least one row"))
    }

    /// Checks the format as soon as it is known, and sets the unit.
    fn begin(&mut self, format: Format, line: u64) -> Result<(), ReadError> {
        self.unit = self.options.trace.flatten().unwrap_or(format.unit());
        if self.options.trace.is_some() && !format.has_instants() {
            let problem = format!("has the format {}, whose rows have no instants: expected a trace", format.name());
            return Err(ReadError::at(line, problem));
        }
        Ok(())
    }

    fn add(&mut self, line: u64, row: ReadRow<'_>) -> Result<(), ReadError> {
        self.read += 1;
        let result = match row? {
            Ok(row) if self.options.trace.is_some() => self.add_dated(line, row)?,
            Ok(row) => self.render(row).map(|()| Nanos::ZERO),
            Err(reason) => Err(reason),
        };
        match result {
            Ok(at) if self.options.trace.is_some() => self.instants.push(at),
            Ok(_) => {}
            Err(reason) => {
                let seen = self.unused.entry(reason).or_insert((0, line));
                seen.0 += 1;
            }
        }
        self.make_room(line)
    }

    /// Keeps the rows within their memory limit.
    fn make_room(&mut self, line: u64) -> Result<(), ReadError> {
        let most = self.options.most_memory;
        let is_full = |rows: &Rows| rows.memory() as u64 > most;
        if is_full(&self.rows) && self.rows.spooled_bytes().is_none() {
            let spooled = (self.spool)().and_then(|file| self.rows.spool(file));
            spooled.map_err(|error| no_spool(most, &error))?;
        }
        self.rows.write_some().map_err(|error| no_spool(most, &error))?;
        if is_full(&self.rows) || self.rows.len() >= MAX_ROWS {
            let problem = format!(
                "needs more than {} of memory for where its rows are: expected a smaller file, or more with \
                 --dataset-memory",
                mebibytes(most)
            );
            return Err(ReadError::at(line, problem));
        }
        Ok(())
    }

    /// Adds a row of a trace and returns when it is due.
    fn add_dated(&mut self, line: u64, row: Row<'_>) -> Result<Result<Nanos, &'static str>, ReadError> {
        let (session, delay, is_dated) = (row.session, row.delay.unwrap_or_default(), row.at.is_some());
        let found = self.links.find(session);
        if !is_dated && row.delay.is_some() && !(self.options.sessions && found.is_some()) {
            return Ok(Err(if self.options.sessions {
                "it has a delay and no instant, and no row of its session comes before it"
            } else {
                "it has a delay and no instant: it needs a request with a conversation"
            }));
        }
        // A turn without its own instant takes the last instant in the file before it.
        let at = self.instant(line, row.at.or(row.delay.map(|_| self.last_at)))?;
        let rendered = self.render(row);
        if self.options.sessions && rendered.is_ok() {
            self.links.push(session, found, is_dated, delay);
        }
        Ok(rendered.map(|()| at))
    }

    /// Returns when the row is due, relative to the first one.
    fn instant(&mut self, line: u64, at: Option<i64>) -> Result<Nanos, ReadError> {
        let at = at.ok_or_else(|| ReadError::at(line, "has no instant: expected one in every row of a trace"))?;
        let first = *self.first_at.get_or_insert(at);
        if at < self.last_at {
            let back = Nanos((self.last_at - at) as u64);
            return Err(ReadError::at(
                line,
                format!("goes back in time by {back}: expected rows in the order of their instants"),
            ));
        }
        self.last_at = at;
        Ok(Nanos((at - first) as u64))
    }

    /// Renders the row as it will be sent.
    fn render(&mut self, row: Row<'_>) -> Result<(), &'static str> {
        let start = self.rows.next_start();
        let url = row.url.map(|url| url.trim_matches('"'));
        if url.is_some_and(|url| !url.ends_with(self.options.url_end)) {
            return Err("its url is another API's");
        }
        let is_whole = matches!(row.body, RowBody::Whole(_));
        let written = match row.body {
            RowBody::Words { tokens, blocks } => {
                self.rows.push_words(tokens, &blocks, row.output_tokens);
                self.with_output += u64::from(row.output_tokens.is_some());
                return Ok(());
            }
            RowBody::Quoted(text) => {
                self.prompt(|out| out.extend_from_slice(text.as_bytes()));
                Ok(())
            }
            RowBody::Text(text) => {
                // Writing to memory does not fail.
                self.prompt(|out| drop(serde_json::to_writer(out, &text)));
                Ok(())
            }
            RowBody::Messages(list) => self.messages(list),
            RowBody::Talk(said) => {
                let written = talk::push(&mut self.rows, &said, self.options.form);
                if written.is_err() {
                    self.rows.undo(start);
                }
                return written;
            }
            RowBody::Whole(body) => self.whole(body),
        };
        match written {
            Ok(()) => {
                self.rows.push_bytes(start, is_whole, row.output_tokens);
                self.with_output += u64::from(row.output_tokens.is_some());
            }
            Err(_) => self.rows.undo(start),
        }
        written
    }

    fn prompt(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let out = self.rows.out();
        if self.options.form == Form::Text {
            write(out);
        } else {
            out.extend_from_slice(br#"[{"role":"user","content":"#);
            write(out);
            out.extend_from_slice(b"}]");
        }
    }

    fn messages(&mut self, list: &str) -> Result<(), &'static str> {
        let form = self.options.form;
        let out = self.rows.out();
        match form {
            Form::Text => return Err("it has messages, and the API takes one text"),
            Form::Messages => out.extend_from_slice(list.as_bytes()),
            Form::Items | Form::SystemApart => {
                let mut system = None;
                let mut writer = Writer::new(form, out);
                for message in elements(list) {
                    let who = match member(message, "role") {
                        Some("\"system\"" | "\"developer\"") if form == Form::SystemApart => {
                            if system.replace(member(message, "content")).is_some() {
                                return Err("it has several system messages");
                            }
                            continue;
                        }
                        Some("\"tool\"") => Who::Tool,
                        Some("\"assistant\"") => Who::Model,
                        Some("\"user\"") => Who::User,
                        _ if form == Form::SystemApart => {
                            return Err("it has a role that anthropic-messages does not know");
                        }
                        _ => Who::System,
                    };
                    writer.write(who, Message::Object(message), out)?;
                }
                out.push(b']');
                if let Some(system) = system.flatten() {
                    out.extend_from_slice(b",\"system\":");
                    out.extend_from_slice(system.as_bytes());
                }
                return Ok(());
            }
        }
        out.push(b']');
        Ok(())
    }

    /// Copies a body unchanged, except for the values to patch.
    fn whole(&mut self, body: &str) -> Result<(), &'static str> {
        let options = self.options;
        let streams = member(body, "stream") == Some("true");
        if streams != options.stream && !options.patch_stream {
            return Err(if options.stream {
                "its body does not ask for a stream, and the request does: patch `stream` to set it"
            } else {
                "its body asks for a stream, and the request does not: patch `stream` to set it"
            });
        }
        let model = options.patch_model.as_ref().map(|model| serde_json::Value::from(model.as_str()).to_string());
        let stream = options.patch_stream.then(|| options.stream.to_string());
        patch(body, &[("model", model), ("stream", stream)], self.rows.out());
        Ok(())
    }

    fn finish(mut self, format: Format) -> Result<Loaded, ReadError> {
        let unused: Vec<Unused> = self
            .unused
            .iter()
            .map(|(reason, &(rows, first_line))| Unused { reason: (*reason).to_owned(), rows, first_line })
            .collect();
        if self.rows.is_empty() {
            let why: Vec<String> = unused
                .iter()
                .map(|u| format!("{}: {} (first on line {})", plural(u.rows, "row"), u.reason, u.first_line))
                .collect();
            return Err(ReadError::whole(match self.read {
                0 => "is empty: expected at least one row".to_owned(),
                n => format!("has no row that can be sent among {n}: {}", why.join("; ")),
            }));
        }
        if let Some(seed) = self.options.shuffle {
            self.rows.shuffle(seed);
        }
        self.rows.block_tokens = format.block_tokens();
        self.rows.finish().map_err(|error| no_spool(self.options.most_memory, &error))?;
        let facts = Facts { format, unit: self.unit, rows: self.read, unused, with_output: self.with_output };
        // Instants are relative to the first row that is sent.
        let first = self.instants.first().copied().unwrap_or_default();
        let instants = self.instants.iter().map(|at| at.since(first)).collect();
        self.links.finish();
        let links = self.options.sessions.then_some(self.links);
        Ok(Loaded { rows: self.rows, instants, links, facts })
    }
}

/// Copies an object with other values for some names. Names that are not present are inserted
/// first.
fn patch(object: &str, values: &[(&str, Option<String>)], out: &mut Vec<u8>) {
    let Some(inside) = object.strip_prefix('{') else { return };
    out.push(b'{');
    let is_empty = members(object).next().is_none();
    let mut inserted = 0;
    for (name, value) in values {
        if let (Some(value), None) = (value, member(object, name)) {
            if inserted > 0 {
                out.push(b',');
            }
            out.extend_from_slice(format!("\"{name}\":{value}").as_bytes());
            inserted += 1;
        }
    }
    if inserted > 0 && !is_empty {
        out.push(b',');
    }
    let mut rest = inside;
    for (name, old) in members(object) {
        let Some((_, Some(new))) = values.iter().find(|(wanted, _)| is_named(name, wanted)) else { continue };
        let at = old.as_ptr() as usize - rest.as_ptr() as usize;
        out.extend_from_slice(&rest.as_bytes()[..at]);
        out.extend_from_slice(new.as_bytes());
        rest = &rest[at + old.len()..];
    }
    out.extend_from_slice(rest.as_bytes());
}

/// Returns the error that rows beyond the memory limit could not be written to a file.
fn no_spool(most: u64, error: &io::Error) -> ReadError {
    ReadError::whole(format!(
        "has rows beyond the {} of memory for them, which cannot be put into a file: {error}; set TMPDIR to a folder \
         with room for all rows, or raise --dataset-memory",
        mebibytes(most)
    ))
}

/// Returns a size in MiB.
fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

#[cfg(test)]
mod tests;
