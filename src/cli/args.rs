//! What commands other than a test take, as typed.

#![allow(rustdoc::broken_intra_doc_links, reason = "help texts show defaults in brackets, as command lines do")]

use crate::plan::limits;
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;

/// What gates look like, and how many runs it takes.
pub(crate) const COMPARE_HELP: &str = "\
A gate is a measure, > or <, and a limit. Two limits joined by & must both be
crossed.
  --fail-on 'ttft.p99>5%'            a percentile grows by more than 5 %
  --fail-on 'tbt.p50>3%&0.5ms'       by more than 3 % and more than 0.5 ms
  --fail-on 'error_rate>0.5pp'       by more than half a percentage point
  --fail-on 'throughput<-3%'         requests per second drop by more than 3 %
  --fail-on 'ttft{request:chat-stream}.p95>10%'
  --fail-on 'requests_per_s{workers:4}<-5%'   throughput: the peak of 4 workers
  --fail-on 'tokens_per_s<-5%'                throughput: the peak of any number
  --fail-on 'capacity<-10%'                   capacity: the highest load

One run per side is only indicative and fails no gate without --allow-single.
Three runs per side can decide, and five detect smaller changes. Alternate the
runs (A B A B). All results must come from the same test and command.
`scripts/compare-commits.sh` does all of this for two commits.

Exit codes: 0 no gate failed, 99 a gate failed, 104 the results come from
different commands, 110 they are not comparable, or a run has too few samples
for a gate.";

/// How shards are run and merged.
pub(crate) const MERGE_HELP: &str = "\
Example, with one shard on each of two machines:
  llmsim-blast load --target-url URL --shard 0/2 --output s0.json
  llmsim-blast load --target-url URL --shard 1/2 --output s1.json
  llmsim-blast merge s0.json s1.json --output run.json

The merged counts and histograms equal those of a single run. Thresholds are
judged by `merge` only, not by the shards.

Exit codes: those of a run. 110 also means that a shard is missing, is given
twice, or belongs to another test.";

/// Whether GitHub Actions is told.
const GITHUB: [&str; 2] = ["auto", "off"];

/// Where shells look for completions, and man for pages.
pub(crate) const GENERATE_HELP: &str = "\
Examples:
  llmsim-blast generate man > /usr/local/share/man/man1/llmsim-blast.1
  llmsim-blast generate man capacity > llmsim-blast-capacity.1
  llmsim-blast generate bash > /etc/bash_completion.d/llmsim-blast
  llmsim-blast generate zsh > /usr/local/share/zsh/site-functions/_llmsim-blast
  llmsim-blast generate fish > ~/.config/fish/completions/llmsim-blast.fish";

/// What is generated.
#[derive(Debug, Clone, Args)]
pub(crate) struct GenerateArgs {
    /// What to print.
    #[arg(value_name = "WHAT", value_parser = ["man", "bash", "zsh", "fish", "powershell", "elvish"])]
    pub(crate) what: String,
    /// Print the man page of this command instead of the main page.
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Option<String>,
}

/// Results to compare.
#[derive(Debug, Clone, Args)]
pub(crate) struct CompareArgs {
    /// One result per side: the base, then the build to judge.
    #[arg(value_name = "BASE HEAD", num_args = 0..=2, conflicts_with_all = ["base", "head"])]
    pub(crate) files: Vec<PathBuf>,
    /// Results of the base build.
    #[arg(long, value_name = "FILES", num_args = 1..)]
    pub(crate) base: Vec<PathBuf>,
    /// Results of the build to judge.
    #[arg(long, value_name = "FILES", num_args = 1..)]
    pub(crate) head: Vec<PathBuf>,
    /// Exit with 99 if a measure crosses this limit (repeatable).
    #[arg(long, value_name = "GATE")]
    pub(crate) fail_on: Vec<String>,
    /// Compare runs pair by pair, in order, because they alternated (A B A B).
    #[arg(long)]
    pub(crate) paired: bool,
    /// Probability of calling two equal builds different [default: 0.05].
    #[arg(long, value_name = "P")]
    pub(crate) alpha: Option<String>,
    /// Ignore changes below this size [default: 2%].
    #[arg(long, value_name = "P%")]
    pub(crate) noise_floor: Option<String>,
    /// Ignore changes smaller than the noise in FILE, which `noise` has written.
    #[arg(long, value_name = "FILE")]
    pub(crate) noise: Option<PathBuf>,
    /// Let gates fail even with one result per side.
    #[arg(long)]
    pub(crate) allow_single: bool,
    /// Exit with 99 if a gate is inconclusive.
    #[arg(long)]
    pub(crate) fail_on_inconclusive: bool,
    /// Write the comparison to FILE as JSON (- for standard output).
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<String>,
    /// Write a report page with charts to FILE, for a browser.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write the comparison to FILE as Markdown.
    #[arg(long, value_name = "FILE")]
    pub(crate) md: Option<PathBuf>,
    /// Write the gates to FILE as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Write a step summary and annotations when running under GitHub Actions
    /// [default: off].
    #[arg(long, value_name = "WHEN", value_parser = GITHUB)]
    pub(crate) github: Option<String>,
    /// Do not use colour.
    #[arg(long)]
    pub(crate) no_color: bool,
}

