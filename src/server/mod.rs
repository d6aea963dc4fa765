//! The simulator as a child process: find or build it, start it, wait until it is ready, watch its
//! CPU and memory, stop it.
//!
//! ```text
//!   Spec ─▶ Server::start ─▶ build (a checkout only) ─▶ child ─▶ supervise ─exec─▶ llmsim
//!                 │                                       │
//!                 ├─ probe: GET /health until it responds └─ tail: the last lines of its output
//!                 └─▶ Server: sample, exit, stop
//! ```
//!
//! The server never runs in the measuring process: its work would show in our measurements. This
//! module does not know about requests or profiles, or whether a server should be started at all.

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

/// The server to start, and its parameters. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The source of the program.
    pub source: Source,
    /// Its TOML configuration. `None` means the benchmark settings.
    pub config: Option<PathBuf>,
    /// Use the error-injecting configuration instead.
    pub chaos: bool,
    /// Use the settings of llmsim's throughput benchmark (no delays, 16 tokens), with this many
    /// worker threads.
    pub throughput: Option<u32>,
    /// Play the starter scenarios, unless the user's configuration names others.
    pub scenarios: bool,
    /// The host to listen on.
    pub host: String,
    pub port: u16,
    /// True if another port may be used when that one is taken.
    pub any_port: bool,
    /// Longest time to become ready, excluding the build.
    pub ready_within: Nanos,
}

impl Spec {
    /// Returns a server with default settings on any free port of the loopback.
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

    /// Returns its configured latency. `None` if the latency depends on the model or a scenario, or
    /// if there is no configuration.
    pub fn latency(&self) -> Option<latency::Latency> {
        if self.source == Source::Origin || self.scenarios {
            return None;
        }
        latency::configured(&Settings::of(self).text().ok()?)
    }
}

/// The source of the simulator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This binary's own `serve`.
    Embedded,
    Binary(PathBuf),
    /// A checkout of llmsim, built first.
    Checkout(PathBuf),
    /// This binary's own `origin`: canned responses at known instants, without a simulator or a
    /// configuration.
    Origin,
}

impl Source {
    /// Returns one word for the report.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Binary(_) => "binary",
            Self::Checkout(_) => "checkout",
            Self::Origin => "origin",
        }
    }
}

/// The identity of a started server, for the report. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `embedded`, `binary`, `checkout` or `origin`.
    pub kind: &'static str,
    /// The output of `--version`, without the program's name.
    pub version: Option<String>,
    /// The commit of a checkout.
    pub git_commit: Option<String>,
    /// True if its files differ from that commit.
    pub git_dirty: Option<bool>,
}

/// The way in which a server ended by itself. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// `exit status 1`, `killed by SIGKILL`.
    pub status: String,
    /// The last lines of its output.
    pub last_lines: Vec<String>,
}

/// Time between SIGTERM and SIGKILL. llmsim's graceful shutdown waits for open responses, which are
/// not read any more.
const STOP_GRACE: Nanos = Nanos::from_secs(2);
/// Prefix of our own environment variables.
const PREFIX: &str = "LLMSIM_BLAST_";
/// A running server that was started here. Stopped when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// The processes that own the port: the server itself, below any wrappers.
    owners: Vec<u32>,
    addr: SocketAddr,
    identity: Identity,
}

impl Server {
    /// Starts a server with this program's own file and waits until it responds. See
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

    /// Returns the address to reach it.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the port it listens on, which may differ from the requested one.
    pub const fn port(&self) -> u16 {
        self.addr.port()
    }

    /// Returns the address as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Returns its process ID: the first of the processes that own the port.
    pub fn pid(&self) -> u32 {
        self.owners.first().copied().unwrap_or_else(|| self.child.pid())
    }

    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns CPU, memory and threads so far. `None` when it has ended.
    pub fn sample(&self) -> Option<ProcessUsage> {
        let samples = self.owners.iter().filter_map(|pid| host::sample_pid(*pid));
        samples.reduce(|all, one| ProcessUsage {
            cpu: all.cpu + one.cpu,
            rss_bytes: all.rss_bytes + one.rss_bytes,
            threads: all.threads + one.threads,
        })
    }

    /// Returns how it ended, if it ended by itself.
    pub fn has_exited(&self) -> Option<Exit> {
        self.child.exited().map(|status| Exit { status, last_lines: self.child.last_lines() })
    }

    /// Sends SIGTERM, waits for a grace period, sends SIGKILL. A second call does nothing.
    pub fn stop(&mut self) {
        self.child.stop(STOP_GRACE);
    }
}

/// Removes our environment variables from a process to be started: they may hold secrets, and are
/// not meant for it.
fn keep_secrets(command: &mut Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with(PREFIX)) {
        command.env_remove(name);
    }
}
