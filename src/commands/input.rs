//! Reads files: profiles, keys, earlier results.

use super::error::CommandError;
use crate::compare::Run;
use crate::document::comparison::run as run_of;
use crate::document::sweeps::sweep;
use crate::document::{Document, MAX_DOCUMENT_BYTES};
use crate::plan::{Files, Overrides, RowFile, Spool, limits};
use crate::report::human;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Interval between progress lines while a file is read.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// Files on disk. Progress is reported while a large one is read.
#[derive(Debug)]
pub(super) struct Disk {
    /// True if progress is reported.
    tells: bool,
}

impl Disk {
    pub(super) fn of(overrides: &Overrides) -> Self {
        Self { tells: overrides.yes("quiet").is_ok_and(|quiet| quiet.is_none()) }
    }
}

impl Files for Disk {
    fn text(&mut self, path: &Path) -> io::Result<String> {
        read(path)
    }

    fn open(&mut self, path: &Path) -> io::Result<RowFile> {
        let size = refuse_endless(path)?;
        let file = File::open(path)?;
        let told = self.tells.then(|| Told::new(&path.display().to_string(), size));
        let file = Watched { file, told };
        Ok(RowFile { input: Box::new(BufReader::with_capacity(limits::ROW_READ_BYTES, file)), size })
    }

    fn spool(&mut self) -> io::Result<Arc<dyn Spool>> {
        let folder = spool_folder();
        let file = tempfile::tempfile_in(&folder);
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
        file.map(|file| Arc::new(Spooled { file, folder: folder.clone() }) as Arc<dyn Spool>).map_err(named)
    }
}

/// Returns `TMPDIR`, or else `/var/tmp`: `/tmp` is often in memory, and memory is what a spool
/// saves.
fn spool_folder() -> PathBuf {
    let on_disk = Path::new("/var/tmp");
    if std::env::var_os("TMPDIR").is_none() && on_disk.is_dir() { on_disk.to_owned() } else { std::env::temp_dir() }
}

/// A file without a name. The kernel removes it when it is closed.
struct Spooled {
    file: File,
    folder: PathBuf,
}

impl Spool for Spooled {
    fn write_at(&self, bytes: &[u8], start: u64) -> io::Result<()> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.folder.display()));
        self.file.write_all_at(bytes, start).map_err(named)
    }

    fn read_at(&self, into: &mut [u8], start: u64) -> io::Result<()> {
        self.file.read_exact_at(into, start)
    }
}

/// A file that is read, and the progress that is reported about it.
struct Watched {
    file: File,
    told: Option<Told>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        if let Some(told) = &mut self.told {
            let since = told.began.elapsed();
            if let Some(line) = told.after(n as u64, since) {
                // The progress line is optional, so a failed write is ignored.
                let _ = writeln!(io::stderr(), "{line}");
            }
        }
        Ok(n)
    }
}

/// The progress of reading a file.
struct Told {
    name: String,
    size: u64,
    read: u64,
    began: Instant,
    /// Time at which the next line is due.
    next: Duration,
}

impl Told {
    #[expect(clippy::disallowed_methods, reason = "for a line on the terminal, before any test begins")]
    fn new(name: &str, size: u64) -> Self {
        Self { name: name.to_owned(), size, read: 0, began: Instant::now(), next: TELL_EVERY }
    }

    /// Adds `n` bytes that were read, `since` the beginning. Returns a line if one is due.
    fn after(&mut self, n: u64, since: Duration) -> Option<String> {
        self.read += n;
        if since < self.next || self.read >= self.size {
            return None;
        }
        self.next = since + TELL_EVERY;
        let percent = self.read as f64 / self.size as f64 * 100.0;
        let size = human::bytes(self.size as f64);
        Some(format!("reading {}: {percent:.0} % of {size}", self.name.escape_debug()))
    }
}

