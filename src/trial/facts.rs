//! What a document says beside the measurements: when, where, with what, against what.

use super::measure;
use super::subject::Left;
use crate::document::{
    Agreement, Build, Endpoint, Environment, ErrorAgreement, RunFacts, ServerUse, Steady, TargetServer,
};
use crate::engine::RunResult;
use crate::host::procfs::{self, Usage};
use crate::metrics::Summary;
use crate::metrics::hints::Hint;
use crate::metrics::soak::Soak;
use crate::metrics::validity::{Evidence, KernelCounts, Signal, signals};
use crate::plan::{Plan, Presentation};
use crate::threshold::Verdict;
use jiff::Timestamp;
use serde_json::Value;

/// Everything it is made from.
#[derive(Debug)]
pub(crate) struct Ingredients<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) presentation: &'a Presentation,
    pub(crate) started_at: Timestamp,
    pub(crate) run: &'a RunResult,
    pub(crate) summary: &'a Summary,
    pub(crate) outside: Option<&'a Summary>,
    pub(crate) soak: &'a Soak,
    pub(crate) verdicts: &'a [Verdict],
    pub(crate) endpoints: &'a [Endpoint],
    pub(crate) signals: &'a [Signal],
    pub(crate) hints: &'a [Hint],
    pub(crate) aborted_by: Option<String>,
    pub(crate) left: &'a Left,
    pub(crate) nofile: u64,
}

/// Now, as calendars have it.
pub(crate) fn wall_clock() -> Timestamp {
    Timestamp::now()
}

/// Which build this is.
pub(crate) fn build() -> Build {
    Build {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        git_commit: option_env!("LLMSIM_BLAST_GIT_COMMIT").map(str::to_owned),
        git_dirty: option_env!("LLMSIM_BLAST_GIT_DIRTY").map(|dirty| dirty == "true"),
        rustc: option_env!("LLMSIM_BLAST_RUSTC").map(str::to_owned),
    }
}

/// The facts of a run.
pub(crate) fn of_run<'a>(i: &Ingredients<'a>) -> RunFacts<'a> {
    let stop_reason = match (&i.left.died, &i.aborted_by) {
        (Some(exit), _) => Some(format!("the server ended by itself ({})", exit.status)),
        (None, Some(threshold)) => Some(format!("threshold {threshold}")),
        (None, None) => i.run.stopped.then(|| "signal".to_owned()),
    };
    RunFacts {
        id: id(i.started_at, i.plan),
        started_at: i.started_at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        duration: i.run.duration,
        interrupted: i.run.stopped && i.aborted_by.is_none() && i.left.died.is_none(),
        stop_reason,
        tags: i.presentation.tags.iter().cloned().collect(),
        argv: argv(),
        shard_source: i.presentation.shard.clone(),
        build: build(),
        server: server(i.left),
        before: i.left.stats_before.clone(),
        after: i.left.stats_after.clone(),
        environment: environment(i.run.workers, &i.run.pinned_to, &i.left.server_cores, i.nofile),
        plan: i.plan,
        summary: i.summary,
        verdicts: i.verdicts,
        endpoints: i.endpoints,
        series: &i.run.series,
        signals: i.signals,
        hints: i.hints,
        server_use: i.left.used.map(used),
        agreement: agreement(i),
        steady: Steady {
            stages: &i.run.stages,
            outside: i.outside,
            soak: i.soak,
            client_use: i.left.own_use.map(used),
            agreements: super::agreement::lines(i.plan, i.summary, i.outside, i.left),
        },
    }
}

/// Unique: the instant, the process, and which share it runs, since all shares may begin in one instant and in containers alike.
fn id(started_at: Timestamp, plan: &Plan) -> String {
    let share =
        if plan.shard.is_part() { format!("-{}of{}", plan.shard.index, plan.shard.count) } else { String::new() };
    format!("{}-{}{share}", started_at.strftime("%Y%m%dT%H%M%S%3fZ"), std::process::id())
}

fn used((first, end, rss_max_bytes): (Usage, Usage, u64)) -> ServerUse {
    ServerUse {
        cpu: end.cpu.since(first.cpu),
        rss_start_bytes: first.rss_bytes,
        rss_end_bytes: end.rss_bytes,
        rss_max_bytes,
    }
}

