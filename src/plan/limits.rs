//! Limits of a plan, each with its reason. They catch typing errors before they catch a machine's
//! limits.

use crate::units::Nanos;

/// Users of a test over all machines: a million connections are more than any one target has been
/// seen to hold.
pub const MAX_VUS: u32 = 1_000_000;
/// Threads: more than the cores of any machine.
pub const MAX_WORKERS: u32 = 1024;
/// Rate of arrivals per time unit: ten times what the fastest server has been seen to take.
pub const MAX_RATE: u32 = 10_000_000;
/// Least burstiness of gamma arrivals: below it nearly all of them come in a few instants.
pub const LEAST_BURSTINESS: f64 = 0.05;
/// Most burstiness of gamma arrivals: above it they are practically evenly spaced.
pub const MOST_BURSTINESS: f64 = 1_000.0;
/// Requests of a user, or of all: at a million a second, eleven days.
pub const MAX_ITERATIONS: u64 = 1_000_000_000_000;
/// Stages: more than anyone writes by hand; their sum stays far from overflow.
pub const MAX_STAGES: usize = 1000;
/// Longest test, pause and timeout: thirty days. One line of the series is kept for every second.
pub const LONGEST: Nanos = Nanos::from_secs(30 * 24 * 3600);
/// Kinds of request: each has its own set of histograms.
pub const MAX_KINDS: usize = 100;
/// Weight of one kind: sums stay within 32 bits.
pub const MAX_WEIGHT: u32 = 1_000_000;
/// Name of a kind: it heads a column.
pub const MAX_NAME: usize = 64;
/// Models of one kind of request.
pub const MAX_MODELS: usize = 1000;
/// Prompts of one kind of request: all are kept in memory, rendered.
pub const MAX_PROMPTS: usize = 100_000;
/// Bytes of one prompt: a million tokens or so.
pub const MAX_PROMPT_BYTES: usize = 4 << 20;
/// Bytes of all prompts of one kind of request.
pub const MAX_PROMPTS_BYTES: usize = 64 << 20;
/// Bytes of a picture: hosted APIs take 5 to 20 MB.
pub const MAX_PICTURE_BYTES: u64 = 20 << 20;
/// Bytes of a tokenizer: those of large vocabularies have 10 to 40 MB.
pub const MAX_TOKENIZER_BYTES: u64 = 256 << 20;
/// Words of one prompt: the largest window of a model, and 8 MB for each connection.
pub const MAX_PROMPT_TOKENS: u32 = 1_000_000;
/// Pairs of lengths in a file: 8 MB.
pub const MAX_PAIRS: usize = 1_000_000;
/// Different prefixes of one kind of request.
pub const MAX_GROUPS: u32 = 1_000_000;
/// Exponent of a Zipf distribution: beyond it, only the first is ever drawn.
pub const MAX_EXPONENT: f64 = 10.0;
/// Token limit of a request: beyond every model's window.
pub const MAX_TOKENS: u32 = 10_000_000;
/// Memory that the rows of data sets and traces may take, unless `--dataset-memory` says otherwise.
pub const DEFAULT_DATASET_MEMORY: u64 = 1 << 30;
/// Bytes of a file of rows that are read at a time.
pub const ROW_READ_BYTES: usize = 256 << 10;
/// Slowest speed of a trace, relative to its own.
pub const LEAST_SPEED: f64 = 0.001;
/// Fastest speed of a trace, relative to its own.
pub const MOST_SPEED: f64 = 100_000.0;
/// How often a trace is sent in one test.
pub const MAX_PASSES: u32 = 1_000_000;
/// Fastest of the slow readers: beyond 100 MB/s they would not be slow.
pub const MAX_SLOW_BYTES_PER_SECOND: u32 = 100_000_000;
/// Turns of a conversation: people and most agents stop much earlier.
pub const MAX_TURNS: u16 = 10_000;
/// Rounds of tool calls in one turn.
pub const MAX_TOOL_ROUNDS: u16 = 1000;
/// Retries of one request: with the pauses between them, more than an hour.
pub const MAX_RETRIES: u16 = 1000;
/// The largest factor of a scenario's pauses.
pub const MOST_SCENARIO_SPEED: f64 = 1_000.0;
/// Extra headers: servers take about a hundred in all.
pub const MAX_HEADERS: usize = 64;
/// Bytes of one header: the usual limit of servers.
pub const MAX_HEADER_BYTES: usize = 8 << 10;
/// Metrics of the server that are read by name: each is a line of the report.
pub const MAX_OWN_METRICS: usize = 32;
/// Bytes of the name of such a metric.
pub const MAX_OWN_METRIC_NAME: usize = 200;
/// Tags of a run.
pub const MAX_TAGS: usize = 100;
/// Shards of a test: more machines than a test will use.
pub const MAX_SHARDS: u32 = 10_000;
/// Bytes of a profile's file.
pub const MAX_PROFILE_BYTES: usize = 1 << 20;
/// Bytes of an API key.
pub const MAX_KEY_BYTES: usize = 8 << 10;
/// Rules of a profile: each is judged once a second.
pub const MAX_RULES: usize = 1000;

