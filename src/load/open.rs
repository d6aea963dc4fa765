//! Open loop: requests start when they are due, regardless of earlier requests.
//!
//! Users of a real service do not wait for each other. In a closed loop they do: when the server
//! stalls, its users stop asking, and the worst moments are measured least (*coordinated
//! omission*). Here arrivals are a fixed sequence of instants, and latency is measured from them.
//!
//! ```text
//!  Sequence: 0 1 2 3 4 5 …   one for the whole test, the same on every thread and machine
//!            │   │   │       a shard takes every n-th
//!            ▼   ▼   ▼
//!          next ──▶ a free user starts it ──▶ … ──▶ finished: the user is free again
//!                   all busy: it waits and keeps its instant (queue), or is dropped and counted
//! ```
//!
//! Arrival `k` comes when the expected number of arrivals, the integral of the rate, reaches
//! `U(k)`. With constant spacing, `U(k) = k`. With random spacing, `U` is a sum of random steps
//! with mean 1. Exponential steps make a Poisson process, however the rate changes meanwhile (the
//! time-change theorem; Çinlar, "Introduction to Stochastic Processes", 1975, chapter 4.7).

use super::on_full::OnFull;
use super::stages::Stage;
use super::trace::Trace;
use super::{Load, Shape, Start, Turn, local};
use crate::units::{Nanos, mix64};

/// Keeps arrivals apart from everything else that is drawn with the seed.
const ARRIVAL_DRAWS: u64 = 0x4172_7269_7661_6c01;

/// Requests at a rate: k6's arrival-rate executors. Rates are whole numbers per `time_unit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrivals {
    /// The rate at the start.
    pub start_rate: u32,
    /// The time that rates are given per.
    pub time_unit: Nanos,
    /// Linear ramps of the rate, one after the other.
    pub stages: Vec<Stage>,
    /// Users that exist from the start.
    pub pre_allocated_vus: u32,
    /// The most users: the most requests that may be under way at once.
    pub max_vus: u32,
    /// The spacing of arrivals.
    pub spacing: Spacing,
    /// The fate of an arrival that finds all users busy.
    pub on_full: OnFull,
}

impl Arrivals {
    /// Returns when the last stage ends.
    pub fn end(&self) -> Nanos {
        self.stages.iter().fold(Nanos::ZERO, |end, stage| end.saturating_add(stage.duration))
    }

    /// Returns the highest rate, per `time_unit`.
    pub fn peak_rate(&self) -> u32 {
        self.stages.iter().map(|stage| stage.target).fold(self.start_rate, u32::max)
    }
}

/// How arrivals are spaced around their rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spacing {
    Constant,
    /// Exponential steps, as independent users arrive.
    Poisson,
    /// Gamma-distributed steps. A shape of 1 is Poisson; below 1 arrivals come in bursts, above 1
    /// more evenly.
    Gamma {
        /// The shape, in thousandths. Serving benchmarks call it burstiness.
        burstiness_thousandths: u32,
    },
}

impl Spacing {
    /// Returns its name in profiles.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Poisson => "poisson",
            Self::Gamma { .. } => "gamma",
        }
    }

    /// Returns the shape of gamma arrivals.
    pub fn burstiness(self) -> Option<f64> {
        match self {
            Self::Gamma { burstiness_thousandths } => Some(f64::from(burstiness_thousandths) / 1_000.0),
            Self::Constant | Self::Poisson => None,
        }
    }
}

/// Counts of arrivals that came due since the counts were last taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offered {
    pub arrivals: u64,
    /// Arrivals that were never started.
    pub dropped: u64,
}

/// One shard of an open loop, as it runs.
#[derive(Debug)]
pub struct Schedule {
    sequence: Source,
    /// The most arrivals.
    requests: u64,
    /// The next arrival of this shard that was neither started nor dropped.
    next: Option<Arrival>,
    /// Distance from one arrival of this shard to its next one.
    stride: usize,
    shard: u32,
    of: u32,
    end: Nanos,
    on_full: OnFull,
    users: u32,
    /// Idle users. The user that finished last starts next, because its connection is warm.
    free: Vec<u32>,
    /// Users that exist: those from the start, and those that were needed since.
    present: u32,
    offered: Offered,
}

