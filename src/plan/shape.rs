//! Users or arrivals over time: as the profile describes them, changed by `--vus`, `--duration`,
//! `--iterations`, `--stage` and `--rate`.

use super::executor::{Executor, executor};
use super::profile::ProfileFile;
use super::scale::{set_duration, set_vus};
use super::source::Changed;
use super::stages::{check_ramps, stages, with_stages};
use super::trace::TraceFile;
use super::{Overrides, PlanError, arrivals, limits};
use crate::load::Shape;
use crate::units::{Nanos, plural};

/// Resolves the shape of the test. Changes by flags are noted in `changed`. `trace` is the file of
/// the executor that has one.
pub(super) fn shape(
    written: &ProfileFile,
    trace: Option<&TraceFile<'_>>,
    overrides: &Overrides,
    changed: &mut Changed,
) -> Result<Shape, PlanError> {
    let executor = executor(written)?;
    let mut shape = as_written(written, executor, trace)?;
    refuse_misplaced(executor, overrides)?;
    if let Some(first) = overrides.one("stage") {
        shape = with_stages(&shape, overrides.many("stage"))?;
        for key in ["stages", "start_vus", "start_rate"] {
            changed.insert(key.to_owned(), first.origin.clone());
        }
    }
    if let Some(given) = overrides.one("vus") {
        let vus = given.whole(&(1..=u64::from(limits::MAX_VUS)))? as u32;
        set_vus(&mut shape, vus);
        let keys: &[_] = match executor {
            Executor::RampingVus => &["stages", "start_vus"],
            Executor::ConstantArrivalRate | Executor::RampingArrivalRate | Executor::Trace => {
                &["pre_allocated_vus", "max_vus"]
            }
            _ => &["vus"],
        };
        changed.extend(keys.iter().map(|key| ((*key).to_owned(), given.origin.clone())));
    }
    if let Some(given) = overrides.one("duration") {
        set_duration(&mut shape, given.some_time()?);
        let staged = matches!(executor, Executor::RampingVus | Executor::RampingArrivalRate);
        let key = if staged { "stages" } else { "duration" };
        changed.insert(key.to_owned(), given.origin.clone());
    }
    if let Some(given) = overrides.one("iterations") {
        let count = given.whole(&(1..=limits::MAX_ITERATIONS))?;
        if let Shape::PerVuIterations { iterations, .. } | Shape::SharedIterations { iterations, .. } = &mut shape {
            *iterations = count;
        }
        changed.insert("iterations".to_owned(), given.origin.clone());
    }
    if let Some(given) = overrides.one("rate") {
        shape = arrivals::with_rate(shape, given)?;
        for key in ["executor", "rate", "start_rate", "stages", "time_unit"] {
            changed.insert(key.to_owned(), given.origin.clone());
        }
    }
    refuse_idle_users(written, overrides, &shape)?;
    Ok(shape)
}

/// Returns the length of the test that the file alone describes.
pub(super) fn length_as_written(written: &ProfileFile) -> Result<Nanos, PlanError> {
    as_written(written, executor(written)?, None).map(|shape| shape.end())
}

/// Returns the shape that the file alone describes.
fn as_written(written: &ProfileFile, executor: Executor, trace: Option<&TraceFile<'_>>) -> Result<Shape, PlanError> {
    let profile = &written.profile;
    let users = |lowest| written.whole("vus", profile.vus, lowest..=u64::from(limits::MAX_VUS));
    let vus = || users(1).map(|vus| vus.map_or(limits::DEFAULT_VUS, |n| n as u32));
    let iterations = || {
        let iterations = written.whole("iterations", profile.iterations, 1..=limits::MAX_ITERATIONS)?;
        Ok(iterations.unwrap_or(limits::DEFAULT_ITERATIONS))
    };
    let max_duration = || {
        let max_duration = written.some_time("max_duration", profile.max_duration.as_deref())?;
        Ok(max_duration.unwrap_or(limits::DEFAULT_MAX_DURATION))
    };
    Ok(match executor {
        Executor::ConstantVus => {
            let duration = written.some_time("duration", profile.duration.as_deref())?;
            let missing = || written.error("duration", "is missing: constant-vus needs a duration such as \"30s\"");
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
        Executor::Trace => {
            let trace =
                trace.ok_or_else(|| written.error("trace", "is as long as its file: expected no other length"))?;
            Shape::Trace(trace.shape(arrivals::users(written)?, arrivals::on_full(written)?)?)
        }
    })
}

/// Returns the ramps that the file describes.
fn ramping(written: &ProfileFile) -> Result<Shape, PlanError> {
    let profile = &written.profile;
    let users = 0..=u64::from(limits::MAX_VUS);
    let start_vus = written.whole("start_vus", profile.start_vus, users.clone())?;
    let stages = stages(written, &users)?;
    let grace = profile.graceful_ramp_down.as_deref();
    let grace = grace.map(|text| written.time("graceful_ramp_down", text)).transpose()?;
    let shape = Shape::RampingVus {
        start_vus: start_vus.map_or(limits::DEFAULT_VUS, |n| n as u32),
        stages,
        graceful_ramp_down: grace.unwrap_or(limits::DEFAULT_GRACE),
    };
    check_ramps(&shape).map_err(|problem| written.error("stages", problem))?;
    Ok(shape)
}

/// Refuses flags that have no meaning for the executor, or beside each other.
fn refuse_misplaced(executor: Executor, overrides: &Overrides) -> Result<(), PlanError> {
    let name = executor.name();
    let by_iterations = matches!(executor, Executor::PerVuIterations | Executor::SharedIterations);
    if let (true, Some(given)) = (by_iterations, overrides.one("duration")) {
        let problem = format!("cannot be used with the executor {name}, which counts requests: use --iterations");
        return Err(given.misplaced(problem));
    }
    if let (Executor::Trace, Some(given)) = (executor, overrides.one("duration")) {
        let problem = "cannot be used with a trace, which is as long as its rows: set trace.for or trace.speed";
        return Err(given.misplaced(problem));
    }
    if let (false, Some(given)) = (by_iterations, overrides.one("iterations")) {
        let problem = format!("cannot be used with the executor {name}, which runs by time: use --duration");
        return Err(given.misplaced(problem));
    }
    let Some(stage) = overrides.one("stage") else { return Ok(()) };
    if !matches!(executor, Executor::RampingVus | Executor::RampingArrivalRate) {
        let problem = format!(
            "cannot be used with the executor {name}, which has no stages: expected a profile with ramping-vus or ramping-arrival-rate"
        );
        return Err(stage.misplaced(problem));
    }
    // The stages of an open loop do not set its users.
    let vus = overrides.one("vus").filter(|_| executor == Executor::RampingVus);
    if let Some(given) = overrides.one("duration").or(overrides.one("rate")).or(vus) {
        let problem =
            format!("cannot be used together with {}: stages already set the duration and the load", stage.origin);
        return Err(given.misplaced(problem));
    }
    Ok(())
}

/// Refuses shared iterations with more users than iterations, which leave users without a request.
/// k6 refuses them, too.
fn refuse_idle_users(written: &ProfileFile, overrides: &Overrides, shape: &Shape) -> Result<(), PlanError> {
    let Shape::SharedIterations { vus, iterations, .. } = shape else { return Ok(()) };
    if u64::from(*vus) <= *iterations {
        return Ok(());
    }
    let problem = format!(
        "leaves {vus} users to share {}: expected no more users than iterations",
        plural(*iterations, "iteration")
    );
    Err(match overrides.one("vus").or(overrides.one("iterations")) {
        Some(given) => given.misplaced(problem),
        None => written.error("vus", problem),
    })
}
