//! Every metric, one row each: variant, name, unit, scope and meaning. The enums, lists and
//! look-ups are generated from these rows, and so are the tables in `docs/metrics.md`.

/// The unit of a metric's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Milliseconds,
    Seconds,
    Bytes,
    Megabytes,
    MegabytesPerHour,
    Cores,
    /// From 0 to 1. Higher only for ratios of events that may occur several times per unit counted.
    Ratio,
    Users,
    Requests,
    Iterations,
    Arrivals,
    Connections,
    Handshakes,
    Reads,
    Events,
    Tokens,
    Gaps,
    Conversations,
    Pauses,
    Attempts,
}

impl Unit {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
            Self::Megabytes => "MB",
            Self::MegabytesPerHour => "MB/h",
            Self::Cores => "cores",
            Self::Ratio => "ratio",
            Self::Users => "users",
            Self::Requests => "requests",
            Self::Iterations => "iterations",
            Self::Arrivals => "arrivals",
            Self::Connections => "connections",
            Self::Handshakes => "handshakes",
            Self::Reads => "reads",
            Self::Events => "events",
            Self::Tokens => "tokens",
            Self::Gaps => "gaps",
            Self::Conversations => "conversations",
            Self::Pauses => "pauses",
            Self::Attempts => "attempts",
        }
    }

    /// Converts a value that a distribution stores as `ms` to this unit. A token is stored as a
    /// microsecond.
    pub fn of_ms(self, ms: f64) -> f64 {
        match self {
            Self::Tokens => ms * 1e3,
            _ => ms,
        }
    }
}

/// How a metric is recorded, and so which aggregates it has. The names are k6's where it has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    Trend,
    Counter,
    Rate,
    Gauge,
    /// A number of the server: of its process, of its own metrics, or of its rate limits.
    Server,
}

impl MetricKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trend => "trend",
            Self::Counter => "counter",
            Self::Rate => "rate",
            Self::Gauge => "gauge",
            Self::Server => "server",
        }
    }
}

/// The breakdown of a metric by kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    EachKind,
    /// The metric belongs to connections, to arrivals, to the server or to this client, or it is
    /// counted before the kind of a request is drawn.
    Global,
}

#[derive(Debug)]
struct Row {
    name: &'static str,
    /// Names used by other tools. They are accepted as input but never written.
    aliases: &'static [&'static str],
    unit: Unit,
    scope: Scope,
    help: &'static str,
}

/// Defines an enum and the properties of its variants from rows of the form
/// `Variant("name" or "alias", Unit, Scope) "What it means";`.
macro_rules! catalogue {
    ($(#[$doc:meta])* $list:ident {
        $($variant:ident($name:literal $(or $alias:literal)*, $unit:ident, $scope:ident) $help:literal;)+
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $list {
            $(#[doc = $help] $variant,)+
        }

        impl $list {
            /// All variants, in the order of the report.
            pub const ALL: [Self; [$(Self::$variant),+].len()] = [$(Self::$variant),+];

            const ROWS: [Row; Self::ALL.len()] = [$(Row {
                name: $name,
                aliases: &[$($alias),*],
                unit: Unit::$unit,
                scope: Scope::$scope,
                help: $help,
            }),+];

            const fn row(self) -> &'static Row {
                &Self::ROWS[self as usize]
            }

            /// Returns the unit of the metric's values.
            pub const fn unit(self) -> Unit {
                self.row().unit
            }

            /// Returns the name in thresholds, JSON and the report.
            pub const fn name(self) -> &'static str {
                self.row().name
            }

            /// Returns true if the metric is only kept for the whole run, and not for each kind of
            /// request.
            pub const fn is_global(self) -> bool {
                matches!(self.row().scope, Scope::Global)
            }
        }
    };
}

