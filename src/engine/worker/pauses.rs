//! Users that wait for an instant, and their order.

use crate::engine::slot::Slot;
use crate::units::Nanos;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The pauses of users, at most one each.
#[derive(Debug)]
pub(super) struct Pauses {
    /// By slot: the end of the user's pause.
    until: Vec<Option<Nanos>>,
    /// The top entry is never out of date.
    order: BinaryHeap<Reverse<(Nanos, u32)>>,
}

impl Pauses {
    /// Creates a state in which no user waits.
    pub(super) fn new(slots: usize) -> Self {
        Self { until: vec![None; slots], order: BinaryHeap::with_capacity(slots) }
    }

    /// Returns when the next pause ends.
    pub(super) fn next_due(&self) -> Option<Nanos> {
        self.order.peek().map(|Reverse((at, _))| *at)
    }

    /// Returns the user whose pause ends next.
    pub(super) fn next_user(&self) -> Option<Slot> {
        self.order.peek().map(|Reverse((_, slot))| Slot(*slot))
    }

    /// Lets the user wait until `until`, which replaces any earlier pause.
    pub(super) fn set(&mut self, slot: Slot, until: Nanos) {
        self.until[slot.0 as usize] = Some(until);
        self.order.push(Reverse((until, slot.0)));
        self.drop_outdated();
    }

    /// Takes the next user whose pause ends by `now`.
    pub(super) fn take_due(&mut self, now: Nanos) -> Option<(Slot, Nanos)> {
        let Reverse((at, slot)) = *self.order.peek().filter(|Reverse((at, _))| *at <= now)?;
        self.cancel(Slot(slot));
        Some((Slot(slot), at))
    }

    /// Returns true if the user waits.
    pub(super) fn is_waiting(&self, slot: Slot) -> bool {
        self.until.get(slot.0 as usize).is_some_and(Option::is_some)
    }

    /// Returns all users that wait.
    pub(super) fn waiting(&self) -> impl Iterator<Item = Slot> {
        let until = if self.order.is_empty() { &[][..] } else { &self.until };
        until.iter().enumerate().filter_map(|(slot, until)| until.map(|_| Slot(slot as u32)))
    }

    /// Ends the user's pause. Returns true if the user was waiting.
    pub(super) fn cancel(&mut self, slot: Slot) -> bool {
        let waited = self.until.get_mut(slot.0 as usize).and_then(Option::take).is_some();
        if waited {
            self.drop_outdated();
        }
        waited
    }

    /// Restores the invariant of the heap.
    fn drop_outdated(&mut self) {
        while let Some(&Reverse((at, slot))) = self.order.peek()
            && self.until[slot as usize] != Some(at)
        {
            self.order.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_come_in_the_order_of_their_instants_and_once() {
        let mut pauses = Pauses::new(3);
        assert_eq!((pauses.next_due(), pauses.take_due(Nanos::MAX)), (None, None));
        for (slot, until) in [(0, 30), (1, 10), (2, 20), (1, 25)] {
            pauses.set(Slot(slot), Nanos(until));
        }
        assert_eq!((pauses.next_due(), pauses.next_user()), (Some(Nanos(20)), Some(Slot(2))), "1 waits longer now");
        assert_eq!(pauses.take_due(Nanos(19)), None);
        assert!(pauses.cancel(Slot(2)) && !pauses.cancel(Slot(2)) && !pauses.cancel(Slot(9)));
        assert_eq!(pauses.waiting().collect::<Vec<_>>(), [Slot(0), Slot(1)]);
        assert!(pauses.is_waiting(Slot(1)) && !pauses.is_waiting(Slot(2)) && !pauses.is_waiting(Slot(9)));
        assert_eq!(pauses.take_due(Nanos(40)), Some((Slot(1), Nanos(25))));
        assert_eq!(pauses.take_due(Nanos(40)), Some((Slot(0), Nanos(30))));
        assert_eq!((pauses.next_due(), pauses.take_due(Nanos::MAX)), (None, None));
        assert_eq!(pauses.waiting().count(), 0);
    }
}
