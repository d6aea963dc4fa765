//! Writes results to their places.

use super::error::CommandError;
use super::place::Place;
use crate::document::Document;
use crate::plan::{Output, Presentation};
use crate::report::terminal::{self, Style};
use crate::trial::Stop;
use console::Term;
use std::io::{self, Write};
use std::path::PathBuf;

/// Columns if there is no terminal.
const USUAL_WIDTH: u16 = 80;

/// Parses a place. `-` is standard output.
pub(super) fn place(given: Option<&String>) -> Option<Output> {
    given.map(|place| if place == "-" { Output::Stdout } else { Output::File(PathBuf::from(place)) })
}

pub(super) fn file(given: Option<&PathBuf>) -> Option<Output> {
    given.map(|path| Output::File(path.clone()))
}

/// Checks the places of results before the test: a place that cannot be written to is refused now
/// rather than after the test, and so are two results for the same place. Nothing is changed.
pub(super) fn check<'a>(
    outputs: impl IntoIterator<Item = (&'static str, Option<&'a Output>)>,
) -> Result<(), CommandError> {
    let mut places: Vec<Place> = Vec::new();
    for (flag, output) in outputs.into_iter().filter_map(|(flag, output)| Some((flag, output?))) {
        let refused = |source| CommandError::OutputPlace { flag, path: output.path().to_owned(), source };
        let place = Place::of(output).map_err(refused)?;
        place.check().map_err(refused)?;
        if places.iter().any(|other| other.clashes_with(&place)) {
            return Err(CommandError::SamePlace { path: output.path().to_owned() });
        }
        places.push(place);
    }
    Ok(())
}

/// Checks the places of all results of a run.
pub(super) fn check_all(presentation: &Presentation) -> Result<(), CommandError> {
    let [json, html, xml, requests] = places(presentation);
    check([
        ("--output", json.as_ref()),
        ("--html", html.as_ref()),
        ("--junit", xml.as_ref()),
        ("--requests", requests.as_ref()),
    ])
}

/// Returns the places of the document, the report page, the JUnit file and the requests of a run.
fn places(presentation: &Presentation) -> [Option<Output>; 4] {
    let requests = presentation.requests.as_ref().map(|file| file.place.clone());
    [presentation.output.clone(), file(presentation.html.as_ref()), file(presentation.junit.as_ref()), requests]
}

/// Returns true if a result goes to standard output.
pub(super) fn is_stdout(output: Option<&Output>) -> bool {
    output.is_some_and(|output| Place::of(output).is_ok_and(|place| place == Place::Stdout))
}

/// Returns the place of the result that goes to standard output, if there is one.
pub(super) fn on_stdout(presentation: &Presentation) -> Option<Output> {
    places(presentation).into_iter().flatten().find(|output| is_stdout(Some(output)))
}

/// Prints text for people: on standard output, or on stderr if a result goes to standard output. A
/// reader that closes the pipe has seen enough: the results are still written, and the exit code
/// does not change.
pub(super) fn print(text: &str, output: Option<&Output>, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()> {
    let place: &mut dyn Write = if is_stdout(output) { err } else { out };
    match place.write_all(text.as_bytes()).and_then(|()| place.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn print_summary(
    document: &Document,
    presentation: &Presentation,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<()> {
    let taken = on_stdout(presentation);
    let render = if presentation.details { terminal::render } else { terminal::render_brief };
    let text = render(document, style(taken.as_ref(), presentation.no_color));
    print(&text, taken.as_ref(), out, err)
}

/// Returns the style of a printed page. The page goes to stderr if a result has `taken` standard
/// output.
pub(super) fn style(taken: Option<&Output>, no_color: bool) -> Style {
    let page = if taken.is_some() { Term::stderr() } else { Term::stdout() };
    Style { color: page.is_term() && !no_color, width: width(&page) }
}

/// Returns the columns of a terminal, or the default if it is not a terminal.
pub(super) fn width(of: &Term) -> u16 {
    of.size_checked().map_or(USUAL_WIDTH, |(_, columns)| columns)
}

/// One result: its flag, its place if it was requested, and the function that makes it.
pub(super) struct Written<'a> {
    pub(super) flag: &'static str,
    pub(super) output: Option<&'a Output>,
    pub(super) text: &'a dyn Fn() -> String,
}

/// Writes results. If one cannot be written, the others still are. The first error is returned; any
/// others are printed.
pub(super) fn write_each(
    results: &[Written<'_>],
    (out, err): (&mut dyn Write, &mut dyn Write),
    stop: Option<&Stop>,
) -> Result<(), CommandError> {
    let mut first = Ok(());
    for Written { flag, output, text } in results.iter().filter(|written| written.output.is_some()) {
        match (write_text((flag, *output), &text(), out, stop), &first) {
            // If stderr fails, nothing more can be done.
            (Err(error), Err(_)) => drop(writeln!(err, "error: {error}")),
            (Err(error), Ok(())) => first = Err(error),
            (Ok(()), _) => {}
        }
    }
    first
}

/// Writes the document of a sweep and its report page.
pub(super) fn write_json_and_page(
    presentation: &Presentation,
    json: &dyn Fn() -> String,
    page: &dyn Fn() -> String,
    (out, err): (&mut dyn Write, &mut dyn Write),
    stop: &Stop,
) -> Result<(), CommandError> {
    let html = file(presentation.html.as_ref());
    let results = [
        Written { flag: "--output", output: presentation.output.as_ref(), text: json },
        Written { flag: "--html", output: html.as_ref(), text: page },
    ];
    write_each(&results, (out, err), Some(stop))
}

/// Writes a result. A file appears whole or not at all: an earlier result of that name is replaced
/// only by a complete one. If the place fails, the result goes to a temporary file, which the error
/// names.
pub(super) fn write_text(
    (flag, output): (&'static str, Option<&Output>),
    text: &str,
    out: &mut dyn Write,
    stop: Option<&Stop>,
) -> Result<(), CommandError> {
    let Some(output) = output else { return Ok(()) };
    let written = Place::of(output).and_then(|place| place.write(text, out, stop));
    written.map_err(|source| CommandError::Results {
        flag,
        path: output.path().to_owned(),
        source,
        rescued: super::place::rescue(text).ok(),
    })
}
