//! How users or arrivals are scheduled: k6's executors.

use super::PlanError;
use super::profile::ProfileFile;
use crate::load::Shape;

/// The executors. All but one are k6's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Executor {
    ConstantVus,
    RampingVus,
    PerVuIterations,
    SharedIterations,
    ConstantArrivalRate,
    RampingArrivalRate,
    /// An executor that k6 does not have.
    Trace,
}

impl Executor {
    const ALL: [Self; 7] = [
        Self::ConstantVus,
        Self::RampingVus,
        Self::PerVuIterations,
        Self::SharedIterations,
        Self::ConstantArrivalRate,
        Self::RampingArrivalRate,
        Self::Trace,
    ];

    /// Returns its name in profiles.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ConstantVus => "constant-vus",
            Self::RampingVus => "ramping-vus",
            Self::PerVuIterations => "per-vu-iterations",
            Self::SharedIterations => "shared-iterations",
            Self::ConstantArrivalRate => "constant-arrival-rate",
            Self::RampingArrivalRate => "ramping-arrival-rate",
            Self::Trace => "trace",
        }
    }

    /// Returns the keys that it uses.
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
            Self::Trace => &["trace", "pre_allocated_vus", "max_vus", "on_full"],
        }
    }

    /// Returns the executor of a shape.
    pub(super) const fn of(shape: &Shape) -> Self {
        match shape {
            Shape::ConstantVus { .. } => Self::ConstantVus,
            Shape::RampingVus { .. } => Self::RampingVus,
            Shape::PerVuIterations { .. } => Self::PerVuIterations,
            Shape::SharedIterations { .. } => Self::SharedIterations,
            Shape::ConstantArrivalRate(_) => Self::ConstantArrivalRate,
            Shape::RampingArrivalRate(_) => Self::RampingArrivalRate,
            Shape::Trace(_) => Self::Trace,
        }
    }
}

/// Returns the executor that the profile names. Fails if the profile has keys of another executor.
pub(super) fn executor(written: &ProfileFile) -> Result<Executor, PlanError> {
    let profile = &written.profile;
    let executor = Executor::ALL.into_iter().find(|known| known.name() == profile.executor).ok_or_else(|| {
        let known = Executor::ALL.map(Executor::name).join(", ");
        written.error("executor", format!("no executor is named '{}': expected one of {known}", profile.executor))
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
        ("trace", profile.trace.is_some()),
    ];
    match present.into_iter().find(|(key, present)| *present && !executor.keys().contains(key)) {
        None => Ok(executor),
        Some((key, _)) => {
            let known = executor.keys().join(", ");
            let problem = format!("cannot be used with the executor {}: expected only {known}", executor.name());
            Err(written.error(key, problem))
        }
    }
}
