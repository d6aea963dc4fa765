//! Memory for responses that are kept until they are complete: one bound for all users together.
//!
//! A response that lies whole in one read is never kept. What is kept of the others is charged in
//! steps, so that only large responses touch what the workers share.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What a response may keep without being charged: the decoders keep that much memory anyway.
pub(super) const FREE_BYTES: usize = 16 * 1024;
/// What is charged at once.
pub(super) const STEP_BYTES: usize = 256 * 1024;

/// What is left, in steps.
#[derive(Debug)]
pub(super) struct Budget(AtomicUsize);

impl Budget {
    pub(super) fn new(bytes: u64) -> Self {
        Self(AtomicUsize::new(usize::try_from(bytes / STEP_BYTES as u64).unwrap_or(usize::MAX)))
    }

    /// Takes so many steps, if they are left.
    pub(super) fn take(&self, steps: u16) -> bool {
        let less = |left: usize| left.checked_sub(usize::from(steps));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    pub(super) fn give_back(&self, steps: u16) {
        self.0.fetch_add(usize::from(steps), Ordering::Relaxed);
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
