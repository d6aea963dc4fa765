//! The server's own metrics, read while it is tested and compared with the measurements.
//!
//! They are read once a second, on a separate thread. Levels and rates are those of the measurement
//! window, as exactly as whole seconds allow. Counts are compared over the whole test: the server
//! has counted the warm-up, too.

use super::error::TrialError;
use super::reach::{self, Targets};
use super::signals::Stop;
use crate::document::{Compared, ServerMetrics, ServerNumber};
use crate::metrics::{Counter, Distribution, Metric, Rate, Second, ServerLevel, Summary, Trend};
use crate::mix::{Envelope, KeyAs};
use crate::net::tls::TlsConfigError;
use crate::plan::{Access, Keys, Plan, Scrape, Target};
use crate::units::{Nanos, rounded};
use crate::watch::probe;
use crate::watch::scraper::{self, Question, Reading, Readings, Scraper};
use crate::watch::self_report::{Report, Said, grown};

/// Path at which servers usually publish their metrics.
const PATH: &str = "/metrics";
/// Longest wait for one response. No other request is sent meanwhile.
const ANSWER_WITHIN: Nanos = Nanos::from_secs(2);

/// The server's metrics while they are being read.
#[derive(Debug)]
pub(super) struct Scraping {
    scraper: Scraper,
    source: Source,
    first: Report,
    own: Vec<String>,
}

/// The URL to read metrics from, with everything needed to ask there. It can be moved to another
/// thread.
#[derive(Debug, Clone)]
struct Source {
    url: String,
    target: Target,
    access: Access,
    path: String,
    envelope: Envelope,
    /// The target's API keys, which may change during the test. `None` for another origin.
    keys: Option<Keys>,
}

impl Source {
    /// Returns `None` if the metrics are not to be read, or if their address was neither given nor
    /// found.
    fn of(plan: &Plan, stop: &Stop) -> Result<Option<Self>, TrialError> {
        let (target, path) = match &plan.server_metrics.source {
            Scrape::Off => return Ok(None),
            Scrape::Auto => {
                // Metrics of one server do not describe several. If the target's path ends in that
                // of the APIs, nothing outside it is requested.
                let is_known = plan.found.as_ref().is_some_and(|found| found.kind.name != "llmsim");
                let is_askable = plan.may_probe && is_known && plan.access.more_targets.is_empty();
                if !is_askable || plan.target.path_prefix.ends_with("/v1") {
                    return Ok(None);
                }
                (plan.target.clone(), format!("{}{PATH}", plan.target.path_prefix))
            }
            Scrape::At(target) => {
                let path = if target.path_prefix.is_empty() { PATH } else { &target.path_prefix };
                (target.clone(), path.to_owned())
            }
        };
        let url = format!("{}{path}", target.origin());
        // The addresses that were found for a target, and its key, are used for its origin only.
        let tested = plan.targets().zip(plan.envelopes()).find(|(tested, _)| tested.origin() == target.origin());
        let mut access = Access { more_targets: Vec::new(), ..plan.access.clone() };
        let keys = tested.as_ref().map(|_| plan.credentials.keys.clone());
        let (target, envelope) = if let Some((tested, envelope)) = tested {
            (Target { addrs: tested.addrs.clone(), ..target }, envelope)
        } else {
            // The UNIX socket leads to the target.
            access.unix_socket = None;
            let target = reach::located(target, access.clone(), stop, &mut |_| {})?;
            let envelope = bare(plan, &target);
            (target, envelope)
        };
        let query = if target.query.is_empty() { envelope.query } else { target.query.clone() };
        let envelope = Envelope { path_prefix: String::new(), query, ..envelope };
        Ok(Some(Self { url, target, access, path, envelope, keys }))
    }

    /// Returns a function that asks repeatedly. It must be made on the thread that asks.
    fn into_question(self) -> Result<Question, TlsConfigError> {
        let Self { target, access, path, envelope, keys, .. } = self;
        let dialer = Targets::new(vec![target], access).dialer(1)?;
        Ok(Box::new(move || {
            let api_key = keys.as_ref().and_then(Keys::newest).or_else(|| envelope.api_key.clone());
            let request = reach::get(&path, &[Envelope { api_key, ..envelope.clone() }], 0);
            probe::ask_at(&dialer.endpoint(0), &request, ANSWER_WITHIN)
        }))
    }

