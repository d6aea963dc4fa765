//! Rebuilds the heads of requests when the key changes during a test, on a thread of its own.
//! Workers only swap in the new heads.

use super::channels::News;
use crate::mix::Heads;
use crate::plan::Plan;
use crate::units::Nanos;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};

/// Pause between two checks of the key. Workers look for news once a second.
const LOOK_EVERY: Nanos = Nanos::from_millis(200);

/// Rebuilds the plan's heads whenever its key has changed, and sends them to the workers, until the
/// other end of `over` is dropped. `seen` is the number of changes before the workers' first heads
/// were made.
pub(super) fn keep_current(plan: &Plan, mut seen: u64, over: Receiver<()>, workers: Vec<Sender<News>>) {
    if plan.credentials.source.is_none() {
        return;
    }
    let plan = plan.clone();
    std::thread::spawn(move || {
        while over.recv_timeout(LOOK_EVERY.to_duration()) == Err(RecvTimeoutError::Timeout) {
            let changes = plan.credentials.keys.changes();
            if changes == seen {
                continue;
            }
            seen = changes;
            let heads = Arc::new(Heads::new(&plan.mix, &plan.envelopes()));
            for worker in &workers {
                // A worker that has ended does not need heads.
                let _ = worker.send(News::Heads(Arc::clone(&heads)));
            }
        }
    });
}
