//! Wakes the event loop in time. The poll's own timeout is rounded up to a millisecond; a kernel
//! timer that is polled is exact to some 20 µs.

use crate::units::Nanos;
use mio::{Registry, Token};
use std::io;
use std::time::Duration;

/// With `--spin`: the last part of a wait, in which the poll returns at once. It is longer than a
/// timer usually is late.
const SPIN: Nanos = Nanos::from_micros(100);

/// A timer that ends the poll.
#[derive(Debug)]
pub(super) struct Alarm {
    #[cfg(target_os = "linux")]
    timer: nix::sys::timerfd::TimerFd,
    /// The instant that the timer is set to.
    #[cfg(target_os = "linux")]
    set: Option<Nanos>,
    spin: bool,
}

impl Alarm {
    #[cfg(target_os = "linux")]
    pub(super) fn new(registry: &Registry, token: Token, spin: bool) -> io::Result<Self> {
        use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
        use std::os::fd::{AsFd, AsRawFd};
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        let fd = timer.as_fd().as_raw_fd();
        registry.register(&mut mio::unix::SourceFd(&fd), token, mio::Interest::READABLE)?;
        Ok(Self { timer, set: None, spin })
    }

    /// Other kernels lack such a timer, so the poll's timeout is used there.
    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unnecessary_wraps, reason = "it can fail on Linux")]
    pub(super) fn new(_registry: &Registry, _token: Token, spin: bool) -> io::Result<Self> {
        Ok(Self { spin })
    }

    /// Returns the timeout with which to poll, so that the poll returns at `due`. `None` waits for
    /// the next event of a socket.
    pub(super) fn wake_at(&mut self, due: Option<Nanos>, now: Nanos) -> io::Result<Option<Duration>> {
        let Some(due) = due else { return Ok(None) };
        let due = if self.spin { Nanos(due.0.saturating_sub(SPIN.0)) } else { due };
        if due <= now {
            return Ok(Some(Duration::ZERO));
        }
        self.arm(due, now)
    }

    /// Setting the timer clears its earlier expiration, so it need not be read: its next expiration
    /// is a new edge for the poll.
    #[cfg(target_os = "linux")]
    fn arm(&mut self, due: Nanos, _now: Nanos) -> io::Result<Option<Duration>> {
        use nix::sys::time::TimeSpec;
        use nix::sys::timerfd::{Expiration, TimerSetTimeFlags};
        if self.set != Some(due) {
            let at = TimeSpec::from_duration(due.to_duration());
            self.timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            self.set = Some(due);
        }
        Ok(None)
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "it can fail on Linux")]
    fn arm(&mut self, due: Nanos, now: Nanos) -> io::Result<Option<Duration>> {
        Ok(Some(due.since(now).to_duration()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::clock;
    use mio::{Events, Poll};

    #[test]
    fn it_wakes_again_and_again_and_never_early() {
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        let mut alarm = Alarm::new(poll.registry(), Token(7), false).unwrap();
        for _ in 0..5 {
            let due = clock::now() + Nanos::from_micros(1_500);
            while clock::now() < due {
                let timeout = alarm.wake_at(Some(due), clock::now()).unwrap();
                poll.poll(&mut events, timeout).unwrap();
            }
        }
        assert_eq!(alarm.wake_at(None, clock::now()).unwrap(), None);
        assert_eq!(alarm.wake_at(Some(clock::now()), clock::now()).unwrap(), Some(Duration::ZERO));
    }

    #[test]
    fn spinning_begins_before_the_end() {
        let poll = Poll::new().unwrap();
        let mut alarm = Alarm::new(poll.registry(), Token(7), true).unwrap();
        let now = clock::now();
        assert_eq!(alarm.wake_at(Some(now + Nanos::from_micros(99)), now).unwrap(), Some(Duration::ZERO));
        assert_ne!(alarm.wake_at(Some(now + Nanos::from_millis(99)), now).unwrap(), Some(Duration::ZERO));
    }
}
