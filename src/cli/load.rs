//! The load of a single run.

use clap::Args;

/// How much load, how long, and which part of it is measured.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Load")]
pub(crate) struct LoadArgs {
    /// Number of concurrent users. Stages are scaled to a peak of N.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    vus: Option<String>,
    /// Length of the test. Stages are scaled to add up to D.
    #[arg(long, value_name = "D", allow_hyphen_values = true)]
    duration: Option<String>,
    /// Number of requests, in profiles that end after a number of requests.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    iterations: Option<String>,
    /// Open-loop load: start N requests per second (or N/m, N/h) regardless of
    /// response times. Concurrency is capped at the profile's peak.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    rate: Option<String>,
    /// Ramp to N users (or arrivals) within D (repeatable). Replaces the
    /// profile's stages.
    #[arg(long, value_name = "D:N", allow_hyphen_values = true)]
    stage: Vec<String>,
    /// Exclude the first D of the test from the measurement.
    #[arg(long, value_name = "D", allow_hyphen_values = true)]
    warmup: Option<String>,
    /// Exclude the last D of the test from the measurement.
    #[arg(long, value_name = "D", allow_hyphen_values = true)]
    cooldown: Option<String>,
}
