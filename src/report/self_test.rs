//! What a self-test found: as JSON, and as the table that people read.

use crate::document::{Build, json};
use crate::report::human;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// Name and version of the format.
pub const SELF_TEST_SCHEMA: &str = "llmsim-blast.self-test/1";
/// The error that a machine's verdict is about: the p99 of TTFT and of gaps, reported minus recorded.
pub const ERROR_LIMIT_MS: f64 = 1.0;
/// The share of its core from which a side is at its limit. The rest is the kernel's and the neighbours'.
pub const CPU_LIMIT: f64 = 0.9;
/// The share of gaps whose instants are not known, above which percentiles say little.
pub const CENSORED_LIMIT: f64 = 0.1;
/// The share of these cores that other programs may use before a warning says so.
pub const OTHERS_LIMIT: f64 = 0.05;
/// The 99th percentile of fewer gaps is a matter of a few of them: one program that wakes up beside us would decide the verdict.
pub const MIN_GAPS: u64 = 1_000;

/// All that was found. What a stopped test did not come to is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SelfTest {
    /// [`SELF_TEST_SCHEMA`].
    pub schema: String,
    /// Which build of this tool.
    pub build: Build,
    /// On which machine.
    pub machine: Machine,
    /// Whether it was the short one.
    pub quick: bool,
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// The share of the two cores that neither side used and that was busy all the same: other programs, and time that the hypervisor
    /// gave to other machines. None where the kernel does not tell.
    pub others_cpu: Option<f64>,
    /// What a connection takes.
    pub memory: Option<Memory>,
    /// Speed and cost, by kind of work.
    pub work: Vec<Work>,
    /// Reported against recorded, by number of streams, in the order measured.
    pub truth: Vec<Truth>,
    /// What this machine can do.
    pub verdict: Option<Verdict>,
}

/// On which machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu_model: String,
    /// Cores that this process may use.
    pub cores: u32,
    /// The kernel's release.
    pub kernel: String,
    /// What the clock stands on.
    pub clocksource: String,
    /// The origin's core; none when it is not pinned.
    pub origin_core: Option<u32>,
    /// The worker's core; none when it is not pinned.
    pub client_core: Option<u32>,
}

/// What a connection takes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Idle connections that were open.
    pub connections: u64,
    /// Resident memory of the whole process with them.
    pub rss_bytes: u64,
    /// Its growth, for each of them. The kernel's share is not in it.
    pub bytes_per_connection: f64,
}

/// Speed and cost of one kind of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Which.
    pub name: String,
    /// What is counted: requests, responses, events.
    pub unit: String,
    /// Connections at once.
    pub connections: u32,
    /// How many a second.
    pub per_second: f64,
    /// The worker's CPU time for each, user and system.
    pub client_cpu_us: f64,
    /// The share of its core that the worker used.
    pub client_cpu: f64,
    /// The share of its core that the origin used.
    pub origin_cpu: f64,
    /// Requests that failed.
    pub failed: u64,
}

/// Times as one side saw them, in ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// Time to first token, mean.
    pub ttft_mean: f64,
    /// Time to first token, 99th percentile.
    pub ttft_p99: f64,
    /// Between tokens, 99th percentile.
    pub gap_p99: f64,
}

/// Reported against recorded, with a number of streams.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// Streams at once.
    pub streams: u32,
    /// How often it was measured; the attempt with the smaller error counts, since what disturbs a machine only adds to it.
    pub attempts: u32,
    /// Gaps between tokens that this tool saw.
    pub gaps: u64,
    /// Token events a second, all streams together.
    pub events_per_second: f64,
    /// What this tool reported, in ms.
    pub reported: Times,
    /// What the origin recorded, in ms.
    pub recorded: Times,
    /// The origin's own lateness, writing against its schedule, 99th percentile, in ms.
    pub origin_late_p99: f64,
    /// The share of gaps whose instants this tool calls unknown.
    pub censored: f64,
    /// Requests that failed or were cut off.
    pub failed: u64,
    /// The share of its core that the worker used.
    pub client_cpu: f64,
    /// The share of its core that the origin used.
    pub origin_cpu: f64,
}

/// What set the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// The worker's core was full, or most instants were unknown.
    ClientCpu,
    /// The origin's core was full: the client may be able to do more.
    OriginCpu,
    /// The error passed the limit before any core was full.
    Error,
    /// Requests failed.
    Failures,
}

