//! The clock of a test: the only file that reads it.

use crate::units::Nanos;
use std::time::{Instant, SystemTime};

/// The source of the time.
#[derive(Debug)]
pub(super) enum Clock {
    Real(Instant),
    #[cfg(any(test, feature = "scripted"))]
    Script(std::rc::Rc<std::cell::Cell<Nanos>>),
}

impl Clock {
    /// Returns the instant zero of a test, the same for all its workers.
    pub(super) fn epoch() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock of a test")]
        Instant::now()
    }

    /// Returns the time since the instant zero, on the monotonic clock.
    pub(super) fn now(&self) -> Nanos {
        match self {
            Self::Real(epoch) => epoch.elapsed().into(),
            #[cfg(any(test, feature = "scripted"))]
            Self::Script(now) => now.get(),
        }
    }

    /// Returns the seconds since the UNIX epoch, on the real-time clock.
    pub(super) fn unix_seconds(&self) -> u64 {
        (self.zero_at() + self.now().0) / Nanos::from_secs(1).0
    }

    /// Returns the reading of the real-time clock at the instant zero, in ns since the UNIX epoch.
    /// The kernel makes its stamps with the real-time clock.
    pub(super) fn zero_at(&self) -> u64 {
        match self {
            Self::Real(epoch) => {
                #[expect(clippy::disallowed_methods, reason = "the kernel stamps packets with the real-time clock")]
                let real = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                Nanos::from(real).since(epoch.elapsed().into()).0
            }
            #[cfg(any(test, feature = "scripted"))]
            Self::Script(_) => super::script::ZERO_AT,
        }
    }
}

/// Returns the CPU time of this thread, user and system.
pub(super) fn thread_cpu_time() -> Nanos {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;
    let Ok(usage) = getrusage(UsageWho::RUSAGE_THREAD) else { return Nanos::ZERO };
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Nanos::from_micros(micros.unsigned_abs())
}

/// Returns the time for which this thread was ready to run and had to wait for a core, so far. Zero
/// if the kernel does not report it (`/proc/thread-self/schedstat`, second field, in ns).
pub(super) fn thread_run_wait() -> Nanos {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|wait| wait.parse().ok()).map_or(Nanos::ZERO, Nanos)
}
