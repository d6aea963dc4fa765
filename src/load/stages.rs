//! Piecewise-linear ramps: the value at an instant, and when a value is crossed.
//!
//! Users are whole numbers, lines are not. The value rounds towards the start of a stage (down
//! while going up, up while going down), so that each stage reaches its target exactly at its end
//! and not earlier, as k6's `ramping-vus` does. All of it is integer arithmetic: every shard
//! computes the same instants.

use super::Span;
use crate::units::Nanos;

/// A linear ramp to `target` that takes `duration`, from the end of the stage before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// Its length; zero is a jump.
    pub duration: Nanos,
    /// Users at its end.
    pub target: u32,
}

/// A line through all stages, one after the other. Users are numbered from zero, and user `v` is on
/// while `v < value(t)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ramp {
    start: u32,
    segments: Vec<Segment>,
}

/// One stage, with both its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    begin: Nanos,
    end: Nanos,
    from: u32,
    to: u32,
}

impl Segment {
    /// Returns when `steps` whole users (at most those of the stage) have come or gone: the first
    /// instant at which `value` shows it.
    fn after_steps(self, steps: u32) -> Nanos {
        let length = u128::from(self.end.0 - self.begin.0);
        let elapsed = (length * u128::from(steps)).div_ceil(u128::from(self.from.abs_diff(self.to)));
        // At most `length`, which fits into 64 bits.
        Nanos(self.begin.0 + elapsed as u64)
    }

    /// Returns how many whole users have come or gone at `t`, which lies in `begin..end`.
    fn steps(self, t: Nanos) -> u32 {
        let moved = u128::from(self.from.abs_diff(self.to)) * u128::from(t.0 - self.begin.0);
        // Below the difference of the stage, because `t` is before its end.
        (moved / u128::from(self.end.0 - self.begin.0)) as u32
    }
}

impl Ramp {
    /// Creates a ramp from `start` through `stages`.
    pub fn new(start: u32, stages: &[Stage]) -> Self {
        let (mut begin, mut from) = (Nanos::ZERO, start);
        let segments = stages
            .iter()
            .map(|stage| {
                let end = begin.saturating_add(stage.duration);
                let segment = Segment { begin, end, from, to: stage.target };
                (begin, from) = (end, stage.target);
                segment
            })
            .collect();
        Self { start, segments }
    }

    /// Creates a ramp of `value` users all the time.
    pub fn constant(value: u32, duration: Nanos) -> Self {
        Self::new(value, &[Stage { duration, target: value }])
    }

    /// Returns when the last stage ends.
    pub fn end(&self) -> Nanos {
        self.segments.last().map_or(Nanos::ZERO, |segment| segment.end)
    }

    /// Returns the stages and their effect on the value. A stage without duration is a jump of the
    /// next.
    pub fn spans(&self) -> Vec<Span> {
        let before = |i: usize| i.checked_sub(1).map(|i| self.segments[i]);
        let jumps = |i: usize| before(i).is_some_and(|s| s.begin == s.end && s.from != s.to);
        let spans = self.segments.iter().enumerate();
        let spans = spans.map(|(i, s)| Span { begin: s.begin, end: s.end, is_level: s.from == s.to, jumps: jumps(i) });
        spans.collect()
    }

    /// Returns the highest value, at the start or at the end of a stage.
    pub fn max(&self) -> u32 {
        self.segments.iter().map(|segment| segment.to).fold(self.start, u32::max)
    }

    /// Returns the users at `t`. A jump takes effect at its own instant. After the end, the last
    /// target holds.
    pub fn value(&self, t: Nanos) -> u32 {
        match self.segments.get(self.first_ending_after(t)) {
            Some(segment) if segment.to >= segment.from => segment.from + segment.steps(t),
            Some(segment) => segment.from - segment.steps(t),
            None => self.segments.last().map_or(self.start, |segment| segment.to),
        }
    }

