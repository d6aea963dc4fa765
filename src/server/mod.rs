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
mod ports;
mod program;
mod settings;
mod supervise;
mod tail;

pub use embedded::{EMBEDDED_VERSION, serve};
pub use error::ServerError;
pub use settings::Settings;
pub use supervise::{SupervisorArgs, supervise};

use self::child::{Child, Launch};
use crate::host::{self, ProcessUsage};
use crate::units::Nanos;
use crate::watch::probe::{self, Health};
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

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
            host: "127.0.0.1".to_owned(),
            port: 0,
            any_port: true,
            ready_within,
        }
    }

    /// How long its answers are configured to take; none when that depends on the model, or there
    /// is no configuration.
    pub fn latency(&self) -> Option<latency::Latency> {
        if self.source == Source::Origin { None } else { latency::configured(&Settings::of(self).text().ok()?) }
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

/// Pause between two looks at a server that is starting: short beside its start, long beside a
/// look.
const READY_POLL: Duration = Duration::from_millis(20);
/// Longest wait for one answer to `GET /health`; also bounds how late a Ctrl-C is noticed.
const HEALTH_TIMEOUT: Nanos = Nanos::from_secs(1);
/// Shortest wait for one: the last look before the time is up must still tell a refusal from
/// silence.
const LAST_HEALTH_TIMEOUT: Nanos = Nanos::from_millis(100);
/// Time between SIGTERM and SIGKILL. llmsim's graceful shutdown waits for open responses, which
/// nobody reads any more.
const STOP_GRACE: Nanos = Nanos::from_secs(2);
/// Longest wait for `--version`.
const VERSION_TIMEOUT: Nanos = Nanos::from_secs(1);
/// How often another free port is tried when someone takes the chosen one between our look and the
/// server's bind.
const PORT_ATTEMPTS: u32 = 3;
/// Silences llmsim's log. It adds `llmsim=info` and `tower_http=debug` to whatever `RUST_LOG` says,
/// and the more specific target wins; everything it logs comes from below these two. A logged
/// request costs the server throughput and fills the disk.
const QUIET_LOG: &str = "off,llmsim::cli=off,tower_http::trace=off";

/// What our own names in the environment begin with.
const PREFIX: &str = "LLMSIM_BLAST_";
/// How tokio, which llmsim runs on, is told its number of threads.
const WORKER_THREADS: &str = "TOKIO_WORKER_THREADS";

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
    /// Starts a server and waits until it answers. `cores` confines it to these cores; `progress`
    /// gets a line now and then; a set `stop` (Ctrl-C) ends the wait with
    /// [`ServerError::Interrupted`].
    ///
    /// To be called on the main thread: the kernel kills the server when the *thread* that started
    /// it ends, so that nothing survives us whatever way we end.
    pub fn start(
        spec: &Spec,
        cores: Option<&[usize]>,
        progress: &mut dyn FnMut(&str),
        stop: &AtomicBool,
    ) -> Result<Self, ServerError> {
        let own = std::env::current_exe()
            .map_err(|source| ServerError::Io { doing: "find this program's own file".to_owned(), source })?;
        Self::launch(&own, spec, cores, progress, stop)
    }

    /// [`Server::start`] by way of another copy of this program, which `own` names: tests are not
    /// that program.
    pub fn launch(
        own: &Path,
        spec: &Spec,
        cores: Option<&[usize]>,
        progress: &mut dyn FnMut(&str),
        stop: &AtomicBool,
    ) -> Result<Self, ServerError> {
        let settings = Settings::of(spec);
        let text = settings.text()?;
        let mut identity = Identity { kind: spec.source.name(), version: None, git_commit: None, git_dirty: None };
        let program = match &spec.source {
            Source::Embedded if !cfg!(feature = "embedded") => return Err(ServerError::NotBuiltIn),
            Source::Embedded => {
                identity.version = Some(EMBEDDED_VERSION.to_owned());
                own.to_path_buf()
            }
            Source::Binary(file) => program::find(file, "--server-bin")?,
            Source::Checkout(dir) => {
                identity.git_commit = build::commit(dir);
                identity.git_dirty = build::dirty(dir);
                build::build(own, dir, progress, stop)?
            }
            Source::Origin => {
                identity.version = Some(env!("CARGO_PKG_VERSION").to_owned());
                own.to_path_buf()
            }
        };
        // The file is ours alone and gone as soon as the server has read it, which it has when it
        // answers.
        let (_file, config) = match &spec.source {
            Source::Origin => (None, Vec::new()),
            Source::Embedded | Source::Binary(_) | Source::Checkout(_) => settings.file(&text)?,
        };
        let (child, owners, addr) = start_on_a_port(own, &program, &config, spec, cores, progress, stop)?;
        if identity.version.is_none() {
            identity.version = version_of(own, &program);
        }
        Ok(Self { child, owners, addr, identity })
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

/// Where `host` and `port` are, for a server that is to listen there. `localhost` is the IPv4
/// loopback: it exists everywhere.
pub(crate) fn listen_address(host: &str, port: u16) -> Result<SocketAddr, ServerError> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if bare.eq_ignore_ascii_case("localhost") {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(SocketAddr::from((ip, port)));
    }
    let bad = |reason: String| ServerError::BadHost { host: host.to_owned(), reason };
    let mut found = (bare, port).to_socket_addrs().map_err(|e| bad(e.to_string()))?;
    found.next().ok_or_else(|| bad("it has no address".to_owned()))
}

/// How a server that listens on `listen` is reached: every address of this machine includes the
/// loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// An address whose port can be listened on right now: the wished one, or another when that is
/// allowed.
pub(crate) fn free_address(wished: SocketAddr, any_port: bool) -> Result<SocketAddr, ServerError> {
    let error = match TcpListener::bind(wished).and_then(|l| l.local_addr()) {
        Ok(addr) => return Ok(addr),
        Err(error) => error,
    };
    match error.kind() {
        std::io::ErrorKind::AddrInUse if any_port => TcpListener::bind(SocketAddr::new(wished.ip(), 0))
            .and_then(|l| l.local_addr())
            .map_err(|source| ServerError::CannotListen { addr: wished, source }),
        std::io::ErrorKind::AddrInUse => Err(ServerError::PortTaken { addr: wished }),
        _ => Err(ServerError::CannotListen { addr: wished, source: error }),
    }
}

/// Chooses a port, starts the program on it and waits until it answers.
fn start_on_a_port(
    own: &Path,
    program: &Path,
    config: &[OsString],
    spec: &Spec,
    cores: Option<&[usize]>,
    progress: &mut dyn FnMut(&str),
    stop: &AtomicBool,
) -> Result<(Child, Vec<u32>, SocketAddr), ServerError> {
    let wished = listen_address(&spec.host, spec.port)?;
    let threads = spec.throughput.map(|threads| threads.to_string());
    let mut env = vec![("RUST_LOG", QUIET_LOG)];
    env.extend(threads.as_deref().map(|threads| (WORKER_THREADS, threads)));
    let mut attempt = 1;
    loop {
        let listen = free_address(wished, spec.any_port)?;
        let addr = reachable(listen);
        if wished.port() != 0 && listen.port() != wished.port() {
            progress(&format!("{} is taken: another port is used", reachable(wished)));
        }
        progress(&format!("starting {} on {addr}", described(spec, program)));
        let mut child = Child::spawn(&Launch {
            own,
            cores,
            program,
            args: &arguments(&spec.source, listen, config),
            env: &env,
            dir: None,
        })?;
        match wait_until_ready(&child, addr, spec.ready_within, stop) {
            Ok(owners) => return Ok((child, owners, addr)),
            Err(error) => {
                child.stop(STOP_GRACE);
                let exited = matches!(error, ServerError::Exited { .. }) && TcpListener::bind(listen).is_err();
                let lost_the_port = exited || matches!(error, ServerError::PortTaken { .. });
                if !(lost_the_port && spec.any_port && attempt < PORT_ATTEMPTS) {
                    return Err(error);
                }
                attempt += 1;
            }
        }
    }
}

/// For people: `embedded llmsim 0.6.0`, `/opt/llmsim`.
fn described(spec: &Spec, program: &Path) -> String {
    match spec.source {
        Source::Embedded => format!("embedded llmsim {EMBEDDED_VERSION}"),
        Source::Binary(_) | Source::Checkout(_) => program.display().to_string(),
        Source::Origin => "the built-in origin".to_owned(),
    }
}

/// The command line that llmsim's `serve`, our own and our `origin` understand alike. An IPv6
/// address needs its brackets: llmsim puts host and port together as text.
fn arguments(source: &Source, listen: SocketAddr, config: &[OsString]) -> Vec<OsString> {
    let host = match listen.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let verb = if *source == Source::Origin { "origin" } else { "serve" };
    let mut args: Vec<OsString> =
        vec![verb.into(), "--host".into(), host.into(), "--port".into(), listen.port().to_string().into()];
    args.extend(config.iter().cloned());
    args
}

/// Keeps our secrets out of a process that we start: what is told us in the environment is not
/// meant for it.
fn keep_secrets(command: &mut Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with(PREFIX)) {
        command.env_remove(name);
    }
}

