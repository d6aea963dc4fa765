//! The clock of the origin: the raw `CLOCK_MONOTONIC`, so that an instant means the same in another
//! process and to a timer of the kernel. (The standard library's `Instant` does not expose its
//! value.)

use crate::units::Nanos;
use nix::time::{ClockId, clock_gettime};

/// Returns the current time since the boot of the machine.
pub(super) fn now() -> Nanos {
    // This call only fails for a clock that does not exist. This clock exists on every Unix.
    let Ok(time) = clock_gettime(ClockId::CLOCK_MONOTONIC) else { return Nanos::ZERO };
    Nanos(time.tv_sec().unsigned_abs().saturating_mul(1_000_000_000) + time.tv_nsec().unsigned_abs())
}

/// Returns the CPU time of this process, user and system.
pub(super) fn cpu_time() -> Nanos {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Nanos::ZERO };
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Nanos::from_micros(micros.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes() {
        let (then, used) = (now(), cpu_time());
        while now().since(then) < Nanos::from_millis(2) {}
        assert!(now() > then && cpu_time() > used);
    }
}
