//! Where results and progress go.

use clap::Args;

/// Where results and progress go.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Write all results to FILE as JSON (- for standard output).
    #[arg(long, value_name = "FILE")]
    output: Option<String>,
    /// Write a report page with charts to FILE, for a browser.
    #[arg(long, value_name = "FILE")]
    html: Option<String>,
    /// Do not show progress.
    #[arg(long)]
    quiet: bool,
}

/// What becomes of the verdict of a single run.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct VerdictArgs {
    /// Add a threshold (repeatable): a metric and a condition, like
    /// 'ttft p(95)<500ms'.
    #[arg(long, value_name = "RULE")]
    threshold: Vec<String>,
    /// Ignore the profile's thresholds. Those given by --threshold still apply.
    #[arg(long)]
    no_thresholds: bool,
    /// Write the verdict to FILE as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<String>,
    /// Write a step summary and annotations when running under GitHub Actions:
    /// auto, off [default: off].
    #[arg(long, value_name = "WHEN")]
    github: Option<String>,
    /// Write one line per request to FILE (- for JSON lines on standard output).
    /// The extension sets the format: .jsonl, .csv, .jsonl.gz or .csv.gz.
    #[arg(long, value_name = "FILE")]
    requests: Option<String>,
    /// Write only one request in N. The choice depends on --seed only, so all
    /// shards and later runs with the same seed write the same requests.
    #[arg(long, value_name = "1/N")]
    requests_sample: Option<String>,
    /// Add every gap between tokens to the lines of --requests.
    #[arg(long)]
    requests_tokens: bool,
    /// Estimate token counts for servers that report no usage, by tokenizing a
    /// sample of the streamed responses after the run: a tokenizer.json,
    /// `o200k_base` or `cl100k_base`. The result is marked as an estimate.
    #[arg(long, value_name = "FILE|NAME")]
    tokenizer: Option<String>,
    /// Store this tag with the results (repeatable).
    #[arg(long, value_name = "K=V")]
    tag: Vec<String>,
    /// Print all measurements, not only those that fit on one screen.
    #[arg(long)]
    details: bool,
    /// Do not use colour.
    #[arg(long)]
    no_color: bool,
    /// Exit with 111 if the client was the bottleneck.
    #[arg(long)]
    fail_on_invalid: bool,
}
