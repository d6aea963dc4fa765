//! The memory for incomplete responses: one limit for all users together.
//!
//! A response that lies whole in one read is never kept. Kept parts of other responses are charged
//! in steps, so that only large responses touch the memory that the workers share. The memory of a
//! step goes from response to response until the test ends.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes that a response may keep without a charge: the decoders hold this much memory anyway.
pub(super) const FREE_BYTES: usize = 16 * 1024;
/// The size of a step, the unit of charging.
pub(super) const STEP_BYTES: usize = 256 * 1024;

/// The steps that are left, and the memory that was given back.
#[derive(Debug)]
pub(super) struct Budget {
    /// In steps.
    left: AtomicUsize,
    /// Segments for the next large response on any thread. Memory that one thread frees is of no
    /// use to the others, so without this list each thread could come to hold the whole budget.
    spare: Mutex<Vec<Vec<u8>>>,
}

impl Budget {
    pub(super) fn new(bytes: u64) -> Self {
        let steps = usize::try_from(bytes / STEP_BYTES as u64).unwrap_or(usize::MAX);
        Self { left: AtomicUsize::new(steps), spare: Mutex::default() }
    }

    /// Takes `steps`, and returns true, if that many are left.
    pub(super) fn take(&self, steps: u16) -> bool {
        let less = |left: usize| left.checked_sub(usize::from(steps));
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    pub(super) fn give_back(&self, steps: u16) {
        self.left.fetch_add(usize::from(steps), Ordering::Relaxed);
    }

    /// Returns an empty segment of [`STEP_BYTES`].
    pub(super) fn segment(&self) -> Vec<u8> {
        let spare = self.spare().pop();
        spare.unwrap_or_else(|| Vec::with_capacity(STEP_BYTES))
    }

    /// Keeps a segment for the next large response.
    pub(super) fn keep(&self, mut segment: Vec<u8>) {
        segment.clear();
        self.spare().push(segment);
    }

    /// Locks the list of spare segments. A thread that panicked has left the list whole.
    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of spare segments.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.spare().len()
    }

    /// Returns the number of steps that `held` bytes cost.
    pub(super) fn steps(held: usize) -> u16 {
        held.saturating_sub(FREE_BYTES).div_ceil(STEP_BYTES) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_can_be_taken_again() {
        let budget = Budget::new(3 * STEP_BYTES as u64 + 1);
        assert!(budget.take(2) && !budget.take(2) && budget.take(1) && !budget.take(1));
        budget.give_back(2);
        assert!(budget.take(2));
    }

    #[test]
    fn small_responses_are_free() {
        assert_eq!([0, FREE_BYTES, FREE_BYTES + 1].map(Budget::steps), [0, 0, 1]);
        assert_eq!(Budget::steps(FREE_BYTES + STEP_BYTES + 1), 2);
        // The longest body that is read.
        assert_eq!(Budget::steps(64 << 20), 256);
    }
}
