//! Every metric, one row each: variant, name, unit, scope and meaning. Enums, lists and look-ups are
//! made of these rows, and so are the tables in `docs/metrics.md`.

/// What a number of a metric is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Milliseconds,
    Bytes,
    Megabytes,
    MegabytesPerHour,
    Cores,
    /// From 0 to 1.
    Ratio,
    /// The things that the metric is named after.
    Count,
}

impl Unit {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Bytes => "bytes",
            Self::Megabytes => "MB",
            Self::MegabytesPerHour => "MB/h",
            Self::Cores => "cores",
            Self::Ratio => "ratio",
            Self::Count => "count",
        }
    }
}

/// How a metric is kept, and so what can be asked of it. The names are k6's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    Trend,
    Counter,
    Rate,
    Gauge,
}

impl MetricKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trend => "trend",
            Self::Counter => "counter",
            Self::Rate => "rate",
            Self::Gauge => "gauge",
        }
    }
}

/// Whether a metric is broken down by kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    EachKind,
    /// It belongs to connections, to arrivals, to the server or to this client, or is counted before
    /// the kind of a request is drawn.
    Global,
}

#[derive(Debug)]
struct Row {
    name: &'static str,
    /// What other tools call it. Understood where people write, but never written by us.
    aliases: &'static [&'static str],
    unit: Unit,
    scope: Scope,
    help: &'static str,
}

/// Makes an enum and what is known of its variants from rows of the form
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
            /// All, in the order of the report.
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

            /// Its name in thresholds, JSON and the report.
            pub const fn name(self) -> &'static str {
                self.row().name
            }

            /// Whether it is kept for the whole run only, and not for each kind of request.
            pub const fn is_global(self) -> bool {
                matches!(self.row().scope, Scope::Global)
            }
        }
    };
}

catalogue! {
    /// Distributions of times.
    Trend {
        HttpReqDuration("http_req_duration", Milliseconds, EachKind)
            "Request sent → end of its response. Successful requests only.";
        HttpReqDurationFromIntended("http_req_duration_from_intended", Milliseconds, EachKind)
            "Open-loop load: scheduled start → end of the response, free of coordinated omission. Successful requests only.";
        ScheduleLag("schedule_lag", Milliseconds, EachKind)
            "Open-loop load: scheduled start → request sent.";
        HttpReqDurationFailed("http_req_duration_failed", Milliseconds, EachKind)
            "Request sent → end of its response. Requests that failed with a response (status, protocol and answer failures).";
        HttpReqDurationAborted("http_req_duration_aborted", Milliseconds, EachKind)
            "Request sent → failure. Requests that failed in transport or by a timeout.";
        HttpReqWaiting("http_req_waiting", Milliseconds, EachKind)
            "Request sent → first byte of the response.";
        HttpReqConnecting("http_req_connecting", Milliseconds, Global)
            "Opening a connection. Not part of any request's times.";
        HttpReqTlsHandshaking("http_req_tls_handshaking", Milliseconds, Global)
            "TLS handshake of a connection, including the CONNECT exchange behind a proxy. Not part of any request's times.";
        WsConnecting("ws_connecting", Milliseconds, Global)
            "WebSocket handshake of a connection. Not part of any request's times, nor of `http_req_connecting`.";
        Ttfe("ttfe", Milliseconds, EachKind)
            "Request sent → first event of any kind.";
        Ttft("ttft", Milliseconds, EachKind)
            "Time to first token: request sent → first event with generated payload.";
        Ttfo("ttfo", Milliseconds, EachKind)
            "Time to first output: request sent → first visible token. Reasoning is not counted.";
        Tbt("tbt" or "itl", Milliseconds, EachKind)
            "Time between tokens: every gap between token events, all streams together.";
        Tpot("tpot", Milliseconds, EachKind)
            "Time per output token, per request: (last token − first token) / (tokens − 1).";
        Stall("stall" or "itl_max", Milliseconds, EachKind)
            "Longest gap between token events, per request.";
        InterruptedAge("interrupted_age", Milliseconds, EachKind)
            "Age of the requests that the end of the test cut off.";
        ClientLag("client_lag", Milliseconds, Global)
            "A packet's arrival in the kernel → its read. Clients without receive timestamps add this to their numbers.";
        PassLength("pass_length", Milliseconds, Global)
            "One pass of a worker's loop, waiting not included.";
    }
}

