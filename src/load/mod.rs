//! When to start a request. No I/O, no clock: time is an argument, the next deadline is the answer.
//!
//! A [`Shape`] is plain data, the whole test's. A [`Schedule`] is one shard of it (`k` of `of`, by
//! striding: virtual user `v`, shared iteration `i` and arrival `i` belong to shard `v mod of`, `i
//! mod of`), so that *the union of the shards is the whole*, whatever `of` is.
//!
//! The dialogue with the engine, per pass of its loop:
//!
//! ```text
//! while let Some(turn) = schedule.due(now)   → Start: send a request for that VU / Retire: that VU was ramped away
//! poll(timeout = schedule.next_due())
//! schedule.finished(vu, now, back_off)       → that VU's request is over; it thinks, then is due again
//! ```

mod closed;
mod on_full;
mod open;
pub mod stages;
mod trace;

pub use on_full::OnFull;
pub use open::{Arrivals, Offered, Spacing};
pub use stages::Stage;
pub use trace::Trace;

use crate::units::Nanos;
use stages::Ramp;

/// How many users do what, and when: k6's executors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// `vus` users for `duration`.
    ConstantVus {
        vus: u32,
        /// How long new requests are started.
        duration: Nanos,
    },
    /// A number of users that follows `stages`.
    RampingVus {
        /// Users at the start.
        start_vus: u32,
        /// Linear ramps, one after the other.
        stages: Vec<Stage>,
        /// How long a user that was ramped away may finish its request.
        graceful_ramp_down: Nanos,
    },
    /// Each of `vus` users does `iterations` requests.
    PerVuIterations {
        vus: u32,
        iterations: u64,
        /// New requests are started no later than this.
        max_duration: Nanos,
    },
    /// `vus` users do `iterations` requests together.
    SharedIterations {
        vus: u32,
        iterations: u64,
        /// New requests are started no later than this.
        max_duration: Nanos,
    },
    /// Requests at a rate that does not change: one stage at the start's rate.
    ConstantArrivalRate(Arrivals),
    /// Requests at a rate that follows stages.
    RampingArrivalRate(Arrivals),
    /// Requests at recorded instants.
    Trace(Trace),
}

impl Shape {
    /// The most users at once.
    pub fn peak_vus(&self) -> u32 {
        match self {
            Self::ConstantVus { vus, .. } | Self::PerVuIterations { vus, .. } | Self::SharedIterations { vus, .. } => {
                *vus
            }
            Self::RampingVus { start_vus, stages, .. } => Ramp::new(*start_vus, stages).max(),
            Self::ConstantArrivalRate(arrivals) | Self::RampingArrivalRate(arrivals) => arrivals.max_vus,
            Self::Trace(trace) => trace.max_vus,
        }
    }

    /// Whether requests start when they are due, regardless of earlier requests.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::ConstantArrivalRate(_) | Self::RampingArrivalRate(_) | Self::Trace(_))
    }

    /// By how much the numbers of one user's requests differ, when requests are numbered over all
    /// users: 1 if there is one sequence for all of them.
    pub fn stride(&self) -> u64 {
        if self.counts_by_user() { u64::from(self.peak_vus()).max(1) } else { 1 }
    }

    /// Whether each user counts requests of its own.
    const fn counts_by_user(&self) -> bool {
        match self {
            Self::ConstantVus { .. } | Self::RampingVus { .. } | Self::PerVuIterations { .. } => true,
            Self::SharedIterations { .. }
            | Self::ConstantArrivalRate(_)
            | Self::RampingArrivalRate(_)
            | Self::Trace(_) => false,
        }
    }

    /// The arrivals of an open load at a rate.
    pub const fn arrivals(&self) -> Option<&Arrivals> {
        match self {
            Self::ConstantArrivalRate(arrivals) | Self::RampingArrivalRate(arrivals) => Some(arrivals),
            _ => None,
        }
    }

    /// Whether the clock ends it. Otherwise it ends when all iterations are done.
    pub const fn runs_by_time(&self) -> bool {
        !matches!(self, Self::PerVuIterations { .. } | Self::SharedIterations { .. })
    }

    /// The stages, in order; at least one.
    pub fn spans(&self) -> Vec<Span> {
        match self {
            Self::RampingVus { start_vus, stages, .. } => Ramp::new(*start_vus, stages).spans(),
            Self::ConstantArrivalRate(arrivals) | Self::RampingArrivalRate(arrivals) => {
                Ramp::new(arrivals.start_rate, &arrivals.stages).spans()
            }
            Self::ConstantVus { .. }
            | Self::PerVuIterations { .. }
            | Self::SharedIterations { .. }
            | Self::Trace(_) => {
                vec![Span { begin: Nanos::ZERO, end: self.end(), is_level: true, jumps: false }]
            }
        }
    }

    /// When nothing new is started any more, at the latest.
    pub fn end(&self) -> Nanos {
        match self {
            Self::ConstantVus { duration, .. } => *duration,
            Self::RampingVus { start_vus, stages, .. } => Ramp::new(*start_vus, stages).end(),
            Self::PerVuIterations { max_duration, .. } | Self::SharedIterations { max_duration, .. } => *max_duration,
            Self::ConstantArrivalRate(arrivals) | Self::RampingArrivalRate(arrivals) => arrivals.end(),
            Self::Trace(trace) => trace.end(),
        }
    }
}

