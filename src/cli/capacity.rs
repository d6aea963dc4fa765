//! `capacity` as typed: a search for the highest load.

use super::connection::ConnectionArgs;
use super::credentials::CredentialArgs;
use super::dataset::DatasetArgs;
use super::debug::DebugArgs;
use super::engine::EngineArgs;
use super::output::OutputArgs;
use super::pace::PaceArgs;
use super::request::{RequestArgs, StreamArgs};
use super::server::{ServerArgs, ServerConfigArgs, ServerMetricsArgs};
use super::shard::MeetingArgs;
use super::target::TargetArgs;
use super::tls::TlsArgs;
#[cfg(feature = "web")]
use super::viewers::PageArgs;
use clap::Args;

/// How the search goes, and what goals look like.
pub(crate) const CAPACITY_HELP: &str = "\
The search doubles the load from --min until a goal fails. It then halves the
interval between the highest load that holds and the lowest that fails, until
the two are within 5 %. A load fails after two failed steps and holds after
three good ones. With --by rate, 99 % of the arrivals must also start in time. A
step in which this machine fell behind is inconclusive and is repeated.

Examples:
  llmsim-blast capacity --slo 'ttft p(95)<500ms' --slo 'http_req_failed rate<1%'
  llmsim-blast capacity my.toml --by vus --preset mlperf-llama2-70b-server

Without --slo and --preset, the profile's own thresholds are the goals. Presets
are the limits of MLPerf Inference, such as mlperf-llama2-70b-interactive (TTFT
p99 at most 450 ms, 40 ms per token). An unknown name lists all presets.

Exit codes: 0 a load was found, 99 no load meets the goals, 105 stopped by a
signal, 107 no request succeeded, 110 a shard was lost.";

/// A search for the highest load.
#[derive(Debug, Clone, Args)]
pub(crate) struct CapacityArgs {
    /// Profile whose requests are sent: a built-in profile, or a TOML file.
    #[arg(value_name = "PROFILE|FILE.toml", default_value = "load")]
    pub(crate) profile: String,
    #[command(flatten)]
    search: SearchArgs,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    stream: StreamArgs,
    #[command(flatten)]
    dataset: DatasetArgs,
    #[command(flatten)]
    credentials: CredentialArgs,
    #[command(flatten)]
    pace: PaceArgs,
    #[command(flatten)]
    meeting: MeetingArgs,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    server_config: ServerConfigArgs,
    #[command(flatten)]
    server_metrics: ServerMetricsArgs,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[cfg(feature = "web")]
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    debug: DebugArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

/// How the search goes. Its steps have a length and a warm-up of their own, which are not those of
/// a run.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Search")]
pub(crate) struct SearchArgs {
    /// Goal (repeatable): a metric and a threshold, like 'ttft p(95)<500ms'.
    #[arg(long, value_name = "GOAL")]
    slo: Vec<String>,
    /// Use the limits of an MLPerf benchmark as goals, like
    /// mlperf-llama2-70b-server.
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// What to vary: rate (requests per second, open loop) or vus (users)
    /// [default: rate].
    #[arg(long, value_name = "WHAT")]
    by: Option<String>,
    /// Lowest load to try [default: 1].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    min: Option<String>,
    /// Highest load to try [default: 100000 requests per second, 10000 users].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max: Option<String>,
    /// End the search after D and report what is known by then.
    #[arg(long, value_name = "D", allow_hyphen_values = true)]
    max_time: Option<String>,
    /// Measure each step for D [default: 10s].
    #[arg(id = "step_duration", long = "duration", value_name = "D", allow_hyphen_values = true)]
    duration: Option<String>,
    /// Run each step for D before measuring it [default: 3s].
    #[arg(id = "step_warmup", long = "warmup", value_name = "D", allow_hyphen_values = true)]
    warmup: Option<String>,
}
