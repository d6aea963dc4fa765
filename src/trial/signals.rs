//! Ctrl-C once: stop gracefully. Twice: stop at once.

use crate::exit::ExitClass;
use crate::units::Nanos;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::low_level;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

/// Signals that follow the first within this are the same wish: coreutils' `timeout` sends one to its child and another, in the same
/// instant, to the group. Nobody presses Ctrl-C twice so fast.
const TOGETHER: Nanos = Nanos::from_millis(100);

/// A flag that ends a run: raised by a signal, by a threshold that aborts, or by the end of the server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The flag itself, for rooms that know no signals.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.0
    }
}

/// From now on a first signal raises the flag, and a second ends the process on the spot. Nothing outlives us then: a server that was
/// started here is killed by the kernel.
pub(super) fn watch() -> io::Result<Stop> {
    let stop = Stop::default();
    let all = [SIGINT, SIGTERM];
    // The flag is raised by the handler itself: what the signal has woken finds it.
    for signal in all {
        flag::register(signal, Arc::clone(&stop.0))?;
    }
    let mut signals = Signals::new(all)?;
    #[expect(clippy::disallowed_methods, reason = "when a key was pressed is no time of a test")]
    let begin = Instant::now();
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut presses = Presses::default();
        for _ in signals.forever() {
            if presses.is_second(begin.elapsed().into()) {
                low_level::exit(i32::from(ExitClass::Interrupted.code()));
            }
        }
    })?;
    Ok(stop)
}

/// Tells a second wish to end from the echo of the first.
#[derive(Debug, Default)]
struct Presses {
    first: Option<Nanos>,
}

impl Presses {
    fn is_second(&mut self, now: Nanos) -> bool {
        let first = *self.first.get_or_insert(now);
        now.since(first) >= TOGETHER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_of_one_instant_are_one_wish() {
        let mut presses = Presses::default();
        let seen = [5_000, 5_000, 5_099, 5_100, 9_000].map(|ms| presses.is_second(Nanos::from_millis(ms)));
        assert_eq!(seen, [false, false, false, true, true]);
    }
}