catalogue! {
    Trend {
        HttpReqDuration("http_req_duration", Milliseconds, EachKind)
            "From sending a request to the end of its response; successful requests only.";
        HttpReqDurationFromIntended("http_req_duration_from_intended", Milliseconds, EachKind)
            "Open loop: from the instant the request was due to the end of its response; successful requests only.";
        ScheduleLag("schedule_lag", Milliseconds, EachKind)
            "Open loop: from the instant the request was due to sending it.";
        HttpReqDurationFailed("http_req_duration_failed", Milliseconds, EachKind)
            "From sending to the end of the response, for requests that failed with a response.";
        HttpReqDurationAborted("http_req_duration_aborted", Milliseconds, EachKind)
            "From sending to the failure, for requests that failed by a timeout or in transport.";
        HttpReqWaiting("http_req_waiting", Milliseconds, EachKind)
            "From sending to the first byte of the response.";
        HttpReqConnecting("http_req_connecting", Milliseconds, Global)
            "Opening a connection; not part of a request's times.";
        HttpReqTlsHandshaking("http_req_tls_handshaking", Milliseconds, Global)
            "TLS handshake of a connection, including a proxy's tunnel; not part of a request's times.";
        WsConnecting("ws_connecting", Milliseconds, Global)
            "WebSocket handshake, once per connection; part of neither a request's times nor `http_req_connecting`.";
        Ttfe("ttfe", Milliseconds, EachKind)
            "From sending to the first event of any kind.";
        Ttft("ttft", Milliseconds, EachKind)
            "Time to first token: from sending to the first event with generated content.";
        Ttfo("ttfo", Milliseconds, EachKind)
            "From sending to the first visible token, which excludes reasoning.";
        Tbt("tbt" or "itl", Milliseconds, EachKind)
            "Time between tokens: every gap between two token events, pooled over all streams.";
        Tpot("tpot", Milliseconds, EachKind)
            "Per request: (last token − first token) / (tokens − tokens in the first event).";
        Stall("stall" or "itl_max", Milliseconds, EachKind)
            "Per request: the longest gap between two token events.";
        TurnDuration("turn_duration", Milliseconds, EachKind)
            "Conversations: from sending the user's message to the end of the last response, tool rounds included.";
        TurnLag("turn_lag", Milliseconds, EachKind)
            "Traces with conversations: how long a turn that was due waited for the previous response; zero if that response came in time. The turn starts that much later.";
        AttemptDuration("attempt_duration", Milliseconds, EachKind)
            "Retries: from sending the attempt that succeeded to the end of its response. `http_req_duration` begins with the first attempt.";
        AttemptTtft("attempt_ttft", Milliseconds, EachKind)
            "Retries: from sending the attempt that succeeded to its first token. `ttft` begins with the first attempt.";
        InterruptedAge("interrupted_age", Milliseconds, EachKind)
            "Age of interrupted requests when they were cut off.";
        ClientLag("client_lag", Milliseconds, Global)
            "From a packet's arrival in the kernel to its read; other clients include this in their numbers.";
        PassLength("pass_length", Milliseconds, Global)
            "One pass of a worker's event loop.";
        AskedInputTokens("asked_input_tokens", Tokens, EachKind)
            "Per successful request whose prompt is of known length: tokens of the prompt, without the server's chat template.";
        BilledInputTokens("billed_input_tokens", Tokens, EachKind)
            "Per such request: prompt tokens that the server billed, including its chat template and its cache.";
        AskedPrefixTokens("asked_prefix_tokens", Tokens, EachKind)
            "Per such request with a shared prefix: tokens of the prefix.";
        CachedInputTokens("cached_input_tokens", Tokens, EachKind)
            "Per such request: billed prompt tokens that the server took from its cache.";
        AskedOutputTokens("asked_output_tokens", Tokens, EachKind)
            "Per successful request with a token limit: the limit.";
        BilledOutputTokens("billed_output_tokens", Tokens, EachKind)
            "Per such request: generated tokens that the server billed.";
    }
}

