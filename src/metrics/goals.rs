//! Latency goals of single requests, and whether a request met them. `goodput` is based on them.
//!
//! A threshold applies to all requests together, a goal to each request. Goals are checked once per
//! request, on its finished sample, without allocating.

use super::part::time_per_output_token;
use super::{Outcome, Sample, Trend};
use crate::units::Nanos;

/// A latency goal of a single request. Plain data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Goal {
    /// The time that the goal limits. For gaps between tokens (`tbt`) the longest counts, as in
    /// `stall`.
    pub trend: Trend,
    /// The upper limit of the time.
    pub bound: Nanos,
    /// True if the time may equal the limit.
    pub inclusive: bool,
}

/// The goals of each kind of request. Plain data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Goals {
    /// The goals in the order of the mix. A kind without goals does not count towards goodput.
    pub kinds: Vec<Vec<Goal>>,
}

impl Goals {
    /// Returns the sample with the result of [`Goals::met`].
    #[must_use]
    pub fn judged(&self, sample: Sample) -> Sample {
        Sample { good: self.met(&sample), ..sample }
    }

    /// Returns whether a request met all goals of its kind. `None` if this cannot be determined:
    /// its kind has no goals, its user or the end of the test cut it off, or a relevant time is
    /// unknown because tokens arrived in one late read (which is caused by the client, not the
    /// server).
    ///
    /// A failed request does not meet its goals.
    pub fn met(&self, sample: &Sample) -> Option<bool> {
        let goals = self.kinds.get(usize::from(sample.kind)).filter(|goals| !goals.is_empty())?;
        match sample.outcome {
            Outcome::Interrupted | Outcome::Cancelled => return None,
            Outcome::Failed(_) => return Some(false),
            Outcome::Success => {}
        }
        let mut met = Some(true);
        for goal in goals {
            match goal.met(sample) {
                Some(true) => {}
                Some(false) => return Some(false),
                None => met = None,
            }
        }
        met
    }
}

