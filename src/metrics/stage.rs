//! The numbers kept for each stage. They take less memory than a tally, because there may be a
//! thousand stages.

use super::{Counter, Distribution, Tally, Trend};

/// Sums over the requests that were sent in one stage. They add up, like a [`Tally`].
#[derive(Debug, Clone, Default)]
pub struct StageTally {
    /// Requests that succeeded or failed.
    pub http_reqs: u64,
    /// Finished requests that failed.
    pub failed: u64,
    /// Requests cut off by the end of the test.
    pub interrupted: u64,
    pub tokens_output: u64,
    /// Durations of successful requests. `None` before the first one.
    pub http_req_duration: Option<Box<Distribution>>,
    /// Times to first token of successful requests.
    pub ttft: Option<Box<Distribution>>,
}

impl StageTally {
    /// Adds the tally of one of the stage's phases.
    pub fn add(&mut self, phase: &Tally) {
        let sum = |counter: Counter| -> u64 { phase.kinds.iter().map(|part| part.counter(counter)).sum() };
        self.http_reqs += sum(Counter::HttpReqs);
        self.failed += phase.kinds.iter().map(|part| part.failed).sum::<u64>();
        self.interrupted += sum(Counter::Interrupted);
        self.tokens_output += sum(Counter::TokensOutput);
        for (trend, times) in [(Trend::HttpReqDuration, &mut self.http_req_duration), (Trend::Ttft, &mut self.ttft)] {
            for more in phase.kinds.iter().filter_map(|part| part.trend(trend)) {
                times.get_or_insert_default().add(more);
            }
            for less in phase.kinds.iter().filter_map(|part| part.withdrawn(trend)) {
                times.get_or_insert_default().subtract(less);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tally::tests::{stream, success};
    use crate::metrics::{Failure, Outcome, Sample};

    #[test]
    fn a_stage_is_the_sum_of_what_was_sent_in_it() {
        let mut tally = Tally::new(2);
        tally.record(&stream(0, 3, None));
        tally.record(&success(1, 8));
        tally.record(&Sample { outcome: Outcome::Failed(Failure::Http429), ..success(1, 4) });
        tally.record(&Sample { outcome: Outcome::Interrupted, ..success(1, 4) });
        let mut stage = StageTally::default();
        assert!(stage.ttft.is_none());
        stage.add(&tally);
        stage.add(&tally);
        assert_eq!((stage.http_reqs, stage.failed, stage.interrupted, stage.tokens_output), (6, 2, 2, 6));
        assert_eq!(stage.http_req_duration.as_ref().map(|d| d.count), Some(4));
        assert_eq!(stage.ttft.as_ref().map(|d| d.count), Some(2));
    }
}
