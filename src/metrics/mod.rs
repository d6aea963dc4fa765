//! Samples → numbers: the vocabulary of measuring.
//!
//! A finished request is a [`Sample`] (plain numbers). A worker adds samples to a [`Tally`]; tallies add up, in any order, to the
//! tally of the whole run; a [`Summary`] says what a tally means. Nothing here does I/O or reads a clock.

pub mod buckets;
mod distribution;
mod failure;
pub mod goals;
pub mod growth;
pub mod hints;
mod incidents;
mod paths;
pub mod series;
pub mod soak;
mod stage;
pub mod summary;
pub mod tally;
pub mod validity;

pub use buckets::{Buckets, DecodeError};
pub use distribution::{Distribution, Exact};
pub use failure::{Blame, Failure};
pub use goals::{Goal, Goals};
pub use incidents::{Example, Incidents, MAX_EXAMPLE_BYTES};
pub use paths::{Attempts, Paths};
pub use series::Second;
pub use stage::StageTally;
pub use summary::Summary;
pub use tally::{Balance, Tally};

use crate::units::Nanos;

/// Distributions of times, in the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trend {
    /// Sent → end of response, successful requests only.
    HttpReqDuration,
    /// Intended → end of response, successful requests of open load only: what a user waited, free of coordinated omission.
    HttpReqDurationFromIntended,
    /// Intended → sent, of open load only.
    ScheduleLag,
    /// Sent → end, requests that failed with a response (status, protocol and answer classes).
    HttpReqDurationFailed,
    /// Sent → failure, requests that failed in transport or by a timeout.
    HttpReqDurationAborted,
    /// Sent → first byte of the response.
    HttpReqWaiting,
    /// Opening a connection, per connection opened.
    HttpReqConnecting,
    /// TLS handshake, per connection opened.
    HttpReqTlsHandshaking,
    /// A WebSocket's handshake, per connection that became one.
    WsConnecting,
    /// Sent → first event of any kind.
    Ttfe,
    /// Time to first token: sent → first token event.
    Ttft,
    /// Sent → first visible token (no reasoning).
    Ttfo,
    /// Time between tokens: every gap between consecutive token events, pooled over all streams.
    Tbt,
    /// Per request: (last token − first token) / (tokens − tokens in the first event).
    Tpot,
    /// Per request: its longest gap between tokens.
    Stall,
    /// Age at the end of the test of requests that were cut off by it.
    InterruptedAge,
    /// Per read: from the kernel's receive stamp until we have read it. What tools without stamps add to their numbers.
    ClientLag,
    /// Per pass of a worker's loop: how long it took, waiting not included.
    PassLength,
}

impl Trend {
    /// All, in the order of the report.
    pub const ALL: [Self; 18] = [
        Self::HttpReqDuration,
        Self::HttpReqDurationFromIntended,
        Self::ScheduleLag,
        Self::HttpReqDurationFailed,
        Self::HttpReqDurationAborted,
        Self::HttpReqWaiting,
        Self::HttpReqConnecting,
        Self::HttpReqTlsHandshaking,
        Self::WsConnecting,
        Self::Ttfe,
        Self::Ttft,
        Self::Ttfo,
        Self::Tbt,
        Self::Tpot,
        Self::Stall,
        Self::InterruptedAge,
        Self::ClientLag,
        Self::PassLength,
    ];

    /// Whether it is of connections, or of our own reads and passes: then no kind of request has it.
    pub const fn is_of_no_kind(self) -> bool {
        matches!(
            self,
            Self::HttpReqConnecting
                | Self::HttpReqTlsHandshaking
                | Self::WsConnecting
                | Self::ClientLag
                | Self::PassLength
        )
    }

    /// Its name in thresholds, JSON and the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HttpReqDuration => "http_req_duration",
            Self::HttpReqDurationFromIntended => "http_req_duration_from_intended",
            Self::ScheduleLag => "schedule_lag",
            Self::HttpReqDurationFailed => "http_req_duration_failed",
            Self::HttpReqDurationAborted => "http_req_duration_aborted",
            Self::HttpReqWaiting => "http_req_waiting",
            Self::HttpReqConnecting => "http_req_connecting",
            Self::HttpReqTlsHandshaking => "http_req_tls_handshaking",
            Self::WsConnecting => "ws_connecting",
            Self::Ttfe => "ttfe",
            Self::Ttft => "ttft",
            Self::Ttfo => "ttfo",
            Self::Tbt => "tbt",
            Self::Tpot => "tpot",
            Self::Stall => "stall",
            Self::InterruptedAge => "interrupted_age",
            Self::ClientLag => "client_lag",
            Self::PassLength => "pass_length",
        }
    }
}

