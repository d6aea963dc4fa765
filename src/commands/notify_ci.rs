//! What CI is told of a command, beside its results: a step's summary, annotations.

use super::error::CommandError;
use super::output;
use crate::cli::environment::Environment;
use crate::document::Document;
use crate::plan::{Output, Presentation};
use crate::report::github;
use std::fs::OpenOptions;
use std::io::Write;

/// Most bytes of a step's summary: GitHub takes a megabyte, and people far less.
const MAX_SUMMARY: usize = 100_000;

/// Tells CI how a run ended. A shard is not judged, and so not told of.
pub(super) fn of_run(
    document: &Document,
    presentation: &Presentation,
    environment: &Environment,
    places: (&mut dyn Write, &mut dyn Write),
) -> Result<(), CommandError> {
    if document.is_shard() || !presentation.github {
        return Ok(());
    }
    let (summary, failures) = (github::summary(document), github::failures(document));
    github_actions(environment, &summary, &failures, output::on_stdout(presentation).as_ref(), places)
}

/// Appends to the step's summary and prints a few annotations, when GitHub Actions runs this.
pub(super) fn github_actions(
    environment: &Environment,
    summary: &str,
    failures: &[(String, String)],
    output: Option<&Output>,
    (out, err): (&mut dyn Write, &mut dyn Write),
) -> Result<(), CommandError> {
    let Some(path) = environment.get("GITHUB_STEP_SUMMARY") else { return Ok(()) };
    let cut = summary.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= MAX_SUMMARY).last();
    let summary = &summary[..cut.unwrap_or(0)];
    let printed = output::print(&github::annotations(failures), output, out, err);
    let appended = OpenOptions::new().append(true).create(true).open(path);
    appended
        .and_then(|mut file| writeln!(file, "{summary}"))
        .map_err(|source| CommandError::StepSummary { path: path.into(), source })?;
    Ok(printed?)
}
