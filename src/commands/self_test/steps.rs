//! Chooses the next number of streams. Pure.

use crate::document::self_test::{Limit, Times, Truth};

/// Numbers of streams that are always measured, if that many connections are possible.
const FIXED: [u32; 3] = [1, 100, 1_000];
/// Highest number of streams: beyond it, ports run out (28,000 to one address on Linux, and ports
/// that were just closed are not free yet).
const MOST: u32 = 16_000;
/// An error beyond the limit is measured once more, since other programs on the machine may wake up
/// at any time.
const ATTEMPTS: u32 = 2;
/// How often the range is halved, by ratio, once a limit is known. Two are enough to know the limit
/// within a fifth.
const REFINEMENTS: usize = 2;

/// Returns the next number of streams. `None` when enough is known.
pub(super) fn next(truth: &[Truth], most_connections: u32, climb: bool) -> Option<u32> {
    let most = most_connections.min(MOST);
    if let Some(last) = truth.last().filter(|t| t.beyond() == Some(Limit::Error) && t.attempts < ATTEMPTS) {
        return Some(last.streams);
    }
    if let Some(&fixed) = FIXED.get(truth.len()) {
        // A machine that lacks the CPU for the smaller number lacks it for the larger one, too. An
        // error may have another cause.
        let goes_on = truth.iter().all(|t| matches!(t.beyond(), None | Some(Limit::Error)));
        return Some(fixed).filter(|&n| n <= most && goes_on);
    }
    if !climb {
        return None;
    }
    let beyond = truth.iter().filter(|t| t.beyond().is_some()).map(|t| t.streams).min();
    let within = truth.iter().map(|t| t.streams).filter(|&n| beyond.is_none_or(|b| n < b)).max()?;
    let Some(beyond) = beyond else {
        let doubled = within.saturating_mul(2).min(most);
        return (doubled > within).then_some(doubled);
    };
    let seen_since = truth.iter().skip_while(|t| t.beyond().is_none()).count() - 1;
    let between = rounded((f64::from(within) * f64::from(beyond)).sqrt());
    (seen_since < REFINEMENTS && between > within && between < beyond).then_some(between)
}

/// Adds a measurement. Of two measurements with the same number of streams, the better one counts.
pub(super) fn add(truth: &mut Vec<Truth>, new: Truth) {
    match truth.last_mut().filter(|last| last.streams == new.streams) {
        None => truth.push(new),
        Some(last) => {
            let attempts = last.attempts + new.attempts;
            if new.failed == 0 && new.worst_ms() < last.worst_ms() {
                *last = new;
            }
            last.attempts = attempts;
        }
    }
}

/// Returns the highest number of measurements that is possible, including those in `truth`.
pub(super) fn at_most(truth: &[Truth], most_connections: u32, climb: bool) -> usize {
    // The longest path is one on which a limit shows as late as possible, or never.
    let with_limit_after = |passed: usize| {
        let mut all = truth.to_vec();
        while let Some(streams) = next(&all, most_connections, climb) {
            let is_full = all.len() - truth.len() >= passed;
            add(&mut all, imagined(streams, if is_full { 1.0 } else { 0.0 }));
        }
        all.len()
    };
    (0..=MOST.ilog2() as usize).map(with_limit_after).max().unwrap_or_default()
}

/// Returns a possible measurement.
fn imagined(streams: u32, client_cpu: f64) -> Truth {
    Truth {
        streams,
        attempts: ATTEMPTS,
        gaps: 0,
        events_per_second: 0.0,
        reported: Times::default(),
        recorded: Times::default(),
        origin_late_p99: 0.0,
        censored: 0.0,
        failed: 0,
        client_cpu,
        origin_cpu: 0.0,
    }
}

