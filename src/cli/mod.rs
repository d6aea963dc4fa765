//! The command line as typed.
//!
//! `Cli` is what was typed, word for word; `RunArgs::overrides` adds what the environment says and notes where each value came
//! from; `plan` makes sense of it. Values stay text here, so that a mistake in the environment is named as such and not as a flag's.

#![allow(rustdoc::broken_intra_doc_links, reason = "help texts show defaults in brackets, as command lines do")]

pub(crate) mod access;
pub(crate) mod args;
pub(crate) mod sweep_args;

use self::args::{
    COMPARE_HELP, CompareArgs, MERGE_HELP, MergeArgs, NoiseArgs, OriginArgs, ReportArgs, SelfTestArgs, ServeArgs,
    SuperviseArgs,
};
use self::sweep_args::{CAPACITY_HELP, CapacityArgs, THROUGHPUT_HELP, ThroughputArgs};
use crate::mix::Secret;
use crate::plan::{AccessOverrides, Given, Overrides, Sourced};
use clap::{Args, Parser, Subcommand};

/// What every environment name starts with.
const PREFIX: &str = "LLMSIM_BLAST_";

/// The name under which llmsim's own k6 suite knows the target.
const K6_TARGET_URL: &str = "K6_TARGET_URL";

/// Examples and exit codes, below the options.
const AFTER_HELP: &str = "\
Every option has an environment name: --target-url is LLMSIM_BLAST_TARGET_URL.
Several stages or tags there are separated by commas, several headers by line
breaks. An option beats the environment, which beats the profile.
LLMSIM_BLAST_API_KEY holds an API key; K6_TARGET_URL and NO_COLOR are honoured.

Examples:
  llmsim-blast quick-smoke
      Start the embedded simulator, send it three requests, say pass or fail.
  llmsim-blast high-concurrency --vus 5000 --duration 30s
      The profile's ramps, scaled to a peak of 5000 users and to 30 seconds.
  llmsim-blast load --target-url http://HOST:8080 --output results.json
      Test another machine, and keep every number.

Exit codes:
    0  ran, every threshold held        107  no usable data
    2  command line not understood      109  internal error
   99  a threshold or endpoint failed   110  incomplete, or not comparable
  104  configuration invalid            111  run invalid
  105  stopped by a signal";

/// What the numbers of a self-test mean.
const SELF_TEST_HELP: &str = "\
A small server with known instants runs on one core, one worker on another. What
the worker reports is set beside what the server recorded: the difference is the
error of this tool on this machine. The number of streams is then doubled until
the error passes 1 ms (p99), or either side uses more than 90 % of its core.

Client and server are on one machine: the client's CPU contains the receiving
half of the loopback, the server's the sending half. Close other programs first.
The machine needs two cores; with one, the numbers are printed with a warning.
It takes less than a minute, and is over with exit code 0; 107 when the server
cannot be started, 105 when it is stopped by a signal.";

/// The paths of the origin.
const ORIGIN_HELP: &str = "\
Paths:
  /plain                                a chat completion, 777 bytes of JSON
  /stream?ttft=50ms&gap=10ms&tokens=100 server-sent events on a schedule
  /burst?tokens=34                      the same, all in one write
  /record  /reset                       what was really done, in µs
  /freeze?for=1s                        nothing at all for that long
  /health
A path that ends in /chat/completions is /stream or /plain, as its body says.";

/// Load tester for LLM APIs: sees every token, judges the server, and judges itself.
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
    /// List the profiles, or print one as TOML to start your own from.
    Profiles {
        /// The profile to print.
        name: Option<String>,
    },
    /// Find the highest load at which goals hold.
    #[command(after_help = CAPACITY_HELP)]
    Capacity(CapacityArgs),
    /// Measure peak requests and tokens per second, by the server's worker threads.
    #[command(after_help = THROUGHPUT_HELP)]
    Throughput(ThroughputArgs),
    /// Compare two builds by their results: is one slower?
    #[command(after_help = COMPARE_HELP)]
    Compare(CompareArgs),
    /// Make one result of the results of all shares of a test.
    #[command(after_help = MERGE_HELP)]
    Merge(MergeArgs),
    /// Measure what runs of one build differ by: the floor of later comparisons.
    Noise(NoiseArgs),
    /// Print an old result again, or in another format.
    Report(ReportArgs),
    /// Run the embedded simulator in the foreground.
    Serve(ServeArgs),
    /// Measure this tool on this machine: speed, cost and truth.
    #[command(name = "self-test", after_help = SELF_TEST_HELP)]
    SelfTest(SelfTestArgs),
    /// A small server of canned answers at known instants, for judging clients.
    #[command(hide = true, after_help = ORIGIN_HELP)]
    Origin(OriginArgs),
    /// Runs a child and stops it when the parent goes: not for people.
    #[command(hide = true)]
    Supervise(SuperviseArgs),
}

