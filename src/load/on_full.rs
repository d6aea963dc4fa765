//! The two ways in which an open loop treats arrivals while all users are busy.

/// The fate of an arrival that finds all users busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFull {
    /// The arrival waits for the next free user. Its latency counts from the instant when it was
    /// due.
    Queue,
    /// The arrival is not sent, and is counted as dropped.
    Drop,
}

impl OnFull {
    /// Returns its name in profiles.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Drop => "drop",
        }
    }
}
