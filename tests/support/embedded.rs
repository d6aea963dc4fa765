//! The embedded simulator with the configuration of a test.

use llmsim_blast::server::{Server, Source, Spec, Starter};
use llmsim_blast::units::Nanos;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Time limit for the simulator's first response, on a machine that is busy with other tests.
const READY_WITHIN: Nanos = Nanos::from_secs(60);

/// A running `llmsim-blast serve`, stopped when dropped.
///
/// It lives no longer than the thread that started it. Each test starts its own, never one in a
/// `static`.
pub struct Embedded {
    server: Server,
    _config: tempfile::NamedTempFile,
}

impl Embedded {
    /// Starts a simulator on a free port with this TOML configuration, and waits until it responds.
    pub fn start(toml: &str) -> Self {
        let config = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(config.path(), toml).expect("a configuration");
        let config_file = Some(config.path().to_path_buf());
        let spec = Spec { config: config_file, ..Spec::on_any_port(Source::Embedded, READY_WITHIN) };
        let own = Path::new(env!("CARGO_BIN_EXE_llmsim-blast"));
        let server = Starter { own, spec: &spec, cores: None }.start(&mut |_| {}, &AtomicBool::new(false));
        Self { server: server.unwrap_or_else(|error| panic!("{error}")), _config: config }
    }

    /// Returns the URL for `--target-url`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Returns the process ID, to look at the memory of the simulator and to kill it.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Returns the counts of the simulator: `GET /llmsim/stats`.
    pub fn stats(&self) -> serde_json::Value {
        let (addr, host) = (self.server.addr(), self.server.addr().to_string());
        llmsim_blast::watch::probe::stats(&[addr], &host, "/llmsim/stats", READY_WITHIN).expect("statistics")
    }
}
