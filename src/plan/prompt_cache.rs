//! `prompt_cache`: whether a server may find earlier prompts in its cache.

use super::{Given, PlanError};

/// The setting whether a server's prompt cache can find the beginnings of built-in prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cache {
    Hit,
    Miss,
}

impl Cache {
    const WORDS: [(&'static str, Self); 2] = [("hit", Self::Hit), ("miss", Self::Miss)];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::WORDS.into_iter().find(|(word, _)| *word == name).map(|(_, cache)| cache)
    }

    pub(super) fn given(given: &Given) -> Result<Self, PlanError> {
        given.word(&Self::WORDS)
    }
}
