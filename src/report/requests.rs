//! Request records as lines: CSV, or one JSON object each. Pure: bytes come out.
//!
//! Instants are in µs since the start of the test, with the clock's digits after the point, so that
//! every time of the result can be computed from them exactly. Unknown values are empty (`null`).

use crate::metrics::{Batch, Outcome, Record, Sample};
use crate::units::Nanos;
use std::io::{self, Write};

/// Names for the numbers in records.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    /// Start of the test, RFC 3339. Only the first line has it.
    pub(crate) started_at: String,
    pub(crate) kinds: Vec<KindNames>,
    /// URLs, in the order of the plan.
    pub(crate) targets: Vec<String>,
}

/// Names of a kind of request.
#[derive(Debug, Clone)]
pub(crate) struct KindNames {
    pub(crate) name: String,
    pub(crate) api: &'static str,
    pub(crate) models: Vec<String>,
}

/// The format of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lines {
    Csv,
    /// JSON, one object a line.
    Json,
}

/// The columns, in order. New columns come last, but before the gaps.
const COLUMNS: [&str; 43] = [
    "id",
    "kind",
    "api",
    "model",
    "target",
    "user",
    "iteration",
    "conversation",
    "turn",
    "measured",
    "in_window",
    "intended_us",
    "sent_us",
    "first_byte_us",
    "first_event_us",
    "first_token_us",
    "first_visible_us",
    "last_token_us",
    "end_us",
    "asked_input_tokens",
    "asked_prefix_tokens",
    "asked_output_tokens",
    "input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cached_tokens",
    "cache_written_tokens",
    "token_events",
    "reasoning_events",
    "tokens_in_first_event",
    "longest_gap_us",
    "gaps_unknown",
    "censored",
    "status",
    "outcome",
    "finish",
    "bad_events",
    "bytes_sent",
    "bytes_received",
    "reused",
    "local_port",
    "amends",
    "started_at",
];
/// The last column, if gaps were requested.
const GAPS: &str = "gaps_us";

/// Bytes that are collected before a write.
const PENDING_BYTES: usize = 256 << 10;

