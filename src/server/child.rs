//! One child process: spawned through [`super::supervise()`], its output read, and always stopped.

use super::tail::Tail;
use super::{ServerError, SupervisorArgs};
use crate::units::Nanos;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pause between two checks of a child that should end.
const EXIT_POLL: Duration = Duration::from_millis(5);
/// Longest wait for the supervisor to kill everything below it.
const LAST_ROUNDS: Nanos = Nanos::from_secs(2);
/// Longest wait for the last output of an ended child to arrive through the pipe.
const LAST_WORDS: Nanos = Nanos::from_millis(500);

pub(super) struct Launch<'a> {
    /// This program's file, which also runs as the supervisor.
    pub(super) own: &'a Path,
    /// The cores to stay on. `None` means all.
    pub(super) cores: Option<&'a [usize]>,
    pub(super) program: &'a Path,
    pub(super) args: &'a [OsString],
    /// Variables added to our own environment.
    pub(super) env: &'a [(&'a str, &'a str)],
    /// Working directory. `None` means ours.
    pub(super) dir: Option<&'a Path>,
}

/// A child process in its own process group, and its output.
#[derive(Debug)]
pub(super) struct Child {
    process: std::process::Child,
    /// The supervisor reads from it. Its end tells the supervisor that this process has ended.
    lifeline: Option<ChildStdin>,
    tail: Arc<Tail>,
    stopped: bool,
}

impl Child {
    /// Spawns a child with both output streams on one pipe.
    pub(super) fn spawn(launch: &Launch<'_>) -> Result<Self, ServerError> {
        Self::spawn_with(launch, None)
    }

    /// Spawns a child with standard output going elsewhere.
    pub(super) fn spawn_with(launch: &Launch<'_>, stdout: Option<Stdio>) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Io { doing: format!("start {}", launch.program.display()), source };
        let (reader, writer) = std::io::pipe().map_err(failed)?;
        let stdout = match stdout {
            Some(stdout) => stdout,
            None => writer.try_clone().map_err(failed)?.into(),
        };
        let args = SupervisorArgs {
            cores: launch.cores.unwrap_or_default().to_vec(),
            parent: std::process::id(),
            exec: false,
            program: launch.program.into(),
            args: launch.args.to_vec(),
        };
        let mut command = Command::new(launch.own);
        command.args(args.arguments()).stdin(Stdio::piped()).stdout(stdout).stderr(writer).process_group(0);
        super::keep_secrets(&mut command);
        command.envs(launch.env.iter().copied());
        if let Some(dir) = launch.dir {
            command.current_dir(dir);
        }
        let mut process = command.spawn().map_err(failed)?;
        let lifeline = process.stdin.take();
        // The command holds copies of the pipe's writing end. The pipe does not end while they
        // exist.
        drop(command);
        let tail = Tail::follow(reader).map_err(failed)?;
        Ok(Self { process, lifeline, tail, stopped: false })
    }

    /// Returns the ID of the supervisor's process. The server runs below it.
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Returns how the child ended, if it did. Leaves it unreaped, so that its process ID is not
    /// reused before [`Child::stop`].
    pub(super) fn exited(&self) -> Option<String> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.nix_pid()), flags) {
            Ok(WaitStatus::StillAlive) => None,
            Ok(WaitStatus::Exited(_, code)) => Some(format!("exit status {code}")),
            Ok(WaitStatus::Signaled(_, signal, _)) => Some(format!("killed by {signal}")),
            Ok(_) | Err(_) => Some("stopped".to_owned()),
        }
    }

    /// Waits for the child to end, at most `limit`.
    #[expect(clippy::disallowed_methods, reason = "waits for another process; not part of a measurement")]
    pub(super) fn wait_for_exit(&self, limit: Nanos) -> Option<String> {
        let started = Instant::now();
        loop {
            let exited = self.exited();
            if exited.is_some() || started.elapsed() >= limit.to_duration() {
                return exited;
            }
            std::thread::sleep(EXIT_POLL);
        }
    }

    /// Returns the last lines of output: all of them when the child has ended.
    pub(super) fn last_lines(&self) -> Vec<String> {
        if self.exited().is_some() {
            self.tail.wait_until_closed(LAST_WORDS);
        }
        self.tail.lines()
    }

    /// Returns the lines since the `seen`-th, and how many there have been.
    pub(super) fn lines_since(&self, seen: usize) -> (Vec<String>, usize) {
        self.tail.since(seen)
    }

    /// Sends SIGTERM to the process group and waits for `grace`. Then the supervisor kills the
    /// remaining processes and is reaped.
    pub(super) fn stop(&mut self, grace: Nanos) {
        if self.stopped {
            return;
        }
        self.stopped = true;
        if grace > Nanos::ZERO {
            let _ = killpg(self.nix_pid(), Signal::SIGTERM);
            self.wait_for_exit(grace);
        }
        drop(self.lifeline.take());
        self.wait_for_exit(LAST_ROUNDS);
        // A supervisor that was itself killed has left its group behind. An empty group is not an
        // error.
        let _ = killpg(self.nix_pid(), Signal::SIGKILL);
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn nix_pid(&self) -> Pid {
        // Process IDs are below 2^22 on Linux.
        Pid::from_raw(self.process.id().cast_signed())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.stop(super::STOP_GRACE);
    }
}
