//! What the server says of itself at its `/metrics`, and the same as we saw it.

use crate::metrics::ServerLevel;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was read while the test ran.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerMetrics {
    /// Where.
    pub url: String,
    /// Whose names the numbers have; none if only those were found that were asked for.
    pub server: Option<String>,
    /// Answers that said something.
    pub readings: u64,
    /// Answers that did not, or did not come.
    pub failed: u64,
    /// The last reason for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// In the measurement window, by our names; those that were asked for by their own.
    pub numbers: BTreeMap<String, ServerNumber>,
    /// The server's numbers beside ours.
    pub compared: Vec<Compared>,
}

/// A number that the server says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerNumber {
    /// `requests`, `ratio`, `tokens/s`, `1/s`, or nothing.
    pub unit: String,
    /// Of a level, over the readings; of a count, per second.
    pub mean: f64,
    /// The highest that was read.
    pub max: f64,
    /// How much a count has grown in the window; none of a level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<f64>,
}

/// The same thing as the server says it and as we saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    pub name: String,
    /// `ms`, or nothing for counts.
    pub unit: String,
    pub server: f64,
    pub ours: f64,
    /// What explains a difference.
    pub note: String,
}

impl ServerMetrics {
    /// The numbers as thresholds know them, each with how many readings it is made of.
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
