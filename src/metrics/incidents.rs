//! What is kept of the failures of one class beside their number: when they came, what servers
//! asked us to wait, and one example.
//!
//! A sum like everything in a tally: the order of additions does not matter. Of two examples the
//! earlier is kept.

use crate::units::Nanos;
use std::num::NonZeroU32;

/// Longest example: a status line and an error message. The report prints it; it must not become a
/// copy of the answer.
pub const MAX_EXAMPLE_BYTES: usize = 200;

/// The failures of one class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Incidents {
    pub count: u64,
    /// When the first and the last one ended, since the start of the test.
    pub span: Option<(Nanos, Nanos)>,
    /// Shortest and longest `Retry-After`, in seconds, of the answers that had one.
    pub retry_after_s: Option<(u32, u32)>,
    /// What one of them looked like: the earliest of which it was kept.
    pub example: Option<Example>,
}

/// What a failure looked like.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Example {
    /// When it ended, since the start of the test.
    pub at: Nanos,
    /// At most [`MAX_EXAMPLE_BYTES`] bytes of printable text, secrets already taken out.
    pub text: String,
}

impl Incidents {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// One more, that ended `at`.
    pub(super) fn add_one(&mut self, at: Nanos, retry_after_ms: Option<NonZeroU32>) {
        // No sooner than asked.
        let seconds = retry_after_ms.map(|ms| ms.get().div_ceil(1000));
        self.add_times(1, Some((at, at)), seconds.map(|s| (s, s)));
    }

    /// Whether an example of a failure that ended `at` would be kept.
    pub(super) fn wants(&self, at: Nanos) -> bool {
        self.example.as_ref().is_none_or(|kept| at < kept.at)
    }

    /// Keeps the example if it is earlier than the one there is.
    pub(super) fn offer(&mut self, example: Example) {
        if self.example.as_ref().is_none_or(|kept| example < *kept) {
            self.example = Some(example);
        }
    }

    /// Adds others of the same class.
    pub(super) fn add(&mut self, other: &Self) {
        self.add_times(other.count, other.span, other.retry_after_s);
        if let Some(example) = &other.example
            && self.example.as_ref().is_none_or(|kept| example < kept)
        {
            self.example = Some(example.clone());
        }
    }

    fn add_times(&mut self, count: u64, span: Option<(Nanos, Nanos)>, retry_after_s: Option<(u32, u32)>) {
        self.count += count;
        self.span = widest(self.span, span);
        self.retry_after_s = widest(self.retry_after_s, retry_after_s);
    }
}

/// The lowest and the highest of both.
fn widest<T: Ord + Copy>(one: Option<(T, T)>, other: Option<(T, T)>) -> Option<(T, T)> {
    match (one, other) {
        (Some((low, high)), Some((lower, higher))) => Some((low.min(lower), high.max(higher))),
        (one, other) => one.or(other),
    }
}
