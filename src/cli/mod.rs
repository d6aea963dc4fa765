//! The command line as typed.
//!
//! One file holds one group of flags. A command flattens the groups that it reads, and no other.
//! Values stay text here: `given` adds what the environment says and notes where each value came
//! from, and `plan` makes sense of it. So a mistake in the environment is named as such, and `-5`
//! is refused by the plan, which knows what was expected, rather than by the parser.

#![allow(rustdoc::broken_intra_doc_links, reason = "help texts show defaults in brackets, as command lines do")]

pub(crate) mod args;
pub(crate) mod capacity;
mod connection;
mod credentials;
mod dataset;
mod debug;
mod engine;
pub(crate) mod environment;
mod generate;
mod given;
mod load;
mod other_tools;
mod output;
mod pace;
mod request;
pub(crate) mod scheduler;
mod server;
mod shard;
mod target;
pub(crate) mod throughput;
mod tls;
#[cfg(feature = "web")]
mod viewers;

use self::args::{
    COMPARE_HELP, CompareArgs, GENERATE_HELP, GenerateArgs, MERGE_HELP, MergeArgs, NoiseArgs, OriginArgs, ReportArgs,
    SelfTestArgs, ServeArgs, SuperviseArgs,
};
use self::capacity::{CAPACITY_HELP, CapacityArgs};
use self::environment::Environment;
use self::throughput::{THROUGHPUT_HELP, ThroughputArgs};
use crate::plan::Overrides;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::ffi::OsString;

/// What a newcomer sees who types the name and nothing else.
pub(crate) const FIRST_STEPS: &str = "\
llmsim-blast is a load tester for LLM APIs. Begin with one of these:
  llmsim-blast quick-smoke                     try it on the built-in simulator
  llmsim-blast load --target-url URL           test your server
  llmsim-blast capacity load --target-url URL  find the load your server carries
`llmsim-blast profiles` lists all tests, `llmsim-blast --help` all options.
";

/// Examples and exit codes, below the options.
const AFTER_HELP: &str = "\
The environment can set all options of a run, of `capacity` and of `throughput`:
LLMSIM_BLAST_TARGET_URL sets --target-url. Separate several stages or tags by
commas, and several headers by line breaks. Options override the environment,
and the environment overrides the profile. LLMSIM_BLAST_API_KEY holds an API
key. K6_TARGET_URL and NO_COLOR are honoured.

Examples:
  llmsim-blast quick-smoke
      Start the embedded simulator, send three requests, and print pass or fail.
  llmsim-blast high-concurrency --vus 5000 --duration 30s
      Scale the profile's ramps to a peak of 5000 users and to 30 seconds.
  llmsim-blast load --target-url http://HOST:8080 --output results.json
      Test a server on another machine, and keep all results.

Exit codes:
    0  every threshold held             107  no usable data
    2  command line not understood      109  internal error
   99  a threshold or endpoint failed   110  incomplete, or not comparable
  104  configuration invalid            111  run invalid
  105  stopped by a signal";

/// What the numbers of a self-test mean.
const SELF_TEST_HELP: &str = "\
One core runs a small server that records when it sent each token. Another core
runs one worker. The difference between the times that the worker reports and
those that the server recorded is the error of this tool on this machine. The
number of streams is doubled until the error exceeds 1 ms (p99), or until either
side uses more than 90 % of its core.

Client and server share the machine. The client's CPU time includes the
receiving half of the loopback, and the server's the sending half. Close other
programs first. The test takes less than a minute and needs two cores. With one
core, it prints the numbers with a warning.

Exit codes: 0 measured, 105 stopped by a signal, 107
the server cannot be started.";

/// The paths of the origin.
const ORIGIN_HELP: &str = "\
Paths:
  /plain                                a chat completion, 777 bytes of JSON
  /stream?ttft=50ms&gap=10ms&tokens=100 server-sent events on a schedule
  /burst?tokens=34                      the same, all in one write
  /record  /reset                       what was sent and when, in µs
  /freeze?for=1s                        stop for that long
  /health
A path that ends in /chat/completions acts as /stream or /plain, depending on
the request's body.";