    /// Returns when user `user`, off at `t`, is switched on: the first instant later than `t` with
    /// `user < value`.
    pub fn on_after(&self, user: u32, t: Nanos) -> Option<Nanos> {
        self.segments[self.first_ending_after(t)..]
            .iter()
            .filter(|segment| segment.from <= user && user < segment.to)
            .map(|segment| segment.after_steps(user + 1 - segment.from))
            // A jump at the same instant may undo it.
            .find(|&at| at > t && self.value(at) > user)
    }

    /// Returns when user `user`, on at `t`, is switched off: the first instant later than `t` with
    /// `user >= value`.
    pub fn off_after(&self, user: u32, t: Nanos) -> Option<Nanos> {
        self.segments[self.first_ending_after(t)..]
            .iter()
            .filter(|segment| segment.to <= user && user < segment.from)
            .map(|segment| segment.after_steps(segment.from - user))
            .find(|&at| at > t && self.value(at) <= user)
    }

    /// Returns the area under the line up to `t`, in user-seconds. It uses the line itself, not its
    /// whole-numbered value: a sum over many users, or a rate of arrivals, amounts to that. Nothing
    /// is added after the end.
    pub fn integral(&self, t: Nanos) -> f64 {
        self.segments
            .iter()
            .take_while(|segment| segment.begin < t)
            .map(|segment| {
                let (from, to) = (f64::from(segment.from), f64::from(segment.to));
                let length = (segment.end - segment.begin).as_secs_f64();
                let elapsed = t.min(segment.end).since(segment.begin).as_secs_f64();
                if length == 0.0 { 0.0 } else { (from + (to - from) * elapsed / length / 2.0) * elapsed }
            })
            .sum()
    }