/// A test as typed. What begins with a minus is taken for a value where it may be a slip in one: `-5` and `-1s` are refused by the plan,
/// which knows what was expected, rather than by the parser, to which they are flags that do not exist.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RunArgs {
    /// A profile (see `llmsim-blast profiles`), or a TOML file of your own.
    #[arg(value_name = "PROFILE|FILE.toml", required = true)]
    pub(crate) profile: Option<String>,

    /// What to test (repeatable: used in turn); a path is put before
    /// every request's own.
    #[arg(long, value_name = "URL", help_heading = "Target")]
    target_url: Vec<String>,
    /// Host to test, and to start a server on [127.0.0.1].
    #[arg(long, value_name = "HOST", help_heading = "Target")]
    host: Option<String>,
    /// Port to test, and to start a server on [8080].
    #[arg(long, value_name = "PORT", help_heading = "Target", allow_negative_numbers = true)]
    port: Option<String>,
    /// Header of every request (repeatable), like 'X-Team: blue'.
    #[arg(long = "header", value_name = "K: V", help_heading = "Target")]
    headers: Vec<String>,
    /// API of what generates, instead of the profile's: openai-chat,
    /// openai-responses, openresponses, anthropic-messages, or auto.
    #[arg(long, value_name = "API", help_heading = "Target")]
    api: Option<String>,
    /// Path of what generates, instead of the API's own.
    #[arg(long, value_name = "PATH", help_heading = "Target")]
    path: Option<String>,
    /// Model to ask for, instead of the profile's.
    #[arg(long, value_name = "NAME", help_heading = "Target")]
    model: Option<String>,
    /// File with an API key, sent as a bearer token and never shown.
    #[arg(long, value_name = "FILE", help_heading = "Target")]
    api_key_file: Option<String>,

    /// Users; a profile with stages is scaled so that its peak is N.
    #[arg(long, value_name = "N", help_heading = "Load", allow_negative_numbers = true)]
    vus: Option<String>,
    /// Length; stages are scaled so that they add up to it.
    #[arg(long, value_name = "D", help_heading = "Load", allow_hyphen_values = true)]
    duration: Option<String>,
    /// Requests, for profiles that count them.
    #[arg(long, value_name = "N", help_heading = "Load", allow_negative_numbers = true)]
    iterations: Option<String>,
    /// Requests per second, whatever becomes of them (or N/m, N/h): open load, with as many users as the profile has at most.
    #[arg(long, value_name = "N", help_heading = "Load", allow_negative_numbers = true)]
    rate: Option<String>,
    /// Ramp to N users, or arrivals, in D (repeatable), instead of the profile's stages.
    #[arg(long = "stage", value_name = "D:N", help_heading = "Load", allow_hyphen_values = true)]
    stages: Vec<String>,
    /// How much of the beginning is run but not measured.
    #[arg(long, value_name = "D", help_heading = "Load", allow_hyphen_values = true)]
    warmup: Option<String>,
    /// How much of the end is run but not measured.
    #[arg(long, value_name = "D", help_heading = "Load", allow_hyphen_values = true)]
    cooldown: Option<String>,
    /// Pause of a user between requests: D or MIN..MAX; 0 for none.
    #[arg(long, value_name = "D", help_heading = "Load", allow_hyphen_values = true)]
    think_time: Option<String>,
    /// How long a request may take in all.
    #[arg(long, value_name = "D", help_heading = "Load", allow_hyphen_values = true)]
    timeout: Option<String>,
    /// Seed of everything random [1].
    #[arg(long, value_name = "N", help_heading = "Load", allow_negative_numbers = true)]
    seed: Option<String>,

    /// Never start a server.
    #[arg(long, help_heading = "Server")]
    no_server: bool,
    /// Watch this process's CPU and memory; no server is started.
    #[arg(long, value_name = "PID", help_heading = "Server", allow_negative_numbers = true)]
    server_pid: Option<String>,
    /// Start this llmsim instead of the embedded one.
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    server_bin: Option<String>,
    /// Build and start this checkout of llmsim.
    #[arg(long, value_name = "DIR", help_heading = "Server")]
    server_src: Option<String>,
    /// TOML configuration of a started server.
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    server_config: Option<String>,
    /// Let a started server fail: 10 % 429, 5 % 5xx, 2 % timeouts.
    #[arg(long, help_heading = "Server")]
    chaos: bool,

    /// Run share I of N (from 0) of the test; `merge` makes the whole of them.
    #[arg(long, value_name = "I/N", help_heading = "Load", allow_hyphen_values = true)]
    shard: Option<String>,
    /// Start at this instant, as 2026-11-24T18:00:00Z: all machines of a test at once.
    #[arg(long, value_name = "TIME", help_heading = "Load")]
    start_at: Option<String>,
    /// What a threshold that aborts ends: run, shard [run].
    #[arg(long, value_name = "WHAT", help_heading = "Load")]
    abort_scope: Option<String>,

    /// Write all results as JSON; - is standard output.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    output: Option<String>,
    /// Write the thresholds as JUnit XML.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    junit: Option<String>,
    /// Tell GitHub Actions, if it runs this: auto, off [off].
    #[arg(long, value_name = "WHEN", help_heading = "Output")]
    github: Option<String>,
    /// Tag of the run (repeatable), kept in the results.
    #[arg(long = "tag", value_name = "K=V", help_heading = "Output")]
    tags: Vec<String>,
    /// No progress.
    #[arg(long, help_heading = "Output")]
    quiet: bool,
    /// No colour.
    #[arg(long, help_heading = "Output")]
    no_color: bool,
    /// Print every value with its source, and send nothing.
    #[arg(long, help_heading = "Output")]
    show_config: bool,

    /// Threads [every core, less the server's share].
    #[arg(long, value_name = "N", help_heading = "Engine", allow_negative_numbers = true)]
    workers: Option<String>,
    /// Do not pin threads to cores.
    #[arg(long, help_heading = "Engine")]
    no_pin: bool,
    /// Date tokens by the kernel's receive stamps: auto, on, off [auto].
    #[arg(long, value_name = "WHEN", help_heading = "Engine")]
    rx_timestamps: Option<String>,
    /// Pause between two polls of a worker: auto, or D; 0 for none [auto].
    #[arg(long, value_name = "D", help_heading = "Engine", allow_hyphen_values = true)]
    poll_interval: Option<String>,
    /// Acknowledge what is read at once: shows whether the server waits for it.
    #[arg(long, help_heading = "Engine")]
    quickack: bool,
    /// Exit with 111 when the client was the bottleneck.
    #[arg(long, help_heading = "Engine")]
    fail_on_invalid: bool,
    /// Parse every answer both ways, and fail where they differ.
    #[arg(long, help_heading = "Engine")]
    verify_parse: bool,

    #[command(flatten)]
    access: access::AccessArgs,
}

