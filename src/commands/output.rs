//! Where the results go.

use super::error::CommandError;
use crate::document::Document;
use crate::plan::{Output, Presentation};
use crate::report::terminal::{self, Style};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Columns where there is no terminal to ask.
const USUAL_WIDTH: u16 = 80;

/// `-` is standard output.
pub(super) fn place(given: Option<&String>) -> Option<Output> {
    given.map(|place| if place == "-" { Output::Stdout } else { Output::File(PathBuf::from(place)) })
}

pub(super) fn file(given: Option<&PathBuf>) -> Option<Output> {
    given.map(|path| Output::File(path.clone()))
}

/// Before the test: a place that cannot be written to is refused now, not after four minutes. Nothing is changed.
pub(super) fn check(output: Option<&Output>) -> Result<(), CommandError> {
    let Some(Output::File(path)) = output else { return Ok(()) };
    let checked = if is_special(path) {
        OpenOptions::new().write(true).open(path).map(drop)
    } else if path.is_dir() {
        Err(io::ErrorKind::IsADirectory.into())
    } else {
        beside(path).map(drop)
    };
    checked.map_err(|source| CommandError::OutputPlace { path: path.clone(), source })
}

/// Whether the JSON takes standard output.
pub(super) const fn is_stdout(output: Option<&Output>) -> bool {
    matches!(output, Some(Output::Stdout))
}

/// Prints text for people: on standard output, or beside it when the results go there. Whoever has closed our pipe has seen enough:
/// neither are the results lost for that, nor does the command end otherwise.
pub(super) fn print(text: &str, output: Option<&Output>, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()> {
    let place: &mut dyn Write = if is_stdout(output) { err } else { out };
    match place.write_all(text.as_bytes()).and_then(|()| place.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Prints the summary.
pub(super) fn print_summary(
    document: &Document,
    presentation: &Presentation,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<()> {
    let beside = is_stdout(presentation.output.as_ref());
    let terminal = if beside { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    let text = terminal::render(document, Style { color: terminal && !presentation.no_color, width: width(terminal) });
    print(&text, presentation.output.as_ref(), out, err)
}

/// Columns of the terminal.
pub(super) fn width(terminal: bool) -> u16 {
    let columns = terminal.then(|| console::Term::stderr().size_checked()).flatten().map(|(_, columns)| columns);
    columns.unwrap_or(USUAL_WIDTH)
}

/// Writes the document.
pub(super) fn write(output: Option<&Output>, document: &Document, out: &mut dyn Write) -> Result<(), CommandError> {
    if output.is_none() { Ok(()) } else { write_text(output, &document.to_json(), out) }
}

/// Writes a result. A file appears whole or not at all: an earlier result of that name is replaced only by a complete one.
pub(super) fn write_text(output: Option<&Output>, text: &str, out: &mut dyn Write) -> Result<(), CommandError> {
    let written = match output {
        None => return Ok(()),
        Some(Output::Stdout) => out.write_all(text.as_bytes()).and_then(|()| out.flush()),
        Some(Output::File(path)) if is_special(path) => {
            OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(text.as_bytes()))
        }
        Some(Output::File(path)) => replace(path, text),
    };
    let path = match output {
        Some(Output::File(path)) => path.clone(),
        _ => "-".into(),
    };
    written.map_err(|source| CommandError::Results { path, source })
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut file = beside(path)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// A temporary file in the folder of `path`, with the permissions that a new file gets.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    tempfile::Builder::new().prefix(".llmsim-blast-").permissions(Permissions::from_mode(0o666)).tempfile_in(folder)
}

/// A device, a pipe: written to as it is, not replaced.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &Path) -> String {
        check(Some(&Output::File(path.to_path_buf()))).expect_err("refused").to_string()
    }

    #[test]
    fn a_place_that_cannot_be_written_to_is_refused_before_the_test() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("missing").join("r.json");
        let error = refused(&missing);
        assert!(error.contains("--output") && error.contains("missing"), "{error}");
        assert!(refused(folder.path()).contains("directory"));
    }

    #[test]
    fn checking_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("r.json");
        fs::write(&path, "the earlier result").expect("written");
        check(Some(&Output::File(path.clone()))).expect("fine");
        assert_eq!(fs::read_to_string(&path).expect("still there"), "the earlier result");
        assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 1);
    }

    #[test]
    fn a_file_is_replaced_whole_with_usual_permissions() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("r.json");
        replace(&path, "one").expect("written");
        replace(&path, "two").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("there"), "two");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_ne!(mode & 0o044, 0, "others may read it, as far as the umask allows: {mode:o}");
    }
}
