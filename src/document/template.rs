//! The tokens that a server's chat template adds to a prompt, as learned by the endpoint check.

use serde::{Deserialize, Serialize};

/// Facts learned from the billed tokens of prompts of 1 and of 11 words, before the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Template {
    /// The kind of request.
    pub request: String,
    /// The model. `None` if the API was called without one.
    #[serde(default)]
    pub model: Option<String>,
    /// Tokens billed beyond the words. `None` if a word is not one token, or nothing was billed.
    #[serde(default)]
    pub tokens: Option<u32>,
    /// Tokens of one word. It is 1 if the server's vocabulary contains our words.
    #[serde(default)]
    pub tokens_per_word: Option<f64>,
    /// The reason why nothing was learned.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Adds the facts that another shard of the same test has learned. Numbers on which shards differ
/// become unknown.
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
