//! The targets of the test, and the server that may be started for them.

use super::access::forbids_a_server;
use super::overrides::either;
use super::source::Changed;
use super::{Given, Origin, Overrides, PlanError, limits};
use crate::api::Api;
use crate::net::{Access, Target};
use crate::server::{Source, Spec};
use std::path::PathBuf;

/// An endpoint that a URL names as a whole: its API and its path, with their origin.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub(super) api: Given,
    pub(super) path: Given,
}

impl Endpoint {
    /// Describes it for the user.
    pub(super) fn told(&self) -> String {
        format!(
            "{} is the URL of an endpoint: only {} is tested, at {}",
            self.path.origin, self.api.value, self.path.value
        )
    }
}

/// Takes the path of an API from the end of a target's URL, if the user has given the URL of an
/// endpoint. The URL cannot mean anything else: such a path cannot stand before the path of every
/// request.
fn take_endpoint(given: &Given, target: &mut Target) -> Option<Endpoint> {
    let ends_in = |api: &Api| api.path().rsplit_once("/v1").is_some_and(|(_, own)| target.path_prefix.ends_with(own));
    let api = Api::ALL.into_iter().filter(|api| api.generates()).find(ends_in)?;
    let path = std::mem::take(&mut target.path_prefix);
    target.url.truncate(target.url.len() - path.len());
    let part = |value: String| Given { value, origin: given.origin.clone() };
    Some(Endpoint { api: part(api.name().to_owned()), path: part(path) })
}

#[derive(Debug)]
pub(super) struct Targets {
    pub(super) first: Target,
    /// The targets after the first one.
    pub(super) more: Vec<Target>,
    /// True if the port was asked for.
    pub(super) port_asked_for: bool,
    pub(super) endpoint: Option<Endpoint>,
    /// True if the user has named a target.
    pub(super) is_named: bool,
}

/// Returns the targets, and the endpoint that all of their URLs name, if they do.
pub(super) fn targets(overrides: &Overrides, changed: &mut Changed) -> Result<Targets, PlanError> {
    let (mut first, port_asked_for) = target(overrides, changed)?;
    let mut more = more_targets(overrides, changed)?;
    let urls = overrides.many("target_url");
    let given = urls.first().filter(|_| spelling(overrides).is_ok_and(|(url, ..)| url.is_some()));
    let endpoint = given.and_then(|given| take_endpoint(given, &mut first));
    let path = |endpoint: Option<&Endpoint>| endpoint.map(|endpoint| endpoint.path.value.clone());
    for (target, given) in more.iter_mut().zip(urls.iter().skip(1)) {
        if path(take_endpoint(given, target).as_ref()) != path(endpoint.as_ref()) {
            return Err(
                given.unusable("it names an endpoint that the first target does not name: use --path for all targets")
            );
        }
    }
    let is_named = spelling(overrides)? != (None, None, None);
    Ok(Targets { first, more, port_asked_for, endpoint, is_named })
}

/// Returns the target: a URL, or a host and a port, or where llmsim listens by default. Also
/// returns true if its port was asked for.
fn target(overrides: &Overrides, changed: &mut Changed) -> Result<(Target, bool), PlanError> {
    let (url, host, port) = spelling(overrides)?;
    if let Some(given) = url.or(host).or(port) {
        changed.insert("target".to_owned(), given.origin.clone());
    }
    if let Some(given) = url {
        // The URL may contain a password. The parser's message only repeats safe parts. A URL
        // always sets the port, be it the default one.
        let target = Target::parse(&given.value).map_err(|error| given.unusable(error))?;
        return Ok((target, true));
    }
    let number = match port {
        Some(given) => given.whole(&(1..=u64::from(u16::MAX)))? as u16,
        None => limits::DEFAULT_PORT,
    };
    let (name, origin) = match host {
        Some(given) => (given.value.trim(), given.origin.clone()),
        None => (limits::DEFAULT_HOST, Origin::Default),
    };
    let target =
        Target::from_parts(name, number).map_err(|error| PlanError::Unusable { origin, problem: error.to_string() })?;
    Ok((target, port.is_some()))
}

/// Returns the targets after the first one. Empty if a host or a port has beaten the URLs.
fn more_targets(overrides: &Overrides, changed: &mut Changed) -> Result<Vec<Target>, PlanError> {
    let more = overrides.many("target_url").get(1..).unwrap_or_default();
    if more.is_empty() || spelling(overrides)?.0.is_none() {
        return Ok(Vec::new());
    }
    if more.len() >= limits::MAX_TARGETS {
        return Err(more[0].misplaced(format!("was given too often: expected at most {} targets", limits::MAX_TARGETS)));
    }
    changed.insert("more_targets".to_owned(), more[0].origin.clone());
    let parse = |given: &Given| Target::parse(&given.value).map_err(|error| given.unusable(error));
    more.iter().map(parse).collect()
}

/// URL, host and port, if they are given.
type Spelling<'a> = (Option<&'a Given>, Option<&'a Given>, Option<&'a Given>);

