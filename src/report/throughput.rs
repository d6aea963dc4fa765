//! What a server can do at most: as JSON with every step, and as the Markdown table that people paste.

use crate::document::{Build, Environment, Hint, Quantiles, TargetServer, json};
use crate::report::human;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// Name and version of the format.
pub const THROUGHPUT_SCHEMA: &str = "llmsim-blast.throughput/1";
/// The share of requests from which errors disqualify a step: llmsim's own benchmark says so.
pub const MOST_ERRORS: f64 = 0.001;
/// The 99th percentile from which a step is disqualified, in ms: a queue is no throughput.
pub const LONGEST_P99_MS: f64 = 50.0;

/// Where a stream ends that waits for one delayed acknowledgement of Linux (40 ms, and a tick) and nothing else.
const PLATEAU_MS: (f64, f64) = (40.0, 50.0);

/// All that was found. What a stopped sweep did not come to is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// [`THROUGHPUT_SCHEMA`].
    pub schema: String,
    /// Which build of this tool.
    pub build: Build,
    /// On which machine.
    pub environment: Environment,
    /// Where the server was.
    pub target: String,
    /// Which server answered.
    pub server: TargetServer,
    /// Whether it ran on this machine, and so shared it with this tool.
    pub same_machine: bool,
    /// How long a fresh server was warmed up.
    pub warmup_s: f64,
    /// How long each step was measured.
    pub step_s: f64,
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// Every step with answers in one piece, in the order measured.
    pub plain: Vec<Step>,
    /// Every step with streamed answers.
    pub streamed: Vec<Step>,
}

/// One concurrency with one server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The server's worker threads; none when it was running already.
    pub workers: Option<u32>,
    /// Requests at once.
    pub concurrency: u32,
    /// Requests that finished, a second.
    pub requests_per_s: f64,
    /// Generated tokens a second.
    pub tokens_per_s: f64,
    /// Durations of successful requests, in ms.
    pub http_req_duration: Option<Quantiles>,
    /// Time to first token, in ms.
    pub ttft: Option<Quantiles>,
    /// The share of requests that failed; none of nothing.
    pub failed: Option<f64>,
    /// CPU of this tool's busiest worker, as a share of its core.
    pub client_cpu: f64,
    /// This tool's worker threads.
    pub client_workers: u32,
    /// CPU of the server, in cores; none where it cannot be watched.
    pub server_cpu: Option<f64>,
    /// Whether this tool was the bottleneck: the server may be able to do more.
    pub client_bound: bool,
    /// Whether server and client had fewer cores than threads.
    pub shared_cores: bool,
    /// What the numbers say about the server.
    pub hints: Vec<Hint>,
}

/// Which answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In one piece: peak requests a second.
    Plain,
    /// Streamed: peak tokens a second.
    Streamed,
}

impl Step {
    /// What the mode is about.
    fn rate(&self, mode: Mode) -> f64 {
        match mode {
            Mode::Plain => self.requests_per_s,
            Mode::Streamed => self.tokens_per_s,
        }
    }

    /// Whether it counts. A stream's length is the server's choice of pauses, so only errors disqualify it.
    fn counts(&self, mode: Mode) -> bool {
        let errors = self.failed.is_some_and(|share| share < MOST_ERRORS);
        errors && (mode == Mode::Streamed || self.http_req_duration.is_some_and(|q| q.p99 < LONGEST_P99_MS))
    }
}

impl Throughput {
    /// The steps of a mode.
    pub fn steps(&self, mode: Mode) -> &[Step] {
        match mode {
            Mode::Plain => &self.plain,
            Mode::Streamed => &self.streamed,
        }
    }

    /// The best step of each number of worker threads, in the order measured; none for one of which no step counts.
    fn rows(&self, mode: Mode) -> Vec<(Option<u32>, Option<&Step>)> {
        let steps = self.steps(mode);
        let mut workers: Vec<Option<u32>> = Vec::new();
        for step in steps {
            if !workers.contains(&step.workers) {
                workers.push(step.workers);
            }
        }
        let best = |w: Option<u32>| {
            let counting = steps.iter().filter(|step| step.workers == w && step.counts(mode));
            counting.max_by(|a, b| a.rate(mode).total_cmp(&b.rate(mode)))
        };
        workers.into_iter().map(|w| (w, best(w))).collect()
    }

