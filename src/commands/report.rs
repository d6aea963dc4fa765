//! `report`: prints an earlier run in another form. Its exit code is that of the run.

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
    let print = |text: String, out: &mut dyn Write, err: &mut dyn Write| output::print(&text, None, out, err);
    let printed = if args.csv {
        print(csv::render(&document), out, err)
    } else if args.hgrm {
        let none = "series: it has no histograms per second, because an earlier build wrote it".to_owned();
        let text = hgrm::render(&document);
        let text = text.ok_or_else(|| CommandError::Result { path: args.file.clone(), reason: none })?;
        print(text, out, err)
    } else if args.compat.is_some() {
        print(vllm::render(&document), out, err)
    } else {
        let no_color = args.no_color || environment.forbids_color().is_some();
        let presentation = Presentation {
            no_color,
            details: args.details,
            html: args.html.clone(),
            junit: args.junit.clone(),
            ..Presentation::default()
        };
        output::print_summary(&document, &presentation, out, err)
    };
    let results = [
        Written { flag: "--html", output: page, text: &|| html::of_run(&document) },
        Written { flag: "--junit", output: xml, text: &|| junit::of_run(&document) },
    ];
    output::write_each(&results, (out, err), None)?;
    printed?;
    Ok(document.verdict.exit())
}