/// Rounds to two significant digits.
fn rounded(n: f64) -> u32 {
    let step = 10_f64.powf((n.log10().floor() - 1.0).max(0.0));
    ((n / step).round() * step) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(streams: u32, client_cpu: f64, gap_error: f64) -> Truth {
        Truth {
            streams,
            attempts: 1,
            gaps: 10_000,
            events_per_second: 0.0,
            reported: Times { gap_p99: gap_error, ..Times::default() },
            recorded: Times::default(),
            origin_late_p99: 0.0,
            censored: 0.0,
            failed: 0,
            client_cpu,
            origin_cpu: 0.1,
        }
    }

    /// Returns the numbers of streams that are measured on a machine.
    fn asked(machine: impl Fn(u32) -> Truth, most_connections: u32, climb: bool) -> Vec<u32> {
        let (mut truth, mut asked) = (Vec::new(), Vec::new());
        while let Some(streams) = next(&truth, most_connections, climb) {
            asked.push(streams);
            add(&mut truth, machine(streams));
            assert!(asked.len() < 20, "it does not end: {asked:?}");
        }
        asked
    }

    /// The same for a machine whose core is full beyond `capacity`.
    fn asked_of(capacity: u32, most_connections: u32, climb: bool) -> Vec<u32> {
        asked(|streams| measured(streams, if streams > capacity { 1.0 } else { 0.1 }, 0.0), most_connections, climb)
    }

    #[test]
    fn an_error_is_measured_twice_and_the_better_one_counts() {
        let wrong = |streams| measured(streams, 0.1, if streams > 1_000 { 2.0 } else { 0.0 });
        assert_eq!(asked(wrong, u32::MAX, true), [1, 100, 1_000, 2_000, 2_000, 1_400, 1_400, 1_200, 1_200]);
        let mut truth = vec![measured(7, 0.1, 2.0)];
        add(&mut truth, measured(7, 0.1, 0.5));
        add(&mut truth, measured(7, 0.1, 3.0));
        add(&mut truth, Truth { failed: 1, ..measured(7, 0.1, 0.0) });
        assert_eq!((truth.len(), truth[0].attempts, truth[0].worst_ms()), (1, 4, 0.5));
        add(&mut truth, measured(8, 0.1, 0.0));
        assert_eq!(truth.len(), 2);
    }

    #[test]
    fn streams_double_up_to_the_limit_which_is_then_closed_in_upon() {
        assert_eq!(asked_of(1_500, u32::MAX, true), [1, 100, 1_000, 2_000, 1_400, 1_700]);
        assert_eq!(asked_of(5_000, u32::MAX, true), [1, 100, 1_000, 2_000, 4_000, 8_000, 5_700, 4_800]);
        assert_eq!(asked_of(u32::MAX, u32::MAX, true), [1, 100, 1_000, 2_000, 4_000, 8_000, 16_000]);
    }

    #[test]
    fn a_slow_machine_is_asked_for_less() {
        assert_eq!(asked_of(0, u32::MAX, true), [1]);
        assert_eq!(asked_of(50, u32::MAX, false), [1, 100]);
    }

    #[test]
    fn there_are_never_more_streams_than_connections() {
        assert_eq!(asked_of(u32::MAX, 960, true), [1, 100]);
        assert_eq!(asked_of(u32::MAX, 3_000, true), [1, 100, 1_000, 2_000, 3_000]);
    }

    #[test]
    fn the_way_that_is_left_is_never_longer_than_was_said() {
        assert_eq!(at_most(&[], u32::MAX, false), 3);
        for capacity in [0, 50, 1_500, 3_000, 5_000, 15_000, u32::MAX] {
            let (mut truth, mut said) = (Vec::new(), Vec::new());
            while let Some(streams) = next(&truth, u32::MAX, true) {
                said.push(at_most(&truth, u32::MAX, true));
                add(&mut truth, measured(streams, if streams > capacity { 1.0 } else { 0.1 }, 0.0));
            }
            assert!(said.iter().all(|&most| most >= truth.len()), "{capacity}: {said:?} of {}", truth.len());
            assert!(said.windows(2).all(|pair| pair[0] >= pair[1]), "it only gets shorter: {said:?}");
            assert_eq!(said[0], 9, "three fixed ones, four doubled ones, and two to close in upon the limit: {said:?}");
        }
    }

    #[test]
    fn the_short_test_does_not_climb() {
        assert_eq!(asked_of(u32::MAX, u32::MAX, false), [1, 100, 1_000]);
    }
}