/// Bytes of incomplete responses that are kept by default: four of the longest.
pub const DEFAULT_BODY_BUDGET: u64 = 256 << 20;

/// Targets of one test: each has its own heads of every kind of request.
pub const MAX_TARGETS: usize = 64;
/// Addresses to connect from: more than any machine has needed.
pub const MAX_SOURCES: usize = 256;
/// Connections opened per second: more than any machine can open.
pub const MAX_CONNECT_RATE: u32 = 1_000_000;
/// Shortest interval at which names are looked up again: the resolver is not under test.
pub const SHORTEST_DNS_TTL: Nanos = Nanos::from_secs(1);
/// Responses shown before a test.
pub const MAX_DEBUG_RESPONSES: u32 = 100;

/// Users by default.
pub const DEFAULT_VUS: u32 = 1;
/// The time that rates are per by default, as in k6.
pub const DEFAULT_TIME_UNIT: Nanos = Nanos::from_secs(1);
/// Shortest time that rates are per. With a shorter one, the highest rate would be beyond any
/// machine, and workers would do nothing but count arrivals.
pub const SHORTEST_TIME_UNIT: Nanos = Nanos::from_millis(1);
/// Requests of an iteration executor by default, as in k6.
pub const DEFAULT_ITERATIONS: u64 = 1;
/// How long iteration executors run at most by default, as in k6.
pub const DEFAULT_MAX_DURATION: Nanos = Nanos::from_secs(600);
/// How long requests may finish after the end, and after a user was ramped away, as in k6.
pub const DEFAULT_GRACE: Nanos = Nanos::from_secs(30);
/// The least total timeout of a request that does not set one.
pub const DEFAULT_TIMEOUT: Nanos = Nanos::from_secs(60);
/// Timeout for each token that a request asks for, if it does not set a timeout. Ten tokens a
/// second are slower than people read.
pub const DEFAULT_TIME_PER_TOKEN: Nanos = Nanos::from_millis(100);
/// How long opening a connection may take; never longer than the request may.
pub const DEFAULT_CONNECT_TIMEOUT: Nanos = Nanos::from_secs(10);
/// Placeholder for a model's name in a path.
pub const MODEL_HOLE: &str = "{model}";
/// How long an endpoint may take when it is probed before the load begins. All endpoints are probed
/// at once. With ten seconds of load and the start of a server, a smoke test is over in half a
/// minute, whatever the server does.
pub const ENDPOINT_TIMEOUT: Nanos = Nanos::from_secs(15);
/// Seed of everything random: fixed, so that two runs send the same requests.
pub const DEFAULT_SEED: u64 = 1;
/// Host that llmsim listens on by default.
pub const DEFAULT_HOST: &str = "127.0.0.1";
/// Port that llmsim listens on by default.
pub const DEFAULT_PORT: u16 = 8080;
/// How long a started server may take to become ready. llmsim needs a fraction of a second, or a
/// few seconds on a loaded CI machine.
pub const SERVER_READY_WITHIN: Nanos = Nanos::from_secs(30);

/// Longest pause between two polls. With a longer one, even a slow stream's tokens would arrive in
/// batches, and the gaps between them would not be known.
pub const LONGEST_POLL_INTERVAL: Nanos = Nanos::from_millis(10);