/// Things that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// Requests that succeeded or failed; neither those that their users gave up nor those that the end of the test cut off.
    HttpReqs,
    /// Rounds of a VU that were completed (a request and its think time's start).
    Iterations,
    /// Requests in flight when the test ended and its grace period was over.
    Interrupted,
    /// Requests that their users gave up, as their kind asks for: neither successes nor failures.
    Cancelled,
    /// Requests that were begun. Each ends once: `http_reqs` + `cancelled` + `interrupted`.
    HttpReqsStarted,
    /// Arrivals of an open load that came due.
    ArrivalsOffered,
    /// Arrivals of an open load that a user took up.
    ArrivalsStarted,
    /// Arrivals of an open load that were never started, because all users were busy.
    DroppedIterations,
    /// Generated tokens: from `usage` where the server gives it, else counted token events.
    TokensOutput,
    /// Prompt tokens, from `usage`.
    TokensInput,
    /// Reasoning tokens, from `usage`, else counted reasoning events.
    TokensReasoning,
    /// Token events seen.
    TokenEvents,
    /// Bytes written to sockets.
    DataSent,
    /// Bytes read from sockets.
    DataReceived,
    /// Connections that were established.
    ConnectionsOpened,
    /// Requests sent on a connection that had already served one.
    ConnectionsReused,
    /// Requests sent again because the server had closed a reused connection before it answered.
    StaleRetries,
    /// Failures of the network class.
    ConnectionFailures,
    /// Failures of the timeout class.
    Timeouts,
    /// Events that carried neither JSON nor a known marker, and were skipped.
    BadEvents,
    /// Requests that were put on the wire, interrupted ones and second attempts included: what the server has seen of us.
    HttpReqsSent,
    /// Gaps between tokens that are not known, because several tokens came in one late read; only their sum is.
    TbtCensored,
    /// First tokens whose instant is not known, for the same reason.
    TtftCensored,
    /// Reads that came without the kernel's stamp although it was asked for; they are dated by our clock.
    StampsMissing,
    /// Seconds in which the real-time clock, which stamps are made with, was set.
    ClockSteps,
    /// TLS handshakes in full.
    TlsHandshakesFull,
    /// TLS handshakes that resumed an earlier session.
    TlsHandshakesResumed,
}

impl Counter {
    /// All, in the order of the report.
    pub const ALL: [Self; 27] = [
        Self::HttpReqs,
        Self::Iterations,
        Self::Interrupted,
        Self::Cancelled,
        Self::HttpReqsStarted,
        Self::ArrivalsOffered,
        Self::ArrivalsStarted,
        Self::DroppedIterations,
        Self::TokensOutput,
        Self::TokensInput,
        Self::TokensReasoning,
        Self::TokenEvents,
        Self::DataSent,
        Self::DataReceived,
        Self::ConnectionsOpened,
        Self::ConnectionsReused,
        Self::StaleRetries,
        Self::ConnectionFailures,
        Self::Timeouts,
        Self::BadEvents,
        Self::HttpReqsSent,
        Self::TbtCensored,
        Self::TtftCensored,
        Self::StampsMissing,
        Self::ClockSteps,
        Self::TlsHandshakesFull,
        Self::TlsHandshakesResumed,
    ];

    /// Whether it belongs to connections, to arrivals or to our own reads, or is counted before the kind of a request is drawn.
    pub const fn is_of_no_kind(self) -> bool {
        matches!(
            self,
            Self::ConnectionsOpened
                | Self::TlsHandshakesFull
                | Self::TlsHandshakesResumed
                | Self::HttpReqsStarted
                | Self::ArrivalsOffered
                | Self::ArrivalsStarted
                | Self::DroppedIterations
                | Self::StampsMissing
                | Self::ClockSteps
        )
    }

