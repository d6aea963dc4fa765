//! A worker's tallies: one for each phase with new numbers, handed to the fleet once a second.
//!
//! A request belongs to the phase in which it was sent. The tally of the present phase is at hand.
//! Requests of earlier phases that are still ending go to tallies of their own, found by
//! comparison. All of them are ordinary sums, so stages need not end on whole seconds, and the
//! total is the same as without phases.

use super::channels::{Ended, Outbox, Report};
use super::clock::{thread_cpu_time, thread_run_wait};
use super::window::{Placement, Window};
use crate::metrics::{Batch, Tally};
use crate::plan::{Phase, Plan};
use crate::units::Nanos;

/// The interval at which numbers leave the worker.
const PUBLISH_EVERY: Nanos = Nanos::from_secs(1);

#[derive(Debug)]
pub(super) struct TallySet {
    worker: usize,
    kinds: usize,
    outbox: Outbox,
    phases: Vec<Phase>,
    window: Window,
    /// The present phase by the worker's own clock.
    phase: usize,
    /// The tally of that phase. Numbers that belong to no request go here.
    pub(super) tally: Box<Tally>,
    /// Tallies of other phases with numbers in this second.
    others: Vec<(usize, Box<Tally>)>,
    /// Records of this second, which are handed over with it.
    pub(super) batch: Option<Batch>,
    next_publish: Nanos,
    second: u32,
    cpu_seen: Nanos,
    run_wait_seen: Nanos,
}

impl TallySet {
    pub(super) fn new(worker: usize, plan: &Plan, outbox: Outbox) -> Self {
        let kinds = plan.mix.kinds.len();
        let (begin, end) = plan.window();
        Self {
            worker,
            kinds,
            outbox,
            phases: plan.phases(),
            window: Window { begin, end },
            phase: 0,
            tally: Box::new(Tally::new(kinds)),
            others: Vec::new(),
            batch: None,
            next_publish: PUBLISH_EVERY,
            second: 0,
            cpu_seen: thread_cpu_time(),
            run_wait_seen: thread_run_wait(),
        }
    }

    /// Returns the phase of a request that is sent at `sent`. This is exact, although the worker
    /// itself may notice the edge of a phase a little later.
    #[inline]
    pub(super) fn placement(&self, sent: Nanos) -> Placement {
        let present = &self.phases[self.phase];
        let phase = if present.begin <= sent && sent < present.end {
            self.phase
        } else {
            self.phases.partition_point(|phase| phase.end <= sent)
        };
        Placement { phase: phase as u16, window: self.window }
    }

    /// Returns the tally of a phase.
    #[inline]
    pub(super) fn of(&mut self, phase: u16) -> &mut Tally {
        if usize::from(phase) == self.phase { &mut self.tally } else { self.other(usize::from(phase)) }
    }

    #[cold]
    fn other(&mut self, phase: usize) -> &mut Tally {
        let at = self.others.iter().position(|(of, _)| *of == phase).unwrap_or_else(|| {
            let mut tally = self.fresh();
            tally.forget_levels();
            self.others.push((phase, tally));
            self.others.len() - 1
        });
        &mut self.others[at].1
    }

    fn fresh(&self) -> Box<Tally> {
        self.outbox.recycled.try_recv().unwrap_or_else(|_| Box::new(Tally::new(self.kinds)))
    }

    /// Ends the measurement window now, earlier than planned.
    pub(super) fn close_window(&mut self, now: Nanos) {
        self.window.close(now);
    }

    /// Returns when the next phase begins or the present second ends, whichever is first.
    pub(super) fn next_turn(&self) -> Nanos {
        self.next_publish.min(self.phases[self.phase].end)
    }

    /// Returns true if the present second is over by `now`.
    pub(super) fn publishes(&self, now: Nanos) -> bool {
        self.next_publish <= now
    }

    /// Returns the mean time between tokens of this second; zero without tokens.
    pub(super) fn mean_gap(&self) -> Nanos {
        let others = self.others.iter().map(|(_, tally)| tally.mean_gap());
        others.fold(self.tally.mean_gap(), |gap, other| if gap == Nanos::ZERO { other } else { gap })
    }

    /// Begins phases and ends seconds in the order of time, so that the levels of a phase are in
    /// the second that they belong to.
    pub(super) fn turn(&mut self, now: Nanos) {
        loop {
            let edge = self.phases[self.phase].end;
            if edge <= now && edge < self.next_publish {
                self.enter_next_phase();
            } else if self.next_publish <= now {
                self.publish(None);
                self.second = (now.0 / PUBLISH_EVERY.0) as u32;
                self.next_publish = Nanos((u64::from(self.second) + 1) * PUBLISH_EVERY.0);
            } else {
                return;
            }
        }
    }

    fn enter_next_phase(&mut self) {
        let next = self.phase + 1;
        // The tally may exist already: a request that is sent late in a pass gets its exact phase.
        let at = self.others.iter().position(|(of, _)| *of == next);
        let mut tally = match at {
            Some(at) => self.others.swap_remove(at).1,
            None => self.fresh(),
        };
        tally.continue_levels(&self.tally);
        let earlier = std::mem::replace(&mut self.tally, tally);
        self.others.push((self.phase, earlier));
        self.phase = next;
    }

