//! The page's template with its contents.

use super::chart::{Chart, Number, Picture};
use super::interval::Interval;
use crate::report::view::{Block, Headline, Row, Section, Tone};
use askama::Template;
use base64::Engine as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// The chart library, as published by its authors.
const LIBRARY: &str = include_str!("../../../assets/uplot/uPlot.iife.min.js");
const LIBRARY_STYLE: &str = include_str!("../../../assets/uplot/uPlot.min.css");
/// Our drawing code for the library.
const SCRIPT: &str = include_str!("../../../assets/report.js");
/// The code that makes the page grow while a run lasts.
const LIVE_SCRIPT: &str = include_str!("../../../assets/live.js");
const STYLE: &str = include_str!("../../../assets/report.css");

/// The contents of a page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) title: String,
    pub(super) subtitle: String,
    pub(super) headline: Headline,
    pub(super) tiles: Vec<Tile>,
    pub(super) facts: Vec<Block>,
    /// Sections before the charts.
    pub(super) verdict: Vec<Section>,
    /// Gates of a comparison.
    pub(super) intervals: Vec<Interval>,
    /// Places of the points of charts over the time of a run.
    pub(super) at: Vec<Number>,
    pub(super) charts: Vec<Chart>,
    /// Sections after the charts.
    pub(super) numbers: Vec<Section>,
    /// The build of this tool, and the run.
    pub(super) made_by: String,
    /// True if the numbers come later, from the server that sent the page.
    pub(super) is_live: bool,
}

/// A number that is shown large.
#[derive(Debug)]
pub(super) struct Tile {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) note: String,
    pub(super) tone: Tone,
}

#[derive(Template)]
#[template(path = "report.html", whitespace = "minimize")]
struct Html<'a> {
    page: &'a Page,
    policy: String,
    data: Data<'a>,
    library: &'static str,
    library_style: &'static str,
    script: &'static str,
    live_script: &'static str,
    style: &'static str,
}

/// The data for the script.
#[derive(Serialize)]
struct Data<'a> {
    at: &'a [Number],
    charts: Vec<Drawn<'a>>,
}

#[derive(Serialize)]
struct Drawn<'a> {
    id: &'a str,
    #[serde(flatten)]
    picture: &'a Picture,
}

/// Returns the page as HTML.
pub(super) fn render(page: &Page) -> String {
    let charts = page.charts.iter().map(|chart| Drawn { id: &chart.id, picture: &chart.picture }).collect();
    let html = Html {
        page,
        policy: policy(page.is_live),
        data: Data { at: &page.at, charts },
        library: LIBRARY,
        library_style: LIBRARY_STYLE,
        script: SCRIPT,
        live_script: LIVE_SCRIPT,
        style: STYLE,
    };
    let text = html.render();
    debug_assert!(text.is_ok(), "{text:?}");
    text.unwrap_or_default()
}

/// Returns the Content-Security-Policy. Only our own scripts and styles are allowed, byte for byte,
/// and nothing is fetched. A live page may contact its own server.
pub(super) fn policy(is_live: bool) -> String {
    let hash = |text: &str| {
        let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text.as_bytes()));
        format!("'sha256-{digest}'")
    };
    let scripts = [LIBRARY, SCRIPT].into_iter().chain(is_live.then_some(LIVE_SCRIPT)).map(hash);
    let (scripts, styles) = (scripts.collect::<Vec<_>>().join(" "), [LIBRARY_STYLE, STYLE].map(hash).join(" "));
    let asks = if is_live { "connect-src 'self'; " } else { "" };
    format!(
        "default-src 'none'; script-src {scripts}; style-src {styles}; {asks}img-src data:; base-uri 'none'; form-action 'none'"
    )
}

/// Returns the style sheet's class of a tone.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the template lends its values")]
pub(super) const fn class(tone: &Tone) -> &'static str {
    match tone {
        Tone::Plain => "plain",
        Tone::Title => "title",
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Warning => "warning",
        Tone::Faint => "faint",
    }
}

/// Turns a title such as `LATENCY` into a heading: `Latency`.
fn heading(title: &str) -> String {
    let mut chars = title.chars();
    let first: String = chars.next().into_iter().collect();
    first + &chars.as_str().to_lowercase()
}

/// Returns the alignment of a column. The first one holds names, on the left.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the template lends its values")]
const fn align(column: &usize) -> &'static str {
    if *column == 0 { "name" } else { "number" }
}

/// Returns true if any row has text behind its cells.
fn has_tail(rows: &[Row]) -> bool {
    rows.iter().any(|row| row.tail.as_ref().is_some_and(|tail| !tail.text.trim().is_empty()))
}

/// Returns the name of a section in links.
fn anchor(title: &str) -> String {
    title.to_lowercase().replace(' ', "-")
}
