//! The process between this program and a child: it supervises the server, and ends it when this
//! program ends.
//!
//! ```text
//!   llmsim-blast ─▶ supervise ─▶ supervise --exec ─exec─▶ the program ─▶ its own children
//!        └── a pipe ──▲  the end of the pipe means that llmsim-blast has ended, in whatever way
//! ```
//!
//! The supervisor adopts orphans of the program (it is a "subreaper", prctl(2)), so that no process
//! escapes by forking twice or by a session of its own. It kills everything below it when the
//! program ends, when llmsim-blast ends (even by SIGKILL), or when SIGTERM was not enough. Then it
//! ends in the same way as the program. The second step ties the program to the supervisor
//! (parent-death signal).
//!
//! One case cannot be covered by an ordinary process: if supervisor and test are both killed with
//! SIGKILL at the same instant, the program ends, but a process that it has started in a session of
//! its own remains.
//!
//! The supervisor sets process attributes that survive `exec`: the cores, and the limit of file
//! descriptors. The spawn itself makes the process group, so that Ctrl-C in the terminal reaches
//! only llmsim-blast. The standard library clears the signal mask on the way.

use super::{ServerError, family};
use crate::host::limits;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpgid, getppid};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// Pause between two rounds of killing the remaining processes.
const ROUND: Duration = Duration::from_millis(5);
/// Rounds after which the rest is given up: a process of another user, or one that the kernel does
/// not release.
const MOST_ROUNDS: u32 = 200;

/// The program to run, and its conditions. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupervisorArgs {
    /// The cores to stay on. Empty means all.
    pub cores: Vec<usize>,
    /// The process whose end also ends this one.
    pub parent: u32,
    /// Become the program instead of supervising it.
    pub exec: bool,
    pub program: OsString,
    pub args: Vec<OsString>,
}

impl SupervisorArgs {
    /// Returns the arguments that pass all this to another copy of this program.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let mut line: Vec<OsString> = vec!["supervise".into(), "--parent".into(), self.parent.to_string().into()];
        if !self.cores.is_empty() {
            let cores: Vec<String> = self.cores.iter().map(ToString::to_string).collect();
            line.extend(["--cores".into(), cores.join(",").into()]);
        }
        if self.exec {
            line.push("--exec".into());
        }
        line.push("--".into());
        line.push(self.program.clone());
        line.extend(self.args.iter().cloned());
        line
    }
}

/// Supervises the program, or becomes it. Returns only if that failed.
pub fn supervise(args: &SupervisorArgs) -> ServerError {
    let result = if args.exec { become_program(args) } else { watch_over(args) };
    match result {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

/// The success type of functions that never return on success.
enum Never {}

fn become_program(args: &SupervisorArgs) -> Result<Never, ServerError> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(|e| failed("tie the server's life to ours", e.into()))?;
    check_parent(args.parent)?;
    let source = Command::new(&args.program).args(&args.args).exec();
    Err(failed(&format!("run {}", args.program.display()), source))
}

/// An event for a supervisor.
enum Event {
    Signal(i32),
    /// The other end of standard input was closed.
    ParentGone,
}

fn watch_over(args: &SupervisorArgs) -> Result<Never, ServerError> {
    let watching = |source| failed("watch over the server", source);
    let (sender, events) = channel();
    follow_signals(sender.clone()).map_err(watching)?;
    follow_parent(sender).map_err(watching)?;
    // Checked once the pipe is followed, so that no end of the parent is missed: this check sees an
    // earlier end, and the pipe shows a later one.
    check_parent(args.parent)?;
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_child_subreaper(true).map_err(|e| watching(e.into()))?;
    stay_on(&args.cores).map_err(|e| {
        let cores: Vec<_> = args.cores.iter().map(ToString::to_string).collect();
        failed(&format!("keep the server on the cores {}", cores.join(", ")), e)
    })?;
    // A server takes one descriptor per connection. A server with a low limit is still useful.
    let _ = limits::raise_nofile(0);
    let own = std::env::current_exe().map_err(|e| failed("find this program's own file", e))?;
    let inner = SupervisorArgs { cores: Vec::new(), parent: std::process::id(), exec: true, ..args.clone() };
    let spawned = Command::new(&own).args(inner.arguments()).stdin(Stdio::null()).spawn();
    let child = spawned.map_err(|e| failed(&format!("watch over the server by {}", own.display()), e))?;
    let program = Pid::from_raw(child.id().cast_signed());
    let mut ended = None;
    while ended.is_none() {
        match events.recv() {
            Ok(Event::Signal(SIGCHLD)) => ended = reap(program),
            Ok(Event::Signal(_)) => tell_other_groups(),
            Ok(Event::ParentGone) | Err(_) => break,
        }
    }
    let ended = kill_the_rest(program, ended);
    end_like(ended)
}

fn follow_signals(sender: Sender<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGCHLD, SIGTERM, SIGINT, SIGHUP])?;
    std::thread::Builder::new().spawn(move || {
        for signal in signals.forever() {
            if sender.send(Event::Signal(signal)).is_err() {
                break;
            }
        }
    })?;
    Ok(())
}

