//! Hides secrets wherever they stand in text that people see.

use crate::mix::Secret;
use crate::plan::{Plan, is_secret};
use base64::Engine as _;

/// What stands in the place of a secret.
pub(super) const HIDDEN: &str = "[hidden]";
/// Shorter secrets are no secrets, and hiding every occurrence of them would hide everything.
const SHORTEST_SECRET: usize = 4;

/// Hides the secrets of a plan: servers repeat what they were sent.
pub(super) struct Redactor {
    secrets: Vec<Vec<u8>>,
}

impl Redactor {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut secrets: Vec<String> = Vec::new();
        secrets.extend(plan.credentials.api_key.as_ref().map(|key| key.reveal().to_owned()));
        if let Some(pair) = plan.credentials.basic_auth.as_ref().map(Secret::reveal) {
            secrets.push(base64::engine::general_purpose::STANDARD.encode(pair));
            secrets.push(pair.to_owned());
            secrets.extend(pair.split_once(':').map(|(_, password)| password.to_owned()));
        }
        for target in plan.targets() {
            secrets.extend(target.query.split('&').filter_map(|pair| Some(pair.split_once('=')?.1.to_owned())));
        }
        let headers = plan.headers.iter().chain(plan.mix.kinds.iter().flat_map(|kind| &kind.headers));
        for (_, value) in headers.filter(|(name, _)| is_secret(name)) {
            // Behind a scheme such as Bearer stands what is secret about it.
            secrets.extend(value.split_whitespace().last().map(str::to_owned));
            secrets.push(value.clone());
        }
        secrets.retain(|secret| secret.len() >= SHORTEST_SECRET);
        // The longest first: one may be a part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets: secrets.into_iter().map(String::into_bytes).collect() }
    }

    /// As text, without secrets and without what could drive a terminal.
    pub(super) fn text(&self, bytes: &[u8]) -> String {
        let mut clean = bytes.to_vec();
        for secret in &self.secrets {
            let mut from = 0;
            while let Some(at) = memchr::memmem::find(&clean[from..], secret) {
                let at = from + at;
                clean.splice(at..at + secret.len(), HIDDEN.bytes());
                from = at + HIDDEN.len();
            }
        }
        let text = String::from_utf8_lossy(&clean).replace("\r\n", "\n");
        text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '?' } else { c }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let redactor = Redactor { secrets: vec![b"sk-12345".to_vec(), b"sk-1".to_vec()] };
        let shown = redactor.text(b"a: sk-12345\r\nsk-12345sk-1 \x1b[31m");
        assert_eq!(shown, "a: [hidden]\n[hidden][hidden] ?[31m");
    }
}
