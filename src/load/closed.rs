//! Closed loop: a user starts a request when its last one is over.
//!
//! One user's life, all of it driven by `due` and `finished`:
//!
//! ```text
//!          switched on                 due: Start                    finished
//!   Away ───────────────▶ Ready ───────────────────▶ InFlight ───────────────────┐
//!    ▲                      ▲  │ nothing left to do: Retire                      │
//!    │ switched off: Retire │  └────────▶ Done        think time, back-off        │
//!    ├──────────────────────┤◀────────────────────────────── Thinking ◀───────────┤
//!    └──────────────────────┴──────────────────────────── no pause ◀─────────────┘
//! ```
//!
//! The users that are switched on are always the first ones, of the whole test and so of each
//! shard. One comparison therefore tells whether a user is on. A user that is switched off with a
//! request under way stays `InFlight`, and is `Away` when that request is over.
//!
//! This file does not know what a request is, nor how long it takes. It never looks at all its
//! users at once. An entry of the queue or the heap that is out of date (its user was switched off
//! meanwhile) is dropped when it comes up.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::stages::Ramp;
use super::{Load, Shape, Share, Start, ThinkTime, Turn, local};
use crate::units::{Nanos, mix64};

/// Keeps think times apart from everything else that is drawn for a user and an iteration.
const THINK_DRAWS: u64 = 0x7448_494e_4b00_0001;

/// One shard of a load, as it runs.
#[derive(Debug)]
pub struct Schedule {
    ramp: Ramp,
    end: Nanos,
    grace: Nanos,
    think_time: ThinkTime,
    seed: u64,
    shard: u32,
    of: u32,
    quota: Quota,
    /// The most requests of all users together, and the step between the numbers of one user's
    /// requests.
    requests: u64,
    stride: u64,
    users: Vec<User>,
    /// How many users are switched on: those with lower slots.
    on: u32,
    /// How many users have done all their iterations.
    done: u32,
    /// The next instant at which users are switched on or off, and how many are on then.
    change: Option<Change>,
    /// Users that are due now, first come, first served. The front is never out of date.
    ready: VecDeque<u32>,
    /// Users that are due later. The top is never out of date.
    thinking: BinaryHeap<Reverse<(Nanos, u32)>>,
}

/// A user of this shard.
#[derive(Debug, Clone, Copy)]
struct User {
    /// Number of requests that it has started.
    started: u64,
    /// The instant when it is or was due.
    due: Nanos,
    state: State,
    /// True if the engine was told to start the user, and has not been told to retire it since.
    known: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Away,
    Ready,
    Thinking,
    InFlight,
    Done,
}

#[derive(Debug, Clone, Copy)]
struct Change {
    at: Nanos,
    on: u32,
}

/// The limit that ends the work before the time does.
#[derive(Debug)]
enum Quota {
    Time,
    /// Requests of each user.
    PerUser(u64),
    /// Iterations `next`, `next + stride`, … below `total`, for the next free user.
    Shared {
        next: u64,
        stride: u64,
        total: u64,
    },
}

impl Schedule {
    /// Creates a schedule at instant zero.
    pub fn new(load: &Load) -> Self {
        debug_assert!(load.shard < load.of, "shard {} of {}", load.shard, load.of);
        let (of, shard) = (load.of.max(1), load.shard);
        let mut grace = Nanos::ZERO;
        let (ramp, quota) = match &load.shape {
            Shape::ConstantVus { vus, duration } => (Ramp::constant(*vus, *duration), Quota::Time),
            Shape::RampingVus { start_vus, stages, graceful_ramp_down } => {
                grace = *graceful_ramp_down;
                (Ramp::new(*start_vus, stages), Quota::Time)
            }
            Shape::PerVuIterations { vus, iterations, max_duration } => {
                (Ramp::constant(*vus, *max_duration), Quota::PerUser(*iterations))
            }
            Shape::SharedIterations { vus, iterations, max_duration } => {
                let total = (*iterations).min(load.requests.unwrap_or(u64::MAX));
                let Share { first: next, step: stride } = load.share();
                let quota = Quota::Shared { next, stride, total };
                (Ramp::constant(*vus, *max_duration), quota)
            }
            Shape::ConstantArrivalRate(_) | Shape::RampingArrivalRate(_) | Shape::Trace(_) => {
                debug_assert!(false, "an open load has no users of its own");
                (Ramp::constant(0, Nanos::ZERO), Quota::Time)
            }
        };
        // A user without anything to do is never switched on.
        let requests = load.requests.unwrap_or(u64::MAX);
        let most = match &quota {
            Quota::PerUser(0) => 0,
            Quota::Time | Quota::PerUser(_) => requests.saturating_sub(shard.into()).div_ceil(of.into()),
            Quota::Shared { next, stride, total } => total.saturating_sub(*next).div_ceil(*stride),
        };
        let users = u64::from(local(ramp.max(), shard, of)).min(most) as usize;
        let mut schedule = Self {
            end: ramp.end(),
            ramp,
            grace,
            think_time: load.think_time,
            seed: load.seed,
            shard,
            of,
            quota,
            requests,
            stride: load.shape.stride(),
            users: vec![User { started: 0, due: Nanos::ZERO, state: State::Away, known: false }; users],
            on: 0,
            done: 0,
            change: None,
            ready: VecDeque::with_capacity(users),
            thinking: BinaryHeap::with_capacity(if load.think_time.max > Nanos::ZERO { users } else { 0 }),
        };
        schedule.change = match schedule.value(Nanos::ZERO) {
            0 => schedule.change_after(Nanos::ZERO),
            on => Some(Change { at: Nanos::ZERO, on }),
        };
        schedule
    }