catalogue! {
    /// Things that are counted.
    Counter {
        HttpReqs("http_reqs", Requests, EachKind)
            "Requests that succeeded or failed.";
        Iterations("iterations", Iterations, EachKind)
            "Completed iterations of the users.";
        Interrupted("interrupted", Requests, EachKind)
            "Requests cut off by the end of the test; neither successes nor failures.";
        Cancelled("cancelled", Requests, EachKind)
            "Requests abandoned by their user, as the profile asks; neither successes nor failures.";
        ConversationsCompleted("conversations_completed", Conversations, EachKind)
            "Conversations whose last turn succeeded.";
        ConversationsAborted("conversations_aborted", Conversations, EachKind)
            "Conversations that ended early because a request failed or was abandoned.";
        ConversationsInterrupted("conversations_interrupted", Conversations, EachKind)
            "Conversations cut off by the end of the test or by a ramp-down.";
        HttpReqsStarted("http_reqs_started", Requests, Global)
            "Requests that were started. Each ends once: `http_reqs` + `cancelled` + `interrupted`.";
        ArrivalsOffered("arrivals_offered", Arrivals, Global)
            "Open loop: requests that became due.";
        ArrivalsStarted("arrivals_started", Arrivals, Global)
            "Open loop: due requests that a user started.";
        DroppedIterations("dropped_iterations", Arrivals, Global)
            "Open loop: due requests that found no free user and were never sent.";
        RowsLate("rows_late", Requests, Global)
            "Data sets beyond `--dataset-memory`: requests that waited because their row was not read in time.";
        TokensOutput("tokens_output", Tokens, EachKind)
            "Generated tokens, from the server's `usage`; otherwise counted by events. The report says which.";
        TokensInput("tokens_input", Tokens, EachKind)
            "Prompt tokens, from the server's `usage`, including those from its cache.";
        TokensCached("tokens_cached", Tokens, EachKind)
            "Prompt tokens that the server took from its cache. They are part of `tokens_input`.";
        TokensCacheWritten("tokens_cache_written", Tokens, EachKind)
            "Prompt tokens that the server wrote to its cache and billed as such. They are part of `tokens_input`.";
        TokensReasoning("tokens_reasoning", Tokens, EachKind)
            "Reasoning tokens, from the server's `usage`; otherwise counted by events.";
        TokenEvents("token_events", Events, EachKind)
            "Events with generated content. An event is not always one token.";
        TokenEventsUnbilled("token_events_unbilled", Events, EachKind)
            "Events of responses that the server did not bill: each counts as one token in `tokens_output`.";
        DataSent("data_sent", Bytes, EachKind)
            "Bytes written to sockets.";
        DataReceived("data_received", Bytes, EachKind)
            "Bytes read from sockets.";
        ConnectionsOpened("connections_opened", Connections, Global)
            "Connections that were established.";
        ConnectionsReused("connections_reused", Requests, EachKind)
            "Requests on a connection that had already served one.";
        StaleRetries("stale_retries", Requests, EachKind)
            "Requests sent again because the server had just closed an idle connection.";
        Attempts("attempts", Attempts, EachKind)
            "Retries: attempts at requests that may be retried, the first ones included.";
        Retries("retries", Attempts, EachKind)
            "Retries: attempts after the first, as the profile's `retries` asks.";
        UnfinishedStreams("unfinished_streams", Requests, EachKind)
            "Streams that sent their terminal event but not the end of the response.";
        ConnectionFailures("connection_failures", Requests, EachKind)
            "Failures of the network category.";
        Timeouts("timeouts", Requests, EachKind)
            "Failures of the timeout category.";
        BadEvents("bad_events", Events, EachKind)
            "Events that could not be understood and were skipped.";
        HttpReqsSent("http_reqs_sent", Requests, EachKind)
            "Requests written to the network, including interrupted requests and second attempts.";
        TbtCensored("tbt_censored", Gaps, EachKind)
            "Gaps that are excluded from `tbt` because one late read held several tokens.";
        TtftCensored("ttft_censored", Requests, EachKind)
            "First tokens that are excluded from `ttft` for the same reason.";
        TtfeCensored("ttfe_censored", Requests, EachKind)
            "First events that are excluded from `ttfe` for the same reason.";
        TpotCensored("tpot_censored", Requests, EachKind)
            "Requests that are excluded from `tpot` because their first token may have come earlier than it is dated.";
        StallCensored("stall_censored", Requests, EachKind)
            "Requests that are excluded from `stall` because one of their unknown gaps may have been the longest.";
        BackOffs("back_offs", Pauses, EachKind)
            "Closed loop: pauses of users because the connection failed, or 502 or 503 came at once.";
        ConnectionsNotKept("connections_not_kept", Connections, EachKind)
            "Connections that were not used again because the server always closes them after such a response.";
        StampsMissing("stamps_missing", Reads, Global)
            "Reads without a kernel timestamp.";
        ClockSteps("clock_steps", Seconds, Global)
            "Seconds in which the system clock was changed.";
        TlsHandshakesFull("tls_handshakes_full", Handshakes, Global)
            "Full TLS handshakes.";
        TlsHandshakesResumed("tls_handshakes_resumed", Handshakes, Global)
            "TLS handshakes that resumed an earlier session.";
        InputShort("input_short", Requests, EachKind)
            "Requests that were billed fewer prompt tokens than they asked for. `input_off` also counts those that were billed more.";
        OutputStopped("output_stopped", Requests, EachKind)
            "Responses shorter than their limit that the model ended (`stop`, `end_turn`).";
        OutputCalledTools("output_called_tools", Requests, EachKind)
            "Responses shorter than their limit that ended with a tool call (`tool_calls`, `tool_use`).";
        OutputCut("output_cut", Requests, EachKind)
            "Responses shorter than their limit although the server says that a limit was reached (`length`, `max_tokens`).";
        OutputShort("output_short", Requests, EachKind)
            "Responses shorter than their limit whose server gives another reason or none.";
        OutputLong("output_long", Requests, EachKind)
            "Responses longer than their limit.";
    }
}

