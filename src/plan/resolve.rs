//! built-in < file < environment < flags → [`Plan`].

use super::dataset::{Datasets, RowsOf};
use super::executor::{self, Executor};
use super::noted::noted;
use super::presentation::{Presentation, presentation};
use super::profile::{ProfileFile, ThinkTime as WrittenThinkTime};
use super::request_defaults::RequestDefaults;
use super::rows::RowSource;
use super::source::{Changed, Given};
use super::trace::TraceFile;
use super::{
    Overrides, Plan, PlanError, Read, Shard, access, aws_key, credentials, dataset, endpoints, headers, limits, mix,
    rendezvous, rules, server_metrics, shape, shard, show, target, tuning, window,
};
use crate::load::ThinkTime;
use crate::server::Spec;
use crate::units::Nanos;
use std::path::{Path, PathBuf};

/// A plan, how its results are shown, and the origin of every value.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    pub plan: Plan,
    pub presentation: Presentation,
    /// Every value with its origin, for `--show-config`.
    pub settings: Vec<show::Setting>,
}

/// The purpose of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Run,
    /// Many runs, whose load the command varies. The profile's own load is not changed, and a
    /// single run's verdict does not exist. Flags about either are not read, so commands with this
    /// purpose must not offer them.
    Steps,
}

/// Resolves a profile (the name of a built-in one, or a file that ends in `.toml` or contains a
/// `/`), flags and the environment into a plan. `read` reads the files.
pub fn resolve(profile: &str, overrides: &Overrides, read: &mut Read<'_>) -> Result<Resolved, PlanError> {
    resolve_for(Purpose::Run, profile, overrides, read)
}

/// Does the same as [`resolve`], for a purpose.
pub fn resolve_for(
    purpose: Purpose,
    profile: &str,
    overrides: &Overrides,
    read: &mut Read<'_>,
) -> Result<Resolved, PlanError> {
    let nothing = Overrides::default();
    let is_run = purpose == Purpose::Run;
    let single = if is_run { overrides } else { &nothing };
    let (name, written, folder) = load_profile(profile, read)?;
    let mut changed = Changed::new();
    let may_probe = target::may_probe(overrides, &mut changed)?;
    let seed = seed(overrides, &mut changed)?;
    let mut datasets = Datasets::new(&written, overrides, &folder, seed, &mut changed)?;
    let trace = match executor::executor(&written)? {
        Executor::Trace => Some(datasets.trace(read)?),
        _ => None,
    };
    let shape = shape::shape(&written, trace.as_ref(), single, &mut changed)?;
    let (warmup, cooldown) = window::edges(&written, single, &shape, &mut changed)?;
    let think_time = if shape.is_open() {
        no_think_time(&written, overrides, single)?
    } else {
        think_time(&written, overrides, &mut changed)?
    };
    let grace = written.profile.graceful_stop.as_deref().map(|text| written.time("graceful_stop", text)).transpose()?;
    let targets = target::targets(overrides, &mut changed)?;
    let defaults = RequestDefaults::of(overrides, &targets)?;
    let rows_of = &mut RowsOf { datasets, trace: trace.as_ref() };
    let mix::Made { mix, rows, sources } =
        mix::mix(&written, overrides, &defaults, &folder, rows_of, read, &mut changed)?;
    let requests = dataset::requests(&written, is_run, &mix, &sources)?;
    let (kinds, scenarios) = (mix.names(), mix.plays_scenarios());
    let (target, port_asked_for) = (targets.first.clone(), targets.port_asked_for);
    let shard = shard::shard(overrides.one("shard"), is_run.then_some(&shape), &mut changed)?;
    let access = access::access(overrides, &target, targets.more.clone(), read, &mut changed)?;
    let server = target::server(overrides, &target, &access, port_asked_for, &mut changed)?;
    let credentials = credentials::credentials(overrides, defaults.key_header(), read, &mut changed)?;
    let thresholds = rules::thresholds(&written, single, &kinds, &mut changed)?;
    shard::may_be(overrides, is_run.then_some(&thresholds), &mut changed)?;
    let mut presentation = presentation(overrides, single, &access.tls, read, &mut changed)?;
    let plan = Plan {
        name,
        description: written.profile.description.clone().unwrap_or_default(),
        shape,
        think_time,
        graceful_stop: grace.unwrap_or(limits::DEFAULT_GRACE),
        thresholds,
        slo: rules::goals(&written, &kinds)?,
        warmup,
        cooldown,
        endpoints: endpoints::endpoints(&mix, written.profile.endpoint_check, &defaults),
        endpoint_check: written.profile.endpoint_check,
        mix: mix.into(),
        sources,
        requests,
        found: overrides.found().cloned(),
        may_probe,
        asks_target: may_probe && defaults.asks_target(),
        wait_ready: noted("wait_ready", overrides.one("wait_ready"), &mut changed)
            .map_or(Ok(Nanos::ZERO), Given::time)?,
        server_metrics: server_metrics::server_metrics(overrides, &mut changed)?,
        server_pid: target::server_pid(overrides, &target, &mut changed)?,
        target,
        access,
        server: server.filter(|_| shard.is_none()).map(|spec| Spec { scenarios, ..spec }),
        credentials,
        other_secrets: presentation.secrets(),
        headers: extra_headers(overrides.many("header"), &mut changed)?,
        seed,
        tuning: tuning::tuning(overrides, single, read, &mut changed)?,
        shard: shard.unwrap_or(Shard::WHOLE),
        start_at: shard::start_at(single.one("start_at"), &mut changed)?,
        rendezvous: rendezvous::rendezvous(overrides, shard, read, &mut changed)?,
    };
    aws_key::check_headers(&plan, overrides.one("auth"))?;
    presentation.notes.extend(notes(trace.as_ref(), &plan, targets.endpoint.as_ref()));
    noted("timeout.total", overrides.one("timeout"), &mut changed);
    Ok(Resolved { settings: show::settings(&plan, &presentation, &written, &rows, &changed), plan, presentation })
}

