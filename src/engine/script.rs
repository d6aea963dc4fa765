//! A world for tests: peers that follow a script, and a clock that only moves when the worker
//! waits. It is exact to the nanosecond and the same every time.

#![cfg_attr(not(test), allow(dead_code, reason = "benches need only a part of it"))]

use super::ready::Ready;
use crate::net::script::{Kernel, Socket};
use crate::net::{Stamp, Stream};
use crate::units::Nanos;
use mio::Token;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::rc::Rc;

/// The reading of that world's real-time clock at the start of a test.
pub(super) const ZERO_AT: u64 = 1_790_000_000_000_000_000;

/// An event that a peer notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    /// A connection is opened, the `nth` (from 0).
    Connect { nth: usize },
    /// The connection of that number has sent bytes.
    Bytes { connection: usize, bytes: &'a [u8] },
}

/// An action of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    Accept,
    Refuse,
    Send(Vec<u8>),
    /// As `Send`, but noticed late: the kernel received the bytes at that instant of the test.
    SendStamped(Vec<u8>, Nanos),
    Close,
    Reset,
    /// Takes that many bytes more. Only for sockets that were [`Act::Throttle`]d.
    Take(usize),
    /// Takes no more than that many bytes from now on.
    Throttle(usize),
}

type Peer = Box<dyn FnMut(Heard<'_>) -> Vec<(Nanos, Act)>>;

/// Sockets, peers and time.
pub(super) struct World {
    now: Rc<Cell<Nanos>>,
    peer: Peer,
    /// By token, with the number of the connection.
    sockets: Vec<(Token, Rc<RefCell<Kernel>>)>,
    agenda: BTreeMap<(Nanos, usize), (usize, Act)>,
    planned: usize,
    /// Events during a pause. The next wait reports them.
    missed: Vec<Ready>,
    /// Intervals, ascending, in which the worker gets no core. A poll that would return in one of
    /// them returns at its end.
    pub(super) starved: Vec<(Nanos, Nanos)>,
    /// The instants at which connections were begun.
    pub(super) connects: Rc<RefCell<Vec<Nanos>>>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("now", &self.now.get()).field("agenda", &self.agenda).finish_non_exhaustive()
    }
}

impl World {
    /// Creates a world. `peer` responds to each event with acts and their delays.
    pub(super) fn new(now: Rc<Cell<Nanos>>, peer: impl FnMut(Heard<'_>) -> Vec<(Nanos, Act)> + 'static) -> Self {
        Self {
            now,
            peer: Box::new(peer),
            sockets: Vec::new(),
            agenda: BTreeMap::new(),
            planned: 0,
            missed: Vec::new(),
            starved: Vec::new(),
            connects: Rc::default(),
        }
    }

    pub(super) fn connect(&mut self, token: Token) -> Stream {
        let kernel = Rc::new(RefCell::new(Kernel::default()));
        let nth = self.sockets.len();
        self.sockets.push((token, Rc::clone(&kernel)));
        self.connects.borrow_mut().push(self.now.get());
        let acts = (self.peer)(Heard::Connect { nth });
        self.plan(nth, acts);
        Stream::scripted(Socket(kernel))
    }

    /// Passes what was written to the peers, then moves the clock to the next event, at most by
    /// `timeout`.
    pub(super) fn wait(&mut self, timeout: Nanos, ready: &mut Vec<Ready>) {
        self.listen();
        ready.append(&mut self.missed);
        let limit = if ready.is_empty() { self.now.get().saturating_add(timeout) } else { self.now.get() };
        let next = self.agenda.first_key_value().map_or(Nanos::MAX, |(&(next, _), _)| next);
        let returns = next.min(limit).max(self.now.get());
        let starved = self.starved.iter().find(|(begin, end)| (*begin..*end).contains(&returns));
        self.go_on_to(starved.map_or(returns, |&(_, end)| end), ready);
    }

    /// Moves the clock. The next wait reports the events in between.
    pub(super) fn pause(&mut self, length: Nanos) {
        self.listen();
        let mut missed = std::mem::take(&mut self.missed);
        self.go_on_to(self.now.get() + length, &mut missed);
        self.missed = missed;
    }

    fn listen(&mut self) {
        for connection in 0..self.sockets.len() {
            let bytes = std::mem::take(&mut self.sockets[connection].1.borrow_mut().outbox);
            if !bytes.is_empty() {
                let acts = (self.peer)(Heard::Bytes { connection, bytes: &bytes });
                self.plan(connection, acts);
            }
        }
    }

    fn go_on_to(&mut self, now: Nanos, ready: &mut Vec<Ready>) {
        self.now.set(now);
        while let Some(entry) = self.agenda.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let (connection, act) = entry.remove();
            ready.extend(self.act(connection, act));
        }
    }

    fn plan(&mut self, connection: usize, acts: Vec<(Nanos, Act)>) {
        for (delay, act) in acts {
            self.agenda.insert((self.now.get() + delay, self.planned), (connection, act));
            self.planned += 1;
        }
    }

    fn act(&mut self, connection: usize, act: Act) -> Option<Ready> {
        let (token, kernel) = &self.sockets[connection];
        let mut kernel = kernel.borrow_mut();
        if kernel.dropped {
            return None;
        }
        let mut ready = Ready { token: *token, readable: false, writable: false, closed: false };
        match act {
            Act::Accept => {
                kernel.connected = Some(Ok(()));
                ready.writable = true;
                // Bytes that the peer sent earlier are reported together with it.
                ready.readable = !kernel.inbox.is_empty();
            }
            Act::Refuse => {
                kernel.connected = Some(Err(io::ErrorKind::ConnectionRefused));
                ready.closed = true;
            }
            Act::Send(bytes) => {
                kernel.inbox.push_back(Ok((bytes, None)));
                ready.readable = true;
            }
            Act::SendStamped(bytes, at) => {
                let stamp = Stamp(ZERO_AT + at.0);
                match kernel.inbox.back_mut() {
                    // The earlier bytes are unread: one read takes both, with the later stamp.
                    Some(Ok((unread, Some(earlier)))) => {
                        unread.extend(bytes);
                        *earlier = stamp;
                    }
                    _ => kernel.inbox.push_back(Ok((bytes, Some(stamp)))),
                }
                ready.readable = true;
            }
            Act::Close => {
                kernel.eof = true;
                ready.closed = true;
            }
            Act::Reset => {
                kernel.inbox.push_back(Err(io::ErrorKind::ConnectionReset.into()));
                kernel.reset = true;
                // As in epoll: a socket in error is also readable and writable.
                (ready.readable, ready.writable, ready.closed) = (true, true, true);
            }
            Act::Take(bytes) => {
                kernel.window = kernel.window.map(|w| w + bytes);
                ready.writable = true;
            }
            Act::Throttle(bytes) => {
                kernel.window = Some(bytes);
                return None;
            }
        }
        Some(ready)
    }
}
