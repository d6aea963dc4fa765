//! One step of a command that makes many runs against one server: a warm-up, then a steady
//! measurement window.
//!
//! Both are a single run with a warm-up, like that of any test, so the measurement uses the
//! connections of the warm-up. Requests that start in the window and finish after it, within the
//! grace period, are counted with their times, so that slow requests are not cut away.

use super::error::TrialError;
use super::measure::{announce, outline, snapshot, watched_second};
use super::meeting::Meeting;
use super::prepare::Ready;
use super::provenance::wall_clock;
use super::server_metrics;
use super::so_far::SoFar;
use super::viewers::{Moment, Viewers};
use crate::document::ServerMetrics;
use crate::engine;
use crate::metrics::series::Quantiles;
use crate::metrics::summary::RateValue;
use crate::metrics::validity::{Evidence, Signal, Validity, signals, verdict};
use crate::metrics::{Counter, Gauge, Rate, Second, Summary, Trend};
use crate::plan::Plan;
use crate::units::mix64;
use std::sync::Arc;

/// Separates the random draws of the steps of one command.
const STEP_DRAWS: u64 = 0x5374_6570_7300_0005;

/// The measurements of the seconds after the warm-up.
#[derive(Debug)]
pub(crate) struct SweepStep {
    pub(crate) summary: Summary,
    pub(crate) signals: Vec<Signal>,
    /// Worker threads that ran.
    pub(crate) workers: usize,
    /// CPU use of the server, in cores.
    pub(crate) server_cpu: Option<f64>,
    /// The server's own metrics. `None` if they were not read.
    pub(crate) server_metrics: Option<ServerMetrics>,
}

impl Ready {
    /// Runs `plan`, a load whose shape lasts as long as its warm-up and its window together.
    /// `viewers` are told of each second. `None` when a signal ended it.
    pub(crate) fn step(&mut self, plan: &Plan, viewers: &mut dyn Viewers) -> Result<Option<SweepStep>, TrialError> {
        self.step_with(plan, None, viewers)
    }

    /// Does the same with the other shards if they have met: the step begins at the instant that
    /// was set.
    pub(super) fn step_with(
        &mut self,
        plan: &Plan,
        meeting: Option<&Meeting>,
        viewers: &mut dyn Viewers,
    ) -> Result<Option<SweepStep>, TrialError> {
        let Self { server, stop, steps, endpoints, templates, nofile, .. } = self;
        if stop.is_set() {
            return Ok(None);
        }
        let names = plan.mix.names();
        let cores = server.client_cores.clone();
        let mut died = None;
        server.ask_for_numbers(plan, stop);
        server.begin();
        // A server that caches requests of an earlier step would seem faster.
        *steps += 1;
        let plan = &Plan { seed: mix64(plan.seed, STEP_DRAWS, *steps), ..plan.clone() };
        let started_at = wall_clock();
        let outline = Arc::new(outline(plan, started_at));
        let so_far = SoFar { plan, endpoints, templates, nofile: *nofile, started_at, names: &names };
        let pinned = if plan.tuning.pin { &cores[..] } else { &[] };
        let watched = meeting.filter(|meeting| meeting.is_watched());
        let host = watched.filter(|meeting| meeting.is_host());
        announce(&so_far, &outline, (server, pinned), host, viewers);
        if let Some(host) = host {
            host.show_step(plan);
        }
        let mut begin = || meeting.map_or_else(engine::now, Meeting::begin);
        let mut run = engine::run_from(plan, &cores, stop.flag(), &mut begin, &mut |tick| {
            server.watch(tick.elapsed, tick.second);
            viewers.second(&Moment {
                snapshot: Arc::new(snapshot(plan, &outline, tick)),
                interval: tick.interval,
                so_far: &|presentation| so_far.at(tick, server, presentation),
                is_all: host.is_none(),
            });
            if let Some(meeting) = watched {
                meeting.second(&watched_second(tick, &names));
                meeting.pass_on_step(viewers);
            }
            if died.is_none() && !tick.last {
                died = server.died();
                if died.is_some() {
                    stop.set();
                }
            }
        })?
        .sound()?;
        if let Some(died) = died.or_else(|| server.died()) {
            return Err(died.redacted(&plan.redactor()));
        }
        if stop.is_set() {
            return Ok(None);
        }
        let summary = Summary::new(&run.total, &names, run.window);
        let outside = run.outside.as_ref().map(|outside| Summary::new(outside, &names, run.window));
        let parts = (summary, outside.as_ref());
        let (mut server_metrics, summary) =
            server_metrics::end(server.end_scraping(), (plan, stop), &mut run.series, parts);
        if let Some(said) = &mut server_metrics {
            said.redact(&plan.redactor());
        }
        // Seconds after the window only wait for requests under way.
        let (begin, end) = plan.window();
        let in_window = |second: &Second| (begin.as_secs_f64()..end.as_secs_f64()).contains(&f64::from(second.t_s));
        let busy: Vec<Second> = run.series.into_iter().filter(in_window).collect();
        let cpu: Vec<f64> = busy.iter().filter_map(|second| second.server_cpu).collect();
        let pinned_beside_server = server.shares_cores && !run.pinned_to.is_empty();
        let (kernel, nofile) = (None, None);
        let signals = signals(&Evidence { summary: &summary, series: &busy, kernel, nofile, pinned_beside_server });
        let server_cpu = (!cpu.is_empty()).then(|| cpu.iter().sum::<f64>() / cpu.len() as f64);
        Ok(Some(SweepStep { summary, signals, workers: run.workers, server_cpu, server_metrics }))
    }
}

