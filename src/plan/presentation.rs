//! How results are shown. No part of the test itself.

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
    /// Where the Document goes.
    pub output: Option<Output>,
    /// Where the report page goes.
    pub html: Option<PathBuf>,
    /// Where the verdict goes as JUnit XML.
    pub junit: Option<PathBuf>,
    /// Where a line for each request goes.
    pub requests: Option<RequestsFile>,
    /// Where the live page is served; nowhere if it was not asked for.
    pub web: Option<WebPlace>,
    /// Where samples for Prometheus are written; nowhere if it was not asked for.
    pub prometheus: Option<PrometheusWrite>,
    /// Whether to write a step summary and annotations when running under GitHub Actions.
    pub github: bool,
    /// What made the plan a shard of a test; none for a whole one.
    pub shard: Option<String>,
    pub quiet: bool,
    /// Show everything that was measured, not only what fits a screen.
    pub details: bool,
    pub no_color: bool,
    /// A run whose client was the bottleneck is an error.
    pub fail_on_invalid: bool,
    /// Show the configuration and send nothing.
    pub show_config: bool,
    /// Show a request of each kind and send nothing.
    pub dump_request: bool,
    /// Show so many responses before the test.
    pub debug_response: u32,
    /// Tags of the run, in the order given.
    pub tags: Vec<(String, String)>,
    /// What the user is told about how flags were understood.
    pub notes: Vec<String>,
}

impl Presentation {
    /// What opens the places where the run is shown. A path and a query may hold a key, too.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let token = self.web.as_ref().and_then(|web| web.token.clone());
        let write = self.prometheus.as_ref();
        let pair = write.and_then(|write| write.basic_auth.as_ref());
        let parameters = write.into_iter().flat_map(|write| secrets::elsewhere(&write.target)).map(Secret::new);
        let keys = write.and_then(|write| write.token.clone()).into_iter().chain(pair.cloned());
        keys.chain(pair.and_then(keys::password)).chain(token).chain(parameters).collect()
    }
}

/// What `given` says, and for a single run what `single` says of its verdict.
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

/// Refuses flags of which each says that something else is to be done. In the environment they are
/// left to the first of them.
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

/// A key that is set twice is refused: which of the two was meant cannot be told.
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
