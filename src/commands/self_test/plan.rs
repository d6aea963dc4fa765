//! The plans of a self-test, made by hand: no profile names the origin's paths.

use crate::api::Api;
use crate::load::{Shape, ThinkTime};
use crate::plan::{BehaviorMix, Credentials, Kind, Mix, Plan, Prompt, Shard, Target, Timeouts, Tuning};
use crate::units::Nanos;
use std::net::SocketAddr;

/// Tokens per second of a stream that measures accuracy.
pub(super) const TOKENS_PER_SECOND: f64 = 100.0;
/// A stream that measures accuracy: the first token after 50 ms, then one every 10 ms.
const TRUTH: &str = "/stream?ttft=50ms&gap=10ms&tokens=100";
/// A stream that measures cost: 50 events a second, for one second.
const EVENTS: &str = "/stream?ttft=20ms&gap=20ms&tokens=49";
/// Grace period for requests under way. A stream takes a second, and an origin at its limit is
/// late.
const GRACE: Nanos = Nanos::from_secs(3);
/// Longer than any run.
const FOR_EVER: Nanos = Nanos::from_secs(600);
/// Limits that are only reached if something is broken.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Nanos::from_secs(10),
    first_byte: Nanos::from_secs(10),
    stall: Nanos::from_secs(10),
    total: Nanos::from_secs(30),
};

/// A job: what to request, with how many VUs, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) vus: u32,
    path: &'static str,
    stream: bool,
    duration: Nanos,
    think: Nanos,
}

impl Job {
    pub(super) const fn plain(vus: u32, duration: Nanos) -> Self {
        Self { vus, path: "/plain", stream: false, duration, think: Nanos::ZERO }
    }

    pub(super) const fn burst(vus: u32, duration: Nanos) -> Self {
        Self { vus, path: "/burst?tokens=34", stream: true, duration, think: Nanos::ZERO }
    }

    pub(super) const fn events(vus: u32, duration: Nanos) -> Self {
        Self { vus, path: EVENTS, stream: true, duration, think: Nanos::ZERO }
    }

    pub(super) const fn truth(vus: u32, duration: Nanos) -> Self {
        Self { vus, path: TRUTH, stream: true, duration, think: Nanos::ZERO }
    }

    /// Connections that serve one stream and then wait.
    pub(super) const fn idle(vus: u32, duration: Nanos) -> Self {
        Self { vus, path: "/burst?tokens=1", stream: true, duration, think: FOR_EVER }
    }

    /// The same job with at most `vus` VUs.
    pub(super) fn at_most(self, vus: u32) -> Self {
        Self { vus: self.vus.min(vus), ..self }
    }

    pub(super) fn plan(&self, addr: SocketAddr) -> Plan {
        let kind = Kind {
            name: "origin".to_owned(),
            weight: 1,
            api: Api::OpenaiChat,
            stream: self.stream,
            websocket: false,
            path: self.path.to_owned(),
            models: vec!["origin".to_owned()],
            prompt: Prompt::texts(vec!["Say something.".to_owned()]),
            model_weights: Vec::new(),
            max_tokens: None,
            exact: false,
            limit_name: None,
            check_usage: true,
            body: serde_json::Map::new(),
            headers: Vec::new(),
            timeouts: TIMEOUTS,
            retries: None,
            optional: false,
            behaviors: BehaviorMix::default(),
            conversation: None,
            template_tokens: crate::metrics::TemplateTokens::UNKNOWN,
            scenario: None,
            picture: None,
            custom: None,
        };
        Plan {
            sources: Vec::new(),
            requests: None,
            name: "self-test".to_owned(),
            description: String::new(),
            shape: Shape::ConstantVus { vus: self.vus, duration: self.duration },
            think_time: ThinkTime { min: self.think, max: self.think },
            warmup: Nanos::ZERO,
            cooldown: Nanos::ZERO,
            graceful_stop: GRACE,
            mix: Mix { kinds: vec![kind] }.into(),
            endpoints: Vec::new(),
            endpoint_check: false,
            thresholds: Vec::new(),
            slo: Vec::new(),
            target: Target {
                url: format!("http://{addr}"),
                tls: false,
                host: addr.ip().to_string(),
                port: addr.port(),
                path_prefix: String::new(),
                query: String::new(),
                addrs: vec![addr],
            },
            access: crate::plan::Access::default(),
            server: None,
            found: None,
            may_probe: false,
            asks_target: false,
            wait_ready: Nanos::ZERO,
            server_metrics: crate::plan::ServerMetrics::default(),
            server_pid: None,
            other_secrets: Vec::new(),
            credentials: Credentials::default(),
            headers: Vec::new(),
            seed: 1,
            tuning: Tuning { workers: Some(1), ..Tuning::default() },
            shard: Shard::WHOLE,
            start_at: None,
            rendezvous: None,
        }
    }
}
