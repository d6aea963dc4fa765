//! `self-test`: measures the tool itself. The origin runs on one core, one worker on another, and
//! reported times are compared with recorded ones.
//!
//! The order: memory first (later work would leave freed memory behind, which hides growth), then
//! speed and cost, then accuracy with more and more streams until a limit shows.

mod plan;
mod steps;

use self::plan::Job;
use super::error::CommandError;
use super::measured::heeding;
use super::output;
use crate::cli::args::SelfTestArgs;
use crate::document::self_test::{Machine, Memory, SELF_TEST_SCHEMA, SelfTest, Times, Truth, Verdict, Work};
use crate::engine::{self, RunResult};
use crate::exit::ExitClass;
use crate::host;
use crate::metrics::{Counter, Summary, Trend};
use crate::report;
use crate::server::{Server, Source, Spec};
use crate::trial::{Setup, TrialError, provenance};
use crate::units::{Nanos, plural};
use crate::watch::probe;
use serde_json::Value;
use std::io::Write;
use std::time::Instant;

/// Longest wait for the origin to start.
const READY_WITHIN: Nanos = Nanos::from_secs(10);
/// Longest wait for one response about the record.
const ASK_TIMEOUT: Nanos = Nanos::from_secs(5);
/// Connections of the plain work: enough to keep both sides busy, and usual in comparisons.
const PLAIN_CONNECTIONS: u32 = 64;
/// Streams of the event work.
const EVENT_STREAMS: u32 = 1_000;

/// The extent of a self-test.
#[derive(Debug, Clone, Copy)]
struct Extent {
    idle_connections: u32,
    /// Long enough to open the idle connections.
    idle: Nanos,
    plain: Nanos,
    burst: Nanos,
    events: Nanos,
    truth: Nanos,
    /// True if the limit is searched for.
    climb: bool,
}

/// The full self-test, in less than a minute.
const FULL: Extent = Extent {
    idle_connections: 10_000,
    idle: Nanos::from_millis(3_100),
    plain: Nanos::from_secs(3),
    burst: Nanos::from_secs(2),
    events: Nanos::from_secs(3),
    truth: Nanos::from_secs(3),
    climb: true,
};

const QUICK: Extent = Extent {
    idle_connections: 2_000,
    idle: Nanos::from_millis(1_100),
    plain: Nanos::from_secs(1),
    burst: Nanos::from_millis(700),
    events: Nanos::from_secs(1),
    truth: Nanos::from_secs(1),
    climb: false,
};

/// Runs `self-test`.
pub(super) fn run(args: &SelfTestArgs, out: &mut dyn Write, err: &mut dyn Write) -> Result<ExitClass, CommandError> {
    let output = output::place(args.output.as_ref());
    output::check([("--output", output.as_ref())])?;
    let setup = Setup::new(0)?;
    let mut say = |line: &str| {
        // The line is optional, so a failed write is ignored.
        let _ = writeln!(err, "{line}");
    };
    let found = match Bench::start(&setup, &mut say) {
        Err(CommandError::Trial(TrialError::Interrupted)) => {
            SelfTest { interrupted: true, ..nothing_yet(args.quick, None, None) }
        }
        bench => bench?.measure(args.quick, &mut say)?,
    };
    let printed = output::print(&report::self_test::text(&found), output.as_ref(), out, err);
    output::write_text(("--output", output.as_ref()), &found.to_json(), out, Some(&setup.stop))?;
    printed?;
    let class = if found.interrupted { ExitClass::Interrupted } else { ExitClass::Success };
    Ok(heeding(&setup.stop, class))
}

/// Kinds of work whose cost is measured.
const KINDS_OF_WORK: usize = 3;

/// The progress of the self-test.
#[derive(Debug)]
struct Progress {
    step: usize,
    /// Steps before those that measure accuracy.
    before_truth: usize,
}

impl Progress {
    /// Returns a line about the next step: its number, and the highest number that is possible.
    fn next(&mut self, truth: usize, what: &str) -> String {
        self.step += 1;
        format!("step {} of at most {}: {what}", self.step, self.before_truth + truth)
    }
}

/// The origin, and the worker's core.
#[derive(Debug)]
struct Bench<'a> {
    origin: Server,
    origin_core: Option<usize>,
    client_core: Option<usize>,
    /// Connections that may be open at once.
    most_connections: u32,
    setup: &'a Setup,
}

/// One run, seen from both sides.
#[derive(Debug)]
struct Measured {
    run: RunResult,
    summary: Summary,
    record: Value,
}

impl<'a> Bench<'a> {
    fn start(setup: &'a Setup, say: &mut dyn FnMut(&str)) -> Result<Self, CommandError> {
        let cores = host::cores();
        let (origin_core, client_core) = (cores.first().copied(), cores.last().copied());
        let spec = Spec::on_any_port(Source::Origin, READY_WITHIN);
        let origin = Server::start(&spec, origin_core.as_ref().map(std::slice::from_ref), say, setup.stop.flag())?;
        let most_connections = u32::try_from(setup.connections()).unwrap_or(u32::MAX);
        Ok(Self { origin, origin_core, client_core, most_connections, setup })
    }