    /// Hands over the tallies of this second. CPU time belongs to the phase in which the second
    /// ends.
    pub(super) fn publish(&mut self, last: Option<Ended>) {
        let (cpu, run_wait) = (thread_cpu_time(), thread_run_wait());
        self.tally.cpu_time = cpu.since(self.cpu_seen);
        self.tally.busiest = self.tally.cpu_time;
        self.tally.run_wait = run_wait.since(self.run_wait_seen);
        (self.cpu_seen, self.run_wait_seen) = (cpu, run_wait);
        for (phase, tally) in std::mem::take(&mut self.others) {
            self.send(phase, tally, None, false, None);
        }
        let mut next = self.fresh();
        next.continue_levels(&self.tally);
        let tally = std::mem::replace(&mut self.tally, next);
        let batch = self.batch.take();
        self.send(self.phase, tally, batch, true, last);
    }

    fn send(&self, phase: usize, tally: Box<Tally>, batch: Option<Batch>, complete: bool, last: Option<Ended>) {
        let (worker, second, phase) = (self.worker, self.second, phase as u16);
        // The fleet outlives its workers. If it is gone all the same, the report has no receiver.
        let _ = self.outbox.reports.send(Report { worker, second, phase, tally, batch, complete, last });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Gauge, Summary};
    use crate::plan::{Overrides, Shape, Stage, resolve};
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Returns the tallies of a plan with stages of 1.5 s and 8.5 s, and the ends of its channels.
    fn tallies() -> (TallySet, Receiver<Report>, Sender<Box<Tally>>) {
        let mut nothing = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        let plan = resolve("load", &Overrides::default(), &mut nothing).expect("built in").plan;
        let stages = [1_500, 8_500].map(|ms| Stage { duration: Nanos::from_millis(ms), target: 4 }).to_vec();
        let shape = Shape::RampingVus { start_vus: 1, stages, graceful_ramp_down: Nanos::ZERO };
        let ((reports, inbox), (empty, recycled)) = (channel(), channel());
        (TallySet::new(0, &Plan { shape, ..plan }, Outbox { reports, recycled }), inbox, empty)
    }

    fn vus(tally: &Tally) -> Option<(u64, u64, u64)> {
        let summary = Summary::new(tally, &["a".to_owned(), "b".to_owned()], Nanos::from_secs(1));
        summary.gauge(Gauge::Vus).map(|level| (level.value, level.min, level.max))
    }

    #[test]
    fn edges_and_seconds_come_in_the_order_of_time() {
        let (mut tallies, inbox, empty) = tallies();
        tallies.tally.level(Gauge::Vus, 1);
        tallies.turn(Nanos::from_millis(1_010));
        assert_eq!(tallies.next_turn(), Nanos::from_millis(1_500));
        tallies.tally.level(Gauge::Vus, 2);
        // A worker that was stopped for a while notices both edges at once.
        tallies.turn(Nanos::from_millis(3_200));
        let seen: Vec<_> = inbox.try_iter().collect();
        let order: Vec<_> = seen.iter().map(|r| (r.second, r.phase, r.complete)).collect();
        assert_eq!(order, [(0, 0, true), (1, 0, false), (1, 1, true)]);
        assert_eq!(
            seen.iter().map(|r| vus(&r.tally)).collect::<Vec<_>>(),
            [Some((1, 1, 1)), Some((2, 1, 2)), Some((2, 2, 2))]
        );
        assert_eq!((tallies.second, tallies.next_turn()), (3, Nanos::from_secs(4)));
        // The tally of a late request has no levels, even if it is a reused tally.
        for mut report in seen {
            report.tally.clear();
            empty.send(report.tally).expect("the worker listens");
        }
        tallies.of(0).stale_retry(0, true);
        tallies.turn(Nanos::from_secs(4));
        let late: Vec<_> = inbox.try_iter().map(|r| (r.second, r.phase, vus(&r.tally))).collect();
        assert_eq!(late, [(3, 0, None), (3, 1, Some((2, 2, 2)))]);
    }

    #[test]
    fn a_request_is_placed_exactly_before_the_edge_is_noticed() {
        let (mut tallies, inbox, _empty) = tallies();
        let at = |tallies: &TallySet, ms| tallies.placement(Nanos::from_millis(ms)).phase;
        assert_eq!([0, 1_499, 1_500, 99_000].map(|ms| at(&tallies, ms)), [0, 0, 1, 1]);
        tallies.turn(Nanos::from_secs(1));
        tallies.of(1).stale_retry(0, true);
        tallies.turn(Nanos::from_millis(1_600));
        assert_eq!(at(&tallies, 1_499), 0);
        tallies.publish(None);
        let parts: Vec<_> = inbox.try_iter().map(|r| r.phase).collect();
        assert_eq!(
            parts,
            [0, 0, 1],
            "the first second, and two parts of the next: what was recorded ahead of the edge is in the phase's one tally"
        );
    }
}