impl Ready {
    /// Returns why the server's metrics cannot be read, if the user asked for them. Reported once,
    /// not for each step.
    pub(crate) fn no_server_metrics(&self) -> Option<String> {
        let why = self.server.no_numbers().filter(|_| self.steps == 1)?;
        Some(self.plan.redactor().foreign_line(why.as_bytes()))
    }
}

impl SweepStep {
    /// Returns a counter's growth in the window, per second.
    pub(crate) fn per_second(&self, counter: Counter) -> f64 {
        self.summary.counter(counter, None).map_or(0.0, |value| value.rate)
    }

    /// Returns a counter's growth in the window.
    pub(crate) fn in_window(&self, counter: Counter) -> u64 {
        self.summary.counter(counter, None).map_or(0, |value| value.in_window)
    }

    /// Returns the highest value of a gauge.
    pub(crate) fn most(&self, gauge: Gauge) -> u64 {
        self.summary.gauge(gauge).map_or(0, |level| level.max)
    }

    pub(crate) fn rate(&self, rate: Rate) -> Option<f64> {
        self.summary.rate(rate, None).map(RateValue::ratio)
    }

    pub(crate) fn quantiles(&self, trend: Trend) -> Option<Quantiles> {
        self.summary.trend(trend, None).map(Quantiles::of)
    }

    fn signal(&self, name: &str) -> Option<&Signal> {
        self.signals.iter().find(|signal| signal.name == name)
    }

    /// Returns the CPU use of the busiest worker, as a share of its core.
    pub(crate) fn client_cpu(&self) -> f64 {
        self.signal("worker_cpu").map_or(0.0, |signal| signal.value)
    }

    /// Returns true if the client's CPU was the limit: used up, or withheld by others.
    pub(crate) fn client_bound(&self) -> bool {
        self.is_beyond("worker_cpu") || self.is_beyond("run_queue_wait")
    }

    /// Returns true if this machine was late: reads and passes of the event loop show that even if
    /// its mean CPU use does not. Late arrivals do not count, since a slow server makes them late
    /// as well.
    pub(crate) fn client_was_late(&self) -> bool {
        self.client_bound() || self.is_beyond("client_lag_p99_ms") || self.is_beyond("pass_length_p99_ms")
    }

    fn is_beyond(&self, name: &str) -> bool {
        self.signal(name).is_some_and(Signal::is_beyond)
    }

    /// Returns how well the client kept up.
    pub(crate) fn client(&self) -> Validity {
        verdict(&self.signals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Tally;
    use crate::units::Nanos;

    fn step(signals: &[(&str, f64, f64)]) -> SweepStep {
        let signal = |&(name, value, limit): &(&str, f64, f64)| Signal {
            name: name.to_owned(),
            value,
            strained_above: limit / 2.0,
            limit,
            verdict: Validity::Unknown,
            advice: String::new(),
            explains: false,
        };
        let summary = Summary::new(&Tally::new(1), &["r".to_owned()], Nanos::from_secs(1));
        SweepStep {
            summary,
            signals: signals.iter().map(signal).collect(),
            workers: 1,
            server_cpu: None,
            server_metrics: None,
        }
    }

    #[test]
    fn a_client_is_late_by_other_signs_than_its_arrivals() {
        for name in ["worker_cpu", "run_queue_wait", "client_lag_p99_ms", "pass_length_p99_ms"] {
            assert!(step(&[(name, 1.1, 1.0)]).client_was_late(), "{name}");
            assert!(!step(&[(name, 0.9, 1.0)]).client_was_late(), "{name}");
        }
        for name in ["arrivals_not_started_in_time", "schedule_lag_p99_ms", "arrivals_dropped"] {
            assert!(!step(&[(name, 9.0, 1.0)]).client_was_late(), "{name} may be the server's doing");
        }
    }
}
