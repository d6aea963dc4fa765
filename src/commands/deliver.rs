//! Delivers the results of a run, or of a merged whole.

use super::error::CommandError;
use super::output::Written;
use super::{notify_ci, output};
use crate::cli::environment::Environment;
use crate::document::Document;
use crate::exit::ExitClass;
use crate::plan::Presentation;
use crate::report;
use crate::trial::Stop;
use std::io::Write;

/// Prints and writes the results. If one cannot be written, the others still are.
pub(super) fn results(
    document: &Document,
    presentation: &Presentation,
    environment: &Environment,
    stop: Option<&Stop>,
    (out, err): (&mut dyn Write, &mut dyn Write),
) -> ExitClass {
    let printed = output::print_summary(document, presentation, out, err).map_err(CommandError::from);
    let html = output::file(presentation.html.as_ref());
    // A shard is not judged. CI gets the verdict on the whole.
    let junit = output::file(presentation.junit.as_ref()).filter(|_| !document.is_shard());
    let results = [
        Written { flag: "--output", output: presentation.output.as_ref(), text: &|| document.to_json() },
        Written { flag: "--html", output: html.as_ref(), text: &|| report::html::of_run(document) },
        Written { flag: "--junit", output: junit.as_ref(), text: &|| report::junit::of_run(document) },
    ];
    let written = output::write_each(&results, (out, err), stop);
    let told = notify_ci::of_run(document, presentation, environment, (out, err));
    let mut class = document.verdict.exit();
    for error in [printed, written, told].into_iter().filter_map(Result::err) {
        // If stderr fails, nothing more can be done.
        let _ = writeln!(err, "error: {error}");
        // A lost result is a failure. A run that failed anyway keeps its exit code.
        class = class.or(ExitClass::Internal);
    }
    class
}
