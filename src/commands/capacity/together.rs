//! A search run by several shards: shard 0 decides each step, all shards run it, and shard 0 judges
//! the sum.

use super::{LIMIT, Wish, step_plan};
use crate::commands::prelude::Watcher;
use crate::exit::ExitClass;
use crate::plan::{Plan, Presentation};
use crate::trial::{Meeting, Ready, Setup, TrialError};

/// Opens the rendezvous at shard 0, or connects to it. `None` for a search of one process.
pub(super) fn open(
    plan: &Plan,
    wish: &Wish,
    presentation: &Presentation,
    setup: &Setup,
) -> Result<Option<Meeting>, TrialError> {
    let rendezvous = plan.rendezvous.as_ref();
    rendezvous.map(|place| Meeting::open(place, &widest(plan, wish), presentation, setup)).transpose()
}

/// Waits until all shards are ready.
pub(super) fn gather(
    ready: &Ready,
    wish: &Wish,
    meeting: &Meeting,
    watcher: &mut Watcher<'_>,
) -> Result<(), TrialError> {
    meeting.gather_for_steps(&widest(ready.plan(), wish), &mut |line| watcher.say(line))
}

/// At every shard but shard 0: runs the steps that shard 0 decides.
pub(super) fn follow(
    ready: &mut Ready,
    wish: &Wish,
    meeting: &Meeting,
    watcher: &mut Watcher<'_>,
) -> Result<ExitClass, TrialError> {
    watcher.say("shard 0 decides each step, and writes the result");
    let plan_of = |plan: &Plan, load: &str| {
        let load: f64 = load.parse().ok()?;
        (load > 0.0 && load <= LIMIT as f64).then(|| step_plan(plan, wish, load))
    };
    let Some(cut) = meeting.follow(ready, &plan_of, watcher)? else {
        return Ok(ExitClass::Success);
    };
    let text = &cut.text;
    // If stderr fails, nothing more can be done.
    let _ = writeln!(watcher.err, "error: {text}; all shards have ended; shard 0 has the result, unless it was lost");
    Ok(cut.exit())
}

/// Returns the plan that all shards must agree on: the step at the highest load.
fn widest(plan: &Plan, wish: &Wish) -> Plan {
    step_plan(plan, wish, wish.range.max)
}
