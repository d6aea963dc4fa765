//! How results are shown. Not a part of the test itself.

use super::error::shown;
use super::noted::{flag, noted};
use super::output::Output;
use super::prometheus::{self, PrometheusWrite};
use super::requests::{self, RequestsFile};
use super::source::{Changed, Given};
use super::web::{self, WebPlace};
use super::{Overrides, PlanError, Read, keys, limits, secrets};
use crate::mix::Secret;
use crate::net::access::Tls;
use std::path::PathBuf;

/// How results are shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Presentation {
    /// Destination of the Document.
    pub output: Option<Output>,
    /// Destination of the report page.
    pub html: Option<PathBuf>,
    /// Destination of the verdict as JUnit XML.
    pub junit: Option<PathBuf>,
    /// Destination of a line for each request.
    pub requests: Option<RequestsFile>,
    /// Address of the live page. `None` if it was not asked for.
    pub web: Option<WebPlace>,
    /// Destination of samples for Prometheus. `None` if it was not asked for.
    pub prometheus: Option<PrometheusWrite>,
    /// True to write a step summary and annotations when running under GitHub Actions.
    pub github: bool,
    /// The flag or variable that made the plan a shard of a test. `None` for a whole test.
    pub shard: Option<String>,
    pub quiet: bool,
    /// True to show everything that was measured, not only what fits a screen.
    pub details: bool,
    pub no_color: bool,
    /// True if a run whose client was the bottleneck is an error.
    pub fail_on_invalid: bool,
    /// True to show the configuration and send nothing.
    pub show_config: bool,
    /// True to show a request of each kind and send nothing.
    pub dump_request: bool,
    /// Number of responses to show before the test.
    pub debug_response: u32,
    /// Tags of the run, in the order given.
    pub tags: Vec<(String, String)>,
    /// Notes for the user on how flags were understood.
    pub notes: Vec<String>,
}

impl Presentation {
    /// Returns the secrets of the places where the run is shown. A path and a query may contain a
    /// key, too.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let token = self.web.as_ref().and_then(|web| web.token.clone());
        let write = self.prometheus.as_ref();
        let pair = write.and_then(|write| write.basic_auth.as_ref());
        let parameters = write.into_iter().flat_map(|write| secrets::elsewhere(&write.target)).map(Secret::new);
        let keys = write.and_then(|write| write.token.clone()).into_iter().chain(pair.cloned());
        keys.chain(pair.and_then(keys::password)).chain(token).chain(parameters).collect()
    }
}

/// Reads the presentation from `given`. The verdict of a single run is read from `single`.
pub(super) fn presentation(
    given: &Overrides,
    single: &Overrides,
    tls: &Tls,
    read: &mut Read<'_>,
    changed: &mut Changed,
) -> Result<Presentation, PlanError> {
    let debug = [given.yes("show_config")?, given.yes("dump_request")?, given.one("debug_response")];
    refuse_rivals(&debug)?;
    let responses = 1..=u64::from(limits::MAX_DEBUG_RESPONSES);
    let debug_response = noted("debug_response", given.one("debug_response"), changed);
    Ok(Presentation {
        output: output(noted("output", given.one("output"), changed))?,
        html: noted("html", given.one("html"), changed).map(Given::path).transpose()?,
        junit: noted("junit", single.one("junit"), changed).map(Given::path).transpose()?,
        requests: requests::file(single, changed)?,
        web: web::web(given, changed)?,
        prometheus: prometheus::prometheus_write(single, tls, read, changed)?,
        github: github(noted("github", single.one("github"), changed))?,
        shard: given.one("shard").map(|given| given.origin.to_string()),
        quiet: flag("quiet", given, changed)?,
        details: flag("details", single, changed)?,
        no_color: flag("no_color", single, changed)?,
        fail_on_invalid: flag("fail_on_invalid", single, changed)?,
        show_config: flag("show_config", given, changed)?,
        dump_request: flag("dump_request", given, changed)?,
        debug_response: debug_response.map_or(Ok(0), |given| given.whole(&responses))? as u32,
        tags: tags(single.many("tag"), changed)?,
        notes: given.notes().to_vec(),
    })
}

/// Refuses several flags that each replace the run. In the environment, the first of them wins.
fn refuse_rivals(given: &[Option<&Given>]) -> Result<(), PlanError> {
    let mut typed = given.iter().flatten().filter(|given| given.is_flag());
    match (typed.next(), typed.next()) {
        (Some(first), Some(second)) => {
            let problem = format!("cannot be used together with {}: each of them replaces the run", first.origin);
            Err(second.misplaced(problem))
        }
        _ => Ok(()),
    }
}

fn output(given: Option<&Given>) -> Result<Option<Output>, PlanError> {
    match given {
        None => Ok(None),
        Some(given) if given.value == "-" => Ok(Some(Output::Stdout)),
        Some(given) => given.path().map(|path| Some(Output::File(path))),
    }
}

fn github(given: Option<&Given>) -> Result<bool, PlanError> {
    given.map_or(Ok(false), |given| given.word(&[("auto", true), ("off", false)]))
}

/// Reads the tags. A key that is set twice is refused, because it is not clear which value was
/// meant.
fn tags(given: &[Given], changed: &mut Changed) -> Result<Vec<(String, String)>, PlanError> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for tag in given {
        changed.insert("tags".to_owned(), tag.origin.clone());
        let (key, value) = tag
            .value
            .split_once('=')
            .map(|(key, value)| (key.trim(), value.trim()))
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| tag.bad("a tag such as KEY=VALUE"))?;
        if tags.iter().any(|(known, _)| known == key) {
            return Err(tag.misplaced(format!("sets '{}' twice: remove one of them", shown(key))));
        }
        tags.push((key.to_owned(), value.to_owned()));
        if tags.len() > limits::MAX_TAGS {
            return Err(tag.misplaced(format!("was given too often: expected at most {} tags", limits::MAX_TAGS)));
        }
    }
    Ok(tags)
}
