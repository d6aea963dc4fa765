//! Decides when to start a request. No I/O, no clock: time is an argument, and the next deadline is
//! the result.
//!
//! A [`Shape`] is plain data and describes the whole test. A [`Schedule`] is one shard of it (`k`
//! of `of`). Shards stride: virtual user `v`, shared iteration `i` and arrival `i` belong to shard
//! `v mod of`, `i mod of`. So *the union of the shards is the whole*, for every `of`.
//!
//! The dialogue with the engine, per pass of its loop:
//!
//! ```text
//! while let Some(turn) = schedule.due(now)   → Start: send a request for that VU
//!                                            Retire: that VU was ramped away
//! poll(timeout = schedule.next_due())
//! schedule.finished(vu, now, back_off)       → that VU's request is over: it thinks, then is due
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

/// How many users are active, and when: k6's executors.
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
    /// Requests at a constant rate: one stage, at the start's rate.
    ConstantArrivalRate(Arrivals),
    /// Requests at a rate that follows stages.
    RampingArrivalRate(Arrivals),
    /// Requests at recorded instants.
    Trace(Trace),
}

impl Shape {
    /// Returns the most users at once.
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

    /// Returns true if requests start when they are due, regardless of earlier requests.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::ConstantArrivalRate(_) | Self::RampingArrivalRate(_) | Self::Trace(_))
    }

    /// Returns the step between the numbers of one user's requests, if requests are numbered over
    /// all users. It is 1 if all users share one sequence.
    pub fn stride(&self) -> u64 {
        if self.counts_by_user() { u64::from(self.peak_vus()).max(1) } else { 1 }
    }

    /// Returns true if each user counts its own requests.
    const fn counts_by_user(&self) -> bool {
        match self {
            Self::ConstantVus { .. } | Self::RampingVus { .. } | Self::PerVuIterations { .. } => true,
            Self::SharedIterations { .. }
            | Self::ConstantArrivalRate(_)
            | Self::RampingArrivalRate(_)
            | Self::Trace(_) => false,
        }
    }

    /// Returns the arrivals of an open loop at a rate.
    pub const fn arrivals(&self) -> Option<&Arrivals> {
        match self {
            Self::ConstantArrivalRate(arrivals) | Self::RampingArrivalRate(arrivals) => Some(arrivals),
            _ => None,
        }
    }

    /// Returns true if the clock ends it. Otherwise it ends when all iterations are done.
    pub const fn runs_by_time(&self) -> bool {
        !matches!(self, Self::PerVuIterations { .. } | Self::SharedIterations { .. })
    }

    /// Returns the stages, in order. There is at least one.
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

    /// Returns the latest instant at which a request may start.
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

/// A stage of a test, and how the load changes in it. A shape without stages has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub begin: Nanos,
    /// The first instant after it.
    pub end: Nanos,
    /// True if the load stays the same throughout.
    pub is_level: bool,
    /// True if the load jumps where it begins: it differs from the load at the end of the stage
    /// before.
    pub jumps: bool,
}

/// A pause of a user between the end of a request and its next one, drawn uniformly. Zero for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThinkTime {
    pub min: Nanos,
    pub max: Nanos,
}

/// Everything that a schedule is made from: the whole test's shape, and the shard's position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    pub shape: Shape,
    pub think_time: ThinkTime,
    /// How long requests may finish after the last stage.
    pub graceful_stop: Nanos,
    /// Seed of the think times, which are drawn per user and iteration.
    pub seed: u64,
    /// Number of this shard, below `of`. A process has `workers` shards, and processes stride by
    /// `of / workers`.
    pub shard: u32,
    pub of: u32,
    pub workers: u32,
    /// The most requests, numbered over all users with [`Shape::stride`]. `None` if there is no
    /// limit.
    pub requests: Option<u64>,
}

/// Requests of a shard in the order of their starts, as far as it is known beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    /// As in [`Start`].
    pub draw_vu: u32,
    /// Iteration of the first request.
    pub first: u64,
    /// Step from one iteration to the next.
    pub step: u64,
}

impl Load {
    /// Returns the sequences in which this shard starts its requests: one for each user, by slot,
    /// or a single one for all of them.
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

    /// Returns this shard's share of the shared iterations or arrivals.
    ///
    /// They are dealt to processes first, and by each process to its workers. The number of workers
    /// of other processes is not known here, and must not matter.
    fn share(&self) -> Share {
        let peak = self.shape.peak_vus();
        let processes = (self.of / self.workers.max(1)).max(1);
        let (process, worker) = (self.shard % processes, self.shard / processes);
        // The first processes have users. A shard without a user could not start anything.
        let deals = processes.min(peak).max(1);
        let within = self.workers.min(local(peak, process, processes)).max(1);
        Share {
            first: u64::from(process) + u64::from(deals) * u64::from(worker),
            step: u64::from(deals) * u64::from(within),
        }
    }
}

