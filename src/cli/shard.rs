//! Which part of a test this process runs.

use clap::Args;

/// Which part of a test this process runs, and when.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Several machines")]
pub(crate) struct ShardArgs {
    /// Run shard I of N (counted from 0), or ask the scheduler's environment:
    /// I/N, auto. `merge` combines the results.
    #[arg(long, value_name = "I/N|auto", allow_hyphen_values = true)]
    shard: Option<String>,
    /// Start at this instant, like 2026-11-24T18:00:00Z: the same on every
    /// machine.
    #[arg(long, value_name = "TIME")]
    start_at: Option<String>,
    /// Meet the other shards at this address of shard 0: start together, end
    /// together, and merge there.
    #[arg(long, value_name = "HOST:PORT")]
    rendezvous: Option<String>,
    /// Read the key that all shards share from FILE. It is required unless they
    /// meet on the loopback.
    #[arg(long, value_name = "FILE")]
    rendezvous_key_file: Option<String>,
    /// How long shards wait for each other [default: 5m].
    #[arg(long, value_name = "D")]
    rendezvous_timeout: Option<String>,
    /// What a threshold that aborts stops: run, shard [default: run].
    #[arg(long, value_name = "WHAT")]
    abort_scope: Option<String>,
}
