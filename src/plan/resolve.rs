//! built-in < file < environment < flags → [`Plan`].

use super::mix::Read;
use super::overrides::yes;
use super::profile::{ThinkTime as WrittenThinkTime, Written, built_in};
use super::shape::{Changed, time};
use super::speech::Speech;
use super::{
    Given, Overrides, Plan, PlanError, access, endpoints, headers, limits, mix, rules, shape, shard, show, target,
    window,
};
use crate::load::ThinkTime;
use crate::mix::{Mix, Secret};
use crate::units::Nanos;
use std::path::{Path, PathBuf};

/// A plan, how its results are shown, and where every value came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// What to do.
    pub plan: Plan,
    /// How the results are shown.
    pub presentation: Presentation,
    /// Every value with its source, for `--show-config`.
    pub settings: Vec<show::Setting>,
}

/// How the results are shown. No part of the test itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Presentation {
    /// Where the Document goes.
    pub output: Option<Output>,
    /// Where the thresholds go as JUnit XML.
    pub junit: Option<PathBuf>,
    /// Whether GitHub Actions is told, if it is there.
    pub github: bool,
    /// What made the plan a share of a test; none for a whole one.
    pub shard: Option<String>,
    /// No progress.
    pub quiet: bool,
    /// No colour, whatever the terminal can.
    pub no_color: bool,
    /// A run whose client was the bottleneck is an error.
    pub fail_on_invalid: bool,
    /// Show the configuration and send nothing.
    pub show_config: bool,
    /// Show a request of each kind and send nothing.
    pub dump_request: bool,
    /// Show so many answers before the test.
    pub debug_response: u32,
    /// Tags of the run, in the order given.
    pub tags: Vec<(String, String)>,
}

/// Where the Document goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Standard output, written `-`.
    Stdout,
    /// A file.
    File(PathBuf),
}

/// Makes a plan of a profile (a built-in one's name, or a file that ends in `.toml` or has a `/`) and what flags and the environment
/// say. Files are read by `read`.
pub fn resolve(profile: &str, overrides: &Overrides, read: &mut Read<'_>) -> Result<Resolved, PlanError> {
    let (name, written, folder) = load_profile(profile, read)?;
    let mut changed = Changed::new();
    let shape = shape::shape(&written, overrides, &mut changed)?;
    let (warmup, cooldown) = window::edges(&written, overrides, &shape, &mut changed)?;
    let think_time = match shape.arrivals() {
        None => think_time(&written, overrides, &mut changed)?,
        Some(_) => no_think_time(&written, overrides)?,
    };
    let grace = written.profile.graceful_stop.as_deref();
    let grace = grace.map(|text| time(&written, "graceful_stop", text)).transpose()?;
    let speech = Speech::of(overrides)?;
    let mix::Made { mix, rows } = mix::mix(&written, overrides, &speech, &folder, read, &mut changed)?;
    let kinds = names(&mix);
    let (target, port_asked_for) = target::target(overrides, &mut changed)?;
    let shard = shard::shard(overrides.shard.as_ref(), &shape, &mut changed)?;
    let more_targets = target::more_targets(overrides, &mut changed)?;
    let access = access::access(overrides, &target, more_targets, read, &mut changed)?;
    let server = target::server(overrides, &target, &access, port_asked_for, &mut changed)?;
    let api_key = api_key(overrides, read, &mut changed)?;
    let basic_auth = access::basic_auth(overrides, api_key.is_some(), read, &mut changed)?;
    let thresholds = rules::thresholds(&written, &kinds)?;
    shard::abort_scope(overrides, &thresholds, &mut changed)?;
    let rx_timestamps = rx_timestamps(overrides.rx_timestamps.as_ref(), &mut changed)?;
    let server = server.filter(|_| shard.is_none());
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
        endpoints: endpoints::endpoints(&mix, written.profile.endpoint_check, &speech),
        endpoint_check: written.profile.endpoint_check,
        mix,
        server_pid: target::server_pid(overrides, &target, &mut changed)?,
        target,
        access,
        server,
        api_key,
        basic_auth,
        headers: extra_headers(&overrides.headers, &mut changed)?,
        seed: whole(overrides.seed.as_ref(), "seed", 0..=u64::MAX, &mut changed)?.unwrap_or(limits::DEFAULT_SEED),
        workers: whole(overrides.workers.as_ref(), "workers", 1..=u64::from(limits::MAX_WORKERS), &mut changed)?
            .map(|n| n as u32),
        pin: !flag(overrides.no_pin.as_ref(), "pin", &mut changed)?,
        rx_timestamps,
        quickack: flag(overrides.quickack.as_ref(), "quickack", &mut changed)?,
        poll_interval: poll_interval(overrides.poll_interval.as_ref(), rx_timestamps, &mut changed)?,
        verify_parse: flag(overrides.verify_parse.as_ref(), "verify_parse", &mut changed)?,
        share: shard.map_or(0, |(index, _)| index),
        of: shard.map_or(1, |(_, count)| count),
        start_at: shard::start_at(overrides.start_at.as_ref(), &mut changed)?,
    };
    let presentation = presentation(overrides, &mut changed)?;
    if let Some(given) = &overrides.timeout {
        changed.insert("timeout.total".to_owned(), given.origin.clone());
    }
    let settings = show::settings(&plan, &presentation, &written, &rows, &changed);
    Ok(Resolved { plan, presentation, settings })
}