/// What this machine can do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The most streams that were within all limits; none when not even one was.
    pub streams: Option<u32>,
    /// Tokens a second, each.
    pub tokens_per_second: f64,
    /// The largest error with that many, in ms.
    pub error_ms: f64,
    /// What set the limit; none when more was not tried.
    pub limit: Option<Limit>,
    /// The least streams that were beyond a limit.
    pub beyond: Option<u32>,
}

impl Truth {
    /// Reported minus recorded.
    pub fn error(&self) -> Times {
        Times {
            ttft_mean: self.reported.ttft_mean - self.recorded.ttft_mean,
            ttft_p99: self.reported.ttft_p99 - self.recorded.ttft_p99,
            gap_p99: self.reported.gap_p99 - self.recorded.gap_p99,
        }
    }

    /// The larger of the errors at p99, without its sign.
    pub fn worst_ms(&self) -> f64 {
        self.error().ttft_p99.abs().max(self.error().gap_p99.abs())
    }

    /// Which limit it is beyond, the cause before the effect.
    pub fn beyond(&self) -> Option<Limit> {
        if self.failed > 0 {
            Some(Limit::Failures)
        } else if self.client_cpu > CPU_LIMIT && self.client_cpu >= self.origin_cpu {
            Some(Limit::ClientCpu)
        } else if self.origin_cpu > CPU_LIMIT {
            Some(Limit::OriginCpu)
        } else if self.censored > CENSORED_LIMIT {
            Some(Limit::ClientCpu)
        } else if self.worst_ms() > ERROR_LIMIT_MS && self.gaps >= MIN_GAPS {
            Some(Limit::Error)
        } else {
            None
        }
    }
}

impl Verdict {
    /// What the measured truth comes to; none without any.
    pub fn of(truth: &[Truth], tokens_per_second: f64) -> Option<Self> {
        let least = truth.iter().filter(|t| t.beyond().is_some()).min_by_key(|t| t.streams);
        // One that was within all limits above another that was not was lucky.
        let within = truth.iter().filter(|t| t.beyond().is_none() && least.is_none_or(|l| t.streams < l.streams));
        let best = within.max_by_key(|t| t.streams);
        least.or(best)?;
        Some(Self {
            streams: best.map(|t| t.streams),
            tokens_per_second,
            error_ms: best.map_or(0.0, Truth::worst_ms),
            limit: least.and_then(Truth::beyond),
            beyond: least.map(|t| t.streams),
        })
    }

    /// In a sentence or two.
    fn sentence(&self) -> String {
        let rate = self.tokens_per_second;
        let mut text = match self.streams {
            Some(n) => {
                format!(
                    "this machine can drive {n} streams at {rate:.0} tokens/s with an error under {ERROR_LIMIT_MS} ms"
                )
            }
            None => format!(
                "this machine cannot drive one stream at {rate:.0} tokens/s with an error under {ERROR_LIMIT_MS} ms"
            ),
        };
        let why = match self.limit {
            None => "no limit was found; more streams were not tried",
            Some(Limit::ClientCpu) => "the client's core is the limit",
            Some(Limit::OriginCpu) => "the origin's core is the limit, so the client may do more",
            Some(Limit::Error) => "the error is the limit, before any core is full",
            Some(Limit::Failures) => "requests failed",
        };
        // Writing into a String cannot fail.
        let _ = match self.beyond {
            Some(n) => write!(text, "\n  ({why}: seen with {n})"),
            None => write!(text, "\n  ({why})"),
        };
        text
    }
}

impl SelfTest {
    /// As JSON for files: keys sorted, indented, with a newline at the end.
    pub fn to_json(&self) -> String {
        json::pretty(self)
    }