/// A stage of a test, with what it does to the load. A shape without stages has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub begin: Nanos,
    /// The instant after its last.
    pub end: Nanos,
    /// The load is the same throughout.
    pub is_level: bool,
    /// The load jumps where it begins: it is another than at the end of the stage before.
    pub jumps: bool,
}

/// A pause of a user between the end of a request and its next one, drawn uniformly. Zero for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThinkTime {
    pub min: Nanos,
    pub max: Nanos,
}

/// Everything a schedule is made from: the whole test's shape, and which shard of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    pub shape: Shape,
    pub think_time: ThinkTime,
    /// How long requests may finish after the last stage.
    pub graceful_stop: Nanos,
    /// Draws the think times, per user and iteration.
    pub seed: u64,
    /// Which shard this is, below `of`: that of one of `workers`, whose processes stride by `of /
    /// workers`.
    pub shard: u32,
    pub of: u32,
    pub workers: u32,
    /// Requests that there are, numbered over all users with [`Shape::stride`]; none for any
    /// number.
    pub requests: Option<u64>,
}

/// Requests of a shard in the order in which they are started, as far as that is known beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    /// As of [`Start`].
    pub draw_vu: u32,
    /// Iteration of the first one.
    pub first: u64,
    /// From one iteration to the next.
    pub step: u64,
}

impl Load {
    /// The sequences in which this shard starts its requests: one for each user, by slot, or a single
    /// one for all of them.
    pub fn sequences(&self) -> Vec<Sequence> {
        let of = self.of.max(1);
        let peak = self.shape.peak_vus();
        if self.shape.counts_by_user() {
            let users = 0..local(peak, self.shard, of);
            users.map(|slot| Sequence { draw_vu: slot * of + self.shard, first: 0, step: 1 }).collect()
        } else {
            let Share { first, step } = self.share();
            vec![Sequence { draw_vu: 0, first, step }]
        }
    }

    /// The share of what is dealt to whoever has a user: shared iterations and arrivals.
    ///
    /// They are dealt to processes first and by each process to its workers. How many workers another
    /// process has is not known here, and must not matter.
    fn share(&self) -> Share {
        let peak = self.shape.peak_vus();
        let processes = (self.of / self.workers.max(1)).max(1);
        let (process, worker) = (self.shard % processes, self.shard / processes);
        // The first ones have a user, and a shard without one could start nothing.
        let deals = processes.min(peak).max(1);
        let within = self.workers.min(local(peak, process, processes)).max(1);
        Share {
            first: u64::from(process) + u64::from(deals) * u64::from(worker),
            step: u64::from(deals) * u64::from(within),
        }
    }
}

/// Numbers `first`, `first + step`, … of those that are dealt out, if the shard has a user at all.
#[derive(Debug, Clone, Copy)]
struct Share {
    first: u64,
    step: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// A request is due.
    Start(Start),
    /// A user was ramped away. If it is idle its connection is to be closed now; if a request is
    /// under way it may finish until `give_up`, and then is cut off, unless [`Schedule::is_active`]
    /// says that the user has come back meanwhile. (`finished` is to be called for it all the
    /// same.) A later `Start` may bring it back.
    Retire {
        /// The user, by its index in this shard: `0..local_vus()`.
        slot: u32,
        /// When its grace is over.
        give_up: Nanos,
    },
}

