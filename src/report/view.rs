//! The contents of a page about a run, independent of how it is painted.
//!
//! A [`View`] is a document in words: a headline, facts, remarks and tables, each piece of text
//! with its meaning ([`Tone`]). `terminal.rs`, `github.rs` and `html/` paint it. The results of all
//! rules are one list of [`Case`]s, from which JUnit, annotations and summaries are made.

mod asked;
mod head;
mod network;
mod numbers;
mod rate_limits;
mod server_metrics;
mod time;

pub(crate) use numbers::p99;

use crate::document::verdict::{Reason, ReasonKind, endpoint_name, threshold_name};
use crate::document::{Document, EndpointVerdict};

/// The meaning of a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Title,
    Good,
    Bad,
    Warning,
    Faint,
}

/// Text with its meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) tone: Tone,
    pub(crate) text: String,
}

/// A run in words.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) headline: Headline,
    pub(crate) head: Vec<Block>,
    /// The verdict's basis, and its meaning.
    pub(crate) verdict: Vec<Section>,
    pub(crate) numbers: Vec<Section>,
    /// The last line.
    pub(crate) foot: Option<&'static str>,
}

/// The first line: the verdict.
#[derive(Debug)]
pub(crate) struct Headline {
    pub(crate) tone: Tone,
    /// The verdict in one word, as a banner.
    pub(crate) word: &'static str,
    /// The verdict in a few words.
    pub(crate) said: &'static str,
    pub(crate) name: String,
    pub(crate) why: String,
}

/// A part of a page under a title.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) title: &'static str,
    /// Details that the title leaves out.
    pub(crate) note: String,
    pub(crate) blocks: Vec<Block>,
}

/// One element of a section.
#[derive(Debug)]
pub(crate) enum Block {
    /// A name and its text.
    Fact(&'static str, Vec<Piece>),
    /// A name and several things, over as many lines as they need.
    List(&'static str, Vec<String>),
    /// A number of the server beside ours, with a label.
    Pair(String, Vec<Piece>),
    Remark(Remark),
    /// Pieces on a line of their own, with the level of indentation.
    Line(usize, Vec<Piece>),
    Table(Table),
}

/// Running text, with the level of indentation.
#[derive(Debug, Clone)]
pub(crate) struct Remark {
    pub(crate) tone: Tone,
    pub(crate) depth: usize,
    /// Text before the first line.
    pub(crate) bullet: &'static str,
    pub(crate) text: String,
}

/// Rows of a name and numbers.
#[derive(Debug)]
pub(crate) struct Table {
    /// The first column holds names, the others numbers.
    pub(crate) columns: &'static [Column],
    /// True if the names of the columns are shown.
    pub(crate) has_head: bool,
    pub(crate) rows: Vec<Row>,
}

/// A column and its width in characters, for fixed-width output.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) width: usize,
    /// True if a longer name is cut, false if it gets a line of its own.
    pub(crate) is_cut: bool,
}

pub(crate) const fn column(name: &'static str, width: usize) -> Column {
    Column { name, width, is_cut: true }
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) tone: Tone,
    /// A mark before the name: whether it is as it should be.
    pub(crate) mark: Option<&'static str>,
    pub(crate) cells: Vec<String>,
    /// Text after the cells.
    pub(crate) tail: Option<Piece>,
    /// Remarks below the row.
    pub(crate) remarks: Vec<Remark>,
}

impl Piece {
    pub(crate) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, text: text.into() }
    }

    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self::new(Tone::Plain, text)
    }
}

impl Row {
    pub(crate) fn plain(cells: Vec<String>) -> Self {
        Self { tone: Tone::Plain, mark: None, cells, tail: None, remarks: Vec::new() }
    }
}

impl Remark {
    pub(crate) fn new(tone: Tone, depth: usize, text: impl Into<String>) -> Self {
        Self { tone, depth, bullet: "", text: text.into() }
    }
}

impl View {
    /// Returns everything.
    pub(crate) fn of(doc: &Document) -> Self {
        let numbers = [
            numbers::latency(doc, Extent::Full),
            asked::section(doc),
            Some(numbers::throughput(doc, Extent::Full)),
            Some(numbers::failures(doc, Extent::Full)),
            numbers::requests(&doc.requests),
            numbers::streams(&doc.requests),
            numbers::conversations(doc),
            time::stages(&doc.stages),
            time::server(doc),
            server_metrics::section(doc),
            network::section(doc),
            rate_limits::section(doc),
            time::changes(doc),
        ];
        Self::with(doc, Extent::Full, numbers.into_iter().flatten().collect())
    }

    /// Returns a view that fits a screen: the verdict and its basis, and the most important
    /// numbers.
    pub(crate) fn brief(doc: &Document) -> Self {
        let numbers = [
            numbers::latency(doc, Extent::Brief),
            Some(numbers::throughput(doc, Extent::Brief)),
            Some(numbers::failures(doc, Extent::Brief)),
        ];
        let view = Self::with(doc, Extent::Brief, numbers.into_iter().flatten().collect());
        Self { foot: Some(MORE), ..view }
    }

    fn with(doc: &Document, extent: Extent, numbers: Vec<Section>) -> Self {
        let verdict = [
            head::hints(&doc.hints),
            head::reasons(doc),
            head::thresholds(&doc.thresholds),
            head::endpoints(&doc.endpoints, extent),
        ];
        Self {
            headline: head::headline(doc),
            head: head::facts(doc, extent),
            verdict: verdict.into_iter().flatten().collect(),
            numbers,
            foot: None,
        }
    }
}

/// The amount of detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// As much as fits a screen.
    Brief,
    Full,
}

/// Pointer to the rest.
const MORE: &str = "more: --details, or a page with charts: --html FILE";

/// One rule of a run, and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
}

/// The result of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Held,
    /// The rule did not hold, with the reason.
    Failed(String),
    /// The rule could not be judged, with the reason.
    Skipped(String),
}

/// Returns every threshold, every endpoint, and every other reason why the run does not pass.
pub(crate) fn cases(doc: &Document) -> Vec<Case> {
    let outcome = |reason: Option<Reason>| reason.map_or(Outcome::Held, |reason| Outcome::Failed(reason.text));
    let thresholds = doc
        .thresholds
        .iter()
        .map(|judged| Case { name: threshold_name(judged), outcome: outcome(Reason::of_threshold(judged)) });
    let endpoints = doc.endpoints.iter().map(|endpoint| {
        let skipped = (endpoint.verdict == EndpointVerdict::Skipped).then(|| {
            Outcome::Skipped(endpoint.reason.clone().unwrap_or_else(|| "the server does not have it".to_owned()))
        });
        let outcome = skipped.unwrap_or_else(|| outcome(Reason::of_endpoint(endpoint)));
        Case { name: endpoint_name(endpoint), outcome }
    });
    let has_rule = |kind| matches!(kind, ReasonKind::Threshold | ReasonKind::Endpoint);
    let others = doc.verdict.reasons.iter().filter(|reason| !has_rule(reason.kind));
    let others = others.map(|reason| Case { name: reason.name.clone(), outcome: Outcome::Failed(reason.text.clone()) });
    others.chain(thresholds).chain(endpoints).collect()
}
