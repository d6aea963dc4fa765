//! Files for the resolver, which does no I/O itself.

use crate::dataset::Spool;
use std::io::{self, BufRead, Cursor};
use std::path::Path;
use std::sync::Arc;

/// The source of the files that a plan names.
pub trait Files {
    /// Reads a small file as a whole.
    fn text(&mut self, path: &Path) -> io::Result<String>;

    /// Opens a file of rows, which may be large.
    fn open(&mut self, path: &Path) -> io::Result<RowFile>;

    /// Creates a file for rows that do not fit into memory.
    fn spool(&mut self) -> io::Result<Arc<dyn Spool>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// An open file of rows.
pub struct RowFile {
    pub input: Box<dyn BufRead>,
    /// Its size in bytes.
    pub size: u64,
}

/// A function that returns texts is enough for most plans, and for tests.
impl<F: FnMut(&Path) -> io::Result<String>> Files for F {
    fn text(&mut self, path: &Path) -> io::Result<String> {
        self(path)
    }

    fn open(&mut self, path: &Path) -> io::Result<RowFile> {
        let text = self(path)?;
        let size = text.len() as u64;
        Ok(RowFile { input: Box::new(Cursor::new(text.into_bytes())), size })
    }
}
