//! What open load does when all users are busy.

/// What becomes of an arrival that finds all users busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFull {
    /// It waits for the next free one, and its time runs from when it was due.
    Queue,
    /// It is not made, and counted as dropped.
    Drop,
}

impl OnFull {
    /// Its name in profiles.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Drop => "drop",
        }
    }
}