fn seed(overrides: &Overrides, changed: &mut Changed) -> Result<u64, PlanError> {
    let given = noted("seed", overrides.one("seed"), changed);
    given.map_or(Ok(limits::DEFAULT_SEED), |given| given.whole(&(0..=u64::MAX)))
}

/// Returns the notes for the user on files and URLs.
fn notes(trace: Option<&TraceFile<'_>>, plan: &Plan, endpoint: Option<&target::Endpoint>) -> Vec<String> {
    let sources = plan.sources.iter().filter(|source| !source.is_trace).map(RowSource::told);
    trace.map(TraceFile::told).into_iter().chain(sources).chain(endpoint.map(target::Endpoint::told)).collect()
}

/// Refuses a think time in an open loop, where it has no meaning. A closed profile that `--rate`
/// has opened may have one: it is ignored.
fn no_think_time(written: &ProfileFile, overrides: &Overrides, single: &Overrides) -> Result<ThinkTime, PlanError> {
    const WHY: &str = "cannot be used with open-loop load, where requests start at a fixed rate";
    match (overrides.one("think_time"), &written.profile.think_time) {
        (Some(given), _) => Err(given.misplaced(WHY)),
        (None, Some(_)) if single.one("rate").is_none() => Err(written.error("think_time", WHY)),
        _ => Ok(ThinkTime::default()),
    }
}

/// Returns the profile's name, its text, and the folder where its files are looked for.
fn load_profile(profile: &str, read: &mut Read<'_>) -> Result<(String, ProfileFile, PathBuf), PlanError> {
    let path = Path::new(profile);
    let is_file = profile.contains('/') || path.extension().is_some_and(|extension| extension == "toml");
    if !is_file {
        return Ok((profile.to_owned(), ProfileFile::built_in(profile)?, PathBuf::new()));
    }
    let text = read.text(path).map_err(|error| PlanError::Unreadable {
        place: "the profile".to_owned(),
        path: profile.to_owned(),
        reason: error.to_string(),
    })?;
    let name = path.file_stem().map_or_else(|| profile.to_owned(), |stem| stem.to_string_lossy().into_owned());
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    Ok((name, ProfileFile::parse(profile, &text)?, folder))
}

fn think_time(written: &ProfileFile, overrides: &Overrides, changed: &mut Changed) -> Result<ThinkTime, PlanError> {
    if let Some(given) = overrides.one("think_time") {
        changed.insert("think_time".to_owned(), given.origin.clone());
        let part = |text: &str| given.part(text, Given::time);
        let (min, max) = match given.value.split_once("..") {
            Some((min, max)) => (part(min)?, part(max)?),
            None => (given.time()?, given.time()?),
        };
        return range(min, max).ok_or_else(|| given.bad("MIN..MAX with MIN at most MAX, such as 100ms..300ms"));
    }
    match &written.profile.think_time {
        None => Ok(ThinkTime::default()),
        Some(WrittenThinkTime::Fixed(text)) => {
            let fixed = written.time("think_time", text)?;
            Ok(ThinkTime { min: fixed, max: fixed })
        }
        Some(WrittenThinkTime::Drawn(drawn)) => {
            let (min, max) = (written.time("think_time.min", &drawn.min)?, written.time("think_time.max", &drawn.max)?);
            range(min, max)
                .ok_or_else(|| written.error("think_time", format!("min {min} is above max {max}: expected min ≤ max")))
        }
    }
}

/// Returns the range, if its ends are in order.
fn range(min: Nanos, max: Nanos) -> Option<ThinkTime> {
    (min <= max).then_some(ThinkTime { min, max })
}

/// Reads the extra headers of every request.
fn extra_headers(given: &[Given], changed: &mut Changed) -> Result<Vec<(String, String)>, PlanError> {
    if let Some(first) = given.first() {
        changed.insert("headers".to_owned(), first.origin.clone());
    }
    if given.len() > limits::MAX_HEADERS {
        return Err(given[0].misplaced(format!(
            "was given {} times: expected at most {} headers",
            given.len(),
            limits::MAX_HEADERS
        )));
    }
    // A header may carry a secret, so its message must not repeat the value, unlike those on other
    // values.
    given.iter().map(|given| headers::line(&given.value).map_err(|problem| given.unusable(problem))).collect()
}

#[cfg(test)]
mod tests;
