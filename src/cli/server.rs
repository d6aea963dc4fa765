//! Which server is started or watched.

use clap::Args;

/// Which server is started or watched.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerArgs {
    /// Never start a server.
    #[arg(long)]
    no_server: bool,
    /// Watch the CPU and memory of process PID. No server is started.
    #[arg(long, value_name = "PID", allow_negative_numbers = true)]
    server_pid: Option<String>,
    /// Start this llmsim binary instead of the embedded simulator.
    #[arg(long, value_name = "FILE")]
    server_bin: Option<String>,
    /// Build and start the llmsim checkout in DIR.
    #[arg(long, value_name = "DIR")]
    server_src: Option<String>,
}

/// What the server says of itself while it is measured.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerMetricsArgs {
    /// Read the server's own metrics from this URL once a second: auto, off, or a
    /// URL such as `http://HOST:9090/metrics`. `auto` tries /metrics at the target
    /// unless the target is llmsim [default: auto].
    #[arg(long, value_name = "URL")]
    server_metrics: Option<String>,
    /// Also read the metric NAME from that URL (repeatable).
    #[arg(long, value_name = "NAME")]
    server_metric: Vec<String>,
}

/// How a started server is configured. `throughput` has a configuration of its own.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerConfigArgs {
    /// Configure the started server with this TOML file.
    #[arg(long, value_name = "FILE")]
    server_config: Option<String>,
    /// Inject errors into the started server: 10 % 429, 5 % 5xx, 2 % timeouts.
    #[arg(long)]
    chaos: bool,
}
