//! The test itself: runs the engine, shows and watches every second, and checks the thresholds that
//! may end the test early.

use super::desk::Show;
use super::early::{aborting, failed_early};
use super::ended::Ended;
use super::error::TrialError;
use super::meeting::Meeting;
use super::prepare::Ready;
use super::provenance::{run_id, wall_clock};
use super::round_trips;
use super::server_metrics;
use super::server_under_test::ServerUnderTest;
use super::so_far::SoFar;
use super::viewers::{Beginning, Moment, Viewers, WholeMoment};
use crate::document::live::ShardSecond;
use crate::document::merge::merged_id;
use crate::document::{Network, ServerMetrics, Start};
use crate::engine::{self, RowsSent, RunResult, Tick};
use crate::live::{ALL_SHARDS, Outline, Snapshot};
use crate::load::{Shape, Stage};
use crate::metrics::soak::{Soak, Times, soak};
use crate::metrics::{Second, StageTally, Summary, Tally, Totals};
use crate::plan::{Plan, Presentation, Shard};
use crate::threshold::{self, Judged, Rule};
use crate::units::{Nanos, plural};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// A run that was measured and judged. The server is still running.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(super) ready: Ready,
    pub(super) started_at: Timestamp,
    pub(super) run: RunResult,
    pub(super) summary: Summary,
    /// Requests outside the measurement window.
    pub(super) outside: Option<Summary>,
    /// Changes over time.
    pub(super) soak: Soak,
    /// The server's own metrics.
    pub(super) server_metrics: Option<ServerMetrics>,
    /// Round trips to the server.
    pub(super) network: Option<Network>,
    pub(super) verdicts: Vec<Judged>,
    /// The cause that ended the run early, if any.
    pub(super) ended: Option<Ended>,
    /// Start of the load, relative to the instant that was set for all shards.
    pub(super) start: Option<Start>,
}

impl Ready {
    /// Asks the server for its numbers before the load. Waits until all shards are ready and a
    /// common start is set.
    pub(crate) fn gather(&mut self, meeting: &Meeting, say: &mut dyn FnMut(&str)) -> Result<(), TrialError> {
        self.server.ask_for_numbers(&self.plan, &self.stop);
        meeting.gather(&self.plan, Some(show_whole(&self.plan)), say)
    }

