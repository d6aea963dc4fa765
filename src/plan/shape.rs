//! Users or arrivals over time: what the profile says, changed by `--vus`, `--duration`, `--iterations`, `--stage` and `--rate`.

use super::profile::Written;
use super::{Given, Origin, Overrides, PlanError, arrivals, limits};
use crate::load::{Shape, Stage};
use crate::units::Nanos;
use std::collections::BTreeMap;

/// Which values were changed, and by whom.
pub(super) type Changed = BTreeMap<String, Origin>;

/// k6's executors that are spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Executor {
    ConstantVus,
    RampingVus,
    PerVuIterations,
    SharedIterations,
    ConstantArrivalRate,
    RampingArrivalRate,
}

impl Executor {
    const ALL: [Self; 6] = [
        Self::ConstantVus,
        Self::RampingVus,
        Self::PerVuIterations,
        Self::SharedIterations,
        Self::ConstantArrivalRate,
        Self::RampingArrivalRate,
    ];

    /// Its name in profiles.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ConstantVus => "constant-vus",
            Self::RampingVus => "ramping-vus",
            Self::PerVuIterations => "per-vu-iterations",
            Self::SharedIterations => "shared-iterations",
            Self::ConstantArrivalRate => "constant-arrival-rate",
            Self::RampingArrivalRate => "ramping-arrival-rate",
        }
    }

    /// The keys that mean something to it.
    const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::ConstantVus => &["vus", "duration"],
            Self::RampingVus => &["start_vus", "stages", "graceful_ramp_down"],
            Self::PerVuIterations | Self::SharedIterations => &["vus", "iterations", "max_duration"],
            Self::ConstantArrivalRate => {
                &["rate", "time_unit", "duration", "pre_allocated_vus", "max_vus", "arrival", "burstiness", "on_full"]
            }
            Self::RampingArrivalRate => &[
                "start_rate",
                "time_unit",
                "stages",
                "pre_allocated_vus",
                "max_vus",
                "arrival",
                "burstiness",
                "on_full",
            ],
        }
    }

    /// The executor of a shape.
    pub(super) const fn of(shape: &Shape) -> Self {
        match shape {
            Shape::ConstantVus { .. } => Self::ConstantVus,
            Shape::RampingVus { .. } => Self::RampingVus,
            Shape::PerVuIterations { .. } => Self::PerVuIterations,
            Shape::SharedIterations { .. } => Self::SharedIterations,
            Shape::ConstantArrivalRate(_) => Self::ConstantArrivalRate,
            Shape::RampingArrivalRate(_) => Self::RampingArrivalRate,
        }
    }
}

/// The shape of the test; what flags changed is noted in `changed`.
pub(super) fn shape(written: &Written, overrides: &Overrides, changed: &mut Changed) -> Result<Shape, PlanError> {
    let executor = executor(written)?;
    let mut shape = as_written(written, executor)?;
    refuse_misplaced(executor, overrides)?;
    if let Some(first) = overrides.stages.first() {
        shape = with_stages(&shape, &overrides.stages)?;
        for key in ["stages", "start_vus", "start_rate"] {
            changed.insert(key.to_owned(), first.origin.clone());
        }
    }
    if let Some(given) = &overrides.vus {
        let vus = given.whole(&(1..=u64::from(limits::MAX_VUS)))? as u32;
        set_vus(&mut shape, vus);
        let keys: &[_] = match executor {
            Executor::RampingVus => &["stages", "start_vus"],
            Executor::ConstantArrivalRate | Executor::RampingArrivalRate => &["pre_allocated_vus", "max_vus"],
            _ => &["vus"],
        };
        changed.extend(keys.iter().map(|key| ((*key).to_owned(), given.origin.clone())));
    }
    if let Some(given) = &overrides.duration {
        set_duration(&mut shape, given.some_time()?);
        let staged = matches!(executor, Executor::RampingVus | Executor::RampingArrivalRate);
        let key = if staged { "stages" } else { "duration" };
        changed.insert(key.to_owned(), given.origin.clone());
    }
    if let Some(given) = &overrides.iterations {
        let count = given.whole(&(1..=limits::MAX_ITERATIONS))?;
        if let Shape::PerVuIterations { iterations, .. } | Shape::SharedIterations { iterations, .. } = &mut shape {
            *iterations = count;
        }
        changed.insert("iterations".to_owned(), given.origin.clone());
    }
    if let Some(given) = &overrides.rate {
        shape = arrivals::with_rate(shape, given)?;
        for key in ["executor", "rate", "start_rate", "stages", "time_unit"] {
            changed.insert(key.to_owned(), given.origin.clone());
        }
    }
    refuse_idle_users(written, overrides, &shape)?;
    Ok(shape)
}

