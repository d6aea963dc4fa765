//! The simulator as a child process: find or build it, start it, wait until it is ready, watch its CPU and memory, stop it.

use crate::units::Nanos;
use std::path::PathBuf;

/// Which server to start, and how. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Where the program comes from.
    pub source: Source,
    /// Its TOML configuration; none means the benchmark settings.
    pub config: Option<PathBuf>,
    /// Use the error-injecting configuration instead.
    pub chaos: bool,
    /// Where it shall listen.
    pub host: String,
    /// On which port.
    pub port: u16,
    /// Whether another port will do when that one is taken.
    pub any_port: bool,
    /// How long it may take to become ready, building not included.
    pub ready_within: Nanos,
}

/// Where the simulator comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This binary's own `serve`.
    Embedded,
    /// A llmsim binary.
    Binary(PathBuf),
    /// A checkout of llmsim, built first.
    Checkout(PathBuf),
}