catalogue! {
    /// Things that are counted.
    Counter {
        HttpReqs("http_reqs", Count, EachKind)
            "Requests that succeeded or failed.";
        Iterations("iterations", Count, EachKind)
            "Iterations that users completed.";
        Interrupted("interrupted", Count, EachKind)
            "Requests cut off by the end of the test. Neither successes nor failures.";
        Cancelled("cancelled", Count, EachKind)
            "Requests that their users abandoned, as the profile asks. Neither successes nor failures.";
        HttpReqsStarted("http_reqs_started", Count, Global)
            "Requests begun. Each ends once: `http_reqs` + `cancelled` + `interrupted`.";
        ArrivalsOffered("arrivals_offered", Count, Global)
            "Open-loop load: requests that came due.";
        ArrivalsStarted("arrivals_started", Count, Global)
            "Open-loop load: due requests that a user took up.";
        DroppedIterations("dropped_iterations", Count, Global)
            "Open-loop load: due requests that found no free user and were never sent.";
        TokensOutput("tokens_output", Count, EachKind)
            "Generated tokens from the server's `usage`, else counted by events. The report says which.";
        TokensInput("tokens_input", Count, EachKind)
            "Prompt tokens from the server's `usage`.";
        TokensReasoning("tokens_reasoning", Count, EachKind)
            "Reasoning tokens from the server's `usage`, else counted by events.";
        TokenEvents("token_events", Count, EachKind)
            "Events with generated payload. An event may hold more than one token.";
        DataSent("data_sent", Bytes, EachKind)
            "Bytes of requests written to sockets.";
        DataReceived("data_received", Bytes, EachKind)
            "Bytes of responses read from sockets.";
        ConnectionsOpened("connections_opened", Count, Global)
            "Connections established.";
        ConnectionsReused("connections_reused", Count, EachKind)
            "Requests sent on a connection that had served one before.";
        StaleRetries("stale_retries", Count, EachKind)
            "Requests sent again because the server had just closed the idle connection.";
        ConnectionFailures("connection_failures", Count, EachKind)
            "Failures of the network category.";
        Timeouts("timeouts", Count, EachKind)
            "Failures of the timeout category.";
        BadEvents("bad_events", Count, EachKind)
            "Events that were not understood and were skipped.";
        HttpReqsSent("http_reqs_sent", Count, EachKind)
            "Requests put on the wire, including interrupted ones and second attempts.";
        TbtCensored("tbt_censored", Count, EachKind)
            "Gaps between tokens that are unknown because one late read held several tokens.";
        TtftCensored("ttft_censored", Count, EachKind)
            "First tokens whose instant is unknown because one late read held several tokens.";
        StampsMissing("stamps_missing", Count, Global)
            "Reads without the kernel's receive timestamp, dated by our own clock.";
        ClockSteps("clock_steps", Count, Global)
            "Seconds in which the system's real-time clock was set.";
        TlsHandshakesFull("tls_handshakes_full", Count, Global)
            "Full TLS handshakes.";
        TlsHandshakesResumed("tls_handshakes_resumed", Count, Global)
            "TLS handshakes that resumed an earlier session.";
    }
}

catalogue! {
    /// Ratios of two counts.
    Rate {
        HttpReqFailed("http_req_failed", Ratio, EachKind)
            "Ratio of finished requests that failed.";
        Checks("checks", Ratio, EachKind)
            "Ratio of response checks that held.";
        Goodput("goodput", Ratio, EachKind)
            "Ratio of judged requests that met every goal of the profile's `[slo]`.";
    }
}

catalogue! {
    /// Levels: a value now, with the lowest and highest seen.
    Gauge {
        Vus("vus", Count, Global)
            "Active virtual users.";
        InFlight("in_flight", Count, Global)
            "Requests under way.";
        Connections("connections", Count, Global)
            "Established connections.";
    }
}

catalogue! {
    /// Numbers of the server's process: a server that we started, or `--server-pid`.
    ServerLevel {
        RssGrowth("server_rss_growth", MegabytesPerHour, Global)
            "Growth of the server's resident memory. Unknown, and so not a pass, while the run is too short to say.";
        RssMax("server_rss_max", Megabytes, Global)
            "Highest resident memory of the server in the measurement window.";
        Cpu("server_cpu", Cores, Global)
            "CPU time of the server in the measurement window.";
    }
}

/// Anything a threshold can be set on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    Trend(Trend),
    Counter(Counter),
    Rate(Rate),
    Gauge(Gauge),
    Server(ServerLevel),
}

impl Metric {
    /// All metrics, trends first.
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

    /// Its name in thresholds, JSON and the report.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// What other tools call it. Understood where people write, but never written by us.
    pub const fn aliases(self) -> &'static [&'static str] {
        self.row().aliases
    }

    pub const fn unit(self) -> Unit {
        self.row().unit
    }

    /// What it means, in a sentence or two.
    pub const fn help(self) -> &'static str {
        self.row().help
    }

    /// Whether it is kept for the whole run only, and not for each kind of request.
    pub const fn is_global(self) -> bool {
        matches!(self.row().scope, Scope::Global)
    }

    pub const fn kind(self) -> MetricKind {
        match self {
            Self::Trend(_) => MetricKind::Trend,
            Self::Counter(_) => MetricKind::Counter,
            Self::Rate(_) => MetricKind::Rate,
            Self::Gauge(_) | Self::Server(_) => MetricKind::Gauge,
        }
    }

    /// The metric with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|m| m.name() == name)
    }

    /// The metric that a person means: by its name or an alias.
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
