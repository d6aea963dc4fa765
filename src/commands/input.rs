//! Files that are read: profiles, keys, earlier results.

use super::error::CommandError;
use crate::compare::Run;
use crate::document::comparison::run as run_of;
use crate::document::{Document, MAX_DOCUMENT_BYTES};
use crate::plan::{Files, RowFile, limits};
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// Files on disk.
#[derive(Debug)]
pub(super) struct Disk;

impl Files for Disk {
    fn text(&mut self, path: &Path) -> io::Result<String> {
        read(path)
    }

    fn open(&mut self, path: &Path) -> io::Result<RowFile> {
        let size = refuse_endless(path)?;
        let input = BufReader::with_capacity(limits::ROW_READ_BYTES, File::open(path)?);
        Ok(RowFile { input: Box::new(input), size })
    }
}

/// Reads a file that a flag or profile names, up to the size of the largest that makes sense.
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

/// Refuses a pipe or device: it may never end, or give its text only once. Returns the size of a
/// file.
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

/// Reads a text up to a size.
pub(super) fn read_text(path: &Path, most: usize) -> Result<String, CommandError> {
    let failed = |reason: String| CommandError::Result { path: path.to_path_buf(), reason };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| failed(format!("cannot read it: {error}")))?;
    let read = file.take(most as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| failed(format!("cannot read it: {error}")))?;
    if bytes.len() > most {
        return Err(failed(format!("it is larger than {most} bytes, the most that is read")));
    }
    String::from_utf8(bytes).map_err(|_| failed("it is not text: expected the JSON that a run writes".to_owned()))
}

pub(super) fn document(path: &Path) -> Result<Document, CommandError> {
    let text = read_text(path, MAX_DOCUMENT_BYTES)?;
    Document::from_json(&text)
        .map_err(|error| CommandError::Result { path: path.to_path_buf(), reason: error.to_string() })
}

/// Results of runs that are to be compared.
pub(super) fn runs(paths: &[PathBuf]) -> Result<Vec<Run>, CommandError> {
    let run = |path: &PathBuf| {
        let failed = |reason: String| CommandError::Result { path: path.clone(), reason };
        run_of(&path.display().to_string(), &document(path)?).map_err(|error| failed(error.to_string()))
    };
    paths.iter().map(run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
