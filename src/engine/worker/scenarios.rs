//! Scenarios of llmsim: whether the simulator is where the user is.
//!
//! llmsim keeps no state for a conversation. It finds out from the messages of each request at which
//! step of its script that is, and counts how often it was asked for it. So a turn that was lost or
//! doubled on the way, by us or by whatever stands between, shows itself in its answer.

use super::Worker;
use crate::engine::slot::Slot;
use crate::metrics::{Failure, Outcome};
use crate::mix::Talk;

const NOT_PLAYED: &str = "llmsim plays a scenario";
const OTHER_STEP: &str = "the scenario is at the step that was sent";
const OTHER_ATTEMPT: &str = "the scenario counts the attempts that were made";
/// How many checks there are.
const CHECKS: u8 = 3;

impl Worker<'_> {
    /// How a request of a scenario ends: a success that is not the step or the attempt that was sent
    /// is none.
    pub(super) fn judge_scenario(&mut self, slot: Slot, outcome: Outcome) -> Outcome {
        let connection = &mut self.connections[slot];
        if outcome != Outcome::Success || !self.kinds[connection.kind()].plays {
            return outcome;
        }
        let small = |n: u16| u8::try_from(n).unwrap_or(u8::MAX);
        let step = small(self.users.conversations.talk(slot).map_or(0, Talk::tool_rounds));
        let seen = self.users.retrying.seen(slot);
        let (least, most) = (small(*seen.start()), small(*seen.end()));
        // A request that met the end of an idle connection may have been seen, or not.
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
