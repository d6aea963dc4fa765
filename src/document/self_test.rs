//! The result of a self-test.

use super::{Build, json};
use serde::{Deserialize, Serialize};

/// Name and version of the format.
pub const SELF_TEST_SCHEMA: &str = "llmsim-blast.self-test/1";
/// The error up to which a machine passes: the p99 of TTFT and of gaps, reported minus recorded.
pub const ERROR_LIMIT_MS: f64 = 1.0;
/// The share of its core from which a side is at its limit. The rest belongs to the kernel and to
/// other programs.
pub const CPU_LIMIT: f64 = 0.9;
/// The share of gaps with unknown instants above which percentiles mean little.
pub const CENSORED_LIMIT: f64 = 0.1;
/// The share of these cores that other programs may use before a warning appears.
pub const OTHERS_LIMIT: f64 = 0.05;
/// Fewest gaps whose error is judged. The 99th percentile of fewer gaps depends on a few of them,
/// so one program that wakes up beside us would decide the verdict.
pub const MIN_GAPS: u64 = 1_000;

/// The result of a self-test. Parts that a stopped test did not reach are absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SelfTest {
    /// [`SELF_TEST_SCHEMA`].
    pub schema: String,
    /// The build of this tool.
    pub build: Build,
    pub machine: Machine,
    /// True for the short test.
    pub quick: bool,
    /// True if a signal ended the test.
    pub interrupted: bool,
    /// The share of the two cores that was busy, but not with either side: other programs, and time
    /// that the hypervisor gave to other machines. `None` where the kernel does not tell.
    pub others_cpu: Option<f64>,
    /// The memory of a connection.
    pub memory: Option<Memory>,
    /// Speed and cost, by kind of work.
    pub work: Vec<Work>,
    /// Reported against recorded times, by number of streams, in the order measured.
    pub truth: Vec<Truth>,
    /// The capability of this machine.
    pub verdict: Option<Verdict>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub cpu_model: String,
    /// Cores that this process may use.
    pub cores: u32,
    pub kernel: String,
    /// The source of the clock.
    pub clocksource: String,
    /// The origin's core. `None` if it is not pinned.
    pub origin_core: Option<u32>,
    /// The worker's core. `None` if it is not pinned.
    pub client_core: Option<u32>,
}

/// The memory of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Idle connections that were open.
    pub connections: u64,
    /// Resident memory of the whole process with them.
    pub rss_bytes: u64,
    /// Its growth per connection, without the kernel's share.
    pub bytes_per_connection: f64,
}

/// Speed and cost of one kind of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    pub name: String,
    /// The unit that is counted: requests, responses, events.
    pub unit: String,
    pub connections: u32,
    /// Units a second.
    pub per_second: f64,
    /// The worker's CPU time per unit, user and system.
    pub client_cpu_us: f64,
    /// The share of its core that the worker used.
    pub client_cpu: f64,
    /// The share of its core that the origin used.
    pub origin_cpu: f64,
    pub failed: u64,
}

/// Times as one side saw them, in ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// Time to first token, mean.
    pub ttft_mean: f64,
    /// Time to first token, 99th percentile.
    pub ttft_p99: f64,
    /// Between tokens, 99th percentile.
    pub gap_p99: f64,
}

/// Reported against recorded times, with a number of streams.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    pub streams: u32,
    /// Number of attempts. The one with the smaller error counts, because disturbances of a machine
    /// only add to it.
    pub attempts: u32,
    /// Gaps between tokens that this tool saw.
    pub gaps: u64,
    /// Token events a second, all streams together.
    pub events_per_second: f64,
    /// The times that this tool reported, in ms.
    pub reported: Times,
    /// The times that the origin recorded, in ms.
    pub recorded: Times,
    /// The origin's own lateness against its schedule when writing, 99th percentile, in ms.
    pub origin_late_p99: f64,
    /// The share of gaps whose instants this tool calls unknown.
    pub censored: f64,
    /// Requests that failed or were cut off.
    pub failed: u64,
    /// The share of its core that the worker used.
    pub client_cpu: f64,
    /// The share of its core that the origin used.
    pub origin_cpu: f64,
}

/// The cause of the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// The worker's core was full, or most instants were unknown.
    ClientCpu,
    /// The origin's core was full, so the client may be able to do more.
    OriginCpu,
    /// The error passed the limit before any core was full.
    Error,
    Failures,
}

/// The capability of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The most streams within all limits. `None` if a single stream was already beyond them.
    pub streams: Option<u32>,
    /// Tokens a second of each stream.
    pub tokens_per_second: f64,
    /// The largest error with that many streams, in ms.
    pub error_ms: f64,
    /// The cause of the limit. `None` if no more streams were tried.
    pub limit: Option<Limit>,
    /// The least number of streams that was beyond a limit.
    pub beyond: Option<u32>,
}

impl Truth {
    pub fn error(&self) -> Times {
        Times {
            ttft_mean: self.reported.ttft_mean - self.recorded.ttft_mean,
            ttft_p99: self.reported.ttft_p99 - self.recorded.ttft_p99,
            gap_p99: self.reported.gap_p99 - self.recorded.gap_p99,
        }
    }

    /// Returns the larger of the errors at p99, without its sign.
    pub fn worst_ms(&self) -> f64 {
        self.error().ttft_p99.abs().max(self.error().gap_p99.abs())
    }

    /// Returns the limit that was exceeded, the cause before the effect.
    pub fn beyond(&self) -> Option<Limit> {
        if self.failed > 0 {
            Some(Limit::Failures)
        } else if self.client_cpu > CPU_LIMIT && self.client_cpu >= self.origin_cpu {
            Some(Limit::ClientCpu)
        } else if self.origin_cpu > CPU_LIMIT {
            Some(Limit::OriginCpu)
        } else if self.censored > CENSORED_LIMIT {
            Some(Limit::ClientCpu)
        } else if self.worst_ms() > ERROR_LIMIT_MS && self.gaps >= MIN_GAPS {
            Some(Limit::Error)
        } else {
            None
        }
    }
}

impl Verdict {
    /// Computes the verdict from the measurements. `None` without any.
    pub fn of(truth: &[Truth], tokens_per_second: f64) -> Option<Self> {
        let least = truth.iter().filter(|t| t.beyond().is_some()).min_by_key(|t| t.streams);
        // A pass above a number of streams that failed was lucky, so it is ignored.
        let within = truth.iter().filter(|t| t.beyond().is_none() && least.is_none_or(|l| t.streams < l.streams));
        let best = within.max_by_key(|t| t.streams);
        least.or(best)?;
        Some(Self {
            streams: best.map(|t| t.streams),
            tokens_per_second,
            error_ms: best.map_or(0.0, Truth::worst_ms),
            limit: least.and_then(Truth::beyond),
            beyond: least.map(|t| t.streams),
        })
    }
}

impl SelfTest {
    /// Returns the JSON for files: keys sorted, indented, with a newline at the end.
    pub fn to_json(&self) -> String {
        json::pretty(self)
    }
}