    fn measure(&self, quick: bool, say: &mut dyn FnMut(&str)) -> Result<SelfTest, CommandError> {
        let extent = if quick { QUICK } else { FULL };
        let mut found = nothing_yet(quick, self.origin_core, self.client_core);
        let before = self.usage();
        let mut progress = Progress { step: 0, before_truth: 1 + KINDS_OF_WORK };
        let most = |truth: &[Truth]| steps::at_most(truth, self.most_connections, extent.climb);
        say(&progress.next(
            most(&found.truth),
            &format!("memory: {}", plural(extent.idle_connections.min(self.most_connections), "idle connection")),
        ));
        found.memory = self.memory(&extent)?;
        let work_of: [(&str, &str, Counter, Job); KINDS_OF_WORK] = [
            ("plain requests", "requests", Counter::HttpReqs, Job::plain(PLAIN_CONNECTIONS, extent.plain)),
            ("34 events in one write", "responses", Counter::HttpReqs, Job::burst(PLAIN_CONNECTIONS, extent.burst)),
            ("events, 20 ms apart", "events", Counter::TokenEvents, Job::events(EVENT_STREAMS, extent.events)),
        ];
        for (name, unit, counted, job) in work_of {
            let what = format!("cost: {name}, {}", plural(job.vus, "connection"));
            say(&progress.next(most(&found.truth), &what));
            if let Some(measured) = self.run(&job.at_most(self.most_connections))? {
                found.work.push(work(name, unit, counted, job.vus, &measured));
            }
        }
        while let Some(streams) = steps::next(&found.truth, self.most_connections, extent.climb) {
            let what = format!("truth: {} of {:.0} tokens/s", plural(streams, "stream"), plan::TOKENS_PER_SECOND);
            let is_again = found.truth.last().is_some_and(|last| last.streams == streams);
            say(&if is_again { format!("{what}, again") } else { progress.next(most(&found.truth), &what) });
            let Some(measured) = self.run(&Job::truth(streams, extent.truth))? else { break };
            steps::add(&mut found.truth, truth(streams, &measured));
        }
        found.verdict = Verdict::of(&found.truth, plan::TOKENS_PER_SECOND);
        found.others_cpu = before.zip(self.usage()).map(|(before, after)| others(before, after));
        found.interrupted = self.setup.stop.is_signalled();
        Ok(found)
    }

    /// Returns the CPU time that the two cores have spent until now, and the part spent on this
    /// test.
    #[expect(clippy::disallowed_methods, reason = "between measurements, never during one")]
    fn usage(&self) -> Option<Usage> {
        let mut cores: Vec<usize> = self.origin_core.into_iter().chain(self.client_core).collect();
        cores.dedup();
        let ours = host::own()?.cpu + self.origin.sample()?.cpu;
        Some(Usage { at: Instant::now(), cores: cores.len(), busy: host::busy(&cores)?, ours })
    }

    /// Measures the growth of resident memory from one idle connection to many, with everything
    /// else the same.
    fn memory(&self, extent: &Extent) -> Result<Option<Memory>, CommandError> {
        let (one, many) = (Job::idle(1, QUICK.idle), Job::idle(extent.idle_connections, extent.idle));
        let Some((_, before)) = self.resident(&one)? else { return Ok(None) };
        let Some((connections, after)) = self.resident(&many.at_most(self.most_connections))? else { return Ok(None) };
        let grown = after.saturating_sub(before) as f64 / connections.saturating_sub(1).max(1) as f64;
        Ok(Some(Memory { connections, rss_bytes: after, bytes_per_connection: grown }))
    }

    /// Returns how many connections were open at once, and the highest resident memory meanwhile.
    fn resident(&self, job: &Job) -> Result<Option<(u64, u64)>, CommandError> {
        let mut most = 0;
        let measured = self.run_watched(job, &mut || {
            let usage = host::own();
            most = most.max(usage.map_or(0, |usage| usage.rss_bytes));
        })?;
        let connections =
            |m: Measured| m.summary.gauge(crate::metrics::Gauge::Connections).map_or(0, |level| level.max);
        Ok(measured.map(|measured| (connections(measured), most)).filter(|_| most > 0))
    }

    fn run(&self, job: &Job) -> Result<Option<Measured>, CommandError> {
        self.run_watched(job, &mut || {})
    }

    /// Runs a job. `None` if a signal ended it.
    fn run_watched(&self, job: &Job, each_second: &mut dyn FnMut()) -> Result<Option<Measured>, CommandError> {
        if self.is_stopped() {
            return Ok(None);
        }
        self.ask("/reset")?;
        let plan = job.plan(self.origin.addr());
        let cores: Vec<usize> = self.client_core.into_iter().collect();
        let run = engine::run(&plan, &cores, self.setup.stop.flag(), &mut |tick| {
            if !tick.last {
                each_second();
            }
        })
        .and_then(RunResult::sound)
        .map_err(TrialError::from)?;
        let record = self.ask("/record")?;
        let names = plan.mix.names();
        let summary = Summary::new(&run.total, &names, run.window);
        Ok((!self.is_stopped()).then_some(Measured { run, summary, record }))
    }