    /// Runs the plan, with the other shards if they have met. `viewers` are told of each second as
    /// soon as it is over.
    pub(crate) fn measure(
        mut self,
        meeting: Option<&Meeting>,
        viewers: &mut dyn Viewers,
    ) -> Result<Measured, TrialError> {
        let Self { plan, server, stop, endpoints, templates, nofile, .. } = &mut self;
        let names = plan.mix.names();
        let aborting = aborting(plan);
        let mut ended = None;
        let cores = server.client_cores.clone();

        server.watch_the_way(plan);
        server.begin();
        let started_at = wall_clock() + meeting.map_or(SignedDuration::ZERO, Meeting::until_start);
        let outline = Arc::new(outline(plan, started_at));
        let (names, nofile) = (&names[..], *nofile);
        let so_far = SoFar { plan, endpoints, templates, nofile, started_at, names };
        let pinned = if plan.tuning.pin { &cores[..] } else { &[] };
        announce(&so_far, &outline, (server, pinned), meeting.filter(|meeting| meeting.is_host()), viewers);
        let mut on_tick = |tick: &mut Tick<'_>| {
            server.watch(tick.elapsed, tick.second);
            plan.credentials.keys.take_told().iter().for_each(|line| viewers.said(line));
            if !tick.batches.is_empty() {
                viewers.requests(std::mem::take(tick.batches));
            }
            viewers.second(&Moment {
                snapshot: Arc::new(snapshot(plan, &outline, tick)),
                interval: tick.interval,
                so_far: &|presentation| so_far.at(tick, server, presentation),
                is_all: !meeting.is_some_and(Meeting::is_host),
            });
            // A summary reads every histogram, so it is made only when a rule is due or shards have
            // met.
            let is_due = aborting.iter().any(|rule| meeting.is_some() || rule.delay_abort_eval <= tick.elapsed);
            let numbers = is_due.then(|| Summary::new(tick.total, names, tick.elapsed.since(plan.warmup)));
            if let Some(meeting) = meeting {
                let numbers = numbers.as_ref().map(|numbers| (numbers, &aborting[..]));
                report(meeting, tick, numbers, (&so_far, server));
                meeting.pass_on(viewers);
            }
            if ended.is_none() && !tick.last {
                // When shards meet, shard 0 judges the whole.
                let failed = numbers.filter(|_| meeting.is_none());
                let failed = failed.and_then(|numbers| failed_early(&aborting, &numbers, tick.elapsed));
                ended = match (failed, meeting.and_then(Meeting::stopped)) {
                    _ if stop.is_signalled() => Some(Ended::Signal),
                    (Some(threshold), _) => Some(Ended::Threshold(threshold)),
                    (None, Some(elsewhere)) => Some(Ended::Elsewhere(elsewhere)),
                    (None, None) => server.is_dead().then_some(Ended::ServerDied),
                };
                if ended.is_some() {
                    stop.set();
                }
            }
        };
        let mut begin = || meeting.map_or_else(engine::now, Meeting::begin);
        let run = if stop.is_signalled() {
            nothing_ran(plan)
        } else {
            engine::run_from(plan, &cores, stop.flag(), &mut begin, &mut on_tick)?
        };
        let start = meeting.map(|meeting| meeting.ended(&mut ended, run.stopped));
        Ok(Measured { start, ..self.summed_up(run, started_at, ended) })
    }

    /// Sums up the numbers of a run.
    fn summed_up(mut self, mut run: RunResult, started_at: Timestamp, ended: Option<Ended>) -> Measured {
        let scraping = self.server.end_scraping();
        let way = self.server.end_watching_the_way();
        let plan = &self.plan;
        let names = plan.mix.names();
        let window = (plan.warmup, plan.warmup + run.window);
        let soak = soak(&run.series, Times { window, level: plan.level_stretch(), warm: plan.warmup > Nanos::ZERO });
        let outside = run.outside.as_ref().map(|outside| Summary::new(outside, &names, run.window));
        let summary = Summary::new(&run.total, &names, run.window).with_server(&soak);
        let parts = (summary, outside.as_ref());
        let (server_metrics, summary) = server_metrics::end(scraping, (plan, &self.stop), &mut run.series, parts);
        let network = way.and_then(|way| round_trips::end(way, plan, &mut run.series));
        let verdicts = threshold::judge(plan.judged_rules(), &summary);
        Measured {
            ready: self,
            started_at,
            run,
            summary,
            outside,
            soak,
            server_metrics,
            network,
            verdicts,
            ended,
            start: None,
        }
    }
}

/// Returns the result of a run that a signal ended before it began.
fn nothing_ran(plan: &Plan) -> RunResult {
    RunResult {
        total: Tally::new(plan.mix.kinds.len()),
        outside: None,
        stages: plan.shape.spans().iter().map(|_| (StageTally::default(), Nanos::ZERO)).collect(),
        series: Vec::new(),
        window: Nanos::ZERO,
        duration: Nanos::ZERO,
        stopped: true,
        workers: 0,
        pinned_to: Vec::new(),
        rows_sent: RowsSent::default(),
        answers: Vec::new(),
        imbalance: None,
    }
}

