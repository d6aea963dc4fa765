//! What a server's chat template adds to a prompt, as the endpoint check learned it.

use serde::{Deserialize, Serialize};

/// What was billed for prompts of 1 and of 11 words, before the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Template {
    /// The kind of request.
    pub request: String,
    /// The model; none if the API was asked without one.
    #[serde(default)]
    pub model: Option<String>,
    /// Tokens billed beyond the words; none if a word is not one token, or nothing was billed.
    #[serde(default)]
    pub tokens: Option<u32>,
    /// Tokens of one word: 1 where the server's vocabulary knows our words.
    #[serde(default)]
    pub tokens_per_word: Option<f64>,
    /// Why nothing was learned.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Adds what another shard of the same test has learned. Numbers on which shards differ are taken
/// as unknown.
pub(super) fn add(ours: &mut Vec<Template>, theirs: Vec<Template>) {
    for template in theirs {
        let same = |known: &&mut Template| (&known.request, &known.model) == (&template.request, &template.model);
        match ours.iter_mut().find(same) {
            Some(known) if (known.tokens, known.tokens_per_word) != (template.tokens, template.tokens_per_word) => {
                (known.tokens, known.tokens_per_word) = (None, None);
                known.reason = Some("the shards learned different numbers".to_owned());
            }
            Some(_) => {}
            None => ours.push(template),
        }
    }
}
