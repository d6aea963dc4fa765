//! The simulator as a child process: find or build it, start it, wait until it is ready, watch its
//! CPU and memory, stop it.
//!
//! ```text
//!   Spec ─▶ Server::start ─▶ build (a checkout only) ─▶ child ─▶ supervise ─exec─▶ llmsim
//!                 │                                       │
//!                 ├─ probe: GET /health until it answers  └─ tail: the last lines of what it says
//!                 └─▶ Server: sample, exit, stop
//! ```
//!
//! The server never runs in the measuring process: its work would be in our numbers. What this
//! module does not know: requests, profiles, or whether a server should be started at all.

mod build;
mod child;
mod embedded;
mod error;
mod family;
pub mod latency;
pub(crate) mod listen;
mod ports;
mod printed;
mod program;
mod settings;
mod start;
mod supervise;
mod tail;

pub use embedded::{EMBEDDED_VERSION, serve};
pub use error::ServerError;
pub use printed::{NotPrinted, printed};
pub use settings::Settings;
pub use start::Starter;
pub use supervise::{SupervisorArgs, supervise};

use self::child::Child;
use crate::host::{self, ProcessUsage};
use crate::units::Nanos;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::AtomicBool;

/// Which server to start, and how. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Where the program comes from.
    pub source: Source,
    /// Its TOML configuration; none means the benchmark settings.
    pub config: Option<PathBuf>,
    /// Use the error-injecting configuration instead.
    pub chaos: bool,
    /// Answer as llmsim's throughput benchmark wants it (at once, 16 tokens), with so many worker
    /// threads.
    pub throughput: Option<u32>,
    /// Let it play the starter scenarios, unless a configuration of the user's says what it plays.
    pub scenarios: bool,
    /// Where it shall listen.
    pub host: String,
    pub port: u16,
    /// Whether another port will do when that one is taken.
    pub any_port: bool,
    /// How long it may take to become ready, building not included.
    pub ready_within: Nanos,
}

impl Spec {
    /// A server as it comes, on a port of this machine that nobody uses.
    pub fn on_any_port(source: Source, ready_within: Nanos) -> Self {
        Self {
            source,
            config: None,
            chaos: false,
            throughput: None,
            scenarios: false,
            host: "127.0.0.1".to_owned(),
            port: 0,
            any_port: true,
            ready_within,
        }
    }

    /// How long its answers are configured to take; none when that depends on the model or a
    /// scenario, or there is no configuration.
    pub fn latency(&self) -> Option<latency::Latency> {
        if self.source == Source::Origin || self.scenarios {
            return None;
        }
        latency::configured(&Settings::of(self).text().ok()?)
    }
}

/// Where the simulator comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This binary's own `serve`.
    Embedded,
    Binary(PathBuf),
    /// A checkout of llmsim, built first.
    Checkout(PathBuf),
    /// This binary's own `origin`: canned answers at known instants, no simulator. It has no
    /// configuration.
    Origin,
}

impl Source {
    /// One word for the report.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Binary(_) => "binary",
            Self::Checkout(_) => "checkout",
            Self::Origin => "origin",
        }
    }
}

/// What was started, for the report. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `embedded`, `binary`, `checkout` or `origin`.
    pub kind: &'static str,
    /// What `--version` says, without the program's name.
    pub version: Option<String>,
    /// The commit of a checkout.
    pub git_commit: Option<String>,
    /// Whether its files differ from that commit.
    pub git_dirty: Option<bool>,
}

/// How a server ended by itself. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// `exit status 1`, `killed by SIGKILL`.
    pub status: String,
    /// The last lines that it said.
    pub last_lines: Vec<String>,
}

/// Time between SIGTERM and SIGKILL. llmsim's graceful shutdown waits for open responses, which
/// nobody reads any more.
const STOP_GRACE: Nanos = Nanos::from_secs(2);
/// What our own names in the environment begin with.
const PREFIX: &str = "LLMSIM_BLAST_";
/// A running server that we started. Stopped when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// The processes that own the port: the server itself, whatever stands before it.
    owners: Vec<u32>,
    addr: SocketAddr,
    identity: Identity,
}

impl Server {
    /// Starts a server with this program's own file and waits until it answers. See
    /// [`Starter::start`].
    pub fn start(
        spec: &Spec,
        cores: Option<&[usize]>,
        progress: &mut dyn FnMut(&str),
        stop: &AtomicBool,
    ) -> Result<Self, ServerError> {
        let own = std::env::current_exe()
            .map_err(|source| ServerError::Io { doing: "find this program's own file".to_owned(), source })?;
        Starter { own: &own, spec, cores }.start(progress, stop)
    }

    /// Where it is reached.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The port it listens on, which may be another than the one wished for.
    pub const fn port(&self) -> u16 {
        self.addr.port()
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Its process: the first of those that own the port.
    pub fn pid(&self) -> u32 {
        self.owners.first().copied().unwrap_or_else(|| self.child.pid())
    }

    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// CPU, memory and threads so far; none when it has ended.
    pub fn sample(&self) -> Option<ProcessUsage> {
        let samples = self.owners.iter().filter_map(|pid| host::sample_pid(*pid));
        samples.reduce(|all, one| ProcessUsage {
            cpu: all.cpu + one.cpu,
            rss_bytes: all.rss_bytes + one.rss_bytes,
            threads: all.threads + one.threads,
        })
    }

    /// How it ended, if it did so by itself.
    pub fn has_exited(&self) -> Option<Exit> {
        self.child.exited().map(|status| Exit { status, last_lines: self.child.last_lines() })
    }

    /// SIGTERM, a grace period, SIGKILL. Stopping a second time does nothing.
    pub fn stop(&mut self) {
        self.child.stop(STOP_GRACE);
    }
}

/// Keeps our secrets out of a process that we start: what is told us in the environment is not
/// meant for it.
fn keep_secrets(command: &mut Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with(PREFIX)) {
        command.env_remove(name);
    }
}
