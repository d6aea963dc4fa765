//! Which requests are sent again after a failure, and how often. Plain data: the engine follows the
//! policies, and holds their rules.

/// How often a failed request may be sent again, and by which rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    pub policy: RetryPolicy,
    /// Attempts after the first, at least 1.
    pub max: u16,
}

/// The rules that decide what is sent again, and after what pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryPolicy {
    /// OpenAI's SDKs.
    Openai,
    /// Anthropic's SDKs.
    Anthropic,
    /// An application that does not give up. It retries every failure, including failures of a
    /// stream.
    EveryFailure,
}

impl RetryPolicy {
    /// All policies, with their names in profiles.
    pub const ALL: [(&'static str, Self); 3] =
        [("openai", Self::Openai), ("anthropic", Self::Anthropic), ("every-failure", Self::EveryFailure)];

    /// Returns its name in profiles.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, policy)| *policy == self).map_or("", |(name, _)| name)
    }
}