    /// Whether any request succeeded.
    pub fn has_data(&self) -> bool {
        self.plain.iter().chain(&self.streamed).any(|step| step.failed.is_some_and(|share| share < 1.0))
    }

    /// As JSON for files: keys sorted, indented, with a newline at the end.
    pub fn to_json(&self) -> String {
        json::pretty(self)
    }

    /// As Markdown.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "llmsim-blast {} throughput of {}\n", self.build.version, self.server_name())?;
        let e = &self.environment;
        let unknown = || "unknown".to_owned();
        let memory = e.memory_bytes.map_or_else(unknown, |n| human::bytes(n as f64));
        let cpu = e.cpu_model.clone().unwrap_or_else(unknown);
        writeln!(text, "- machine: {cpu}, {} cores, {memory} memory", e.cores.map_or_else(unknown, |n| n.to_string()))?;
        let kernel = e.kernel.clone().unwrap_or_else(unknown);
        writeln!(text, "- system: {} {kernel}, {}", e.os, e.arch)?;
        if self.server.started {
            writeln!(
                text,
                "- server: started afresh for each number of worker threads; latency instant, 16 tokens, no errors"
            )?;
        } else {
            writeln!(text, "- server: was running at {}, configured as it is", self.target)?;
        }
        let (warmup, step) = (human::length(self.warmup_s), human::length(self.step_s));
        writeln!(
            text,
            "- each step {step}, after a warm-up of {warmup} for each server; kept is the highest rate with errors below"
        )?;
        writeln!(text, "  {} and, of plain answers, p99 below {LONGEST_P99_MS} ms", human::percent(MOST_ERRORS))?;
        self.write_table(text, Mode::Plain)?;
        self.write_table(text, Mode::Streamed)?;
        self.write_caveats(text)?;
        if self.interrupted {
            writeln!(text, "\nStopped by a signal: what is missing was not measured.")?;
        }
        Ok(())
    }

    fn server_name(&self) -> String {
        let kind = self.server.kind.clone().unwrap_or_else(|| "a server".to_owned());
        self.server.version.as_ref().map_or_else(|| kind.clone(), |version| format!("{kind} {version}"))
    }

    fn write_table(&self, text: &mut String, mode: Mode) -> std::fmt::Result {
        let rows = self.rows(mode);
        if rows.is_empty() {
            return Ok(());
        }
        let (title, rate) = match mode {
            Mode::Plain => ("Plain answers", "RPS"),
            Mode::Streamed => ("Streamed answers", "tokens/s"),
        };
        writeln!(text, "\n{title}\n")?;
        let line = |text: &mut String, cells: [&str; 9]| {
            let [workers, best, rate, p50, p95, p99, errors, scaling, client] = cells;
            writeln!(
                text,
                "| {workers:>7} | {best:>7} | {rate:>8} | {p50:>6} | {p95:>6} | {p99:>6} | {errors:>7} | {scaling:>12} | {client:>10} |"
            )
        };
        line(text, ["workers", "best -c", rate, "p50", "p95", "p99", "error %", "scaling vs 1", "client CPU"])?;
        let dash = |n: usize| format!("{}:", "-".repeat(n - 1));
        let dashes = [7, 7, 8, 6, 6, 6, 7, 12, 10].map(dash);
        line(text, dashes.each_ref().map(String::as_str))?;
        let one = rows.iter().find(|(workers, _)| *workers == Some(1)).and_then(|(_, step)| *step);
        for (workers, step) in &rows {
            let name = workers.map_or_else(|| "running".to_owned(), |n| n.to_string());
            let Some(step) = step else {
                line(text, [&name, "none", "-", "-", "-", "-", "-", "-", "-"])?;
                continue;
            };
            let time = |of: fn(Quantiles) -> f64| {
                step.http_req_duration.map_or_else(|| "-".to_owned(), |q| human::time(of(q)))
            };
            let scaling = one.map_or_else(|| "-".to_owned(), |one| format!("{:.2}x", step.rate(mode) / one.rate(mode)));
            let marks =
                format!("{}{}", if step.shared_cores { "~" } else { "" }, if step.client_bound { "!" } else { "" });
            line(
                text,
                [
                    &name,
                    &step.concurrency.to_string(),
                    human::per_second(step.rate(mode)).trim_end_matches("/s"),
                    &time(|q| q.p50),
                    &time(|q| q.p95),
                    &time(|q| q.p99),
                    &format!("{:.3}", step.failed.unwrap_or_default() * 100.0),
                    &scaling,
                    &format!("{marks}{:.0}%", step.client_cpu * 100.0),
                ],
            )?;
        }
        writeln!(text, "\n{}", self.headline(mode, &rows))
    }

    fn headline(&self, mode: Mode, rows: &[(Option<u32>, Option<&Step>)]) -> String {
        let best = rows.iter().filter_map(|(_, step)| *step).max_by(|a, b| a.rate(mode).total_cmp(&b.rate(mode)));
        let Some(best) = best else {
            return "**No step kept to the limits.** The JSON (--output) has all of them.".to_owned();
        };
        let with = match best.workers {
            Some(1) => " with 1 worker thread".to_owned(),
            Some(n) => format!(" with {n} worker threads"),
            None => String::new(),
        };
        let unit = if mode == Mode::Plain { "requests/s" } else { "streamed tokens/s" };
        let rate = human::per_second(best.rate(mode));
        format!(
            "**{}: {} {unit}{with}, {} at once.**",
            self.server_name(),
            rate.trim_end_matches("/s"),
            best.concurrency
        )
    }

    fn write_caveats(&self, text: &mut String) -> std::fmt::Result {
        let best: Vec<&Step> = [Mode::Plain, Mode::Streamed]
            .into_iter()
            .flat_map(|mode| self.rows(mode))
            .filter_map(|(_, step)| step)
            .collect();
        writeln!(text)?;
        let mut say = |line: &str| {
            for (i, part) in human::wrapped(line, 98).iter().enumerate() {
                writeln!(text, "{}{part}", if i == 0 { "- " } else { "  " })?;
            }
            Ok(())
        };
        if self.same_machine {
            say(
                "Client and server ran on the same machine and shared its cores, memory and loopback: on two machines a server \
                 has more for itself, and a network before it. client CPU is the share of its core that our busiest worker used.",
            )?;
        } else {
            say("client CPU is the share of its core that our busiest worker used.")?;
        }
        if best.iter().any(|step| step.shared_cores) {
            say(
                "~ server and client had fewer cores than threads: they took CPU time from each other, and scaling says little.",
            )?;
        }
        if best.iter().any(|step| step.client_bound) {
            say("! the client was the bottleneck: the server may be able to do more.")?;
        }
        let waits = |step: &Step| step.http_req_duration.is_some_and(|q| (PLATEAU_MS.0..PLATEAU_MS.1).contains(&q.p50));
        let told = self.streamed.iter().flat_map(|step| &step.hints).any(|hint| hint.name == "nagle");
        if self.server.started && !told && self.streamed.iter().any(waits) {
            say(
                "Streams of instant answers that take 40 ms and more wait for delayed acknowledgements: the server writes small \
                 pieces with Nagle's algorithm on. Their rate is that wait's, at whatever concurrency, not the server's CPU's.",
            )?;
        }
        let mut hints: Vec<&Hint> = Vec::new();
        for hint in self.plain.iter().chain(&self.streamed).flat_map(|step| &step.hints) {
            if !hints.iter().any(|known| known.name == hint.name) {
                hints.push(hint);
            }
        }
        for hint in hints {
            say(&format!("{}: {}.", hint.name, hint.text))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(workers: Option<u32>, concurrency: u32, rate: f64, p99: f64) -> Step {
        Step {
            workers,
            concurrency,
            requests_per_s: rate,
            tokens_per_s: rate * 16.0,
            http_req_duration: Some(Quantiles { p50: p99 / 4.0, p95: p99 / 2.0, p99 }),
            ttft: None,
            failed: Some(0.0),
            client_cpu: 0.55,
            client_workers: 1,
            server_cpu: Some(1.0),
            client_bound: false,
            shared_cores: false,
            hints: Vec::new(),
        }
    }

    fn found(plain: Vec<Step>, streamed: Vec<Step>) -> Throughput {
        let server = TargetServer {
            started: true,
            kind: Some("llmsim".to_owned()),
            version: Some("0.6.0".to_owned()),
            ..TargetServer::default()
        };
        Throughput {
            schema: THROUGHPUT_SCHEMA.to_owned(),
            build: Build { version: "1.2.3".to_owned(), ..Build::default() },
            environment: Environment::default(),
            target: "http://127.0.0.1:8080".to_owned(),
            server,
            same_machine: true,
            warmup_s: 5.0,
            step_s: 30.0,
            interrupted: false,
            plain,
            streamed,
        }
    }

    #[test]
    fn the_highest_rate_within_the_limits_is_kept() {
        let slow = step(Some(1), 256, 30_000.0, 50.0);
        let failing = Step { failed: Some(0.001), ..step(Some(1), 128, 25_000.0, 9.0) };
        let plain = vec![step(Some(1), 16, 10_000.0, 4.0), step(Some(1), 64, 20_000.0, 8.0), failing, slow];
        let two = Step { client_bound: true, shared_cores: true, ..step(Some(2), 64, 30_000.0, 12.0) };
        let text = found([plain, vec![two]].concat(), Vec::new()).to_text();
        for part in [
            "|       1 |      64 |    20.0k | 2.00ms | 4.00ms | 8.00ms |   0.000 |        1.00x |        55% |\n",
            "|       2 |      64 |    30.0k | 3.00ms | 6.00ms | 12.0ms |   0.000 |        1.50x |      ~!55% |\n",
            "**llmsim 0.6.0: 30.0k requests/s with 2 worker threads, 64 at once.**",
            "- Client and server ran on the same machine",
            "- ~ server and client had fewer cores",
            "- ! the client was the bottleneck",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        assert!(!text.contains("Streamed"), "{text}");
    }

    #[test]
    fn streams_are_judged_by_tokens_and_their_plateau_is_told() {
        let hint = Hint { name: "nagle".to_owned(), text: "95 % of tbt lie at 40 to 44 ms".to_owned() };
        let stream = Step { hints: vec![hint.clone(), hint], ..step(None, 64, 1_455.0, 88.0) };
        let text = found(Vec::new(), vec![stream]).to_text();
        assert!(
            text.contains("| running |      64 |    23.3k | 22.0ms | 44.0ms | 88.0ms |   0.000 |            - |"),
            "{text}"
        );
        assert_eq!(text.matches("- nagle: 95 % of tbt lie at 40 to 44 ms.").count(), 1, "{text}");
        assert!(text.contains("23.3k streamed tokens/s, 64 at once"), "{text}");
    }

    #[test]
    fn a_plateau_is_told_although_no_pattern_was_clear_enough() {
        let text = |p99| found(Vec::new(), vec![step(Some(1), 64, 1_455.0, p99)]).to_text();
        assert!(text(176.0).contains("wait for delayed acknowledgements"), "{}", text(176.0));
        assert!(!text(20.0).contains("wait for delayed acknowledgements"));
    }

    #[test]
    fn what_kept_to_no_limit_is_said() {
        let found = Throughput { interrupted: true, ..found(vec![step(Some(1), 16, 100.0, 70.0)], Vec::new()) };
        let text = found.to_text();
        assert!(
            text.contains("|       1 |    none |        - |") && text.contains("**No step kept to the limits.**"),
            "{text}"
        );
        assert!(text.contains("Stopped by a signal") && found.has_data(), "{text}");
        let none = Step { failed: Some(1.0), ..step(None, 1, 0.0, 0.0) };
        assert!(!Throughput { plain: vec![none], ..found }.has_data());
    }

    #[test]
    fn the_json_reads_back() {
        let found = found(vec![step(Some(1), 16, 100.5, 7.0)], Vec::new());
        assert_eq!(serde_json::from_str::<Throughput>(&found.to_json()).unwrap(), found);
    }
}