/// Load tester for LLM APIs: times every token, judges the server, and checks itself.
#[derive(Debug, Parser)]
#[command(
    name = "llmsim-blast",
    version,
    max_term_width = 80,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    arg_required_else_help = true,
    override_usage = "llmsim-blast <PROFILE|FILE.toml> [OPTIONS]\n       llmsim-blast <COMMAND>",
    after_help = AFTER_HELP
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Everything that is not a test.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the profiles, or print one as TOML.
    Profiles {
        /// Profile to print.
        name: Option<String>,
    },
    /// Find the highest load at which the goals hold.
    #[command(after_help = CAPACITY_HELP)]
    Capacity(Box<CapacityArgs>),
    /// Measure the peak request and token rates for each number of server threads.
    #[command(after_help = THROUGHPUT_HELP)]
    Throughput(Box<ThroughputArgs>),
    /// Compare the results of two builds.
    #[command(after_help = COMPARE_HELP)]
    Compare(CompareArgs),
    /// Merge the results of all shards of a test into one.
    #[command(after_help = MERGE_HELP)]
    Merge(MergeArgs),
    /// Measure how much runs of one build differ, as a noise floor for `compare`.
    Noise(NoiseArgs),
    /// Print a saved result, or convert it to another format.
    Report(ReportArgs),
    /// Run the embedded simulator in the foreground.
    Serve(ServeArgs),
    /// Measure the speed, cost and accuracy of this tool on this machine.
    #[command(name = "self-test", after_help = SELF_TEST_HELP)]
    SelfTest(SelfTestArgs),
    /// Print a man page, or completions for a shell.
    #[command(after_help = GENERATE_HELP)]
    Generate(GenerateArgs),
    /// Run a small server that responds on a known schedule, to judge clients by.
    #[command(hide = true, after_help = ORIGIN_HELP)]
    Origin(OriginArgs),
    /// Runs a child and stops it when the parent goes: not for people.
    #[command(hide = true)]
    Supervise(SuperviseArgs),
}

/// A test as typed.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunArgs {
    /// Built-in profile (see `llmsim-blast profiles`), or a TOML file.
    #[arg(value_name = "PROFILE|FILE.toml", required = true)]
    pub(crate) profile: Option<String>,
    #[command(flatten)]
    target: target::TargetArgs,
    #[command(flatten)]
    request: request::RequestArgs,
    #[command(flatten)]
    stream: request::StreamArgs,
    #[command(flatten)]
    dataset: dataset::DatasetArgs,
    #[command(flatten)]
    credentials: credentials::CredentialArgs,
    #[command(flatten)]
    load: load::LoadArgs,
    #[command(flatten)]
    pace: pace::PaceArgs,
    #[command(flatten)]
    shard: shard::ShardArgs,
    #[command(flatten)]
    server: server::ServerArgs,
    #[command(flatten)]
    server_config: server::ServerConfigArgs,
    #[command(flatten)]
    server_metrics: server::ServerMetricsArgs,
    #[command(flatten)]
    tls: tls::TlsArgs,
    #[command(flatten)]
    connection: connection::ConnectionArgs,
    #[command(flatten)]
    output: output::OutputArgs,
    #[command(flatten)]
    verdict: output::VerdictArgs,
    #[cfg(feature = "web")]
    #[command(flatten)]
    viewers: viewers::ViewerArgs,
    #[command(flatten)]
    debug: debug::DebugArgs,
    #[command(flatten)]
    engine: engine::EngineArgs,
}

/// Why a command line and its environment are not understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// Help and version are here, too.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    #[error(transparent)]
    Variable(#[from] environment::UnknownVariable),
    /// `--shard auto`, and the environment does not say which.
    #[error(transparent)]
    Place(#[from] scheduler::PlaceError),
}

/// Understands a command line (the program's name first): the command, and what was said about its
/// flags.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &Environment,
) -> Result<(Cli, Overrides), CliError> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let root = Cli::command();
    let matches = root.clone().try_get_matches_from(&arguments);
    let matches = matches.map_err(|error| other_tools::name_ours(error, &arguments, &root))?;
    let cli = Cli::from_arg_matches(&matches)?;
    let mut overrides = match (&cli.command, matches.subcommand()) {
        (None, _) => given::overrides(&root, &matches, environment),
        (Some(Command::Capacity(_) | Command::Throughput(_)), Some((name, matches))) => root
            .find_subcommand(name)
            .map(|command| given::overrides(command, matches, environment))
            .unwrap_or_default(),
        // The other commands read few flags, as their structs have them, and nothing of the
        // environment.
        _ => return Ok((cli, Overrides::default())),
    };
    let with_names =
        [&root].into_iter().chain(["capacity", "throughput"].iter().filter_map(|name| root.find_subcommand(name)));
    let known: Vec<String> = with_names.flat_map(given::names).collect();
    environment::refuse_unknown(environment, &known)?;
    if matches!(cli.command, None | Some(Command::Capacity(_))) {
        scheduler::place(&mut overrides, environment)?;
    }
    Ok((cli, overrides))
}

/// The man page of the whole or of the command `of`, or completions for the shell `what`. An error
/// says what was expected.
pub(crate) fn generated(what: &str, of: Option<&str>) -> Result<Vec<u8>, String> {
    generate::text(Cli::command(), what, of)
}

#[cfg(test)]
mod tests;
