//! `report`: an old run in another form. It ends as the run did.

use super::error::CommandError;
use super::output::Written;
use super::{input, output};
use crate::cli::args::ReportArgs;
use crate::cli::environment::Environment;
use crate::exit::ExitClass;
use crate::plan::Presentation;
use crate::report::{csv, hgrm, html, junit, vllm};
use std::io::Write;

/// Prints a result again.
pub(super) fn run(
    args: &ReportArgs,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<ExitClass, CommandError> {
    let places = [output::file(args.html.as_ref()), output::file(args.junit.as_ref())];
    let [page, xml] = places.each_ref().map(Option::as_ref);
    output::check([("--html", page), ("--junit", xml)])?;
    let document = input::document(&args.file)?;
    let text = if args.csv {
        csv::render(&document)
    } else if args.hgrm {
        let none = "series: it has no histograms per second, because an earlier build wrote it".to_owned();
        hgrm::render(&document).ok_or_else(|| CommandError::Result { path: args.file.clone(), reason: none })?
    } else if args.compat.is_some() {
        vllm::render(&document)
    } else {
        let no_color = args.no_color || environment.forbids_color().is_some();
        let presentation =
            Presentation { no_color, html: args.html.clone(), junit: args.junit.clone(), ..Presentation::default() };
        output::print_summary(&document, &presentation, out, err)?;
        String::new()
    };
    out.write_all(text.as_bytes())?;
    out.flush()?;
    let results = [
        Written { flag: "--html", output: page, text: &|| html::of_run(&document) },
        Written { flag: "--junit", output: xml, text: &|| junit::of_run(&document) },
    ];
    output::write_each(&results, (out, err), None)?;
    Ok(document.verdict.exit())
}
