//! How a server is started: which program, with which settings, on which port.

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

/// Pause between two looks at a server that is starting: short beside its start, long beside a
/// look.
const READY_POLL: Duration = Duration::from_millis(20);
/// Longest wait for one answer to `GET /health`; also bounds how late a Ctrl-C is noticed.
const HEALTH_TIMEOUT: Nanos = Nanos::from_secs(1);
/// Shortest wait for one: the last look before the time is up must still tell a refusal from
/// silence.
const LAST_HEALTH_TIMEOUT: Nanos = Nanos::from_millis(100);
/// Longest wait for `--version`.
const VERSION_TIMEOUT: Nanos = Nanos::from_secs(1);
/// How often another free port is tried when someone takes the chosen one between our look and the
/// server's bind.
const PORT_ATTEMPTS: u32 = 3;
/// Silences llmsim's log. It adds `llmsim=info` and `tower_http=debug` to whatever `RUST_LOG` says,
/// and the more specific target wins; everything it logs comes from below these two. A logged
/// request costs the server throughput and fills the disk.
const QUIET_LOG: &str = "off,llmsim::cli=off,tower_http::trace=off";

/// How tokio, which llmsim runs on, is told its number of threads.
const WORKER_THREADS: &str = "TOKIO_WORKER_THREADS";

/// What to start.
#[derive(Debug, Clone, Copy)]
pub struct Starter<'a> {
    /// This program's file, which supervises the server and is the embedded one. Tests name the
    /// file, since they are another program.
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
    /// Starts the server and waits until it answers. `progress` gets a line now and then; a set
    /// `stop` (Ctrl-C) ends the wait with [`ServerError::Interrupted`].
    ///
    /// Call it on the main thread: the kernel kills the server when the *thread* that started it
    /// ends, so that nothing survives us whatever way we end.
    pub fn start(self, progress: &mut dyn FnMut(&str), stop: &AtomicBool) -> Result<Server, ServerError> {
        let settings = Settings::of(self.spec);
        let text = settings.text()?;
        let (mut identity, program) = self.program(progress, stop)?;
        // The file is ours alone and gone as soon as the server has read it, which it has when it
        // answers.
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

    /// Finds or builds the program, and says what it is.
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

    /// Chooses a port, starts the program on it and waits until it answers.
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

/// Polls until `GET /health` answers, the child ends, the time is up or the user interrupts.
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
    Some(without_name(first))
}

/// A version without the name of llmsim. What another build of this tool says is the tool's own
/// version, and not that of the simulator in it.
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
