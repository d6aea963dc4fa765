//! Document → bytes. Pure: the run's result goes in, text comes out.
//!
//! The [`Document`] is everything worth keeping of a run, as one versioned JSON file. It is the only type here that outlives the
//! process. Within a version it only grows: a reader accepts fields it does not know, and fields that came later may be missing. Times
//! are in ms as floats unless the name says otherwise; what is not known is `null`, never a guess. `schema/run-1.schema.json` describes
//! it field by field.
//!
//! `facts.rs` makes a document of what a run brings together, `plan.rs` its section about the plan, `json.rs` writes and reads it;
//! every output format is one short file from document to text (`terminal.rs`). `self_test.rs` is the other thing that is kept: what
//! this tool found out about itself on a machine.

pub(crate) mod access;
pub(crate) mod agreement;
pub mod capacity;
pub mod comparison;
pub(crate) mod endpoints;
pub(crate) mod facts;
pub(crate) mod failures;
pub(crate) mod json;
pub(crate) mod measured;
pub mod merge;
pub mod noise;
pub(crate) mod plan;
pub(crate) mod read;
pub mod self_test;
pub(crate) mod stability;
pub(crate) mod stages;
pub mod throughput;

pub use access::{Address, Tls};
pub use endpoints::{Endpoint, EndpointVerdict};
pub use facts::{RunFacts, Steady};
pub use failures::{FailureDetails, Failures, RetryAfter};
pub use json::{DocumentError, SCHEMA};
pub use measured::{Counter, Exact, Gauge, Measured, Rate, Trend};

/// Most bytes of a document that is read.
pub const MAX_DOCUMENT_BYTES: usize = json::MAX_BYTES;

pub use agreement::{Agreement, AgreementLine, ErrorAgreement};
pub use read::{FieldError, summary};
pub use stability::{Drift, Memory, MemoryGrowth, ServerUse};
pub use stages::{Outside, Stage};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Everything worth keeping of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: String,
    /// Which run.
    pub run: Run,
    /// Which build of this tool.
    pub build: Build,
    /// What was tested.
    pub target: Target,
    /// On which machine.
    pub environment: Environment,
    /// The resolved plan, with its `hash`: equal for two runs that ask the same of a server.
    pub plan: Map<String, Value>,
    /// Whether this tool was the bottleneck.
    pub client: Client,
    /// What the numbers say about the server and the path to it.
    #[serde(default)]
    pub hints: Vec<Hint>,
    /// All metrics by name.
    pub metrics: BTreeMap<String, Measured>,
    /// The same for each kind of request, without what belongs to connections or levels.
    pub requests: BTreeMap<String, BTreeMap<String, Measured>>,
    /// What went wrong, and the statuses of all answers.
    pub failures: Failures,
    /// How every endpoint answered that was asked before the load; empty when none was.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
    /// Each threshold's judgement.
    #[serde(default)]
    pub thresholds: Vec<Threshold>,
    /// Second by second.
    #[serde(default)]
    pub series: Vec<Second>,
    /// What the server used, where it could be watched.
    pub server: Server,
    /// Counts of requests that ours and the server's own should agree on; absent when the server keeps none.
    #[serde(default)]
    pub agreement: Option<Agreement>,
    /// Other numbers that should agree: the configured latency of a server that was started here, and what it counted.
    #[serde(default)]
    pub agreements: Vec<AgreementLine>,
    /// Stage by stage, if there are several.
    #[serde(default)]
    pub stages: Vec<Stage>,
    /// What was sent outside the measurement window; absent when that is the whole test.
    #[serde(default)]
    pub outside: Option<Outside>,
    /// Latencies at the beginning and at the end of the time in which the load was level, by name.
    #[serde(default)]
    pub drift: BTreeMap<String, Drift>,
}

/// Which run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Unique.
    pub id: String,
    /// When the load began, RFC 3339.
    pub started_at: String,
    /// From the first request to the end of the last.
    pub duration_s: f64,
    /// Length of the measurement window, which rates are made of.
    pub window_s: f64,
    /// When the window began: how much of the beginning was not measured.
    #[serde(default)]
    pub warmup_s: f64,
    /// How much of the end was not to be measured.
    #[serde(default)]
    pub cooldown_s: f64,
    /// Name of the profile.
    pub profile: String,
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// Why it ended before its plan did: a signal, or a threshold with `abort_on_fail`.
    #[serde(default)]
    pub stop_reason: Option<String>,
    /// The user's own marks.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Seed of everything random.
    pub seed: u64,
    /// The command line, without secrets.
    #[serde(default)]
    pub argv: Vec<String>,
    /// Which part of a test this is; none for a whole one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// The runs that this was merged from; none for one that was run as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged_from: Vec<MergedRun>,
}

/// Which part of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// The first share it holds, from 0.
    pub index: u32,
    /// Of how many.
    pub count: u32,
    /// What said so: a flag, an environment name, `merge`.
    pub source: String,
    /// Every share it holds: one, or several once some have been merged.
    pub held: Vec<u32>,
}

