//! Chooses the next load, and evaluates all tries. Pure: takes measured steps, and returns the next
//! load or the result.
//!
//! ```text
//!  double the load ─▶ halve the bracket ─▶ repeat the best load until it has held three times
//!  until one fails    until it is narrow       │
//!         │                   ▲                │ it failed twice
//!         │                   └────────────────┘
//!         └─▶ none fails up to the highest load: repeat that one
//! ```
//!
//! A load that fails is tried once more, because disturbances only ever make a machine look slower:
//! it counts as failed when it has failed twice. The best load counts as found when it has held
//! three times. Once a load has failed, results for higher loads are discarded.

use crate::document::capacity::Try;

/// Tries that a load must fail to count as failed.
pub(super) const FAILURES: u32 = 2;
/// Tries that the best load must hold to count as found.
pub(super) const CONFIRMATIONS: u32 = 3;
/// The bracket between holding and failing is narrow enough when it is this share of its upper end.
pub(super) const NARROW: f64 = 0.05;
/// Limit of steps: with a server that is sometimes fast and sometimes slow, the search might never
/// end.
const MOST_STEPS: usize = 60;

/// The range of loads to search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range {
    pub(super) min: f64,
    pub(super) max: f64,
    /// True for VUs, which come in whole numbers.
    pub(super) whole: bool,
}

/// Returns the next load. `None` when enough is known.
pub(super) fn next(steps: &[(f64, bool)], range: Range) -> Option<f64> {
    if steps.len() >= MOST_STEPS {
        return None;
    }
    let tries = tries(steps);
    // A load that has failed only once is undecided and is tried again.
    if let Some(open) = tries.iter().find(|t| t.held == 0 && t.failed > 0 && t.failed < FAILURES) {
        return Some(open.load);
    }
    let (best, beyond) = bracket(steps);
    let wider = match (best, beyond) {
        (None, None) => Some(range.min),
        (None, Some(_)) => None,
        (Some(best), None) => (best.load < range.max).then(|| (best.load * 2.0).min(range.max)),
        (Some(best), Some(beyond)) => between(best.load, beyond.load, range.whole),
    };
    wider.or_else(|| best.filter(|best| best.held < CONFIRMATIONS).map(|best| best.load))
}

/// Returns the highest load that held and the lowest that failed, as far as they are known.
pub(super) fn bracket(steps: &[(f64, bool)]) -> (Option<Try>, Option<Try>) {
    let tries = tries(steps);
    let beyond = tries.iter().find(|t| t.failed >= FAILURES).copied();
    let mut below = tries.iter().filter(|t| beyond.is_none_or(|b| t.load < b.load));
    (below.rfind(|t| t.held > 0).copied(), beyond)
}

/// Returns true if the bracket is narrow enough and the best load has been confirmed.
pub(super) fn is_settled(steps: &[(f64, bool)], range: Range) -> bool {
    !steps.is_empty() && next(steps, range).is_none() && steps.len() < MOST_STEPS
}

/// Returns the range above an inconclusive load. `None` if that load is not the lowest, or if it is
/// the highest.
pub(super) fn above(range: Range, load: f64) -> Option<Range> {
    let is_lowest = load <= range.min && load < range.max;
    is_lowest.then(|| Range { min: (load * 2.0).min(range.max), ..range })
}

fn tries(steps: &[(f64, bool)]) -> Vec<Try> {
    let mut tries: Vec<Try> = Vec::new();
    for &(load, held) in steps {
        let at = tries.partition_point(|t| t.load < load);
        if tries.get(at).is_none_or(|t| t.load > load) {
            tries.insert(at, Try { load, held: 0, failed: 0 });
        }
        let t = &mut tries[at];
        (t.held, t.failed) = (t.held + u32::from(held), t.failed + u32::from(!held));
    }
    tries
}

