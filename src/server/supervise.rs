//! The step between us and a child: a process that ties its own life to ours and then becomes the program.
//!
//! `llmsim-blast supervise --cores 1,2 --parent PID -- PROGRAM ARGS…` does what a parent cannot do for its child in safe code. What is
//! set here belongs to the process and survives `exec`: the parent-death signal, the cores, the limit of file descriptors.
//! The child's process group is made by the spawn itself, so that Ctrl-C in the terminal reaches only us; and the standard library
//! clears the signal mask on the way.

use super::ServerError;
use crate::host::limits;
use nix::unistd::{Pid, getppid};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What to become, and under which conditions. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupervisorArgs {
    /// The cores to stay on; empty means all.
    pub cores: Vec<usize>,
    /// The process whose end shall be ours.
    pub parent: u32,
    /// The program.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
}

impl SupervisorArgs {
    /// The arguments that say all this to another copy of ourselves.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let mut line: Vec<OsString> = vec!["supervise".into(), "--parent".into(), self.parent.to_string().into()];
        if !self.cores.is_empty() {
            let cores: Vec<String> = self.cores.iter().map(ToString::to_string).collect();
            line.extend(["--cores".into(), cores.join(",").into()]);
        }
        line.push("--".into());
        line.push(self.program.clone());
        line.extend(self.args.iter().cloned());
        line
    }
}

/// Becomes the program. Returns only when that failed.
pub fn supervise(args: &SupervisorArgs) -> ServerError {
    if let Err(error) = tie_to_parent(args.parent) {
        return error;
    }
    if let Err(source) = stay_on(&args.cores) {
        return ServerError::Io { doing: format!("keep the server on the cores {:?}", args.cores), source };
    }
    // A server takes one descriptor a connection; one that cannot have more is still worth starting.
    let _ = limits::raise_nofile(0);
    let source = Command::new(&args.program).args(&args.args).exec();
    ServerError::Io { doing: format!("run {}", args.program.display()), source }
}

/// Asks the kernel for SIGKILL when the parent ends, and makes sure that it has not ended already: then the signal would never come.
fn tie_to_parent(parent: u32) -> Result<(), ServerError> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
        .map_err(|e| ServerError::Io { doing: "tie the server's life to ours".to_owned(), source: e.into() })?;
    if i64::from(getppid().as_raw()) != i64::from(parent) {
        let source = io::Error::other(format!("its parent, process {parent}, is gone"));
        return Err(ServerError::Io { doing: "start the server".to_owned(), source });
    }
    Ok(())
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

/// Other kernels have no such call; the scheduler decides there.
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
            program: "llmsim".into(),
            args: vec!["serve".into(), "--port".into()],
        };
        assert_eq!(
            args.arguments(),
            ["supervise", "--parent", "7", "--cores", "1,3", "--", "llmsim", "serve", "--port"]
        );
        args.cores.clear();
        assert_eq!(args.arguments()[..5], ["supervise", "--parent", "7", "--", "llmsim"]);
    }
}
