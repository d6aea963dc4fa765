//! Document → bytes. Pure: the run's result goes in, text comes out.
//!
//! The [`Document`] is everything worth keeping of a run, as one versioned JSON file. It is the
//! only type here that outlives the process. Within a version it only grows: a reader accepts
//! fields it does not know, and fields that came later may be missing. Times are in ms as floats
//! unless the name says otherwise; what is not known is `null`, never a guess.
//! `schema/run-1.schema.json` describes it field by field.
//!
//! `facts.rs` makes a document of what a run brings together, `plan.rs` its section about the plan,
//! `json.rs` writes and reads it; every output format is one short file from document to text
//! (`terminal.rs`). `self_test.rs` is the other thing that is kept: what this tool found out about
//! itself on a machine.

pub(crate) mod access;
pub(crate) mod agreement;
pub(crate) mod asked;
pub mod capacity;
pub mod comparison;
pub(crate) mod datasets;
pub(crate) mod digest;
pub(crate) mod endpoints;
pub(crate) mod facts;
pub(crate) mod failures;
mod found;
#[doc(hidden)]
pub mod fuzz;
pub(crate) mod json;
pub(crate) mod live;
pub(crate) mod measured;
pub mod merge;
pub(crate) mod network;
pub mod noise;
pub(crate) mod plan;
pub(crate) mod read;
mod redact;
pub mod self_test;
pub(crate) mod server_metrics;
pub(crate) mod shard_step;
pub(crate) mod stability;
pub(crate) mod stages;
pub mod sweeps;
pub(crate) mod template;
pub mod throughput;
pub(crate) mod tokens;
pub mod verdict;

pub use access::{Address, Tls};
pub use asked::{AskedGot, Spread};
pub use datasets::{Dataset, UnusedRows};
pub use endpoints::{Endpoint, EndpointVerdict};
pub use facts::{RunFacts, Steady};
pub use failures::{FailureDetails, Failures, RetryAfter};
pub use found::Sweep;
pub use json::{DocumentError, SCHEMA};
pub use measured::{Counter, Exact, Measured, Rate, Trend};
pub use network::Network;
// Defined where they are measured, and part of the format.
pub use crate::metrics::growth::{Drift, Growth, Trending};
pub use crate::metrics::hints::Hint;
pub use crate::metrics::series::{Histograms, KindSecond, Quantiles, Second};
pub use crate::metrics::summary::GaugeValue;
pub use crate::metrics::validity::{Signal, Validity};
pub use crate::threshold::{Judged, Judgement};
pub use digest::seal;

/// Most bytes of a document that is read.
pub const MAX_DOCUMENT_BYTES: usize = json::MAX_BYTES;

pub use agreement::{Agreement, AgreementLine, ErrorAgreement};
pub use read::{FieldError, summary};
pub use server_metrics::{Compared, ServerMetrics, ServerNumber};
pub use stability::{Memory, ServerUse};
pub use stages::{Outside, Stage};
pub use template::Template;
pub use tokens::{EstimatedTokens, TokenEstimate, TokenSample};
pub use verdict::{Conclusion, Reason, ReasonKind, Strictness, Verdict};
pub(crate) use verdict::{ENDED_EARLY, SweepFacts};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Everything worth keeping of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: String,
    /// What the run comes to.
    #[serde(flatten)]
    pub verdict: Verdict,
    pub run: Run,
    /// Which build of this tool.
    pub build: Build,
    pub target: Target,
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
    /// The same by turn of a conversation: `1`, `2`, `3-4`, `5-8`, `9+`. Absent without
    /// conversations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub turns: BTreeMap<String, BTreeMap<String, Measured>>,
    /// What went wrong, and the statuses of all answers.
    pub failures: Failures,
    /// How every endpoint answered that was asked before the load; empty when none was.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
    /// What the server's chat template adds to prompts; empty when nobody asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<Template>,
    /// What was asked for beside what came of it; empty when nothing was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<AskedGot>,
    /// The files that requests had their rows of; empty when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<Dataset>,
    /// Generated tokens as a tokenizer counts them; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_estimate: Option<TokenEstimate>,
    #[serde(default)]
    pub thresholds: Vec<Judged>,
    /// Second by second.
    #[serde(default)]
    pub series: Vec<Second>,
    /// What the server used, where it could be watched.
    pub server: Server,
    /// Counts of requests that ours and the server's own should agree on; absent when the server
    /// keeps none.
    #[serde(default)]
    pub agreement: Option<Agreement>,
    /// Other numbers that should agree: the configured latency of a server that was started here,
    /// and what it counted.
    #[serde(default)]
    pub agreements: Vec<AgreementLine>,
    /// What the server says of itself; absent if it was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_metrics: Option<ServerMetrics>,
    /// The way to the server; absent where the kernel does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
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

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
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
    /// Whether it ended because another shard of the test was lost.
    #[serde(default, skip_serializing_if = "is_false")]
    pub incomplete: bool,
    /// When the load of a shard began that has met the others; absent without a rendezvous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// When the load of a shard began, by the one instant that was set for all.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// So long after that instant, in ms.
    pub late_ms: f64,
    /// How well this shard's clock is known to shard 0, in ms: half of the fastest round trip.
    pub clock_error_ms: f64,
}

