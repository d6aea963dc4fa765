//! The destination of samples for Prometheus.

use super::credentials;
use super::source::Changed;
use super::{Overrides, PlanError, Read};
use crate::mix::Secret;
use crate::net::access::Tls;
use crate::net::{Target, TargetError};

/// The path at which Prometheus accepts remote writes.
const USUAL_PATH: &str = "/api/v1/write";

/// The destination of samples. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrometheusWrite {
    pub target: Target,
    pub token: Option<Secret>,
    /// User and password, with a colon between them.
    pub basic_auth: Option<Secret>,
    /// The trusted certificates: those for the target of the test.
    pub tls: Tls,
}

impl PrometheusWrite {
    /// Returns the token, or user and password, in clear text.
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
    let (token_ids, pair_ids) =
        (("prometheus_token_file", "prometheus_token"), ("prometheus_basic_auth_file", "prometheus_basic_auth"));
    let token = credentials::of_file_or_environment(overrides, token_ids, read)?;
    let pair = credentials::of_file_or_environment(overrides, pair_ids, read)?;
    let Some(given) = overrides.one("prometheus_write") else {
        let files = [token_ids.0, pair_ids.0].map(|id| overrides.one(id));
        return match files.into_iter().flatten().find(|file| file.is_flag()) {
            Some(file) => Err(file.misplaced("cannot be used without --prometheus-write")),
            None => Ok(None),
        };
    };
    changed.insert("prometheus_write".to_owned(), given.origin.clone());
    // The URL may contain a password. The parser's message only repeats safe parts.
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
    if let (Some(token), Some(pair)) = (&token, &pair) {
        let problem = format!("cannot be used together with {}: both are sent as Authorization", token.origin);
        return Err(PlanError::Override { origin: pair.origin.clone(), problem });
    }
    if let Some(found) = token.as_ref().or(pair.as_ref()) {
        changed.insert("prometheus_auth".to_owned(), found.origin.clone());
    }
    let token = token.map(|token| token.key("a token", 1, "")).transpose()?;
    let pair = pair.map(|pair| pair.pair()).transpose()?;
    Ok(Some(PrometheusWrite { target, token, basic_auth: pair, tls: tls.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Given, Sourced};

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
    fn keys_of_the_environment_exclude_each_other() {
        let set = |name: &str| {
            let origin = Given::environment(&format!("LLMSIM_BLAST_{}", name.to_uppercase()), "").origin;
            Sourced { value: Secret::new("user:pa55".to_owned()), origin }
        };
        let mut overrides = Overrides::default();
        overrides.insert("prometheus_write", vec![Given::flag("prometheus-write", "http://p.example")]);
        overrides.insert_secret("prometheus_token", set("prometheus_token"));
        let mut read = |_: &std::path::Path| Ok("other:pair".to_owned());
        let of = |overrides: &Overrides, read: &mut Read<'_>| {
            super::prometheus_write(overrides, &Tls::default(), read, &mut Changed::new())
        };
        let place = of(&overrides, &mut read).expect("fine").expect("a place");
        assert_eq!(place.secrets(), (Some("user:pa55"), None));
        let name = "LLMSIM_BLAST_PROMETHEUS_TOKEN_FILE";
        overrides.insert("prometheus_token_file", vec![Given::environment(name, "secret.txt")]);
        let error = of(&overrides, &mut read).expect_err("which of them?").to_string();
        assert!(error.starts_with(name) && error.contains("set one of them"), "{error}");
        overrides.insert("prometheus_token_file", vec![Given::flag("prometheus-token-file", "secret.txt")]);
        let place = of(&overrides, &mut read).expect("a flag wins").expect("a place");
        assert_eq!(place.secrets(), (Some("other:pair"), None));
        overrides.insert_secret("prometheus_basic_auth", set("prometheus_basic_auth"));
        let error = of(&overrides, &mut read).expect_err("two keys").to_string();
        assert!(error.contains("LLMSIM_BLAST_PROMETHEUS_BASIC_AUTH cannot be used together with"), "{error}");
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
            ("http://p.example", Some(("prometheus-token-file", "two words pa55\n")), "does not hold a token"),
            ("http://p.example", Some(("prometheus-basic-auth-file", "pa55\n")), "USER:PASSWORD"),
            ("", Some(token), "without --prometheus-write"),
        ] {
            let error = write(url, file).expect_err(words);
            assert!(error.contains(words) && !error.contains("pa55") && !error.contains("sesame"), "{error}");
        }
    }
}
