//! Waiting for sockets: mio, or in tests a scripted world with its own clock.

use crate::net::Stream;
use crate::units::Nanos;
use mio::{Events, Poll, Token};
use std::io;
use std::net::SocketAddr;

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
#[derive(Debug)]
pub(super) enum Poller {
    Mio {
        poll: Poll,
        events: Events,
    },
    #[cfg(test)]
    Script(super::script::World),
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self::Mio { poll: Poll::new()?, events: Events::with_capacity(EVENTS_PER_PASS) })
    }

    /// Begins to connect; the token comes back with every event of that socket.
    pub(super) fn connect(&mut self, addr: SocketAddr, token: Token) -> io::Result<Stream> {
        match self {
            Self::Mio { poll, .. } => Stream::connect(addr, poll.registry(), token),
            #[cfg(test)]
            Self::Script(world) => Ok(world.connect(token)),
        }
    }

    /// Waits at most `timeout` and puts the sockets that have something to say into `ready`.
    pub(super) fn wait(&mut self, timeout: Nanos, ready: &mut Vec<Ready>) -> io::Result<()> {
        ready.clear();
        match self {
            Self::Mio { poll, events } => {
                match poll.poll(events, Some(timeout.to_duration())) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
                    other => other?,
                }
                ready.extend(events.iter().map(|event| Ready {
                    token: event.token(),
                    readable: event.is_readable(),
                    writable: event.is_writable(),
                    closed: event.is_read_closed() || event.is_error(),
                }));
            }
            #[cfg(test)]
            Self::Script(world) => world.wait(timeout, ready),
        }
        Ok(())
    }
}