/// Returns how the target is given. A URL excludes host and port. Flags beat the environment, and
/// values of the same rank are refused.
fn spelling(overrides: &Overrides) -> Result<Spelling<'_>, PlanError> {
    let (host, port) = (overrides.one("host"), overrides.one("port"));
    let Some(url) = overrides.one("target_url") else { return Ok((None, host, port)) };
    let flag = |given: &&Given| given.is_flag();
    let (host_flag, port_flag) = (host.filter(flag), port.filter(flag));
    let rival = match (url.is_flag(), host_flag.or(port_flag)) {
        (true, rival) => rival,
        (false, Some(_)) => return Ok((None, host_flag, port_flag)),
        (false, None) => host.or(port),
    };
    match rival {
        None => Ok((Some(url), None, None)),
        Some(rival) => {
            let problem =
                format!("cannot be used together with {}: the URL already contains host and port", rival.origin);
            Err(url.misplaced(problem))
        }
    }
}

/// Returns the process to watch as the server.
pub(super) fn server_pid(
    overrides: &Overrides,
    target: &Target,
    changed: &mut Changed,
) -> Result<Option<u32>, PlanError> {
    /// Linux's own limit (`PID_MAX_LIMIT`).
    const HIGHEST: u64 = 1 << 22;
    let Some(given) = overrides.one("server_pid") else { return Ok(None) };
    changed.insert("server_pid".to_owned(), given.origin.clone());
    let pid = given.whole(&(1..=HIGHEST))? as u32;
    if !target.is_this_machine() {
        return Err(
            given.misplaced(format!("can only watch a process on this machine, but the target is {}", target.host))
        );
    }
    Ok(Some(pid))
}

/// Returns the server to start, if no target is named.
pub(super) fn server(
    overrides: &Overrides,
    target: &Target,
    access: &Access,
    port_asked_for: bool,
    changed: &mut Changed,
) -> Result<Option<Spec>, PlanError> {
    let no_server = overrides.yes("no_server")?.or(overrides.one("server_pid"));
    let chaos = overrides.yes("chaos")?;
    let (bin, src) = either(
        overrides.one("server_bin"),
        overrides.one("server_src"),
        "a server is either a binary or built from a checkout",
    )?;
    let (chaos, config) = either(chaos, overrides.one("server_config"), "--chaos is a configuration of its own")?;
    for given in [bin, src, config].into_iter().flatten() {
        given.path()?;
    }
    let wishes = [bin, src, chaos, config];
    let reason = match no_server {
        Some(given) => Some(format!("no server is started with {}", given.origin)),
        None if !target.is_this_machine() => {
            Some(format!("no server is started for {}, which is not this machine", target.host))
        }
        None if !target.path_prefix.is_empty() => {
            Some(format!("no server is started for a target with a path, which is {} here", target.path_prefix))
        }
        None => forbids_a_server(target, access).map(str::to_owned),
    };
    if let Some(given) = no_server {
        changed.insert("server".to_owned(), given.origin.clone());
    }
    if let Some(reason) = reason {
        // The environment may be set for all runs. But a flag was typed for this run and would have
        // no effect.
        return match wishes.into_iter().flatten().find(|given| given.is_flag()) {
            Some(given) => Err(given.misplaced(format!("has no effect: {reason}"))),
            None => Ok(None),
        };
    }
    // A target that is named is the one to test. A server is started there only if one was asked
    // for. A variable of the environment does not count if the target was typed for this run,
    // because it may be set for all runs.
    if let (Some(url), ..) = spelling(overrides)?
        && !wishes.into_iter().flatten().any(|wish| wish.is_flag() || !url.is_flag())
    {
        changed.insert("server".to_owned(), url.origin.clone());
        return Ok(None);
    }
    for (key, given) in [("server.source", bin.or(src)), ("server.chaos", chaos), ("server.config", config)] {
        if let Some(given) = given {
            changed.insert(key.to_owned(), given.origin.clone());
        }
    }
    let source = match (bin, src) {
        (Some(given), _) => Source::Binary(PathBuf::from(&given.value)),
        (None, Some(given)) => Source::Checkout(PathBuf::from(&given.value)),
        (None, None) => Source::Embedded,
    };
    Ok(Some(Spec {
        source,
        config: config.map(|given| PathBuf::from(&given.value)),
        chaos: chaos.is_some(),
        throughput: None,
        scenarios: false,
        host: target.host.clone(),
        port: target.port,
        any_port: !port_asked_for,
        ready_within: limits::SERVER_READY_WITHIN,
    }))
}

/// Returns true if the target may be probed before the test, to find out what it is and accepts.
pub(super) fn may_probe(overrides: &Overrides, changed: &mut Changed) -> Result<bool, PlanError> {
    let forbidden = overrides.yes("no_probe")?;
    if let Some(given) = forbidden {
        changed.insert("probe".to_owned(), given.origin.clone());
    }
    Ok(forbidden.is_none())
}
