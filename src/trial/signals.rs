//! The first signal stops the run gracefully and keeps the measurements. The second one stops it at
//! once.

use super::error::TrialError;
use crate::exit::ExitClass;
use crate::host;
use crate::units::Nanos;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::low_level;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Signals within this time of the first one count as the same. coreutils' `timeout` sends one to
/// its child and another one, at the same instant, to the group. Nobody presses Ctrl-C twice that
/// fast.
const TOGETHER: Nanos = Nanos::from_millis(100);
/// Pause between two checks of the flag while other work blocks.
const LOOK: Duration = Duration::from_millis(50);

/// The flags that end a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    /// Raised by a signal, by a threshold with `abort_on_fail`, or by the end of the server.
    ended: Arc<AtomicBool>,
    /// Raised by a signal only.
    signalled: Arc<AtomicBool>,
}

impl Stop {
    pub(crate) fn is_set(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Returns true if the user has asked to end.
    pub(crate) fn is_signalled(&self) -> bool {
        self.signalled.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Ends the run as a signal would, because another shard has asked for it.
    pub(super) fn signal(&self) {
        self.signalled.store(true, Ordering::Relaxed);
        self.set();
    }

    /// Returns the flag itself, for modules that do not know about signals.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.ended
    }

    /// Waits for work that may block, on a separate thread. A signal ends the wait; the work is
    /// then abandoned and its result dropped.
    pub(super) fn wait_for<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, TrialError> {
        let (sender, receiver) = channel();
        let thread = thread::Builder::new().name("waiting".to_owned()).spawn(move || {
            // The receiver may be gone.
            let _ = sender.send(work());
        })?;
        loop {
            let done = receiver.recv_timeout(LOOK);
            if self.is_signalled() {
                return Err(TrialError::Interrupted);
            }
            match done {
                Ok(result) => return Ok(result),
                Err(RecvTimeoutError::Timeout) => {}
                // A panic in that thread is a defect here, too.
                Err(RecvTimeoutError::Disconnected) => match thread.join() {
                    Err(panic) => std::panic::resume_unwind(panic),
                    Ok(()) => return Err(io::Error::other("a thread ended without its result").into()),
                },
            }
        }
    }
}

/// Begins to handle signals: the first one raises the flags, and the second one ends the process at
/// once. No child outlives that: the kernel kills a server that was started here. SIGHUP is handled
/// in the same way, unless the parent has set it to be ignored (nohup).
pub(super) fn watch() -> io::Result<Stop> {
    let stop = Stop::default();
    let mut all = vec![SIGINT, SIGTERM];
    if !host::ignores(SIGHUP) {
        all.push(SIGHUP);
    }
    // The signal handler itself raises the flags, so a system call that it interrupts finds them
    // raised.
    for &signal in &all {
        flag::register(signal, Arc::clone(&stop.signalled))?;
        flag::register(signal, Arc::clone(&stop.ended))?;
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

/// Tells a second request to end from an echo of the first.
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

    #[test]
    fn a_signal_ends_the_wait_for_what_blocks() {
        let stop = Stop::default();
        assert_eq!(stop.wait_for(|| 7).expect("done"), 7);
        let (_held, blocks) = channel::<()>();
        stop.signalled.store(true, Ordering::Relaxed);
        let error = stop.wait_for(move || blocks.recv()).expect_err("it never comes");
        assert!(matches!(error, TrialError::Interrupted), "{error}");
    }
}
