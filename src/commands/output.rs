//! Where the results go.

use super::error::CommandError;
use super::place::Place;
use crate::document::Document;
use crate::plan::{Output, Presentation};
use crate::report::terminal::{self, Style};
use crate::trial::Stop;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

/// Columns where there is no terminal to ask.
const USUAL_WIDTH: u16 = 80;

/// `-` is standard output.
pub(super) fn place(given: Option<&String>) -> Option<Output> {
    given.map(|place| if place == "-" { Output::Stdout } else { Output::File(PathBuf::from(place)) })
}

pub(super) fn file(given: Option<&PathBuf>) -> Option<Output> {
    given.map(|path| Output::File(path.clone()))
}

/// Before the test: a place that cannot be written to is refused now, not after four minutes, and
/// so are two results for one place. Nothing is changed.
pub(super) fn check<'a>(outputs: impl IntoIterator<Item = Option<&'a Output>>) -> Result<(), CommandError> {
    let mut places: Vec<Place> = Vec::new();
    for output in outputs.into_iter().flatten() {
        let refused = |source| CommandError::OutputPlace { path: path_of(output), source };
        let place = Place::of(output).map_err(refused)?;
        place.check().map_err(refused)?;
        if places.iter().any(|other| other.clashes_with(&place)) {
            return Err(CommandError::SamePlace { path: path_of(output) });
        }
        places.push(place);
    }
    Ok(())
}

fn path_of(output: &Output) -> PathBuf {
    match output {
        Output::File(path) => path.clone(),
        Output::Stdout => "-".into(),
    }
}

/// Whether a result takes standard output.
pub(super) fn is_stdout(output: Option<&Output>) -> bool {
    output.is_some_and(|output| Place::of(output).is_ok_and(|place| place == Place::Stdout))
}

/// The result of a run that takes standard output, if one does.
pub(super) fn on_stdout(presentation: &Presentation) -> Option<Output> {
    let junit = file(presentation.junit.as_ref());
    [presentation.output.clone(), junit].into_iter().flatten().find(|output| is_stdout(Some(output)))
}

/// Prints text for people: on standard output, or beside it when the results go there. Whoever has
/// closed our pipe has seen enough: neither are the results lost for that, nor does the command end
/// otherwise.
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
    let terminal = if taken.is_some() { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    let text = terminal::render(document, Style { color: terminal && !presentation.no_color, width: width(terminal) });
    print(&text, taken.as_ref(), out, err)
}

/// Columns of the terminal.
pub(super) fn width(terminal: bool) -> u16 {
    let columns = terminal.then(|| console::Term::stderr().size_checked()).flatten().map(|(_, columns)| columns);
    columns.unwrap_or(USUAL_WIDTH)
}

pub(super) fn write(
    output: Option<&Output>,
    document: &Document,
    out: &mut dyn Write,
    stop: Option<&Stop>,
) -> Result<(), CommandError> {
    if output.is_none() { Ok(()) } else { write_text(output, &document.to_json(), out, stop) }
}

/// Writes a result. A file appears whole or not at all: an earlier result of that name is replaced
/// only by a complete one. A result whose place has failed goes to a file of its own, and the error
/// names it.
pub(super) fn write_text(
    output: Option<&Output>,
    text: &str,
    out: &mut dyn Write,
    stop: Option<&Stop>,
) -> Result<(), CommandError> {
    let Some(output) = output else { return Ok(()) };
    let written = Place::of(output).and_then(|place| place.write(text, out, stop));
    written.map_err(|source| CommandError::Results {
        path: path_of(output),
        source,
        rescued: super::place::rescue(text).ok(),
    })
}