    /// As a table of 80 columns.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let m = &self.machine;
        writeln!(text, "llmsim-blast {} self-test", self.build.version)?;
        writeln!(text, "  {}, {} cores, kernel {}, clock {}", m.cpu_model, m.cores, m.kernel, m.clocksource)?;
        match (m.origin_core, m.client_core) {
            (Some(origin), Some(client)) if origin != client => {
                writeln!(text, "  origin on core {origin}, one worker on core {client}, the loopback between them")?;
            }
            (_, Some(core)) => writeln!(
                text,
                "  WARNING: origin and worker share core {core}: each waits for the other, and the\n  numbers below are not to be trusted"
            )?,
            _ => writeln!(text, "  WARNING: the system does not let us choose cores; numbers may vary a lot")?,
        }
        self.write_work(text)?;
        self.write_truth(text)?;
        if let Some(memory) = &self.memory {
            let (each, all) = (human::bytes(memory.bytes_per_connection), human::bytes(memory.rss_bytes as f64));
            writeln!(text, "\n  memory: {each} a connection; {all} resident with {} idle", memory.connections)?;
        }
        if let Some(verdict) = &self.verdict {
            writeln!(text, "\n  {}", verdict.sentence())?;
        }
        if let Some(others) = self.others_cpu.filter(|&others| others > OTHERS_LIMIT) {
            let share = whole_percent(others);
            writeln!(text, "  WARNING: other programs or machines used {share} of these cores meanwhile, and are")?;
            writeln!(text, "  in the errors above: close them and try again")?;
        }
        if self.interrupted {
            writeln!(text, "\n  stopped by a signal: what is missing was not measured")?;
        }
        Ok(())
    }

    fn write_work(&self, text: &mut String) -> std::fmt::Result {
        if self.work.is_empty() {
            return Ok(());
        }
        writeln!(
            text,
            "\n  {:<30}{:>6}{:>11}{:>10}{:>9}{:>8}",
            "work", "conns", "rate", "CPU each", "client", "origin"
        )?;
        for w in &self.work {
            writeln!(
                text,
                "  {:<30}{:>6}{:>11}{:>10}{:>9}{:>8}",
                w.name,
                w.connections,
                human::per_second(w.per_second),
                human::time(w.client_cpu_us / 1e3),
                whole_percent(w.client_cpu),
                whole_percent(w.origin_cpu),
            )?;
            if w.failed > 0 {
                writeln!(text, "  WARNING: {} requests of these failed", w.failed)?;
            }
        }
        writeln!(text, "  CPU each is the worker's; the kernel's work for the loopback is in it")
    }

    fn write_truth(&self, text: &mut String) -> std::fmt::Result {
        if self.truth.is_empty() {
            return Ok(());
        }
        writeln!(text, "\n  truth: reported minus recorded; first token after 50 ms, then one each 10 ms")?;
        let line = |text: &mut String, cells: [&str; 8]| {
            let [streams, events, mean, p99, gap, censored, client, origin] = cells;
            writeln!(text, "  {streams:>7}{events:>11}{mean:>11}{p99:>11}{gap:>11}{censored:>10}{client:>8}{origin:>8}")
        };
        line(text, ["streams", "events", "TTFT mean", "TTFT p99", "gap p99", "censored", "client", "origin"])?;
        let mut rows: Vec<&Truth> = self.truth.iter().collect();
        rows.sort_by_key(|t| t.streams);
        for t in rows {
            let e = t.error();
            line(
                text,
                [
                    &t.streams.to_string(),
                    &human::per_second(t.events_per_second),
                    &signed(e.ttft_mean),
                    &signed(e.ttft_p99),
                    &signed(e.gap_p99),
                    &human::percent(t.censored),
                    &whole_percent(t.client_cpu),
                    &whole_percent(t.origin_cpu),
                ],
            )?;
            if t.failed > 0 {
                writeln!(text, "  WARNING: {} requests of these failed or were cut off", t.failed)?;
            }
        }
        Ok(())
    }
}

