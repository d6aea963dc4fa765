//! Divides a test into phases, by its stages and by what is measured.
//!
//! A request belongs to the phase in which it was *sent*, whenever it ends. So every request is in
//! exactly one phase, a slow request counts in the phase that caused it, and the tallies of all
//! phases add up to the whole.

use super::Plan;
use crate::units::Nanos;

/// A part of the test: one stage, or the part of it inside (or outside) the measurement window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phase {
    pub begin: Nanos,
    /// The first instant after it.
    pub end: Nanos,
    /// Index of its stage, from 0.
    pub stage: usize,
    /// True if it lies inside the measurement window.
    pub measured: bool,
}

impl Plan {
    /// Returns the measurement window: from the end of `warmup` to the beginning of `cooldown`. It
    /// has no planned end if iterations end the test.
    pub fn window(&self) -> (Nanos, Nanos) {
        if self.shape.runs_by_time() {
            (self.warmup, self.shape.end().since(self.cooldown))
        } else {
            (Nanos::ZERO, Nanos::MAX)
        }
    }

    /// Returns all phases, in order and without gaps. There is at least one. The last one has no
    /// end: requests that are sent late belong to it.
    pub fn phases(&self) -> Vec<Phase> {
        let (from, until) = self.window();
        let spans = self.shape.spans();
        let ends = spans.iter().take(spans.len().saturating_sub(1)).map(|span| span.end);
        let mut cuts: Vec<Nanos> =
            ends.chain([from, until]).filter(|cut| (Nanos(1)..Nanos::MAX).contains(cut)).collect();
        cuts.retain(|&cut| !self.shape.runs_by_time() || cut < self.shape.end());
        cuts.sort_unstable();
        cuts.dedup();
        let begins = std::iter::once(Nanos::ZERO).chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain(std::iter::once(Nanos::MAX));
        let stage = |begin| spans.iter().position(|span| begin < span.end).unwrap_or(spans.len().saturating_sub(1));
        begins
            .zip(ends)
            .map(|(begin, end)| Phase { begin, end, stage: stage(begin), measured: from <= begin && begin < until })
            .collect()
    }

    /// Returns the longest part of the measurement window in which the load is the same throughout.
    /// The load does not cause the changes over time that are seen there. `None` if there is no
    /// such part.
    pub fn level_stretch(&self) -> Option<(Nanos, Nanos)> {
        let (from, until) = self.window();
        let mut stretches: Vec<(Nanos, Nanos)> = Vec::new();
        for span in self.shape.spans().into_iter().filter(|span| span.is_level) {
            let (begin, end) = (span.begin.max(from), span.end.min(until));
            match stretches.last_mut() {
                Some(last) if last.1 == begin && !span.jumps => last.1 = end.max(begin),
                _ if begin < end => stretches.push((begin, end)),
                _ => {}
            }
        }
        stretches.into_iter().max_by_key(|(begin, end)| end.since(*begin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Overrides, Shape, Stage, resolve};
    use proptest::prelude::*;

    fn plan(stages: &[(u64, u32)], warmup: u64, cooldown: u64) -> Plan {
        let mut nothing = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        let plan = resolve("load", &Overrides::default(), &mut nothing).expect("built in").plan;
        let stages = stages.iter().map(|&(s, target)| Stage { duration: Nanos::from_secs(s), target }).collect();
        let shape = Shape::RampingVus { start_vus: 1, stages, graceful_ramp_down: Nanos::ZERO };
        Plan { shape, warmup: Nanos::from_secs(warmup), cooldown: Nanos::from_secs(cooldown), ..plan }
    }

    fn in_secs(phases: &[Phase]) -> Vec<(u64, u64, usize, bool)> {
        let secs = |t: Nanos| t.0 / 1_000_000_000;
        phases.iter().map(|p| (secs(p.begin), secs(p.end.min(Nanos::from_secs(999))), p.stage, p.measured)).collect()
    }

    #[test]
    fn phases_are_cut_at_the_edges_of_stages_and_of_the_window() {
        let plan = plan(&[(10, 5), (20, 5), (10, 0)], 4, 15);
        assert_eq!(
            in_secs(&plan.phases()),
            [(0, 4, 0, false), (4, 10, 0, true), (10, 25, 1, true), (25, 30, 1, false), (30, 999, 2, false)]
        );
        assert_eq!(plan.level_stretch(), Some((Nanos::from_secs(10), Nanos::from_secs(25))));
    }

    #[test]
    fn a_test_without_edges_is_one_phase() {
        let by_count = Shape::PerVuIterations { vus: 1, iterations: 3, max_duration: Nanos::from_secs(9) };
        let plan = Plan { shape: by_count, ..plan(&[(1, 1)], 0, 0) };
        assert_eq!(in_secs(&plan.phases()), [(0, 999, 0, true)]);
        let flat = Shape::ConstantVus { vus: 1, duration: Nanos::from_secs(9) };
        let plan = Plan { shape: flat, ..plan };
        assert_eq!(in_secs(&plan.phases()), [(0, 999, 0, true)]);
        assert_eq!(plan.level_stretch(), Some((Nanos::ZERO, Nanos::from_secs(9))));
    }

    #[test]
    fn level_stages_of_one_height_are_one_stretch_and_a_jump_ends_it() {
        let secs = Nanos::from_secs;
        assert_eq!(plan(&[(5, 9), (20, 9), (20, 9), (9, 1)], 0, 0).level_stretch(), Some((secs(5), secs(45))));
        assert_eq!(plan(&[(5, 9), (20, 9), (0, 4), (30, 4)], 0, 0).level_stretch(), Some((secs(25), secs(55))));
        assert_eq!(plan(&[(5, 9), (5, 1)], 0, 0).level_stretch(), None);
        assert_eq!(plan(&[(5, 9), (20, 9)], 5, 20).level_stretch(), None, "none of it is measured");
    }

    proptest! {
        #[test]
        fn phases_cover_the_test_once(
            stages in prop::collection::vec((0..20u64, 1..9u32), 1..6),
            (warmup, cooldown) in (0..30u64, 0..30u64),
        ) {
            let plan = plan(&stages, warmup, cooldown);
            prop_assume!(plan.warmup + plan.cooldown < plan.shape.end());
            let phases = plan.phases();
            prop_assert_eq!(phases[0].begin, Nanos::ZERO);
            prop_assert_eq!(phases[phases.len() - 1].end, Nanos::MAX);
            prop_assert!(phases.windows(2).all(|p| p[0].end == p[1].begin && p[0].begin < p[0].end));
            let end = plan.shape.end();
            let measured: u64 = phases.iter().filter(|p| p.measured).map(|p| p.end.min(end).since(p.begin).0).sum();
            prop_assert_eq!(Nanos(measured), end.since(plan.warmup).since(plan.cooldown));
            for (index, span) in plan.shape.spans().into_iter().enumerate() {
                let own: u64 = phases.iter().filter(|p| p.stage == index).map(|p| p.end.min(end).since(p.begin).0).sum();
                prop_assert_eq!(Nanos(own), span.end.since(span.begin), "stage {}", index);
            }
        }
    }
}