impl Goal {
    /// Returns whether a successful request met the goal. `None` if its time is unknown. A time
    /// that does not exist (one token has no gap) meets the goal.
    fn met(&self, s: &Sample) -> Option<bool> {
        let since_sent = |instant: Option<Nanos>| instant.map(|instant| instant.since(s.sent));
        let (time, is_known) = match self.trend {
            Trend::HttpReqDurationFromIntended => (Some(s.end.since(s.intended.unwrap_or(s.sent))), true),
            Trend::HttpReqWaiting => (since_sent(s.first_byte), true),
            Trend::Ttfe => (since_sent(s.first_event), !s.ttfe_censored),
            Trend::Ttft => (since_sent(s.first_token), !s.ttft_censored),
            Trend::Ttfo => (since_sent(s.first_visible), !s.ttfo_censored),
            Trend::Tbt | Trend::Stall => (s.longest_gap, s.longest_gap_is_known()),
            Trend::Tpot => (time_per_output_token(s), !s.tpot_censored),
            // The plan only allows the duration and the trends above as goals.
            _ => (Some(s.end.since(s.sent)), true),
        };
        let within = time.is_none_or(|time| if self.inclusive { time <= self.bound } else { time < self.bound });
        // The longest known gap is enough for a miss, and so is the time per token, which can only
        // be too short here. First events and tokens can only be dated too late.
        let dated_late = matches!(self.trend, Trend::Ttfe | Trend::Ttft | Trend::Ttfo);
        match (within, is_known) {
            (true, true) => Some(true),
            (true, false) => dated_late.then_some(true),
            (false, false) if dated_late => None,
            (false, _) => Some(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tally::tests::{stream, success};
    use crate::metrics::{Failure, Rate, Summary, Tally};

    fn goals(of: &[(Trend, u64, bool)]) -> Goals {
        let goal = |&(trend, ms, inclusive)| Goal { trend, bound: Nanos::from_millis(ms), inclusive };
        Goals { kinds: vec![of.iter().map(goal).collect(), Vec::new()] }
    }

    /// A stream of five tokens. The first comes after 100 ms, the others 10 ms apart.
    fn met(of: &[(Trend, u64, bool)], change: impl Fn(&mut Sample)) -> Option<bool> {
        let mut sample = stream(0, 5, None);
        change(&mut sample);
        goals(of).met(&sample)
    }

    #[test]
    fn each_time_is_held_against_its_goal() {
        let as_is = |_: &mut Sample| {};
        for (trend, takes) in [
            (Trend::Ttfe, 90),
            (Trend::Ttft, 100),
            (Trend::Ttfo, 100),
            (Trend::Tbt, 10),
            (Trend::Stall, 10),
            (Trend::Tpot, 10),
            (Trend::HttpReqDuration, 150),
        ] {
            assert_eq!(met(&[(trend, takes, true)], as_is), Some(true), "{trend:?}");
            assert_eq!(met(&[(trend, takes, false)], as_is), Some(false), "{trend:?}");
            assert_eq!(met(&[(trend, takes + 1, false)], as_is), Some(true), "{trend:?}");
            assert_eq!(met(&[(trend, takes - 1, true)], as_is), Some(false), "{trend:?}");
        }
        assert_eq!(met(&[(Trend::Ttft, 200, false), (Trend::Tbt, 5, false)], as_is), Some(false));
        assert_eq!(met(&[(Trend::Ttft, 200, false), (Trend::Tbt, 50, false)], as_is), Some(true));
    }

    #[test]
    fn failures_are_misses_and_interrupted_requests_are_left_out() {
        let generous = [(Trend::Ttft, 1_000, false)];
        assert_eq!(met(&generous, |s| s.outcome = Outcome::Failed(Failure::Truncated)), Some(false));
        assert_eq!(met(&generous, |s| s.outcome = Outcome::Interrupted), None);
        let mut other = success(1, 5);
        assert_eq!(goals(&generous).met(&other), None, "its kind has no goals");
        other.kind = 7;
        assert_eq!(goals(&generous).met(&other), None);
    }

    #[test]
    fn a_time_that_does_not_exist_was_not_too_long() {
        assert_eq!(goals(&[(Trend::Ttft, 1, false), (Trend::Tbt, 1, false)]).met(&success(0, 500)), Some(true));
    }

    #[test]
    fn what_is_not_known_is_not_judged_unless_it_is_clear() {
        let unknown = |s: &mut Sample| {
            (s.ttfe_censored, s.ttft_censored, s.tpot_censored) = (true, true, true);
            (s.gaps_censored, s.unknown_gaps_within) = (2, 10);
        };
        // The token arrived before it was read, and it was read in time.
        assert_eq!(met(&[(Trend::Ttft, 101, false)], unknown), Some(true));
        assert_eq!(met(&[(Trend::Ttft, 99, false)], unknown), None);
        assert_eq!(met(&[(Trend::Tbt, 50, false)], unknown), None);
        assert_eq!(met(&[(Trend::Tbt, 9, false)], unknown), Some(false));
        // An event that arrived before it was read may have been in time. A time per token that is
        // underestimated may have been too long.
        assert_eq!(met(&[(Trend::Ttfe, 5, false)], unknown), None);
        assert_eq!(met(&[(Trend::Ttfe, 91, false)], unknown), Some(true));
        assert_eq!(met(&[(Trend::Tpot, 50, false)], unknown), None);
        assert_eq!(met(&[(Trend::Tpot, 9, false)], unknown), Some(false));
        assert_eq!(met(&[(Trend::Tbt, 9, false), (Trend::Tpot, 50, false)], unknown), Some(false));
        // All unknown gaps are shorter than the longest known one.
        let short = |s: &mut Sample| (s.gaps_censored, s.unknown_gaps_within) = (2, 2);
        assert_eq!(met(&[(Trend::Stall, 11, false)], short), Some(true));
    }

    #[test]
    fn goodput_is_the_share_of_those_that_were_judged() {
        let goals = goals(&[(Trend::Ttft, 200, false)]);
        let mut tally = Tally::new(2);
        for change in [
            (|_| ()) as fn(&mut Sample),
            |s| s.outcome = Outcome::Failed(Failure::Http5xx),
            |s| s.first_token = Some(s.sent + Nanos::from_millis(300)),
            |s| s.outcome = Outcome::Interrupted,
            |_| (),
        ] {
            let mut sample = stream(0, 5, None);
            change(&mut sample);
            tally.record(&goals.judged(sample));
        }
        tally.record(&success(1, 5));
        let mut twice = Tally::new(2);
        twice += &tally;
        twice.append(&tally);
        let summary = Summary::new(&twice, &["chat".to_owned(), "health".to_owned()], Nanos::from_secs(1));
        let rate = |name| summary.rate(Rate::Goodput, name).map(|s| (s.matches, s.total));
        assert_eq!(rate(None), Some((4, 8)));
        assert_eq!(rate(Some("chat")), Some((4, 8)));
        assert_eq!(rate(Some("health")), None);
    }
}
