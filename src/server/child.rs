//! One child process: spawned through [`super::supervise()`], listened to, and always stopped.

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

/// Pause between two looks at a child that is to end.
const EXIT_POLL: Duration = Duration::from_millis(5);
/// How long the supervisor may take to kill everything below it.
const LAST_ROUNDS: Nanos = Nanos::from_secs(2);
/// How long the last words of an ended child may be on their way through the pipe.
const LAST_WORDS: Nanos = Nanos::from_millis(500);

pub(super) struct Launch<'a> {
    /// This program, for the step in between.
    pub(super) own: &'a Path,
    /// The cores to stay on; none means all.
    pub(super) cores: Option<&'a [usize]>,
    pub(super) program: &'a Path,
    pub(super) args: &'a [OsString],
    /// What is added to our own environment.
    pub(super) env: &'a [(&'a str, &'a str)],
    /// Where it runs; none means here.
    pub(super) dir: Option<&'a Path>,
}

/// A child process, its own process group, and what it says.
#[derive(Debug)]
pub(super) struct Child {
    process: std::process::Child,
    /// The supervisor reads from it, and takes its end for ours.
    lifeline: Option<ChildStdin>,
    tail: Arc<Tail>,
    stopped: bool,
}

impl Child {
    /// Spawns with both output streams on one pipe.
    pub(super) fn spawn(launch: &Launch<'_>) -> Result<Self, ServerError> {
        Self::spawn_with(launch, None)
    }

    /// The same, with standard output going elsewhere.
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
        // The command holds our copies of the pipe's writing end; while they live, the pipe has no
        // end.
        drop(command);
        let tail = Tail::follow(reader).map_err(failed)?;
        Ok(Self { process, lifeline, tail, stopped: false })
    }

    /// The supervisor's process: the server is below it.
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// How it ended, if it did. Leaves it unreaped, so that its number stays its own until
    /// [`Child::stop`].
    pub(super) fn exited(&self) -> Option<String> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.nix_pid()), flags) {
            Ok(WaitStatus::StillAlive) => None,
            Ok(WaitStatus::Exited(_, code)) => Some(format!("exit status {code}")),
            Ok(WaitStatus::Signaled(_, signal, _)) => Some(format!("killed by {signal}")),
            Ok(_) | Err(_) => Some("stopped".to_owned()),
        }
    }

    /// Waits for its end, at most `limit`.
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

    /// The last lines it said; all of them when it has ended.
    pub(super) fn last_lines(&self) -> Vec<String> {
        if self.exited().is_some() {
            self.tail.wait_until_closed(LAST_WORDS);
        }
        self.tail.lines()
    }

    /// The lines since the `seen`-th, and how many there have been.
    pub(super) fn lines_since(&self, seen: usize) -> (Vec<String>, usize) {
        self.tail.since(seen)
    }

    /// SIGTERM to its process group, `grace`; then the supervisor kills what is left, and is
    /// reaped.
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
        // A supervisor that was itself killed has left its group behind. Nobody there is not an
        // error.
        let _ = killpg(self.nix_pid(), Signal::SIGKILL);
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn nix_pid(&self) -> Pid {
        // Process numbers are below 2^22 on Linux.
        Pid::from_raw(self.process.id().cast_signed())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.stop(super::STOP_GRACE);
    }
}