/// Looks up a name in the environment.
pub(crate) type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// A flag as typed, else the environment's word for it. An empty name is as good as none.
struct Sources<'a> {
    environment: &'a Environment<'a>,
}

impl Sources<'_> {
    fn environment(&self, name: &str) -> Option<Given> {
        (self.environment)(name).filter(|text| !text.is_empty()).map(|text| Given::environment(name, text))
    }

    fn one(&self, flag: &str, typed: Option<&String>) -> Option<Given> {
        match typed {
            Some(text) => Some(Given::flag(flag, text)),
            None => self.environment(&environment_name(flag)),
        }
    }

    fn yes(&self, flag: &str, typed: bool) -> Option<Given> {
        if typed { Some(Given::flag(flag, "true")) } else { self.environment(&environment_name(flag)) }
    }

    /// A repeatable flag; the environment holds all of them, `separator` between them.
    fn many(&self, flag: &str, typed: &[String], separator: char) -> Vec<Given> {
        if !typed.is_empty() {
            return typed.iter().map(|text| Given::flag(flag, text)).collect();
        }
        let Some(given) = self.environment(&environment_name(flag)) else { return Vec::new() };
        let parts = given.value.split(separator).map(str::trim).filter(|part| !part.is_empty());
        parts.map(|part| Sourced { value: part.to_owned(), origin: given.origin.clone() }).collect()
    }
}