    fn ask_once(&self, own: &[String], stop: &Stop) -> Result<Report, String> {
        let (source, own) = (self.clone(), own.to_vec());
        let asked = stop.wait_for(move || {
            let mut question = source.into_question().map_err(|error| error.to_string())?;
            scraper::read(question(), &own)
        });
        asked.unwrap_or_else(|_| Err("interrupted".to_owned()))
    }
}

/// Returns the envelope for an origin that is not a target: it has none of the target's secrets.
fn bare(plan: &Plan, target: &Target) -> Envelope {
    Envelope {
        host: target.authority(),
        origin: if plan.access.proxy.is_some() && !target.tls { target.origin() } else { String::new() },
        path_prefix: String::new(),
        query: String::new(),
        api_key: None,
        basic_auth: None,
        key_as: KeyAs::OfApi,
        headers: Vec::new(),
    }
}

impl Scraping {
    /// Reads the metrics for the first time. `None` if there are none to read. `problem` is told
    /// why if the user asked for them.
    pub(super) fn begin(plan: &Plan, stop: &Stop, problem: &mut dyn FnMut(String)) -> Option<Self> {
        let is_at = matches!(plan.server_metrics.source, Scrape::At(_));
        let mut problem = |text: String| {
            if is_at || !plan.server_metrics.names.is_empty() {
                problem(text);
            }
        };
        let source = match Source::of(plan, stop) {
            Ok(Some(source)) => source,
            Ok(None) => {
                problem("the server's metrics cannot be read: name their URL with --server-metrics".to_owned());
                return None;
            }
            Err(error) => {
                problem(format!("no metrics can be read: {error}"));
                return None;
            }
        };
        let own = plan.server_metrics.names.clone();
        let first = match source.ask_once(&own, stop) {
            Ok(first) => first,
            Err(reason) => {
                problem(format!("{}: no metrics can be read: {reason}", source.url));
                return None;
            }
        };
        let make = {
            let source = source.clone();
            // Any error would have been reported above.
            move || source.into_question().ok()
        };
        let scraper = Scraper::start(make, own.clone())?;
        Some(Self { scraper, source, first, own })
    }

    /// Reads the metrics at the end of a second.
    pub(super) fn tick(&self, elapsed: Nanos) {
        self.scraper.tick(elapsed);
    }

    /// Reads the metrics for the last time, fills in the seconds, and compares the readings with
    /// the measurements.
    fn end(
        self,
        plan: &Plan,
        stop: &Stop,
        series: &mut [Second],
        (summary, outside): (&Summary, Option<&Summary>),
    ) -> ServerMetrics {
        let Self { scraper, source, first, own } = self;
        let Readings { readings, mut failed, mut problem } = scraper.finish(ANSWER_WITHIN);
        let last = match source.ask_once(&own, stop) {
            Ok(last) => last,
            Err(reason) => {
                failed += 1;
                problem = Some(reason);
                readings.last().map_or_else(|| first.clone(), |reading| reading.report.clone())
            }
        };
        let begin = Reading { at: Nanos::ZERO, report: first.clone() };
        let all: Vec<Reading> = std::iter::once(begin).chain(readings).collect();
        fill(series, &all, &own);
        let window = (plan.warmup, plan.warmup + summary.window);
        let seen = Seen { in_window: within(&all, window), own: &own };
        ServerMetrics {
            url: source.url,
            server: last.server.or(first.server).map(str::to_owned),
            readings: all.len() as u64,
            failed: failed.into(),
            problem,
            numbers: seen.numbers().into_iter().collect(),
            compared: compared(&seen, (&first, &last), plan, (summary, outside)),
        }
    }
}

/// Ends the reading, if there is one. Fills in the seconds, and adds the server's metrics to the
/// summary.
pub(super) fn end(
    scraping: Option<Scraping>,
    (plan, stop): (&Plan, &Stop),
    series: &mut [Second],
    (summary, outside): (Summary, Option<&Summary>),
) -> (Option<ServerMetrics>, Summary) {
    let said = scraping.map(|scraping| scraping.end(plan, stop, series, (&summary, outside)));
    let levels = said.as_ref().map_or_else(Vec::new, ServerMetrics::levels);
    (said, summary.with_levels(levels))
}