/// Looks until `GET /health` answers, the child ends, the time is up or the user has had enough.
#[expect(clippy::disallowed_methods, reason = "waits for another process; no test is running yet")]
fn wait_until_ready(
    child: &Child,
    addr: SocketAddr,
    ready_within: Nanos,
    stop: &AtomicBool,
) -> Result<Vec<u32>, ServerError> {
    let started = Instant::now();
    let host = addr.to_string();
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(ServerError::Interrupted);
        }
        let left = ready_within.since(Nanos::from(started.elapsed()));
        let health = probe::health(&[addr], &host, "/health", left.clamp(LAST_HEALTH_TIMEOUT, HEALTH_TIMEOUT));
        // Asked after the look: an answer counts only when it came from a child that is alive.
        if let Some(status) = child.exited() {
            return Err(ServerError::Exited { status, last_lines: child.last_lines() });
        }
        if health == Health::Healthy {
            // Somebody else may have taken the port before the child could, and be well, too.
            return match ports::owners(child.pid(), addr) {
                Some(owners) if owners.is_empty() => Err(ServerError::PortTaken { addr }),
                Some(owners) => Ok(owners),
                // The kernel does not tell: the last of the processes below the child is the least
                // likely to be a wrapper.
                None => Ok(family::descendants(child.pid()).last().copied().into_iter().collect()),
            };
        }
        if Nanos::from(started.elapsed()) >= ready_within {
            let last_lines = child.last_lines();
            return Err(ServerError::NotReady { after: ready_within, health, last_lines });
        }
        std::thread::sleep(READY_POLL);
    }
}

