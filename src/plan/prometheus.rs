//! Where samples for Prometheus are written.

use super::credentials::secret;
use super::source::Changed;
use super::{Given, Overrides, PlanError, Read, limits};
use crate::mix::Secret;
use crate::net::access::Tls;
use crate::net::{Target, TargetError};

/// The path that Prometheus takes remote writes at.
const USUAL_PATH: &str = "/api/v1/write";

/// Where samples are written. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrometheusWrite {
    pub target: Target,
    pub token: Option<Secret>,
    /// User and password, with a colon between them.
    pub basic_auth: Option<Secret>,
    /// Who is trusted: as for the target of the test.
    pub tls: Tls,
}

impl PrometheusWrite {
    /// The token, or user and password, in the clear.
    pub fn secrets(&self) -> (Option<&str>, Option<&str>) {
        (self.token.as_ref().map(Secret::reveal), self.basic_auth.as_ref().map(Secret::reveal))
    }
}

pub(super) fn prometheus_write(
    overrides: &Overrides,
    tls: &Tls,
    read: &mut Read<'_>,
    changed: &mut Changed,
) -> Result<Option<PrometheusWrite>, PlanError> {
    let token_file = overrides.one("prometheus_token_file");
    let pair_file = overrides.one("prometheus_basic_auth_file");
    let token = key(overrides, (token_file, "prometheus_token"), read, is_token)?;
    let pair = key(overrides, (pair_file, "prometheus_basic_auth"), read, is_pair)?;
    let Some(given) = overrides.one("prometheus_write") else {
        return match [token_file, pair_file].into_iter().flatten().find(|file| file.is_flag()) {
            Some(file) => Err(file.misplaced("means nothing without --prometheus-write")),
            None => Ok(None),
        };
    };
    changed.insert("prometheus_write".to_owned(), given.origin.clone());
    // The URL may hold a password: the parser's message knows what may be repeated.
    let mut target = Target::parse(&given.value).map_err(|error| match error {
        TargetError::Credentials => given.unusable(
            "the URL contains credentials: give them with --prometheus-basic-auth-file or --prometheus-token-file",
        ),
        error => given.unusable(error),
    })?;
    if target.path_prefix.is_empty() {
        target.url += USUAL_PATH;
        USUAL_PATH.clone_into(&mut target.path_prefix);
    }
    if let (Some(file), Some(_)) = (pair_file.or(token_file), token.as_ref().and(pair.as_ref())) {
        return Err(file.misplaced("a token and a user with a password cannot be used together: choose one"));
    }
    if token.is_some() || pair.is_some() {
        let origin = pair_file.or(token_file).map_or(&given.origin, |file| &file.origin);
        changed.insert("prometheus_auth".to_owned(), origin.clone());
    }
    Ok(Some(PrometheusWrite { target, token, basic_auth: pair, tls: tls.clone() }))
}

/// A secret out of a file, or the environment's.
fn key(
    overrides: &Overrides,
    (file, id): (Option<&Given>, &'static str),
    read: &mut Read<'_>,
    is_good: fn(&str) -> bool,
) -> Result<Option<Secret>, PlanError> {
    let (text, origin) = match (file, overrides.secret(id)) {
        (Some(file), _) => (secret(file, read)?, file.origin.clone()),
        (None, Some(key)) => (key.value.reveal().to_owned(), key.origin.clone()),
        (None, None) => return Ok(None),
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if !is_good(text) || text.len() > limits::MAX_KEY_BYTES {
        let what = if id == "prometheus_token" {
            "no token: expected one line of visible ASCII characters"
        } else {
            "no user and password: expected one line USER:PASSWORD"
        };
        let most = limits::MAX_KEY_BYTES;
        let problem = format!("holds {what} of at most {most} bytes");
        return Err(PlanError::Override { origin, problem });
    }
    Ok(Some(Secret::new(text.to_owned())))
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

fn is_pair(text: &str) -> bool {
    text.contains(':') && !text.starts_with(':') && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(url: &str, file: Option<(&str, &str)>) -> Result<Option<PrometheusWrite>, String> {
        let mut overrides = Overrides::default();
        if !url.is_empty() {
            overrides.insert("prometheus_write", vec![Given::flag("prometheus-write", url)]);
        }
        if let Some((flag, _)) = file {
            overrides.insert(&flag.replace('-', "_"), vec![Given::flag(flag, "secret.txt")]);
        }
        let mut read = |_: &std::path::Path| Ok(file.map_or("", |(_, text)| text).to_owned());
        super::prometheus_write(&overrides, &Tls::default(), &mut read, &mut Changed::new())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_host_alone_gets_the_usual_path() {
        let of = |url| write(url, None).expect(url).expect("a place").target.url;
        assert_eq!(of("http://127.0.0.1:9090"), "http://127.0.0.1:9090/api/v1/write");
        assert_eq!(of("https://mimir.example/api/v1/push"), "https://mimir.example/api/v1/push");
        assert_eq!(write("", None), Ok(None));
    }

    #[test]
    fn keys_come_from_files_and_are_never_repeated() {
        let token = ("prometheus-token-file", "sesame-open\n");
        let place = write("http://p.example", Some(token)).expect("fine").expect("a place");
        assert_eq!(place.secrets(), (Some("sesame-open"), None));
        let pair = ("prometheus-basic-auth-file", "user:pa55\n");
        let place = write("http://p.example", Some(pair)).expect("fine").expect("a place");
        assert_eq!(place.secrets(), (None, Some("user:pa55")));
        for (url, file, words) in [
            ("http://user:pa55@p.example", None, "--prometheus-basic-auth-file"),
            ("ftp://p.example", None, "--prometheus-write"),
            ("http://p.example", Some(("prometheus-token-file", "two words pa55\n")), "holds no token"),
            ("http://p.example", Some(("prometheus-basic-auth-file", "pa55\n")), "USER:PASSWORD"),
            ("", Some(token), "without --prometheus-write"),
        ] {
            let error = write(url, file).expect_err(words);
            assert!(error.contains(words) && !error.contains("pa55") && !error.contains("sesame"), "{error}");
        }
    }
}
