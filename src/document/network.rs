//! The network path to the server, as this machine's kernel sees it on the test's connections.

use super::Quantiles;
use serde::{Deserialize, Serialize};

/// Observations in the measurement window, made once a second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Round trip times in ms, as the kernel smooths them for each connection. They include the
    /// time by which the other side delays its acknowledgements.
    pub rtt: Option<Quantiles>,
    /// The least round trip of each connection, in ms: the time of the path itself.
    pub least_rtt: Option<Quantiles>,
    /// Most connections that were seen at the same time.
    pub connections: u64,
    /// True if there were more connections than were inspected.
    pub is_sample: bool,
    /// Segments with data that these connections sent, including repeated ones.
    pub segments: u64,
    /// Segments that were sent again.
    pub retransmitted: u64,
    /// True if the path ends at a proxy.
    pub to_proxy: bool,
}

impl Network {
    /// Returns the median time to first token and the part of it that is one round trip, in ms, if
    /// both are known.
    pub(crate) fn share(&self, ttft: Option<f64>) -> Option<(f64, f64)> {
        let round_trip = self.least_rtt?.p50;
        ttft.filter(|&ttft| ttft > 0.0 && round_trip <= ttft).map(|ttft| (ttft, round_trip))
    }
}
