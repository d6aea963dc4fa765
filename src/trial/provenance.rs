//! When, with which build and on which machine a run was made.

use crate::document::{Build, Environment};
use crate::host;
use crate::plan::Plan;
use jiff::Timestamp;

/// Now, as calendars have it.
pub(crate) fn wall_clock() -> Timestamp {
    Timestamp::now()
}

/// Unique: the instant, the process, and which shard it runs, since all shards may begin in one
/// instant and in containers alike.
pub(super) fn run_id(started_at: Timestamp, plan: &Plan) -> String {
    let shard =
        if plan.shard.is_part() { format!("-{}of{}", plan.shard.index, plan.shard.count) } else { String::new() };
    format!("{}-{}{shard}", started_at.strftime("%Y%m%dT%H%M%S%3fZ"), std::process::id())
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

/// The command line. Header values are hidden, whatever they are called: secrets come in all names.
pub(super) fn argv() -> Vec<String> {
    hide_secrets(std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()))
}

fn hide_secrets(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let hidden = |flag: &str, value: &str| match flag {
        "--header" => format!("{}: [hidden]", value.split(':').next().unwrap_or_default()),
        _ => "[hidden]".to_owned(),
    };
    let is_secret = |flag: &str| matches!(flag, "--header" | "--web-token");
    let mut of_flag = None;
    arguments
        .map(|argument| match (of_flag.take(), argument.split_once('=')) {
            (Some(flag), _) => hidden(flag, &argument),
            (None, Some((flag, value))) if is_secret(flag) => format!("{flag}={}", hidden(flag, value)),
            (None, _) => {
                of_flag = ["--header", "--web-token"].into_iter().find(|flag| *flag == argument);
                argument
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_the_command_line_are_hidden() {
        for (typed, shown) in [
            (&["--header", "X-Key: sesame", "--vus", "3"][..], &["--header", "X-Key: [hidden]", "--vus", "3"][..]),
            (&["--header=Cookie: sesame"], &["--header=Cookie: [hidden]"]),
            (&["--web-token", "sesame", "--web"], &["--web-token", "[hidden]", "--web"]),
            (&["--web-token=sesame", "--web=1"], &["--web-token=[hidden]", "--web=1"]),
        ] {
            assert_eq!(hide_secrets(typed.iter().map(|text| (*text).to_owned())), shown);
        }
    }
}
