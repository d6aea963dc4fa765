//! What of a plan must never be shown, wherever it turns up.

use super::headers::is_secret;
use super::{Kind, Plan};
use crate::mix::Secret;
use crate::redact::Redactor;

/// Header fields whose values are no secrets, whatever they are: hiding `application/json` would
/// hide half of a message.
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
/// A value of a header that is shorter is a name: a team, a region.
const SHORTEST_VALUE: usize = 6;
/// A parameter of a query that is as long as this is a key, whatever it is called.
const LONG_PARAMETER: usize = 16;

impl Plan {
    /// Hides the key, user and password, the values of headers (users call secrets what they like)
    /// and keys in the queries of paths.
    pub fn redactor(&self) -> Redactor {
        let hides = |name: &str, value: &str| {
            is_secret(name)
                || (value.len() >= SHORTEST_VALUE && !KNOWN.iter().any(|known| name.eq_ignore_ascii_case(known)))
        };
        Redactor::new(self.credentials().into_iter().chain(self.headers_that(hides)).chain(self.parameters()))
    }

    /// The same, but of headers only those that are called secrets: their owner looks at the
    /// requests.
    pub fn redactor_for_owner(&self) -> Redactor {
        let headers = self.headers_that(|name, _| is_secret(name));
        Redactor::new(self.credentials().into_iter().chain(headers).chain(self.parameters()))
    }

    fn credentials(&self) -> Vec<String> {
        let key = self.credentials.api_key.iter().map(|key| key.reveal().to_owned());
        let pair = self.credentials.basic_auth.as_ref().map(Secret::reveal);
        let password = pair.and_then(|pair| pair.split_once(':')).map(|(_, password)| password.to_owned());
        let meeting = self.rendezvous.as_ref().and_then(|meeting| meeting.key.as_ref());
        let meeting = meeting.map(|key| key.reveal().to_owned());
        key.chain(pair.map(str::to_owned)).chain(password).chain(meeting).collect()
    }

    fn headers_that(&self, hides: impl Fn(&str, &str) -> bool) -> Vec<String> {
        let kinds = self.kinds().flat_map(|kind| &kind.headers);
        let hidden = self.headers.iter().chain(kinds).filter(|(name, value)| hides(name, value));
        hidden.map(|(_, value)| value.clone()).collect()
    }

    fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.mix.kinds.iter().chain(&self.endpoints)
    }

    /// Keys in the queries of paths and targets: `/v1/chat?api_key=…`.
    fn parameters(&self) -> Vec<String> {
        let queries = self.kinds().filter_map(|kind| kind.path.split_once('?')).map(|(_, query)| query);
        let queries = queries.chain(self.targets().map(|target| target.query.as_str()));
        let parameters = queries.flat_map(|query| query.split('&')).filter_map(|parameter| parameter.split_once('='));
        let hidden = parameters.filter(|(name, value)| is_secret(name) || value.len() >= LONG_PARAMETER);
        hidden.flat_map(|(_, value)| [value.to_owned(), decoded(value)]).collect()
    }
}

/// A value of a query without its escapes.
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
    use crate::plan::{Overrides, resolve};
    use std::sync::Arc;

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
        Arc::make_mut(&mut plan.mix).kinds[0].path = "/v1?api_key=q%75ery-key&model=gpt".to_owned();
        let redactor = plan.redactor();
        for secret in
            ["sk-key-of-mine", "user:pa55word", "pa55word", "team-rocket", "tok3n", "q%75ery-key", "query-key"]
        {
            assert_eq!(redactor.own(secret), "[hidden]", "{secret}");
        }
        assert_eq!(redactor.own("application/json of gpt"), "application/json of gpt");
        assert_eq!(plan.redactor_for_owner().own("team-rocket, tok3n"), "team-rocket, [hidden]");
    }
}
