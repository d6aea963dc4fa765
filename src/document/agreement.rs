//! Numbers that the server and the client both report.

use serde::{Deserialize, Serialize};

/// Two counts of the same requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// Requests that we sent, of the kinds that the server counts.
    pub ours: u64,
    /// Requests that the server counted.
    pub server: u64,
    /// The same for the errors that the server counts by sort. Absent if neither side saw any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ErrorAgreement>,
}

/// Two counts of the same errors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorAgreement {
    /// The server's name for them.
    pub name: String,
    /// The statuses that they have.
    pub statuses: Vec<u16>,
    /// Responses with these statuses that we received.
    pub ours: u64,
    /// Errors that the server counted.
    pub server: u64,
}

/// Two numbers that should agree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgreementLine {
    pub name: String,
    /// The number that the server is configured to, or has counted.
    pub server: f64,
    /// The number that we measured or counted.
    pub ours: f64,
    /// The largest difference that is allowed. Zero for counts. For times it allows for the
    /// server's timers and the number of samples.
    pub tolerance: f64,
    /// `ms`, or empty for counts.
    pub unit: String,
    pub agree: bool,
}
