//! Entry points for `benches/engine.rs` to parts of the engine that are private otherwise. Only
//! with the feature `scripted`.

use super::budget::Budget;
use super::channels::{Channels, Inbox, Outbox};
use super::clock::Clock;
use super::poller::Poller;
use super::script::{Act, Heard, World};
use super::timers::Timers;
use super::worker::Worker;
use crate::metrics::{Counter, Summary, Tally};
use crate::mix::RequestWriter;
use crate::net::Dialer;
use crate::plan::Plan;
use crate::units::Nanos;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;

#[derive(Debug)]
pub struct Wheel(Timers);

impl Wheel {
    /// Creates a wheel with room for `keys` keys.
    pub fn new(keys: usize) -> Self {
        Self(Timers::new(keys))
    }

    /// Makes `key` due at `deadline`.
    pub fn set(&mut self, key: u32, deadline: Nanos) {
        self.0.set(key, deadline);
    }

    /// Removes and returns one key whose deadline has passed.
    pub fn pop_due(&mut self, now: Nanos) -> Option<u32> {
        self.0.pop_due(now)
    }
}

/// Runs one worker of the plan, whose target has an address, in the scripted world. Every request
/// gets these reads, `gap` apart. Returns the number of requests that succeeded and of token
/// events.
///
/// # Panics
///
/// If the plan cannot be run: its target needs an address.
pub fn run_worker(plan: &Plan, reads: &Rc<[Vec<u8>]>, gap: Nanos) -> (u64, u64) {
    let reads = Rc::clone(reads);
    let peer = move |heard: Heard<'_>| match heard {
        Heard::Connect { .. } => vec![(Nanos::ZERO, Act::Accept)],
        Heard::Bytes { .. } => {
            let acts = reads.iter().zip(1..).map(|(read, n)| (Nanos(gap.0 * n), Act::Send(read.clone())));
            acts.collect()
        }
    };
    let now = Rc::new(Cell::new(Nanos::ZERO));
    let writer = RequestWriter::new(&plan.mix, &plan.envelopes(), plan.seed);
    let (stop, (reports, inbox)) = (AtomicBool::new(false), channel());
    let ((_empty, recycled), (_told, news)) = (channel(), channel());
    let budget = Budget::new(u64::MAX);
    let channels = Channels {
        inbox: Inbox { stop: &stop, news, budget: &budget, rows: None },
        outbox: Outbox { reports, recycled },
    };
    let dialer = Dialer::new(plan.targets(), &plan.access, 0, 1).expect("a plan that connects without TLS");
    let poller = Poller::Script(World::new(Rc::clone(&now), peer));
    let worker = Worker::new(0, plan, writer, Clock::Script(now), poller, dialer, channels);
    worker.run().expect("a scripted world has no errors of its own");
    let mut total = Tally::new(plan.mix.kinds.len());
    for report in &inbox {
        total.append(&report.tally);
    }
    let names: Vec<String> = plan.mix.kinds.iter().map(|kind| kind.name.clone()).collect();
    let summary = Summary::new(&total, &names, Nanos::from_secs(1));
    (summary.succeeded(), summary.counter(Counter::TokenEvents, None).map_or(0, |events| events.count))
}