fn whole_percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// A difference of times, with its sign.
fn signed(ms: f64) -> String {
    format!("{}{}", if ms < 0.0 { "-" } else { "+" }, human::time(ms.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(streams: u32, gap_p99: f64, client_cpu: f64, origin_cpu: f64) -> Truth {
        let recorded = Times { ttft_mean: 50.1, ttft_p99: 50.2, gap_p99: 10.1 };
        Truth {
            streams,
            attempts: 1,
            gaps: MIN_GAPS,
            events_per_second: f64::from(streams) * 98.0,
            reported: Times { ttft_mean: 50.15, ttft_p99: 50.1, gap_p99 },
            recorded,
            origin_late_p99: 0.2,
            censored: 0.001,
            failed: 0,
            client_cpu,
            origin_cpu,
        }
    }

    fn found(truth: Vec<Truth>) -> SelfTest {
        let verdict = Verdict::of(&truth, 100.0);
        let plain = Work {
            name: "plain requests".to_owned(),
            unit: "requests".to_owned(),
            connections: 64,
            per_second: 95_400.0,
            client_cpu_us: 7.1,
            client_cpu: 0.71,
            origin_cpu: 0.998,
            failed: 0,
        };
        SelfTest {
            schema: SELF_TEST_SCHEMA.to_owned(),
            build: Build { version: "1.2.3".to_owned(), ..Build::default() },
            machine: Machine {
                cpu_model: "Example CPU".to_owned(),
                cores: 2,
                kernel: "6.18".to_owned(),
                clocksource: "tsc".to_owned(),
                origin_core: Some(0),
                client_core: Some(1),
            },
            quick: false,
            interrupted: false,
            others_cpu: Some(0.04),
            memory: Some(Memory { connections: 10_000, rss_bytes: 22_000_000, bytes_per_connection: 1_870.0 }),
            work: vec![plain],
            truth,
            verdict,
        }
    }

    #[test]
    fn the_table_fits_and_says_what_was_found() {
        let text =
            found(vec![truth(1, 10.11, 0.01, 0.02), truth(2_000, 12.0, 0.95, 0.8), truth(1_000, 10.2, 0.5, 0.6)])
                .to_text();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        for part in [
            "  plain requests                    64    95.4k/s    7.10µs      71%    100%\n",
            "        1       98/s    +50.0µs     -100µs    +10.0µs     0.10%      1%      2%\n",
            "     1000    98.0k/s    +50.0µs     -100µs     +100µs     0.10%     50%     60%\n     2000",
            "memory: 1.87 kB a connection; 22.0 MB resident with 10000 idle",
            "can drive 1000 streams at 100 tokens/s with an error under 1 ms\n  (the client's core is the limit: seen with 2000)",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
    }

    #[test]
    fn the_limit_is_named_after_its_cause() {
        for (truth, limit) in [
            (truth(1, 10.2, 0.5, 0.5), None),
            (truth(1, 11.2, 0.5, 0.5), Some(Limit::Error)),
            (truth(1, 8.9, 0.5, 0.5), Some(Limit::Error)),
            (Truth { gaps: MIN_GAPS - 1, ..truth(1, 11.2, 0.5, 0.5) }, None),
            (truth(1, 19.0, 0.91, 0.5), Some(Limit::ClientCpu)),
            (truth(1, 19.0, 0.91, 0.95), Some(Limit::OriginCpu)),
            (Truth { censored: 0.2, ..truth(1, 10.1, 0.5, 0.5) }, Some(Limit::ClientCpu)),
            (Truth { failed: 1, ..truth(1, 10.1, 0.99, 0.5) }, Some(Limit::Failures)),
        ] {
            assert_eq!(truth.beyond(), limit, "{truth:?}");
        }
    }

    #[test]
    fn a_verdict_trusts_no_luck_above_a_failure() {
        let lucky = vec![truth(1, 10.1, 0.0, 0.0), truth(1_000, 15.0, 0.5, 0.5), truth(2_000, 10.1, 0.5, 0.5)];
        let verdict = Verdict::of(&lucky, 100.0).unwrap();
        assert_eq!((verdict.streams, verdict.beyond, verdict.limit), (Some(1), Some(1_000), Some(Limit::Error)));
        let none = Verdict::of(&[truth(1, 15.0, 0.0, 0.0)], 100.0).unwrap();
        assert_eq!((none.streams, none.beyond), (None, Some(1)));
        assert!(none.sentence().contains("cannot drive one stream"));
        assert_eq!(Verdict::of(&[], 100.0), None);
        let all = Verdict::of(&[truth(7, 10.1, 0.1, 0.1)], 100.0).unwrap();
        assert_eq!((all.streams, all.limit, all.beyond), (Some(7), None, None));
    }

    #[test]
    fn shared_and_unknown_cores_are_warned_of() {
        let mut found = found(Vec::new());
        found.machine.origin_core = Some(1);
        assert!(found.to_text().contains("not to be trusted"));
        (found.machine.origin_core, found.machine.client_core) = (None, None);
        assert!(found.to_text().contains("WARNING: the system"));
        assert!(!found.to_text().contains("other programs"));
        found.others_cpu = Some(0.06);
        assert!(found.to_text().contains("used 6% of these cores"));
        found.interrupted = true;
        assert!(found.to_text().contains("stopped by a signal"));
    }

    #[test]
    fn the_json_reads_back() {
        let found = found(vec![truth(1, 10.1, 0.0, 0.0)]);
        let text = found.to_json();
        assert!(text.contains("\"schema\": \"llmsim-blast.self-test/1\"") && text.ends_with("}\n"), "{text}");
        assert_eq!(serde_json::from_str::<SelfTest>(&text).unwrap(), found);
    }
}