/// How the results are shown.
fn presentation(overrides: &Overrides, changed: &mut Changed) -> Result<Presentation, PlanError> {
    Ok(Presentation {
        output: output(overrides.output.as_ref(), changed)?,
        junit: junit(overrides.junit.as_ref(), changed)?,
        github: github(overrides.github.as_ref(), changed)?,
        shard: overrides.shard.as_ref().map(|given| given.origin.to_string()),
        quiet: flag(overrides.quiet.as_ref(), "quiet", changed)?,
        no_color: flag(overrides.no_color.as_ref(), "no_color", changed)?,
        fail_on_invalid: flag(overrides.fail_on_invalid.as_ref(), "fail_on_invalid", changed)?,
        show_config: flag(overrides.show_config.as_ref(), "show_config", changed)?,
        dump_request: flag(overrides.access.dump_request.as_ref(), "dump_request", changed)?,
        debug_response: whole(
            overrides.access.debug_response.as_ref(),
            "debug_response",
            1..=u64::from(limits::MAX_DEBUG_RESPONSES),
            changed,
        )?
        .unwrap_or(0) as u32,
        tags: tags(&overrides.tags, changed)?,
    })
}

/// Arrivals come when they come: nobody thinks between them. A closed profile that `--rate` has opened may have a think time, which
/// then has no meaning.
fn no_think_time(written: &Written, overrides: &Overrides) -> Result<ThinkTime, PlanError> {
    const WHY: &str = "means nothing to an open load, whose requests start at a rate: leave it out";
    match (&overrides.think_time, &written.profile.think_time) {
        (Some(given), _) => Err(given.misplaced(WHY)),
        (None, Some(_)) if overrides.rate.is_none() => Err(written.error("think_time", WHY)),
        _ => Ok(ThinkTime::default()),
    }
}

/// Whether the kernel dates what is read; none leaves it to the run.
fn rx_timestamps(given: Option<&Given>, changed: &mut Changed) -> Result<Option<bool>, PlanError> {
    let Some(given) = given else { return Ok(None) };
    changed.insert("rx_timestamps".to_owned(), given.origin.clone());
    match given.value.trim() {
        "auto" => Ok(None),
        "on" => Ok(Some(true)),
        "off" => Ok(Some(false)),
        _ => Err(given.bad("is not possible: expected auto, on or off")),
    }
}