/// A run that a merged one is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergedRun {
    /// Its `run.id`.
    pub id: String,
    /// Its share.
    pub index: u32,
    /// When it started, RFC 3339.
    pub started_at: String,
    /// Fingerprint of its machine.
    #[serde(default)]
    pub fingerprint: Option<String>,
}

/// Which build of this tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Version of the package.
    pub version: String,
    /// Commit it was built from.
    pub git_commit: Option<String>,
    /// Whether the sources differed from that commit.
    #[serde(default)]
    pub git_dirty: Option<bool>,
    /// Compiler that built it.
    pub rustc: Option<String>,
}

/// What was tested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Its URL, without credentials.
    pub url: String,
    /// The URLs of those that were tested besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_urls: Vec<String>,
    /// Connections by address.
    #[serde(default)]
    pub addresses: Vec<Address>,
    /// What TLS has done; none without it.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// What answered there.
    pub server: TargetServer,
    /// The server's own statistics before the run.
    #[serde(default)]
    pub before: Option<Value>,
    /// The same after the run.
    #[serde(default)]
    pub after: Option<Value>,
}

/// Which server answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetServer {
    /// Whether it was started for this run.
    pub started: bool,
    /// What it is: `llmsim`.
    pub kind: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The commit it was built from.
    pub git_commit: Option<String>,
    /// Whether its sources differed from that commit.
    #[serde(default)]
    pub git_dirty: Option<bool>,
    /// How it ended, when it did so by itself during the run.
    #[serde(default)]
    pub died: Option<String>,
    /// What it said last, when it died.
    #[serde(default)]
    pub last_lines: Vec<String>,
}

/// On which machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Model of the processor.
    pub cpu_model: Option<String>,
    /// Cores this process may use.
    pub cores: Option<u32>,
    /// Memory of the machine.
    pub memory_bytes: Option<u64>,
    /// Release of the kernel.
    pub kernel: Option<String>,
    /// Operating system.
    pub os: String,
    /// Instruction set.
    pub arch: String,
    /// Where the kernel's clock comes from.
    pub clocksource: Option<String>,
    /// Worker threads.
    pub workers: u32,
    /// Cores the workers are pinned to; none when they are not.
    pub pinned_to: Option<Vec<u32>>,
    /// Cores that a server started here was given; none when it may use all.
    pub server_cores: Option<Vec<u32>>,
    /// Limit of open files.
    pub nofile: Option<u64>,
    /// Of processor, cores, memory, kernel and system: equal on two machines whose numbers may be compared.
    #[serde(default)]
    pub fingerprint: Option<String>,
}

/// Whether this tool was the bottleneck.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Client {
    /// The worst of the signals.
    pub verdict: ClientVerdict,
    /// What it is judged by.
    #[serde(default)]
    pub signals: Vec<Signal>,
    /// Its own memory.
    #[serde(default)]
    pub memory: Option<Memory>,
}

/// How well the client kept up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientVerdict {
    /// Nothing was measured to judge it by.
    Unknown,
    /// It kept up.
    Ok,
    /// It came near its limit.
    Strained,
    /// It was at its limit: the numbers say more about it than about the server.
    Bottleneck,
}

impl ClientVerdict {
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

/// One thing the client is judged by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// What.
    pub name: String,
    /// What was measured, in the unit of its name; a share where there is none.
    pub value: f64,
    /// Beyond which the client is strained.
    #[serde(default)]
    pub strained_above: f64,
    /// Beyond which it is a bottleneck.
    pub limit: f64,
    /// The judgement.
    pub verdict: ClientVerdict,
    /// What to do when it is not `ok`.
    #[serde(default)]
    pub advice: String,
}

/// A pattern in the numbers that says something about the server or the path to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// Its name, for programs.
    pub name: String,
    /// What was seen, and what it most likely means.
    pub text: String,
}

/// A threshold's judgement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// The metric as written, selector included.
    pub metric: String,
    /// The expression as written.
    pub expression: String,
    /// What was measured, in the unit of the bound: ms for times, 0 to 1 for shares.
    pub value: Option<f64>,
    /// How many samples stand behind it.
    pub samples: u64,
    /// The judgement.
    pub verdict: ThresholdVerdict,
}

/// How a threshold came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdVerdict {
    /// It held.
    Pass,
    /// It did not.
    Fail,
    /// Nothing was measured: not a pass.
    NoData,
}