/// The numbers that a shard is dealt: `first`, `first + step`, … if it has a user at all.
#[derive(Debug, Clone, Copy)]
struct Share {
    first: u64,
    step: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// A request is due.
    Start(Start),
    /// A user was ramped away. If it is idle, its connection is to be closed now. If it has a
    /// request under way, the request may finish until `give_up` and then is cut off, unless
    /// [`Schedule::is_active`] says that the user has come back meanwhile. (`finished` must be
    /// called in any case.) A later `Start` may bring the user back.
    Retire {
        /// The user, by its index in this shard: `0..local_vus()`.
        slot: u32,
        /// The end of its grace period.
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
    /// The stream of random draws for the request: the user for executors that count per user, 0
    /// for shared iterations and arrivals.
    pub draw_vu: u32,
    /// Number of requests before it in that stream.
    pub iteration: u64,
    /// The instant when it was meant to start.
    pub intended: Nanos,
}

/// One shard of a load, as it runs.
#[derive(Debug)]
pub enum Schedule {
    /// Closed loop: a user starts a request when its last one is over.
    Closed(closed::Schedule),
    /// Open loop: requests start when they are due.
    Open(open::Schedule),
}

impl Schedule {
    /// Creates a schedule at instant zero.
    pub fn new(load: &Load) -> Self {
        if load.shape.is_open() {
            Self::Open(open::Schedule::new(load))
        } else {
            Self::Closed(closed::Schedule::new(load))
        }
    }

    /// Returns the next turn that is due at `now`. Call until `None`.
    pub fn due(&mut self, now: Nanos) -> Option<Turn> {
        match self {
            Self::Closed(schedule) => schedule.due(now),
            Self::Open(schedule) => schedule.due(now),
        }
    }

    /// Returns when `due` should be called again, if no request finishes before.
    pub fn next_due(&self) -> Option<Nanos> {
        match self {
            Self::Closed(schedule) => schedule.next_due(),
            Self::Open(schedule) => schedule.next_due(),
        }
    }

    /// Reports that the request of `slot` is over. In a closed loop, its user thinks, for at least
    /// `back_off` (zero unless the server is down), and then is due again. In an open loop, the
    /// rate alone decides when requests start, even if the server is down.
    pub fn finished(&mut self, slot: u32, now: Nanos, back_off: Nanos) {
        match self {
            Self::Closed(schedule) => schedule.finished(slot, now, back_off),
            Self::Open(schedule) => schedule.finished(slot),
        }
    }

    /// Returns the active users of this shard at `now`. After the end, the number at the end.
    pub fn vus(&self, now: Nanos) -> u32 {
        match self {
            Self::Closed(schedule) => schedule.vus(now),
            Self::Open(schedule) => schedule.vus(),
        }
    }

    /// Returns true if `slot` may start requests, as of the last `due`.
    pub fn is_active(&self, slot: u32) -> bool {
        match self {
            Self::Closed(schedule) => schedule.is_active(slot),
            Self::Open(_) => true,
        }
    }

    /// Returns the most users that this shard ever has. Slots are below this number.
    pub fn local_vus(&self) -> u32 {
        match self {
            Self::Closed(schedule) => schedule.local_vus(),
            Self::Open(schedule) => schedule.local_vus(),
        }
    }

    /// Returns when the last stage ends: the end of the measurement window for executors that run
    /// by time.
    pub fn end(&self) -> Nanos {
        match self {
            Self::Closed(schedule) => schedule.end(),
            Self::Open(schedule) => schedule.end(),
        }
    }

    /// Returns true if nothing will ever be due again.
    pub fn is_over(&self, now: Nanos) -> bool {
        match self {
            Self::Closed(schedule) => schedule.is_over(now),
            Self::Open(schedule) => schedule.is_over(),
        }
    }

    /// Starts nothing more, because the test was stopped or its grace is over.
    pub fn close(&mut self, now: Nanos) {
        match self {
            Self::Closed(_) => {}
            Self::Open(schedule) => schedule.close(now),
        }
    }

    /// Takes the counts of arrivals that came due since the last call. Zero in a closed loop, where
    /// a user's turn is not an arrival.
    pub fn take_offered(&mut self) -> Offered {
        match self {
            Self::Closed(_) => Offered::default(),
            Self::Open(schedule) => schedule.take_offered(),
        }
    }

    /// Returns true if latency is also measured from the intended instant.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }
}

/// Returns how many of `all` users belong to a shard.
fn local(all: u32, shard: u32, of: u32) -> u32 {
    all.saturating_sub(shard).div_ceil(of)
}

#[cfg(test)]
mod tests;
