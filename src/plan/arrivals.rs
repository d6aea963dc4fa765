//! Open loop: the arrivals that a profile describes, and `--rate`.

use super::executor::Executor;
use super::profile::ProfileFile;
use super::scale::scale;
use super::stages::stages;
use super::{Given, PlanError, limits};
use crate::load::{Arrivals, OnFull, Shape, Spacing, Stage};
use crate::units::Nanos;

/// Returns the arrivals that the file alone describes.
pub(super) fn as_written(written: &ProfileFile, executor: Executor) -> Result<Arrivals, PlanError> {
    let profile = &written.profile;
    let rates = 0..=u64::from(limits::MAX_RATE);
    let time_unit = written.some_time("time_unit", profile.time_unit.as_deref())?.unwrap_or(limits::DEFAULT_TIME_UNIT);
    if time_unit < limits::SHORTEST_TIME_UNIT {
        let least = limits::SHORTEST_TIME_UNIT;
        return Err(written.error("time_unit", format!("invalid value '{time_unit}': expected at least {least}")));
    }
    let (start_rate, stages) = if executor == Executor::ConstantArrivalRate {
        let missing =
            |key: &str, such_as| written.error(key, format!("is missing: expected a value such as {such_as}"));
        let rate = written.whole("rate", profile.rate, 1..=*rates.end())?.ok_or_else(|| missing("rate", "200"))? as u32;
        let duration = written.some_time("duration", profile.duration.as_deref())?;
        let duration = duration.ok_or_else(|| missing("duration", "\"30s\""))?;
        (rate, vec![Stage { duration, target: rate }])
    } else {
        let start_rate = written.whole("start_rate", profile.start_rate, rates.clone())?.unwrap_or_default() as u32;
        (start_rate, stages(written, &rates)?)
    };
    let (pre_allocated_vus, max_vus) = users(written)?;
    Ok(Arrivals {
        start_rate,
        time_unit,
        stages,
        pre_allocated_vus,
        max_vus,
        spacing: spacing(written)?,
        on_full: on_full(written)?,
    })
}

/// Returns the users from the start, and the most users. If only one of them is set, the other is
/// the same.
pub(super) fn users(written: &ProfileFile) -> Result<(u32, u32), PlanError> {
    let users = 1..=u64::from(limits::MAX_VUS);
    let pre_allocated = written.whole("pre_allocated_vus", written.profile.pre_allocated_vus, users.clone())?;
    let most = written.whole("max_vus", written.profile.max_vus, users)?;
    match (pre_allocated, most) {
        (Some(pre_allocated), Some(most)) if pre_allocated > most => {
            let problem =
                format!("invalid value '{most}': expected at least pre_allocated_vus, which is {pre_allocated}");
            Err(written.error("max_vus", problem))
        }
        (None, None) => {
            let problem = "is missing: expected the maximum number of concurrent requests, such as 100";
            Err(written.error("max_vus", problem))
        }
        (pre_allocated, most) => {
            let both = |one: Option<u64>, other: Option<u64>| one.or(other).unwrap_or_default() as u32;
            Ok((both(pre_allocated, most), both(most, pre_allocated)))
        }
    }
}

fn spacing(written: &ProfileFile) -> Result<Spacing, PlanError> {
    let burstiness = written.profile.burstiness;
    let named = written.profile.arrival.as_deref().unwrap_or(if burstiness.is_some() { "gamma" } else { "constant" });
    if named != "gamma" && burstiness.is_some() {
        let problem = format!("cannot be used with arrival = \"{named}\": it applies to \"gamma\" only");
        return Err(written.error("burstiness", problem));
    }
    match (named, burstiness) {
        ("constant", _) => Ok(Spacing::Constant),
        ("poisson", _) => Ok(Spacing::Poisson),
        ("gamma", None) => {
            Err(written.error("burstiness", "is missing: expected the gamma distribution's shape, such as 0.5"))
        }
        ("gamma", Some(shape)) if (limits::LEAST_BURSTINESS..=limits::MOST_BURSTINESS).contains(&shape) => {
            Ok(Spacing::Gamma { burstiness_thousandths: (shape * 1_000.0).round() as u32 })
        }
        ("gamma", Some(shape)) => {
            let (least, most) = (limits::LEAST_BURSTINESS, limits::MOST_BURSTINESS);
            Err(written
                .error("burstiness", format!("invalid value '{shape}': expected a number from {least} to {most}")))
        }
        _ => Err(written.error("arrival", format!("invalid value '{named}': expected constant, poisson or gamma"))),
    }
}

pub(super) fn on_full(written: &ProfileFile) -> Result<OnFull, PlanError> {
    match written.profile.on_full.as_deref() {
        None | Some("queue") => Ok(OnFull::Queue),
        Some("drop") => Ok(OnFull::Drop),
        Some(other) => Err(written.error("on_full", format!("invalid value '{other}': expected queue or drop"))),
    }
}

