//! The body of a plain response that comes in several reads.

use crate::engine::budget::{Budget, FREE_BYTES, STEP_BYTES};

/// Memory that is kept for the next response. One large response must not leave its memory
/// resident.
const KEPT_BYTES: usize = 64 * 1024;

/// Bytes of an incomplete body.
///
/// A large body lies in segments of [`STEP_BYTES`], which all users share: there are never more of
/// them than the budget has steps. A single growing allocation would leave holes of every size in
/// the heap of its thread. With many users such holes took as much memory as the bodies.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// The first [`FREE_BYTES`], or all bytes once they are joined.
    first: Vec<u8>,
    /// The rest. All but the last are full.
    segments: Vec<Vec<u8>>,
    len: usize,
}

impl Body {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, piece: &[u8], budget: &Budget) {
        let (first, mut rest) = piece.split_at(piece.len().min(FREE_BYTES.saturating_sub(self.len)));
        self.len += piece.len();
        self.first.extend_from_slice(first);
        while !rest.is_empty() {
            let segment = match self.segments.pop() {
                Some(last) if last.len() < STEP_BYTES => last,
                full => {
                    self.segments.extend(full);
                    budget.segment()
                }
            };
            let (now, later) = rest.split_at(rest.len().min(STEP_BYTES - segment.len()));
            self.segments.push(segment);
            if let Some(segment) = self.segments.last_mut() {
                segment.extend_from_slice(now);
            }
            rest = later;
        }
    }

    /// Joins all bytes into one piece. Nothing can be pushed after that.
    pub(super) fn join(&mut self) -> &[u8] {
        self.first.reserve_exact(self.len - self.first.len());
        for segment in &mut self.segments {
            self.first.append(segment);
        }
        &self.first
    }

    /// Gives the segments back to all users.
    pub(super) fn release(&mut self, budget: &Budget) {
        self.segments.drain(..).for_each(|segment| budget.keep(segment));
        self.len = 0;
        self.first.clear();
        self.first.shrink_to(KEPT_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn budget() -> Budget {
        Budget::new(u64::MAX)
    }

    #[test]
    fn a_body_lies_in_what_it_is_charged() {
        let (piece, budget) = (vec![7_u8; 60_001], budget());
        let mut body = Body::default();
        for pushed in 1..=100_usize {
            body.push(&piece, &budget);
            assert_eq!(body.len(), pushed * piece.len());
            assert_eq!(body.segments.len(), usize::from(Budget::steps(body.len())));
            assert!(body.segments.iter().all(|segment| segment.capacity() == STEP_BYTES));
            assert!(body.first.capacity() <= 2 * FREE_BYTES);
        }
        let charged = body.segments.len();
        body.release(&budget);
        assert_eq!((body.len(), body.segments.len(), budget.kept()), (0, 0, charged));
        // The next body reuses the same segments.
        body.push(&piece, &budget);
        assert_eq!(budget.kept(), charged - 1);
    }

    #[test]
    fn a_single_large_body_does_not_stay_resident() {
        let budget = budget();
        let mut body = Body::default();
        body.push(&vec![1; 3 * STEP_BYTES], &budget);
        assert_eq!(body.join().len(), 3 * STEP_BYTES);
        body.release(&budget);
        assert!(body.first.capacity() <= KEPT_BYTES);
    }

    proptest! {
        // A case copies megabytes.
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_whole_is_what_was_pushed(sizes in prop::collection::vec(0..2 * STEP_BYTES, 0..6), salt in any::<u8>()) {
            let whole: Vec<u8> = (0..sizes.iter().sum()).map(|at: usize| salt.wrapping_add((at % 251) as u8)).collect();
            let (mut body, budget) = (Body::default(), budget());
            // The body is reused for a second response.
            body.push(b"of the response before", &budget);
            body.release(&budget);
            let mut rest = &whole[..];
            for size in sizes {
                let (piece, later) = rest.split_at(size);
                body.push(piece, &budget);
                rest = later;
            }
            prop_assert_eq!(body.len(), whole.len());
            prop_assert!(body.join() == whole);
            prop_assert!(body.join() == whole, "joined twice");
        }
    }
}
