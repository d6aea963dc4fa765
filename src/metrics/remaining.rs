//! What is left of a client's rate limits, as the server's responses say.

/// What one response, or the lowest of several, says is left. None where it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Remaining {
    pub requests: Option<u32>,
    pub tokens: Option<u32>,
}

impl Remaining {
    /// The lower of both, each by itself.
    #[must_use]
    pub fn lowest(self, other: Self) -> Self {
        let lowest = |one: Option<u32>, other: Option<u32>| one.into_iter().chain(other).min();
        Self { requests: lowest(self.requests, other.requests), tokens: lowest(self.tokens, other.tokens) }
    }
}
