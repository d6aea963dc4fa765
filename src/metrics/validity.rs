//! Judges whether a run is valid. The tool examines itself: was the server measured, or a client
//! that could not keep up?
//!
//! Each [`Signal`] is one number with two limits and advice. The run's verdict depends on signals
//! that affect the numbers: late reads, unknown times, requests that were not sent in time, a
//! worker without spare CPU. What the machine did meanwhile (waits for a core, steal, packets of
//! all its programs) may explain such a verdict but does not decide it. Percentiles from a strained
//! client require care. Those of a bottlenecked client say little about the server.

use super::{Counter, Gauge, Second, Summary, Trend};
use crate::units::rounded;
use serde::{Deserialize, Serialize};

/// A verdict on the client, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Validity {
    /// The run measured too little for a verdict.
    Unknown,
    Ok,
    /// The client came near its limit.
    Strained,
    /// The client was at its limit.
    Bottleneck,
}

impl Validity {
    /// Returns the name in JSON and the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Strained => "strained",
            Self::Bottleneck => "bottleneck",
        }
    }
}

/// A property by which the client is judged. Plain data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    pub name: String,
    /// The measured value, in the unit that ends its name (a share if there is none).
    pub value: f64,
    /// The client is strained above this value.
    #[serde(default)]
    pub strained_above: f64,
    /// The client is a bottleneck above this value.
    pub limit: f64,
    pub verdict: Validity,
    /// The advice for the user.
    #[serde(default)]
    pub advice: String,
    /// True if the signal describes the machine. It may explain the run's verdict but does not
    /// decide it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub explains: bool,
}

/// The kernel's counts on this machine during the run. Plain data.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct KernelCounts {
    /// Share of CPU time taken by other guests of the host.
    pub steal: f64,
    /// Packets that were dropped because a core's queue was full.
    pub dropped: u64,
    pub segments_sent: u64,
    /// TCP segments that were sent again.
    pub segments_retransmitted: u64,
}

#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    pub summary: &'a Summary,
    /// The seconds of the run.
    pub series: &'a [Second],
    /// The kernel's counts. `None` if they are not available.
    pub kernel: Option<KernelCounts>,
    /// Limit of file descriptors. `None` if it is unknown.
    pub nofile: Option<u64>,
    /// True if workers are pinned to cores that the server may also use.
    pub pinned_beside_server: bool,
}

/// With fewer samples, a 99th percentile depends on a few of them, such as those from the start of
/// a thread.
const ENOUGH: u64 = 500;

/// Fewer bad cases are not turned into a share. A single unknown first token could be a share of
/// 100 %.
const HANDFUL: u64 = 5;

/// With fewer reads and requests, there is no verdict on the client.
pub const TOO_FEW: u64 = 100;
/// So few late arrivals never make the client a bottleneck. At the end of a short window they are
/// due to a hiccup of some milliseconds, not to a missed rate.
pub const FEW_LATE: u64 = 10;
/// So few dropped arrivals do not make it a bottleneck either, unless they exceed this share of all
/// arrivals. Then the load differed from the one requested.
const MANY_DROPPED: f64 = 0.1;
/// Appended to the advice where it may help.
const NO_PIN: &str = ". The server runs on the workers' cores: try --no-pin";

/// A property of a client to measure, with its limits. `docs/validity.md` has a row for each.
#[derive(Debug, Clone, Copy)]
pub struct SignalKind {
    /// The name in JSON and the report. It ends in the unit unless the value is a share.
    pub name: &'static str,
    /// A description of the value.
    pub measures: &'static str,
    /// The client is strained above this value.
    pub strained_above: f64,
    /// The client is a bottleneck above this value.
    pub limit: f64,
    pub unit: SignalUnit,
    /// The advice for the user.
    pub advice: &'static str,
}

/// The unit of a signal's value and limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalUnit {
    Share,
    Millis,
    Count,
}