    fn ask(&self, path: &'static str) -> Result<Value, CommandError> {
        let addr = self.origin.addr();
        probe::stats(&[addr], &addr.to_string(), path, ASK_TIMEOUT).ok_or(CommandError::OriginLost { addr, path })
    }

    fn is_stopped(&self) -> bool {
        self.setup.stop.is_set()
    }
}

fn nothing_yet(quick: bool, origin_core: Option<usize>, client_core: Option<usize>) -> SelfTest {
    let machine = host::machine();
    let core = |core: Option<usize>| core.map(|core| core as u32);
    SelfTest {
        schema: SELF_TEST_SCHEMA.to_owned(),
        build: provenance::build(),
        machine: Machine {
            cpu_model: machine.cpu_model,
            cores: machine.cores,
            kernel: machine.kernel,
            clocksource: machine.clocksource,
            origin_core: core(origin_core),
            client_core: core(client_core),
        },
        quick,
        interrupted: false,
        others_cpu: None,
        memory: None,
        work: Vec::new(),
        truth: Vec::new(),
        verdict: None,
    }
}

/// CPU use of the test's cores until an instant.
#[derive(Debug, Clone, Copy)]
struct Usage {
    at: Instant,
    cores: usize,
    busy: Nanos,
    /// CPU time of the origin and the worker.
    ours: Nanos,
}

/// Returns the share of the cores that others used between two instants.
fn others(before: Usage, after: Usage) -> f64 {
    let theirs = after.busy.since(before.busy).since(after.ours.since(before.ours));
    let all = after.at.duration_since(before.at).as_secs_f64() * after.cores.max(1) as f64;
    theirs.as_secs_f64() / all.max(f64::MIN_POSITIVE)
}

impl Measured {
    fn count(&self, counter: Counter) -> u64 {
        self.summary.counter(counter, None).map_or(0, |value| value.count)
    }

    fn per_second(&self, counter: Counter) -> f64 {
        self.summary.counter(counter, None).map_or(0.0, |value| value.rate)
    }

    fn failed(&self) -> u64 {
        let failures: u64 = self.summary.failures.iter().map(|(_, seen)| seen.count).sum();
        failures + self.count(Counter::Interrupted) + self.count(Counter::Cancelled)
    }

    /// Returns the shares of their cores that the worker and the origin used.
    fn cpu(&self) -> (f64, f64) {
        let seconds = self.run.duration.as_secs_f64().max(f64::MIN_POSITIVE);
        let origin = self.record["cpu_us"].as_f64().unwrap_or(0.0) / 1e6;
        (self.summary.cpu_time.as_secs_f64() / seconds, origin / seconds)
    }

    /// Returns a number of the record, which is in µs, in ms.
    fn recorded_ms(&self, what: &str, number: &str) -> f64 {
        self.record[what][number].as_f64().unwrap_or(0.0) / 1e3
    }
}

fn work(name: &str, unit: &str, counted: Counter, connections: u32, measured: &Measured) -> Work {
    let (client_cpu, origin_cpu) = measured.cpu();
    Work {
        name: name.to_owned(),
        unit: unit.to_owned(),
        connections,
        per_second: measured.per_second(counted),
        client_cpu_us: measured.summary.cpu_time.as_secs_f64() * 1e6 / measured.count(counted).max(1) as f64,
        client_cpu,
        origin_cpu,
        failed: measured.failed(),
    }
}

fn truth(streams: u32, measured: &Measured) -> Truth {
    let trend = |trend| measured.summary.trend(trend, None);
    let p99 = |t| trend(t).map_or(0.0, |d| d.percentile_ms(99.0));
    let (client_cpu, origin_cpu) = measured.cpu();
    let known = trend(Trend::Tbt).map_or(0, |d| d.count);
    let unknown = measured.count(Counter::TbtCensored);
    Truth {
        streams,
        attempts: 1,
        gaps: known,
        events_per_second: measured.per_second(Counter::TokenEvents),
        reported: Times {
            ttft_mean: trend(Trend::Ttft).map_or(0.0, crate::metrics::Distribution::avg_ms),
            ttft_p99: p99(Trend::Ttft),
            gap_p99: p99(Trend::Tbt),
        },
        recorded: Times {
            ttft_mean: measured.recorded_ms("ttft_us", "mean"),
            ttft_p99: measured.recorded_ms("ttft_us", "p99"),
            gap_p99: measured.recorded_ms("gap_us", "p99"),
        },
        origin_late_p99: measured.recorded_ms("lateness_us", "p99"),
        censored: unknown as f64 / (known + unknown).max(1) as f64,
        failed: measured.failed(),
        client_cpu,
        origin_cpu,
    }
}
