//! The way to the server, as this machine's kernel knows it of the test's connections.

use super::Quantiles;
use serde::{Deserialize, Serialize};

/// What was seen in the measurement window, once a second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Round trip times in ms, as the kernel smooths them for each connection. They hold the time by
    /// which the other side delays its acknowledgements.
    pub rtt: Option<Quantiles>,
    /// The least round trip of each connection, in ms: what the way itself takes.
    pub least_rtt: Option<Quantiles>,
    /// Most connections that were seen at once.
    pub connections: u64,
    /// Whether there were more than were looked at.
    pub is_sample: bool,
    /// Segments with data that these connections sent, repeats among them.
    pub segments: u64,
    /// Segments that were sent again.
    pub retransmitted: u64,
    /// Whether the way ends at a proxy.
    pub to_proxy: bool,
}

impl Network {
    /// What of the time to first token is one round trip, if both are known: the medians, in ms.
    pub(crate) fn share(&self, ttft: Option<f64>) -> Option<(f64, f64)> {
        let round_trip = self.least_rtt?.p50;
        ttft.filter(|&ttft| ttft > 0.0 && round_trip <= ttft).map(|ttft| (ttft, round_trip))
    }
}