/// Tells viewers that the load begins. At shard 0 of shards that have met, a page shows all of
/// them.
pub(super) fn announce(
    so_far: &SoFar<'_>,
    outline: &Arc<Outline>,
    (server, worker_cores): (&ServerUnderTest, &[usize]),
    host: Option<&Meeting>,
    viewers: &mut dyn Viewers,
) {
    let plan = so_far.plan;
    let own = &before(plan, outline);
    if host.is_none() {
        let opening = &|presentation: &Presentation| so_far.opening(server, presentation);
        return viewers.begin(&Beginning { own, shown: own, worker_cores, opening });
    }
    let of_all = Plan { shard: Shard::WHOLE, ..plan.clone() };
    let shown = before(plan, &Arc::new(outline_of_all(plan, outline)));
    let of_all = SoFar { plan: &of_all, ..*so_far };
    let opening =
        &|presentation: &Presentation| of_all.opening(server, &Presentation { shard: None, ..presentation.clone() });
    viewers.begin(&Beginning { own, shown: &shown, worker_cores, opening });
}

/// Uses the name that `merge` gives the run if no shard is missing at the end.
fn outline_of_all(plan: &Plan, own: &Outline) -> Outline {
    let run_id = merged_id(&own.run_id, plan.shard.count as usize);
    Outline { run_id, shard: ALL_SHARDS.to_owned(), ..own.clone() }
}