/// Applies `--rate`: it becomes the rate of an open loop, or its peak. A closed loop becomes an
/// open one, with its peak as the most users.
pub(super) fn with_rate(shape: Shape, given: &Given) -> Result<Shape, PlanError> {
    let (rate, time_unit) = rate(given)?;
    let constant = |duration, max_vus, like: Option<Arrivals>| Arrivals {
        start_rate: rate,
        time_unit,
        stages: vec![Stage { duration, target: rate }],
        pre_allocated_vus: like.as_ref().map_or(max_vus, |like| like.pre_allocated_vus),
        max_vus,
        spacing: like.as_ref().map_or(Spacing::Constant, |like| like.spacing),
        on_full: like.as_ref().map_or(OnFull::Queue, |like| like.on_full),
    };
    let (end, peak) = (shape.end(), shape.peak_vus());
    match shape {
        Shape::ConstantVus { .. } | Shape::RampingVus { .. } => {
            Ok(Shape::ConstantArrivalRate(constant(end, peak, None)))
        }
        Shape::ConstantArrivalRate(was) => Ok(Shape::ConstantArrivalRate(constant(end, peak, Some(was)))),
        Shape::RampingArrivalRate(mut arrivals) => {
            let peak = arrivals.peak_rate();
            let scaled = |was: u32| scale(was, rate, peak);
            arrivals.start_rate = scaled(arrivals.start_rate);
            arrivals.stages.iter_mut().for_each(|stage| stage.target = scaled(stage.target));
            arrivals.time_unit = time_unit;
            Ok(Shape::RampingArrivalRate(arrivals))
        }
        Shape::Trace(_) => {
            Err(given.misplaced("cannot be used with a trace, whose rows have their own instants: set trace.speed"))
        }
        Shape::PerVuIterations { .. } | Shape::SharedIterations { .. } => {
            Err(given.misplaced("cannot be used with a profile that counts requests: expected one that runs by time"))
        }
    }
}

/// Parses `200`, `200/s`, `30/m` or `5/h`.
fn rate(given: &Given) -> Result<(u32, Nanos), PlanError> {
    let bad = || given.bad(format!("a rate from 1 to {}, such as 200, 30/m or 5/h", limits::MAX_RATE));
    let (number, unit) = given.value.split_once('/').unwrap_or((&given.value, "s"));
    let seconds = match unit.trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(bad()),
    };
    let number = given.part(number, |number| number.whole(&(1..=u64::from(limits::MAX_RATE)))).map_err(|_| bad())?;
    Ok((number as u32, Nanos::from_secs(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(rate: u32) -> Arrivals {
        Arrivals {
            start_rate: 0,
            time_unit: Nanos::from_secs(1),
            stages: vec![
                Stage { duration: Nanos::from_secs(5), target: rate },
                Stage { duration: Nanos::from_secs(5), target: rate / 2 },
            ],
            pre_allocated_vus: 3,
            max_vus: 7,
            spacing: Spacing::Poisson,
            on_full: OnFull::Drop,
        }
    }

    fn with(shape: Shape, text: &str) -> Result<Shape, PlanError> {
        with_rate(shape, &Given::flag("rate", text))
    }

    #[test]
    fn rates_as_people_write_them() {
        let minute = Nanos::from_secs(60);
        for (text, expected) in [
            ("200", (200, Nanos::from_secs(1))),
            (" 7/s", (7, Nanos::from_secs(1))),
            ("30/m", (30, minute)),
            ("5 / h", (5, Nanos::from_secs(3_600))),
        ] {
            assert_eq!(rate(&Given::flag("rate", text)), Ok(expected), "{text}");
        }
        for text in ["", "0", "-1", "1.5", "x", "5/d", "5/", "/s", "10000001", "99999999999"] {
            let error = rate(&Given::flag("rate", text)).expect_err(text);
            assert!(error.to_string().contains("for --rate: expected a rate from 1 to") && error.is_usage(), "{error}");
        }
    }

    #[test]
    fn a_rate_scales_an_open_load_and_keeps_the_rest() {
        let Ok(Shape::RampingArrivalRate(scaled)) = with(Shape::RampingArrivalRate(arrivals(100)), "30/m") else {
            panic!()
        };
        assert_eq!(scaled.stages.iter().map(|stage| stage.target).collect::<Vec<_>>(), [30, 15]);
        assert_eq!((scaled.start_rate, scaled.time_unit), (0, Nanos::from_secs(60)));
        assert_eq!((scaled.spacing, scaled.on_full, scaled.max_vus), (Spacing::Poisson, OnFull::Drop, 7));
        let flat =
            Arrivals { start_rate: 9, stages: vec![Stage { duration: Nanos::from_secs(9), target: 9 }], ..arrivals(9) };
        let Ok(Shape::ConstantArrivalRate(set)) = with(Shape::ConstantArrivalRate(flat), "50") else { panic!() };
        assert_eq!((set.start_rate, set.peak_rate(), set.end()), (50, 50, Nanos::from_secs(9)));
        assert_eq!((set.spacing, set.pre_allocated_vus), (Spacing::Poisson, 3));
    }

    #[test]
    fn a_rate_opens_a_closed_load() {
        let stages = vec![
            Stage { duration: Nanos::from_secs(3), target: 40 },
            Stage { duration: Nanos::from_secs(1), target: 0 },
        ];
        let closed = Shape::RampingVus { start_vus: 1, stages, graceful_ramp_down: Nanos::ZERO };
        let Ok(Shape::ConstantArrivalRate(open)) = with(closed, "25") else { panic!() };
        assert_eq!((open.peak_rate(), open.max_vus, open.end()), (25, 40, Nanos::from_secs(4)));
        let counted = Shape::PerVuIterations { vus: 1, iterations: 3, max_duration: Nanos::from_secs(1) };
        assert!(with(counted, "25").expect_err("no time").to_string().contains("runs by time"));
    }
}
