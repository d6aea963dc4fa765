//! A client's rate limits and their remaining quotas, as reported by the server's responses.

use super::ServerLevel;

/// Limits and remaining quotas of one response, or the lowest of several. `None` if not reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Remaining {
    pub requests: Option<u32>,
    pub tokens: Option<u32>,
    pub requests_limit: Option<u32>,
    pub tokens_limit: Option<u32>,
}

impl Remaining {
    /// Returns the values with the names that thresholds use.
    pub fn levels(self) -> [(ServerLevel, Option<u32>); 4] {
        [
            (ServerLevel::RemainingRequests, self.requests),
            (ServerLevel::RemainingTokens, self.tokens),
            (ServerLevel::LimitRequests, self.requests_limit),
            (ServerLevel::LimitTokens, self.tokens_limit),
        ]
    }

    /// Returns the lower of both values, field by field.
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
