//! Scenarios of llmsim: checks that the simulator is at the same step as the user.
//!
//! llmsim keeps no state for a conversation. From the messages of each request it derives the step
//! of its script, and it counts the requests for that step. So its response shows a turn that was
//! lost or doubled on the way, by us or by an intermediary.

use super::Worker;
use crate::engine::slot::Slot;
use crate::metrics::{Failure, Outcome};
use crate::mix::Talk;

const NOT_PLAYED: &str = "llmsim plays a scenario";
const OTHER_STEP: &str = "the scenario is at the step that was sent";
const OTHER_ATTEMPT: &str = "the scenario counts the attempts that were made";
/// The number of checks.
const CHECKS: u8 = 3;

impl Worker<'_> {
    /// Returns the outcome of a request of a scenario: a success fails if it is not the step or the
    /// attempt that was sent.
    pub(super) fn judge_scenario(&mut self, slot: Slot, outcome: Outcome) -> Outcome {
        let connection = &mut self.connections[slot];
        if outcome != Outcome::Success || !self.kinds[connection.kind()].plays {
            return outcome;
        }
        let small = |n: u16| u8::try_from(n).unwrap_or(u8::MAX);
        let step = small(self.users.conversations.talk(slot).map_or(0, Talk::tool_rounds));
        let seen = self.users.retrying.seen(slot);
        let (least, most) = (small(*seen.start()), small(*seen.end()));
        // The server may or may not have seen a request that met the close of an idle connection.
        let is_sure = !connection.is_retried();
        let exchange = &mut connection.exchange;
        let (name, found) = match exchange.sample.played {
            None => (NOT_PLAYED, "no x-llmsim-step: does the server know the scenario, and is it llmsim?".to_owned()),
            Some((is, _)) if is != step => {
                (OTHER_STEP, format!("x-llmsim-step: {is}, expected {step}: a turn was lost or doubled"))
            }
            Some((_, is)) if !(least..=most).contains(&is) && is_sure => {
                let expected = if least == most { most.to_string() } else { format!("{least} to {most}") };
                (
                    OTHER_ATTEMPT,
                    format!(
                        "x-llmsim-attempt: {is}, expected {expected}: a request was lost, doubled or sent by another run"
                    ),
                )
            }
            Some(_) => {
                exchange.sample.checks_held += CHECKS;
                return outcome;
            }
        };
        exchange.fail_check(name, &found);
        Outcome::Failed(Failure::Check)
    }
}