/// Adds to each second the metrics that were read at its end.
fn fill(series: &mut [Second], all: &[Reading], own: &[String]) {
    for pair in all.windows(2) {
        let [_, after] = pair else { continue };
        let Some(second) = Second::read_at(series, after.at) else { continue };
        let pair = Seen { in_window: pair, own };
        second.server_metrics = pair.numbers().into_iter().map(|(name, number)| (name, number.mean)).collect();
    }
}

/// Returns the readings from the last one before or at the window's begin to the last one in the
/// window.
fn within(all: &[Reading], (from, until): (Nanos, Nanos)) -> &[Reading] {
    /// A reading is taken a little after the end of its second.
    const SLACK: Nanos = Nanos::from_millis(500);
    let begin = all.iter().rposition(|reading| reading.at <= from + SLACK).unwrap_or_default();
    let end = all.iter().rposition(|reading| reading.at <= until + SLACK).unwrap_or_default();
    all.get(begin..=end).unwrap_or_default()
}

/// The readings of a period. The first one marks its beginning.
struct Seen<'a> {
    in_window: &'a [Reading],
    own: &'a [String],
}

impl Seen<'_> {
    fn edges(&self) -> Option<(&Reading, &Reading)> {
        let (first, last) = (self.in_window.first()?, self.in_window.last()?);
        (first.at < last.at).then_some((first, last))
    }

    /// Returns how much a count has grown.
    fn grown(&self, what: Said) -> Option<f64> {
        let (first, last) = self.edges()?;
        last.report.grown(&first.report, what)
    }

    /// Returns the mean of the times added to a histogram, in ms.
    fn mean_ms(&self, sum: Said, count: Said) -> Option<f64> {
        let (sum, count) = (self.grown(sum)?, self.grown(count)?);
        (count > 0.0).then(|| 1e3 * sum / count)
    }

    /// Returns the metrics by name.
    fn numbers(&self) -> Vec<(String, ServerNumber)> {
        use ServerLevel as L;
        let levels = [(L::Running, Said::Running), (L::Waiting, Said::Waiting), (L::KvUse, Said::KvUse)];
        let of_level = |(level, what): (L, Said)| {
            let number = self.level(Metric::Server(level).unit().name(), &|report| report.get(what))?;
            Some((level.name().to_owned(), number))
        };
        let counts = [
            ("server_prompt_tokens", "tokens/s", Said::PromptTokens),
            ("server_output_tokens", "tokens/s", Said::OutputTokens),
        ];
        let of_count = |(name, unit, what): (&str, &str, Said)| {
            Some((name.to_owned(), self.count(unit, &|report| report.get(what))?))
        };
        let preemptions = (L::Preemptions.name(), "1/s", Said::Preemptions);
        let hits = self.hits().map(|share| {
            let number =
                ServerNumber { unit: "ratio".to_owned(), mean: rounded(share), max: rounded(share), total: None };
            (L::PrefixHits.name().to_owned(), number)
        });
        let own = self.own.iter().enumerate().filter_map(|(i, name)| {
            let is_counter = self.in_window.iter().any(|reading| reading.report.counters.get(i) == Some(&true));
            let value = |report: &Report| report.own.get(i).copied().flatten();
            let number = if is_counter { self.count("1/s", &value) } else { self.level("", &value) };
            Some((name.clone(), number?))
        });
        let known = levels.into_iter().filter_map(of_level);
        known.chain(counts.into_iter().chain([preemptions]).filter_map(of_count)).chain(hits).chain(own).collect()
    }

    /// Returns the share of prompt tokens looked up in the cache that were found there.
    fn hits(&self) -> Option<f64> {
        let (hits, asked) = (self.grown(Said::PrefixHits)?, self.grown(Said::PrefixQueries)?);
        (asked > 0.0).then(|| (hits / asked).min(1.0))
    }

    /// Returns a level. The first reading is left out: it describes the time before.
    fn level(&self, unit: &str, value: &dyn Fn(&Report) -> Option<f64>) -> Option<ServerNumber> {
        let values: Vec<f64> = self.in_window.iter().skip(1).filter_map(|reading| value(&reading.report)).collect();
        let max = values.iter().copied().reduce(f64::max)?;
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        Some(ServerNumber { unit: unit.to_owned(), mean: rounded(mean), max: rounded(max), total: None })
    }

    /// Returns a count by its growth per second.
    fn count(&self, unit: &str, value: &dyn Fn(&Report) -> Option<f64>) -> Option<ServerNumber> {
        let rate = |before: &Reading, after: &Reading| {
            let seconds = after.at.since(before.at).as_secs_f64();
            let growth = grown(value(&before.report), value(&after.report))?;
            (seconds > 0.0).then(|| (growth, growth / seconds))
        };
        let (first, last) = self.edges()?;
        let (total, mean) = rate(first, last)?;
        let pairs = self.in_window.windows(2).filter_map(|pair| Some(rate(pair.first()?, pair.get(1)?)?.1));
        let max = pairs.fold(mean, f64::max);
        Some(ServerNumber {
            unit: unit.to_owned(),
            mean: rounded(mean),
            max: rounded(max),
            total: Some(rounded(total)),
        })
    }
}