/// How long the test takes as the file alone describes it.
pub(super) fn length_as_written(written: &Written) -> Result<Nanos, PlanError> {
    as_written(written, executor(written)?).map(|shape| shape.end())
}

/// The executor that the profile names, if all of its keys are that executor's.
fn executor(written: &Written) -> Result<Executor, PlanError> {
    let profile = &written.profile;
    let executor = Executor::ALL.into_iter().find(|known| known.name() == profile.executor).ok_or_else(|| {
        let known = Executor::ALL.map(Executor::name).join(", ");
        written.error("executor", format!("no executor is named `{}`: expected one of {known}", profile.executor))
    })?;
    let present = [
        ("vus", profile.vus.is_some()),
        ("duration", profile.duration.is_some()),
        ("iterations", profile.iterations.is_some()),
        ("max_duration", profile.max_duration.is_some()),
        ("start_vus", profile.start_vus.is_some()),
        ("stages", profile.stages.is_some()),
        ("graceful_ramp_down", profile.graceful_ramp_down.is_some()),
        ("rate", profile.rate.is_some()),
        ("start_rate", profile.start_rate.is_some()),
        ("time_unit", profile.time_unit.is_some()),
        ("pre_allocated_vus", profile.pre_allocated_vus.is_some()),
        ("max_vus", profile.max_vus.is_some()),
        ("arrival", profile.arrival.is_some()),
        ("burstiness", profile.burstiness.is_some()),
        ("on_full", profile.on_full.is_some()),
    ];
    match present.into_iter().find(|(key, present)| *present && !executor.keys().contains(key)) {
        None => Ok(executor),
        Some((key, _)) => {
            let known = executor.keys().join(", ");
            let problem = format!("means nothing to the executor {}: expected only {known}", executor.name());
            Err(written.error(key, problem))
        }
    }
}

/// The shape that the file alone describes.
fn as_written(written: &Written, executor: Executor) -> Result<Shape, PlanError> {
    let profile = &written.profile;
    let users = |lowest| whole(written, "vus", profile.vus, lowest..=u64::from(limits::MAX_VUS));
    let vus = || users(1).map(|vus| vus.map_or(limits::DEFAULT_VUS, |n| n as u32));
    let iterations = || {
        let iterations = whole(written, "iterations", profile.iterations, 1..=limits::MAX_ITERATIONS)?;
        Ok(iterations.unwrap_or(limits::DEFAULT_ITERATIONS))
    };
    let max_duration = || {
        let max_duration = some_time(written, "max_duration", profile.max_duration.as_deref())?;
        Ok(max_duration.unwrap_or(limits::DEFAULT_MAX_DURATION))
    };
    Ok(match executor {
        Executor::ConstantVus => {
            let duration = some_time(written, "duration", profile.duration.as_deref())?;
            let missing = || written.error("duration", "is missing: expected one such as \"30s\" for constant-vus");
            Shape::ConstantVus { vus: vus()?, duration: duration.ok_or_else(missing)? }
        }
        Executor::RampingVus => ramping(written)?,
        Executor::PerVuIterations => {
            Shape::PerVuIterations { vus: vus()?, iterations: iterations()?, max_duration: max_duration()? }
        }
        Executor::SharedIterations => {
            Shape::SharedIterations { vus: vus()?, iterations: iterations()?, max_duration: max_duration()? }
        }
        Executor::ConstantArrivalRate => Shape::ConstantArrivalRate(arrivals::as_written(written, executor)?),
        Executor::RampingArrivalRate => {
            let shape = Shape::RampingArrivalRate(arrivals::as_written(written, executor)?);
            check_ramps(&shape).map_err(|problem| written.error("stages", problem))?;
            shape
        }
    })
}

