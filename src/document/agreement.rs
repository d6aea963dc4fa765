//! Two numbers for one thing: what the server says, and what was seen.

use serde::{Deserialize, Serialize};

/// Two counts of the same requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// Requests we sent of the kinds that the server counts.
    pub ours: u64,
    /// What the server counted.
    pub server: u64,
    /// The same of the errors that the server counts by sort; absent when it counted none and we
    /// saw none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ErrorAgreement>,
}

/// Two counts of the same errors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorAgreement {
    /// What the server calls them.
    pub name: String,
    /// The statuses we know them by.
    pub statuses: Vec<u16>,
    /// Answers with these statuses that we got.
    pub ours: u64,
    /// What the server counted.
    pub server: u64,
}

/// Two numbers that should agree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgreementLine {
    pub name: String,
    /// What the server is configured to do, or has counted.
    pub server: f64,
    /// What we measured or counted.
    pub ours: f64,
    /// What they may differ by: nothing for counts, and for times what the server's timers and the
    /// number of samples allow.
    pub tolerance: f64,
    /// `ms`, or nothing for counts.
    pub unit: String,
    pub agree: bool,
}
