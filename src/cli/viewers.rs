//! Who may watch a run while it lasts.

#![allow(rustdoc::broken_intra_doc_links, reason = "help texts show defaults in brackets, as command lines do")]

use clap::Args;

/// Who may watch in a browser.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Watching a run")]
pub(crate) struct PageArgs {
    /// Serve a live page and metrics for Prometheus at ADDR during the run
    /// [default address: 127.0.0.1:9540; port 0 picks a free port].
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "")]
    web: Option<String>,
    /// Show the page only to browsers that present TOKEN. A token is required if
    /// other machines can reach ADDR.
    #[arg(long, value_name = "TOKEN")]
    web_token: Option<String>,
}

/// Who may watch a run while it lasts.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Watching a run")]
pub(crate) struct ViewerArgs {
    #[command(flatten)]
    page: PageArgs,
    /// Send samples to the Prometheus server at URL during the run, by remote
    /// write [default path: /api/v1/write].
    #[arg(long, value_name = "URL")]
    prometheus_write: Option<String>,
    /// Read the bearer token for --prometheus-write from FILE. Never shown.
    #[arg(long, value_name = "FILE")]
    prometheus_token_file: Option<String>,
    /// Read USER:PASSWORD for --prometheus-write from FILE. Never shown.
    #[arg(long, value_name = "FILE")]
    prometheus_basic_auth_file: Option<String>,
}
