//! What `throughput` and `capacity` take, as typed: commands of many runs against one server.

#![allow(rustdoc::broken_intra_doc_links, reason = "help texts show defaults in brackets, as command lines do")]

use super::{Environment, RunArgs, Sources};
use crate::plan::{Given, Overrides};
use clap::Args;

/// What the numbers of a sweep mean.
pub(crate) const THROUGHPUT_HELP: &str = "\
A fresh server is started for each number of worker threads (powers of two up to
the cores), with instant answers of 16 tokens and no errors; warmed up; and asked
by each concurrency in turn, without pauses. Of each number of threads the step
with the highest rate counts, if less than 0.1 % of its requests failed and the
99th percentile of plain answers is below 50 ms.

Printed is Markdown. On one machine client and server share cores: the client's
CPU stands beside each row, and rows that it limits are marked.
Exit codes: 0 measured, 105 stopped by a signal, 107 not one success.";

/// How the search goes, and what goals look like.
pub(crate) const CAPACITY_HELP: &str = "\
The load is doubled from --min until a goal fails, then the bracket is halved
until it is within 5 %. A load has failed when it failed twice, and is found when
it held three times. With --by rate, a rate also has to be kept up: 99 % of its
arrivals must be started in time.

  llmsim-blast capacity --slo 'ttft p(95)<500ms' --slo 'http_req_failed rate<1%'
  llmsim-blast capacity my.toml --by vus --max 500 --preset mlperf-llama2-70b-server

Without --slo and --preset the profile's own thresholds are the goals. Presets
are the limits of MLPerf Inference, such as mlperf-llama2-70b-interactive (TTFT
p99 at most 450 ms, 40 ms per token); an unknown name lists them all.
Exit codes: 0 a load was found, 99 the goals hold at none, 105 stopped by a
signal, 107 not one success.";

/// What is asked, and where the results go.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SubjectArgs {
    /// What to test.
    #[arg(long, value_name = "URL", help_heading = "Target")]
    target_url: Option<String>,
    /// Host to test, and to start a server on [127.0.0.1].
    #[arg(long, value_name = "HOST", help_heading = "Target")]
    host: Option<String>,
    /// Port to test, and to start a server on [8080].
    #[arg(long, value_name = "PORT", help_heading = "Target", allow_negative_numbers = true)]
    port: Option<String>,
    /// Header of every request (repeatable), like 'X-Team: blue'.
    #[arg(long = "header", value_name = "K: V", help_heading = "Target")]
    headers: Vec<String>,
    /// File with an API key, sent as a bearer token and never shown.
    #[arg(long, value_name = "FILE", help_heading = "Target")]
    api_key_file: Option<String>,
    /// API of what generates: openai-chat, openai-responses, openresponses,
    /// anthropic-messages, or auto.
    #[arg(long, value_name = "API", help_heading = "Target")]
    api: Option<String>,
    /// Path of what generates, instead of the API's own.
    #[arg(long, value_name = "PATH", help_heading = "Target")]
    path: Option<String>,
    /// Model to ask for.
    #[arg(long, value_name = "NAME", help_heading = "Target")]
    model: Option<String>,
    /// Never start a server.
    #[arg(long, help_heading = "Server")]
    no_server: bool,
    /// Start this llmsim instead of the embedded one.
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    server_bin: Option<String>,
    /// Build and start this checkout of llmsim.
    #[arg(long, value_name = "DIR", help_heading = "Server")]
    server_src: Option<String>,
    /// Our own threads [every core, less the server's share].
    #[arg(long, value_name = "N", help_heading = "Engine", allow_negative_numbers = true)]
    workers: Option<String>,
    /// Write all results as JSON; - is standard output.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    output: Option<String>,
    /// No progress.
    #[arg(long, help_heading = "Output")]
    quiet: bool,
    #[command(flatten)]
    access: super::access::AccessArgs,
}

impl SubjectArgs {
    /// As the plan wants it: what is asked of whom, but no load, which is varied, and nothing of what a single run does. Flags of that
    /// sort are not known here; names of them in the environment are meant for runs.
    fn overrides(&self, environment: &Environment<'_>, more: RunArgs) -> Overrides {
        let given = self.clone();
        let all = RunArgs {
            target_url: given.target_url.into_iter().collect(),
            host: given.host,
            port: given.port,
            headers: given.headers,
            api_key_file: given.api_key_file,
            api: given.api,
            path: given.path,
            model: given.model,
            no_server: given.no_server,
            server_bin: given.server_bin,
            server_src: given.server_src,
            workers: given.workers,
            output: given.output,
            quiet: given.quiet,
            access: given.access,
            ..more
        };
        let overrides = all.overrides(environment);
        Overrides {
            vus: None,
            duration: None,
            iterations: None,
            rate: None,
            stages: Vec::new(),
            warmup: None,
            cooldown: None,
            shard: None,
            start_at: None,
            abort_scope: None,
            junit: None,
            github: None,
            show_config: None,
            fail_on_invalid: None,
            ..overrides
        }
    }
}

