//! Which requests are sent again after a failure, and how often. Plain data: the rules of each
//! policy stand with the engine, which follows them.

/// How often a failed request may be sent again, and by whose rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    pub policy: RetryPolicy,
    /// Attempts after the first, at least 1.
    pub max: u16,
}

/// Whose rules say what is sent again, and after what pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryPolicy {
    /// OpenAI's SDKs.
    Openai,
    /// Anthropic's SDKs.
    Anthropic,
    /// An application that does not give up: every failure, that of a stream included.
    EveryFailure,
}

impl RetryPolicy {
    /// All, with the names that a profile has for them.
    pub const ALL: [(&'static str, Self); 3] =
        [("openai", Self::Openai), ("anthropic", Self::Anthropic), ("every-failure", Self::EveryFailure)];

    /// Its name in a profile.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, policy)| *policy == self).map_or("", |(name, _)| name)
    }
}
