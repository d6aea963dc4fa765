//! Details of the failures of one class, beside their number: when they occurred, the servers'
//! `Retry-After`, and one example.
//!
//! The details are a sum like everything in a tally, so the order of additions does not matter. Of
//! two examples the earlier one is kept.

use crate::units::Nanos;
use std::num::NonZeroU32;

/// Maximum length of an example: a status line and an error message. The report prints it, so it
/// must not become a copy of the response.
pub const MAX_EXAMPLE_BYTES: usize = 200;

/// The failures of one class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Incidents {
    pub count: u64,
    /// The times at which the first and the last of them ended, since the start of the test.
    pub span: Option<(Nanos, Nanos)>,
    /// Shortest and longest `Retry-After` in seconds, among the responses that had one.
    pub retry_after_s: Option<(u32, u32)>,
    /// The earliest example recorded.
    pub example: Option<Example>,
}

/// An example of a failure.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Example {
    /// When the request ended, since the start of the test.
    pub at: Nanos,
    /// At most [`MAX_EXAMPLE_BYTES`] bytes of printable text, with secrets removed.
    pub text: String,
}

impl Incidents {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Adds a failure that ended at `at`.
    pub(super) fn add_one(&mut self, at: Nanos, retry_after_ms: Option<NonZeroU32>) {
        // Rounded up, so that the wait is never shown shorter than requested.
        let seconds = retry_after_ms.map(|ms| ms.get().div_ceil(1000));
        self.add_times(1, Some((at, at)), seconds.map(|s| (s, s)));
    }

    /// Returns true if an example of a failure that ended at `at` would be kept.
    pub(super) fn wants(&self, at: Nanos) -> bool {
        self.example.as_ref().is_none_or(|kept| at < kept.at)
    }

    /// Keeps the example if it is earlier than the present one.
    pub(super) fn offer(&mut self, example: Example) {
        if self.example.as_ref().is_none_or(|kept| example < *kept) {
            self.example = Some(example);
        }
    }

    /// Adds other failures of the same class.
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

/// Returns the lowest and the highest of both.
fn widest<T: Ord + Copy>(one: Option<(T, T)>, other: Option<(T, T)>) -> Option<(T, T)> {
    match (one, other) {
        (Some((low, high)), Some((lower, higher))) => Some((low.min(lower), high.max(higher))),
        (one, other) => one.or(other),
    }
}