/// The stages of the file, whose targets are users or rates.
pub(super) fn stages(written: &Written, targets: &std::ops::RangeInclusive<u64>) -> Result<Vec<Stage>, PlanError> {
    let mut stages = Vec::new();
    for (index, stage) in written.profile.stages.iter().flatten().enumerate() {
        let key = format!("stages[{index}]");
        let duration = time(written, &format!("{key}.duration"), &stage.duration)?;
        let target = whole(written, &format!("{key}.target"), Some(stage.target), targets.clone())?;
        stages.push(Stage { duration, target: target.unwrap_or_default() as u32 });
    }
    Ok(stages)
}

/// Ramps as the file describes them.
fn ramping(written: &Written) -> Result<Shape, PlanError> {
    let profile = &written.profile;
    let users = 0..=u64::from(limits::MAX_VUS);
    let start_vus = whole(written, "start_vus", profile.start_vus, users.clone())?;
    let stages = stages(written, &users)?;
    let grace = profile.graceful_ramp_down.as_deref();
    let grace = grace.map(|text| time(written, "graceful_ramp_down", text)).transpose()?;
    let shape = Shape::RampingVus {
        start_vus: start_vus.map_or(limits::DEFAULT_VUS, |n| n as u32),
        stages,
        graceful_ramp_down: grace.unwrap_or(limits::DEFAULT_GRACE),
    };
    check_ramps(&shape).map_err(|problem| written.error("stages", problem))?;
    Ok(shape)
}

/// Why a shape's stages cannot be run, if they cannot.
fn check_ramps(shape: &Shape) -> Result<(), String> {
    let (stages, what, peak) = match shape {
        Shape::RampingVus { stages, .. } => (stages, "users", shape.peak_vus()),
        Shape::RampingArrivalRate(arrivals) => (&arrivals.stages, "arrivals", arrivals.peak_rate()),
        _ => return Ok(()),
    };
    if stages.is_empty() {
        return Err("are missing: expected at least one such as { duration = \"30s\", target = 10 }".to_owned());
    }
    if stages.len() > limits::MAX_STAGES {
        return Err(format!("are too many: expected at most {}", limits::MAX_STAGES));
    }
    let total = shape.end();
    if total == Nanos::ZERO {
        return Err("take no time at all: expected durations that add up to more than zero".to_owned());
    }
    if total > limits::LONGEST {
        return Err(format!("take {total}: expected at most {}", limits::LONGEST));
    }
    if peak == 0 {
        return Err(format!("have no {what}: expected at least one target above zero"));
    }
    Ok(())
}

/// Refuses flags that mean nothing to the executor or to each other.
fn refuse_misplaced(executor: Executor, overrides: &Overrides) -> Result<(), PlanError> {
    let name = executor.name();
    let by_iterations = matches!(executor, Executor::PerVuIterations | Executor::SharedIterations);
    if let (true, Some(given)) = (by_iterations, &overrides.duration) {
        let problem = format!("the profile's executor {name} counts requests instead of time: expected --iterations");
        return Err(given.misplaced(problem));
    }
    if let (false, Some(given)) = (by_iterations, &overrides.iterations) {
        let problem = format!("the profile's executor {name} runs by time: expected --duration");
        return Err(given.misplaced(problem));
    }
    let Some(stage) = overrides.stages.first() else { return Ok(()) };
    if !matches!(executor, Executor::RampingVus | Executor::RampingArrivalRate) {
        let problem = format!(
            "the profile's executor {name} has no stages: expected a profile with ramping-vus or ramping-arrival-rate"
        );
        return Err(stage.misplaced(problem));
    }
    // The users of an open load are not in its stages.
    let vus = overrides.vus.as_ref().filter(|_| executor == Executor::RampingVus);
    if let Some(given) = overrides.duration.as_ref().or(overrides.rate.as_ref()).or(vus) {
        let problem = format!("cannot stand together with {}: stages already say how long and how many", stage.origin);
        return Err(given.misplaced(problem));
    }
    Ok(())
}

