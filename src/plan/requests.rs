//! The file with one line for each request: `--requests` and its options.

use super::noted::{flag, noted};
use super::output::Output;
use super::source::Changed;
use super::{Given, Overrides, PlanError};

/// The most requests of which one is chosen.
const MOST_IN: u64 = 1_000_000_000;

/// A file with a line for each request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestsFile {
    pub place: Output,
    pub format: RequestsFormat,
    pub gzip: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestsFormat {
    Csv,
    /// JSON, one object per line.
    JsonLines,
}

/// The choice of the requests to record, and their details.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Records {
    /// One request in this many is recorded, chosen by its seeded number. 1 records all.
    pub one_in: u64,
    /// True if every gap between tokens is recorded, too.
    pub gaps: bool,
}

/// Resolves the destination of the lines, if it was asked for.
pub(super) fn file(given: &Overrides, changed: &mut Changed) -> Result<Option<RequestsFile>, PlanError> {
    let Some(given) = noted("requests", given.one("requests"), changed) else { return Ok(None) };
    if given.value == "-" {
        let (place, format) = (Output::Stdout, RequestsFormat::JsonLines);
        return Ok(Some(RequestsFile { place, format, gzip: false }));
    }
    let path = given.path()?;
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let (name, gzip) = name.strip_suffix(".gz").map_or((name.as_str(), false), |name| (name, true));
    let format = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("csv") => RequestsFormat::Csv,
        Some("jsonl" | "ndjson") => RequestsFormat::JsonLines,
        None if gzip => RequestsFormat::JsonLines,
        _ => return Err(given.bad("a file that ends in .jsonl, .csv, .jsonl.gz or .csv.gz, or -")),
    };
    Ok(Some(RequestsFile { place: Output::File(path), format, gzip }))
}

/// Resolves what the workers record for it.
pub(super) fn records(given: &Overrides, changed: &mut Changed) -> Result<Option<Records>, PlanError> {
    let gaps = flag("requests_tokens", given, changed)?;
    let sample = noted("requests_sample", given.one("requests_sample"), changed);
    if given.one("requests").is_none() {
        let alone = given.one("requests_tokens").filter(|_| gaps).or(sample);
        return match alone {
            Some(alone) => Err(alone.misplaced("cannot be used without a file of requests: add --requests")),
            None => Ok(None),
        };
    }
    Ok(Some(Records { one_in: sample.map_or(Ok(1), one_in)?, gaps }))
}

/// Parses `1/N`.
fn one_in(given: &Given) -> Result<u64, PlanError> {
    let n = given.value.trim().strip_prefix("1/").and_then(|n| n.parse().ok());
    let n = n.filter(|n| (1..=MOST_IN).contains(n));
    n.ok_or_else(|| given.bad(format!("1/N with N from 1 to {MOST_IN}, such as 1/100")))
}
