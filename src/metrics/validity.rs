//! Is this run valid? The tool judges itself: was it the server that was measured, or a client that
//! could not keep up?
//!
//! Each [`Signal`] is one number with two limits and advice. The worst of them is the verdict of
//! the run. Percentiles of a strained client deserve care; a bottlenecked client's say little about
//! the server.

use super::{Counter, Gauge, Second, Summary, Trend};
use crate::units::rounded;
use serde::{Deserialize, Serialize};

/// A judgement of the client, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Validity {
    /// Nothing was measured to judge it by.
    Unknown,
    Ok,
    /// It came near its limit.
    Strained,
    /// It was at its limit.
    Bottleneck,
}

impl Validity {
    /// Its name in JSON and the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Strained => "strained",
            Self::Bottleneck => "bottleneck",
        }
    }
}

/// One thing the client is judged by. Plain data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    pub name: String,
    /// What was measured, in the unit of its name (a share where there is none).
    pub value: f64,
    /// Beyond which the client is strained.
    #[serde(default)]
    pub strained_above: f64,
    /// Beyond which it is a bottleneck.
    pub limit: f64,
    pub verdict: Validity,
    /// What to do about it.
    #[serde(default)]
    pub advice: String,
}

/// What the kernel counted on this machine during the run. Plain data.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct KernelCounts {
    /// Share of CPU time that other guests of the host took.
    pub steal: f64,
    /// Packets that were dropped because a core's queue was full.
    pub dropped: u64,
    pub segments_sent: u64,
    /// TCP segments sent again.
    pub segments_retransmitted: u64,
}

#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    pub summary: &'a Summary,
    /// Second by second.
    pub series: &'a [Second],
    /// What the kernel counted; none where it does not tell.
    pub kernel: Option<KernelCounts>,
    /// Limit of file descriptors; none where it is not known.
    pub nofile: Option<u64>,
}

/// A 99th percentile of fewer samples is that of one or two of them: the start of a thread, say.
const ENOUGH: u64 = 500;

/// What can be measured of a client, with its limits. `docs/validity.md` has a row for each.
#[derive(Debug, Clone, Copy)]
pub struct SignalKind {
    /// Its name in JSON and the report, which ends in its unit if that is not a share.
    pub name: &'static str,
    /// What it measures.
    pub measures: &'static str,
    /// Beyond which the client is strained.
    pub strained_above: f64,
    /// Beyond which it is a bottleneck.
    pub limit: f64,
    pub unit: SignalUnit,
    /// What to do about it.
    pub advice: &'static str,
}

/// The unit of a signal's value and limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalUnit {
    Share,
    Millis,
    Count,
}

/// One for each number that [`signals`] looks at, in that order.
pub const SIGNALS: [&SignalKind; 14] = [
    &WORKER_CPU,
    &RUN_QUEUE_WAIT,
    &CLIENT_LAG,
    &PASS_LENGTH,
    &SCHEDULE_LAG,
    &DROPPED,
    &NOT_STARTED,
    &TBT_CENSORED,
    &STAMPS_MISSING,
    &CLOCK_STEPS,
    &STEAL,
    &PACKETS_DROPPED,
    &RETRANSMITTED,
    &FILES_USED,
];

