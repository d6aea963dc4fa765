//! The part of the test that is measured: `warmup` and `cooldown`.

use super::profile::ProfileFile;
use super::shape::length_as_written;
use super::source::Changed;
use super::{Overrides, PlanError, Shape};
use crate::units::Nanos;

/// Returns how much of the beginning and of the end is not measured.
///
/// The profile's values follow its stages: `--duration` scales both, and `--stage`, which replaces
/// the stages, drops them.
pub(super) fn edges(
    written: &ProfileFile,
    overrides: &Overrides,
    shape: &Shape,
    changed: &mut Changed,
) -> Result<(Nanos, Nanos), PlanError> {
    let profile = &written.profile;
    let warmup = edge(written, "warmup", profile.warmup.as_deref(), overrides, shape, changed)?;
    let cooldown = edge(written, "cooldown", profile.cooldown.as_deref(), overrides, shape, changed)?;
    if warmup.saturating_add(cooldown) > Nanos::ZERO {
        refuse(written, overrides, shape, warmup, cooldown)?;
    }
    Ok((warmup, cooldown))
}

fn edge(
    written: &ProfileFile,
    key: &'static str,
    text: Option<&str>,
    overrides: &Overrides,
    shape: &Shape,
    changed: &mut Changed,
) -> Result<Nanos, PlanError> {
    if let Some(given) = overrides.one(key) {
        changed.insert(key.to_owned(), given.origin.clone());
        return given.time();
    }
    let Some(text) = text else { return Ok(Nanos::ZERO) };
    let as_written = written.time(key, text)?;
    if let Some(stage) = overrides.one("stage") {
        changed.insert(key.to_owned(), stage.origin.clone());
        return Ok(Nanos::ZERO);
    }
    let Some(duration) = overrides.one("duration") else { return Ok(as_written) };
    changed.insert(key.to_owned(), duration.origin.clone());
    let (new, old) = (u128::from(shape.end().0), u128::from(length_as_written(written)?.0).max(1));
    Ok(Nanos((u128::from(as_written.0) * new / old) as u64))
}

/// Refuses a window that is empty.
fn refuse(
    written: &ProfileFile,
    overrides: &Overrides,
    shape: &Shape,
    warmup: Nanos,
    cooldown: Nanos,
) -> Result<(), PlanError> {
    let problem = if !shape.runs_by_time() {
        "cannot be used with an executor that counts requests: all of them are measured".to_owned()
    } else if warmup.saturating_add(cooldown) >= shape.end() {
        let both = format!("warmup {warmup} and cooldown {cooldown}");
        format!("leaves nothing to measure: expected {both} to be shorter than the test, which takes {}", shape.end())
    } else {
        return Ok(());
    };
    Err(match overrides.one("warmup").or(overrides.one("cooldown")) {
        Some(given) => given.misplaced(problem),
        None => written.error(if warmup > Nanos::ZERO { "warmup" } else { "cooldown" }, problem),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Given, Plan, resolve};

    fn plan(head: &str, overrides: &Overrides) -> Result<Plan, String> {
        let text = format!("{head}\n[[requests]]\nname = \"a\"\napi = \"health\"\n");
        let mut read = |_: &std::path::Path| Ok(text.clone());
        resolve("my.toml", overrides, &mut read).map(|resolved| resolved.plan).map_err(|error| error.to_string())
    }

    fn flags(pairs: &[(&str, &str)]) -> Overrides {
        let given = |(name, value): &(&str, &str)| ((*name).to_owned(), Given::flag(name, *value));
        pairs.iter().map(given).fold(Overrides::default(), |all, (id, given)| all.with(&id, [given]))
    }

    const STAGED: &str = "executor = \"ramping-vus\"\nstages = [{ duration = \"60s\", target = 2 }]\nwarmup = \"10s\"\ncooldown = \"5s\"";

    #[test]
    fn the_file_and_flags_say_what_is_measured() {
        let s = Nanos::from_secs;
        let edges = |pairs: &[_]| plan(STAGED, &flags(pairs)).map(|p| (p.warmup, p.cooldown)).expect("fine");
        assert_eq!(edges(&[]), (s(10), s(5)));
        assert_eq!(edges(&[("warmup", "20s")]), (s(20), s(5)));
        assert_eq!(edges(&[("cooldown", "0")]), (s(10), s(0)));
        assert_eq!(edges(&[("duration", "6s")]), (s(1), Nanos::from_millis(500)));
        assert_eq!(edges(&[("duration", "6s"), ("warmup", "2s")]), (s(2), Nanos::from_millis(500)));
        assert_eq!(edges(&[("stage", "4s:1")]), (s(0), s(0)), "they were those of the stages that are replaced");
        assert_eq!(edges(&[("stage", "4s:1"), ("warmup", "1s")]), (s(1), s(0)));
    }

    #[test]
    fn a_window_that_is_not_there_is_refused() {
        let error = plan(STAGED, &flags(&[("warmup", "55s")])).expect_err("nothing is left");
        assert!(error.starts_with("--warmup leaves nothing to measure"), "{error}");
        let flat = "executor = \"constant-vus\"\nduration = \"5s\"\ncooldown = \"5s\"";
        let error = plan(flat, &flags(&[])).expect_err("nothing is left");
        assert!(error.contains("my.toml:3: cooldown: leaves nothing to measure"), "{error}");
        let counting = "executor = \"per-vu-iterations\"\niterations = 3";
        let error = plan(counting, &flags(&[("warmup", "1s")])).expect_err("by count");
        assert!(error.contains("--warmup cannot be used with an executor that counts"), "{error}");
        assert!(plan(counting, &flags(&[("warmup", "0")])).is_ok());
    }
}
