//! What a self-test found.

use super::{Build, json};
use serde::{Deserialize, Serialize};

/// Name and version of the format.
pub const SELF_TEST_SCHEMA: &str = "llmsim-blast.self-test/1";
/// The error that a machine's verdict is about: the p99 of TTFT and of gaps, reported minus
/// recorded.
pub const ERROR_LIMIT_MS: f64 = 1.0;
/// The share of its core from which a side is at its limit. The rest is the kernel's and the
/// neighbours'.
pub const CPU_LIMIT: f64 = 0.9;
/// The share of gaps whose instants are not known, above which percentiles say little.
pub const CENSORED_LIMIT: f64 = 0.1;
/// The share of these cores that other programs may use before a warning says so.
pub const OTHERS_LIMIT: f64 = 0.05;
/// The 99th percentile of fewer gaps is a matter of a few of them: one program that wakes up beside
/// us would decide the verdict.
pub const MIN_GAPS: u64 = 1_000;

/// All that was found. What a stopped test did not come to is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SelfTest {
    /// [`SELF_TEST_SCHEMA`].
    pub schema: String,
    /// Which build of this tool.
    pub build: Build,
    pub machine: Machine,
    /// Whether it was the short one.
    pub quick: bool,
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// The share of the two cores that neither side used and that was busy all the same: other
    /// programs, and time that the hypervisor gave to other machines. None where the kernel does
    /// not tell.
    pub others_cpu: Option<f64>,
    /// What a connection takes.
    pub memory: Option<Memory>,
    /// Speed and cost, by kind of work.
    pub work: Vec<Work>,
    /// Reported against recorded, by number of streams, in the order measured.
    pub truth: Vec<Truth>,
    /// What this machine can do.
    pub verdict: Option<Verdict>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub cpu_model: String,
    /// Cores that this process may use.
    pub cores: u32,
    pub kernel: String,
    /// What the clock stands on.
    pub clocksource: String,
    /// The origin's core; none when it is not pinned.
    pub origin_core: Option<u32>,
    /// The worker's core; none when it is not pinned.
    pub client_core: Option<u32>,
}

/// What a connection takes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Idle connections that were open.
    pub connections: u64,
    /// Resident memory of the whole process with them.
    pub rss_bytes: u64,
    /// Its growth, for each of them. The kernel's share is not in it.
    pub bytes_per_connection: f64,
}

/// Speed and cost of one kind of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    pub name: String,
    /// What is counted: requests, responses, events.
    pub unit: String,
    pub connections: u32,
    /// How many a second.
    pub per_second: f64,
    /// The worker's CPU time for each, user and system.
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

/// Reported against recorded, with a number of streams.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    pub streams: u32,
    /// How often it was measured; the attempt with the smaller error counts, since what disturbs a
    /// machine only adds to it.
    pub attempts: u32,
    /// Gaps between tokens that this tool saw.
    pub gaps: u64,
    /// Token events a second, all streams together.
    pub events_per_second: f64,
    /// What this tool reported, in ms.
    pub reported: Times,
    /// What the origin recorded, in ms.
    pub recorded: Times,
    /// The origin's own lateness, writing against its schedule, 99th percentile, in ms.
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

/// What set the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// The worker's core was full, or most instants were unknown.
    ClientCpu,
    /// The origin's core was full: the client may be able to do more.
    OriginCpu,
    /// The error passed the limit before any core was full.
    Error,
    Failures,
}

/// What this machine can do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The most streams that were within all limits; none when not even one was.
    pub streams: Option<u32>,
    /// Tokens a second, each.
    pub tokens_per_second: f64,
    /// The largest error with that many, in ms.
    pub error_ms: f64,
    /// What set the limit; none when more was not tried.
    pub limit: Option<Limit>,
    /// The least streams that were beyond a limit.
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

    /// The larger of the errors at p99, without its sign.
    pub fn worst_ms(&self) -> f64 {
        self.error().ttft_p99.abs().max(self.error().gap_p99.abs())
    }

    /// Which limit it is beyond, the cause before the effect.
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
    /// What the measured truth comes to; none without any.
    pub fn of(truth: &[Truth], tokens_per_second: f64) -> Option<Self> {
        let least = truth.iter().filter(|t| t.beyond().is_some()).min_by_key(|t| t.streams);
        // One that was within all limits above another that was not was lucky.
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
    /// As JSON for files: keys sorted, indented, with a newline at the end.
    pub fn to_json(&self) -> String {
        json::pretty(self)
    }
}
