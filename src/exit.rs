//! Exit codes: one number for each way in which the program ends.

/// The ways in which the program ends, each with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitClass {
    /// The run completed, and every threshold held.
    Success = 0,
    /// The command line cannot be understood.
    Usage = 2,
    /// A threshold or an endpoint failed. k6 has the same number for thresholds.
    ThresholdFailed = 99,
    /// The profile, a threshold or the environment is invalid.
    Configuration = 104,
    /// Stopped by a signal; a partial report was written.
    Interrupted = 105,
    /// Nothing usable was measured: the target was unreachable, the server did not start, or no
    /// request succeeded.
    NoData = 107,
    /// A defect of this tool, or a result that could not be written.
    Internal = 109,
    /// A part of the run is missing, or runs cannot be compared.
    Incomplete = 110,
    /// The client was the bottleneck, and the user asked to treat that as an error.
    Invalid = 111,
}

impl ExitClass {
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Returns `other` if this class is success. A failure keeps its own reason.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        if matches!(self, Self::Success) { other } else { self }
    }
}
