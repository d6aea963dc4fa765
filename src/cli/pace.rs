//! How a user goes from one request to the next.

use clap::Args;

/// How a user goes from one request to the next.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Load")]
pub(crate) struct PaceArgs {
    /// Let each user pause between requests for D, or MIN..MAX (0 for no pause).
    /// Closed-loop load only.
    #[arg(long, value_name = "D", allow_hyphen_values = true)]
    think_time: Option<String>,
    /// Fail a request that takes longer than D in total.
    #[arg(long, value_name = "D", allow_hyphen_values = true)]
    timeout: Option<String>,
}