/// k6's `--stage`: other ramps, from one user on.
fn with_stages(shape: &Shape, given: &[Given]) -> Result<Shape, PlanError> {
    let stages = given.iter().map(stage).collect::<Result<Vec<_>, _>>()?;
    let shape = match shape {
        Shape::RampingVus { graceful_ramp_down, .. } => {
            Shape::RampingVus { start_vus: limits::DEFAULT_VUS, stages, graceful_ramp_down: *graceful_ramp_down }
        }
        Shape::RampingArrivalRate(was) => {
            Shape::RampingArrivalRate(crate::load::Arrivals { start_rate: 0, stages, ..was.clone() })
        }
        other => other.clone(),
    };
    match (check_ramps(&shape), given.first()) {
        (Err(problem), Some(first)) => Err(first.misplaced(format!("the stages {problem}"))),
        _ => Ok(shape),
    }
}

/// `30s:10`, of users or of arrivals.
fn stage(given: &Given) -> Result<Stage, PlanError> {
    let bad = || given.bad("is not a stage: expected DURATION:USERS, such as 30s:10");
    let (duration, target) = given.value.split_once(':').ok_or_else(bad)?;
    let part = |text: &str| Given { value: text.to_owned(), origin: given.origin.clone() };
    let duration = part(duration).time()?;
    Ok(Stage { duration, target: part(target).whole(&(0..=u64::from(limits::MAX_VUS)))? as u32 })
}

/// Sets the number of users; ramps keep their form, and their peak becomes that number.
fn set_vus(shape: &mut Shape, users: u32) {
    let peak = shape.peak_vus();
    match shape {
        Shape::ConstantVus { vus, .. } | Shape::PerVuIterations { vus, .. } | Shape::SharedIterations { vus, .. } => {
            *vus = users;
        }
        Shape::RampingVus { start_vus, stages, .. } => {
            *start_vus = scale(*start_vus, users, peak);
            for stage in stages {
                stage.target = scale(stage.target, users, peak);
            }
        }
        Shape::ConstantArrivalRate(arrivals) | Shape::RampingArrivalRate(arrivals) => {
            arrivals.max_vus = users;
            arrivals.pre_allocated_vus = arrivals.pre_allocated_vus.min(users);
        }
    }
}

/// `vus × users / peak`, rounded; what had users keeps at least one.
pub(super) fn scale(vus: u32, users: u32, peak: u32) -> u32 {
    if vus == 0 {
        return 0;
    }
    let (vus, users, peak) = (u64::from(vus), u64::from(users), u64::from(peak));
    ((2 * vus * users + peak) / (2 * peak)).max(1) as u32
}

/// Sets the length of a test that runs by time; stages keep their proportions, and add up to it exactly.
fn set_duration(shape: &mut Shape, length: Nanos) {
    let old = u128::from(shape.end().0);
    match shape {
        Shape::ConstantVus { duration, .. } => *duration = length,
        Shape::RampingVus { stages, .. }
        | Shape::ConstantArrivalRate(crate::load::Arrivals { stages, .. })
        | Shape::RampingArrivalRate(crate::load::Arrivals { stages, .. }) => {
            // The ends of the stages are scaled, not their lengths: so no rounding error is left over.
            let scaled = |at: u128| (at * u128::from(length.0) / old) as u64;
            let mut at = 0;
            for stage in stages {
                let start = scaled(at);
                at += u128::from(stage.duration.0);
                stage.duration = Nanos(scaled(at) - start);
            }
        }
        Shape::PerVuIterations { .. } | Shape::SharedIterations { .. } => {}
    }
}