impl Schedule {
    pub(super) fn new(load: &Load) -> Self {
        let (sequence, pre_allocated_vus, on_full) = match &load.shape {
            Shape::Trace(trace) => {
                (Source::Trace { trace: trace.clone(), next: 0 }, trace.pre_allocated_vus, trace.on_full)
            }
            Shape::ConstantArrivalRate(arrivals) | Shape::RampingArrivalRate(arrivals) => {
                let sequence = Source::Rate(Sequence::new(arrivals, load.seed));
                (sequence, arrivals.pre_allocated_vus, arrivals.on_full)
            }
            Shape::ConstantVus { .. }
            | Shape::RampingVus { .. }
            | Shape::PerVuIterations { .. }
            | Shape::SharedIterations { .. } => {
                debug_assert!(false, "a closed load has no arrivals");
                (Source::None, 0, OnFull::Queue)
            }
        };
        let max_vus = load.shape.peak_vus();
        let share = load.share();
        let users = local(max_vus, load.shard, load.of);
        let mut schedule = Self {
            sequence,
            requests: load.requests.unwrap_or(u64::MAX),
            next: None,
            stride: share.step as usize,
            shard: load.shard,
            of: load.of,
            end: load.shape.end(),
            on_full,
            users,
            free: (0..users).rev().collect(),
            present: local(pre_allocated_vus, load.shard, load.of).min(users),
            offered: Offered::default(),
        };
        if users > 0 {
            schedule.take_next(share.first as usize);
        }
        schedule
    }

    /// Returns the next turn that is due at `now`. Call until `None`. Waiting arrivals are due even
    /// after the end: they came before it.
    pub fn due(&mut self, now: Nanos) -> Option<Turn> {
        while let Some(arrival) = self.next.filter(|arrival| arrival.at <= now) {
            let slot = self.free.pop();
            if slot.is_none() && self.on_full == OnFull::Queue {
                return None;
            }
            self.advance();
            match slot {
                None => self.offered.dropped += 1,
                Some(slot) => {
                    self.present = self.present.max(self.users - self.free.len() as u32);
                    let vu = slot * self.of + self.shard;
                    let start = Start { slot, vu, draw_vu: 0, iteration: arrival.index, intended: arrival.at };
                    return Some(Turn::Start(start));
                }
            }
        }
        None
    }

    /// Returns when `due` should be called again, if no request finishes before.
    pub fn next_due(&self) -> Option<Nanos> {
        let waits = self.free.is_empty() && self.on_full == OnFull::Queue;
        self.next.filter(|_| !waits).map(|arrival| arrival.at)
    }

    /// Reports that the request of `slot` is over.
    pub fn finished(&mut self, slot: u32) {
        debug_assert!(self.free.len() < self.users as usize, "user {slot} has no request under way");
        self.free.push(slot);
    }

    /// Returns the users that exist in this shard.
    pub fn vus(&self) -> u32 {
        self.present
    }

    /// Returns the most users that this shard ever has.
    pub fn local_vus(&self) -> u32 {
        self.users
    }

    /// Returns the latest instant at which an arrival may be due.
    pub fn end(&self) -> Nanos {
        self.end
    }

    /// Returns true if every arrival was started or dropped.
    pub fn is_over(&self) -> bool {
        self.next.is_none()
    }

    /// Starts nothing more. Arrivals that were due at `now` and still wait are dropped. Later ones
    /// were never offered.
    pub fn close(&mut self, now: Nanos) {
        while self.next.is_some_and(|arrival| arrival.at <= now) {
            self.advance();
            self.offered.dropped += 1;
        }
        self.next = None;
    }

    /// Takes the counts of arrivals that came due since the last call.
    pub fn take_offered(&mut self) -> Offered {
        std::mem::take(&mut self.offered)
    }

    fn advance(&mut self) {
        self.offered.arrivals += 1;
        self.take_next(self.stride - 1);
    }

    /// Moves to the next arrival of this shard, after `skipped` others.
    fn take_next(&mut self, skipped: usize) {
        self.next = self.sequence.nth(skipped).filter(|arrival| arrival.index < self.requests);
    }
}

/// The source of arrivals.
#[derive(Debug)]
enum Source {
    Rate(Sequence),
    Trace { trace: Trace, next: u64 },
    None,
}

impl Source {
    /// Returns the arrival after `skipped` others.
    fn nth(&mut self, skipped: usize) -> Option<Arrival> {
        match self {
            Self::Rate(sequence) => sequence.nth(skipped),
            Self::Trace { trace, next } => {
                let index = *next + skipped as u64;
                *next = index + 1;
                trace.at(index).map(|at| Arrival { index, at })
            }
            Self::None => None,
        }
    }
}

/// One arrival of the whole test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Arrival {
    index: u64,
    at: Nanos,
}

