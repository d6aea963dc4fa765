//! Which part of a test this process runs.

use clap::Args;

/// Which part of a test this process runs, and when.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Several machines")]
pub(crate) struct ShardArgs {
    #[command(flatten)]
    meeting: MeetingArgs,
    /// Start at this instant, like 2026-11-24T18:00:00Z. Give every machine the
    /// same instant.
    #[arg(long, value_name = "TIME")]
    start_at: Option<String>,
    /// What to stop when a threshold with `abort_on_fail` fails: run, shard
    /// [default: run].
    #[arg(long, value_name = "WHAT")]
    abort_scope: Option<String>,
}

/// Which part of a test this process runs, and where it meets the others.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Several machines")]
pub(crate) struct MeetingArgs {
    /// Run shard I of N, counted from 0. `auto` reads both numbers from the job
    /// scheduler's environment. Without --rendezvous, `merge` combines the
    /// results.
    #[arg(long, value_name = "I/N|auto", allow_hyphen_values = true)]
    shard: Option<String>,
    /// Meet the other shards at this address of shard 0. All shards start and end
    /// together, and shard 0 writes one result for all of them.
    #[arg(long, value_name = "HOST:PORT")]
    rendezvous: Option<String>,
    /// Read the key that all shards share from FILE. It is required unless the
    /// rendezvous is a loopback address.
    #[arg(long, value_name = "FILE")]
    rendezvous_key_file: Option<String>,
    /// Wait up to D for the other shards [default: 5m].
    #[arg(long, value_name = "D")]
    rendezvous_timeout: Option<String>,
}
