//! What commands other than a test take, as typed.

#![allow(rustdoc::broken_intra_doc_links, reason = "help texts show defaults in brackets, as command lines do")]

use crate::plan::limits;
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;

/// What gates look like, and how many runs it takes.
pub(crate) const COMPARE_HELP: &str = "\
Gates: a measure, > or <, and a limit; with & both limits have to be crossed.
  --fail-on 'ttft.p99>5%'            a percentile grows by more than 5 %
  --fail-on 'tbt.p50>3%&0.5ms'       by more than 3 % and more than 0.5 ms
  --fail-on 'error_rate>0.5pp'       by more than half a percentage point
  --fail-on 'throughput<-3%'         requests per second drop by more than 3 %
  --fail-on 'ttft{request:chat-stream}.p95>10%'

One run a side is indicative: it fails no gate, unless --allow-single. Three a
side decide, five see more; run them in turns (A B A B). The results must be of
the same test. `scripts/compare-commits.sh` does all of it for two commits.

Exit codes: 0 no gate failed, 99 one did, 110 not comparable, or no gate failed
and a run has too few samples for one.";

/// How shares come about.
pub(crate) const MERGE_HELP: &str = "\
  llmsim-blast load --target-url URL --shard 0/2 --output s0.json   (one machine)
  llmsim-blast load --target-url URL --shard 1/2 --output s1.json   (the other)
  llmsim-blast merge s0.json s1.json --output run.json

Counts and histograms are those of one run. Thresholds are judged here only.
Exit codes: as of a run; 110 when a share is missing, doubled, or of another test.";

/// Whether GitHub Actions is told.
const GITHUB: [&str; 2] = ["auto", "off"];

/// Results to compare.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct CompareArgs {
    /// One result a side: BASE HEAD.
    #[arg(value_name = "BASE HEAD", num_args = 0..=2, conflicts_with_all = ["base", "head"])]
    pub(crate) files: Vec<PathBuf>,
    /// Results of the one build.
    #[arg(long, value_name = "FILES", num_args = 1..)]
    pub(crate) base: Vec<PathBuf>,
    /// Results of the other.
    #[arg(long, value_name = "FILES", num_args = 1..)]
    pub(crate) head: Vec<PathBuf>,
    /// Exit with 99 when a measure changes by more (repeatable).
    #[arg(long, value_name = "GATE")]
    pub(crate) fail_on: Vec<String>,
    /// The runs were made in turns, A B A B, and belong together in order.
    #[arg(long)]
    pub(crate) paired: bool,
    /// How often two equal builds may be called different [0.05].
    #[arg(long, value_name = "P")]
    pub(crate) alpha: Option<String>,
    /// Smaller changes are never called one [2%].
    #[arg(long, value_name = "P%")]
    pub(crate) noise_floor: Option<String>,
    /// What `noise` has measured: no gate is narrower than that.
    #[arg(long, value_name = "FILE")]
    pub(crate) noise: Option<PathBuf>,
    /// Let gates fail with one run a side, too.
    #[arg(long)]
    pub(crate) allow_single: bool,
    /// Exit with 99 when these runs cannot say whether a gate holds.
    #[arg(long)]
    pub(crate) fail_on_inconclusive: bool,
    /// Write the comparison as JSON; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<String>,
    /// Write it as Markdown, for a comment.
    #[arg(long, value_name = "FILE")]
    pub(crate) md: Option<PathBuf>,
    /// Write the gates as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Tell GitHub Actions, if it runs this [off].
    #[arg(long, value_name = "WHEN", value_parser = GITHUB)]
    pub(crate) github: Option<String>,
}

/// Shares to merge.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct MergeArgs {
    /// The results of all shares, in any order.
    #[arg(value_name = "FILES", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Write the whole as JSON; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<String>,
    /// Merge what is there, and mark the result as partial.
    #[arg(long)]
    pub(crate) allow_missing: bool,
    /// Write the thresholds as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Tell GitHub Actions, if it runs this [off].
    #[arg(long, value_name = "WHEN", value_parser = GITHUB)]
    pub(crate) github: Option<String>,
    /// No colour.
    #[arg(long)]
    pub(crate) no_color: bool,
    /// Exit with 111 when a client was the bottleneck.
    #[arg(long)]
    pub(crate) fail_on_invalid: bool,
}

/// Runs of one build.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct NoiseArgs {
    /// Results of at least three runs of the same build.
    #[arg(value_name = "FILES", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Keep what was measured, for `compare --noise`; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<String>,
}

/// A result to print.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct ReportArgs {
    /// The result.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Its seconds as CSV.
    #[arg(long, group = "format")]
    pub(crate) csv: bool,
    /// Its seconds as an HdrHistogram interval log.
    #[arg(long, group = "format")]
    pub(crate) hgrm: bool,
    /// Its numbers under the names of another tool's results.
    #[arg(long, value_name = "TOOL", group = "format", value_parser = ["vllm"])]
    pub(crate) compat: Option<String>,
    /// Write its thresholds as JUnit XML, too.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// No colour.
    #[arg(long)]
    pub(crate) no_color: bool,
}

/// How a child is tied to its parent.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
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
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct ServeArgs {
    /// Where it listens.
    #[arg(long, value_name = "HOST", default_value = limits::DEFAULT_HOST)]
    pub(crate) host: String,
    /// On which port; 0 for any free one.
    #[arg(long, value_name = "PORT", default_value_t = limits::DEFAULT_PORT)]
    pub(crate) port: u16,
    /// Its TOML configuration; without one the benchmark settings.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Inject errors: 10 % 429, 5 % 5xx, 2 % timeouts.
    #[arg(long, conflicts_with = "config")]
    pub(crate) chaos: bool,
}

/// How the tool measures itself.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct SelfTestArgs {
    /// Shorter, in some ten seconds, without looking for the limit.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Write all results as JSON; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<String>,
}

/// How the origin is run.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct OriginArgs {
    /// Where it listens.
    #[arg(long, value_name = "HOST", default_value = limits::DEFAULT_HOST)]
    pub(crate) host: String,
    /// On which port; 0 for any free one.
    #[arg(long, value_name = "PORT", default_value_t = limits::DEFAULT_PORT)]
    pub(crate) port: u16,
    /// Spend the last 100 µs of every wait looking at the clock: more exact, at the price of CPU.
    #[arg(long)]
    pub(crate) spin: bool,
}