catalogue! {
    /// Ratios of two counts.
    Rate {
        HttpReqFailed("http_req_failed", Ratio, EachKind)
            "Failed requests, relative to `http_reqs`.";
        Checks("checks", Ratio, EachKind)
            "Response checks that passed.";
        Goodput("goodput", Ratio, EachKind)
            "Requests that met every goal of the profile's `[slo]`.";
        InputOff("input_off", Ratio, EachKind)
            "Requests whose billed prompt tokens differ from the requested number. Known only if the endpoint check has learned the server's chat template.";
        OutputOff("output_off", Ratio, EachKind)
            "Requests whose billed generated tokens differ from their limit.";
        AskedPrefixShare("asked_prefix_share", Ratio, EachKind)
            "Tokens of shared prefixes, relative to all requested prompt tokens.";
        CachedShare("cached_share", Ratio, EachKind)
            "Prompt tokens from the server's cache, relative to all prompt tokens billed.";
        Amplification("amplification", Ratio, EachKind)
            "Retries: attempts per request; 1 without a retry.";
    }
}

catalogue! {
    /// Levels: a value now, with the lowest and highest seen.
    Gauge {
        Vus("vus", Users, Global)
            "Active users.";
        InFlight("in_flight", Requests, Global)
            "Requests in flight.";
        Connections("connections", Connections, Global)
            "Established connections.";
    }
}

catalogue! {
    /// Numbers of the server: of its process (one that we started, or `--server-pid`), of what it
    /// says of itself (`--server-metrics`), and of the rate limits that its responses name.
    ServerLevel {
        RssGrowth("server_rss_growth", MegabytesPerHour, Global)
            "Growth of the server's resident memory. Unknown, and therefore a failed threshold, while the run is too short.";
        RssMax("server_rss_max", Megabytes, Global)
            "Highest resident memory of the server in the window.";
        Cpu("server_cpu", Cores, Global)
            "CPU time of the server in the window.";
        Running("server_running", Requests, Global)
            "Highest number of requests that the server worked on at once, as the server reports it (`--server-metrics`).";
        Waiting("server_waiting", Requests, Global)
            "Highest number of requests that waited in the server at once, as the server reports it.";
        KvUse("server_kv_use", Ratio, Global)
            "Highest use of the memory for keys and values (KV cache), as the server reports it.";
        PrefixHits("server_prefix_hits", Ratio, Global)
            "Prompt tokens found in the server's prefix cache, relative to all, as the server reports it.";
        Preemptions("server_preemptions", Requests, Global)
            "Requests that the server preempted to make room for others, as the server reports it.";
        RemainingRequests("ratelimit_remaining_requests", Requests, Global)
            "Fewest requests left under a rate limit, as responses report it.";
        RemainingTokens("ratelimit_remaining_tokens", Tokens, Global)
            "Fewest tokens left under a rate limit, as responses report it.";
        LimitRequests("ratelimit_limit_requests", Requests, Global)
            "Rate limit of requests, as responses report it; the lowest if they differ.";
        LimitTokens("ratelimit_limit_tokens", Tokens, Global)
            "Rate limit of tokens, as responses report it; the lowest if they differ.";
    }
}