    /// Returns the next turn that is due at `now`. Call until `None`.
    pub fn due(&mut self, now: Nanos) -> Option<Turn> {
        if now >= self.end {
            // Nothing else will start, and nothing may look due for ever.
            self.change = None;
            self.ready.clear();
            self.thinking.clear();
            return None;
        }
        while let Some(change) = self.change.filter(|change| change.at <= now) {
            while self.on < change.on {
                self.switch_on(change.at);
            }
            while self.on > change.on {
                if self.switch_off() {
                    return Some(Turn::Retire { slot: self.on, give_up: now.saturating_add(self.grace) });
                }
            }
            self.change = self.change_after(change.at);
        }
        while let Some(slot) = self.next_ready(now) {
            if let Some(turn) = self.turn(slot, now) {
                return Some(turn);
            }
        }
        None
    }

    /// Returns when `due` should be called again, if no request finishes before. Until then, `due`
    /// returns nothing. At that instant it returns a turn, unless the only change is the return of
    /// a user whose old request is still under way.
    pub fn next_due(&self) -> Option<Nanos> {
        let change = self.change.map(|change| change.at);
        let ready = self.ready.front().map(|&slot| self.users[slot as usize].due);
        let thought = self.thinking.peek().map(|Reverse((at, _))| *at);
        [change, ready, thought].into_iter().flatten().min().filter(|&at| at < self.end)
    }

    /// Reports that the request of `slot` is over. Its user thinks, for at least `back_off` (zero
    /// unless the server is down), and then is due again.
    pub fn finished(&mut self, slot: u32, now: Nanos, back_off: Nanos) {
        debug_assert_eq!(self.users[slot as usize].state, State::InFlight, "user {slot} has no request under way");
        if slot >= self.on || now >= self.end {
            self.users[slot as usize].state = State::Away;
            return;
        }
        // A user with nothing left to do is retired at once, without thinking.
        let pause = if self.is_spent(slot) { Nanos::ZERO } else { self.thought(slot).max(back_off) };
        let due = now.saturating_add(pause);
        let user = &mut self.users[slot as usize];
        user.due = due;
        if pause == Nanos::ZERO {
            user.state = State::Ready;
            self.ready.push_back(slot);
        } else {
            user.state = State::Thinking;
            self.thinking.push(Reverse((due, slot)));
        }
    }

    /// Returns the active users of this shard at `now`. After the end, the number at the end.
    pub fn vus(&self, now: Nanos) -> u32 {
        self.value(now.min(self.end)).saturating_sub(self.done)
    }

    /// Returns true if `slot` is switched on, as of the last `due`. A user that was retired with a
    /// request under way and is on again keeps that request, and its grace no longer ends.
    pub fn is_active(&self, slot: u32) -> bool {
        slot < self.on && self.users[slot as usize].state != State::Done
    }

    /// Returns the most users that this shard ever has. Slots are below this number.
    pub fn local_vus(&self) -> u32 {
        // Made from a 32-bit count.
        self.users.len() as u32
    }

    /// Returns the latest instant at which a request may start: the end of the measurement window
    /// for executors that run by time.
    pub fn end(&self) -> Nanos {
        self.end
    }

    /// Returns true if nothing will ever be due again: `now` is past the end, or all iterations are
    /// done. Only past the end may requests still be in flight.
    pub fn is_over(&self, now: Nanos) -> bool {
        now >= self.end || self.done == self.local_vus()
    }

    /// Returns the users of this shard that the ramp has at `t`.
    fn value(&self, t: Nanos) -> u32 {
        local(self.ramp.value(t), self.shard, self.of).min(self.local_vus())
    }

