//! Changes the size of a shape: its number of users, or its length.

use crate::load::{Arrivals, Shape};
use crate::units::Nanos;

/// Sets the number of users. Ramps keep their form, and their peak becomes that number.
pub(super) fn set_vus(shape: &mut Shape, users: u32) {
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
        Shape::Trace(trace) => {
            trace.max_vus = users;
            trace.pre_allocated_vus = trace.pre_allocated_vus.min(users);
        }
    }
}

/// Returns `vus × users / peak`, rounded. It is at least one, unless `vus` is zero.
pub(super) fn scale(vus: u32, users: u32, peak: u32) -> u32 {
    if vus == 0 {
        return 0;
    }
    let (vus, users, peak) = (u64::from(vus), u64::from(users), u64::from(peak));
    ((2 * vus * users + peak) / (2 * peak)).max(1) as u32
}

/// Sets the length of a test that runs by time. Stages keep their proportions, and add up to it
/// exactly.
pub(super) fn set_duration(shape: &mut Shape, length: Nanos) {
    let old = u128::from(shape.end().0);
    match shape {
        Shape::ConstantVus { duration, .. } => *duration = length,
        Shape::RampingVus { stages, .. }
        | Shape::ConstantArrivalRate(Arrivals { stages, .. })
        | Shape::RampingArrivalRate(Arrivals { stages, .. }) => {
            // The ends of the stages are scaled, not their lengths, so that rounding errors do not
            // add up.
            let scaled = |at: u128| (at * u128::from(length.0) / old) as u64;
            let mut at = 0;
            for stage in stages {
                let start = scaled(at);
                at += u128::from(stage.duration.0);
                stage.duration = Nanos(scaled(at) - start);
            }
        }
        Shape::PerVuIterations { .. } | Shape::SharedIterations { .. } | Shape::Trace(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Stage;
    use crate::plan::limits;
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