/// A sweep over worker threads and concurrencies.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ThroughputArgs {
    /// The server's worker threads, one server each [1,2,4,… up to the cores].
    #[arg(long, value_name = "N,…", help_heading = "Sweep", allow_hyphen_values = true)]
    server_workers: Option<String>,
    /// Requests at once, one step each [16,32,64,128,256].
    #[arg(long, value_name = "N,…", help_heading = "Sweep", allow_hyphen_values = true)]
    concurrency: Option<String>,
    /// How long each step is measured [30s].
    #[arg(long, value_name = "D", help_heading = "Sweep", allow_hyphen_values = true)]
    duration: Option<String>,
    /// How long each server is warmed up [5s].
    #[arg(long, value_name = "D", help_heading = "Sweep", allow_hyphen_values = true)]
    warmup: Option<String>,
    /// Ask for plain answers only, or for streams only: plain, stream, both [both].
    #[arg(long, value_name = "ANSWERS", help_heading = "Sweep")]
    answers: Option<String>,
    #[command(flatten)]
    subject: SubjectArgs,
}

/// The wishes of a sweep, with where each came from.
#[derive(Debug)]
pub(crate) struct ThroughputGiven {
    pub(crate) server_workers: Option<Given>,
    pub(crate) concurrency: Option<Given>,
    pub(crate) duration: Option<Given>,
    pub(crate) warmup: Option<Given>,
    pub(crate) answers: Option<Given>,
    pub(crate) overrides: Overrides,
}

impl ThroughputArgs {
    /// What flags and the environment say.
    pub(crate) fn given(&self, environment: &Environment<'_>) -> ThroughputGiven {
        let from = Sources { environment };
        ThroughputGiven {
            server_workers: from.one("server-workers", self.server_workers.as_ref()),
            concurrency: from.one("concurrency", self.concurrency.as_ref()),
            duration: from.one("duration", self.duration.as_ref()),
            warmup: from.one("warmup", self.warmup.as_ref()),
            answers: from.one("answers", self.answers.as_ref()),
            overrides: self.subject.overrides(environment, RunArgs::default()),
        }
    }
}

/// A search for the highest load.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct CapacityArgs {
    /// Whose requests are sent: a profile, or a TOML file of your own.
    #[arg(value_name = "PROFILE|FILE.toml", default_value = "load")]
    pub(crate) profile: String,
    /// A goal (repeatable): a metric and a threshold, like 'ttft p(95)<500ms'.
    #[arg(long = "slo", value_name = "GOAL", help_heading = "Search")]
    slo: Vec<String>,
    /// Goals by name: MLPerf's, as mlperf-llama2-70b-server.
    #[arg(long, value_name = "NAME", help_heading = "Search")]
    preset: Option<String>,
    /// What is varied: rate (requests per second, open load) or vus (users) [rate].
    #[arg(long, value_name = "WHAT", help_heading = "Search")]
    by: Option<String>,
    /// The lowest load [1].
    #[arg(long, value_name = "N", help_heading = "Search", allow_negative_numbers = true)]
    min: Option<String>,
    /// The highest load [100000 requests per second, 10000 users].
    #[arg(long, value_name = "N", help_heading = "Search", allow_negative_numbers = true)]
    max: Option<String>,
    /// How long each step is measured [10s].
    #[arg(long, value_name = "D", help_heading = "Search", allow_hyphen_values = true)]
    duration: Option<String>,
    /// How long each step runs before that [3s].
    #[arg(long, value_name = "D", help_heading = "Search", allow_hyphen_values = true)]
    warmup: Option<String>,
    /// Pause of a user between requests, with --by vus: D or MIN..MAX.
    #[arg(long, value_name = "D", help_heading = "Search", allow_hyphen_values = true)]
    think_time: Option<String>,
    /// How long a request may take in all.
    #[arg(long, value_name = "D", help_heading = "Search", allow_hyphen_values = true)]
    timeout: Option<String>,
    /// TOML configuration of a started server.
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    server_config: Option<String>,
    #[command(flatten)]
    subject: SubjectArgs,
}

/// The wishes of a search, with where each came from.
#[derive(Debug)]
pub(crate) struct CapacityGiven {
    pub(crate) slo: Vec<Given>,
    pub(crate) preset: Option<Given>,
    pub(crate) by: Option<Given>,
    pub(crate) min: Option<Given>,
    pub(crate) max: Option<Given>,
    pub(crate) duration: Option<Given>,
    pub(crate) warmup: Option<Given>,
    pub(crate) overrides: Overrides,
}

impl CapacityArgs {
    /// What flags and the environment say.
    pub(crate) fn given(&self, environment: &Environment<'_>) -> CapacityGiven {
        let from = Sources { environment };
        let more = RunArgs {
            think_time: self.think_time.clone(),
            timeout: self.timeout.clone(),
            server_config: self.server_config.clone(),
            ..RunArgs::default()
        };
        CapacityGiven {
            slo: from.many("slo", &self.slo, '\n'),
            preset: from.one("preset", self.preset.as_ref()),
            by: from.one("by", self.by.as_ref()),
            min: from.one("min", self.min.as_ref()),
            max: from.one("max", self.max.as_ref()),
            duration: from.one("duration", self.duration.as_ref()),
            warmup: from.one("warmup", self.warmup.as_ref()),
            overrides: self.subject.overrides(environment, more),
        }
    }
}
