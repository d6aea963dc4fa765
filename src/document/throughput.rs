//! The result of `throughput`: the most that a server can do, with every step.

use super::{Build, Environment, Hint, Quantiles, Reason, ServerMetrics, SweepFacts, TargetServer, Verdict, json};
use serde::{Deserialize, Serialize};

/// Name and version of the format.
pub const THROUGHPUT_SCHEMA: &str = "llmsim-blast.throughput/1";
/// The share of failed requests from which a step is disqualified. llmsim's own benchmark sets it.
pub const MOST_ERRORS: f64 = 0.001;
/// The 99th percentile of plain responses, in ms, from which a step of llmsim is disqualified by
/// default. llmsim's own benchmark sets it. Models need longer than that for one response.
pub const LLMSIM_P99_MS: f64 = 50.0;

/// The result of a sweep. Parts that a stopped sweep did not reach are absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// [`THROUGHPUT_SCHEMA`].
    pub schema: String,
    /// The build of this tool.
    pub build: Build,
    pub environment: Environment,
    /// The server's URL.
    pub target: String,
    /// Hash of the requests, whatever the steps were. Only results with the same hash are compared.
    /// Earlier builds wrote none.
    #[serde(default)]
    pub plan_hash: Option<String>,
    pub server: TargetServer,
    /// True if the server ran on this machine, and so shared it with this tool.
    pub same_machine: bool,
    /// Length of a fresh server's warm-up.
    pub warmup_s: f64,
    /// Length of each step's measurement.
    pub step_s: f64,
    /// True if a signal ended the sweep.
    pub interrupted: bool,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The 99th percentile of plain responses from which a step does not count, in ms. `None` for
    /// no limit.
    #[serde(default = "usual_p99")]
    pub max_p99_ms: Option<f64>,
    /// Every step with responses in one piece, in the order measured.
    pub plain: Vec<Step>,
    /// Every step with streamed responses.
    pub streamed: Vec<Step>,
}

/// One concurrency with one server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The API that was tested. Earlier builds tested a single one, and wrote none.
    #[serde(default)]
    pub api: Option<String>,
    /// The server's worker threads. `None` if the server was already running.
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
    /// The share of requests that failed. `None` without requests.
    pub failed: Option<f64>,
    /// CPU of this tool's busiest worker, as a share of its core.
    pub client_cpu: f64,
    /// This tool's worker threads.
    pub client_workers: u32,
    /// CPU of the server, in cores. `None` where it cannot be watched.
    pub server_cpu: Option<f64>,
    /// True if this tool was the bottleneck. The server may be able to do more then.
    pub client_bound: bool,
    /// True if server and client had fewer cores than threads.
    pub shared_cores: bool,
    /// Hints about the server from the numbers.
    pub hints: Vec<Hint>,
    /// The server's own metrics. Absent if they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_metrics: Option<ServerMetrics>,
}

/// The best step of one API and one number of worker threads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row<'a> {
    pub(crate) api: Option<&'a str>,
    /// `None` for a server that was already running.
    pub(crate) workers: Option<u32>,
    /// `None` if no step counts.
    pub(crate) best: Option<&'a Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Responses in one piece: peak requests a second.
    Plain,
    /// Streamed responses: peak tokens a second.
    Streamed,
}

/// Returns the limit of older results, whose limit could not be chosen.
#[expect(clippy::unnecessary_wraps, reason = "the default of a field that may be absent")]
fn usual_p99() -> Option<f64> {
    Some(LLMSIM_P99_MS)
}

impl Step {
    /// Returns the rate that the mode measures.
    pub(crate) fn rate(&self, mode: Mode) -> f64 {
        match mode {
            Mode::Plain => self.requests_per_s,
            Mode::Streamed => self.tokens_per_s,
        }
    }

    /// Returns whether the step counts. The length of a stream depends on the server's pauses, so
    /// only errors disqualify a stream.
    fn counts(&self, mode: Mode, max_p99_ms: Option<f64>) -> bool {
        let errors = self.failed.is_some_and(|share| share < MOST_ERRORS);
        let is_quick = |most| self.http_req_duration.is_some_and(|q| q.p99 < most);
        errors && (mode == Mode::Streamed || max_p99_ms.is_none_or(is_quick))
    }
}

impl Throughput {
    /// Returns the steps of a mode.
    pub fn steps(&self, mode: Mode) -> &[Step] {
        match mode {
            Mode::Plain => &self.plain,
            Mode::Streamed => &self.streamed,
        }
    }

    /// Returns the best step of each API and number of worker threads: APIs in their requested
    /// order, and numbers in the order measured.
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

    /// Returns the APIs that were tested, in their order.
    pub(crate) fn apis(&self) -> Vec<Option<&str>> {
        let mut apis: Vec<Option<&str>> = Vec::new();
        for step in self.plain.iter().chain(&self.streamed) {
            if !apis.contains(&step.api.as_deref()) {
                apis.push(step.api.as_deref());
            }
        }
        apis
    }

    /// Returns true if rows have to name their API.
    pub(crate) fn has_several_apis(&self) -> bool {
        self.apis().len() > 1
    }

    /// Judges the result. It passes if any request succeeded. `ended` is the reason why the sweep
    /// ended early, unless a signal ended it.
    pub(crate) fn judge(&mut self, ended: Option<Reason>) {
        let (server, interrupted, has_data) = (&self.server, self.interrupted, self.has_data());
        self.verdict = Verdict::of_sweep(SweepFacts { server, ended, interrupted, has_data, missed: None });
    }

    /// Returns true if no step was measured.
    pub(crate) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.streamed.is_empty()
    }

    /// Returns true if any request succeeded.
    pub fn has_data(&self) -> bool {
        self.plain.iter().chain(&self.streamed).any(|step| step.failed.is_some_and(|share| share < 1.0))
    }

    /// Returns the JSON for files: keys sorted, indented, with a newline at the end.
    pub fn to_json(&self) -> String {
        json::pretty(self)
    }
}
