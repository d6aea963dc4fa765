//! The event loop: writes events that are due, and answers requests.

use super::alarm::Alarm;
use super::answers::{self, Answers};
use super::connection::{Connection, Sent, Stream};
use super::record::Record;
use super::request::{self, Ask, Pace, Parsed};
use super::{OriginError, clock};
use crate::units::Nanos;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Registry, Token};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;

const READ_BYTES: usize = 64 * 1024;
/// Sockets that one poll may report.
const READY_PER_POLL: usize = 256;
/// Events written between two polls of the sockets. A request that waits while a burst of events is
/// written is read late, so its stream begins late, which a client could not know. 32 writes take
/// some 0.2 ms.
const DUE_PER_POLL: usize = 32;
/// Connections accepted between two checks of the schedule, for the same reason.
const ACCEPTED_PER_POLL: usize = 64;
/// Delay before the next `accept` after an error. As a rule, file descriptors have run out.
const ACCEPT_AGAIN: Nanos = Nanos::from_millis(10);

/// Connections that may wait to be accepted. The kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// The listener's token. Connections use tokens from 0 on.
const LISTENER: Token = Token(usize::MAX);
const ALARM: Token = Token(usize::MAX - 1);
const SIGNALS: Token = Token(usize::MAX - 2);

/// The next event of a connection's stream: due time, slot, generation.
type Due = Reverse<(Nanos, u32, u32)>;

#[derive(Debug)]
pub(super) struct Server {
    poll: Poll,
    /// Becomes readable with a signal that ends the origin.
    _signals: mio::net::UnixStream,
    work: Work,
}

/// All state except the poll, which is borrowed while its events are handled.
#[derive(Debug)]
struct Work {
    registry: Registry,
    listener: TcpListener,
    alarm: Alarm,
    connections: Vec<Option<Connection>>,
    free: Vec<u32>,
    next_generation: u32,
    /// Set while connections may wait; and the time of the next attempt after an error.
    accept: bool,
    accept_after: Nanos,
    schedule: BinaryHeap<Due>,
    answers: Answers,
    record: Record,
    buffer: Box<[u8]>,
}

impl Server {
    pub(super) fn listen(addr: SocketAddr, spin: bool, announce: &mut dyn FnMut(&str)) -> Result<Self, OriginError> {
        let failed = |source| OriginError::Listen { addr, source };
        let mut listener = listen(addr).map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        registry.register(&mut listener, LISTENER, Interest::READABLE)?;
        let alarm = Alarm::new(&registry, ALARM, spin)?;
        let signals = signals(&registry)?;
        announce(&format!("origin on http://{addr}"));
        let mut record = Record::default();
        record.reset(clock::now(), clock::cpu_time());
        let work = Work {
            registry,
            listener,
            alarm,
            connections: Vec::new(),
            free: Vec::new(),
            next_generation: 0,
            accept: false,
            accept_after: Nanos::ZERO,
            schedule: BinaryHeap::new(),
            answers: Answers::new(),
            record,
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
        };
        Ok(Self { poll, _signals: signals, work })
    }

    /// Serves until a signal arrives or the poll fails.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(READY_PER_POLL);
        loop {
            let next = self.work.write_due();
            let timeout = self.work.alarm.wake_at(next, clock::now())?;
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                Err(_) => continue,
                Ok(()) => {}
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.work.accept = true,
                    ALARM => {}
                    SIGNALS => return Ok(()),
                    token => self.work.serve(token, event),
                }
            }
            self.work.accept();
        }
    }
}

impl Work {
    // ---- schedule -----------------------------------------------------------------------------

    /// Writes due events, up to a bound. Returns when the next event is due.
    fn write_due(&mut self) -> Option<Nanos> {
        for _ in 0..DUE_PER_POLL {
            let &Reverse((due, slot, generation)) = self.schedule.peek()?;
            let now = clock::now();
            if due > now {
                break;
            }
            self.schedule.pop();
            self.go_on(slot, generation, due, now);
        }
        let next = self.schedule.peek().map(|Reverse((due, ..))| *due);
        if self.accept { Some(next.map_or(self.accept_after, |due| due.min(self.accept_after))) } else { next }
    }

