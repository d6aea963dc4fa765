//! Results as documents, and their conversion to JSON and back. This module is pure: it opens no
//! files, and does not know how results are shown.
//!
//! The [`Document`] holds everything of a run that is worth keeping, as one versioned JSON file.
//! Within a version it only grows: a reader accepts fields it does not know, and fields that came
//! later may be missing. Times are in ms as floats unless the name says otherwise. Unknown values
//! are `null`, never guesses. `schema/run-1.schema.json` describes it field by field.
//!
//! `facts.rs` makes a document from the facts of a run, `plan.rs` makes its section about the plan,
//! and `json.rs` writes and reads it. Output formats are files of `report`, from document to text.
//! The other documents are those of sweeps (`capacity.rs`, `throughput.rs`), of comparisons
//! (`comparison.rs`, `noise.rs`), and of what this tool found out about itself on a machine
//! (`self_test.rs`).

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
// Defined where they are measured, but part of the format.
pub use crate::metrics::growth::{Drift, Growth, Trending};
pub use crate::metrics::hints::Hint;
pub use crate::metrics::series::{Histograms, KindSecond, Quantiles, Second};
pub use crate::metrics::summary::GaugeValue;
pub use crate::metrics::validity::{Signal, Validity};
pub use crate::threshold::{Judged, Judgement};
pub use digest::seal;

/// Most bytes of a document that are read.
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

/// Everything of a run that is worth keeping.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: String,
    /// The verdict on the run.
    #[serde(flatten)]
    pub verdict: Verdict,
    pub run: Run,
    /// The build of this tool.
    pub build: Build,
    pub target: Target,
    pub environment: Environment,
    /// The resolved plan, with its `hash`. Two runs with the same hash send a server the same work.
    pub plan: Map<String, Value>,
    /// Facts about the client, and whether it was the bottleneck.
    pub client: Client,
    /// Hints about the server and the path to it, from the numbers.
    #[serde(default)]
    pub hints: Vec<Hint>,
    /// All metrics by name.
    pub metrics: BTreeMap<String, Measured>,
    /// The metrics of each kind of request, without those of connections or levels.
    pub requests: BTreeMap<String, BTreeMap<String, Measured>>,
    /// The metrics by turn of a conversation: `1`, `2`, `3-4`, `5-8`, `9+`. Absent without
    /// conversations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub turns: BTreeMap<String, BTreeMap<String, Measured>>,
    /// The failures, and the statuses of all responses.
    pub failures: Failures,
    /// The results of the endpoints that were called before the load. Empty if none was.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
    /// The tokens that the server's chat template adds to prompts. Empty if they were not measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<Template>,
    /// Requested values beside the measured ones. Empty if nothing was requested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<AskedGot>,
    /// The files from which requests took their rows. Empty without such files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<Dataset>,
    /// Generated tokens as counted by a tokenizer. Absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_estimate: Option<TokenEstimate>,
    #[serde(default)]
    pub thresholds: Vec<Judged>,
    /// Second by second.
    #[serde(default)]
    pub series: Vec<Second>,
    /// The server's use of resources, where it could be watched.
    pub server: Server,
    /// Counts of requests on which the client and the server should agree. Absent if the server
    /// keeps none.
    #[serde(default)]
    pub agreement: Option<Agreement>,
    /// Other numbers that should agree: the configured latency of a server that was started here,
    /// and its counts.
    #[serde(default)]
    pub agreements: Vec<AgreementLine>,
    /// The server's own metrics. Absent if they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_metrics: Option<ServerMetrics>,
    /// The network path to the server. Absent where the kernel does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Stage by stage, if there are several.
    #[serde(default)]
    pub stages: Vec<Stage>,
    /// The requests outside the measurement window. Absent if the window is the whole test.
    #[serde(default)]
    pub outside: Option<Outside>,
    /// Latencies at the beginning and at the end of the level load, by name.
    #[serde(default)]
    pub drift: BTreeMap<String, Drift>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub id: String,
    /// Start of the load, RFC 3339.
    pub started_at: String,
    /// Time from the first request to the end of the last.
    pub duration_s: f64,
    /// Length of the measurement window, over which rates are computed.
    pub window_s: f64,
    /// Start of the window: the length of the beginning that was not measured.
    #[serde(default)]
    pub warmup_s: f64,
    /// Length of the end that was not to be measured.
    #[serde(default)]
    pub cooldown_s: f64,
    /// Name of the profile.
    pub profile: String,
    /// True if a signal ended the run.
    pub interrupted: bool,
    /// The reason why the run ended before its plan did: a signal, or a threshold with
    /// `abort_on_fail`.
    #[serde(default)]
    pub stop_reason: Option<String>,
    /// True if the run ended because another shard of the test was lost.
    #[serde(default, skip_serializing_if = "is_false")]
    pub incomplete: bool,
    /// Start of the load of a shard that met the others. Absent without a rendezvous.
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
    /// The part of a test that this is. `None` for a whole test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// The runs that this was merged from. Empty for a run that was not merged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged_from: Vec<MergedRun>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Start of a shard's load, relative to the one instant that was set for all.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Time after that instant, in ms.
    pub late_ms: f64,
    /// Uncertainty of this shard's clock at shard 0, in ms: half of the fastest round trip.
    pub clock_error_ms: f64,
}