/// A value of a column.
enum Field<'a> {
    Empty,
    Number(u64),
    /// Two numbers that form one identifier.
    Pair(u64, u64),
    Micros(Nanos),
    /// One of our own words, which never needs quotes.
    Word(&'a str),
    Name(&'a str),
    Flag(bool),
}

/// Writes lines.
#[derive(Debug)]
pub(crate) struct Writer {
    lines: Lines,
    names: Names,
    gaps: bool,
    /// True until a line was written.
    is_first: bool,
    /// Kept to reuse its memory.
    pending: Vec<u8>,
}

impl Writer {
    /// Creates a writer. With `gaps` each line has every gap between tokens.
    pub(crate) const fn new(lines: Lines, names: Names, gaps: bool) -> Self {
        Self { lines, names, gaps, is_first: true, pending: Vec::new() }
    }

    /// Writes the header, if the format has one.
    pub(crate) fn head(&self, place: &mut dyn Write) -> io::Result<()> {
        match self.lines {
            Lines::Json => Ok(()),
            Lines::Csv if self.gaps => writeln!(place, "{},{GAPS}", COLUMNS.join(",")),
            Lines::Csv => writeln!(place, "{}", COLUMNS.join(",")),
        }
    }

    /// Writes the lines of a batch.
    pub(crate) fn write(&mut self, batch: &Batch, place: &mut dyn Write) -> io::Result<()> {
        let mut out = std::mem::take(&mut self.pending);
        let mut from = 0;
        for record in &batch.records {
            let until = record.gaps_end as usize;
            let gaps = batch.gaps.get(from..until).unwrap_or_default();
            from = until;
            match self.lines {
                Lines::Csv => self.csv(record, gaps, &mut out),
                Lines::Json => self.json(record, gaps, &mut out),
            }
            self.is_first = false;
            if out.len() >= PENDING_BYTES {
                place.write_all(&out)?;
                out.clear();
            }
        }
        place.write_all(&out)?;
        out.clear();
        self.pending = out;
        Ok(())
    }

    fn csv(&self, record: &Record, gaps: &[u64], out: &mut Vec<u8>) {
        for (i, field) in self.fields(record).into_iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            match field {
                Field::Name(name) => quoted(name, out),
                field => plain(&field, out),
            }
        }
        if self.gaps {
            out.push(b',');
            each(gaps, b' ', out);
        }
        out.push(b'\n');
    }

    fn json(&self, record: &Record, gaps: &[u64], out: &mut Vec<u8>) {
        let mut separator = b'{';
        for (name, field) in COLUMNS.into_iter().zip(self.fields(record)) {
            // Only the first line has it.
            if name == "started_at" && !self.is_first {
                continue;
            }
            out.push(separator);
            separator = b',';
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            match field {
                Field::Empty => out.extend_from_slice(b"null"),
                field @ (Field::Word(_) | Field::Pair(..)) => {
                    out.push(b'"');
                    plain(&field, out);
                    out.push(b'"');
                }
                // Writing into a Vec cannot fail.
                Field::Name(name) => drop(serde_json::to_writer(&mut *out, name)),
                field => plain(&field, out),
            }
        }
        if self.gaps {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(GAPS.as_bytes());
            out.extend_from_slice(b"\":[");
            each(gaps, b',', out);
            out.push(b']');
        }
        out.extend_from_slice(b"}\n");
    }

    /// Returns the values of a record, in the order of the columns.
    fn fields<'a>(&'a self, record: &'a Record) -> [Field<'a>; COLUMNS.len()] {
        let s = &record.sample;
        let kind = self.names.kinds.get(usize::from(s.kind));
        let model = kind.and_then(|kind| kind.models.get(usize::from(record.model)));
        let target = self.names.targets.get(usize::from(record.target));
        let name = |name: Option<&'a String>| name.map_or(Field::Empty, |name| Field::Name(name));
        let at = |instant: Option<Nanos>| instant.map_or(Field::Empty, Field::Micros);
        let asked = |n: u32| if n > 0 { Field::Number(n.into()) } else { Field::Empty };
        let billed = |of: fn(&crate::metrics::TokenUsage) -> u32| {
            s.usage.as_ref().map_or(Field::Empty, |usage| Field::Number(of(usage).into()))
        };
        [
            Field::Pair(record.worker.into(), record.number),
            name(kind.map(|kind| &kind.name)),
            kind.map_or(Field::Empty, |kind| Field::Word(kind.api)),
            name(model),
            name(target),
            Field::Number(record.user.into()),
            Field::Number(record.iteration),
            if s.turn > 0 { Field::Pair(record.user.into(), record.iteration) } else { Field::Empty },
            asked(s.turn.into()),
            Field::Flag(record.measured),
            Field::Flag(s.in_window),
            at(s.intended),
            Field::Micros(s.sent),
            at(s.first_byte),
            at(s.first_event),
            at(s.first_token),
            at(s.first_visible),
            at(s.last_token),
            Field::Micros(s.end),
            asked(s.asked.input),
            asked(s.asked.prefix),
            asked(s.asked.output),
            billed(|usage| usage.input),
            billed(|usage| usage.output),
            billed(|usage| usage.reasoning),
            billed(|usage| usage.cached),
            billed(|usage| usage.written),
            Field::Number(s.token_events.into()),
            Field::Number(s.reasoning_events.into()),
            asked(s.tokens_in_first_event.into()),
            at(s.longest_gap.filter(|_| s.longest_gap_is_known())),
            Field::Number(s.gaps_censored.into()),
            Field::Word(censored(s)),
            asked(s.status.into()),
            Field::Word(outcome(s.outcome)),
            s.finish.map_or(Field::Empty, |finish| Field::Word(finish.name())),
            Field::Number(s.bad_events.into()),
            Field::Number(s.bytes_sent.into()),
            Field::Number(s.bytes_received),
            Field::Flag(s.reused),
            asked(record.port.into()),
            Field::Flag(record.amends),
            if self.is_first { Field::Word(&self.names.started_at) } else { Field::Empty },
        ]
    }
}

/// Appends a value that needs no quotes.
fn plain(field: &Field<'_>, out: &mut Vec<u8>) {
    match *field {
        Field::Empty => {}
        Field::Number(n) => number(n, out),
        Field::Pair(one, two) => {
            number(one, out);
            out.push(b'-');
            number(two, out);
        }
        Field::Micros(at) => micros(at.0, out),
        Field::Word(word) | Field::Name(word) => out.extend_from_slice(word.as_bytes()),
        Field::Flag(yes) => out.extend_from_slice(if yes { b"true" } else { b"false" }),
    }
}

