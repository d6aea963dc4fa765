//! Is this run valid? The tool judges itself: was it the server that was measured, or a client that could not keep up?
//!
//! Each [`Signal`] is one number with two limits and advice. The worst of them is the verdict of the run. Percentiles of a strained
//! client deserve care; a bottlenecked client's say little about the server.

use super::{Counter, Gauge, Second, Summary, Trend};

/// A judgement of the client, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Validity {
    /// It kept up.
    Ok,
    /// It came near its limit.
    Strained,
    /// It was at its limit.
    Bottleneck,
}

/// One thing the client is judged by. Plain data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Signal {
    /// What.
    pub name: &'static str,
    /// What was measured, in the unit of its name (a share where there is none).
    pub value: f64,
    /// Beyond which the client is strained.
    pub strained_above: f64,
    /// Beyond which it is a bottleneck.
    pub limit: f64,
    /// The judgement.
    pub verdict: Validity,
    /// What to do about it.
    pub advice: &'static str,
}

/// What the kernel counted on this machine during the run. Plain data.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct KernelCounts {
    /// Share of CPU time that other guests of the host took.
    pub steal: f64,
    /// Packets that were dropped because a core's queue was full.
    pub dropped: u64,
    /// TCP segments sent.
    pub segments_sent: u64,
    /// TCP segments sent again.
    pub segments_retransmitted: u64,
}

/// What is judged.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The whole run.
    pub summary: &'a Summary,
    /// Second by second.
    pub series: &'a [Second],
    /// What the kernel counted; none where it does not tell.
    pub kernel: Option<KernelCounts>,
    /// Limit of file descriptors; none where it is not known.
    pub nofile: Option<u64>,
}

/// Descriptors beyond this share of the limit are too many for comfort.
const FILES_STRAINED: f64 = 0.9;

/// All signals that there is evidence for.
pub fn signals(evidence: &Evidence<'_>) -> Vec<Signal> {
    let Evidence { summary, series, kernel, nofile } = evidence;
    let mut signals = Vec::new();
    let mut add = |name, value: Option<f64>, strained_above: f64, limit: f64, advice| {
        if let Some(value) = value {
            let verdict = match value {
                v if v > limit => Validity::Bottleneck,
                v if v > strained_above => Validity::Strained,
                _ => Validity::Ok,
            };
            signals.push(Signal { name, value, strained_above, limit, verdict, advice });
        }
    };
    let p99 = |trend| summary.trend(trend, None).map(|d| d.percentile_ms(99.0));
    let count = |counter| summary.counter(counter, None).map_or(0, |c| c.count);
    let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);

    // The first second warms up and the last is cut short; a run that has no others is judged by all it has.
    let whole = if series.len() > 3 { &series[1..series.len() - 1] } else { series };
    let mean =
        |of: fn(&Second) -> f64| (!whole.is_empty()).then(|| whole.iter().map(of).sum::<f64>() / whole.len() as f64);
    add(
        "worker_cpu",
        mean(|second| second.busiest_worker_cpu),
        0.85,
        0.95,
        "use more workers (--workers), leave them more cores, or use fewer users",
    );
    add(
        "run_queue_wait",
        mean(|second| second.run_queue_wait),
        0.02,
        0.10,
        "other programs compete for the workers' cores: stop them, or run the server on another machine",
    );
    // With stamps lateness is not in the numbers, but it hides the single gaps of tokens that were read together, and delays the next
    // request of each user.
    add(
        "client_lag_p99_ms",
        p99(Trend::ClientLag),
        2.0,
        10.0,
        "the workers were late to read: stalls of this machine, or too much load for them; use more workers or fewer users",
    );
    add(
        "pass_length_p99_ms",
        p99(Trend::PassLength),
        2.0,
        10.0,
        "a worker's loop took long: use more workers or fewer users",
    );
    let censored = count(Counter::TbtCensored);
    let gaps = summary.trend(Trend::Tbt, None).map_or(0, |d| d.count);
    add(
        "tbt_censored",
        share(censored, censored + gaps),
        0.10,
        0.30,
        "tokens were read in heaps, and their single gaps are not known: tbt covers the others only",
    );
    let reads = summary.trend(Trend::ClientLag, None).map_or(0, |d| d.count);
    let missing = count(Counter::StampsMissing);
    add(
        "stamps_missing",
        (reads + missing > 0).then(|| missing as f64 / (reads + missing) as f64),
        0.01,
        0.5,
        "these reads were dated by our own clock",
    );
    add(
        "clock_steps",
        (reads > 0).then(|| count(Counter::ClockSteps) as f64),
        0.0,
        5.0,
        "the system's clock was set during the run: the stamps of those seconds are off",
    );
    if let Some(kernel) = kernel {
        add(
            "steal",
            Some(kernel.steal),
            0.01,
            0.05,
            "the host gave this machine's CPU time to others: use a quieter host",
        );
        add(
            "packets_dropped",
            Some(kernel.dropped as f64),
            0.0,
            1_000.0,
            "the kernel dropped packets: raise net.core.netdev_max_backlog",
        );
        add(
            "retransmitted",
            share(kernel.segments_retransmitted, kernel.segments_sent),
            0.001,
            0.05,
            "segments were lost or refused on the way: look at the path and at the listener's backlog",
        );
    }
    let connections = summary.gauge(Gauge::Connections).map_or(0, |gauge| gauge.max);
    add(
        "files_used",
        nofile.and_then(|limit| share(connections, limit)),
        FILES_STRAINED,
        1.0,
        "raise the limit of open files (ulimit -n)",
    );
    signals
}

