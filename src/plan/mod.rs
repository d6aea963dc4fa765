//! What to do, resolved and valid. Plain data.

pub mod profile;
pub mod resolve;

pub use crate::api::Api;
pub use crate::load::{Shape, Stage, ThinkTime};
pub use crate::net::Target;
pub use crate::scenario::{Kind, Mix, Secret, Timeouts};
pub use crate::server::{Source, Spec};

use crate::load::Load;
use crate::threshold::Rule;
use crate::units::Nanos;

/// The resolved test; valid by construction.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Name of the profile, or the file's stem.
    pub name: String,
    /// One line on what it answers.
    pub description: String,
    /// Users over time.
    pub shape: Shape,
    /// Pause between a user's requests.
    pub think_time: ThinkTime,
    /// How long requests may finish after the last stage.
    pub graceful_stop: Nanos,
    /// What is sent.
    pub mix: Mix,
    /// What has to hold.
    pub thresholds: Vec<Rule>,
    /// Latency goals of a single request; plain rules on trends.
    pub slo: Vec<Rule>,
    /// What is tested.
    pub target: Target,
    /// The server to start when the target does not answer; none with `--no-server` and for remote targets.
    pub server: Option<Spec>,
    /// Sent as a bearer token; never printed.
    pub api_key: Option<Secret>,
    /// Extra headers of every request.
    pub headers: Vec<(String, String)>,
    /// Seed of everything random.
    pub seed: u64,
    /// Worker threads; none means as many as the cores allow.
    pub workers: Option<u32>,
    /// Whether workers are pinned to cores.
    pub pin: bool,
    /// Which share of the whole test this plan is, below `of`.
    pub share: u32,
    /// Of how many shares.
    pub of: u32,
}

impl Plan {
    /// The `k`-th of `n` equal parts: the union of all is this plan. A share can be shared again (a machine's among its workers).
    pub fn share(&self, _k: u32, _n: u32) -> Self {
        todo!()
    }

    /// What a schedule needs of it.
    pub fn load(&self) -> Load {
        todo!()
    }
}
