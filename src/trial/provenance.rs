//! When, with which build and on which machine a run was made.

use crate::document::{Build, Environment};
use crate::host;
use jiff::Timestamp;

/// Now, as calendars have it.
pub(super) fn wall_clock() -> Timestamp {
    Timestamp::now()
}

/// Which build this is.
pub(crate) fn build() -> Build {
    Build {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        git_commit: option_env!("BUILD_GIT_COMMIT").map(str::to_owned),
        git_dirty: option_env!("BUILD_GIT_DIRTY").map(|dirty| dirty == "true"),
        rustc: option_env!("BUILD_RUSTC").map(str::to_owned),
    }
}

/// This machine, with so many threads of ours.
pub(crate) fn environment(workers: usize, pinned_to: &[usize], server_cores: &[usize], nofile: u64) -> Environment {
    let machine = host::machine();
    let fingerprint = Some(machine.fingerprint());
    let cores = |cores: &[usize]| (!cores.is_empty()).then(|| cores.iter().map(|&core| core as u32).collect());
    Environment {
        cpu_model: Some(machine.cpu_model),
        cores: Some(machine.cores),
        memory_bytes: Some(machine.memory_bytes),
        kernel: Some(machine.kernel),
        os: machine.os,
        arch: machine.arch,
        clocksource: Some(machine.clocksource),
        workers: workers as u32,
        pinned_to: cores(pinned_to),
        server_cores: cores(server_cores),
        nofile: Some(nofile),
        fingerprint,
    }
}
