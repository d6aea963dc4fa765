//! How the client works.

use clap::Args;

/// How the client works.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Engine")]
pub(crate) struct EngineArgs {
    /// Number of worker threads [default: one per core that no started server
    /// uses].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    workers: Option<String>,
    /// Do not pin worker threads to cores.
    #[arg(long)]
    no_pin: bool,
    /// Time tokens by the kernel's receive timestamps: auto, on, off
    /// [default: auto].
    #[arg(long, value_name = "WHEN")]
    rx_timestamps: Option<String>,
    /// Let each worker pause for D between two polls: auto, or D (0 for no pause)
    /// [default: auto].
    #[arg(long, value_name = "D", allow_hyphen_values = true)]
    poll_interval: Option<String>,
    /// Acknowledge received data at once, to see whether the server waits for
    /// acknowledgements.
    #[arg(long)]
    quickack: bool,
    /// Limit the memory for the incomplete responses of all users to SIZE
    /// [default: 256MiB].
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    body_budget: Option<String>,
    /// Parse every response both by template and by scanner, and fail if the
    /// results differ.
    #[arg(long)]
    verify_parse: bool,
}