/// The pause between two polls; none leaves it to the run.
fn poll_interval(
    given: Option<&Given>,
    rx_timestamps: Option<bool>,
    changed: &mut Changed,
) -> Result<Option<Nanos>, PlanError> {
    let Some(given) = given else { return Ok(None) };
    changed.insert("poll_interval".to_owned(), given.origin.clone());
    if given.value.trim() == "auto" {
        return Ok(None);
    }
    let pause = given.time()?;
    if pause > limits::LONGEST_POLL_INTERVAL {
        return Err(given.bad(format!("is too long: expected auto, or at most {}", limits::LONGEST_POLL_INTERVAL)));
    }
    if pause > Nanos::ZERO && rx_timestamps == Some(false) {
        // Our own clock would date what came during the pause by its end.
        return Err(given.misplaced("needs the kernel's receive stamps: expected --rx-timestamps auto or on beside it"));
    }
    Ok(Some(pause))
}

/// The profile's name, its text, and the folder that its files are looked for in.
fn load_profile(profile: &str, read: &mut Read<'_>) -> Result<(String, Written, PathBuf), PlanError> {
    let path = Path::new(profile);
    let is_file = profile.contains('/') || path.extension().is_some_and(|extension| extension == "toml");
    if !is_file {
        let written = Written::parse(&format!("built-in profile {profile}"), built_in(profile)?)?;
        return Ok((profile.to_owned(), written, PathBuf::new()));
    }
    let text = read(path).map_err(|error| PlanError::Unreadable {
        place: "the profile".to_owned(),
        path: profile.to_owned(),
        reason: error.to_string(),
    })?;
    let name = path.file_stem().map_or_else(|| profile.to_owned(), |stem| stem.to_string_lossy().into_owned());
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    Ok((name, Written::parse(profile, &text)?, folder))
}

/// The names of the kinds of request.
fn names(mix: &Mix) -> Vec<String> {
    mix.kinds.iter().map(|kind| kind.name.clone()).collect()
}

/// Pause between requests.
fn think_time(written: &Written, overrides: &Overrides, changed: &mut Changed) -> Result<ThinkTime, PlanError> {
    if let Some(given) = &overrides.think_time {
        changed.insert("think_time".to_owned(), given.origin.clone());
        let part = |text: &str| Given { value: text.to_owned(), origin: given.origin.clone() }.time();
        let (min, max) = match given.value.split_once("..") {
            Some((min, max)) => (part(min)?, part(max)?),
            None => (given.time()?, given.time()?),
        };
        return range(min, max).ok_or_else(|| given.bad("runs backwards: expected MIN..MAX, such as 100ms..300ms"));
    }
    match &written.profile.think_time {
        None => Ok(ThinkTime::default()),
        Some(WrittenThinkTime::Fixed(text)) => {
            let fixed = time(written, "think_time", text)?;
            Ok(ThinkTime { min: fixed, max: fixed })
        }
        Some(WrittenThinkTime::Drawn(drawn)) => {
            let (min, max) =
                (time(written, "think_time.min", &drawn.min)?, time(written, "think_time.max", &drawn.max)?);
            range(min, max)
                .ok_or_else(|| written.error("think_time", format!("min {min} is above max {max}: expected min ≤ max")))
        }
    }
}

/// Shortest and longest, if they are in that order.
fn range(min: Nanos, max: Nanos) -> Option<ThinkTime> {
    (min <= max).then_some(ThinkTime { min, max })
}

/// A number of a flag or the environment.
fn whole(
    given: Option<&Given>,
    key: &str,
    limits: std::ops::RangeInclusive<u64>,
    changed: &mut Changed,
) -> Result<Option<u64>, PlanError> {
    let Some(given) = given else { return Ok(None) };
    changed.insert(key.to_owned(), given.origin.clone());
    given.whole(&limits).map(Some)
}

/// A flag of yes and no.
fn flag(given: Option<&Given>, key: &str, changed: &mut Changed) -> Result<bool, PlanError> {
    if let Some(given) = given {
        changed.insert(key.to_owned(), given.origin.clone());
    }
    yes(given).map(|yes| yes.is_some())
}