    /// Writes the next event of a stream, or its end.
    fn go_on(&mut self, slot: u32, generation: u32, due: Nanos, now: Nanos) {
        let Some(connection) = self.connections[slot as usize].as_mut() else { return };
        // The client may have left, and another one may have taken its slot.
        let Some(stream) = connection.stream.as_mut().filter(|_| connection.generation == generation) else { return };
        if stream.sent == stream.pace.tokens {
            let tokens = stream.pace.tokens;
            connection.stream = None;
            self.record.streams_ended += 1;
            let sent = connection.send(self.answers.end(tokens));
            self.follow(slot, sent);
            self.read_on(slot);
            return;
        }
        stream.sent += 1;
        let (asked, last) = (stream.asked, stream.last.replace(now));
        let (first, next) = (stream.sent == 1, stream.due());
        let sent = connection.send(self.answers.event(now));
        match (sent, last) {
            (Sent::Whole, Some(last)) => self.record.next(now.since(last), now.since(due)),
            (Sent::Whole, None) if first => self.record.first(now.since(asked), now.since(due)),
            (Sent::Whole, None) | (Sent::Broken, _) => {}
            (Sent::Waits, _) => {
                self.record.blocked += 1;
                if let Some(stream) = &mut connection.stream {
                    stream.last = None;
                }
            }
        }
        if sent == Sent::Broken {
            self.drop(slot);
        } else {
            self.schedule.push(Reverse((next, slot, generation)));
        }
    }

    // ---- connections --------------------------------------------------------------------------

