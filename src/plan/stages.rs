//! Stages: as written in a profile, and as given with `--stage`.

use super::profile::ProfileFile;
use super::{Given, PlanError, limits};
use crate::load::{Arrivals, Shape, Stage};
use crate::units::Nanos;
use std::ops::RangeInclusive;

/// Returns the stages of the file. Their targets are users or rates.
pub(super) fn stages(written: &ProfileFile, targets: &RangeInclusive<u64>) -> Result<Vec<Stage>, PlanError> {
    let mut stages = Vec::new();
    for (index, stage) in written.profile.stages.iter().flatten().enumerate() {
        let key = format!("stages[{index}]");
        let duration = written.time(&format!("{key}.duration"), &stage.duration)?;
        let target = written.whole(&format!("{key}.target"), Some(stage.target), targets.clone())?;
        stages.push(Stage { duration, target: target.unwrap_or_default() as u32 });
    }
    Ok(stages)
}

/// Checks that a shape's stages can be run.
pub(super) fn check_ramps(shape: &Shape) -> Result<(), String> {
    let (stages, what, peak) = match shape {
        Shape::RampingVus { stages, .. } => (stages, "users", shape.peak_vus()),
        Shape::RampingArrivalRate(arrivals) => (&arrivals.stages, "arrivals", arrivals.peak_rate()),
        _ => return Ok(()),
    };
    if stages.is_empty() {
        return Err("are missing: expected at least one, such as { duration = \"30s\", target = 10 }".to_owned());
    }
    if stages.len() > limits::MAX_STAGES {
        return Err(format!("are too many: expected at most {}", limits::MAX_STAGES));
    }
    let total = shape.end();
    if total == Nanos::ZERO {
        return Err("have a total duration of zero: expected a total above zero".to_owned());
    }
    if total > limits::LONGEST {
        return Err(format!("have a total duration of {total}: expected at most {}", limits::LONGEST));
    }
    if peak == 0 {
        return Err(format!("never start any {what}: expected at least one target above zero"));
    }
    Ok(())
}

/// Applies k6's `--stage`: other ramps. Ramps of users start from one user, ramps of a rate from
/// zero.
pub(super) fn with_stages(shape: &Shape, given: &[Given]) -> Result<Shape, PlanError> {
    let stages = given.iter().map(stage).collect::<Result<Vec<_>, _>>()?;
    let shape = match shape {
        Shape::RampingVus { graceful_ramp_down, .. } => {
            Shape::RampingVus { start_vus: limits::DEFAULT_VUS, stages, graceful_ramp_down: *graceful_ramp_down }
        }
        Shape::RampingArrivalRate(was) => Shape::RampingArrivalRate(Arrivals { start_rate: 0, stages, ..was.clone() }),
        other => other.clone(),
    };
    match (check_ramps(&shape), given.first()) {
        (Err(problem), Some(first)) => Err(first.misplaced(format!("describes stages that {problem}"))),
        _ => Ok(shape),
    }
}

/// Parses `30s:10`. The target is a number of users or of arrivals.
fn stage(given: &Given) -> Result<Stage, PlanError> {
    let bad = || given.bad("DURATION:TARGET, such as 30s:10");
    let (duration, target) = given.value.split_once(':').ok_or_else(bad)?;
    let targets = 0..=u64::from(limits::MAX_VUS);
    Ok(Stage {
        duration: given.part(duration, Given::time)?,
        target: given.part(target, |target| target.whole(&targets))? as u32,
    })
}