    /// Returns the index of the first stage that is not over at `t`. Jumps at `t` are over.
    fn first_ending_after(&self, t: Nanos) -> usize {
        self.segments.partition_point(|segment| segment.end <= t)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stage(ns: u64, target: u32) -> Stage {
        Stage { duration: Nanos(ns), target }
    }

    #[test]
    fn going_up_rounds_down_and_going_down_rounds_up() {
        let ramp = Ramp::new(0, &[stage(100, 3), stage(50, 3), stage(100, 0)]);
        for (t, users) in [(0, 0), (33, 0), (34, 1), (66, 1), (67, 2), (99, 2), (100, 3), (150, 3)] {
            assert_eq!(ramp.value(Nanos(t)), users, "at {t}");
        }
        for (t, users) in [(183, 3), (184, 2), (216, 2), (217, 1), (249, 1), (250, 0), (9_999, 0)] {
            assert_eq!(ramp.value(Nanos(t)), users, "at {t}");
        }
        assert_eq!((ramp.end(), ramp.max()), (Nanos(250), 3));
    }

    #[test]
    fn a_stage_without_duration_is_a_jump() {
        let ramp = Ramp::new(1, &[stage(0, 5), stage(10, 5), stage(0, 2), stage(10, 2)]);
        assert_eq!([0, 9, 10, 20].map(|t| ramp.value(Nanos(t))), [5, 5, 2, 2]);
        assert_eq!(ramp.off_after(4, Nanos(0)), Some(Nanos(10)));
        assert_eq!(ramp.off_after(1, Nanos(0)), None);
    }

    #[test]
    fn a_jump_that_is_undone_at_once_switches_nobody() {
        let ramp = Ramp::new(0, &[stage(10, 0), stage(0, 8), stage(0, 0), stage(10, 1)]);
        assert_eq!(ramp.value(Nanos(10)), 0);
        assert_eq!(ramp.on_after(0, Nanos(0)), Some(Nanos(20)));
        assert_eq!(ramp.on_after(7, Nanos(0)), None);
    }

    #[test]
    fn no_stages_is_the_start_for_no_time() {
        let ramp = Ramp::new(7, &[]);
        assert_eq!((ramp.end(), ramp.max(), ramp.value(Nanos(5))), (Nanos::ZERO, 7, 7));
        assert_eq!((ramp.on_after(7, Nanos::ZERO), ramp.off_after(0, Nanos::ZERO)), (None, None));
    }

    #[test]
    fn the_widest_values_do_not_overflow() {
        let ramp = Ramp::new(0, &[stage(u64::MAX / 2, u32::MAX), stage(u64::MAX, 0)]);
        assert_eq!(ramp.end(), Nanos::MAX);
        assert_eq!(ramp.value(Nanos(u64::MAX / 2)), u32::MAX);
        assert_eq!(ramp.value(Nanos(u64::MAX / 4)), u32::MAX / 2);
        assert_eq!(ramp.on_after(u32::MAX - 1, Nanos::ZERO), Some(Nanos(u64::MAX / 2)));
    }

    fn ramps() -> impl Strategy<Value = (u32, Vec<Stage>)> {
        let stages = prop::collection::vec((prop_oneof![Just(0u64), 1..300u64], 0..12u32), 0..6);
        (0..12u32, stages.prop_map(|all| all.into_iter().map(|(ns, target)| stage(ns, target)).collect()))
    }

    proptest! {
        #[test]
        fn each_target_is_reached_exactly_at_the_end_of_its_stage((start, stages) in ramps()) {
            let ramp = Ramp::new(start, &stages);
            let (mut end, mut before) = (Nanos::ZERO, start);
            for (i, stage) in stages.iter().enumerate() {
                end += stage.duration;
                if stage.duration > Nanos(12) && before != stage.target {
                    prop_assert_ne!(ramp.value(end - Nanos(1)), stage.target, "too early");
                }
                // Jumps at the same instant come after it.
                if stages.get(i + 1).is_none_or(|next| next.duration > Nanos::ZERO) {
                    prop_assert_eq!(ramp.value(end), stage.target);
                }
                before = stage.target;
            }
            prop_assert_eq!(ramp.end(), end);
        }

        #[test]
        fn switching_on_and_off_is_the_inverse_of_the_value((start, stages) in ramps()) {
            let ramp = Ramp::new(start, &stages);
            let end = ramp.end().0;
            for user in 0..12u32 {
                let mut expected = None;
                // Backwards, so that the next change is known when an instant is looked at.
                for t in (0..=end).rev() {
                    let on = user < ramp.value(Nanos(t));
                    if t < end && (user < ramp.value(Nanos(t + 1))) != on {
                        expected = Some(Nanos(t + 1));
                    }
                    let found = if on { ramp.off_after(user, Nanos(t)) } else { ramp.on_after(user, Nanos(t)) };
                    prop_assert_eq!(found, expected, "user {} from {}", user, t);
                }
            }
        }

        #[test]
        fn the_integral_is_a_fine_sum((start, stages) in ramps(), part in 0.0..1.2f64) {
            // Milliseconds instead of nanoseconds: a sum of midpoints is exact for a line if no
            // step crosses a corner.
            let stages: Vec<Stage> =
                stages.into_iter().map(|s| Stage { duration: Nanos::from_millis(s.duration.0 * 10), ..s }).collect();
            let ramp = Ramp::new(start, &stages);
            let step = Nanos::from_millis(1);
            let until = Nanos((ramp.end().as_secs_f64() * part * 1e3) as u64 * step.0);
            let (mut sum, mut whole) = (0.0, 0.0);
            let mut t = Nanos::ZERO;
            while t < until.min(ramp.end()) {
                let middle = Nanos(t.0 + step.0 / 2);
                let segment = ramp.segments[ramp.first_ending_after(middle)];
                let along = (middle - segment.begin).as_secs_f64() / (segment.end - segment.begin).as_secs_f64();
                sum += (f64::from(segment.from) * (1.0 - along) + f64::from(segment.to) * along) * 1e-3;
                whole += f64::from(ramp.value(middle)) * 1e-3;
                t += step;
            }
            prop_assert!((ramp.integral(until) - sum).abs() < 1e-6, "{} instead of {}", ramp.integral(until), sum);
            prop_assert!((ramp.integral(until) - whole).abs() <= until.as_secs_f64(), "further than a user from the value");
        }
    }
}
