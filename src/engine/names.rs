//! Looks names up again during a test, on a thread of its own: a resolver may take seconds, and
//! workers must not wait for it.

use super::channels::{Addresses, News};
use crate::net::{Access, Target, drop_dead_family, look_up};
use crate::plan::Plan;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};

/// Looks the plan's names up every `dns_ttl`, if the plan has one, and sends the addresses to the
/// workers, until the other end of `over` is dropped.
pub(super) fn keep_looking_up(plan: &Plan, over: Receiver<()>, workers: Vec<Sender<News>>) {
    let Some(ttl) = plan.access.dns_ttl else { return };
    let (targets, access) = (plan.targets().cloned().collect::<Vec<_>>(), plan.access.clone());
    // The thread is not joined, so that a resolver that hangs does not delay the end of the test.
    std::thread::spawn(move || {
        while over.recv_timeout(ttl.to_duration()) == Err(RecvTimeoutError::Timeout) {
            let found: Addresses = targets.iter().map(|target| found(target, &access)).collect();
            for worker in &workers {
                // A worker that has ended does not need addresses.
                let _ = worker.send(News::Addresses(found.clone()));
            }
        }
    });
}

fn found(target: &Target, access: &Access) -> Option<Vec<SocketAddr>> {
    let mut addrs = look_up(target, access).ok()?;
    drop_dead_family(&mut addrs);
    Some(addrs)
}