impl Rate {
    /// Returns true if the ratio is a share, from 0 to 1. A request may take several attempts.
    pub const fn is_share(self) -> bool {
        !matches!(self, Self::Amplification)
    }
}

impl ServerLevel {
    /// The levels that the server itself reports at its `/metrics`.
    pub const SAID: [Self; 5] = [Self::Running, Self::Waiting, Self::KvUse, Self::PrefixHits, Self::Preemptions];
}

/// Any metric on which a threshold can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    Trend(Trend),
    Counter(Counter),
    Rate(Rate),
    Gauge(Gauge),
    Server(ServerLevel),
}

impl Metric {
    /// Returns all metrics, trends first.
    pub fn all() -> impl Iterator<Item = Self> {
        let trends = Trend::ALL.into_iter().map(Self::Trend);
        let counters = Counter::ALL.into_iter().map(Self::Counter);
        let rates = Rate::ALL.into_iter().map(Self::Rate);
        let gauges = Gauge::ALL.into_iter().map(Self::Gauge);
        let server = ServerLevel::ALL.into_iter().map(Self::Server);
        trends.chain(counters).chain(rates).chain(gauges).chain(server)
    }

    const fn row(self) -> &'static Row {
        match self {
            Self::Trend(m) => m.row(),
            Self::Counter(m) => m.row(),
            Self::Rate(m) => m.row(),
            Self::Gauge(m) => m.row(),
            Self::Server(m) => m.row(),
        }
    }

    /// Returns the name in thresholds, JSON and the report.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Returns the names used by other tools. They are accepted as input but never written.
    pub const fn aliases(self) -> &'static [&'static str] {
        self.row().aliases
    }

    pub const fn unit(self) -> Unit {
        self.row().unit
    }

    /// Returns the meaning in a sentence or two.
    pub const fn help(self) -> &'static str {
        self.row().help
    }

    /// Returns true if the metric is only kept for the whole run, and not for each kind of request.
    pub const fn is_global(self) -> bool {
        matches!(self.row().scope, Scope::Global)
    }

    pub const fn kind(self) -> MetricKind {
        match self {
            Self::Trend(_) => MetricKind::Trend,
            Self::Counter(_) => MetricKind::Counter,
            Self::Rate(_) => MetricKind::Rate,
            Self::Gauge(_) => MetricKind::Gauge,
            Self::Server(_) => MetricKind::Server,
        }
    }

    /// Returns the metric with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|m| m.name() == name)
    }

    /// Returns the metric with that name or alias.
    pub fn parse(written: &str) -> Option<Self> {
        Self::all().find(|m| m.name() == written || m.aliases().contains(&written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_and_aliases_are_unique_and_found() {
        let names: Vec<_> = Metric::all().flat_map(|m| m.aliases().iter().copied().chain([m.name()])).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        for metric in Metric::all() {
            assert_eq!(Metric::from_name(metric.name()), Some(metric));
            assert_eq!(Metric::parse(metric.name()), Some(metric));
        }
        assert_eq!(Metric::from_name("http_req_durations"), None);
    }

    #[test]
    fn an_alias_is_understood_but_is_no_name() {
        assert_eq!(Metric::parse("itl"), Some(Metric::Trend(Trend::Tbt)));
        assert_eq!(Metric::parse("itl_max"), Some(Metric::Trend(Trend::Stall)));
        assert_eq!(Metric::from_name("itl"), None);
    }

    #[test]
    fn every_help_text_is_a_sentence_without_a_table_border() {
        for metric in Metric::all() {
            let help = metric.help();
            assert!(help.ends_with('.') && !help.contains(['|', '\n']), "{}: {help}", metric.name());
        }
    }
}
