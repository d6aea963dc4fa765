//! Starts a server: chooses the program, its settings and its port.

use super::child::{Child, Launch};
use super::listen::{free_address, listen_address, reachable};
use super::{EMBEDDED_VERSION, Identity, STOP_GRACE, Server, ServerError, Settings, Source, Spec};
use super::{build, family, ports, program};
use crate::units::Nanos;
use crate::watch::probe::{self, Health};
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Pause between two probes of a starting server: short compared with its start, long compared with
/// a probe.
const READY_POLL: Duration = Duration::from_millis(20);
/// Longest wait for one response to `GET /health`. Also bounds how late a Ctrl-C is noticed.
const HEALTH_TIMEOUT: Nanos = Nanos::from_secs(1);
/// Shortest wait for a response: the last probe before the time is up must still tell a refusal
/// from silence.
const LAST_HEALTH_TIMEOUT: Nanos = Nanos::from_millis(100);
/// Longest wait for `--version`.
const VERSION_TIMEOUT: Nanos = Nanos::from_secs(1);
/// Number of free ports that are tried if another program takes the chosen one before the server
/// binds it.
const PORT_ATTEMPTS: u32 = 3;
/// Silences llmsim's log. llmsim adds `llmsim=info` and `tower_http=debug` to whatever `RUST_LOG`
/// says, but the more specific target wins, and all its messages come from below these two. A
/// logged request costs the server throughput and fills the disk.
const QUIET_LOG: &str = "off,llmsim::cli=off,tower_http::trace=off";

/// The variable that sets the number of threads of tokio, on which llmsim runs.
const WORKER_THREADS: &str = "TOKIO_WORKER_THREADS";

/// The server to start.
#[derive(Debug, Clone, Copy)]
pub struct Starter<'a> {
    /// This program's file, which supervises the server and contains the embedded one. Tests name
    /// the file, since they are another program.
    pub own: &'a Path,
    pub spec: &'a Spec,
    /// Confines the server to these cores.
    pub cores: Option<&'a [usize]>,
}

/// A program and its arguments.
struct Command {
    program: PathBuf,
    config: Vec<OsString>,
}

