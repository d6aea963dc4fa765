//! Who may watch a run while it lasts.

#![allow(rustdoc::broken_intra_doc_links, reason = "help texts show defaults in brackets, as command lines do")]

use clap::Args;

/// Who may watch in a browser.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Watching a run")]
pub(crate) struct PageArgs {
    /// Serve a live page, and metrics for Prometheus, at ADDR while the run lasts
    /// [default address: 127.0.0.1:9540; port 0 is any free one].
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "")]
    web: Option<String>,
    /// Require this token before showing the page. A token is needed if other
    /// machines can reach ADDR.
    #[arg(long, value_name = "TOKEN")]
    web_token: Option<String>,
}

/// Who may watch a run while it lasts.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Watching a run")]
pub(crate) struct ViewerArgs {
    #[command(flatten)]
    page: PageArgs,
    /// Write samples to the Prometheus at URL while the run lasts, by remote write
    /// [default path: /api/v1/write].
    #[arg(long, value_name = "URL")]
    prometheus_write: Option<String>,
    /// Read the bearer token for --prometheus-write from FILE. Never shown.
    #[arg(long, value_name = "FILE")]
    prometheus_token_file: Option<String>,
    /// Read USER:PASSWORD for --prometheus-write from FILE. Never shown.
    #[arg(long, value_name = "FILE")]
    prometheus_basic_auth_file: Option<String>,
}