/// One second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Which: 0 is the first.
    pub t_s: u32,
    /// Virtual users at its end.
    pub vus: u64,
    /// Requests under way at its end.
    pub in_flight: u64,
    /// Connections at its end.
    pub connections: u64,
    /// Requests that finished in it.
    pub http_reqs: u64,
    /// Those that failed.
    pub failed: u64,
    /// Generated tokens of the requests that ended in it.
    pub tokens_output: u64,
    /// Token events of the requests that ended in it.
    pub token_events: u64,
    /// Bytes read, of the requests that ended in it.
    pub data_received: u64,
    /// Time to first token.
    pub ttft: Option<Quantiles>,
    /// Time between tokens.
    pub tbt: Option<Quantiles>,
    /// Durations of successful requests.
    pub http_req_duration: Option<Quantiles>,
    /// CPU time of all workers, as a fraction of one core.
    pub client_cpu: f64,
    /// The same of the busiest worker, as a share of its core.
    #[serde(default)]
    pub busiest_worker_cpu: f64,
    /// 99th percentile of the time from a packet's arrival to its read, in ms.
    #[serde(default)]
    pub client_lag_p99: Option<f64>,
    /// CPU time of the server, as a fraction of one core.
    pub server_cpu: Option<f64>,
    /// Resident memory of the server.
    pub server_rss_bytes: Option<u64>,
    /// Resident memory of this tool.
    #[serde(default)]
    pub client_rss_bytes: Option<u64>,
    /// By kind of request.
    #[serde(default)]
    pub requests: BTreeMap<String, KindSecond>,
}

/// One second of one kind of request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KindSecond {
    /// Requests that finished in it.
    pub http_reqs: u64,
    /// Those that failed.
    pub failed: u64,
    /// Generated tokens of the requests that ended in it.
    pub tokens_output: u64,
    /// Time to first token.
    pub ttft: Option<Quantiles>,
    /// Time between tokens.
    pub tbt: Option<Quantiles>,
    /// Durations of successful requests.
    pub http_req_duration: Option<Quantiles>,
    /// The same three as whole histograms.
    #[serde(default)]
    pub histograms: Histograms,
}

/// The histograms of a second, each as in [`Trend::histogram`]; none where there was nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histograms {
    /// Time to first token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft: Option<String>,
    /// Time between tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tbt: Option<String>,
    /// Durations of successful requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_req_duration: Option<String>,
}

/// Three percentiles, in ms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// What the server used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// CPU time, user and system, in seconds.
    pub cpu_s: Option<f64>,
    /// Resident memory before the run.
    pub rss_start_bytes: Option<u64>,
    /// Resident memory after the run.
    pub rss_end_bytes: Option<u64>,
    /// Highest resident memory seen.
    pub rss_max_bytes: Option<u64>,
    /// Growth of its resident memory per hour, as in `growth`.
    #[serde(default)]
    pub growth_bytes_per_h: Option<f64>,
    /// Whether it leaks: `stable`, `growing` or `too short to say`.
    #[serde(default)]
    pub verdict: Option<String>,
    /// How its memory grew while the load was level.
    #[serde(default)]
    pub growth: Option<MemoryGrowth>,
}

/// What a run comes to, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    /// Every threshold held, and no endpoint failed.
    Pass,
    /// A threshold did not hold, or nothing was measured for it, or an endpoint failed.
    Fail,
    /// A signal ended the run.
    Interrupted,
    /// Not one request succeeded or was cancelled.
    NoData,
    /// The server that was started for the run ended by itself: whatever was measured is not the whole.
    ServerDied,
}

impl Document {
    /// The document of a run.
    pub fn new(facts: &RunFacts<'_>) -> Self {
        facts::document(facts)
    }

    /// Whether it is a share of a test that nobody has merged: its thresholds are not judged.
    pub fn is_shard(&self) -> bool {
        self.run.shard.is_some() && self.run.merged_from.is_empty()
    }

    /// Whether it was merged although shares were missing.
    pub fn is_partial(&self) -> bool {
        self.run.shard.is_some() && !self.run.merged_from.is_empty()
    }

    /// What the run comes to. A signal goes first: what such a run measured is partial, whatever it says.
    pub fn conclusion(&self) -> Conclusion {
        let succeeded = match self.metrics.get("http_req_failed") {
            Some(Measured::Rate(rate)) => rate.total.saturating_sub(rate.matches),
            _ => 0,
        };
        // Where users give up by design, that they did is what was measured.
        let cancelled = match self.metrics.get("cancelled") {
            Some(Measured::Counter(cancelled)) => cancelled.count,
            _ => 0,
        };
        if self.run.interrupted {
            Conclusion::Interrupted
        } else if self.target.server.died.is_some() {
            Conclusion::ServerDied
        } else if succeeded == 0 && cancelled == 0 {
            Conclusion::NoData
        } else if self.thresholds.iter().any(|t| t.verdict != ThresholdVerdict::Pass)
            || self.endpoints.iter().any(|e| e.verdict == EndpointVerdict::Failed)
        {
            Conclusion::Fail
        } else {
            Conclusion::Pass
        }
    }
}

/// A float as it goes into a document: six digits after the point (of ms: the nanosecond), and never NaN or infinite.
pub(crate) fn rounded(value: f64) -> f64 {
    let six = (value * 1e6).round() / 1e6;
    if six.is_finite() {
        six
    } else if value.is_finite() {
        value
    } else {
        0.0
    }
}

#[cfg(test)]
pub(crate) mod tests;
