//! The test to run, resolved and valid. Plain data.
//!
//! [`profile`] is a profile as written. [`overrides`] are flags and the environment as typed.
//! [`resolve()`] makes one [`Plan`] of both, and [`show`] tells where each of its values came from.

mod access;
mod arrivals;
mod aws_key;
mod behavior;
mod choice;
mod conversation;
mod credentials;
mod custom;
mod dataset;
mod endpoints;
mod error;
mod executor;
mod files;
#[doc(hidden)]
pub mod fuzz;
mod headers;
mod json;
mod keys;
pub mod limits;
mod mix;
mod noted;
mod output;
pub mod overrides;
mod phases;
mod presentation;
pub mod profile;
mod prometheus;
mod prompt_cache;
mod rendezvous;
mod request_defaults;
mod request_flags;
mod requests;
pub mod resolve;
mod retries;
mod rows;
mod rules;
mod scale;
mod scenario;
mod secrets;
mod server_kind;
mod server_metrics;
mod shape;
mod shard;
pub mod show;
mod source;
mod stages;
mod target;
mod trace;
mod tuning;
mod web;
mod window;

pub use credentials::Credentials;
pub use error::PlanError;
pub use files::{Files, RowFile};
pub use headers::is_secret;
pub use keys::{KeySource, Keys};
pub use output::Output;
pub use overrides::Overrides;
pub use phases::Phase;
pub use presentation::Presentation;
pub use prometheus::PrometheusWrite;
pub use rendezvous::Rendezvous;
pub use requests::{Records, RequestsFile, RequestsFormat};
pub use resolve::{Purpose, Resolved, resolve, resolve_for};
pub use rows::{Order, RowSource};
pub(crate) use rules::typed as typed_rule;
pub use source::{Given, Origin, Sourced};
pub use tuning::Tuning;
pub use web::WebPlace;

pub use crate::api::Api;
pub use crate::dataset::Spool;
pub use crate::load::{Arrivals, OnFull, Shape, Spacing, Stage, ThinkTime, Trace};
pub use crate::mix::{
    After, BehaviorMix, Bell, Conversation, KeyAs, Kind, Leave, Mix, Prefix, Prompt, PromptSource, Retries,
    RetryPolicy, Scenario, Secret, Timeouts, Tokens,
};
pub use crate::net::access::{Roots, Tls};
pub use crate::net::{Access, Target};
pub use crate::server::{Source, Spec};
pub use crate::tokenizer::Tokenizer;
pub use server_kind::{FoundServer, ServerKind};
pub use server_metrics::{Scrape, ServerMetrics};

use crate::load::Load;
use crate::metrics::{Goal, Goals, Metric, Trend};
use crate::mix::Envelope;
use crate::threshold::{Operator, Rule};
use crate::units::Nanos;
use jiff::Timestamp;
use std::sync::Arc;

/// Reads files for the resolver, which does no I/O itself.
pub type Read<'a> = dyn Files + 'a;

/// The resolved test. Valid by construction.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Name of the profile, or the file's stem.
    pub name: String,
    /// One line on the question that it answers.
    pub description: String,
    /// Users, or arrivals, over time.
    pub shape: Shape,
    /// Pause between a user's requests.
    pub think_time: ThinkTime,
    /// How long requests may finish after the last stage.
    pub graceful_stop: Nanos,
    /// How much of the beginning runs, but is not measured.
    pub warmup: Nanos,
    /// How much of the end, before the last stage is over, runs, but is not measured.
    pub cooldown: Nanos,
    /// Shared, because every worker has a plan of its own.
    pub mix: Arc<Mix>,
    /// The files that kinds of request take their rows from.
    pub sources: Vec<RowSource>,
    /// The number of requests, if a data set is sent once.
    pub requests: Option<u64>,
    /// Endpoints that are probed once each before the load begins. Optional endpoints that are
    /// missing are then left out of the mix.
    pub endpoints: Vec<Kind>,
    /// True if an endpoint that fails, fails the test. Otherwise only missing endpoints matter, and
    /// any other error will show up during the load.
    pub endpoint_check: bool,
    /// The conditions that must hold.
    pub thresholds: Vec<Rule>,
    /// Latency goals of a single request; plain rules on the maximum of a trend.
    pub slo: Vec<Rule>,
    pub target: Target,
    /// How the target is reached, and the other targets of the test.
    pub access: Access,
    /// The server to start. `None` for a target that was named, unless a server was asked for, too.
    /// Also `None` with `--no-server`, for remote targets, and for targets below a path, where
    /// llmsim would not respond.
    pub server: Option<Spec>,
    /// The target's description of itself. `None` if it was not asked.
    pub found: Option<FoundServer>,
    /// True if the target may be probed before the test, to find out what it is and accepts.
    pub may_probe: bool,
    /// True if the target is asked what it is.
    pub asks_target: bool,
    /// How long to wait for a server that is still loading.
    pub wait_ready: Nanos,
    /// The metrics to read from the server while it is tested.
    pub server_metrics: ServerMetrics,
    /// A local process to watch like a started server, if none is started.
    pub server_pid: Option<u32>,
    pub credentials: Credentials,
    /// Secrets of other places than the target: of a Prometheus, and of the live page.
    pub other_secrets: Vec<Secret>,
    /// Extra headers of every request.
    pub headers: Vec<(String, String)>,
    /// Seed of everything random.
    pub seed: u64,
    /// How the client works.
    pub tuning: Tuning,
    /// The part of the whole test that this plan is.
    pub shard: Shard,
    /// When the load begins, by the wall clock. `None` for at once.
    pub start_at: Option<Timestamp>,
    /// The rendezvous of the shards. `None` if they do not know of each other.
    pub rendezvous: Option<Rendezvous>,
}

