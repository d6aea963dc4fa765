//! A worker's records of its requests.

use crate::engine::answers::{AnswerText, Answers};
use crate::engine::channels::Outbox;
use crate::engine::recorder::Recorder;
use crate::engine::rows_sent::RowsSent;
use crate::engine::tally_set::TallySet;
use crate::metrics::Goals;
use crate::plan::Plan;

/// Counts and times, the rows that were sent, and a record of each request if the plan asks for it.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) tallies: TallySet,
    /// The goals that each request is judged by.
    pub(super) goals: Goals,
    pub(super) rows_sent: RowsSent,
    /// `None` unless requests are recorded.
    pub(super) recorder: Option<Box<Recorder>>,
    /// `None` unless tokens are counted.
    pub(super) answers: Option<Box<Answers>>,
}

/// The results of a worker, in addition to its tallies.
#[derive(Debug)]
pub(in crate::engine) struct Left {
    pub(in crate::engine) rows_sent: RowsSent,
    pub(in crate::engine) answers: Vec<AnswerText>,
}

impl Records {
    /// Creates empty records.
    pub(super) fn new(number: usize, shard: &Plan, slots: usize, outbox: Outbox) -> Self {
        Self {
            tallies: TallySet::new(number, shard, outbox),
            goals: shard.goals(),
            rows_sent: RowsSent::new(shard),
            recorder: Recorder::new(shard, slots),
            answers: Answers::new(shard, slots),
        }
    }

    /// Returns the results at the end of the run.
    pub(super) fn leave(self) -> Left {
        Left { rows_sent: self.rows_sent, answers: self.answers.map_or_else(Vec::new, |answers| answers.into_kept()) }
    }

    /// Attaches the records of this second to its tallies.
    pub(super) fn hand_over(&mut self) {
        self.tallies.batch = self.recorder.as_mut().map(|recorder| recorder.take());
    }
}
