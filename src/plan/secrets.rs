//! The secrets of a plan, which must never be shown anywhere.

use super::headers::is_secret;
use super::keys::{forms, password};
use super::{Credentials, Kind, Plan, Scrape, Target};
use crate::redact::Redactor;
use serde_json::Value;

/// Header fields whose values are never secrets: hiding `application/json` would hide half of a
/// message.
const KNOWN: [&str; 9] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "connection",
    "content-type",
    "origin",
    "referer",
    "user-agent",
];
/// Shorter values of a header are names, of a team or a region.
const SHORTEST_VALUE: usize = 6;
/// A parameter of a query, or a part of a path, that is at least as long as this is a key, whatever
/// its name is.
const LONG_PARAMETER: usize = 16;
/// Shorter texts in a body are words, like `string`, unless their own name is that of a secret.
const SHORTEST_IN_BODY: usize = 8;

impl Plan {
    /// Hides the key, user and password, the values of headers (users call secrets what they like),
    /// and keys in the queries of paths and in bodies.
    pub fn redactor(&self) -> Redactor {
        let hides = |name: &str, value: &str| {
            is_secret(name)
                || (value.len() >= SHORTEST_VALUE && !KNOWN.iter().any(|known| name.eq_ignore_ascii_case(known)))
        };
        self.hiding(self.headers_that(hides))
    }

    /// Does the same, but of headers it hides only those that are called secrets: their owner looks
    /// at the requests.
    pub fn redactor_for_owner(&self) -> Redactor {
        self.hiding(self.headers_that(|name, _| is_secret(name)))
    }

    /// Hides these values of headers, and everything else that is a secret or becomes one.
    fn hiding(&self, headers: Vec<String>) -> Redactor {
        let all = self.credentials().into_iter().chain(headers).chain(self.in_requests());
        Redactor::new(all).learning(self.credentials.keys.learned())
    }

    fn in_requests(&self) -> impl Iterator<Item = String> {
        self.parameters().into_iter().chain(self.in_bodies())
    }

    fn credentials(&self) -> Vec<String> {
        let Credentials { api_key, key_as, basic_auth, .. } = &self.credentials;
        let meeting = self.rendezvous.as_ref().and_then(|meeting| meeting.key.as_ref());
        let plain = [basic_auth.as_ref(), meeting].into_iter().flatten().chain(&self.other_secrets);
        let password = basic_auth.as_ref().and_then(password);
        let plain = plain.chain(&password).map(|secret| secret.reveal().to_owned());
        api_key.iter().flat_map(|key| forms(key, key_as)).chain(plain).collect()
    }

    fn headers_that(&self, hides: impl Fn(&str, &str) -> bool) -> Vec<String> {
        let kinds = self.kinds().flat_map(|kind| &kind.headers);
        let hidden = self.headers.iter().chain(kinds).filter(|(name, value)| hides(name, value));
        hidden.map(|(_, value)| value.clone()).collect()
    }

    fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.mix.kinds.iter().chain(&self.endpoints)
    }

    /// Returns keys in the queries of paths and targets: `/v1/chat?api_key=…`.
    fn parameters(&self) -> Vec<String> {
        let queries = self.kinds().filter_map(|kind| kind.path.split_once('?')).map(|(_, query)| query);
        let queries = queries.chain(self.targets().map(|target| target.query.as_str()));
        let metrics = match &self.server_metrics.source {
            Scrape::At(target) => Some(target),
            Scrape::Auto | Scrape::Off => None,
        };
        queries.flat_map(in_query).chain(metrics.into_iter().flat_map(elsewhere)).collect()
    }

    /// Returns texts in bodies below the name of a secret: `{"auth": {"user_key": "…"}}`.
    fn in_bodies(&self) -> Vec<String> {
        let mut texts = Vec::new();
        for (name, value) in self.kinds().flat_map(|kind| &kind.body) {
            in_value(value, is_secret(name), false, &mut texts);
        }
        texts
    }
}

/// Returns the possible keys in a URL other than the target's. Parts of the target's own path are
/// as long, but name models and deployments.
pub(super) fn elsewhere(url: &Target) -> Vec<String> {
    let parts = url.path_prefix.split('/').filter(|part| part.len() >= LONG_PARAMETER);
    let parts = parts.flat_map(|part| [part.to_owned(), decoded(part)]);
    in_query(&url.query).into_iter().chain(parts).collect()
}

