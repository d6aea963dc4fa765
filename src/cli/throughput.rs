//! `throughput` as typed: a sweep over worker threads and concurrencies.

use super::connection::ConnectionArgs;
use super::credentials::CredentialArgs;
use super::debug::DebugArgs;
use super::engine::EngineArgs;
use super::output::OutputArgs;
use super::request::RequestArgs;
use super::server::{ServerArgs, ServerMetricsArgs};
use super::target::TargetArgs;
use super::tls::TlsArgs;
#[cfg(feature = "web")]
use super::viewers::PageArgs;
use clap::Args;

/// What the numbers of a sweep mean.
pub(crate) const THROUGHPUT_HELP: &str = "\
A fresh server is started for each number of worker threads, with instant
responses of 16 tokens and without injected errors. It is warmed up and then
loaded at each concurrency in turn, without think time. A step counts if less
than 0.1 % of its requests failed and the p99 of its plain responses is below
--max-p99. The peak of each number of threads is its fastest step that counts.

--api takes one API, several (A,B), or auto for every API that the server has.
Each API is measured separately and has rows of its own.

The report is Markdown. On one machine, client and server share the cores. Each
row therefore shows the client's CPU, and rows limited by the client are marked.

Exit codes: 0 measured, 105 stopped by a signal, 107 no request succeeded.";

/// A sweep over worker threads and concurrencies.
#[derive(Debug, Clone, Args)]
pub(crate) struct ThroughputArgs {
    #[command(flatten)]
    sweep: SweepArgs,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    credentials: CredentialArgs,
    #[command(flatten)]
    server: ServerArgs,
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

/// The steps of the sweep, which have a length and a warm-up of their own: they are not those of a
/// run.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sweep")]
pub(crate) struct SweepArgs {
    /// Worker threads of the server. One server is started for each number
    /// [default: 1,2,4,… up to the number of cores].
    #[arg(long, value_name = "N,…", allow_hyphen_values = true)]
    server_workers: Option<String>,
    /// Concurrent requests. One step is run for each number
    /// [default: 16,32,64,128,256].
    #[arg(long, value_name = "N,…", allow_hyphen_values = true)]
    concurrency: Option<String>,
    /// Measure each step for D [default: 30s].
    #[arg(id = "step_duration", long = "duration", value_name = "D", allow_hyphen_values = true)]
    duration: Option<String>,
    /// Count only steps whose p99 of plain responses is below D, or off
    /// [default: 50ms for llmsim, off for other servers].
    #[arg(long, value_name = "D", allow_hyphen_values = true)]
    max_p99: Option<String>,
    /// Warm up each server for D [default: 5s].
    #[arg(id = "step_warmup", long = "warmup", value_name = "D", allow_hyphen_values = true)]
    warmup: Option<String>,
    /// Kind of responses to request: plain, stream, both [default: both].
    #[arg(long, value_name = "KIND")]
    responses: Option<String>,
}
