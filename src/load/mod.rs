//! When to start a request. No I/O, no clock: time is an argument, the next deadline is the answer.
//!
//! A [`Shape`] is plain data, the whole test's. A [`Schedule`] is one share of it (`k` of `of`, by striding: virtual user `v` and
//! shared iteration `i` belong to share `v mod of`, `i mod of`), so that *the union of the shares is the whole*, whatever `of` is.
//!
//! The dialogue with the engine, per pass of its loop:
//!
//! ```text
//! while let Some(turn) = schedule.due(now)   → Start: send a request for that VU / Retire: that VU was ramped away
//! poll(timeout = schedule.next_due())
//! schedule.finished(vu, now, back_off)       → that VU's request is over; it thinks, then is due again
//! ```

mod closed;
pub mod stages;

pub use closed::Schedule;
pub use stages::Stage;

use crate::units::Nanos;
use stages::Ramp;

/// How many users do what, and when: k6's executors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// `vus` users for `duration`.
    ConstantVus {
        /// How many.
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
        /// How many users.
        vus: u32,
        /// Requests each.
        iterations: u64,
        /// New requests are started no later than this.
        max_duration: Nanos,
    },
    /// `vus` users do `iterations` requests together.
    SharedIterations {
        /// How many users.
        vus: u32,
        /// Requests in all.
        iterations: u64,
        /// New requests are started no later than this.
        max_duration: Nanos,
    },
}

impl Shape {
    /// The most users at once.
    pub fn peak_vus(&self) -> u32 {
        match self {
            Self::ConstantVus { vus, .. } | Self::PerVuIterations { vus, .. } | Self::SharedIterations { vus, .. } => {
                *vus
            }
            Self::RampingVus { start_vus, stages, .. } => Ramp::new(*start_vus, stages).max(),
        }
    }

    /// Whether the clock ends it. Otherwise it ends when all iterations are done.
    pub const fn runs_by_time(&self) -> bool {
        matches!(self, Self::ConstantVus { .. } | Self::RampingVus { .. })
    }

    /// The stages, in order; at least one.
    pub fn spans(&self) -> Vec<Span> {
        match self {
            Self::RampingVus { start_vus, stages, .. } => Ramp::new(*start_vus, stages).spans(),
            Self::ConstantVus { .. } | Self::PerVuIterations { .. } | Self::SharedIterations { .. } => {
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
        }
    }
}

/// A stage of a test, with what it does to the load. A shape without stages has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first instant.
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
    /// Shortest.
    pub min: Nanos,
    /// Longest.
    pub max: Nanos,
}

/// Everything a schedule is made from: the whole test's shape, and which share of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// Users over time.
    pub shape: Shape,
    /// Pause between requests.
    pub think_time: ThinkTime,
    /// How long requests may finish after the last stage.
    pub graceful_stop: Nanos,
    /// Draws the think times, per user and iteration.
    pub seed: u64,
    /// Which share this is, below `of`.
    pub share: u32,
    /// Of how many.
    pub of: u32,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// A request is due.
    Start(Start),
    /// A user was ramped away. If it is idle its connection is to be closed now; if a request is under way it may finish until
    /// `give_up`, and then is cut off, unless [`Schedule::is_active`] says that the user has come back meanwhile. (`finished` is to be
    /// called for it all the same.) A later `Start` may bring it back.
    Retire {
        /// The user, by its index in this share: `0..local_vus()`.
        slot: u32,
        /// When its grace is over.
        give_up: Nanos,
    },
}

/// One request is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The user, by its index in this share: `0..local_vus()`.
    pub slot: u32,
    /// The user, by its index in the whole test.
    pub vu: u32,
    /// Which stream of random draws the request takes: the user for executors that count per user, 0 for shared iterations.
    pub draw_vu: u32,
    /// How many requests came before it in that stream.
    pub iteration: u64,
    /// When it was meant to start.
    pub intended: Nanos,
}
