//! Adds up the workers' reports, second by second.

use super::answers::AnswerText;
use super::channels::{Ended, Report};
use super::error::EngineError;
use super::rows_sent::RowsSent;
use crate::metrics::{Balance, Batch, Second, StageTally, Tally, Totals};
use crate::plan::{Phase, Plan};
use crate::units::Nanos;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

/// A second of the run, once all workers have reported it.
#[derive(Debug)]
pub struct Tick<'a> {
    /// Time from the start to the end of that second.
    pub elapsed: Nanos,
    /// The second as plain numbers.
    pub second: &'a mut Second,
    /// The sum of everything so far that belongs to the measurement window.
    pub total: &'a Tally,
    /// The counts since the start.
    pub totals: &'a Totals,
    /// All records of that second, inside and outside the measurement window.
    pub interval: &'a Arc<Tally>,
    /// The earlier seconds.
    pub series: &'a [Second],
    /// The sum so far of the requests that were sent outside the measurement window.
    pub outside: Option<&'a Tally>,
    /// The sums so far of the requests that were sent in each stage.
    pub stages: &'a [StageTally],
    /// Records of requests that ended in that second, or are handed over with it. The callback may
    /// take them.
    pub batches: &'a mut Vec<Batch>,
    /// True for the last second.
    pub last: bool,
}

/// The result of a run.
#[derive(Debug)]
pub struct RunResult {
    /// The sum of all workers: the requests that were sent in the measurement window.
    pub total: Tally,
    /// The requests that were sent outside it; `None` if the window is the whole test.
    pub outside: Option<Tally>,
    /// The sum of the requests that were sent in each stage, and how long the stage was open.
    pub stages: Vec<(StageTally, Nanos)>,
    /// The seconds, in order.
    pub series: Vec<Second>,
    /// Length of the measurement window. Rates are per second of it.
    pub window: Nanos,
    /// Time until the last request was over.
    pub duration: Nanos,
    /// True if the stop flag was seen. Then the run was shorter than planned.
    pub stopped: bool,
    /// Number of workers that ran.
    pub workers: usize,
    /// The cores that the workers were pinned to; empty if they were not pinned.
    pub pinned_to: Vec<usize>,
    /// The rows of files that were sent.
    pub rows_sent: RowsSent,
    /// A sample of the streamed responses, if their tokens are to be counted.
    pub answers: Vec<AnswerText>,
    /// Set if requests were lost or counted twice. Then the numbers are wrong: a defect of this
    /// tool.
    pub imbalance: Option<Balance>,
}

impl RunResult {
    /// Checks the balance, for callers that cannot mark numbers as wrong.
    ///
    /// # Errors
    ///
    /// [`EngineError::Unbalanced`] if the numbers do not add up.
    pub fn sound(self) -> Result<Self, EngineError> {
        self.imbalance.map_or(Ok(self), |balance| Err(EngineError::Unbalanced(balance)))
    }
}

/// Adds up the workers' reports.
#[derive(Debug)]
pub(super) struct Fleet {
    total: Tally,
    totals: Totals,
    outside: Option<Tally>,
    phases: Vec<Phase>,
    stages: Vec<StageTally>,
    series: Vec<Second>,
    /// Seconds, and the phases in them, that some worker has not reported yet.
    open: BTreeMap<(u32, u16), Tally>,
    /// By worker: the last second that it has reported, and how it ended.
    reported: Vec<(Option<u32>, Option<Ended>)>,
    recycling: Vec<Sender<Box<Tally>>>,
    /// Names of the kinds of request, in the order of the mix.
    names: Vec<String>,
    /// Records that the callback has not taken yet.
    batches: Vec<Batch>,
}

impl Fleet {
    pub(super) fn new(plan: &Plan, workers: usize, recycling: Vec<Sender<Box<Tally>>>) -> Self {
        let names = plan.mix.names();
        Self {
            total: Tally::new(names.len()),
            totals: Totals::default(),
            outside: None,
            phases: plan.phases(),
            stages: vec![StageTally::default(); plan.shape.spans().len()],
            series: Vec::new(),
            open: BTreeMap::new(),
            reported: vec![(None, None); workers],
            recycling,
            names,
            batches: Vec::new(),
        }
    }

