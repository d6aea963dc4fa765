//! The result of `capacity`: the load that a server can carry, with the whole curve.

use super::{Build, Environment, Quantiles, Reason, ServerMetrics, SweepFacts, TargetServer, Validity, Verdict, json};
use crate::units::short;
use serde::{Deserialize, Serialize};

/// Name and version of the format.
pub const CAPACITY_SCHEMA: &str = "llmsim-blast.capacity/1";

/// The result of a search. Parts that a stopped search did not reach are absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// [`CAPACITY_SCHEMA`].
    pub schema: String,
    /// The build of this tool.
    pub build: Build,
    pub environment: Environment,
    pub target: String,
    /// Hash of the requests, whatever the steps were. Only results with the same hash are compared.
    /// Earlier builds wrote none.
    #[serde(default)]
    pub plan_hash: Option<String>,
    pub server: TargetServer,
    /// The profile whose requests were sent.
    pub profile: String,
    /// Number of shards that ran each step together. Absent if one process ran them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<u32>,
    pub by: By,
    /// The goals that had to hold, each as `metric expression`.
    pub goals: Vec<String>,
    /// The goals of single requests, from which goodput is computed.
    pub goals_of_one_request: Vec<String>,
    /// Length of each step's warm-up.
    pub warmup_s: f64,
    /// Length of each step's window.
    pub window_s: f64,
    /// The highest load at which the goals held, if any.
    pub holds: Option<Try>,
    /// The lowest load at which they did not hold, if any.
    pub fails: Option<Try>,
    /// True if the search finished: the bracket is narrow, and the result was repeated.
    pub settled: bool,
    /// True if a signal ended the search.
    pub interrupted: bool,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The time limit of the whole search. `None` for no limit.
    #[serde(default)]
    pub max_time_s: Option<f64>,
    /// True if the search ended because that time was up.
    #[serde(default)]
    pub out_of_time: bool,
    /// Every step, in the order measured.
    pub curve: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Users in a closed loop.
    Vus,
    /// Arrivals a second in an open loop.
    Rate,
}

impl By {
    /// Formats a load for people: `48 users`, `12.5 requests/s`.
    pub fn shown(self, load: f64) -> String {
        match self {
            Self::Vus if load <= 1.0 => format!("{load} user"),
            Self::Vus => format!("{load} users"),
            Self::Rate => format!("{} requests/s", short(load)),
        }
    }
}

/// The number of tries of a load, by result.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Try {
    /// Users, or arrivals a second.
    pub load: f64,
    /// Tries in which all goals held.
    pub held: u32,
    /// Tries in which one goal did not hold.
    pub failed: u32,
}

/// One try of one load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Users, or arrivals a second.
    pub load: f64,
    /// True if all goals held.
    pub held: bool,
    /// True if the try says nothing about its load: too few responses came for a goal, or this tool
    /// did not send the load.
    #[serde(default)]
    pub undecided: bool,
    /// True if the try is undecided because this tool's own machine did not send the load.
    #[serde(default)]
    pub client_was_late: bool,
    /// The goals that did not hold, each with the measured value.
    pub broken: Vec<String>,
    /// Time to first token, in ms.
    pub ttft: Option<Quantiles>,
    /// Time between tokens, in ms.
    pub tbt: Option<Quantiles>,
    /// Time per output token, in ms.
    pub tpot: Option<Quantiles>,
    /// Durations of successful requests, in ms.
    pub http_req_duration: Option<Quantiles>,
    /// Requests that finished, a second.
    pub requests_per_s: f64,
    /// Generated tokens a second.
    pub tokens_per_s: f64,
    /// The share of requests that failed. `None` without requests.
    pub failed: Option<f64>,
    /// The share of requests that met every goal of a single request. `None` without such goals.
    pub goodput: Option<f64>,
    /// Tells whether this tool was the bottleneck.
    pub client: Validity,
    /// CPU of the busiest worker, as a share of its core.
    pub client_cpu: f64,
    /// The server's own metrics. Absent if they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_metrics: Option<ServerMetrics>,
}

impl Capacity {
    /// Returns the JSON for files: keys sorted, indented, with a newline at the end.
    pub fn to_json(&self) -> String {
        json::pretty(self)
    }

    /// Judges the result. It passes if there is a load at which the goals held. `ended` is the
    /// reason why the search ended early, unless a signal ended it.
    pub(crate) fn judge(&mut self, ended: Option<Reason>) {
        let has_data = self.curve.iter().any(|step| step.failed.is_some_and(|share| share < 1.0));
        let by = self.by;
        let missed = self.fails.filter(|_| self.holds.is_none());
        let missed = missed.map(|fails| format!("the goals do not hold even at {}", by.shown(fails.load)));
        let (server, interrupted) = (&self.server, self.interrupted);
        // Without a limit on either side nothing was decided, which counts as no data.
        let has_data = has_data && (self.holds.is_some() || self.fails.is_some());
        self.verdict = Verdict::of_sweep(SweepFacts { server, ended, interrupted, has_data, missed });
    }

    /// Returns the loads at which this tool was the bottleneck.
    pub(crate) fn bottlenecks(&self) -> impl Iterator<Item = f64> {
        self.curve.iter().filter(|step| step.client == Validity::Bottleneck).map(|step| step.load)
    }

    /// Counts the steps that are undecided for lack of data, and those that are undecided because
    /// our own machine was late.
    pub(crate) fn undecided(&self) -> (usize, usize) {
        let count = |late| self.curve.iter().filter(|step| step.undecided && step.client_was_late == late).count();
        (count(false), count(true))
    }

    /// Returns the last try of each load, ascending, with the counts of all its tries.
    pub(crate) fn by_load(&self) -> Vec<(&Step, Try)> {
        let mut rows: Vec<(&Step, Try)> = Vec::new();
        for step in &self.curve {
            let at = rows.partition_point(|(row, _)| row.load < step.load);
            if rows.get(at).is_none_or(|(row, _)| row.load > step.load) {
                rows.insert(at, (step, Try { load: step.load, held: 0, failed: 0 }));
            }
            let (row, tries) = &mut rows[at];
            *row = step;
            tries.held += u32::from(step.held);
            tries.failed += u32::from(!step.held && !step.undecided);
        }
        rows
    }
}
