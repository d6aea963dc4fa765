//! Rows that do not fit into memory. Their bytes lie in a file of their own, as they will be sent,
//! so that nothing is read, checked or rendered twice, and the data set itself may change meanwhile.

use std::fmt;
use std::io;
use std::sync::Arc;

/// A file that takes what does not fit into memory. It vanishes with its last user.
pub trait Spool: Send + Sync {
    /// Writes all bytes at `start`, in bytes from the beginning.
    fn write_at(&self, bytes: &[u8], start: u64) -> io::Result<()>;

    /// Fills `into` with the bytes at `start`. Fewer bytes than that are an error.
    fn read_at(&self, into: &mut [u8], start: u64) -> io::Result<()>;
}

/// Makes a spool when it is needed.
pub type MakeSpool<'a> = dyn FnMut() -> io::Result<Arc<dyn Spool>> + 'a;

/// The bytes of rows that are not in memory.
#[derive(Clone)]
pub(super) struct Spooled {
    pub(super) file: Arc<dyn Spool>,
    /// Bytes that were written.
    pub(super) written: u64,
    /// Of each row, what it sends. Two of ten million rows that differ have the same with a chance
    /// of 1 in 100,000.
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

/// In memory, for tests.
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
