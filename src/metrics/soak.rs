//! Changes of the server and this client over time: memory, CPU, and drift of latency.

use super::Second;
use super::growth::{Drift, Growth, drift, memory};
use super::series::Quantiles;
use crate::units::Nanos;

/// The seconds of a run to examine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// The actual measurement window.
    pub window: (Nanos, Nanos),
    /// The longest part of the window in which the load was constant.
    pub level: Option<(Nanos, Nanos)>,
    /// True if a warm-up was configured, so that the server was warm when the window began.
    pub warm: bool,
}

/// Observations over time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Soak {
    /// The server's resident memory.
    pub server: Option<Growth>,
    pub client: Option<Growth>,
    /// Drift of latencies in ms by name, such as `http_req_duration_p95`.
    pub drift: Vec<(&'static str, Drift)>,
    /// The server's mean CPU use in cores, and the number of seconds it is computed from.
    pub server_cpu: Option<(f64, u64)>,
    /// The server's highest resident memory in bytes, and the number of seconds it is computed
    /// from.
    pub server_rss_max: Option<(u64, u64)>,
}

/// Without a warm-up, one part in this many is skipped at the beginning of a level stretch.
const SETTLING: u64 = 10;

pub fn soak(series: &[Second], times: Times) -> Soak {
    let within = |(from, until): (Nanos, Nanos)| {
        series.iter().filter(move |second| {
            let begin = Nanos::from_secs(u64::from(second.t_s));
            from <= begin && begin + Nanos::from_secs(1) <= until
        })
    };
    let cpu: Vec<f64> = within(times.window).filter_map(|second| second.server_cpu).collect();
    let rss: Vec<u64> = within(times.window).filter_map(|second| second.server_rss_bytes).collect();
    let mut soak = Soak {
        server_cpu: (!cpu.is_empty()).then(|| (cpu.iter().sum::<f64>() / cpu.len() as f64, cpu.len() as u64)),
        server_rss_max: rss.iter().max().map(|max| (*max, rss.len() as u64)),
        ..Soak::default()
    };
    let Some((from, until)) = times.level else { return soak };
    let until = until.min(times.window.1);
    let settling = if times.warm { Nanos::ZERO } else { Nanos(until.since(from).0 / SETTLING) };
    let level: Vec<&Second> = within((from + settling, until)).collect();
    // Memory is read at the end of its second. The numbers of a second are known then too.
    let memory_of = |bytes: fn(&Second) -> Option<u64>| {
        let points = level.iter().filter_map(|second| Some((f64::from(second.t_s + 1), bytes(second)? as f64)));
        memory(&points.collect::<Vec<_>>())
    };
    soak.server = memory_of(|second| second.server_rss_bytes);
    soak.client = memory_of(|second| second.client_rss_bytes);
    soak.drift = drifts(level.iter().filter_map(|second| Some((second.t_s, second.http_req_duration?))));
    soak
}

/// Returns the drift of latency by name, from the percentiles of the seconds of a stretch.
pub fn drifts(seconds: impl Iterator<Item = (u32, Quantiles)>) -> Vec<(&'static str, Drift)> {
    let point = |(t_s, q): (u32, Quantiles)| (f64::from(t_s + 1), q);
    let (p50, p95): (Vec<_>, Vec<_>) = seconds.map(point).map(|(at, q)| ((at, q.p50), (at, q.p95))).unzip();
    let by_name = [("http_req_duration_p50", p50), ("http_req_duration_p95", p95)];
    by_name.into_iter().filter_map(|(name, points)| Some((name, drift(&points)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Tally;
    use crate::metrics::growth::Trending;

    /// A series of 200 s. The values in the ramp from 0 to 40 and after 160 are erratic.
    fn series() -> Vec<Second> {
        let second = |t_s: u32| {
            let wild = !(40..160).contains(&t_s);
            Second {
                server_rss_bytes: Some(if wild { u64::from(t_s) * 1_000_000 } else { 40_000_000 }),
                client_rss_bytes: Some(9_000_000 + u64::from(t_s) * 10_000),
                server_cpu: Some(if wild { 0.5 } else { 1.5 }),
                ..Second::new(t_s, &Tally::new(1), &[])
            }
        };
        (0..200).map(second).collect()
    }

    fn times(window: (u64, u64), level: Option<(u64, u64)>, warm: bool) -> Times {
        let s = Nanos::from_secs;
        Times { window: (s(window.0), s(window.1)), level: level.map(|(from, until)| (s(from), s(until))), warm }
    }

    #[test]
    fn growth_is_judged_where_the_load_is_level() {
        let soak = soak(&series(), times((0, 200), Some((40, 160)), false));
        let server = soak.server.expect("watched");
        assert_eq!((server.from_s, server.to_s, server.verdict), (53.0, 160.0, Trending::Stable));
        assert_eq!(soak.client.map(|growth| growth.verdict), Some(Trending::Growing), "36 MB/h");
        assert_eq!(soak.server_cpu, Some((1.1, 200)));
        assert_eq!(soak.server_rss_max, Some((199_000_000, 200)));
        assert!(soak.drift.is_empty(), "no request was answered");
    }

    #[test]
    fn a_warm_up_leaves_nothing_more_out_and_a_stop_ends_it() {
        let soak = soak(&series(), times((40, 120), Some((40, 160)), true));
        assert_eq!(soak.server.map(|growth| (growth.from_s, growth.to_s)), Some((41.0, 120.0)));
        assert_eq!(soak.server_rss_max, Some((40_000_000, 80)));
    }

    #[test]
    fn nothing_is_judged_without_a_level_stretch_or_a_series() {
        let soak_of = |series: &[Second], level| soak(series, times((0, 200), level, false));
        assert_eq!(soak_of(&series(), None).server, None);
        assert_eq!(soak_of(&[], Some((0, 200))), Soak::default());
    }
}