/// The worst of the signals.
pub fn verdict(signals: &[Signal]) -> Validity {
    signals.iter().map(|signal| signal.verdict).max().unwrap_or(Validity::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Tally;
    use crate::units::Nanos;

    fn judged(tally: &Tally, seconds: &[(f64, f64)], kernel: Option<KernelCounts>) -> Vec<Signal> {
        let summary = Summary::new(tally, &["r".to_owned()], Nanos::from_secs(1));
        let blank = Second::new(0, &Tally::new(1));
        let series: Vec<Second> = seconds
            .iter()
            .map(|&(cpu, wait)| Second { busiest_worker_cpu: cpu, run_queue_wait: wait, ..blank.clone() })
            .collect();
        signals(&Evidence { summary: &summary, series: &series, kernel, nofile: Some(1_000) })
    }

    fn of(signals: &[Signal], name: &str) -> Validity {
        signals.iter().find(|s| s.name == name).unwrap_or_else(|| panic!("{name}: {signals:?}")).verdict
    }

    #[test]
    fn a_client_that_keeps_up_is_ok() {
        let mut tally = Tally::new(1);
        for _ in 0..1_000 {
            tally.client_lag(Nanos::from_micros(30));
            tally.pass(Nanos::from_micros(100));
            tally.gap(0, Nanos::from_millis(10));
        }
        let signals = judged(&tally, &[(0.5, 0.0); 5], Some(KernelCounts::default()));
        assert_eq!(verdict(&signals), Validity::Ok, "{signals:?}");
        assert!(signals.len() >= 8, "{signals:?}");
    }

    #[test]
    fn each_signal_has_two_limits() {
        for (cpu, expected) in [(0.8, Validity::Ok), (0.9, Validity::Strained), (0.97, Validity::Bottleneck)] {
            assert_eq!(of(&judged(&Tally::new(1), &[(cpu, 0.0); 5], None), "worker_cpu"), expected);
        }
        for (wait, expected) in [(0.01, Validity::Ok), (0.05, Validity::Strained), (0.2, Validity::Bottleneck)] {
            assert_eq!(of(&judged(&Tally::new(1), &[(0.1, wait); 5], None), "run_queue_wait"), expected);
        }
        for (steal, expected) in [(0.0, Validity::Ok), (0.02, Validity::Strained), (0.2, Validity::Bottleneck)] {
            let kernel = KernelCounts { steal, ..KernelCounts::default() };
            assert_eq!(of(&judged(&Tally::new(1), &[], Some(kernel)), "steal"), expected);
        }
    }

    #[test]
    fn stalls_are_named_by_the_lag_they_cause() {
        let mut tally = Tally::new(1);
        for i in 0..1_000 {
            // Stopped for 20 ms in every 200: a tenth of all reads come late.
            tally.client_lag(if i % 10 == 0 { Nanos::from_millis(i % 20) } else { Nanos::from_micros(50) });
        }
        for _ in 0..20 {
            tally.client_lag(Nanos::from_millis(19));
        }
        let signals = judged(&tally, &[(0.2, 0.0); 5], None);
        assert_eq!(of(&signals, "client_lag_p99_ms"), Validity::Bottleneck);
        assert_eq!(verdict(&signals), Validity::Bottleneck);
    }

    #[test]
    fn what_there_is_no_evidence_for_is_not_judged() {
        let signals = judged(&Tally::new(1), &[], None);
        assert_eq!(signals.iter().map(|s| s.name).collect::<Vec<_>>(), ["files_used"]);
    }

    #[test]
    fn warm_up_and_the_last_part_of_a_second_do_not_count() {
        let busy_at_the_edges = [(1.0, 0.5), (0.1, 0.0), (0.1, 0.0), (0.1, 0.0), (1.0, 0.5)];
        assert_eq!(verdict(&judged(&Tally::new(1), &busy_at_the_edges, None)), Validity::Ok);
    }
}
