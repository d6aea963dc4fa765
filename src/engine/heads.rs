//! Heads that are made anew when the key changes while a test runs, on a thread of its own: workers
//! only exchange them.

use super::channels::News;
use crate::mix::Heads;
use crate::plan::Plan;
use crate::units::Nanos;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};

/// Pause between two looks at the key. Workers look for news once a second.
const LOOK_EVERY: Nanos = Nanos::from_millis(200);

/// Makes the plan's heads anew whenever its key has changed, and gives them to the workers, until the
/// other end of `over` is dropped. `seen` changes were there when the workers' first heads were made.
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
                // A worker that has ended needs no heads.
                let _ = worker.send(News::Heads(Arc::clone(&heads)));
            }
        }
    });
}