const WORKER_CPU: SignalKind = SignalKind {
    name: "worker_cpu",
    measures: "CPU share of the busiest worker",
    strained_above: 0.85,
    limit: 0.95,
    unit: SignalUnit::Share,
    advice: "use more workers (--workers), leave them more cores, or use fewer users",
};
const RUN_QUEUE_WAIT: SignalKind = SignalKind {
    name: "run_queue_wait",
    measures: "time a worker waited for a core",
    strained_above: 0.02,
    limit: 0.10,
    unit: SignalUnit::Share,
    advice: "other programs compete for the workers' cores: stop them, or run the server on another machine",
};
/// With stamps lateness is not in the numbers, but it hides the single gaps of tokens that were
/// read together, and delays the next request of each user.
const CLIENT_LAG: SignalKind = SignalKind {
    name: "client_lag_p99_ms",
    measures: "delay between a packet's arrival and its read",
    strained_above: 2.0,
    limit: 10.0,
    unit: SignalUnit::Millis,
    advice: "the workers were late to read: stalls of this machine, or too much load for them; use more workers or fewer users",
};
const PASS_LENGTH: SignalKind = SignalKind {
    name: "pass_length_p99_ms",
    measures: "one pass of a worker's event loop",
    strained_above: 2.0,
    limit: 10.0,
    unit: SignalUnit::Millis,
    advice: "a worker's loop took long: use more workers or fewer users",
};
/// Of open load: what a user waits before the server even hears of it. Times from the intended
/// instant hold all the same, so it takes a second to call the run's question unanswered.
const SCHEDULE_LAG: SignalKind = SignalKind {
    name: "schedule_lag_p99_ms",
    measures: "open loop: delay of a request's start",
    strained_above: 5.0,
    limit: 1_000.0,
    unit: SignalUnit::Millis,
    advice: "requests started later than they were due: all users were busy (raise max_vus, or --vus), or the workers were late",
};
const DROPPED: SignalKind = SignalKind {
    name: "arrivals_dropped",
    measures: "open loop: arrivals that were never sent",
    strained_above: 0.0,
    limit: 0.01,
    unit: SignalUnit::Share,
    advice: "arrivals found all users busy until the end, or were dropped at once: raise max_vus, or --vus",
};
/// The rate that was asked for is the rate that was tried, or the run answers another question.
const NOT_STARTED: SignalKind = SignalKind {
    name: "arrivals_not_started_in_time",
    measures: "open loop: arrivals not started within the window",
    strained_above: 0.001,
    limit: 0.01,
    unit: SignalUnit::Share,
    advice: "fewer requests were started than the rate asked for: raise max_vus (--vus), use more workers, or ask for less",
};
const TBT_CENSORED: SignalKind = SignalKind {
    name: "tbt_censored",
    measures: "inter-token gaps that are [not known](concepts.md#censored-tokens)",
    strained_above: 0.10,
    limit: 0.30,
    unit: SignalUnit::Share,
    advice: "tokens were read in heaps, and their single gaps are not known: tbt covers the others only",
};
const STAMPS_MISSING: SignalKind = SignalKind {
    name: "stamps_missing",
    measures: "reads without a kernel timestamp",
    strained_above: 0.01,
    limit: 0.5,
    unit: SignalUnit::Share,
    advice: "these reads were dated by our own clock",
};
const CLOCK_STEPS: SignalKind = SignalKind {
    name: "clock_steps",
    measures: "seconds in which the system clock was set",
    strained_above: 0.0,
    limit: 5.0,
    unit: SignalUnit::Count,
    advice: "the system's clock was set during the run: the stamps of those seconds are off",
};
const STEAL: SignalKind = SignalKind {
    name: "steal",
    measures: "CPU time taken by other guests of the host",
    strained_above: 0.01,
    limit: 0.05,
    unit: SignalUnit::Share,
    advice: "the host gave this machine's CPU time to others: use a quieter host",
};
const PACKETS_DROPPED: SignalKind = SignalKind {
    name: "packets_dropped",
    measures: "packets the kernel dropped on this machine",
    strained_above: 0.0,
    limit: 1_000.0,
    unit: SignalUnit::Count,
    advice: "the kernel dropped packets: raise net.core.netdev_max_backlog",
};
const RETRANSMITTED: SignalKind = SignalKind {
    name: "retransmitted",
    measures: "TCP segments that were sent again",
    strained_above: 0.001,
    limit: 0.05,
    unit: SignalUnit::Share,
    advice: "segments were lost or refused on the way: look at the path and at the listener's backlog",
};
const FILES_USED: SignalKind = SignalKind {
    name: "files_used",
    measures: "open connections relative to the limit of open files",
    strained_above: 0.9,
    limit: 1.0,
    unit: SignalUnit::Share,
    advice: "raise the limit of open files (ulimit -n)",
};