    /// Returns the next change of the number of users that are on, if that number is right at `t`.
    fn change_after(&self, t: Nanos) -> Option<Change> {
        let on = (self.on < self.local_vus()).then(|| self.ramp.on_after(self.vu(self.on), t)).flatten();
        let off = self.on.checked_sub(1).and_then(|last| self.ramp.off_after(self.vu(last), t));
        let at = [on, off].into_iter().flatten().min()?;
        // At the end, requests under way may finish. Users are not ramped away.
        (at < self.end).then(|| Change { at, on: self.value(at) })
    }

    fn switch_on(&mut self, at: Nanos) {
        let slot = self.on;
        self.on += 1;
        let user = &mut self.users[slot as usize];
        if user.state == State::InFlight {
            // The user keeps its old request, and the engine still has its connection.
            user.known = true;
        } else {
            user.state = State::Ready;
            user.due = at;
            self.ready.push_back(slot);
        }
    }

    /// Switches off the last user. Returns true if the engine must be told.
    fn switch_off(&mut self) -> bool {
        self.on -= 1;
        let user = &mut self.users[self.on as usize];
        if user.state != State::InFlight {
            user.state = State::Away;
        }
        let known = std::mem::take(&mut user.known);
        self.drop_outdated();
        known
    }

    /// Takes the next user that is due: first users that have thought, then users without a pause.
    fn next_ready(&mut self, now: Nanos) -> Option<u32> {
        let thought = self.thinking.peek().is_some_and(|Reverse((at, _))| *at <= now);
        let nothing_left = matches!(self.quota, Quota::Shared { next, total, .. } if next >= total);
        let slot = if thought || (nothing_left && !self.thinking.is_empty()) {
            self.thinking.pop().map(|Reverse((_, slot))| slot)
        } else {
            self.ready.pop_front()
        }?;
        // This makes the entry that was just taken, and any duplicate of it, out of date.
        self.users[slot as usize].state = State::Away;
        self.drop_outdated();
        Some(slot)
    }

    /// Takes the turn of a user: starts a request, or retires the user.
    fn turn(&mut self, slot: u32, now: Nanos) -> Option<Turn> {
        if self.is_spent(slot) {
            self.done += 1;
            let user = &mut self.users[slot as usize];
            user.state = State::Done;
            return std::mem::take(&mut user.known).then_some(Turn::Retire { slot, give_up: now });
        }
        let vu = self.vu(slot);
        let user = &mut self.users[slot as usize];
        let (draw_vu, iteration) = match &mut self.quota {
            Quota::Time | Quota::PerUser(_) => (vu, user.started),
            Quota::Shared { next, stride, .. } => (0, std::mem::replace(next, next.saturating_add(*stride))),
        };
        user.started += 1;
        user.state = State::InFlight;
        user.known = true;
        Some(Turn::Start(Start { slot, vu, draw_vu, iteration, intended: user.due }))
    }

    /// Returns true if the user has nothing left to do.
    fn is_spent(&self, slot: u32) -> bool {
        let started = self.users[slot as usize].started;
        let used_up = || started.saturating_mul(self.stride).saturating_add(self.vu(slot).into()) >= self.requests;
        match self.quota {
            Quota::Time => used_up(),
            Quota::PerUser(iterations) => started >= iterations || used_up(),
            Quota::Shared { next, total, .. } => next >= total,
        }
    }

    /// Returns how long the user thinks after its latest request. The time is drawn from the user
    /// and its own count of requests, so that it is the same however the test is sharded.
    fn thought(&self, slot: u32) -> Nanos {
        let ThinkTime { min, max } = self.think_time;
        if max <= min {
            return min;
        }
        let iteration = self.users[slot as usize].started - 1;
        let seed = mix64(self.seed ^ THINK_DRAWS, self.vu(slot).into(), iteration);
        Nanos(fastrand::Rng::with_seed(seed).u64(min.0..=max.0))
    }

    /// Returns the user's number in the whole test.
    fn vu(&self, slot: u32) -> u32 {
        slot * self.of + self.shard
    }

    /// Removes outdated entries from the front of the queue and the top of the heap.
    fn drop_outdated(&mut self) {
        while let Some(&slot) = self.ready.front()
            && self.users[slot as usize].state != State::Ready
        {
            self.ready.pop_front();
        }
        while let Some(&Reverse((at, slot))) = self.thinking.peek() {
            let user = &self.users[slot as usize];
            if user.state == State::Thinking && user.due == at {
                break;
            }
            self.thinking.pop();
        }
    }
}

#[cfg(test)]
mod tests;
