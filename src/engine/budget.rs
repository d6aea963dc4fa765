//! Memory for responses that are kept until they are complete: one bound for all users together.
//!
//! A response that lies whole in one read is never kept. What is kept of the others is charged in
//! steps, so that only large responses touch what the workers share. The memory of a step goes from
//! response to response until the test ends.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a response may keep without being charged: the decoders keep that much memory anyway.
pub(super) const FREE_BYTES: usize = 16 * 1024;
/// What is charged at once.
pub(super) const STEP_BYTES: usize = 256 * 1024;

/// What is left, and the memory that was given back.
#[derive(Debug)]
pub(super) struct Budget {
    /// In steps.
    left: AtomicUsize,
    /// Segments for the next large response on any thread. Memory that one thread frees is of no
    /// use to the others, so they would take the budget once each.
    spare: Mutex<Vec<Vec<u8>>>,
}

impl Budget {
    pub(super) fn new(bytes: u64) -> Self {
        let steps = usize::try_from(bytes / STEP_BYTES as u64).unwrap_or(usize::MAX);
        Self { left: AtomicUsize::new(steps), spare: Mutex::default() }
    }

    /// Takes so many steps, if they are left.
    pub(super) fn take(&self, steps: u16) -> bool {
        let less = |left: usize| left.checked_sub(usize::from(steps));
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    pub(super) fn give_back(&self, steps: u16) {
        self.left.fetch_add(usize::from(steps), Ordering::Relaxed);
    }

    /// An empty segment of [`STEP_BYTES`].
    pub(super) fn segment(&self) -> Vec<u8> {
        let spare = self.spare().pop();
        spare.unwrap_or_else(|| Vec::with_capacity(STEP_BYTES))
    }

    /// Keeps a segment until the next is wanted.
    pub(super) fn keep(&self, mut segment: Vec<u8>) {
        segment.clear();
        self.spare().push(segment);
    }

    /// A thread that panicked has left the list whole.
    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Segments that nobody uses.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.spare().len()
    }

    /// Steps that `held` bytes cost.
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
        // The longest body that is read at all.
        assert_eq!(Budget::steps(64 << 20), 256);
    }
}