/// What the client is judged by.
pub(crate) fn client_signals(run: &RunResult, summary: &Summary, left: &Left, nofile: u64) -> Vec<Signal> {
    let counted = left.counted;
    let kernel = (counted.ticks > 0).then(|| KernelCounts {
        steal: counted.steal_ticks as f64 / counted.ticks as f64,
        dropped: counted.dropped,
        segments_sent: counted.segments_sent,
        segments_retransmitted: counted.segments_retransmitted,
    });
    signals(&Evidence { summary, series: &run.series, kernel, nofile: Some(nofile) })
}

/// The command line. Header values are hidden, whatever they are called: secrets come in all names.
fn argv() -> Vec<String> {
    hide_headers(std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()))
}

fn hide_headers(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let name_only = |header: &str| format!("{}: [hidden]", header.split(':').next().unwrap_or_default());
    let mut is_value = false;
    arguments
        .map(|argument| {
            if std::mem::replace(&mut is_value, argument == "--header") {
                is_value = false;
                return name_only(&argument);
            }
            match argument.strip_prefix("--header=") {
                Some(header) => format!("--header={}", name_only(header)),
                None => argument,
            }
        })
        .collect()
}

pub(crate) fn server(left: &Left) -> TargetServer {
    TargetServer {
        started: left.identity.is_some(),
        // Many servers say that they are well; only llmsim has its statistics.
        kind: (left.identity.is_some() || left.stats_before.is_some()).then(|| "llmsim".to_owned()),
        version: left.identity.as_ref().and_then(|identity| identity.version.clone()),
        git_commit: left.identity.as_ref().and_then(|identity| identity.git_commit.clone()),
        git_dirty: left.identity.as_ref().and_then(|identity| identity.git_dirty),
        died: left.died.as_ref().map(|exit| exit.status.clone()),
        last_lines: left.died.as_ref().map(|exit| exit.last_lines.clone()).unwrap_or_default(),
    }
}

/// This machine, with so many threads of ours.
pub(crate) fn environment(workers: usize, pinned_to: &[usize], server_cores: &[usize], nofile: u64) -> Environment {
    let machine = procfs::machine();
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
        fingerprint: None,
    }
}

/// What the server has counted since we came, beside what we have sent.
fn agreement(i: &Ingredients<'_>) -> Option<Agreement> {
    // The server has counted all shares.
    if i.plan.shard.is_part() {
        return None;
    }
    let count = |stats: &Option<Value>| stats.as_ref()?.get("total_requests")?.as_u64();
    let (before, after) = (count(&i.left.stats_before)?, count(&i.left.stats_after)?);
    let sent = |summary| measure::sent_to_apis_that_count(i.plan, summary);
    let ours = sent(i.summary) + i.outside.map_or(0, sent);
    Some(Agreement { ours, server: after.checked_sub(before)?, errors: errors(i) })
}

/// Errors that llmsim counts, and the statuses it answers them with.
const COUNTED_ERRORS: [(&str, &[u16]); 3] =
    [("rate_limit_errors", &[429]), ("server_errors", &[500, 503]), ("timeout_errors", &[504])];

/// The same of errors, once there are any.
fn errors(i: &Ingredients<'_>) -> Vec<ErrorAgreement> {
    // Inside a WebSocket an error is an event and has no status.
    if i.plan.mix.kinds.iter().any(|kind| kind.websocket) {
        return Vec::new();
    }
    let agreement = |(name, statuses): (&str, &[u16])| {
        let count = |stats: &Option<Value>| stats.as_ref()?.get(name)?.as_u64();
        let server = count(&i.left.stats_after)?.checked_sub(count(&i.left.stats_before)?)?;
        // The server has counted those of the warm-up, too.
        let seen = std::iter::once(i.summary).chain(i.outside).flat_map(|summary| &summary.statuses);
        let ours = seen.filter(|(status, _)| statuses.contains(status)).map(|(_, n)| n).sum();
        Some(ErrorAgreement { name: name.to_owned(), statuses: statuses.to_vec(), ours, server })
    };
    let all: Vec<_> = COUNTED_ERRORS.into_iter().filter_map(agreement).collect();
    if all.iter().all(|error| error.ours == 0 && error.server == 0) { Vec::new() } else { all }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_command_line_are_hidden() {
        let typed = ["blast", "load", "--header", "X-Key: sesame", "--vus", "3", "--header=Cookie: sesame"];
        let shown = hide_headers(typed.into_iter().map(str::to_owned));
        assert_eq!(shown, ["blast", "load", "--header", "X-Key: [hidden]", "--vus", "3", "--header=Cookie: [hidden]"]);
    }
}
