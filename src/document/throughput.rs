//! What a server can do at most, with every step.

use super::{Build, Environment, Hint, Quantiles, Reason, ServerMetrics, SweepFacts, TargetServer, Verdict, json};
use serde::{Deserialize, Serialize};

/// Name and version of the format.
pub const THROUGHPUT_SCHEMA: &str = "llmsim-blast.throughput/1";
/// The share of requests from which errors disqualify a step: llmsim's own benchmark says so.
pub const MOST_ERRORS: f64 = 0.001;
/// The 99th percentile of plain answers from which a step of llmsim is disqualified unless another
/// is asked for, in ms: llmsim's own benchmark says so. Models need longer than that for one answer.
pub const LLMSIM_P99_MS: f64 = 50.0;

/// All that was found. What a stopped sweep did not come to is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// [`THROUGHPUT_SCHEMA`].
    pub schema: String,
    /// Which build of this tool.
    pub build: Build,
    pub environment: Environment,
    /// Where the server was.
    pub target: String,
    /// What it asked, whatever its steps were: only results with the same are compared. Earlier
    /// builds wrote none.
    #[serde(default)]
    pub plan_hash: Option<String>,
    pub server: TargetServer,
    /// Whether it ran on this machine, and so shared it with this tool.
    pub same_machine: bool,
    /// How long a fresh server was warmed up.
    pub warmup_s: f64,
    /// How long each step was measured.
    pub step_s: f64,
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// What it comes to.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The 99th percentile of plain answers from which a step does not count, in ms; none for no
    /// limit.
    #[serde(default = "usual_p99")]
    pub max_p99_ms: Option<f64>,
    /// Every step with answers in one piece, in the order measured.
    pub plain: Vec<Step>,
    /// Every step with streamed answers.
    pub streamed: Vec<Step>,
}

/// One concurrency with one server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Which API was asked. Earlier builds asked a single one, and wrote none.
    #[serde(default)]
    pub api: Option<String>,
    /// The server's worker threads; none when it was running already.
    pub workers: Option<u32>,
    pub concurrency: u32,
    /// Requests that finished, a second.
    pub requests_per_s: f64,
    /// Generated tokens a second.
    pub tokens_per_s: f64,
    /// Durations of successful requests, in ms.
    pub http_req_duration: Option<Quantiles>,
    /// Time to first token, in ms.
    pub ttft: Option<Quantiles>,
    /// The share of requests that failed; none of nothing.
    pub failed: Option<f64>,
    /// CPU of this tool's busiest worker, as a share of its core.
    pub client_cpu: f64,
    /// This tool's worker threads.
    pub client_workers: u32,
    /// CPU of the server, in cores; none where it cannot be watched.
    pub server_cpu: Option<f64>,
    /// Whether this tool was the bottleneck: the server may be able to do more.
    pub client_bound: bool,
    /// Whether server and client had fewer cores than threads.
    pub shared_cores: bool,
    /// What the numbers say about the server.
    pub hints: Vec<Hint>,
    /// What the server says of itself; absent if it was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_metrics: Option<ServerMetrics>,
}

/// The best step of one API and one number of worker threads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row<'a> {
    pub(crate) api: Option<&'a str>,
    /// None of a server that was running already.
    pub(crate) workers: Option<u32>,
    /// None if no step counts.
    pub(crate) best: Option<&'a Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In one piece: peak requests a second.
    Plain,
    /// Streamed: peak tokens a second.
    Streamed,
}

/// What results of before it could be chosen were held to.
#[expect(clippy::unnecessary_wraps, reason = "the default of a field that may be absent")]
fn usual_p99() -> Option<f64> {
    Some(LLMSIM_P99_MS)
}

impl Step {
    /// What the mode is about.
    pub(crate) fn rate(&self, mode: Mode) -> f64 {
        match mode {
            Mode::Plain => self.requests_per_s,
            Mode::Streamed => self.tokens_per_s,
        }
    }

    /// Whether it counts. A stream's length is the server's choice of pauses, so only errors
    /// disqualify it.
    fn counts(&self, mode: Mode, max_p99_ms: Option<f64>) -> bool {
        let errors = self.failed.is_some_and(|share| share < MOST_ERRORS);
        let is_quick = |most| self.http_req_duration.is_some_and(|q| q.p99 < most);
        errors && (mode == Mode::Streamed || max_p99_ms.is_none_or(is_quick))
    }
}

impl Throughput {
    /// The steps of a mode.
    pub fn steps(&self, mode: Mode) -> &[Step] {
        match mode {
            Mode::Plain => &self.plain,
            Mode::Streamed => &self.streamed,
        }
    }

    /// The best step of each API and number of worker threads: APIs in the order asked for, and
    /// numbers in the order measured.
    pub(crate) fn rows(&self, mode: Mode) -> Vec<Row<'_>> {
        let steps = self.steps(mode);
        let best = |api: Option<&str>, workers: Option<u32>| {
            let of_row = steps.iter().filter(|step| (step.api.as_deref(), step.workers) == (api, workers));
            let counting = of_row.filter(|step| step.counts(mode, self.max_p99_ms));
            counting.max_by(|a, b| a.rate(mode).total_cmp(&b.rate(mode)))
        };
        let mut rows: Vec<Row<'_>> = Vec::new();
        for step in steps {
            let (api, workers) = (step.api.as_deref(), step.workers);
            if !rows.iter().any(|row| (row.api, row.workers) == (api, workers)) {
                rows.push(Row { api, workers, best: best(api, workers) });
            }
        }
        let apis = self.apis();
        rows.sort_by_key(|row| apis.iter().position(|api| *api == row.api));
        rows
    }

    /// The APIs that were asked, in their order.
    pub(crate) fn apis(&self) -> Vec<Option<&str>> {
        let mut apis: Vec<Option<&str>> = Vec::new();
        for step in self.plain.iter().chain(&self.streamed) {
            if !apis.contains(&step.api.as_deref()) {
                apis.push(step.api.as_deref());
            }
        }
        apis
    }

    /// Whether rows have to say of which API they are.
    pub(crate) fn has_several_apis(&self) -> bool {
        self.apis().len() > 1
    }

    /// Judges it: it passes if any request succeeded. `ended` says why the sweep ended early, if
    /// it was no signal.
    pub(crate) fn judge(&mut self, ended: Option<Reason>) {
        let (server, interrupted, has_data) = (&self.server, self.interrupted, self.has_data());
        self.verdict = Verdict::of_sweep(SweepFacts { server, ended, interrupted, has_data, missed: None });
    }

    /// Whether no step was measured.
    pub(crate) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.streamed.is_empty()
    }

    /// Whether any request succeeded.
    pub fn has_data(&self) -> bool {
        self.plain.iter().chain(&self.streamed).any(|step| step.failed.is_some_and(|share| share < 1.0))
    }

    /// As JSON for files: keys sorted, indented, with a newline at the end.
    pub fn to_json(&self) -> String {
        json::pretty(self)
    }
}
