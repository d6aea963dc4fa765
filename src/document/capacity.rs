//! What a server can carry, with the whole curve.

use super::{Build, Environment, Quantiles, Reason, ServerMetrics, SweepFacts, TargetServer, Validity, Verdict, json};
use crate::units::short;
use serde::{Deserialize, Serialize};

/// Name and version of the format.
pub const CAPACITY_SCHEMA: &str = "llmsim-blast.capacity/1";

/// All that was found. What a stopped search did not come to is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// [`CAPACITY_SCHEMA`].
    pub schema: String,
    /// Which build of this tool.
    pub build: Build,
    pub environment: Environment,
    pub target: String,
    /// What it asked, whatever its steps were: only results with the same are compared. Earlier
    /// builds wrote none.
    #[serde(default)]
    pub plan_hash: Option<String>,
    pub server: TargetServer,
    /// Whose requests were sent.
    pub profile: String,
    /// How many shards ran each step together; absent if one process did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<u32>,
    pub by: By,
    /// What had to hold, each as `metric expression`.
    pub goals: Vec<String>,
    /// What goodput holds each request against.
    pub goals_of_one_request: Vec<String>,
    /// How long each step ran before it was measured.
    pub warmup_s: f64,
    /// How long each step was measured.
    pub window_s: f64,
    /// The highest load at which the goals held; none when there is none.
    pub holds: Option<Try>,
    /// The lowest load at which they did not; none when there is none.
    pub fails: Option<Try>,
    /// Whether the search came to its end: the bracket is narrow, and the result was repeated.
    pub settled: bool,
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// What it comes to.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How long the whole search was allowed to take; none for no limit.
    #[serde(default)]
    pub max_time_s: Option<f64>,
    /// Whether it ended because that time was up.
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
    /// Arrivals a second in an open one.
    Rate,
}

impl By {
    /// A load, for people: `48 users`, `12.5 requests/s`.
    pub fn shown(self, load: f64) -> String {
        match self {
            Self::Vus if load <= 1.0 => format!("{load} user"),
            Self::Vus => format!("{load} users"),
            Self::Rate => format!("{} requests/s", short(load)),
        }
    }
}

/// How often a load was tried, and how it went.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Try {
    /// Users, or arrivals a second.
    pub load: f64,
    /// Tries in which all goals held.
    pub held: u32,
    /// Tries in which one did not.
    pub failed: u32,
}

/// One try of one load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Users, or arrivals a second.
    pub load: f64,
    /// Whether all goals held.
    pub held: bool,
    /// Whether it says nothing of its load: too little came back for a goal, or this tool did not
    /// send the load.
    #[serde(default)]
    pub undecided: bool,
    /// Whether it is undecided because this tool's own machine did not send the load.
    #[serde(default)]
    pub client_was_late: bool,
    /// Why not, each goal with what was measured.
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
    /// The share of requests that failed; none of nothing.
    pub failed: Option<f64>,
    /// The share of requests that met every goal of a single one; none when there are none.
    pub goodput: Option<f64>,
    /// Whether this tool was the bottleneck.
    pub client: Validity,
    /// CPU of the busiest worker, as a share of its core.
    pub client_cpu: f64,
    /// What the server says of itself; absent if it was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_metrics: Option<ServerMetrics>,
}

impl Capacity {
    /// As JSON for files: keys sorted, indented, with a newline at the end.
    pub fn to_json(&self) -> String {
        json::pretty(self)
    }

    /// Judges it: it passes if there is a load at which the goals held. `ended` says why the search
    /// ended early, if it was no signal.
    pub(crate) fn judge(&mut self, ended: Option<Reason>) {
        let has_data = self.curve.iter().any(|step| step.failed.is_some_and(|share| share < 1.0));
        let by = self.by;
        let missed = self.fails.filter(|_| self.holds.is_none());
        let missed = missed.map(|fails| format!("the goals do not hold even at {}", by.shown(fails.load)));
        let (server, interrupted) = (&self.server, self.interrupted);
        // Without a limit on either side nothing was decided: that is no data.
        let has_data = has_data && (self.holds.is_some() || self.fails.is_some());
        self.verdict = Verdict::of_sweep(SweepFacts { server, ended, interrupted, has_data, missed });
    }

    /// The loads at which this tool was the bottleneck.
    pub(crate) fn bottlenecks(&self) -> impl Iterator<Item = f64> {
        self.curve.iter().filter(|step| step.client == Validity::Bottleneck).map(|step| step.load)
    }

    /// How many steps say nothing of their load for lack of data, and how many because our own
    /// machine was late.
    pub(crate) fn undecided(&self) -> (usize, usize) {
        let count = |late| self.curve.iter().filter(|step| step.undecided && step.client_was_late == late).count();
        (count(false), count(true))
    }

    /// The last try of each load, ascending, and how all of them went.
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
