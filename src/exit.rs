//! Exit codes: one number for each way in which the program ends.

/// How the program ends, each with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitClass {
    /// It ran, and every threshold held.
    Success = 0,
    /// The command line cannot be understood.
    Usage = 2,
    /// A threshold (k6's number) or an endpoint failed.
    ThresholdFailed = 99,
    /// Profile, threshold or environment are invalid.
    Configuration = 104,
    /// Stopped by a signal; a partial report was written.
    Interrupted = 105,
    /// Nothing usable was measured: target unreachable, server did not start, not one success.
    NoData = 107,
    /// A defect of this tool, or a result that could not be written.
    Internal = 109,
    /// A part of the run is missing, or runs cannot be compared.
    Incomplete = 110,
    /// The client was the bottleneck, and that was to be an error.
    Invalid = 111,
}

impl ExitClass {
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Another end, unless this one is a failure already: that keeps its reason.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        if matches!(self, Self::Success) { other } else { self }
    }
}