/// Returns the middle of a bracket. `None` if the bracket is narrow, or if there is no whole number
/// in between.
fn between(low: f64, high: f64, whole: bool) -> Option<f64> {
    if high - low <= high * NARROW {
        return None;
    }
    let middle = f64::midpoint(low, high);
    let middle = if whole { middle.floor() } else { middle };
    (middle > low && middle < high).then_some(middle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const USERS: Range = Range { min: 1.0, max: 10_000.0, whole: true };
    const RATE: Range = Range { min: 1.0, max: 100_000.0, whole: false };

    #[test]
    fn a_load_without_data_is_no_limit() {
        let range = |min| Range { min, max: 5.0, whole: false };
        assert_eq!(above(range(1.0), 1.0), Some(range(2.0)));
        assert_eq!(above(range(4.0), 4.0), Some(range(5.0)));
        assert_eq!(above(range(5.0), 5.0), None, "there is no higher one");
        assert_eq!(above(range(1.0), 4.0), None, "lower ones have said something");
    }

    /// Returns the steps of a whole search.
    fn search(range: Range, mut holds: impl FnMut(f64, usize) -> bool) -> Vec<(f64, bool)> {
        let mut steps = Vec::new();
        while let Some(load) = next(&steps, range) {
            assert!(load >= range.min && load <= range.max, "{load} is outside");
            let held = holds(load, steps.len());
            steps.push((load, held));
            assert!(steps.len() <= MOST_STEPS);
        }
        steps
    }

    fn loads(steps: &[(f64, bool)]) -> Vec<u32> {
        steps.iter().map(|(load, _)| *load as u32).collect()
    }

    #[test]
    fn loads_double_then_halve_and_the_best_is_repeated() {
        let steps = search(USERS, |load, _| load <= 100.0);
        assert_eq!(loads(&steps), [1, 2, 4, 8, 16, 32, 64, 128, 128, 96, 112, 112, 104, 104, 100, 100, 100]);
        let (best, beyond) = bracket(&steps);
        assert_eq!(best, Some(Try { load: 100.0, held: 3, failed: 0 }));
        assert_eq!(beyond, Some(Try { load: 104.0, held: 0, failed: 2 }));
    }

    #[test]
    fn a_server_that_holds_everything_is_confirmed_at_the_highest() {
        let range = Range { max: 6.0, ..USERS };
        let steps = search(range, |_, _| true);
        assert_eq!(loads(&steps), [1, 2, 4, 6, 6, 6]);
        assert_eq!(bracket(&steps), (Some(Try { load: 6.0, held: 3, failed: 0 }), None));
        assert!(is_settled(&steps, range));
    }

    #[test]
    fn a_server_that_holds_nothing_is_asked_twice() {
        let steps = search(USERS, |_, _| false);
        assert_eq!(loads(&steps), [1, 1]);
        assert_eq!(bracket(&steps), (None, Some(Try { load: 1.0, held: 0, failed: 2 })));
    }

    #[test]
    fn one_slip_does_not_end_the_climb() {
        let steps = search(Range { max: 8.0, ..USERS }, |_, n| n != 2);
        assert_eq!(loads(&steps), [1, 2, 4, 4, 8, 8, 8]);
    }

    #[test]
    fn a_best_load_that_fails_twice_is_taken_back() {
        // The server holds a load of 4 only the first time, and 3 always.
        let mut seen = 0;
        let steps = search(Range { max: 4.0, ..USERS }, |load, _| {
            seen += u32::from(load >= 4.0);
            load < 4.0 || seen == 1
        });
        let (best, beyond) = bracket(&steps);
        assert_eq!(best, Some(Try { load: 3.0, held: 3, failed: 0 }));
        assert_eq!(beyond, Some(Try { load: 4.0, held: 1, failed: 2 }));
    }

    #[test]
    fn nothing_is_settled_before_it_began() {
        assert!(!is_settled(&[], USERS));
        assert_eq!(bracket(&[]), (None, None));
    }

    proptest! {
        #[test]
        fn the_limit_of_a_steady_server_is_bracketed(limit in 1.0f64..90_000.0, whole: bool) {
            let range = if whole { Range { max: 100_000.0, ..USERS } } else { RATE };
            let steps = search(range, |load, _| load <= limit);
            let (best, beyond) = bracket(&steps);
            let (best, beyond) = (best.unwrap(), beyond.unwrap());
            prop_assert!(best.load <= limit && limit < beyond.load);
            let width = beyond.load - best.load;
            prop_assert!(width <= beyond.load * NARROW || (whole && width <= 1.0), "{best:?} {beyond:?}");
            prop_assert_eq!((best.held, beyond.failed), (CONFIRMATIONS, FAILURES));
            prop_assert!(is_settled(&steps, range));
            prop_assert!(steps.len() <= 36, "{}", steps.len());
        }

        #[test]
        fn the_search_ends_whatever_the_server_does(fate in proptest::collection::vec(any::<bool>(), MOST_STEPS)) {
            let steps = search(RATE, |_, n| fate[n]);
            if let (Some(best), Some(beyond)) = bracket(&steps) {
                prop_assert!(best.load < beyond.load && best.held > 0 && best.failed < FAILURES);
            }
        }
    }
}