/// All arrivals of a test, one after the other. Every shard computes all of them and keeps its own.
/// That costs a few nanoseconds each, and makes the union of the shards equal to the whole, bit for
/// bit.
#[derive(Debug, Clone)]
struct Sequence {
    segments: Vec<Segment>,
    /// Index of the segment of the last arrival.
    segment: usize,
    spacing: Spacing,
    seed: u64,
    index: u64,
    /// `U` of the next arrival.
    expected: f64,
}

/// One stage, with rates in arrivals per nanosecond.
#[derive(Debug, Clone, Copy)]
struct Segment {
    begin: Nanos,
    length: f64,
    from: f64,
    to: f64,
    /// Expected arrivals before it, and up to its end.
    before: f64,
    until: f64,
}

impl Sequence {
    fn new(arrivals: &Arrivals, seed: u64) -> Self {
        let per_nano = |rate: u32| f64::from(rate) / arrivals.time_unit.0.max(1) as f64;
        let (mut begin, mut from, mut before) = (Nanos::ZERO, per_nano(arrivals.start_rate), 0.0);
        let segments = arrivals.stages.iter().map(|stage| {
            let (length, to) = (stage.duration.0 as f64, per_nano(stage.target));
            let until = before + length * (from + to) / 2.0;
            let segment = Segment { begin, length, from, to, before, until };
            (begin, from, before) = (begin.saturating_add(stage.duration), to, until);
            segment
        });
        let segments = segments.collect();
        let mut sequence = Self { segments, segment: 0, spacing: arrivals.spacing, seed, index: 0, expected: 0.0 };
        // With constant spacing the first arrival comes at once, as in k6. Otherwise it comes after
        // a step.
        if arrivals.spacing != Spacing::Constant {
            sequence.expected = sequence.step();
        }
        sequence
    }

    /// Returns the distance in `U` between the arrival before `index` and the one at `index`.
    fn step(&self) -> f64 {
        let mut random = fastrand::Rng::with_seed(mix64(self.seed ^ ARRIVAL_DRAWS, self.index, 0));
        match self.spacing {
            Spacing::Constant => 1.0,
            Spacing::Poisson => exponential(&mut random),
            Spacing::Gamma { burstiness_thousandths } => {
                let shape = f64::from(burstiness_thousandths.max(1)) / 1_000.0;
                gamma(shape, &mut random) / shape
            }
        }
    }
}

impl Iterator for Sequence {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let segment = loop {
            let segment = self.segments.get(self.segment)?;
            if self.expected < segment.until {
                break segment;
            }
            self.segment += 1;
        };
        let at = segment.instant(self.expected);
        let arrival = Arrival { index: self.index, at };
        self.index += 1;
        // With constant spacing, a sum would gather rounding errors over millions of arrivals. The
        // index itself has none.
        self.expected = if self.spacing == Spacing::Constant { self.index as f64 } else { self.expected + self.step() };
        Some(arrival)
    }
}

impl Segment {
    /// Returns when the expected number of arrivals reaches `expected`, which lies in this segment.
    /// This is the smaller root of `from·x + (to − from)·x² / (2·length) = expected − before`, in
    /// the form that does not subtract near-equal numbers.
    fn instant(&self, expected: f64) -> Nanos {
        let missing = expected - self.before;
        let bend = (self.to - self.from) / (2.0 * self.length);
        let root = (self.from * self.from + 4.0 * bend * missing).max(0.0).sqrt();
        let elapsed = (2.0 * missing / (self.from + root)).clamp(0.0, self.length);
        // 0/0: nothing has arrived, and nothing is expected at this very instant.
        let elapsed = if elapsed.is_nan() { 0.0 } else { elapsed };
        self.begin.saturating_add(Nanos(elapsed.round() as u64))
    }
}

/// Draws from the exponential distribution with mean 1.
fn exponential(random: &mut fastrand::Rng) -> f64 {
    // 1 − u lies in (0, 1], so that the logarithm is finite.
    -(1.0 - random.f64()).ln()
}

/// Draws from the standard normal distribution (Box and Muller, 1958).
fn normal(random: &mut fastrand::Rng) -> f64 {
    (2.0 * exponential(random)).sqrt() * (std::f64::consts::TAU * random.f64()).cos()
}

/// Draws from the gamma distribution with this shape and scale 1 (Marsaglia and Tsang, "A simple
/// method for generating gamma variables", 2000; section 6 for shapes below 1).
fn gamma(shape: f64, random: &mut fastrand::Rng) -> f64 {
    if shape < 1.0 {
        let small = exponential(random) / shape;
        return gamma(shape + 1.0, random) * (-small).exp();
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(random);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && -exponential(random) < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

#[cfg(test)]
mod tests;