    /// Adds up reports until all workers have disconnected.
    pub(super) fn collect(&mut self, inbox: &Receiver<Report>, on_tick: &mut dyn FnMut(&mut Tick<'_>)) {
        while let Ok(report) = inbox.recv() {
            let Report { worker, second, phase, mut tally, batch, complete, last } = report;
            self.batches.extend(batch.filter(|batch| !batch.records.is_empty()));
            *self.open.entry((second, phase)).or_insert_with(|| Tally::new(self.names.len())) += &tally;
            tally.clear();
            // A worker that has ended does not need the tally.
            let _ = self.recycling[worker].send(tally);
            if complete {
                self.reported[worker] = (Some(second), last);
                self.close_seconds(on_tick);
            }
        }
    }

    /// Hands on the seconds that every worker has completed.
    fn close_seconds(&mut self, on_tick: &mut dyn FnMut(&mut Tick<'_>)) {
        while let Some((&(second, _), _)) = self.open.first_key_value() {
            let complete =
                self.reported.iter().all(|(seen, ended)| ended.is_some() || seen.is_some_and(|s| s >= second));
            if !complete {
                return;
            }
            let interval = Arc::new(self.take_second(second));
            let mut plain = Second::new(second, &interval, &self.names);
            self.totals.add(&interval);
            let ended = self.ended_at();
            let last = ended.is_some() && self.open.is_empty();
            let end_of_second = Nanos::from_secs(u64::from(second) + 1);
            let elapsed = ended.filter(|_| last).unwrap_or(end_of_second);
            on_tick(&mut Tick {
                elapsed,
                second: &mut plain,
                total: &self.total,
                totals: &self.totals,
                interval: &interval,
                series: &self.series,
                outside: self.outside.as_ref(),
                stages: &self.stages,
                batches: &mut self.batches,
                last,
            });
            self.series.push(plain);
        }
    }

    /// Returns the sum of a second, and adds its phases to the sums that they belong to.
    fn take_second(&mut self, second: u32) -> Tally {
        let mut sum: Option<Tally> = None;
        while let Some(entry) = self.open.first_entry().filter(|entry| entry.key().0 == second) {
            let ((_, phase), tally) = entry.remove_entry();
            let Some(phase) = self.phases.get(usize::from(phase)) else { continue };
            self.stages[phase.stage].add(&tally);
            if phase.measured {
                self.total.append(&tally);
                self.total.settle();
            } else {
                self.total.add_arrivals(&tally);
                let outside = self.outside.get_or_insert_with(|| Tally::new(self.names.len()));
                outside.append(&tally);
                outside.settle();
            }
            // In the order of the phases, so that the levels at the end of the second are those of
            // the last phase.
            match &mut sum {
                None => sum = Some(tally),
                Some(sum) => sum.append(&tally),
            }
        }
        sum.unwrap_or_else(|| Tally::new(self.names.len()))
    }

    /// Returns when the last worker ended; `None` while a worker is running.
    fn ended_at(&self) -> Option<Nanos> {
        self.reported.iter().map(|(_, ended)| ended.map(|e| e.at)).max_by_key(|at| at.unwrap_or(Nanos::MAX))?
    }

    /// Returns the numbers of started and ended requests that differ, of the window or of the rest.
    fn imbalance(&self) -> Option<Balance> {
        let parts = std::iter::once(&self.total).chain(&self.outside);
        parts.map(Tally::balance).find(|balance| balance.started != balance.ended)
    }

    pub(super) fn finish(self, plan: &Plan, pinned_to: Vec<usize>) -> RunResult {
        let duration = self.ended_at().unwrap_or_default();
        let imbalance = self.imbalance();
        let stopped = self.reported.iter().filter_map(|(_, ended)| ended.and_then(|e| e.stopped)).max();
        let planned = if plan.runs_by_time() { plan.shape.end() } else { duration.min(plan.shape.end()) };
        let until = stopped.unwrap_or(Nanos::MAX).min(planned);
        let (window_begin, window_end) = plan.window();
        let window = until.min(window_end).since(window_begin);
        let open_for = plan.shape.spans().into_iter().map(|span| span.end.min(until).since(span.begin));
        let stages = self.stages.into_iter().zip(open_for).collect();
        let workers = self.reported.len();
        RunResult {
            total: self.total,
            outside: self.outside,
            stages,
            series: self.series,
            window,
            duration,
            stopped: stopped.is_some(),
            workers,
            pinned_to,
            rows_sent: RowsSent::default(),
            answers: Vec::new(),
            imbalance,
        }
    }
}
