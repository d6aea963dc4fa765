//! Requests that are sent again after a failure, as SDKs do.
//!
//! To its user a request is one, however many attempts it takes: it starts once, and ends once with
//! its last attempt. Its clock runs from the first attempt and through the pauses. Each attempt has
//! limits of its own.
//!
//! ```text
//!   begin ──▶ attempt ──▶ failed ──▶ pause ──▶ attempt … ──▶ over
//!                                      └── ramped away, end of the grace ──▶ interrupted
//! ```
//!
//! A user that pauses is as busy as one that waits for a response: under open load it takes no
//! other arrival, and at the end of a test it may go on within the grace.

use super::Worker;
use super::pauses::Pauses;
use super::retry_rules;
use crate::engine::slot::Slot;
use crate::engine::window::Placement;
use crate::metrics::{Failure, Outcome, Sample};
use crate::plan::Plan;
use crate::units::Nanos;
use std::ops::RangeInclusive;

/// The retries of a worker's users.
#[derive(Debug)]
pub(super) struct Retrying {
    /// By slot. Empty if no kind of request is sent again.
    users: Vec<User>,
    pauses: Pauses,
}

/// The attempts at a user's present request.
#[derive(Debug, Clone, Copy, Default)]
struct User {
    /// Failed attempts that are followed by another one.
    failed: u16,
    /// The failed attempts of which at least a part was sent.
    sent: u16,
    /// The failed attempts that a simulator has numbered in its response.
    answered: u16,
    /// True while the next attempt is still to be made.
    waits: bool,
    /// When the first attempt was sent, and its phase. Set if a second attempt follows.
    first: (Nanos, u16),
    /// When the last attempt was sent, once the request is over.
    last: Nanos,
    /// When the next attempt is due.
    until: Nanos,
}

impl Retrying {
    pub(super) fn new(shard: &Plan, slots: usize) -> Self {
        let any = shard.mix.kinds.iter().any(|kind| kind.retries.is_some());
        let slots = if any { slots } else { 0 };
        Self { users: vec![User::default(); slots], pauses: Pauses::new(slots) }
    }

    fn user(&self, slot: Slot) -> Option<&User> {
        self.users.get(slot.0 as usize)
    }

    /// Forgets the attempts of the last request.
    pub(super) fn begin(&mut self, slot: Slot) {
        if let Some(user) = self.users.get_mut(slot.0 as usize) {
            *user = User::default();
        }
    }

    /// Returns the placement of an attempt: that of the first one.
    #[inline]
    pub(super) fn place(&self, slot: Slot, placement: Placement) -> Placement {
        match self.user(slot) {
            Some(user) if user.failed > 0 => Placement { phase: user.first.1, ..placement },
            _ => placement,
        }
    }

    /// Returns the least and the most failed attempts at the present request that the server may
    /// have seen. An attempt that met a timeout or a reset may have reached it or not.
    pub(super) fn seen(&self, slot: Slot) -> RangeInclusive<u16> {
        self.user(slot).map_or(0..=0, |user| user.answered..=user.sent)
    }

    /// Returns true if the user pauses between two attempts.
    pub(super) fn is_waiting(&self, slot: Slot) -> bool {
        self.pauses.is_waiting(slot)
    }

    /// Returns when the next attempt is due.
    pub(super) fn next_due(&self) -> Option<Nanos> {
        self.pauses.next_due()
    }

    /// Ends the request: its clock ran from the first attempt.
    pub(super) fn close(&mut self, slot: Slot, sample: &mut Sample) {
        if let Some(user) = self.users.get_mut(slot.0 as usize) {
            user.last = sample.sent;
            if user.failed > 0 {
                sample.sent = user.first.0;
            }
        }
    }
}