/// `target-url` → `LLMSIM_BLAST_TARGET_URL`
fn environment_name(flag: &str) -> String {
    format!("{PREFIX}{}", flag.replace('-', "_").to_ascii_uppercase())
}

impl RunArgs {
    /// As typed → as the plan wants it: every value with where it came from.
    pub(crate) fn overrides(&self, environment: &Environment<'_>) -> Overrides {
        let from = Sources { environment };
        let (host, port) = (from.one("host", self.host.as_ref()), from.one("port", self.port.as_ref()));
        // k6's name is the last resort: it says what to test only when nothing else does.
        let k6 = || if host.is_none() && port.is_none() { from.environment(K6_TARGET_URL) } else { None };
        let mut target_urls = from.many("target-url", &self.target_url, ',').into_iter();
        let no_color = || from.environment("NO_COLOR").map(|given| Sourced { value: "true".to_owned(), ..given });
        let api_key = from.environment(&environment_name("api-key"));
        Overrides {
            target_url: target_urls.next().or_else(k6),
            host,
            port,
            no_server: from.yes("no-server", self.no_server),
            server_bin: from.one("server-bin", self.server_bin.as_ref()),
            server_src: from.one("server-src", self.server_src.as_ref()),
            server_config: from.one("server-config", self.server_config.as_ref()),
            server_pid: from.one("server-pid", self.server_pid.as_ref()),
            chaos: from.yes("chaos", self.chaos),
            api: from.one("api", self.api.as_ref()),
            path: from.one("path", self.path.as_ref()),
            model: from.one("model", self.model.as_ref()),
            vus: from.one("vus", self.vus.as_ref()),
            duration: from.one("duration", self.duration.as_ref()),
            iterations: from.one("iterations", self.iterations.as_ref()),
            rate: from.one("rate", self.rate.as_ref()),
            stages: from.many("stage", &self.stages, ','),
            warmup: from.one("warmup", self.warmup.as_ref()),
            cooldown: from.one("cooldown", self.cooldown.as_ref()),
            think_time: from.one("think-time", self.think_time.as_ref()),
            timeout: from.one("timeout", self.timeout.as_ref()),
            workers: from.one("workers", self.workers.as_ref()),
            no_pin: from.yes("no-pin", self.no_pin),
            rx_timestamps: from.one("rx-timestamps", self.rx_timestamps.as_ref()),
            poll_interval: from.one("poll-interval", self.poll_interval.as_ref()),
            quickack: from.yes("quickack", self.quickack),
            fail_on_invalid: from.yes("fail-on-invalid", self.fail_on_invalid),
            verify_parse: from.yes("verify-parse", self.verify_parse),
            shard: from.one("shard", self.shard.as_ref()),
            start_at: from.one("start-at", self.start_at.as_ref()),
            abort_scope: from.one("abort-scope", self.abort_scope.as_ref()),
            output: from.one("output", self.output.as_ref()),
            junit: from.one("junit", self.junit.as_ref()),
            github: from.one("github", self.github.as_ref()),
            headers: from.many("header", &self.headers, '\n'),
            api_key_file: from.one("api-key-file", self.api_key_file.as_ref()),
            api_key: api_key.map(|given| Sourced { value: Secret::new(given.value), origin: given.origin }),
            seed: from.one("seed", self.seed.as_ref()),
            quiet: from.yes("quiet", self.quiet),
            no_color: from.yes("no-color", self.no_color).or_else(no_color),
            show_config: from.yes("show-config", self.show_config),
            tags: from.many("tag", &self.tags, ','),
            access: Box::new(AccessOverrides {
                more_target_urls: target_urls.collect(),
                ..self.access.overrides(environment)
            }),
        }
    }
}

#[cfg(test)]
mod tests;