/// Appends a text as a field of CSV (RFC 4180).
fn quoted(text: &str, out: &mut Vec<u8>) {
    if !text.contains([',', '"', '\n', '\r']) {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

fn each(gaps: &[u64], separator: u8, out: &mut Vec<u8>) {
    for (i, gap) in gaps.iter().enumerate() {
        if i > 0 {
            out.push(separator);
        }
        micros(*gap, out);
    }
}

/// Appends nanoseconds as microseconds.
fn micros(nanos: u64, out: &mut Vec<u8>) {
    number(nanos / 1_000, out);
    let rest = (nanos % 1_000) as u16;
    if rest > 0 {
        let digit = |n: u16| b'0' + (n % 10) as u8;
        out.extend_from_slice(&[b'.', digit(rest / 100), digit(rest / 10), digit(rest)]);
    }
}

/// Appends a number in decimal digits.
fn number(mut n: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut from = digits.len();
    loop {
        from -= 1;
        digits[from] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[from..]);
}

/// Names the instants that are not known closely. The metrics leave out values that depend on them.
const fn censored(s: &Sample) -> &'static str {
    match (s.ttfe_censored, s.ttft_censored || s.ttfo_censored, s.tpot_censored) {
        (false, false, false) => "",
        (true, false, false) => "first_event",
        (false, true, _) => "first_token",
        (true, true, _) => "first_event+first_token",
        (false, false, true) => "tpot",
        (true, false, true) => "first_event+tpot",
    }
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "ok",
        Outcome::Failed(failure) => failure.name(),
        Outcome::Cancelled => "cancelled",
        Outcome::Interrupted => "interrupted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Failure, TokenUsage};

    fn record(number: u64) -> Record {
        let sample = Sample {
            outcome: Outcome::Failed(Failure::Http429),
            status: 429,
            end: Nanos(1_234_567),
            first_byte: Some(Nanos(1_000_007)),
            usage: Some(TokenUsage { input: 9, ..TokenUsage::default() }),
            turn: 2,
            ..Sample::begun(0, Nanos(1_000_000))
        };
        Record {
            sample,
            worker: 3,
            number,
            user: 5,
            iteration: 7,
            model: 1,
            target: 0,
            port: 40_000,
            measured: true,
            amends: false,
            gaps_end: 2 * (number as u32 + 1),
        }
    }

    fn lines(lines: Lines, gaps: bool) -> String {
        let kind = KindNames {
            name: "chat, \"new\"".to_owned(),
            api: "openai-chat",
            models: vec!["a".to_owned(), "b\"\n".to_owned()],
        };
        let names = Names {
            started_at: "2026-11-30T08:00:00.000Z".to_owned(),
            kinds: vec![kind],
            targets: vec!["http://127.0.0.1:1".to_owned()],
        };
        let batch = Batch { records: vec![record(0), record(1)], gaps: vec![1_000, 2_500, 0, 7] };
        let (mut writer, mut out) = (Writer::new(lines, names, gaps), Vec::new());
        let rest = Batch { records: vec![Record { gaps_end: 0, ..record(2) }], gaps: Vec::new() };
        let written = writer.head(&mut out).and_then(|()| writer.write(&batch, &mut out));
        written.and_then(|()| writer.write(&rest, &mut out)).expect("a Vec takes everything");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_line_of_json_has_a_value_for_each_column() {
        let text = lines(Lines::Json, true);
        let all: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        assert_eq!(all.len(), 3);
        assert!(COLUMNS.iter().all(|column| all[0].get(column).is_some()), "{text}");
        assert_eq!((&all[0]["id"], &all[0]["conversation"]), (&"3-0".into(), &"5-7".into()));
        assert_eq!((&all[0]["kind"], &all[1]["model"]), (&"chat, \"new\"".into(), &"b\"\n".into()));
        assert_eq!((&all[0]["end_us"], &all[0]["first_byte_us"]), (&1_234.567.into(), &1_000.007.into()));
        assert_eq!((&all[0]["outcome"], &all[0]["intended_us"]), (&"http_429".into(), &serde_json::Value::Null));
        assert_eq!((all[0].get("started_at").is_some(), all[1].get("started_at")), (true, None));
        assert_eq!(all[0]["gaps_us"], serde_json::json!([1, 2.5]));
        assert_eq!((&all[1]["gaps_us"], &all[2]["gaps_us"]), (&serde_json::json!([0, 0.007]), &serde_json::json!([])));
    }

    #[test]
    fn csv_is_read_by_a_reader_of_csv() {
        for gaps in [false, true] {
            let text = lines(Lines::Csv, gaps);
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let header = reader.headers().expect("a header").clone();
            assert_eq!(header.len(), COLUMNS.len() + usize::from(gaps));
            let rows: Vec<csv::StringRecord> =
                reader.records().map(|row| row.expect("as wide as the header")).collect();
            assert_eq!(rows.len(), 3);
            let of = |row: usize, name: &str| rows[row][header.iter().position(|n| n == name).expect(name)].to_owned();
            assert_eq!((of(0, "kind"), of(1, "model")), ("chat, \"new\"".to_owned(), "b\"\n".to_owned()));
            assert_eq!((of(0, "end_us"), of(2, "id")), ("1234.567".to_owned(), "3-2".to_owned()));
            assert_eq!((of(0, "started_at").is_empty(), of(1, "started_at").is_empty()), (false, true));
            if gaps {
                assert_eq!((of(0, GAPS), of(2, GAPS)), ("1 2.500".to_owned(), String::new()));
            }
        }
    }

    #[test]
    fn numbers_are_written_as_they_are() {
        let written = |n: u64| {
            let mut out = Vec::new();
            micros(n, &mut out);
            String::from_utf8(out).expect("digits")
        };
        for (nanos, text) in [(0, "0"), (1, "0.001"), (999, "0.999"), (1_000, "1"), (u64::MAX, "18446744073709551.615")]
        {
            assert_eq!(written(nanos), text);
        }
    }
}