/// Returns the possible keys in a query, as written and decoded. A value without a name is judged
/// by its length.
fn in_query(query: &str) -> Vec<String> {
    let parameters = query.split('&').map(|parameter| parameter.split_once('=').unwrap_or(("", parameter)));
    let hidden = parameters.filter(|(name, value)| is_secret(name) || value.len() >= LONG_PARAMETER);
    hidden.flat_map(|(_, value)| [value.to_owned(), decoded(value)]).collect()
}

/// Adds the possible keys in a value of a body. `named` is true if its own name is that of a
/// secret. `below` is true if a name above it is: a JSON schema may stand below that name, and its
/// words are not secrets.
fn in_value(value: &Value, named: bool, below: bool, texts: &mut Vec<String>) {
    let is_key = |text: &str| text.len() >= SHORTEST_IN_BODY && !text.contains(char::is_whitespace);
    match value {
        Value::String(text) if named || (below && is_key(text)) => texts.push(text.clone()),
        Value::Array(all) => all.iter().for_each(|value| in_value(value, named, below, texts)),
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| in_value(value, is_secret(name), named || below, texts));
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Decodes the escapes of a value in a query.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, more)) = rest.split_first() {
        let code = (first == b'%').then(|| more.get(..2)).flatten().and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = &more[2..];
        } else {
            bytes.push(first);
            rest = more;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{KeyAs, Overrides, Secret, Target, resolve};
    use serde_json::json;
    use std::sync::Arc;

    fn body(value: Value) -> serde_json::Map<String, Value> {
        serde_json::from_value(value).expect("an object")
    }

    #[test]
    fn the_password_of_a_key_that_is_sent_as_basic_is_hidden() {
        let mut nothing = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        let mut plan = resolve("load", &Overrides::default(), &mut nothing).expect("built in").plan;
        plan.credentials.api_key = Some(Secret::new("user:pa55word".to_owned()));
        assert_eq!(plan.redactor().own("the pa55word"), "the pa55word", "no pair");
        plan.credentials.key_as = KeyAs::Basic;
        assert_eq!(plan.redactor().own("user, pa55word"), "user, [hidden]");
    }

    #[test]
    fn whatever_may_be_a_secret_is_hidden() {
        let mut nothing = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        let mut plan = resolve("load", &Overrides::default(), &mut nothing).expect("built in").plan;
        plan.credentials.api_key = Some(Secret::new("sk-key-of-mine".to_owned()));
        plan.credentials.basic_auth = Some(Secret::new("user:pa55word".to_owned()));
        plan.headers = vec![
            ("X-Team".to_owned(), "team-rocket".to_owned()),
            ("Accept".to_owned(), "application/json".to_owned()),
            ("X-Token".to_owned(), "Bearer tok3n".to_owned()),
        ];
        let mut metrics = Target::parse("http://h/key-in-a-path-01/metrics?of-the-metrics-1").expect("a URL");
        metrics.query += "&short";
        plan.server_metrics.source = Scrape::At(metrics);
        plan.other_secrets = vec![Secret::new("of-prometheus".to_owned())];
        let kind = &mut Arc::make_mut(&mut plan.mix).kinds[0];
        kind.path = "/v1?api_key=q%75ery-key&model=gpt".to_owned();
        kind.body =
            body(json!({ "user_token": ["in-a-list"], "auth": { "of": { "id": "deep-below", "type": "string" } } }));
        let redactor = plan.redactor();
        for secret in [
            "sk-key-of-mine",
            "user:pa55word",
            "pa55word",
            "team-rocket",
            "tok3n",
            "q%75ery-key",
            "query-key",
            "of-the-metrics-1",
            "key-in-a-path-01",
            "of-prometheus",
            "in-a-list",
            "deep-below",
        ] {
            assert_eq!(redactor.own(secret), "[hidden]", "{secret}");
        }
        assert_eq!(redactor.own("short string"), "short string");
        assert_eq!(redactor.own("application/json of gpt"), "application/json of gpt");
        assert_eq!(plan.redactor_for_owner().own("team-rocket, tok3n"), "team-rocket, [hidden]");
    }
}
