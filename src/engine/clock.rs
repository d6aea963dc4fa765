//! The clock of a test: the only file that reads it.

use crate::units::Nanos;
use std::time::{Instant, SystemTime};

/// Where the time comes from.
#[derive(Debug)]
pub(super) enum Clock {
    Real(Instant),
    #[cfg(any(test, feature = "scripted"))]
    Script(std::rc::Rc<std::cell::Cell<Nanos>>),
}

impl Clock {
    /// The instant zero of a test, the same for all its workers.
    pub(super) fn epoch() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock of a test")]
        Instant::now()
    }

    /// Time since the instant zero, on the monotonic clock.
    pub(super) fn now(&self) -> Nanos {
        match self {
            Self::Real(epoch) => epoch.elapsed().into(),
            #[cfg(any(test, feature = "scripted"))]
            Self::Script(now) => now.get(),
        }
    }

    /// Seconds since the UNIX epoch, on the real-time clock.
    pub(super) fn unix_seconds(&self) -> u64 {
        (self.zero_at() + self.now().0) / Nanos::from_secs(1).0
    }

    /// What the real-time clock, which the kernel's stamps are made with, read at the instant zero:
    /// ns since the UNIX epoch.
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

/// CPU time of this thread, user and system.
pub(super) fn thread_cpu_time() -> Nanos {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;
    let Ok(usage) = getrusage(UsageWho::RUSAGE_THREAD) else { return Nanos::ZERO };
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Nanos::from_micros(micros.unsigned_abs())
}

/// How long this thread could have run and had to wait for a core, so far. Zero where the kernel
/// does not tell (`/proc/thread-self/schedstat`, second field, in ns).
pub(super) fn thread_run_wait() -> Nanos {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|wait| wait.parse().ok()).map_or(Nanos::ZERO, Nanos)
}