/// All signals that [`signals`] examines, in order.
pub const SIGNALS: [&SignalKind; 16] = [
    &WORKER_CPU,
    &CLIENT_LAG,
    &SCHEDULE_LAG,
    &DROPPED,
    &NOT_STARTED,
    &ROWS_LATE,
    &TBT_CENSORED,
    &TTFT_CENSORED,
    &STAMPS_MISSING,
    &CLOCK_STEPS,
    &RUN_QUEUE_WAIT,
    &STEAL,
    &PACKETS_DROPPED,
    &RETRANSMITTED,
    &FILES_USED,
    &PASS_LENGTH,
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
/// With kernel timestamps, lateness does not affect the times. But it hides the individual gaps
/// between tokens that were read together, and delays each user's next request.
const CLIENT_LAG: SignalKind = SignalKind {
    name: "client_lag_p99_ms",
    measures: "delay between a packet's arrival and its read",
    strained_above: 2.0,
    limit: 10.0,
    unit: SignalUnit::Millis,
    advice: "the workers read late because this machine stalled or the load was too high: use more workers or fewer \
             users",
};
const PASS_LENGTH: SignalKind = SignalKind {
    name: "pass_length_p99_ms",
    measures: "one pass of a worker's event loop",
    strained_above: 2.0,
    limit: 10.0,
    unit: SignalUnit::Millis,
    advice: "a pass of a worker's event loop took long: use more workers or fewer users",
};
/// Open loop: the time that a user waits before the server receives the request. Times from the
/// intended instant remain correct, so only a lag above one second makes the client a bottleneck.
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
/// If the requested rate was not reached, the run does not answer the user's question.
const NOT_STARTED: SignalKind = SignalKind {
    name: "arrivals_not_started_in_time",
    measures: "open loop: arrivals not started within the window",
    strained_above: 0.001,
    limit: 0.01,
    unit: SignalUnit::Share,
    advice: "fewer requests were started than the rate asked for: raise max_vus (--vus), use more workers, or lower \
             the rate",
};
/// A user that waits for its row sends fewer requests than it would. In a closed loop this is
/// invisible, and in an open loop it appears as lag.
const ROWS_LATE: SignalKind = SignalKind {
    name: "rows_late",
    measures: "data sets beyond `--dataset-memory`: requests that waited for their row",
    strained_above: 0.001,
    limit: 0.01,
    unit: SignalUnit::Share,
    advice: "rows were not read in time from the temporary file that holds them: set TMPDIR to a folder on a faster disk, or raise --dataset-memory",
};
const TBT_CENSORED: SignalKind = SignalKind {
    name: "tbt_censored",
    measures: "inter-token gaps that are [unknown](concepts.md#censored-tokens)",
    strained_above: 0.10,
    limit: 0.30,
    unit: SignalUnit::Share,
    advice: "several tokens were read at once, so the gaps between them are unknown: tbt covers the others only",
};
const TTFT_CENSORED: SignalKind = SignalKind {
    name: "ttft_censored",
    measures: "first tokens whose time is unknown",
    strained_above: 0.10,
    limit: 0.30,
    unit: SignalUnit::Share,
    advice: "first tokens were read together with later ones: ttft covers the other requests only",
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
    advice: "the system's clock was set during the run: timestamps in those seconds are wrong",
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

/// Returns all signals for which there is evidence: first those that affect the numbers, then those
/// of the machine.
pub fn signals(evidence: &Evidence<'_>) -> Vec<Signal> {
    let summary = evidence.summary;
    let reads = summary.trend(Trend::ClientLag, None).map_or(0, |d| d.count);
    let count = |counter| summary.counter(counter, None).map_or(0, |c| c.count);
    let (mut suffered, mut machine) = (suffered(evidence, reads), machine(evidence));
    // Without timestamps a long pass affects the times. With them it only explains late reads.
    let pass = (&PASS_LENGTH, p99(summary, Trend::PassLength));
    if reads == 0 {
        suffered.push(pass);
    } else {
        machine.push(pass);
    }
    let known = |(kind, value): (&SignalKind, Option<f64>)| value.map(|value| judged(kind, value));
    let mut signals: Vec<Signal> = suffered.into_iter().filter_map(known).collect();
    signals.extend(machine.into_iter().filter_map(known).map(Signal::explaining));
    let few_dropped = count(Counter::DroppedIterations) <= FEW_LATE;
    for signal in &mut signals {
        let is_hiccup = match &signal.name {
            name if name == NOT_STARTED.name => late_arrivals(summary) <= FEW_LATE,
            name if name == DROPPED.name => few_dropped && signal.value <= MANY_DROPPED,
            _ => false,
        };
        if is_hiccup {
            signal.verdict = signal.verdict.min(Validity::Strained);
        }
    }
    let samples = (reads + count(Counter::StampsMissing)).max(count(Counter::HttpReqs));
    if samples < TOO_FEW {
        too_short(&mut signals, samples);
    }
    if evidence.pinned_beside_server {
        let of_cores = [
            CLIENT_LAG.name,
            PASS_LENGTH.name,
            WORKER_CPU.name,
            RUN_QUEUE_WAIT.name,
            TBT_CENSORED.name,
            TTFT_CENSORED.name,
        ];
        for signal in signals.iter_mut().filter(|signal| of_cores.contains(&signal.name.as_str())) {
            signal.advice.push_str(NO_PIN);
        }
    }
    signals
}

fn p99(summary: &Summary, trend: Trend) -> Option<f64> {
    summary.trend(trend, None).filter(|d| d.count >= ENOUGH).map(|d| d.percentile_ms(99.0))
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// As [`share`], but `None` if `part` is above zero and below [`HANDFUL`].
fn share_of_many(part: u64, whole: u64) -> Option<f64> {
    share(part, whole).filter(|_| part == 0 || part >= HANDFUL)
}

/// Returns the mean over the seconds, without the first (warming up) and the last (incomplete). A
/// run of at most three seconds uses all of them.
fn mean(series: &[Second], of: fn(&Second) -> f64) -> Option<f64> {
    let whole = if series.len() > 3 { &series[1..series.len() - 1] } else { series };
    (!whole.is_empty()).then(|| whole.iter().map(of).sum::<f64>() / whole.len() as f64)
}

/// Returns the signals that make numbers wrong or unknown, or that show a different load.
fn suffered(evidence: &Evidence<'_>, reads: u64) -> Vec<(&'static SignalKind, Option<f64>)> {
    let Evidence { summary, series, .. } = *evidence;
    let times = |trend| summary.trend(trend, None).map_or(0, |d| d.count);
    let count = |counter| summary.counter(counter, None).map_or(0, |c| c.count);
    let (censored, first_censored) = (count(Counter::TbtCensored), count(Counter::TtftCensored));
    let (missing, rows_late) = (count(Counter::StampsMissing), count(Counter::RowsLate));
    let (offered, dropped) = (count(Counter::ArrivalsOffered), count(Counter::DroppedIterations));
    let asked_for = summary.counter(Counter::ArrivalsOffered, None).map_or(0, |c| c.in_window);
    // Even a fast client starts an arrival that is due at the window's end after the window.
    let late = late_arrivals(summary).saturating_sub(1);
    vec![
        (&WORKER_CPU, mean(series, |second| second.busiest_worker_cpu)),
        (&CLIENT_LAG, p99(summary, Trend::ClientLag)),
        (&SCHEDULE_LAG, p99(summary, Trend::ScheduleLag)),
        (&DROPPED, share(dropped, offered)),
        (&NOT_STARTED, share(late, asked_for)),
        (&ROWS_LATE, share_of_many(rows_late, count(Counter::HttpReqsStarted)).filter(|_| rows_late > 0)),
        (&TBT_CENSORED, share_of_many(censored, censored + times(Trend::Tbt))),
        (&TTFT_CENSORED, share_of_many(first_censored, first_censored + times(Trend::Ttft))),
        (&STAMPS_MISSING, share_of_many(missing, reads + missing)),
        (&CLOCK_STEPS, (reads > 0).then(|| count(Counter::ClockSteps) as f64)),
    ]
}

/// Returns how many arrivals of the measurement window were not started in it.
fn late_arrivals(summary: &Summary) -> u64 {
    let in_window = |counter| summary.counter(counter, None).map_or(0, |c| c.in_window);
    in_window(Counter::ArrivalsOffered).saturating_sub(in_window(Counter::ArrivalsStarted))
}

/// Returns the signals that describe the machine.
fn machine(evidence: &Evidence<'_>) -> Vec<(&'static SignalKind, Option<f64>)> {
    let Evidence { summary, series, kernel, nofile, .. } = *evidence;
    let connections = summary.gauge(Gauge::Connections).map_or(0, |gauge| gauge.max);
    vec![
        (&RUN_QUEUE_WAIT, mean(series, |second| second.run_queue_wait)),
        (&STEAL, kernel.map(|k| k.steal)),
        (&PACKETS_DROPPED, kernel.map(|k| k.dropped as f64)),
        (&RETRANSMITTED, kernel.and_then(|k| share_of_many(k.segments_retransmitted, k.segments_sent))),
        (&FILES_USED, nofile.and_then(|limit| share(connections, limit))),
    ]
}

/// Withdraws the verdicts that need more samples. Dropped and late arrivals are counted exactly, so
/// their verdicts remain.
fn too_short(signals: &mut Vec<Signal>, samples: u64) {
    for signal in signals.iter_mut().filter(|signal| ![DROPPED.name, NOT_STARTED.name].contains(&signal.name.as_str()))
    {
        signal.verdict = Validity::Unknown;
    }
    let advice = format!("too short to say: expected at least {TOO_FEW} requests or reads");
    let limit = TOO_FEW as f64;
    let (name, value, verdict) = ("samples".to_owned(), samples as f64, Validity::Unknown);
    signals.insert(0, Signal { name, value, strained_above: limit, limit, verdict, advice, explains: false });
}

fn judged(kind: &SignalKind, value: f64) -> Signal {
    let SignalKind { name, strained_above, limit, advice, .. } = *kind;
    let verdict = verdict_of(value, strained_above, limit);
    let (name, advice) = (name.to_owned(), advice.to_owned());
    Signal { name, value: rounded(value), strained_above, limit, verdict, advice, explains: false }
}

impl Signal {
    /// Marks the signal as a fact of the machine.
    fn explaining(self) -> Self {
        Self { verdict: self.verdict.min(Validity::Strained), explains: true, ..self }
    }

    /// Returns true if the value is above the limit of a bottleneck, regardless of the verdict.
    pub fn is_beyond(&self) -> bool {
        self.value > self.limit
    }
}

/// Returns the verdict on a value with these two limits.
pub fn verdict_of(value: f64, strained_above: f64, limit: f64) -> Validity {
    match value {
        v if v > limit => Validity::Bottleneck,
        v if v > strained_above => Validity::Strained,
        _ => Validity::Ok,
    }
}

/// Returns the worst verdict among signals that affect the numbers. Unknown if there are none.
pub fn verdict(signals: &[Signal]) -> Validity {
    let suffered = signals.iter().filter(|signal| !signal.explains);
    suffered.map(|signal| signal.verdict).max().unwrap_or(Validity::Unknown)
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
        signals(&Evidence {
            summary: &summary,
            series: &series,
            kernel,
            nofile: Some(1_000),
            pinned_beside_server: false,
        })
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

    /// Returns a tally of timely reads, enough for a verdict.
    fn in_time() -> Tally {
        let mut tally = Tally::new(1);
        for _ in 0..1_000 {
            tally.client_lag(Nanos::from_micros(466));
            tally.gap(0, 0, Nanos::from_millis(10));
        }
        tally
    }

    #[test]
    fn each_signal_has_two_limits() {
        for (cpu, expected) in [(0.8, Validity::Ok), (0.9, Validity::Strained), (0.97, Validity::Bottleneck)] {
            assert_eq!(of(&judged(&in_time(), &[(cpu, 0.0); 5], None), "worker_cpu"), expected);
        }
        for (lag, expected) in [(1, Validity::Ok), (5, Validity::Strained), (20, Validity::Bottleneck)] {
            let mut tally = Tally::new(1);
            (0..1_000).for_each(|_| tally.client_lag(Nanos::from_millis(lag)));
            assert_eq!(of(&judged(&tally, &[], None), "client_lag_p99_ms"), expected);
        }
    }

    #[test]
    fn what_the_machine_did_explains_and_does_not_condemn() {
        for (wait, expected) in [(0.01, Validity::Ok), (0.05, Validity::Strained), (0.9, Validity::Strained)] {
            let signals = judged(&in_time(), &[(0.1, wait); 5], None);
            assert_eq!(of(&signals, "run_queue_wait"), expected);
            assert_eq!(verdict(&signals), Validity::Ok, "reads were in time: {signals:?}");
        }
        let bad = KernelCounts { steal: 0.5, dropped: 9_999, segments_sent: 10, segments_retransmitted: 9 };
        let signals = judged(&in_time(), &[], Some(bad));
        assert_eq!((of(&signals, "steal"), verdict(&signals)), (Validity::Strained, Validity::Ok));
        assert!(signals.iter().any(|signal| signal.explains && signal.is_beyond()));
        // Late reads decide the verdict. The wait for a core is only shown beside it.
        let mut late = in_time();
        (0..100).for_each(|_| late.client_lag(Nanos::from_millis(30)));
        let signals = judged(&late, &[(0.1, 0.9); 5], None);
        assert_eq!((of(&signals, "run_queue_wait"), verdict(&signals)), (Validity::Strained, Validity::Bottleneck));
    }

    #[test]
    fn long_passes_condemn_where_no_stamp_tells_how_late_reads_were() {
        let mut plain = Tally::new(1);
        for _ in 0..1_000 {
            plain.pass(Nanos::from_millis(30));
            plain.record(&crate::metrics::tally::tests::success(0, 5));
        }
        assert_eq!(verdict(&judged(&plain, &[], None)), Validity::Bottleneck);
        plain += &in_time();
        assert_eq!(verdict(&judged(&plain, &[], None)), Validity::Ok);
    }

    #[test]
    fn a_few_samples_are_too_few_to_say() {
        let few = |n: u64| {
            let mut tally = Tally::new(1);
            (0..n).for_each(|_| tally.client_lag(Nanos::from_millis(50)));
            let retransmitted = KernelCounts { segments_sent: 9, segments_retransmitted: 1, ..KernelCounts::default() };
            judged(&tally, &[(0.99, 0.9)], Some(retransmitted))
        };
        let signals = few(TOO_FEW - 1);
        assert_eq!(verdict(&signals), Validity::Unknown);
        assert!(signals[0].name == "samples" && signals[0].advice.starts_with("too short to say"), "{signals:?}");
        let signals = few(TOO_FEW);
        assert_eq!(verdict(&signals), Validity::Bottleneck, "a worker had no CPU left");
        assert!(signals.iter().all(|signal| signal.name != "samples"), "{signals:?}");
    }

    #[test]
    fn first_tokens_that_are_not_known_count() {
        let mut tally = in_time();
        let censored = crate::metrics::Sample { ttft_censored: true, ..crate::metrics::tally::tests::success(0, 5) };
        (0..HANDFUL - 1).for_each(|_| tally.record(&censored));
        assert!(judged(&tally, &[], None).iter().all(|signal| signal.name != "ttft_censored"), "a handful");
        (0..100).for_each(|_| tally.record(&censored));
        assert_eq!(of(&judged(&tally, &[], None), "ttft_censored"), Validity::Bottleneck);
    }

    #[test]
    fn pinned_beside_the_server_there_is_a_way_out() {
        let summary = Summary::new(&in_time(), &["r".to_owned()], Nanos::from_secs(1));
        let advice = |pinned_beside_server| {
            let evidence =
                Evidence { summary: &summary, series: &[], kernel: None, nofile: None, pinned_beside_server };
            let lag = signals(&evidence).into_iter().find(|signal| signal.name == "client_lag_p99_ms");
            lag.expect("a lag").advice
        };
        assert!(advice(true).ends_with("try --no-pin") && !advice(false).contains("--no-pin"));
    }

    #[test]
    fn a_rate_that_was_not_kept_is_not_valid() {
        let open = |dropped: u64, late: u64| {
            let mut tally = Tally::new(1);
            tally.arrivals(1_000, dropped);
            (0..1_000 - dropped).for_each(|n| tally.arrival_started(n >= late));
            tally += &in_time();
            judged(&tally, &[], None)
        };
        assert_eq!(verdict(&open(0, 0)), Validity::Ok);
        for (dropped, expected) in [(5, Validity::Strained), (50, Validity::Bottleneck)] {
            assert_eq!(of(&open(dropped, 0), "arrivals_dropped"), expected);
        }
        for (late, expected) in [(5, Validity::Strained), (50, Validity::Bottleneck)] {
            assert_eq!(of(&open(0, late), "arrivals_not_started_in_time"), expected);
        }
        // A few dropped arrivals are a hiccup in a short run, unless they are a considerable share.
        for (dropped, expected) in [(10, Validity::Strained), (11, Validity::Bottleneck)] {
            let mut short = in_time();
            short.arrivals(100, dropped);
            (0..100 - dropped).for_each(|_| short.arrival_started(false));
            assert_eq!(of(&judged(&short, &[], None), "arrivals_dropped"), expected, "{dropped} dropped");
        }
        let mut half = in_time();
        half.arrivals(20, 10);
        assert_eq!(of(&judged(&half, &[], None), "arrivals_dropped"), Validity::Bottleneck);
        // One arrival of a hundred was due as the window ended.
        let mut few = Tally::new(1);
        few.arrivals(100, 0);
        (0..100).for_each(|n| few.arrival_started(n > 0));
        assert_eq!(of(&judged(&few, &[], None), "arrivals_not_started_in_time"), Validity::Ok);
        // A hiccup of 33 ms at the end of a short window does not mean a missed rate.
        for (late, expected) in [(5, Validity::Strained), (10, Validity::Strained), (11, Validity::Bottleneck)] {
            let mut short = in_time();
            short.arrivals(45, 0);
            (0..45).for_each(|n| short.arrival_started(n >= late));
            assert_eq!(verdict(&judged(&short, &[], None)), expected, "{late} late");
        }
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
            // Stopped for 20 ms in every 200 ms. A tenth of all reads come late.
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
        assert_eq!(signals.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["samples", "files_used"]);
    }

    #[test]
    fn warm_up_and_the_last_part_of_a_second_do_not_count() {
        let busy_at_the_edges = [(1.0, 0.5), (0.1, 0.0), (0.1, 0.0), (0.1, 0.0), (1.0, 0.5)];
        assert_eq!(verdict(&judged(&in_time(), &busy_at_the_edges, None)), Validity::Ok);
    }
}
