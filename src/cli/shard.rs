//! Which part of a test this process runs.

use clap::Args;

/// Which part of a test this process runs, and when.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Several machines")]
pub(crate) struct ShardArgs {
    #[command(flatten)]
    meeting: MeetingArgs,
    /// Start at this instant, like 2026-11-24T18:00:00Z: the same on every
    /// machine.
    #[arg(long, value_name = "TIME")]
    start_at: Option<String>,
    /// What a threshold that aborts stops: run, shard [default: run].
    #[arg(long, value_name = "WHAT")]
    abort_scope: Option<String>,
}

/// Which part of a test this process runs, and where it meets the others.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Several machines")]
pub(crate) struct MeetingArgs {
    /// Run shard I of N (counted from 0), or ask the scheduler's environment:
    /// I/N, auto. Shards that do not meet are combined by `merge`.
    #[arg(long, value_name = "I/N|auto", allow_hyphen_values = true)]
    shard: Option<String>,
    /// Meet the other shards at this address of shard 0: start together, end
    /// together, and leave one result there.
    #[arg(long, value_name = "HOST:PORT")]
    rendezvous: Option<String>,
    /// Read the key that all shards share from FILE. It is required unless they
    /// meet on the loopback.
    #[arg(long, value_name = "FILE")]
    rendezvous_key_file: Option<String>,
    /// How long shards wait for each other [default: 5m].
    #[arg(long, value_name = "D")]
    rendezvous_timeout: Option<String>,
}
