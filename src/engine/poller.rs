//! Waits for sockets: with mio, or in tests in a scripted world with its own clock.

use super::ready::Ready;
use crate::net::{Dialer, Route, Stream};
use crate::units::Nanos;
use mio::{Events, Poll, Token};
use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventFlags};
use rustix::io::Errno;
use std::fmt;
use std::io;

/// Maximum number of sockets that are served in one pass. The rest waits for the next pass. The
/// bound keeps passes short.
const EVENTS_PER_PASS: usize = 1024;

/// The source of sockets and of their events.
pub(super) enum Poller {
    Mio {
        poll: Poll,
        events: Vec<Event>,
        /// Set if the kernel has no `epoll_pwait2`: it is older than Linux 5.11, or a container
        /// forbids system calls that it does not know. Then mio waits, and timeouts are rounded up
        /// to milliseconds.
        millis_only: Option<Events>,
    },
    #[cfg(any(test, feature = "scripted"))]
    Script(super::script::World),
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").finish_non_exhaustive()
    }
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self::Mio { poll: Poll::new()?, events: Vec::with_capacity(EVENTS_PER_PASS), millis_only: None })
    }

    /// Begins to connect. Every event of the socket carries `token`. A socket that is read `slowly`
    /// has a small receive buffer.
    pub(super) fn connect(
        &mut self,
        dialer: &mut Dialer,
        route: Route,
        token: Token,
        slowly: bool,
    ) -> io::Result<Stream> {
        match self {
            Self::Mio { poll, .. } => dialer.dial(route, poll.registry(), token, slowly),
            #[cfg(any(test, feature = "scripted"))]
            Self::Script(world) => Ok(world.connect(token)),
        }
    }

    /// Waits at most `timeout` and puts the sockets that have events into `ready`. Returns `false`
    /// if a signal interrupted the wait, for example when a stopped process continues. Then nothing
    /// is known of the sockets.
    ///
    /// Sockets are registered with mio, but the wait goes to its epoll directly: mio rounds a
    /// timeout up to the next millisecond, and a request that is due in 0.2 ms would start late.
    pub(super) fn wait(&mut self, timeout: Nanos, ready: &mut Vec<Ready>) -> io::Result<bool> {
        ready.clear();
        match self {
            Self::Mio { poll, millis_only: Some(events), .. } => {
                if let Err(error) = poll.poll(events, Some(timeout.to_duration())) {
                    return if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) };
                }
                ready.extend(events.iter().map(|event| Ready {
                    token: event.token(),
                    readable: event.is_readable(),
                    writable: event.is_writable(),
                    closed: event.is_read_closed() || event.is_error(),
                }));
            }
            Self::Mio { poll, events, millis_only } => {
                match epoll_wait(poll, events, timeout) {
                    Ok(()) => {}
                    Err(Errno::INTR) => return Ok(false),
                    Err(Errno::NOSYS | Errno::PERM) => {
                        *millis_only = Some(Events::with_capacity(EVENTS_PER_PASS));
                        return self.wait(timeout, ready);
                    }
                    Err(error) => return Err(error.into()),
                }
                ready.extend(events.iter().map(|event| {
                    // The structure is packed: its fields are copied, not borrowed.
                    let (flags, data) = (event.flags, event.data);
                    // As in mio: HUP means that both directions are closed, RDHUP only the peer's.
                    let closed = flags.intersects(EventFlags::HUP | EventFlags::RDHUP | EventFlags::ERR);
                    Ready {
                        token: Token(data.u64() as usize),
                        readable: flags.contains(EventFlags::IN),
                        writable: flags.contains(EventFlags::OUT),
                        closed,
                    }
                }));
            }
            #[cfg(any(test, feature = "scripted"))]
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
            #[cfg(any(test, feature = "scripted"))]
            Self::Script(world) => world.pause(length),
        }
    }
}

fn epoll_wait(poll: &Poll, events: &mut Vec<Event>, timeout: Nanos) -> Result<(), Errno> {
    // The timeout is at most the longest wait of a pass, far below the range of either field.
    let tv_sec = (timeout.0 / 1_000_000_000).cast_signed();
    let timeout = Timespec { tv_sec, tv_nsec: (timeout.0 % 1_000_000_000).cast_signed() };
    events.clear();
    epoll::wait(poll.registry(), rustix::buffer::spare_capacity(events), Some(&timeout)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Access, Target};
    use std::io::Write;
    use std::net::TcpListener;

    /// Returns a poller with a connected socket under token 7, and the peer's end of it.
    fn connected(mut poller: Poller) -> (Poller, Stream, std::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let target = Target { addrs: vec![addr], ..Target::parse("http://h").expect("a URL") };
        let mut dialer = Dialer::new(&[target], &Access::default(), 0, 1).expect("nothing that could fail");
        let route = dialer.next_route();
        let stream = poller.connect(&mut dialer, route, Token(7), false).expect("begins to connect");
        let (peer, _) = listener.accept().expect("the connection");
        (poller, stream, peer)
    }

    fn wait_for(poller: &mut Poller, what: fn(&Ready) -> bool) -> Ready {
        let mut ready = Vec::new();
        for _ in 0..100 {
            poller.wait(Nanos::from_millis(100), &mut ready).expect("a poll");
            if let Some(found) = ready.iter().find(|ready| what(ready)) {
                return *found;
            }
        }
        panic!("nothing came in ten seconds");
    }

    #[test]
    fn with_and_without_fine_timeouts_the_same_is_reported() {
        let fine = Poller::new().expect("a poll");
        let mut coarse = Poller::new().expect("a poll");
        if let Poller::Mio { millis_only, .. } = &mut coarse {
            *millis_only = Some(Events::with_capacity(EVENTS_PER_PASS));
        }
        for poller in [fine, coarse] {
            let (mut poller, _stream, mut peer) = connected(poller);
            assert!(!wait_for(&mut poller, |ready| ready.writable).closed);
            peer.write_all(b"x").expect("a byte");
            let ready = wait_for(&mut poller, |ready| ready.readable);
            assert_eq!((ready.token, ready.closed), (Token(7), false));
            drop(peer);
            assert!(wait_for(&mut poller, |ready| ready.closed).readable);
        }
    }
}