    fn accept(&mut self) {
        if !self.accept || (self.accept_after > Nanos::ZERO && clock::now() < self.accept_after) {
            return;
        }
        self.accept_after = Nanos::ZERO;
        for _ in 0..ACCEPTED_PER_POLL {
            match self.listener.accept() {
                // A socket that cannot be registered has been closed already, or the poll has
                // failed.
                Ok((socket, _)) => drop(self.welcome(socket)),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        self.accept = false;
                        return;
                    }
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => {
                        self.accept_after = clock::now() + ACCEPT_AGAIN;
                        return;
                    }
                },
            }
        }
    }

    fn welcome(&mut self, mut socket: mio::net::TcpStream) -> io::Result<()> {
        // Each event must leave at once and alone.
        socket.set_nodelay(true)?;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            (self.connections.len() - 1) as u32
        });
        let generation = self.next_generation;
        let registered =
            self.registry.register(&mut socket, token(slot, generation), Interest::READABLE | Interest::WRITABLE);
        if registered.is_err() {
            self.free.push(slot);
            return registered;
        }
        // Tokens stay below the two that do not belong to connections.
        self.next_generation = (generation + 1) % (u32::MAX >> 1);
        self.connections[slot as usize] = Some(Connection::new(socket, generation));
        Ok(())
    }

    fn drop(&mut self, slot: u32) {
        if self.connections[slot as usize].take().is_some() {
            self.free.push(slot);
        }
    }

    fn serve(&mut self, token: Token, event: &mio::event::Event) {
        let (slot, generation) = (token.0 as u32, (token.0 >> 32) as u32);
        let connection = self.connections.get_mut(slot as usize).and_then(Option::as_mut);
        let Some(connection) = connection.filter(|connection| connection.generation == generation) else { return };
        if event.is_writable() {
            let sent = connection.writable();
            if !self.follow(slot, sent) {
                return;
            }
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read(slot, event.is_read_closed() || event.is_error());
        }
    }

    /// Reads until the socket is empty. A read that does not fill the buffer has emptied it, unless
    /// the peer has closed: its FIN may have arrived with the data, and no further event follows.
    fn read(&mut self, slot: u32, closed: bool) {
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Some(connection) = self.connections[slot as usize].as_mut() {
            match connection.read(&mut buffer) {
                Ok(0) => self.drop(slot),
                Ok(n) => {
                    self.received(slot, &buffer[..n]);
                    if n < buffer.len() && !closed {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.drop(slot),
            }
        }
        self.buffer = buffer;
    }

    fn received(&mut self, slot: u32, bytes: &[u8]) {
        let asked = clock::now();
        let Some(connection) = self.connections[slot as usize].as_mut() else { return };
        if connection.unread.is_empty() {
            self.answer_all(slot, bytes, asked);
        } else if connection.keep_unread(bytes) {
            let unread = std::mem::take(&mut connection.unread);
            self.answer_all(slot, &unread, asked);
        } else {
            self.drop(slot);
        }
    }

    /// Handles requests that arrived during a stream.
    fn read_on(&mut self, slot: u32) {
        let Some(connection) = self.connections[slot as usize].as_mut() else { return };
        if !connection.unread.is_empty() {
            let unread = std::mem::take(&mut connection.unread);
            self.answer_all(slot, &unread, clock::now());
        }
    }

    /// Answers the complete requests in `bytes` one after the other, and keeps the rest.
    fn answer_all(&mut self, slot: u32, mut bytes: &[u8], asked: Nanos) {
        while let Some(connection) = self.connections[slot as usize].as_mut() {
            if bytes.is_empty() || connection.closing {
                return;
            }
            let parsed = if connection.stream.is_some() { Parsed::Partial } else { request::parse(bytes) };
            let sent = match parsed {
                Parsed::Partial => {
                    if !connection.keep_unread(bytes) {
                        self.drop(slot);
                    }
                    return;
                }
                Parsed::Broken => {
                    connection.closing = true;
                    connection.send(&answers::error("400 Bad Request", "expected HTTP/1.1 with a Content-Length"))
                }
                Parsed::Whole { ask, length, close } => {
                    bytes = &bytes[length..];
                    connection.closing = close;
                    self.answer(slot, ask, asked)
                }
            };
            self.follow(slot, sent);
        }
    }

    /// Continues after a write. Returns false if the connection is gone.
    fn follow(&mut self, slot: u32, sent: Sent) -> bool {
        let over = self.connections[slot as usize].as_ref().is_none_or(Connection::is_over);
        if over || sent == Sent::Broken {
            self.drop(slot);
            return false;
        }
        true
    }

    // ---- answers ------------------------------------------------------------------------------

    fn answer(&mut self, slot: u32, ask: Ask, asked: Nanos) -> Sent {
        let open = self.connections.len() - self.free.len();
        let Some(connection) = self.connections[slot as usize].as_mut() else { return Sent::Broken };
        if !matches!(ask, Ask::Record | Ask::Reset) {
            self.record.requests += 1;
        }
        match ask {
            Ask::Plain => connection.send(&self.answers.plain),
            Ask::Health => connection.send(&self.answers.health),
            Ask::Stream(pace) => self.begin(slot, pace.of(slot), asked),
            Ask::Burst { tokens } => {
                self.record.events += u64::from(tokens);
                connection.send(self.answers.burst(tokens, asked))
            }
            Ask::Record => {
                let body = self.record.to_json(clock::now(), clock::cpu_time(), open);
                connection.send(&answers::json("200 OK", &body))
            }
            Ask::Reset => {
                self.record.reset(clock::now(), clock::cpu_time());
                connection.send(&answers::json("200 OK", r#"{"status":"ok"}"#))
            }
            Ask::Freeze { length } => {
                let sent = connection.send(&answers::json("200 OK", r#"{"status":"ok"}"#));
                freeze(length);
                sent
            }
            Ask::Unknown => {
                connection.send(&answers::error("404 Not Found", "no such path; see `llmsim-blast origin --help`"))
            }
            Ask::BadQuery => connection
                .send(&answers::error("400 Bad Request", "expected times like 50ms, up to 1h, and tokens as a number")),
        }
    }

    fn begin(&mut self, slot: u32, pace: Pace, asked: Nanos) -> Sent {
        let Some(connection) = self.connections[slot as usize].as_mut() else { return Sent::Broken };
        self.record.streams += 1;
        let stream = Stream { pace, asked, sent: 0, last: None };
        connection.stream = Some(stream);
        self.schedule.push(Reverse((stream.due(), slot, connection.generation)));
        connection.send(self.answers.stream_head)
    }
}

/// Does nothing for a while, like a server that collects garbage or was stopped.
#[expect(clippy::disallowed_methods, reason = "to stand still is what was asked for")]
fn freeze(length: Nanos) {
    std::thread::sleep(length.to_duration());
}

fn token(slot: u32, generation: u32) -> Token {
    Token((generation as usize) << 32 | slot as usize)
}

/// Makes SIGINT and SIGTERM events of the poll. A signal between two polls is not lost.
fn signals(registry: &Registry) -> io::Result<mio::net::UnixStream> {
    let (receiver, sender) = UnixStream::pair()?;
    receiver.set_nonblocking(true)?;
    pipe::register(SIGINT, sender.try_clone()?)?;
    pipe::register(SIGTERM, sender)?;
    let mut receiver = mio::net::UnixStream::from_std(receiver);
    registry.register(&mut receiver, SIGNALS, Interest::READABLE)?;
    Ok(receiver)
}

/// Returns a listener with a queue for a thousand simultaneous clients. The usual queue of 128 to
/// 1,024 drops the rest, and the client's kernel retries only after a second.
fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM.nonblocking(), None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}