/// Explains why times differ.
const OUTSIDE: &str = "our times also include the network, HTTP, and any wait before the server's clock starts";

/// Returns the server's metrics beside our measurements. Counts cover the whole test, times the
/// window.
fn compared(
    seen: &Seen<'_>,
    (first, last): (&Report, &Report),
    plan: &Plan,
    (summary, outside): (&Summary, Option<&Summary>),
) -> Vec<Compared> {
    // The server has counted all shards.
    if plan.shard.is_part() {
        return Vec::new();
    }
    let sum = |of: &dyn Fn(&Summary) -> u64| of(summary) + outside.map_or(0, of);
    let generating = || plan.mix.kinds.iter().filter(|kind| kind.api.generates());
    let of_kinds = |counter: Counter| {
        sum(&|part| {
            generating().filter_map(|kind| part.counter(counter, Some(&kind.name))).map(|value| value.count).sum()
        })
    };
    // Requests to other APIs are left out: the server does not count them among these.
    let succeeded = sum(&|part| {
        let rates = generating().filter_map(|kind| part.rate(Rate::HttpReqFailed, Some(&kind.name)));
        rates.map(|rate| rate.total - rate.matches).sum()
    });
    let unfinished = "some servers count requests that failed or were abandoned, and others do not";
    let prompts = "our count is the sum of what the responses reported, and some may have reported nothing";
    let count = |name: &str, what: Said, ours: u64, note: String| {
        let server = last.grown(first, what)?;
        Some(Compared { name: name.to_owned(), unit: String::new(), server: rounded(server), ours: ours as f64, note })
    };
    let mean = |trend: Trend| {
        let of_kinds = || generating().filter_map(|kind| summary.trend(trend, Some(&kind.name)));
        let count: u64 = of_kinds().map(|times| times.count).sum();
        (count > 0).then(|| of_kinds().map(Distribution::sum_ms).sum::<f64>() / count as f64)
    };
    let time = |name: &str, server: Option<f64>, trend: Trend| {
        let (server, ours) = (rounded(server?), rounded(mean(trend)?));
        Some(Compared { name: name.to_owned(), unit: "ms".to_owned(), server, ours, note: OUTSIDE.to_owned() })
    };
    [
        count("all requests", Said::Requests, succeeded, unfinished.to_owned()),
        count("all prompt tokens", Said::PromptTokens, of_kinds(Counter::TokensInput), prompts.to_owned()),
        count("all output tokens", Said::OutputTokens, of_kinds(Counter::TokensOutput), unfinished.to_owned()),
        time("mean ttft", seen.mean_ms(Said::TtftSum, Said::TtftCount), Trend::Ttft),
        time("mean tbt", seen.mean_ms(Said::ItlSum, Said::ItlCount), Trend::Tbt),
        time("mean duration", seen.mean_ms(Said::EndToEndSum, Said::EndToEndCount), Trend::HttpReqDuration),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Failure, Outcome, Sample, Tally};
    use crate::plan::{Api, Kind, Mix, Overrides, resolve};

    fn reading(second: u64, text: &str) -> Reading {
        Reading { at: Nanos::from_millis(second * 1000 + 3), report: Report::read(text.as_bytes(), &own()) }
    }

    fn own() -> Vec<String> {
        vec!["mine".to_owned()]
    }

    /// A server with this many running requests, which has generated this many tokens.
    fn said(second: u64, running: u32, tokens: u32) -> Reading {
        reading(
            second,
            &format!("vllm:num_requests_running {running}\nvllm:generation_tokens_total {tokens}\nmine {second}\n"),
        )
    }

    fn numbers(all: &[Reading], window: (u64, u64)) -> std::collections::BTreeMap<String, ServerNumber> {
        let s = Nanos::from_secs;
        Seen { in_window: within(all, (s(window.0), s(window.1))), own: &own() }.numbers().into_iter().collect()
    }

    #[test]
    fn levels_and_rates_are_those_of_the_window() {
        let all = [said(0, 9, 0), said(1, 9, 1000), said(2, 2, 1100), said(3, 4, 1300), said(4, 9, 9999)];
        let seen = numbers(&all, (1, 3));
        let running = &seen["server_running"];
        assert_eq!((running.mean, running.max, running.total), (3.0, 4.0, None));
        let tokens = &seen["server_output_tokens"];
        assert_eq!((tokens.mean, tokens.max, tokens.total), (150.0, 200.0, Some(300.0)));
        assert_eq!((seen["mine"].mean, seen["mine"].unit.as_str()), (2.5, ""));
        assert!(numbers(&all[..1], (0, 3)).is_empty(), "one reading is no stretch");
        assert!(numbers(&[], (0, 3)).is_empty());
    }

    #[test]
    fn only_requests_that_generate_are_compared() {
        let mut nothing = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        let mut plan = resolve("load", &Overrides::default(), &mut nothing).expect("built in").plan;
        let generating = Kind { name: "chat".to_owned(), ..plan.mix.kinds[0].clone() };
        let other = Kind { name: "models".to_owned(), ..Kind::bare(Api::Models, ANSWER_WITHIN) };
        plan.mix = Mix { kinds: vec![generating, other] }.into();
        let mut tally = Tally::new(2);
        for (kind, outcome, bytes_sent, took_ms) in [
            (0, Outcome::Success, 9, 20),
            (0, Outcome::Success, 9, 40),
            (0, Outcome::Failed(Failure::Http5xx), 9, 900),
            // The server has not seen this request.
            (0, Outcome::Failed(Failure::ConnectRefused), 0, 900),
            (1, Outcome::Failed(Failure::Http4xx), 9, 900),
            (1, Outcome::Success, 9, 900),
        ] {
            let end = Nanos::from_millis(took_ms);
            tally.record(&Sample { outcome, end, bytes_sent, ..Sample::begun(kind, Nanos::ZERO) });
        }
        let summary = Summary::new(&tally, &plan.mix.names(), Nanos::from_secs(1));
        let at = |n: u32| Report::read(format!("vllm:request_success_total {n}\n").as_bytes(), &[]);
        let took = |s: &str, n: u32| {
            format!("vllm:e2e_request_latency_seconds_sum {s}\nvllm:e2e_request_latency_seconds_count {n}\n")
        };
        let seen = Seen { in_window: &[reading(0, &took("1.5", 3)), reading(1, &took("1.558", 5))], own: &[] };
        let lines = compared(&seen, (&at(5), &at(7)), &plan, (&summary, None));
        let numbers: Vec<_> = lines.iter().map(|line| (line.name.as_str(), line.server, line.ours)).collect();
        assert_eq!(numbers, [("all requests", 2.0, 2.0), ("mean duration", 29.0, 30.0)]);
    }

    #[test]
    fn a_count_that_shrinks_is_left_out() {
        let seen = numbers(&[said(0, 1, 500), said(1, 1, 20)], (0, 1));
        assert!(seen.contains_key("server_running") && !seen.contains_key("server_output_tokens"), "{seen:?}");
    }

    #[test]
    fn each_second_has_what_was_read_at_its_end() {
        let mut series: Vec<Second> = (0..3).map(|t_s| Second::new(t_s, &crate::metrics::Tally::new(0), &[])).collect();
        // The reading of the second second is missing.
        fill(&mut series, &[said(0, 1, 0), said(1, 5, 100), said(3, 7, 500)], &own());
        assert_eq!(series[0].server_metrics.get("server_running"), Some(&5.0));
        assert_eq!(series[0].server_metrics.get("server_output_tokens"), Some(&100.0));
        assert!(series[1].server_metrics.is_empty());
        assert_eq!(series[2].server_metrics.get("server_running"), Some(&7.0));
        assert_eq!(series[2].server_metrics.get("server_output_tokens"), Some(&200.0), "a second, over two of them");
    }
}
