//! Looking at a test before running it.

use clap::Args;

/// Looking at a test before running it. Every command that sends requests honours all of them.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Debugging")]
pub(crate) struct DebugArgs {
    /// Print every setting with its source, and send nothing.
    #[arg(long)]
    show_config: bool,
    /// Print one request of each kind with keys hidden, and send nothing.
    #[arg(long)]
    dump_request: bool,
    /// Send N requests before the test and print the responses with keys hidden.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    debug_response: Option<String>,
}
