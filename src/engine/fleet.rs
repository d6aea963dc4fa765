//! Adds up what the workers report, second by second.

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

/// A second of the run, as soon as all workers have reported it.
#[derive(Debug)]
pub struct Tick<'a> {
    /// Time since the start, at the end of that second.
    pub elapsed: Nanos,
    /// The second as plain numbers.
    pub second: &'a mut Second,
    /// The sum of everything so far that belongs to the measurement window.
    pub total: &'a Tally,
    /// What has been counted since the start.
    pub totals: &'a Totals,
    /// Everything that was recorded in that second, inside the measurement window and outside.
    pub interval: &'a Arc<Tally>,
    /// The seconds before.
    pub series: &'a [Second],
    /// The sum of what was sent outside the measurement window, so far.
    pub outside: Option<&'a Tally>,
    /// What was sent in each stage, so far.
    pub stages: &'a [StageTally],
    /// Records of requests that ended in that second, or are handed over with it; to be taken.
    pub batches: &'a mut Vec<Batch>,
    /// Nothing comes after it.
    pub last: bool,
}

/// What a run measured.
#[derive(Debug)]
pub struct RunResult {
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
    /// The stop flag was seen: what was measured is not what was planned.
    pub stopped: bool,
    /// How many workers ran.
    pub workers: usize,
    /// The cores they were pinned to; empty when they were not.
    pub pinned_to: Vec<usize>,
    /// What was sent of files of rows.
    pub rows_sent: RowsSent,
    /// A sample of the streamed answers, if their tokens are to be counted.
    pub answers: Vec<AnswerText>,
    /// Requests were lost or counted twice, so the numbers are wrong: a defect of this tool.
    pub imbalance: Option<Balance>,
}

impl RunResult {
    /// For callers that cannot mark numbers as wrong.
    ///
    /// # Errors
    ///
    /// [`EngineError::Unbalanced`] if the numbers do not add up.
    pub fn sound(self) -> Result<Self, EngineError> {
        self.imbalance.map_or(Ok(self), |balance| Err(EngineError::Unbalanced(balance)))
    }
}

/// Adds up what the workers report.
#[derive(Debug)]
pub(super) struct Fleet {
    total: Tally,
    totals: Totals,
    outside: Option<Tally>,
    phases: Vec<Phase>,
    stages: Vec<StageTally>,
    series: Vec<Second>,
    /// Seconds, and the phases in them, that not all workers have reported yet.
    open: BTreeMap<(u32, u16), Tally>,
    /// Per worker: the second it has reported last, and how it ended.
    reported: Vec<(Option<u32>, Option<Ended>)>,
    recycling: Vec<Sender<Box<Tally>>>,
    /// Names of the kinds of request, in the order of the mix.
    names: Vec<String>,
    /// Records that nobody has taken yet.
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

    /// Until all workers have hung up.
    pub(super) fn collect(&mut self, inbox: &Receiver<Report>, on_tick: &mut dyn FnMut(&mut Tick<'_>)) {
        while let Ok(report) = inbox.recv() {
            let Report { worker, second, phase, mut tally, batch, complete, last } = report;
            self.batches.extend(batch.filter(|batch| !batch.records.is_empty()));
            *self.open.entry((second, phase)).or_insert_with(|| Tally::new(self.names.len())) += &tally;
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

    /// The sum of a second, whose phases go where they belong.
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
            // In the order of the phases: the levels that the second ends with are those of the
            // last.
            match &mut sum {
                None => sum = Some(tally),
                Some(sum) => sum.append(&tally),
            }
        }
        sum.unwrap_or_else(|| Tally::new(self.names.len()))
    }

    /// When the last worker ended; none while one is still running.
    fn ended_at(&self) -> Option<Nanos> {
        self.reported.iter().map(|(_, ended)| ended.map(|e| e.at)).max_by_key(|at| at.unwrap_or(Nanos::MAX))?
    }

    /// Requests of the window, or of the rest, that were started and did not end once.
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