/// One request is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The user, by its index in this shard: `0..local_vus()`.
    pub slot: u32,
    /// The user, by its index in the whole test.
    pub vu: u32,
    /// Which stream of random draws the request takes: the user for executors that count per user,
    /// 0 for shared iterations.
    pub draw_vu: u32,
    /// How many requests came before it in that stream.
    pub iteration: u64,
    /// When it was meant to start.
    pub intended: Nanos,
}

/// One shard of a load, as it runs.
#[derive(Debug)]
pub enum Schedule {
    /// Users that start a request when their last one is over.
    Closed(closed::Schedule),
    /// Requests that start when their time has come.
    Open(open::Schedule),
}

impl Schedule {
    /// A schedule at instant zero.
    pub fn new(load: &Load) -> Self {
        if load.shape.is_open() {
            Self::Open(open::Schedule::new(load))
        } else {
            Self::Closed(closed::Schedule::new(load))
        }
    }

    /// What is due at `now`; call until `None`.
    pub fn due(&mut self, now: Nanos) -> Option<Turn> {
        match self {
            Self::Closed(schedule) => schedule.due(now),
            Self::Open(schedule) => schedule.due(now),
        }
    }

    /// When `due` should be asked again, if nothing finishes before.
    pub fn next_due(&self) -> Option<Nanos> {
        match self {
            Self::Closed(schedule) => schedule.next_due(),
            Self::Open(schedule) => schedule.next_due(),
        }
    }

    /// The request of `slot` is over. In closed load its user thinks, at least for `back_off` (zero
    /// unless the server is down), and is due again. In open load the rate alone says when requests
    /// start, also against a server that is down.
    pub fn finished(&mut self, slot: u32, now: Nanos, back_off: Nanos) {
        match self {
            Self::Closed(schedule) => schedule.finished(slot, now, back_off),
            Self::Open(schedule) => schedule.finished(slot),
        }
    }

    /// Users that are active at `now`, in this shard; past the end those of the end.
    pub fn vus(&self, now: Nanos) -> u32 {
        match self {
            Self::Closed(schedule) => schedule.vus(now),
            Self::Open(schedule) => schedule.vus(),
        }
    }

    /// Whether `slot` may start requests, as of the last `due`.
    pub fn is_active(&self, slot: u32) -> bool {
        match self {
            Self::Closed(schedule) => schedule.is_active(slot),
            Self::Open(_) => true,
        }
    }

    /// The most users this shard ever has: slots are below it.
    pub fn local_vus(&self) -> u32 {
        match self {
            Self::Closed(schedule) => schedule.local_vus(),
            Self::Open(schedule) => schedule.local_vus(),
        }
    }

    /// When the last stage ends: the end of the measurement window for the executors that run by
    /// time.
    pub fn end(&self) -> Nanos {
        match self {
            Self::Closed(schedule) => schedule.end(),
            Self::Open(schedule) => schedule.end(),
        }
    }

    /// Nothing will ever be due again.
    pub fn is_over(&self, now: Nanos) -> bool {
        match self {
            Self::Closed(schedule) => schedule.is_over(now),
            Self::Open(schedule) => schedule.is_over(),
        }
    }

    /// Nothing is started any more, because the test was stopped or its grace is over.
    pub fn close(&mut self, now: Nanos) {
        match self {
            Self::Closed(_) => {}
            Self::Open(schedule) => schedule.close(now),
        }
    }

    /// Arrivals that came due since the last call; none in closed load, where a user's turn is not
    /// an arrival.
    pub fn take_offered(&mut self) -> Offered {
        match self {
            Self::Closed(_) => Offered::default(),
            Self::Open(schedule) => schedule.take_offered(),
        }
    }

    /// Whether latency is measured from the intended instant as well.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }
}

/// How many of `all` users belong to a shard.
fn local(all: u32, shard: u32, of: u32) -> u32 {
    all.saturating_sub(shard).div_ceil(of)
}

#[cfg(test)]
mod tests;