/// The API key: out of a file, or the environment's. It is never repeated in a message.
fn api_key(overrides: &Overrides, read: &mut Read<'_>, changed: &mut Changed) -> Result<Option<Secret>, PlanError> {
    let (text, origin) = match (&overrides.api_key_file, &overrides.api_key) {
        (Some(file), Some(key)) if !file.is_flag() => {
            let problem = format!("cannot stand together with {}: expected one of them", key.origin);
            return Err(file.misplaced(problem));
        }
        (Some(file), _) => {
            let text = read(Path::new(&file.value)).map_err(|error| PlanError::Unreadable {
                place: file.origin.to_string(),
                path: file.value.clone(),
                reason: error.to_string(),
            })?;
            (text, &file.origin)
        }
        (None, Some(key)) => (key.value.reveal().to_owned(), &key.origin),
        (None, None) => return Ok(None),
    };
    let key = text.trim();
    if key.is_empty() || key.len() > limits::MAX_KEY_BYTES || !key.bytes().all(|b| b.is_ascii_graphic()) {
        let most = limits::MAX_KEY_BYTES;
        let problem = format!("holds no API key: expected one line of 1 to {most} visible ASCII characters");
        return Err(PlanError::Override { origin: origin.clone(), problem });
    }
    changed.insert("api_key".to_owned(), origin.clone());
    Ok(Some(Secret::new(key.to_owned())))
}

/// Extra headers of every request.
fn extra_headers(given: &[Given], changed: &mut Changed) -> Result<Vec<(String, String)>, PlanError> {
    if let Some(first) = given.first() {
        changed.insert("headers".to_owned(), first.origin.clone());
    }
    if given.len() > limits::MAX_HEADERS {
        return Err(given[0].misplaced(format!("too many headers: expected at most {}", limits::MAX_HEADERS)));
    }
    // A header may carry a secret, so the message must not repeat it as messages on other values do.
    given.iter().map(|given| headers::line(&given.value).map_err(|problem| given.misplaced(problem))).collect()
}

/// Where the Document goes.
fn output(given: Option<&Given>, changed: &mut Changed) -> Result<Option<Output>, PlanError> {
    let Some(given) = given else { return Ok(None) };
    changed.insert("output".to_owned(), given.origin.clone());
    match given.value.as_str() {
        "" => Err(given.bad("is empty: expected a file, or - for standard output")),
        "-" => Ok(Some(Output::Stdout)),
        path => Ok(Some(Output::File(PathBuf::from(path)))),
    }
}

/// Where the thresholds go as JUnit XML.
fn junit(given: Option<&Given>, changed: &mut Changed) -> Result<Option<PathBuf>, PlanError> {
    let Some(given) = given else { return Ok(None) };
    changed.insert("junit".to_owned(), given.origin.clone());
    if given.value.is_empty() { Err(given.bad("is empty: expected a file")) } else { Ok(Some((&given.value).into())) }
}

/// Whether GitHub Actions is told.
fn github(given: Option<&Given>, changed: &mut Changed) -> Result<bool, PlanError> {
    let Some(given) = given else { return Ok(false) };
    changed.insert("github".to_owned(), given.origin.clone());
    match given.value.trim() {
        "auto" => Ok(true),
        "off" => Ok(false),
        _ => Err(given.bad("is not possible: expected auto or off")),
    }
}

/// Tags of the run; of two with one key the later holds.
fn tags(given: &[Given], changed: &mut Changed) -> Result<Vec<(String, String)>, PlanError> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for tag in given {
        changed.insert("tags".to_owned(), tag.origin.clone());
        let (key, value) = tag
            .value
            .split_once('=')
            .map(|(key, value)| (key.trim(), value.trim()))
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| tag.bad("is not a tag: expected KEY=VALUE"))?;
        tags.retain(|(known, _)| known != key);
        tags.push((key.to_owned(), value.to_owned()));
        if tags.len() > limits::MAX_TAGS {
            return Err(tag.misplaced(format!("too many tags: expected at most {}", limits::MAX_TAGS)));
        }
    }
    Ok(tags)
}

#[cfg(test)]
mod tests;