/// Shards to merge.
#[derive(Debug, Clone, Args)]
pub(crate) struct MergeArgs {
    /// Results of all shards, in any order.
    #[arg(value_name = "FILES", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Write the merged result to FILE as JSON (- for standard output).
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<String>,
    /// Write a report page with charts to FILE, for a browser.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Merge even if shards are missing, and mark the result as partial.
    #[arg(long)]
    pub(crate) allow_missing: bool,
    /// Write the verdict to FILE as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Write a step summary and annotations when running under GitHub Actions
    /// [default: off].
    #[arg(long, value_name = "WHEN", value_parser = GITHUB)]
    pub(crate) github: Option<String>,
    /// Print all measurements, not only those that fit on one screen.
    #[arg(long)]
    pub(crate) details: bool,
    /// Do not use colour.
    #[arg(long)]
    pub(crate) no_color: bool,
    /// Exit with 111 if a client was the bottleneck.
    #[arg(long)]
    pub(crate) fail_on_invalid: bool,
}

/// Runs of one build.
#[derive(Debug, Clone, Args)]
pub(crate) struct NoiseArgs {
    /// Results of at least three runs of the same build.
    #[arg(value_name = "FILES", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Write the noise to FILE for `compare --noise` (- for standard output).
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<String>,
}

/// A result to print.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReportArgs {
    /// Result to print.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Print one row per second as CSV.
    #[arg(long, group = "format")]
    pub(crate) csv: bool,
    /// Print one histogram per second as an HdrHistogram interval log.
    #[arg(long, group = "format")]
    pub(crate) hgrm: bool,
    /// Print the numbers under the names of another tool.
    #[arg(long, value_name = "TOOL", group = "format", value_parser = ["vllm"])]
    pub(crate) compat: Option<String>,
    /// Also write a report page with charts to FILE, for a browser.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Also write the verdict to FILE as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Print all measurements, not only those that fit on one screen.
    #[arg(long)]
    pub(crate) details: bool,
    /// Do not use colour.
    #[arg(long)]
    pub(crate) no_color: bool,
}

/// How a child is tied to its parent.
#[derive(Debug, Clone, Args)]
pub(crate) struct SuperviseArgs {
    /// The process whose end is the child's.
    #[arg(long)]
    pub(crate) parent: u32,
    /// The cores the child stays on.
    #[arg(long, value_delimiter = ',')]
    pub(crate) cores: Vec<usize>,
    /// Become the program, instead of watching over it.
    #[arg(long)]
    pub(crate) exec: bool,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

/// How the embedded simulator is run.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServeArgs {
    /// Host to listen on.
    #[arg(long, value_name = "HOST", default_value = limits::DEFAULT_HOST)]
    pub(crate) host: String,
    /// Port to listen on (0 for any free port).
    #[arg(long, value_name = "PORT", default_value_t = limits::DEFAULT_PORT)]
    pub(crate) port: u16,
    /// Configure the simulator with this TOML file instead of the benchmark
    /// settings.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Inject errors: 10 % 429, 5 % 5xx, 2 % timeouts.
    #[arg(long, conflicts_with = "config")]
    pub(crate) chaos: bool,
}

/// How the tool measures itself.
#[derive(Debug, Clone, Args)]
pub(crate) struct SelfTestArgs {
    /// Finish in about ten seconds, without searching for the limit.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Write all results to FILE as JSON (- for standard output).
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<String>,
}

/// How the origin is run.
#[derive(Debug, Clone, Args)]
pub(crate) struct OriginArgs {
    /// Host to listen on.
    #[arg(long, value_name = "HOST", default_value = limits::DEFAULT_HOST)]
    pub(crate) host: String,
    /// Port to listen on (0 for any free port).
    #[arg(long, value_name = "PORT", default_value_t = limits::DEFAULT_PORT)]
    pub(crate) port: u16,
    /// Busy-wait for the last 100 µs of every wait: more exact, but costs CPU.
    #[arg(long)]
    pub(crate) spin: bool,
}
