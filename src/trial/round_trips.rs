//! The network's share of latency: round trips to the server, as the kernel measures them on the
//! test's own connections. Nothing is reported if the kernel has no measurements.

use crate::document::{Network, Quantiles};
use crate::metrics::{Distribution, Second};
use crate::net;
use crate::plan::Plan;
use crate::units::{Nanos, rounded};
use crate::watch::round_trips::{Peers, RoundTripWatch, RoundTrips};

/// Longest wait for a reading that is under way.
const LOOK_WITHIN: Nanos = Nanos::from_secs(1);

/// Begins to watch the plan's connections. `None` if they are not TCP connections.
pub(super) fn begin(plan: &Plan) -> Option<RoundTripWatch> {
    if plan.access.unix_socket.is_some() {
        return None;
    }
    let addrs = plan.targets().flat_map(|target| target.addrs.clone()).collect();
    let peers = Peers { addrs, any_address: plan.access.dns_ttl.is_some() };
    RoundTripWatch::start(net::established, peers, plan.window())
}

/// Ends the watch. Returns what was seen, and adds it to each second of `series`.
pub(super) fn end(watch: RoundTripWatch, plan: &Plan, series: &mut [Second]) -> Option<Network> {
    let seen = watch.finish(LOOK_WITHIN)?;
    for (at, median) in &seen.seconds {
        if let Some(second) = Second::read_at(series, *at) {
            second.rtt_ms = Some(rounded(median.as_millis_f64()));
        }
    }
    let RoundTrips { smoothed, least, connections, is_sample, segments, retransmitted, .. } = seen;
    Some(Network {
        rtt: quantiles(&smoothed),
        least_rtt: quantiles(&least),
        connections: connections as u64,
        is_sample,
        segments,
        retransmitted,
        to_proxy: plan.access.proxy.is_some(),
    })
}

fn quantiles(times: &Distribution) -> Option<Quantiles> {
    (times.count > 0).then(|| Quantiles::of(times))
}