fn follow_parent(sender: Sender<Event>) -> io::Result<()> {
    std::thread::Builder::new().spawn(move || {
        let mut byte = [0];
        // Nothing is ever written to the pipe, so any other result is its end.
        while io::stdin().read(&mut byte).is_ok_and(|n| n > 0) {}
        let _ = sender.send(Event::ParentGone);
    })?;
    Ok(())
}

/// Reaps all children that have ended. Returns how the program ended if it is one of them.
fn reap(program: Pid) -> Option<WaitStatus> {
    let mut ended = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(status) if status.pid() == Some(program) => ended = Some(status),
            Ok(WaitStatus::StillAlive) | Err(_) => return ended,
            Ok(_) => {}
        }
    }
}

/// Sends SIGTERM to processes outside our process group. The group already has the signal from its
/// sender.
fn tell_other_groups() {
    let ours = getpgid(None).ok();
    for pid in family::descendants(std::process::id()) {
        let pid = Pid::from_raw(pid.cast_signed());
        if getpgid(Some(pid)).ok() != ours {
            let _ = kill(pid, Signal::SIGTERM);
        }
    }
}

/// Kills everything below this process. Children of killed processes are adopted and killed in the
/// next round.
#[expect(clippy::disallowed_methods, reason = "waits for other processes; nothing is measured here")]
fn kill_the_rest(program: Pid, mut ended: Option<WaitStatus>) -> Option<WaitStatus> {
    for _ in 0..MOST_ROUNDS {
        for pid in family::descendants(std::process::id()) {
            let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
        }
        ended = reap(program).or(ended);
        if waitpid(None, Some(WaitPidFlag::WNOHANG)) == Err(Errno::ECHILD) {
            break;
        }
        std::thread::sleep(ROUND);
    }
    ended
}

/// Ends in the same way as the program, for the process that waits for this one.
fn end_like(ended: Option<WaitStatus>) -> Result<Never, ServerError> {
    match ended {
        Some(WaitStatus::Exited(_, code)) => low_level::exit(code),
        Some(WaitStatus::Signaled(_, signal, _)) => {
            // A core dump, if there is one, is the program's.
            let _ = getrlimit(Resource::RLIMIT_CORE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_CORE, 0, hard));
            let _ = low_level::emulate_default_handler(signal as i32);
            let _ = kill(Pid::this(), Signal::SIGKILL);
        }
        _ => {}
    }
    low_level::exit(1)
}

/// Returns an error if the parent has ended already, since its end would never be noticed.
fn check_parent(parent: u32) -> Result<(), ServerError> {
    if i64::from(getppid().as_raw()) == i64::from(parent) {
        return Ok(());
    }
    Err(failed("start the server", io::Error::other(format!("its parent, process {parent}, is gone"))))
}

fn failed(doing: &str, source: io::Error) -> ServerError {
    ServerError::Io { doing: doing.to_owned(), source }
}

#[cfg(target_os = "linux")]
fn stay_on(cores: &[usize]) -> io::Result<()> {
    if cores.is_empty() {
        return Ok(());
    }
    let mut set = nix::sched::CpuSet::new();
    for &core in cores {
        set.set(core)?;
    }
    Ok(nix::sched::sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// Other kernels lack such a call. The scheduler decides there.
#[cfg(not(target_os = "linux"))]
fn stay_on(_cores: &[usize]) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_is_written_as_a_command_line() {
        let mut args = SupervisorArgs {
            cores: vec![1, 3],
            parent: 7,
            exec: false,
            program: "llmsim".into(),
            args: vec!["serve".into(), "--port".into()],
        };
        assert_eq!(
            args.arguments(),
            ["supervise", "--parent", "7", "--cores", "1,3", "--", "llmsim", "serve", "--port"]
        );
        args.cores.clear();
        args.exec = true;
        assert_eq!(args.arguments()[..6], ["supervise", "--parent", "7", "--exec", "--", "llmsim"]);
    }
}