/// A part of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// The first shard in it, from 0.
    pub index: u32,
    pub count: u32,
    /// The source of these numbers: a flag, a scheduler, `merge`.
    pub source: String,
    /// Every shard in it: one, or several once some have been merged.
    pub held: Vec<u32>,
}

/// A run that is part of a merged one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MergedRun {
    /// Its `run.id`.
    pub id: String,
    pub index: u32,
    /// Start of the run, RFC 3339.
    pub started_at: String,
    /// Fingerprint of its machine.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// Start of its load, if the shards had met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
}

/// The build of this tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Version of the package.
    pub version: String,
    /// Commit it was built from.
    pub git_commit: Option<String>,
    /// True if the sources differed from that commit.
    #[serde(default)]
    pub git_dirty: Option<bool>,
    /// Compiler that built it.
    pub rustc: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Its URL, without credentials.
    pub url: String,
    /// The URLs of the further targets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_urls: Vec<String>,
    #[serde(default)]
    pub addresses: Vec<Address>,
    /// Facts about TLS. `None` without it.
    #[serde(default)]
    pub tls: Option<Tls>,
    pub server: TargetServer,
    /// The server's own statistics before the run.
    #[serde(default)]
    pub before: Option<Value>,
    /// The server's own statistics after the run.
    #[serde(default)]
    pub after: Option<Value>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetServer {
    /// True if the server was started for this run.
    pub started: bool,
    /// The kind of server: `llmsim`.
    pub kind: Option<String>,
    pub version: Option<String>,
    /// The commit it was built from.
    pub git_commit: Option<String>,
    /// True if its sources differed from that commit.
    #[serde(default)]
    pub git_dirty: Option<bool>,
    /// The way in which the server ended, if it did so by itself during the run.
    #[serde(default)]
    pub died: Option<String>,
    /// Its last lines of output, if it died.
    #[serde(default)]
    pub last_lines: Vec<String>,
    /// Duration of its first request, which was sent before the test and is not measured.
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
    /// Source of the kernel's clock.
    pub clocksource: Option<String>,
    pub workers: u32,
    /// Cores that the workers are pinned to. `None` if they are not pinned.
    pub pinned_to: Option<Vec<u32>>,
    /// Cores that were given to a server started here. `None` if it may use all.
    pub server_cores: Option<Vec<u32>>,
    /// Limit of open files.
    pub nofile: Option<u64>,
    /// Fingerprint of processor, cores, memory, kernel and system. Two machines whose numbers may
    /// be compared have the same.
    #[serde(default)]
    pub fingerprint: Option<String>,
}

/// Facts about the client, and whether it was the bottleneck.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Client {
    /// The worst of the signals.
    pub verdict: Validity,
    /// The signals by which the client is judged.
    #[serde(default)]
    pub signals: Vec<Signal>,
    #[serde(default)]
    pub memory: Option<Memory>,
}

/// The server's use of resources.
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
    /// Growth of its memory while the load was level.
    #[serde(default)]
    pub growth: Option<Growth>,
}

impl Document {
    /// Creates the document of a run.
    pub fn new(facts: &RunFacts<'_>) -> Self {
        facts::document(facts)
    }

    /// Returns true for an unmerged shard of a test. Its thresholds are not judged.
    pub fn is_shard(&self) -> bool {
        self.run.shard.is_some() && self.run.merged_from.is_empty()
    }

    /// Returns true if the document was merged although shards were missing.
    pub fn is_partial(&self) -> bool {
        self.run.shard.is_some() && !self.run.merged_from.is_empty()
    }

    /// Judges the run by the document's own numbers.
    pub fn judge(&mut self, strictness: Strictness<'_>) {
        self.verdict = Verdict::of(self, strictness);
    }
}

#[cfg(test)]
pub(crate) mod tests;
