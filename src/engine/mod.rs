//! The only moving part: pinned workers, each with its own event loop.
//!
//! [`run`] gives every worker its share of the plan, adds up what they report once a second, and hands the sums to the caller. While it
//! runs only two things cross a thread border: the stop flag goes down, tallies come up. (With names that are looked up again, their
//! addresses go down, too, once in a while.)

mod arrivals;
#[cfg(feature = "scripted")]
pub mod bench;
mod clock;
mod connection;
mod excerpt;
mod exchange;
mod ledger;
mod names;
mod poller;
#[cfg(any(test, feature = "scripted"))]
mod script;
mod timers;
mod worker;

use crate::metrics::{Second, StageTally, Tally};
use crate::mix::Scenario;
use crate::net::{Dialer, KeepStamping};
use crate::plan::{Phase, Plan};
use crate::units::Nanos;
use clock::Clock;
use ledger::{Ended, Lines, Report};
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, channel};
use worker::Worker;

/// A second of the run, as soon as all workers have reported it.
#[derive(Debug)]
pub struct Tick<'a> {
    /// Time since the start, at the end of that second.
    pub elapsed: Nanos,
    /// The second as plain numbers.
    pub second: &'a mut Second,
    /// The sum of everything so far that belongs to the measurement window.
    pub total: &'a Tally,
    /// Nothing comes after it.
    pub last: bool,
}

/// What a run measured.
#[derive(Debug)]
pub struct Run {
    /// The sum of all workers: the requests that were sent in the measurement window.
    pub total: Tally,
    /// The requests that were sent outside it; none if the window is the whole test.
    pub outside: Option<Tally>,
    /// What was sent in each stage, and how long that was open.
    pub stages: Vec<(StageTally, Nanos)>,
    /// Second by second.
    pub series: Vec<Second>,
    /// Length of the measurement window: rates are per second of it.
    pub window: Nanos,
    /// Until the last request was over.
    pub duration: Nanos,
    /// The stop flag ended it early.
    pub stopped: bool,
    /// How many workers ran.
    pub workers: usize,
    /// The cores they were pinned to; empty when they were not.
    pub pinned_to: Vec<usize>,
}

/// Why a run could not be finished. None of these is the server's doing.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A worker could not get a poll, or its poll failed.
    #[error("a worker cannot wait for its sockets: {0}")]
    Poll(#[from] io::Error),
    /// A worker died: a defect of this tool.
    #[error("a worker died (this is a defect of llmsim-blast; please report it): {0}")]
    Died(String),
}

/// The cores this process may use, in order. Empty when the system does not say.
pub fn cores() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect()
}