    /// Its name in thresholds, JSON and the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HttpReqs => "http_reqs",
            Self::Iterations => "iterations",
            Self::Interrupted => "interrupted",
            Self::Cancelled => "cancelled",
            Self::HttpReqsStarted => "http_reqs_started",
            Self::ArrivalsOffered => "arrivals_offered",
            Self::ArrivalsStarted => "arrivals_started",
            Self::DroppedIterations => "dropped_iterations",
            Self::TokensOutput => "tokens_output",
            Self::TokensInput => "tokens_input",
            Self::TokensReasoning => "tokens_reasoning",
            Self::TokenEvents => "token_events",
            Self::DataSent => "data_sent",
            Self::DataReceived => "data_received",
            Self::ConnectionsOpened => "connections_opened",
            Self::ConnectionsReused => "connections_reused",
            Self::StaleRetries => "stale_retries",
            Self::ConnectionFailures => "connection_failures",
            Self::Timeouts => "timeouts",
            Self::BadEvents => "bad_events",
            Self::HttpReqsSent => "http_reqs_sent",
            Self::TbtCensored => "tbt_censored",
            Self::TtftCensored => "ttft_censored",
            Self::StampsMissing => "stamps_missing",
            Self::ClockSteps => "clock_steps",
            Self::TlsHandshakesFull => "tls_handshakes_full",
            Self::TlsHandshakesResumed => "tls_handshakes_resumed",
        }
    }
}

/// Shares of a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Share {
    /// Finished requests that failed, of all finished requests.
    HttpReqFailed,
    /// Response checks that held, of all that were made.
    Checks,
    /// Requests that met every latency goal of a single request, of all that were judged.
    Goodput,
}

impl Share {
    /// All, in the order of the report.
    pub const ALL: [Self; 3] = [Self::HttpReqFailed, Self::Checks, Self::Goodput];

    /// Its name in thresholds, JSON and the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HttpReqFailed => "http_req_failed",
            Self::Checks => "checks",
            Self::Goodput => "goodput",
        }
    }
}

/// Levels: a value now, with the lowest and highest seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gauge {
    /// Active virtual users.
    Vus,
    /// Requests under way.
    InFlight,
    /// Established connections.
    Connections,
}

impl Gauge {
    /// All, in the order of the report.
    pub const ALL: [Self; 3] = [Self::Vus, Self::InFlight, Self::Connections];

    /// Its name in thresholds, JSON and the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vus => "vus",
            Self::InFlight => "in_flight",
            Self::Connections => "connections",
        }
    }
}

/// Numbers of the server's process, where it can be watched: a started server, or `--server-pid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServerLevel {
    /// Growth of its resident memory, in MB an hour; unknown while the run is too short to say.
    RssGrowth,
    /// Its highest resident memory in the measurement window, in MB.
    RssMax,
    /// Its CPU time in the measurement window, in cores.
    Cpu,
}

impl ServerLevel {
    /// All, in the order of the report.
    pub const ALL: [Self; 3] = [Self::RssGrowth, Self::RssMax, Self::Cpu];

    /// Its name in thresholds.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RssGrowth => "server_rss_growth",
            Self::RssMax => "server_rss_max",
            Self::Cpu => "server_cpu",
        }
    }
}

/// Anything a threshold can be set on. k6 calls the third kind a "rate"; so do we in JSON and docs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// A distribution of times.
    Trend(Trend),
    /// A count, with its rate per second of the measurement window.
    Counter(Counter),
    /// A share of a whole.
    Share(Share),
    /// A level.
    Gauge(Gauge),
    /// A number of the server's process.
    Server(ServerLevel),
}

impl Metric {
    /// All metrics, trends first.
    pub fn all() -> impl Iterator<Item = Self> {
        let trends = Trend::ALL.into_iter().map(Self::Trend);
        let counters = Counter::ALL.into_iter().map(Self::Counter);
        let shares = Share::ALL.into_iter().map(Self::Share);
        let gauges = Gauge::ALL.into_iter().map(Self::Gauge);
        trends.chain(counters).chain(shares).chain(gauges).chain(ServerLevel::ALL.into_iter().map(Self::Server))
    }

    /// Its name in thresholds, JSON and the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trend(m) => m.name(),
            Self::Counter(m) => m.name(),
            Self::Share(m) => m.name(),
            Self::Gauge(m) => m.name(),
            Self::Server(m) => m.name(),
        }
    }

    /// The metric with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|m| m.name() == name)
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx and a complete, well-formed answer.
    Success,
    /// The first class that applied.
    Failed(Failure),
    /// Given up by its user, as its kind of request asks for: neither a success nor a failure.
    Cancelled,
    /// Cut off by the end of the test: neither a success nor a failure.
    Interrupted,
}

/// What the server said it billed. Absent numbers are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TokenUsage {
    /// Prompt tokens.
    pub input: u32,
    /// Generated tokens, reasoning included.
    pub output: u32,
    /// Reasoning tokens among the generated ones.
    pub reasoning: u32,
}