/// Which part of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// The first shard it holds, from 0.
    pub index: u32,
    pub count: u32,
    /// What said so: a flag, an environment name, `merge`.
    pub source: String,
    /// Every shard it holds: one, or several once some have been merged.
    pub held: Vec<u32>,
}

/// A run that a merged one is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MergedRun {
    /// Its `run.id`.
    pub id: String,
    pub index: u32,
    /// When it started, RFC 3339.
    pub started_at: String,
    /// Fingerprint of its machine.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// When its load began, if the shards had met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
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

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Its URL, without credentials.
    pub url: String,
    /// The URLs of those that were tested besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_urls: Vec<String>,
    #[serde(default)]
    pub addresses: Vec<Address>,
    /// What TLS has done; none without it.
    #[serde(default)]
    pub tls: Option<Tls>,
    pub server: TargetServer,
    /// The server's own statistics before the run.
    #[serde(default)]
    pub before: Option<Value>,
    /// The same after the run.
    #[serde(default)]
    pub after: Option<Value>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetServer {
    /// Whether it was started for this run.
    pub started: bool,
    /// What it is: `llmsim`.
    pub kind: Option<String>,
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
    /// How long its first request took, which was sent before the test and is not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold_start_ms: Option<f64>,
}

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
    pub os: String,
    pub arch: String,
    /// Where the kernel's clock comes from.
    pub clocksource: Option<String>,
    pub workers: u32,
    /// Cores the workers are pinned to; none when they are not.
    pub pinned_to: Option<Vec<u32>>,
    /// Cores that a server started here was given; none when it may use all.
    pub server_cores: Option<Vec<u32>>,
    /// Limit of open files.
    pub nofile: Option<u64>,
    /// Of processor, cores, memory, kernel and system: equal on two machines whose numbers may be
    /// compared.
    #[serde(default)]
    pub fingerprint: Option<String>,
}

/// Whether this tool was the bottleneck.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Client {
    /// The worst of the signals.
    pub verdict: Validity,
    /// What it is judged by.
    #[serde(default)]
    pub signals: Vec<Signal>,
    #[serde(default)]
    pub memory: Option<Memory>,
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
    #[serde(default)]
    pub verdict: Option<Trending>,
    /// How its memory grew while the load was level.
    #[serde(default)]
    pub growth: Option<Growth>,
}

impl Document {
    /// The document of a run.
    pub fn new(facts: &RunFacts<'_>) -> Self {
        facts::document(facts)
    }

    /// Whether it is a shard of a test that nobody has merged: its thresholds are not judged.
    pub fn is_shard(&self) -> bool {
        self.run.shard.is_some() && self.run.merged_from.is_empty()
    }

    /// Whether it was merged although shards were missing.
    pub fn is_partial(&self) -> bool {
        self.run.shard.is_some() && !self.run.merged_from.is_empty()
    }

    /// Judges the run by what the document says.
    pub fn judge(&mut self, strictness: Strictness<'_>) {
        self.verdict = Verdict::of(self, strictness);
    }
}

#[cfg(test)]
pub(crate) mod tests;
