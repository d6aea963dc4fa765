//! Reports to CI beside the results: a step summary and annotations.

use super::error::CommandError;
use super::output;
use crate::cli::environment::Environment;
use crate::document::Document;
use crate::plan::{Output, Presentation};
use crate::report::github;
use std::fs::OpenOptions;
use std::io::Write;

/// Largest size of a step summary: GitHub accepts a megabyte, and people read far less.
const MAX_SUMMARY: usize = 100_000;

/// Reports to CI how a run ended. A shard is not judged, so it is not reported.
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

/// Under GitHub Actions, appends to the step summary and prints a few annotations.
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
