//! When a run was made, with which build, and on which machine.

use crate::document::{Build, Environment};
use crate::host;
use crate::plan::Plan;
use crate::redact::HIDDEN;
use jiff::Timestamp;

/// Returns the wall-clock time.
pub(crate) fn wall_clock() -> Timestamp {
    Timestamp::now()
}

/// Returns the wall-clock time in seconds since the UNIX epoch, for the date of a signed request.
pub(super) fn unix_seconds() -> u64 {
    wall_clock().as_second().unsigned_abs()
}

/// Formats an instant as in results: RFC 3339, in milliseconds.
pub(crate) fn rfc3339(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Returns a unique name: the instant, the process, and the shard, since all shards may begin at
/// the same instant, and with the same process ID in containers.
pub(super) fn run_id(started_at: Timestamp, plan: &Plan) -> String {
    let shard =
        if plan.shard.is_part() { format!("-{}of{}", plan.shard.index, plan.shard.count) } else { String::new() };
    format!("{}-{}{shard}", started_at.strftime("%Y%m%dT%H%M%S%3fZ"), std::process::id())
}

/// Returns the identity of this build.
pub(crate) fn build() -> Build {
    Build {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        git_commit: option_env!("BUILD_GIT_COMMIT").map(str::to_owned),
        git_dirty: option_env!("BUILD_GIT_DIRTY").map(|dirty| dirty == "true"),
        rustc: option_env!("BUILD_RUSTC").map(str::to_owned),
    }
}

/// Describes this machine and the run's use of it.
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

/// Returns the command line without the values of headers and bodies, whatever their names: a
/// secret may have any name. The query of a URL or a path is hidden, too.
pub(super) fn argv() -> Vec<String> {
    hide_secrets(std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()))
}

/// Flags whose values are secrets or may contain one.
const HIDING: [&str; 5] = ["--api-key-command", "--body", "--header", "--path", "--web-token"];

fn hide_secrets(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let hidden = |flag: &str, value: &str| match flag {
        "--header" => format!("{}: {HIDDEN}", value.split(':').next().unwrap_or_default()),
        "--body" => format!("{}={HIDDEN}", value.split('=').next().unwrap_or_default()),
        "--path" => without_query(value),
        _ => HIDDEN.to_owned(),
    };
    let mut of_flag = None;
    arguments
        .map(|argument| match (of_flag.take(), argument.split_once('=')) {
            (Some(flag), _) => hidden(flag, &argument),
            (None, Some((flag, value))) if HIDING.contains(&flag) => format!("{flag}={}", hidden(flag, value)),
            (None, _) => {
                of_flag = HIDING.into_iter().find(|flag| *flag == argument);
                if argument.contains("://") { without_query(&argument) } else { argument }
            }
        })
        .collect()
}

/// Returns a URL or a path with its query hidden.
fn without_query(text: &str) -> String {
    text.split_once('?').map_or_else(|| text.to_owned(), |(before, _)| format!("{before}?{HIDDEN}"))
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
            (&["--body", "a=sesame=1", "x=y"], &["--body", "a=[hidden]", "x=y"]),
            (&["--body={\"a\"=1}"], &["--body={\"a\"=[hidden]"]),
            (&["--body", "sesame"], &["--body", "sesame=[hidden]"]),
            (&["--path", "/v1?k=sesame"], &["--path", "/v1?[hidden]"]),
            (&["--target-url", "http://h/p?k=sesame"], &["--target-url", "http://h/p?[hidden]"]),
            (&["--server-metrics=http://h?sesame"], &["--server-metrics=http://h?[hidden]"]),
            (&["--api-key-command", "pass k=sesame"], &["--api-key-command", "[hidden]"]),
            (&["--api-key-command=pass k=sesame"], &["--api-key-command=[hidden]"]),
            (&["--tag", "why=what?"], &["--tag", "why=what?"]),
        ] {
            assert_eq!(hide_secrets(typed.iter().map(|text| (*text).to_owned())), shown);
        }
    }
}
