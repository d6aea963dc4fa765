//! A client's rate limits and what is left of them, as the server's responses say.

use super::ServerLevel;

/// What one response, or the lowest of several, says is left, and of how much. None where it says
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Remaining {
    pub requests: Option<u32>,
    pub tokens: Option<u32>,
    pub requests_limit: Option<u32>,
    pub tokens_limit: Option<u32>,
}

impl Remaining {
    /// As thresholds know them.
    pub fn levels(self) -> [(ServerLevel, Option<u32>); 4] {
        [
            (ServerLevel::RemainingRequests, self.requests),
            (ServerLevel::RemainingTokens, self.tokens),
            (ServerLevel::LimitRequests, self.requests_limit),
            (ServerLevel::LimitTokens, self.tokens_limit),
        ]
    }

    /// The lower of both, each by itself.
    #[must_use]
    pub fn lowest(self, other: Self) -> Self {
        let lowest = |one: Option<u32>, other: Option<u32>| one.into_iter().chain(other).min();
        Self {
            requests: lowest(self.requests, other.requests),
            tokens: lowest(self.tokens, other.tokens),
            requests_limit: lowest(self.requests_limit, other.requests_limit),
            tokens_limit: lowest(self.tokens_limit, other.tokens_limit),
        }
    }
}