/// Sends a second of this shard to shard 0, and its result so far if shard 0 wants it.
fn report(
    meeting: &Meeting,
    tick: &Tick<'_>,
    numbers: Option<(&Summary, &[Rule])>,
    so_far: (&SoFar<'_>, &ServerUnderTest),
) {
    let (so_far, server) = so_far;
    let second = ShardSecond::new(tick.second, tick.totals, numbers);
    let is_watched = meeting.is_watched();
    meeting.second(&if is_watched { with_interval(second, tick, so_far.names) } else { second });
    if let Some(presentation) = meeting.wants_so_far(tick.last) {
        meeting.so_far(so_far.at(tick, server, presentation));
    }
}

/// Returns a second of this shard with everything that was recorded in it.
fn with_interval(second: ShardSecond, tick: &Tick<'_>, names: &[String]) -> ShardSecond {
    second.with_interval(&Summary::new(tick.interval, names, Nanos::from_secs(1)))
}

/// Returns a second of a step of this shard, for the page of shard 0. No threshold ends a step.
pub(super) fn watched_second(tick: &Tick<'_>, names: &[String]) -> ShardSecond {
    with_interval(ShardSecond::new(tick.second, tick.totals, None), tick, names)
}

pub(super) fn outline(plan: &Plan, started_at: Timestamp) -> Outline {
    Outline {
        run_id: run_id(started_at, plan),
        started_at_ms: started_at.as_millisecond(),
        shard: plan.shard.index.to_string(),
        kinds: plan.mix.names(),
        profile: plan.name.clone(),
        target: plan.redactor().own(&plan.target.url),
        length: plan.shape.runs_by_time().then(|| plan.shape.end()),
    }
}

/// Returns the function that shows a second of all shards.
pub(super) fn show_whole(plan: &Plan) -> Show {
    let own = outline(plan, wall_clock());
    let (outline, shape) = (Arc::new(outline_of_all(plan, &own)), plan.shape.clone());
    Box::new(move |whole, elapsed| WholeMoment {
        snapshot: Arc::new(Snapshot {
            outline: Arc::clone(&outline),
            elapsed,
            stage: stage(&shape, elapsed),
            second: whole.second,
            totals: whole.totals,
        }),
        interval: whole.interval.map(|interval| Arc::new(Tally::told(interval, &outline.kinds))),
    })
}

/// Returns the snapshot of a run before its first second.
fn before(plan: &Plan, outline: &Arc<Outline>) -> Snapshot {
    Snapshot {
        outline: Arc::clone(outline),
        elapsed: Nanos::ZERO,
        stage: stage(&plan.shape, Nanos::ZERO),
        second: Second::new(0, &Tally::new(0), &[]),
        totals: Totals::default(),
    }
}

/// Runs on the thread that collects the seconds. No worker waits for it.
pub(super) fn snapshot(plan: &Plan, outline: &Arc<Outline>, tick: &Tick<'_>) -> Snapshot {
    Snapshot {
        outline: Arc::clone(outline),
        elapsed: tick.elapsed,
        stage: stage(&plan.shape, tick.elapsed),
        second: tick.second.clone(),
        totals: *tick.totals,
    }
}

/// Returns where in the plan a run is, in a few words. `None` while it only waits for the last
/// responses.
fn stage(shape: &Shape, elapsed: Nanos) -> Option<String> {
    if elapsed >= shape.end() {
        return None;
    }
    Some(match shape {
        Shape::ConstantVus { vus, .. } => plural(*vus, "VU"),
        Shape::PerVuIterations { vus, iterations, .. } => {
            format!("{} x {}", plural(*vus, "VU"), plural(*iterations, "iteration"))
        }
        Shape::SharedIterations { iterations, .. } => plural(*iterations, "iteration"),
        Shape::ConstantArrivalRate(open) => format!("{} per {}", plural(open.start_rate, "arrival"), open.time_unit),
        Shape::Trace(trace) if trace.passes > 1 => {
            let pass = elapsed.0.checked_div(trace.period.0).unwrap_or_default() + 1;
            format!("trace of {}, pass {pass}/{}", plural(trace.instants.len(), "row"), trace.passes)
        }
        Shape::Trace(trace) => format!("trace of {}", plural(trace.instants.len(), "row")),
        Shape::RampingVus { stages, .. } => stage_of(stages, elapsed, "VUs"),
        Shape::RampingArrivalRate(open) => stage_of(&open.stages, elapsed, &format!("per {}", open.time_unit)),
    })
}

/// Returns the current stage and its target.
fn stage_of(stages: &[Stage], elapsed: Nanos, unit: &str) -> String {
    let mut end = Nanos::ZERO;
    let current = stages.iter().position(|stage| {
        end = end.saturating_add(stage.duration);
        elapsed < end
    });
    current.map_or_else(String::new, |i| format!("stage {}/{} to {} {unit}", i + 1, stages.len(), stages[i].target))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Conclusion, ReasonKind};
    use crate::metrics::Balance;
    use crate::plan::{Overrides, Presentation, resolve};
    use crate::trial::Stop;
    use crate::trial::server_under_test::ServerUnderTest;

    #[test]
    fn a_run_whose_numbers_do_not_add_up_has_a_result_that_says_so() {
        let mut no_files = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        let plan = resolve("quick-smoke", &Overrides::default(), &mut no_files).expect("built in").plan;
        let server = ServerUnderTest::unknown(&plan);
        let ran = RunResult { imbalance: Some(Balance { started: 7, ended: 5 }), ..nothing_ran(&plan) };
        let ready = Ready {
            plan,
            server,
            endpoints: Vec::new(),
            templates: Vec::new(),
            stop: Stop::default(),
            nofile: 1024,
            steps: 0,
        };
        let document = ready.summed_up(ran, wall_clock(), None).conclude().document(&Presentation::default());
        let verdict = &document.verdict;
        assert_eq!((verdict.conclusion, verdict.exit_code), (Conclusion::Internal, 109));
        assert_eq!(verdict.reasons[0].kind, ReasonKind::Internal);
        assert!(verdict.reasons[0].text.contains("started: 7, ended: 5"), "{:?}", verdict.reasons);
    }

    #[test]
    fn the_stage_says_where_the_run_is() {
        let secs = Nanos::from_secs;
        let stages = vec![Stage { duration: secs(10), target: 5 }, Stage { duration: secs(20), target: 50 }];
        let shape = Shape::RampingVus { start_vus: 1, stages, graceful_ramp_down: secs(30) };
        let stage = |elapsed| stage(&shape, elapsed);
        assert_eq!(stage(secs(1)).as_deref(), Some("stage 1/2 to 5 VUs"));
        assert_eq!(stage(secs(10)).as_deref(), Some("stage 2/2 to 50 VUs"));
        assert_eq!(stage(secs(30)), None);
    }
}