/// Reads a file that a flag or profile names, up to the largest useful size.
pub(super) fn read(path: &Path) -> io::Result<String> {
    refuse_endless(path)?;
    let mut text = String::new();
    let most = limits::MAX_PROMPTS_BYTES as u64 + 1;
    let size = File::open(path)?.take(most).read_to_string(&mut text)?;
    if size as u64 == most {
        let problem = format!("it is larger than {} bytes", limits::MAX_PROMPTS_BYTES);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(text)
}

/// Refuses a pipe or device: it may never end, or may be readable only once. Returns the size of
/// the file.
fn refuse_endless(path: &Path) -> io::Result<u64> {
    let metadata = fs::metadata(path)?;
    let kind = metadata.file_type();
    if !kind.is_file() && !kind.is_dir() {
        let what = if kind.is_fifo() {
            "a pipe"
        } else if kind.is_socket() {
            "a socket"
        } else {
            "a device"
        };
        return Err(io::Error::other(format!("it is {what}: expected a regular file")));
    }
    Ok(metadata.len())
}

/// Reads a text of at most `most` bytes.
pub(super) fn read_text(path: &Path, most: usize) -> Result<String, CommandError> {
    let failed = |reason: String| CommandError::Result { path: path.to_path_buf(), reason };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| failed(format!("cannot read it: {error}")))?;
    let read = file.take(most as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| failed(format!("cannot read it: {error}")))?;
    if bytes.len() > most {
        return Err(failed(format!("it is larger than {most} bytes, the maximum")));
    }
    String::from_utf8(bytes).map_err(|_| failed("it is not text: expected the JSON that a run writes".to_owned()))
}

pub(super) fn document(path: &Path) -> Result<Document, CommandError> {
    let text = read_text(path, MAX_DOCUMENT_BYTES)?;
    Document::from_json(&text)
        .map_err(|error| CommandError::Result { path: path.to_path_buf(), reason: error.to_string() })
}

/// Reads the results to be compared: runs or sweeps.
pub(super) fn runs(paths: &[PathBuf]) -> Result<Vec<Run>, CommandError> {
    let run = |path: &PathBuf| {
        let failed = |reason: String| CommandError::Result { path: path.clone(), reason };
        let (name, text) = (path.display().to_string(), read_text(path, MAX_DOCUMENT_BYTES)?);
        if let Some(found) = sweep(&name, &text) {
            return found.map_err(|error| failed(error.to_string()));
        }
        let document = Document::from_json(&text).map_err(|error| failed(error.to_string()))?;
        run_of(&name, &document).map_err(|error| failed(error.to_string()))
    };
    paths.iter().map(run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_takes_long_says_how_far_it_is() {
        let mut told = Told::new("rows\n.jsonl", 2_000_000_000);
        assert_eq!(told.after(500_000_000, TELL_EVERY / 2), None, "too early");
        assert_eq!(told.after(500_000_000, TELL_EVERY).as_deref(), Some("reading rows\\n.jsonl: 50 % of 2.00 GB"));
        assert_eq!(told.after(1, TELL_EVERY + TELL_EVERY / 2), None, "it was just said");
        assert_eq!(told.after(999_999_999, TELL_EVERY * 9), None, "it is over");
    }

    #[test]
    fn files_are_read_up_to_a_limit() {
        assert!(read(Path::new("/nonexistent")).is_err());
        let folder = tempfile::tempdir().expect("a folder");
        let large = folder.path().join("large");
        let file = File::create(&large).expect("created");
        file.set_len(limits::MAX_PROMPTS_BYTES as u64 + 1).expect("sparse");
        assert_eq!(read(&large).expect_err("too large").kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn pipes_and_devices_are_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).expect("a link");
        for (path, what) in [(pipe.as_path(), "a pipe"), (&link, "a pipe"), (Path::new("/dev/zero"), "a device")] {
            let error = read(path).expect_err("refused").to_string();
            assert_eq!(error, format!("it is {what}: expected a regular file"));
        }
        let listener = std::os::unix::net::UnixListener::bind(folder.path().join("s")).expect("a socket");
        assert!(read(&folder.path().join("s")).expect_err("refused").to_string().contains("a socket"));
        drop(listener);
    }
}