impl Starter<'_> {
    /// Starts the server and waits until it responds. `progress` gets a line now and then. A set
    /// `stop` (Ctrl-C) ends the wait with [`ServerError::Interrupted`].
    ///
    /// Call it on the main thread: the kernel kills the server when the *thread* that started it
    /// ends, so that the server never survives this process.
    pub fn start(self, progress: &mut dyn FnMut(&str), stop: &AtomicBool) -> Result<Server, ServerError> {
        let settings = Settings::of(self.spec);
        let text = settings.text()?;
        let (mut identity, program) = self.program(progress, stop)?;
        // Only this process has the file. It can be dropped once the server responds, since the
        // server has read it by then.
        let scenarios = if self.spec.scenarios { settings.with_scenarios(&text)? } else { None };
        let text = scenarios.as_ref().map_or(&text, |(_, text)| text);
        let (_file, config) = match &self.spec.source {
            Source::Origin => (None, Vec::new()),
            Source::Embedded | Source::Binary(_) | Source::Checkout(_) => settings.file(text)?,
        };
        let command = Command { program, config };
        let (child, owners, addr) = self.start_on_a_port(&command, progress, stop)?;
        if identity.version.is_none() {
            identity.version = version_of(self.own, &command.program);
        }
        Ok(Server { child, owners, addr, identity })
    }

    /// Finds or builds the program. Returns its identity and its path.
    fn program(self, progress: &mut dyn FnMut(&str), stop: &AtomicBool) -> Result<(Identity, PathBuf), ServerError> {
        let source = &self.spec.source;
        let mut identity = Identity { kind: source.name(), version: None, git_commit: None, git_dirty: None };
        let program = match source {
            Source::Embedded if !cfg!(feature = "embedded") => return Err(ServerError::NotBuiltIn),
            Source::Embedded => {
                identity.version = Some(EMBEDDED_VERSION.to_owned());
                self.own.to_path_buf()
            }
            Source::Binary(file) => program::find(file, "--server-bin")?,
            Source::Checkout(dir) => {
                identity.git_commit = build::commit(dir);
                identity.git_dirty = build::dirty(dir);
                build::build(self.own, dir, progress, stop)?
            }
            Source::Origin => {
                identity.version = Some(env!("CARGO_PKG_VERSION").to_owned());
                self.own.to_path_buf()
            }
        };
        Ok((identity, program))
    }

    /// Chooses a port, starts the program on it and waits until it responds.
    fn start_on_a_port(
        self,
        command: &Command,
        progress: &mut dyn FnMut(&str),
        stop: &AtomicBool,
    ) -> Result<(Child, Vec<u32>, SocketAddr), ServerError> {
        let spec = self.spec;
        let wished = listen_address(&spec.host, spec.port)?;
        let threads = spec.throughput.map(|threads| threads.to_string());
        let mut env = vec![("RUST_LOG", QUIET_LOG)];
        env.extend(threads.as_deref().map(|threads| (WORKER_THREADS, threads)));
        let mut attempt = 1;
        loop {
            let listen = free_address(wished, spec.any_port)?;
            let addr = reachable(listen);
            if wished.port() != 0 && listen.port() != wished.port() {
                progress(&format!("{} is in use, so another port is chosen", reachable(wished)));
            }
            progress(&format!("starting {} on {addr}", described(spec, &command.program)));
            let mut child = Child::spawn(&Launch {
                own: self.own,
                cores: self.cores,
                program: &command.program,
                args: &arguments(&spec.source, listen, &command.config),
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
}

/// Describes the server for people: `embedded llmsim 0.6.0`, `/opt/llmsim`.
fn described(spec: &Spec, program: &Path) -> String {
    match spec.source {
        Source::Embedded => format!("embedded llmsim {EMBEDDED_VERSION}"),
        Source::Binary(_) | Source::Checkout(_) => program.display().to_string(),
        Source::Origin => "the built-in origin".to_owned(),
    }
}

/// Returns the command line that llmsim's `serve`, our own `serve` and our `origin` all understand.
/// An IPv6 address needs its brackets: llmsim joins host and port as text.
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

/// Polls until `GET /health` succeeds, the child ends, the time is up or the user interrupts.
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
        // Checked after the probe: a response counts only if the child is still alive.
        if let Some(status) = child.exited() {
            return Err(ServerError::Exited { status, last_lines: child.last_lines() });
        }
        if health == Health::Healthy {
            // Another healthy server may have taken the port before the child could.
            return match ports::owners(child.pid(), addr) {
                Some(owners) if owners.is_empty() => Err(ServerError::PortTaken { addr }),
                Some(owners) => Ok(owners),
                // The kernel does not tell. The last of the processes below the child is the least
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

/// Returns the output of `PROGRAM --version` without the program's name. `None` if there is none in
/// time.
fn version_of(own: &Path, program: &Path) -> Option<String> {
    let args = ["--version".into()];
    let mut child = Child::spawn(&Launch { own, cores: None, program, args: &args, env: &[], dir: None }).ok()?;
    let clean = child.wait_for_exit(VERSION_TIMEOUT).is_some_and(|status| status == "exit status 0");
    let lines = child.last_lines();
    child.stop(Nanos::ZERO);
    let first = lines.first().filter(|_| clean)?;
    Some(without_name(first))
}

/// Removes the name of llmsim from a version. Another build of this tool reports the tool's own
/// version, not that of the simulator inside.
fn without_name(line: &str) -> String {
    if line.starts_with("llmsim-blast ") {
        return format!("embedded in {line}");
    }
    line.strip_prefix("llmsim ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_that_of_the_simulator() {
        for (line, version) in [
            ("llmsim 0.6.0", "0.6.0"),
            ("llmsim-blast 0.1.0", "embedded in llmsim-blast 0.1.0"),
            ("0.7.0-dev", "0.7.0-dev"),
        ] {
            assert_eq!(without_name(line), version);
        }
    }

    #[test]
    fn the_command_line_is_the_one_llmsim_understands() {
        let args = arguments(&Source::Embedded, "[::1]:81".parse().unwrap(), &["--config".into(), "c.toml".into()]);
        assert_eq!(args, ["serve", "--host", "[::1]", "--port", "81", "--config", "c.toml"]);
        let args = arguments(&Source::Origin, "127.0.0.1:82".parse().unwrap(), &[]);
        assert_eq!(args, ["origin", "--host", "127.0.0.1", "--port", "82"]);
    }
}