impl TokenUsage {
    /// What a later bill of the same answer says holds, as far as it says anything: bills are cumulative, and the last one of
    /// Anthropic's does not repeat what the prompt has cost.
    pub fn update(&mut self, later: Self) {
        for (count, later) in
            [(&mut self.input, later.input), (&mut self.output, later.output), (&mut self.reasoning, later.reasoning)]
        {
            *count = if later > 0 { later } else { *count };
        }
    }
}

/// One finished request as plain numbers. All instants are on the test's clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Index of its kind in the plan's mix.
    pub kind: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// Status of the response; 0 when no head came.
    pub status: u16,
    /// `Retry-After` of the response in seconds, if it said so.
    pub retry_after_s: Option<u32>,
    /// When the schedule wanted it; open load only.
    pub intended: Option<Nanos>,
    /// When it was put on the wire; the instant of the attempt when it never was.
    pub sent: Nanos,
    /// When it was over.
    pub end: Nanos,
    /// First byte of the response.
    pub first_byte: Option<Nanos>,
    /// First event of any kind.
    pub first_event: Option<Nanos>,
    /// First token event.
    pub first_token: Option<Nanos>,
    /// First token event that is not reasoning.
    pub first_visible: Option<Nanos>,
    /// Last token event.
    pub last_token: Option<Nanos>,
    /// Longest gap between token events; the gaps themselves went to [`Tally::gap`] as they came.
    pub longest_gap: Option<Nanos>,
    /// The first token's instant is not known closely enough for `ttft`.
    pub ttft_censored: bool,
    /// The first visible token's instant is not known closely enough for `ttfo`.
    pub ttfo_censored: bool,
    /// Gaps that are not known and did not go to [`Tally::gap`].
    pub gaps_censored: u32,
    /// Token events, reasoning included.
    pub token_events: u32,
    /// Reasoning events among them.
    pub reasoning_events: u32,
    /// Token events that arrived inside the measurement window.
    pub token_events_in_window: u32,
    /// Whether `end` lies inside the measurement window.
    pub in_window: bool,
    /// What the server billed, if it said so.
    pub usage: Option<TokenUsage>,
    /// Events skipped because they were not understood.
    pub bad_events: u32,
    /// Bytes of the request that were written.
    pub bytes_sent: u64,
    /// Bytes of the response that were read.
    pub bytes_received: u64,
    /// Whether the connection had served a request before.
    pub reused: bool,
    /// Response checks that held.
    pub checks_held: u8,
    /// The check that did not hold.
    pub check_failed: Option<&'static str>,
    /// Whether it met every goal of a single request; none when there are none or it cannot be said.
    pub good: Option<bool>,
}

impl Sample {
    /// A request of that kind as it is put on the wire at `sent`: nothing has come, and it is cut off if nothing does.
    pub const fn begun(kind: u16, sent: Nanos) -> Self {
        Self {
            kind,
            outcome: Outcome::Interrupted,
            status: 0,
            retry_after_s: None,
            intended: None,
            sent,
            end: sent,
            first_byte: None,
            first_event: None,
            first_token: None,
            first_visible: None,
            last_token: None,
            longest_gap: None,
            ttft_censored: false,
            ttfo_censored: false,
            gaps_censored: 0,
            token_events: 0,
            reasoning_events: 0,
            token_events_in_window: 0,
            in_window: true,
            usage: None,
            bad_events: 0,
            bytes_sent: 0,
            bytes_received: 0,
            reused: false,
            checks_held: 0,
            check_failed: None,
            good: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_complete_and_in_order() {
        for (i, t) in Trend::ALL.into_iter().enumerate() {
            assert_eq!(t as usize, i, "{}", t.name());
        }
        for (i, c) in Counter::ALL.into_iter().enumerate() {
            assert_eq!(c as usize, i, "{}", c.name());
        }
        for (i, f) in Failure::ALL.into_iter().enumerate() {
            assert_eq!(f as usize, i, "{}", f.name());
        }
        for (i, g) in Gauge::ALL.into_iter().enumerate() {
            assert_eq!(g as usize, i, "{}", g.name());
        }
    }

    #[test]
    fn names_are_unique_and_found() {
        let names: std::collections::BTreeSet<_> = Metric::all().map(Metric::name).collect();
        assert_eq!(names.len(), Metric::all().count());
        for metric in Metric::all() {
            assert_eq!(Metric::from_name(metric.name()), Some(metric));
        }
        assert_eq!(Metric::from_name("http_req_durations"), None);
    }
}