/// A part of a test: the users `v` with `v mod count = index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Below `count`.
    pub index: u32,
    pub count: u32,
    /// Number of workers that share the part of a process; 1 before it is divided. It differs
    /// between processes, which must still agree on what each of them does.
    pub workers: u32,
}

impl Shard {
    pub const WHOLE: Self = Self::of_process(0, 1);

    /// Returns the shard of one process of `count`.
    pub const fn of_process(index: u32, count: u32) -> Self {
        Self { index, count, workers: 1 }
    }

    /// Returns true if there are other shards.
    pub const fn is_part(self) -> bool {
        self.count > 1
    }

    /// Returns the `k`-th of `n` equal parts of this shard.
    const fn part(self, k: u32, n: u32) -> Self {
        Self { index: self.index + self.count * k, count: self.count * n, workers: self.workers * n }
    }
}

impl Plan {
    /// Returns the part of this plan for worker `k` of `n`. The union of all parts is this plan,
    /// which may be a shard itself.
    ///
    /// Shards stride: shard `s` of `m` holds the users `v` with `v mod m = s`. Those are `s, s + m,
    /// s + 2m, …`. Every `n`-th of them from the `k`-th on satisfies `v mod (m n) = s + m k`, which
    /// is again a shard.
    #[must_use]
    pub fn shard(&self, k: u32, n: u32) -> Self {
        debug_assert!(k < n, "shard {k} of {n}");
        Self { shard: self.shard.part(k, n), ..self.clone() }
    }

    /// Returns the most users that this shard has at once. Users are switched on from the first:
    /// its users are those below the peak that stride into it.
    pub fn peak_users(&self) -> u32 {
        self.shape.peak_vus().saturating_sub(self.shard.index).div_ceil(self.shard.count)
    }

    /// Returns the parts that a schedule needs.
    pub fn load(&self) -> Load {
        Load {
            shape: self.shape.clone(),
            think_time: self.think_time,
            graceful_stop: self.graceful_stop,
            seed: self.seed,
            shard: self.shard.index,
            of: self.shard.count,
            workers: self.shard.workers,
            requests: self.requests,
        }
    }

    /// Returns true if the clock ends the test. Otherwise it ends when all requests are done, or at
    /// the end of the shape.
    pub fn runs_by_time(&self) -> bool {
        self.shape.runs_by_time() && self.requests.is_none()
    }

    /// Returns the goals of each kind of request. A goal about tokens does not apply to responses
    /// that come in one piece.
    pub fn goals(&self) -> Goals {
        let of_tokens = |trend| {
            !matches!(trend, Trend::HttpReqDuration | Trend::HttpReqDurationFromIntended | Trend::HttpReqWaiting)
        };
        let goal = |rule: &Rule, kind: &Kind| {
            let Metric::Trend(trend) = rule.metric else { return None };
            let speaks_of_it = rule.request.as_ref().is_none_or(|name| *name == kind.name);
            (speaks_of_it && (kind.stream || !of_tokens(trend))).then(|| Goal {
                trend,
                bound: Nanos::from_secs_f64(rule.bound / 1e3),
                inclusive: rule.operator == Operator::LessOrEqual,
            })
        };
        Goals {
            kinds: self.mix.kinds.iter().map(|kind| self.slo.iter().filter_map(|r| goal(r, kind)).collect()).collect(),
        }
    }

    /// Returns the rules that this process judges. A shard does not judge the whole: `merge` does.
    pub fn judged_rules(&self) -> &[Rule] {
        if self.shard.is_part() { &[] } else { &self.thresholds }
    }

    /// Returns all targets, in the order in which connections are opened to them.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        std::iter::once(&self.target).chain(&self.access.more_targets)
    }

    /// Returns the parts that all requests to a target have in common, for each target.
    pub fn envelopes(&self) -> Vec<Envelope> {
        let close = ("Connection".to_owned(), "close".to_owned());
        // Without this header, the server keeps the connection open for a request that never comes.
        let closes = self.access.max_requests == Some(1);
        let mut headers = self.headers.clone();
        if closes && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
            headers.push(close);
        }
        let envelope = |target: &Target| Envelope {
            host: target.authority(),
            origin: if self.access.proxy.is_some() && !target.tls { target.origin() } else { String::new() },
            path_prefix: target.path_prefix.clone(),
            query: target.query.clone(),
            api_key: self.credentials.key(),
            key_as: self.credentials.key_as.clone(),
            basic_auth: self.credentials.basic_auth.clone(),
            headers: headers.clone(),
        };
        self.targets().map(envelope).collect()
    }
}

#[cfg(test)]
mod tests;