/// All signals that there is evidence for.
pub fn signals(evidence: &Evidence<'_>) -> Vec<Signal> {
    let Evidence { summary, series, kernel, nofile } = evidence;
    let p99 = |trend| summary.trend(trend, None).filter(|d| d.count >= ENOUGH).map(|d| d.percentile_ms(99.0));
    let times = |trend| summary.trend(trend, None).map_or(0, |d| d.count);
    let count = |counter| summary.counter(counter, None).map_or(0, |c| c.count);
    let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);

    // The first second warms up and the last is cut short; a run that has no others is judged by
    // all it has.
    let whole = if series.len() > 3 { &series[1..series.len() - 1] } else { series };
    let mean =
        |of: fn(&Second) -> f64| (!whole.is_empty()).then(|| whole.iter().map(of).sum::<f64>() / whole.len() as f64);
    let (censored, missing, reads) =
        (count(Counter::TbtCensored), count(Counter::StampsMissing), times(Trend::ClientLag));
    let (offered, dropped) = (count(Counter::ArrivalsOffered), count(Counter::DroppedIterations));
    // Started in the measurement window; what was started after it was late. One that is due as the
    // window ends is started after it by whoever is quick, too.
    let in_window = |counter| summary.counter(counter, None).map_or(0, |c| c.in_window);
    let asked_for = in_window(Counter::ArrivalsOffered);
    let late = asked_for.saturating_sub(in_window(Counter::ArrivalsStarted)).saturating_sub(1);
    let connections = summary.gauge(Gauge::Connections).map_or(0, |gauge| gauge.max);
    let values: [Option<f64>; SIGNALS.len()] = [
        mean(|second| second.busiest_worker_cpu),
        mean(|second| second.run_queue_wait),
        p99(Trend::ClientLag),
        p99(Trend::PassLength),
        p99(Trend::ScheduleLag),
        share(dropped, offered),
        share(late, asked_for),
        share(censored, censored + times(Trend::Tbt)),
        share(missing, reads + missing),
        (reads > 0).then(|| count(Counter::ClockSteps) as f64),
        kernel.map(|k| k.steal),
        kernel.map(|k| k.dropped as f64),
        kernel.and_then(|k| share(k.segments_retransmitted, k.segments_sent)),
        nofile.and_then(|limit| share(connections, limit)),
    ];
    SIGNALS.iter().zip(values).filter_map(|(kind, value)| value.map(|value| judged(kind, value))).collect()
}

fn judged(kind: &SignalKind, value: f64) -> Signal {
    let SignalKind { name, strained_above, limit, advice, .. } = *kind;
    let verdict = verdict_of(value, strained_above, limit);
    Signal { name: name.to_owned(), value: rounded(value), strained_above, limit, verdict, advice: advice.to_owned() }
}

/// What a value means with its two limits.
pub fn verdict_of(value: f64, strained_above: f64, limit: f64) -> Validity {
    match value {
        v if v > limit => Validity::Bottleneck,
        v if v > strained_above => Validity::Strained,
        _ => Validity::Ok,
    }
}

/// The worst of the signals; unknown without any.
pub fn verdict(signals: &[Signal]) -> Validity {
    signals.iter().map(|signal| signal.verdict).max().unwrap_or(Validity::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Tally;
    use crate::units::Nanos;

    fn judged(tally: &Tally, seconds: &[(f64, f64)], kernel: Option<KernelCounts>) -> Vec<Signal> {
        let summary = Summary::new(tally, &["r".to_owned()], Nanos::from_secs(1));
        let blank = Second::new(0, &Tally::new(1), &[]);
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
            tally.gap(0, 0, Nanos::from_millis(10));
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
    fn a_rate_that_was_not_kept_is_not_valid() {
        let open = |dropped: u64, late: u64| {
            let mut tally = Tally::new(1);
            tally.arrivals(1_000, dropped);
            (0..1_000 - dropped).for_each(|n| tally.arrival_started(n >= late));
            judged(&tally, &[], None)
        };
        assert_eq!(verdict(&open(0, 0)), Validity::Ok);
        for (dropped, expected) in [(5, Validity::Strained), (50, Validity::Bottleneck)] {
            assert_eq!(of(&open(dropped, 0), "arrivals_dropped"), expected);
        }
        for (late, expected) in [(5, Validity::Strained), (50, Validity::Bottleneck)] {
            assert_eq!(of(&open(0, late), "arrivals_not_started_in_time"), expected);
        }
        // Of a hundred, one was due as the window ended.
        let mut few = Tally::new(1);
        few.arrivals(100, 0);
        (0..100).for_each(|n| few.arrival_started(n > 0));
        assert_eq!(of(&judged(&few, &[], None), "arrivals_not_started_in_time"), Validity::Ok);
        let closed = judged(&Tally::new(1), &[], None);
        assert!(
            closed.iter().all(|s| !s.name.starts_with("arrivals") && !s.name.starts_with("schedule")),
            "{closed:?}"
        );
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
        assert_eq!(signals.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["files_used"]);
    }

    #[test]
    fn warm_up_and_the_last_part_of_a_second_do_not_count() {
        let busy_at_the_edges = [(1.0, 0.5), (0.1, 0.0), (0.1, 0.0), (0.1, 0.0), (1.0, 0.5)];
        assert_eq!(verdict(&judged(&Tally::new(1), &busy_at_the_edges, None)), Validity::Ok);
    }
}
