//! The only moving part: pinned workers, each with its own event loop.
//!
//! [`run`] gives every worker its shard of the plan, adds up the workers' reports once a second,
//! and hands the sums to the caller. During a run only two things cross a thread border: the stop
//! flag goes down, tallies come up. (Now and then an update goes down, too: addresses of names that
//! are looked up again, heads with a changed key. The rows of data sets that do not fit into memory
//! also go down.)

mod answers;
#[cfg(feature = "scripted")]
pub mod bench;
mod budget;
mod channels;
mod clock;
mod connection;
mod connections;
mod error;
mod excerpt;
mod exchange;
mod fleet;
mod heads;
mod names;
mod poller;
mod ready;
mod recorder;
mod rows_ahead;
mod rows_sent;
mod rx_time;
#[cfg(any(test, feature = "scripted"))]
mod script;
mod slot;
mod tally_set;
mod timers;
mod window;
mod worker;

use crate::mix::RequestWriter;
use crate::net::{Dialer, KeepStamping};
use crate::plan::Plan;
pub use answers::AnswerText;
use budget::Budget;
use channels::{Channels, Inbox, Outbox};
use clock::Clock;
pub use error::EngineError;
use fleet::Fleet;
pub use fleet::{RunResult, Tick};
pub use rows_sent::RowsSent;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;
use std::time::Instant;
use worker::Worker;

/// Runs the plan on one worker per entry of `cores`, or on the number of workers that the plan asks
/// for, but on no more workers than the plan has users. Calls `on_tick` once for each second, on
/// this thread. `stop` ends the run early: no new request is started, and requests under way may
/// finish within the plan's `graceful_stop`.
pub fn run(
    plan: &Plan,
    cores: &[usize],
    stop: &AtomicBool,
    on_tick: &mut dyn FnMut(&mut Tick<'_>),
) -> Result<RunResult, EngineError> {
    run_from(plan, cores, stop, &mut now, on_tick)
}

/// Runs the plan as [`run`] does, but begins the load when `begin` returns. `begin` is called once
/// everything is prepared, and the instant that it returns is the test's zero.
pub fn run_from(
    plan: &Plan,
    cores: &[usize],
    stop: &AtomicBool,
    begin: &mut dyn FnMut() -> Instant,
    on_tick: &mut dyn FnMut(&mut Tick<'_>),
) -> Result<RunResult, EngineError> {
    let wanted = plan.tuning.workers.map_or(cores.len(), |n| n as usize);
    // A worker without a user would only wait.
    let workers = wanted.min(plan.peak_users() as usize).max(1);
    let pins: Vec<Option<usize>> =
        (0..workers).map(|i| (plan.tuning.pin && !cores.is_empty()).then(|| cores[i % cores.len()])).collect();
    let shards: Vec<Plan> = (0..workers).map(|k| plan.shard(k as u32, workers as u32)).collect();
    let keys_seen = plan.credentials.keys.changes();
    let writer = RequestWriter::new(&plan.mix, &plan.envelopes(), plan.seed).with_stride(plan.shape.stride());
    let (reports, inbox) = channel();
    let budget = Budget::new(plan.tuning.body_budget);
    let (loader, rows) = rows_ahead::loader(&shards, &writer).map_err(EngineError::Rows)?;
    // Without it stamps may be missing at first. Missing stamps are counted.
    let _stamping = KeepStamping::begin().ok();
    let epoch = begin();

    std::thread::scope(|scope| {
        let mut recycling = Vec::with_capacity(workers);
        let mut told = Vec::with_capacity(workers);
        let mut threads = Vec::with_capacity(workers);
        let loader = loader.map(|loader| scope.spawn(|| loader.run()));
        for ((number, shard), rows) in shards.iter().enumerate().zip(rows) {
            let (empty, recycled) = channel();
            recycling.push(empty);
            let (tell, news) = channel();
            told.push(tell);
            let outbox = Outbox { reports: reports.clone(), recycled };
            let channels = Channels { inbox: Inbox { stop, news, budget: &budget, rows }, outbox };
            let (writer, pin) = (writer.clone(), pins[number]);
            let thread = std::thread::Builder::new().name(format!("worker-{number}"));
            threads.push(thread.spawn_scoped(scope, move || {
                let pinned = pin.is_some_and(|id| core_affinity::set_for_current(core_affinity::CoreId { id }));
                wake_punctually();
                let poller = poller::Poller::new()?;
                let connections = shard.shape.peak_vus().div_ceil(shard.shard.count);
                let dialer = Dialer::new(shard.targets(), &shard.access, number, connections as usize);
                let dialer = dialer.map_err(io::Error::other)?;
                Worker::new(number, shard, writer, Clock::Real(epoch), poller, dialer, channels)
                    .run()
                    .map(|left| (pinned, left))
            })?);
        }
        drop(reports);
        let ((_looking, over), (_making, made)) = (channel(), channel());
        heads::keep_current(plan, keys_seen, made, told.clone());
        names::keep_looking_up(plan, over, told);
        let mut fleet = Fleet::new(plan, workers, recycling);
        fleet.collect(&inbox, on_tick);
        let mut pinned_to = Vec::new();
        let (mut rows_sent, mut answers) = (RowsSent::new(plan), Vec::new());
        for (thread, pin) in threads.into_iter().zip(&pins) {
            match thread.join() {
                Ok(Ok((pinned, left))) => {
                    pinned_to.extend(pin.filter(|_| pinned));
                    rows_sent.add(&left.rows_sent);
                    answers.extend(left.answers);
                }
                Ok(Err(error)) => return Err(EngineError::Poll(error)),
                Err(panic) => return Err(EngineError::Died(panic_text(panic.as_ref()))),
            }
        }
        if let Some(Err(error)) = loader.map(|loader| loader.join().unwrap_or_else(|p| std::panic::resume_unwind(p))) {
            return Err(EngineError::Rows(error));
        }
        let answers = answers::choose(answers);
        Ok(RunResult { rows_sent, answers, ..fleet.finish(plan, pinned_to) })
    })
}

/// Returns the instant zero of a load that begins now.
pub fn now() -> Instant {
    Clock::epoch()
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// Removes the 50 µs by which the kernel may delay a thread's timers to wake the processor less
/// often (prctl(2), `PR_SET_TIMERSLACK`). Otherwise a request that is due now would be sent later.
/// If the kernel refuses, `client_lag` and the pass lengths show it.
fn wake_punctually() {
    let _ = nix::sys::prctl::set_timerslack(1);
}