impl Worker<'_> {
    /// Returns until when the user pauses before it sends its request again; `None` if it does not.
    pub(super) fn retries_at(&self, slot: Slot, outcome: Outcome, end: Nanos) -> Option<Nanos> {
        let user = self.users.retrying.user(slot)?;
        let connection = &self.connections[slot];
        let kind = &self.kinds[connection.kind()];
        let (Outcome::Failed(failure), Some(how)) = (outcome, kind.retries) else { return None };
        if user.failed >= how.max {
            return None;
        }
        let (start, sample) = (connection.start, &connection.exchange.sample);
        let draw = self.writer.draw_of_retry(start.draw_vu, start.iteration, sample.turn, user.failed);
        retry_rules::pause(how.policy, sample, failure, kind.expect.stream, user.failed, draw)
            .map(|pause| end.saturating_add(pause))
    }

    /// Counts a failed attempt, and lets its user pause.
    pub(super) fn retry_later(&mut self, slot: Slot, failure: Failure, sample: &Sample, until: Nanos) {
        let phase = self.connections[slot].phase();
        self.records.tallies.of(phase).attempt_failed(sample, failure);
        let user = &mut self.users.retrying.users[slot.0 as usize];
        if user.failed == 0 {
            user.first = (sample.sent, phase);
        }
        (user.failed, user.waits, user.until) = (user.failed + 1, true, until);
        user.sent += u16::from(sample.bytes_sent > 0);
        user.answered += u16::from(sample.played.is_some());
        self.users.retrying.pauses.set(slot, until);
        let give_up = self.connections[slot].give_up;
        self.hasten_retry(slot, give_up);
    }

    /// Shortens the pause of a user that was ramped down, whose request is cut off at `give_up`.
    pub(super) fn hasten_retry(&mut self, slot: Slot, give_up: Nanos) {
        if self.users.retrying.users[slot.0 as usize].until > give_up {
            self.users.retrying.pauses.set(slot, give_up);
        }
    }

    /// Counts the attempts of a request that is over.
    pub(super) fn count_attempts(&mut self, slot: Slot, sample: &Sample) {
        let Some(user) = self.users.retrying.user(slot) else { return };
        if self.kinds[usize::from(sample.kind)].retries.is_some() {
            let n = u64::from(user.failed) + u64::from(!user.waits);
            let attempt = Sample { sent: user.last, ..*sample };
            self.records.tallies.of(self.connections[slot].phase()).attempts(&attempt, n);
        }
    }

    /// Turns the last attempt of a request into a failure: its recorded success was not one.
    pub(super) fn condemn_attempt(&mut self, slot: Slot, sample: &Sample) {
        let Some(user) = self.users.retrying.user(slot) else { return };
        if self.kinds[usize::from(sample.kind)].retries.is_some() {
            let attempt = Sample { sent: user.last, ..*sample };
            self.records.tallies.of(self.connections[slot].phase()).condemn_attempt(&attempt);
        }
    }

    /// Makes the next attempt that is due by `now`. Returns true if there was one.
    pub(super) fn retry_next(&mut self, now: Nanos) -> bool {
        let Some((slot, _)) = self.users.retrying.pauses.take_due(now) else { return false };
        let connection = &mut self.connections[slot];
        let until = self.users.retrying.users[slot.0 as usize].until;
        if connection.give_up <= now && !self.schedule.is_active(slot.0) {
            self.interrupt_retry(slot, now);
        } else if until > now {
            // The user was called back.
            connection.give_up = Nanos::MAX;
            self.users.retrying.pauses.set(slot, until);
        } else {
            self.users.retrying.users[slot.0 as usize].waits = false;
            connection.begin_again();
            self.dispatch(slot);
        }
        true
    }

    /// Ends requests whose next attempt would come after the cut-off.
    pub(super) fn interrupt_late_retries(&mut self, now: Nanos) {
        let drain_end = self.ending.drain_end();
        let retrying = &self.users.retrying;
        let late = |slot: &Slot| retrying.users[slot.0 as usize].until >= drain_end;
        let late: Vec<Slot> = retrying.pauses.waiting().filter(late).collect();
        for slot in late {
            self.interrupt_retry(slot, now);
        }
    }

    /// Cuts off the request of a user that pauses between two attempts.
    pub(super) fn interrupt_retry(&mut self, slot: Slot, now: Nanos) {
        self.users.retrying.pauses.cancel(slot);
        // The outcome of the last attempt is counted already.
        self.connections[slot].begin_again();
        self.prepare(slot, now);
        self.finish(slot, Outcome::Interrupted, false, now);
    }
}