/// Iterations that are shared by more users than there are iterations leave users without a request: k6 refuses that, too.
fn refuse_idle_users(written: &Written, overrides: &Overrides, shape: &Shape) -> Result<(), PlanError> {
    let Shape::SharedIterations { vus, iterations, .. } = shape else { return Ok(()) };
    if u64::from(*vus) <= *iterations {
        return Ok(());
    }
    let problem = format!("{vus} users cannot share {iterations} iterations: expected no more users than iterations");
    Err(match overrides.vus.as_ref().or(overrides.iterations.as_ref()) {
        Some(given) => given.misplaced(problem),
        None => written.error("vus", problem),
    })
}

/// A whole number of the file, within limits.
pub(super) fn whole(
    written: &Written,
    key: &str,
    number: Option<i64>,
    limits: std::ops::RangeInclusive<u64>,
) -> Result<Option<u64>, PlanError> {
    let Some(number) = number else { return Ok(None) };
    match u64::try_from(number) {
        Ok(fine) if limits.contains(&fine) => Ok(Some(fine)),
        _ => {
            let (low, high) = limits.into_inner();
            Err(written.error(key, format!("{number} is not possible: expected a whole number from {low} to {high}")))
        }
    }
}

/// A length of time of the file, zero included.
pub(super) fn time(written: &Written, key: &str, text: &str) -> Result<Nanos, PlanError> {
    let time: Nanos = text.parse().map_err(|error: crate::units::BadDuration| written.error(key, error.to_string()))?;
    if time > limits::LONGEST {
        return Err(written.error(key, format!("`{text}` is too long: expected at most {}", limits::LONGEST)));
    }
    Ok(time)
}

/// A length of time of the file, above zero.
pub(super) fn some_time(written: &Written, key: &str, text: Option<&str>) -> Result<Option<Nanos>, PlanError> {
    let Some(text) = text else { return Ok(None) };
    match time(written, key, text)? {
        Nanos::ZERO => Err(written.error(key, format!("`{text}` is no time at all: expected more than zero"))),
        time => Ok(Some(time)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn scaled_users_peak_at_the_number_asked_for(
            start in 0u32..1000,
            targets in proptest::collection::vec(0u32..1000, 1..8),
            users in 1u32..=limits::MAX_VUS,
        ) {
            let stages = targets.iter().map(|target| Stage { duration: Nanos::from_secs(1), target: *target }).collect();
            let mut shape = Shape::RampingVus { start_vus: start, stages, graceful_ramp_down: Nanos::ZERO };
            prop_assume!(shape.peak_vus() > 0);
            set_vus(&mut shape, users);
            prop_assert_eq!(shape.peak_vus(), users);
            let Shape::RampingVus { start_vus, stages, .. } = shape else { unreachable!() };
            prop_assert_eq!(start_vus == 0, start == 0);
            for (stage, target) in stages.iter().zip(targets) {
                prop_assert_eq!(stage.target == 0, target == 0);
            }
        }

        #[test]
        fn scaled_stages_add_up_to_the_length_asked_for(
            lengths in proptest::collection::vec(0u64..=limits::LONGEST.0 / 8, 1..8),
            length in 1u64..=limits::LONGEST.0,
        ) {
            let stages = lengths.iter().map(|n| Stage { duration: Nanos(*n), target: 1 }).collect();
            let mut shape = Shape::RampingVus { start_vus: 1, stages, graceful_ramp_down: Nanos::ZERO };
            let old = shape.end().0;
            prop_assume!(old > 0);
            set_duration(&mut shape, Nanos(length));
            prop_assert_eq!(shape.end(), Nanos(length));
            let Shape::RampingVus { stages, .. } = shape else { unreachable!() };
            for (stage, was) in stages.iter().zip(lengths) {
                let fair = was as f64 * length as f64 / old as f64;
                prop_assert!((stage.duration.0 as f64 - fair).abs() <= 1.0 + fair * 1e-9);
            }
        }
    }
}
