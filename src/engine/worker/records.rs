//! What a worker writes down of its requests.

use crate::engine::answers::{AnswerText, Answers};
use crate::engine::channels::Outbox;
use crate::engine::recorder::Recorder;
use crate::engine::rows_sent::RowsSent;
use crate::engine::tally_set::TallySet;
use crate::metrics::Goals;
use crate::plan::Plan;

/// Counts and times, the rows that were sent, and a record of each request if that is asked for.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) tallies: TallySet,
    /// What each request is held against.
    pub(super) goals: Goals,
    pub(super) rows_sent: RowsSent,
    /// None unless each request is to be recorded.
    pub(super) recorder: Option<Box<Recorder>>,
    /// None unless tokens are to be counted.
    pub(super) answers: Option<Box<Answers>>,
}

/// What a worker leaves behind, beside its tallies.
#[derive(Debug)]
pub(in crate::engine) struct Left {
    pub(in crate::engine) rows_sent: RowsSent,
    pub(in crate::engine) answers: Vec<AnswerText>,
}

impl Records {
    /// Nothing has happened yet.
    pub(super) fn new(number: usize, shard: &Plan, slots: usize, outbox: Outbox) -> Self {
        Self {
            tallies: TallySet::new(number, shard, outbox),
            goals: shard.goals(),
            rows_sent: RowsSent::new(shard),
            recorder: Recorder::new(shard, slots),
            answers: Answers::new(shard, slots),
        }
    }

    /// The run is over.
    pub(super) fn leave(self) -> Left {
        Left { rows_sent: self.rows_sent, answers: self.answers.map_or_else(Vec::new, |answers| answers.into_kept()) }
    }

    /// The records of this second go out with it.
    pub(super) fn hand_over(&mut self) {
        self.tallies.batch = self.recorder.as_mut().map(|recorder| recorder.take());
    }
}
