//! Rows that do not fit into memory. Their bytes are in a file of their own, rendered as they will
//! be sent. So nothing is read, checked or rendered twice, and the data set itself may change
//! meanwhile.

use std::fmt;
use std::io;
use std::sync::Arc;

/// A file for the rows that do not fit into memory. It disappears when its last user drops it.
pub trait Spool: Send + Sync {
    /// Writes all bytes at offset `start`.
    fn write_at(&self, bytes: &[u8], start: u64) -> io::Result<()>;

    /// Fills `into` with the bytes at offset `start`. Fails if there are fewer bytes.
    fn read_at(&self, into: &mut [u8], start: u64) -> io::Result<()>;
}

/// Creates a spool when it is needed.
pub type MakeSpool<'a> = dyn FnMut() -> io::Result<Arc<dyn Spool>> + 'a;

/// The bytes of rows that are not in memory.
#[derive(Clone)]
pub(super) struct Spooled {
    pub(super) file: Arc<dyn Spool>,
    /// Number of bytes written.
    pub(super) written: u64,
    /// A hash of each row's content. The chance that two different rows among ten million have the
    /// same hash is about 1 in 370,000.
    pub(super) hashes: Vec<u64>,
}

impl fmt::Debug for Spooled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spooled").field("written", &self.written).finish_non_exhaustive()
    }
}

impl PartialEq for Spooled {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.file, &other.file) && self.hashes == other.hashes
    }
}

impl Eq for Spooled {}

/// A spool in memory, for tests.
#[cfg(test)]
impl Spool for std::sync::Mutex<Vec<u8>> {
    fn write_at(&self, bytes: &[u8], start: u64) -> io::Result<()> {
        let mut all = self.lock().expect("nobody has panicked");
        assert_eq!(all.len() as u64, start, "it is written from the beginning to the end");
        all.extend_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, into: &mut [u8], start: u64) -> io::Result<()> {
        let all = self.lock().expect("nobody has panicked");
        let bytes = all.get(start as usize..start as usize + into.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(bytes);
        Ok(())
    }
}