/// Runs the plan on one worker per entry of `cores` (fewer if there are fewer users), or on as many as the plan asks for, and calls
/// `on_tick` once for each second, on this thread. `stop` ends it early: nothing new is started, and what is under way may finish
/// within the plan's `graceful_stop`.
pub fn run(
    plan: &Plan,
    cores: &[usize],
    stop: &AtomicBool,
    on_tick: &mut dyn FnMut(&mut Tick<'_>),
) -> Result<Run, EngineError> {
    let wanted = plan.tuning.workers.map_or(cores.len(), |n| n as usize);
    // A worker without a user would only wait.
    let workers = wanted.min(plan.peak_users() as usize).max(1);
    let pins: Vec<Option<usize>> =
        (0..workers).map(|i| (plan.tuning.pin && !cores.is_empty()).then(|| cores[i % cores.len()])).collect();
    let shares: Vec<Plan> = (0..workers).map(|k| plan.share(k as u32, workers as u32)).collect();
    let scenario = Scenario::new(&plan.mix, &plan.envelopes(), plan.seed);
    let (reports, inbox) = channel();
    let epoch = Clock::epoch();
    // If it cannot be had, stamps may be missing at first, and are counted.
    let _stamping = KeepStamping::begin().ok();

    std::thread::scope(|scope| {
        let mut recycling = Vec::with_capacity(workers);
        let mut found = Vec::with_capacity(workers);
        let mut threads = Vec::with_capacity(workers);
        for (number, share) in shares.iter().enumerate() {
            let (empty, emptied) = channel();
            recycling.push(empty);
            let (new, addresses) = channel();
            found.push(new);
            let lines = Lines { stop, reports: reports.clone(), emptied, addresses };
            let (scenario, pin) = (&scenario, pins[number]);
            let thread = std::thread::Builder::new().name(format!("worker-{number}"));
            threads.push(thread.spawn_scoped(scope, move || {
                let pinned = pin.is_some_and(|id| core_affinity::set_for_current(core_affinity::CoreId { id }));
                wake_punctually();
                let poller = poller::Poller::new()?;
                let connections = share.shape.peak_vus().div_ceil(share.of);
                let dialer = Dialer::new(share.targets(), &share.access, number, connections as usize);
                let dialer = dialer.map_err(io::Error::other)?;
                Worker::new(number, share, scenario, Clock::Real(epoch), poller, dialer, lines).run()?;
                Ok::<_, io::Error>(pinned)
            })?);
        }
        drop(reports);
        let (_running, over) = channel();
        names::keep_looking_up(plan, over, found);
        let mut fleet = Fleet::new(plan, workers, recycling);
        fleet.collect(&inbox, on_tick);
        let mut pinned_to = Vec::new();
        for (thread, pin) in threads.into_iter().zip(&pins) {
            match thread.join() {
                Ok(Ok(true)) => pinned_to.extend(*pin),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => return Err(EngineError::Poll(error)),
                Err(panic) => return Err(EngineError::Died(panic_text(panic.as_ref()))),
            }
        }
        Ok(fleet.finish(plan, pinned_to))
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// Adds up what the workers report.
#[derive(Debug)]
struct Fleet {
    total: Tally,
    outside: Option<Tally>,
    phases: Vec<Phase>,
    stages: Vec<StageTally>,
    series: Vec<Second>,
    /// Seconds, and the phases in them, that not all workers have reported yet.
    open: BTreeMap<(u32, u16), Tally>,
    /// Per worker: the second it has reported last, and how it ended.
    reported: Vec<(Option<u32>, Option<Ended>)>,
    recycling: Vec<Sender<Box<Tally>>>,
    kinds: usize,
}

impl Fleet {
    fn new(plan: &Plan, workers: usize, recycling: Vec<Sender<Box<Tally>>>) -> Self {
        let kinds = plan.mix.kinds.len();
        Self {
            total: Tally::new(kinds),
            outside: None,
            phases: plan.phases(),
            stages: vec![StageTally::default(); plan.shape.spans().len()],
            series: Vec::new(),
            open: BTreeMap::new(),
            reported: vec![(None, None); workers],
            recycling,
            kinds,
        }
    }

    /// Until all workers have hung up.
    fn collect(&mut self, inbox: &Receiver<Report>, on_tick: &mut dyn FnMut(&mut Tick<'_>)) {
        while let Ok(report) = inbox.recv() {
            let Report { worker, second, phase, mut tally, complete, last } = report;
            *self.open.entry((second, phase)).or_insert_with(|| Tally::new(self.kinds)) += &tally;
            tally.clear();
            // A worker that has ended does not need it any more.
            let _ = self.recycling[worker].send(tally);
            if complete {
                self.reported[worker] = (Some(second), last);
                self.close_seconds(on_tick);
            }
        }
    }

    /// Hands on the seconds that every worker has left behind.
    fn close_seconds(&mut self, on_tick: &mut dyn FnMut(&mut Tick<'_>)) {
        while let Some((&(second, _), _)) = self.open.first_key_value() {
            let complete =
                self.reported.iter().all(|(seen, ended)| ended.is_some() || seen.is_some_and(|s| s >= second));
            if !complete {
                return;
            }
            let interval = self.take_second(second);
            let mut plain = Second::new(second, &interval);
            let ended = self.ended_at();
            let last = ended.is_some() && self.open.is_empty();
            let end_of_second = Nanos::from_secs(u64::from(second) + 1);
            let elapsed = ended.filter(|_| last).unwrap_or(end_of_second);
            on_tick(&mut Tick { elapsed, second: &mut plain, total: &self.total, last });
            self.series.push(plain);
        }
    }

    /// The sum of a second, whose phases go where they belong.
    fn take_second(&mut self, second: u32) -> Tally {
        let mut sum: Option<Tally> = None;
        while let Some(entry) = self.open.first_entry().filter(|entry| entry.key().0 == second) {
            let ((_, phase), tally) = entry.remove_entry();
            let Some(phase) = self.phases.get(usize::from(phase)) else { continue };
            self.stages[phase.stage].add(&tally);
            if phase.measured {
                self.total.append(&tally);
            } else {
                self.total.add_arrivals(&tally);
                self.outside.get_or_insert_with(|| Tally::new(self.kinds)).append(&tally);
            }
            // In the order of the phases: the levels that the second ends with are those of the last.
            match &mut sum {
                None => sum = Some(tally),
                Some(sum) => sum.append(&tally),
            }
        }
        sum.unwrap_or_else(|| Tally::new(self.kinds))
    }

    /// When the last worker ended; none while one is still running.
    fn ended_at(&self) -> Option<Nanos> {
        self.reported.iter().map(|(_, ended)| ended.map(|e| e.at)).max_by_key(|at| at.unwrap_or(Nanos::MAX))?
    }

    fn finish(self, plan: &Plan, pinned_to: Vec<usize>) -> Run {
        let duration = self.ended_at().unwrap_or_default();
        let stopped = self.reported.iter().filter_map(|(_, ended)| ended.and_then(|e| e.stopped)).max();
        let planned = if plan.shape.runs_by_time() { plan.shape.end() } else { duration };
        let until = stopped.unwrap_or(Nanos::MAX).min(planned);
        let (window_begin, window_end) = plan.window();
        let window = until.min(window_end).since(window_begin);
        let open_for = plan.shape.spans().into_iter().map(|span| span.end.min(until).since(span.begin));
        let stages = self.stages.into_iter().zip(open_for).collect();
        let workers = self.reported.len();
        Run {
            total: self.total,
            outside: self.outside,
            stages,
            series: self.series,
            window,
            duration,
            stopped: stopped.is_some_and(|at| at < planned),
            workers,
            pinned_to,
        }
    }
}
/// Takes back the 50 µs by which the kernel may delay a thread's timers to wake the processor less often (prctl(2),
/// `PR_SET_TIMERSLACK`): a request that is due now is not sent later for that. Where it cannot be had, `client_lag` and the pass
/// lengths tell.
fn wake_punctually() {
    let _ = nix::sys::prctl::set_timerslack(1);
}
