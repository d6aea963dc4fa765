//! Waiting for sockets: mio, or in tests a scripted world with its own clock.

use crate::net::{Dialer, Stream, Way};
use crate::units::Nanos;
use mio::{Poll, Token};
use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventFlags};
use rustix::io::Errno;
use std::fmt;
use std::io;

/// Most sockets served in one pass. More are served in the next; a bound keeps a pass short.
const EVENTS_PER_PASS: usize = 1024;

/// A socket that has something to say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ready {
    pub(super) token: Token,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The peer has closed its side, or the socket is in error: no further event will come, so reads must go on to the end.
    pub(super) closed: bool,
}

/// Where sockets come from and are waited for.
pub(super) enum Poller {
    Mio {
        poll: Poll,
        events: Vec<Event>,
        /// The kernel is older than Linux 5.11 and knows no timeouts below a millisecond.
        millis_only: bool,
    },
    #[cfg(test)]
    Script(super::script::World),
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").finish_non_exhaustive()
    }
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self::Mio { poll: Poll::new()?, events: Vec::with_capacity(EVENTS_PER_PASS), millis_only: false })
    }

    /// Begins to connect; the token comes back with every event of that socket.
    pub(super) fn connect(&mut self, dialer: &mut Dialer, way: Way, token: Token) -> io::Result<Stream> {
        match self {
            Self::Mio { poll, .. } => dialer.dial(way, poll.registry(), token),
            #[cfg(test)]
            Self::Script(world) => Ok(world.connect(token)),
        }
    }

    /// Waits at most `timeout` and puts the sockets that have something to say into `ready`. Says `false` when a signal interrupted it:
    /// a process that was stopped and goes on finds itself here, and nothing is known of the sockets then.
    ///
    /// Sockets are registered with mio; its epoll is waited for directly, because mio rounds a timeout up to the next millisecond and
    /// a request that is due in 0.2 ms would start late.
    pub(super) fn wait(&mut self, timeout: Nanos, ready: &mut Vec<Ready>) -> io::Result<bool> {
        ready.clear();
        match self {
            Self::Mio { poll, events, millis_only } => {
                let timeout = if *millis_only { whole_millis(timeout) } else { timeout };
                match epoll_wait(poll, events, timeout) {
                    Err(Errno::INTR) => return Ok(false),
                    Err(Errno::NOSYS) if !*millis_only => {
                        *millis_only = true;
                        return self.wait(timeout, ready);
                    }
                    other => other?,
                }
                ready.extend(events.iter().map(|event| {
                    // The structure is packed: its fields are copied, not borrowed.
                    let (flags, data) = (event.flags, event.data);
                    // As mio does: a hang-up means both directions are over, RDHUP the peer's.
                    let closed = flags.intersects(EventFlags::HUP | EventFlags::RDHUP | EventFlags::ERR);
                    Ready {
                        token: Token(data.u64() as usize),
                        readable: flags.contains(EventFlags::IN),
                        writable: flags.contains(EventFlags::OUT),
                        closed,
                    }
                }));
            }
            #[cfg(test)]
            Self::Script(world) => world.wait(timeout, ready),
        }
        Ok(true)
    }

    /// Lets time pass without looking at the sockets.
    pub(super) fn pause(&mut self, length: Nanos) {
        match self {
            #[expect(
                clippy::disallowed_methods,
                reason = "the pause between two polls is the point: wakes are batched"
            )]
            Self::Mio { .. } => std::thread::sleep(length.to_duration()),
            #[cfg(test)]
            Self::Script(world) => world.pause(length),
        }
    }
}

fn epoll_wait(poll: &Poll, events: &mut Vec<Event>, timeout: Nanos) -> Result<(), Errno> {
    // At most the longest wait of a pass, far below the range of either field.
    let tv_sec = (timeout.0 / 1_000_000_000).cast_signed();
    let timeout = Timespec { tv_sec, tv_nsec: (timeout.0 % 1_000_000_000).cast_signed() };
    events.clear();
    epoll::wait(poll.registry(), rustix::buffer::spare_capacity(events), Some(&timeout)).map(drop)
}

/// Rounded up, so that nothing is asked for in vain just before it is due.
fn whole_millis(timeout: Nanos) -> Nanos {
    Nanos::from_millis(timeout.0.div_ceil(1_000_000))
}
