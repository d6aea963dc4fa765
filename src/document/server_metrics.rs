//! The server's own metrics from its `/metrics`, beside ours.

use crate::metrics::ServerLevel;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The numbers that were read while the test ran.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerMetrics {
    /// The URL.
    pub url: String,
    /// The server whose names were recognized. `None` if only requested numbers were found.
    pub server: Option<String>,
    /// Responses with numbers.
    pub readings: u64,
    /// Responses without numbers, and those that did not come.
    pub failed: u64,
    /// The last reason for such a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Numbers in the measurement window, by our names. Requested numbers keep the server's names.
    pub numbers: BTreeMap<String, ServerNumber>,
    /// The server's numbers beside ours.
    pub compared: Vec<Compared>,
}

/// A number of the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerNumber {
    /// `requests`, `ratio`, `tokens/s`, `1/s`, or empty.
    pub unit: String,
    /// For a level, the mean over the readings. For a count, its growth per second.
    pub mean: f64,
    /// The highest reading.
    pub max: f64,
    /// The growth of a count in the window. `None` for a level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<f64>,
}

/// A number as the server and the client see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    pub name: String,
    /// `ms`, or empty for counts.
    pub unit: String,
    pub server: f64,
    pub ours: f64,
    /// An explanation of a difference.
    pub note: String,
}

impl ServerMetrics {
    /// Returns the numbers as thresholds know them, each with its number of readings.
    pub(crate) fn levels(&self) -> Vec<(ServerLevel, f64, u64)> {
        let of = |level: ServerLevel| {
            let number = self.numbers.get(level.name())?;
            let value = match level {
                ServerLevel::Preemptions => number.total?,
                ServerLevel::PrefixHits => number.mean,
                _ => number.max,
            };
            Some((level, value, self.readings))
        };
        ServerLevel::SAID.into_iter().filter_map(of).collect()
    }
}