/// What `PROGRAM --version` says, without the program's name; none when it says nothing in time.
fn version_of(own: &Path, program: &Path) -> Option<String> {
    let args = ["--version".into()];
    let mut child = Child::spawn(&Launch { own, cores: None, program, args: &args, env: &[], dir: None }).ok()?;
    let clean = child.wait_for_exit(VERSION_TIMEOUT).is_some_and(|status| status == "exit status 0");
    let lines = child.last_lines();
    child.stop(Nanos::ZERO);
    let first = lines.first().filter(|_| clean)?;
    Some(first.strip_prefix("llmsim ").unwrap_or(first).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_become_addresses() {
        for (host, address) in [
            ("localhost", "127.0.0.1:80"),
            ("LOCALHOST", "127.0.0.1:80"),
            ("0.0.0.0", "0.0.0.0:80"),
            ("::1", "[::1]:80"),
            ("[::1]", "[::1]:80"),
        ] {
            assert_eq!(listen_address(host, 80).unwrap().to_string(), address, "{host}");
        }
        let error = listen_address("no such host", 80).unwrap_err().to_string();
        assert!(error.contains("--host") && error.contains("no such host"), "{error}");
    }

    #[test]
    fn every_address_is_reached_by_the_loopback() {
        for (listen, reached) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:2", "[::1]:2"),
            ("127.0.0.2:3", "127.0.0.2:3"),
            ("[::1]:4", "[::1]:4"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), reached);
        }
    }

    #[test]
    fn a_taken_port_is_an_error_or_leads_to_another() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = holder.local_addr().unwrap();
        let error = free_address(taken, false).unwrap_err().to_string();
        assert!(error.contains(&taken.to_string()) && error.contains("--port"), "{error}");
        let other = free_address(taken, true).unwrap();
        assert_ne!(other.port(), taken.port());
        assert_eq!(other.ip(), taken.ip());
        drop(holder);
        assert_eq!(free_address(taken, false).unwrap(), taken);
    }

    #[test]
    fn an_address_of_another_machine_cannot_be_listened_on() {
        // TEST-NET-1 (RFC 5737) belongs to nobody.
        let error = free_address("192.0.2.1:80".parse().unwrap(), true).unwrap_err().to_string();
        assert!(error.contains("192.0.2.1") && error.contains("--host"), "{error}");
    }

    #[test]
    fn the_command_line_is_the_one_llmsim_understands() {
        let args = arguments(&Source::Embedded, "[::1]:81".parse().unwrap(), &["--config".into(), "c.toml".into()]);
        assert_eq!(args, ["serve", "--host", "[::1]", "--port", "81", "--config", "c.toml"]);
        let args = arguments(&Source::Origin, "127.0.0.1:82".parse().unwrap(), &[]);
        assert_eq!(args, ["origin", "--host", "127.0.0.1", "--port", "82"]);
    }
}
