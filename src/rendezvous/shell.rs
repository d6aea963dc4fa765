//! The thread that moves bytes: the standard library's sockets, one poll, one state machine.

use super::Part;
use super::guest::Guest;
use super::host::Host;
use super::proof::Nonce;
use super::step::{Action, Command, Event, Id, Machine};
use crate::units::Nanos;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes read from a socket at once.
const READ: usize = 64 * 1_024;
/// Longest attempt to connect to one address.
const CONNECT: Duration = Duration::from_secs(2);
/// Longest wait for the last bytes to be sent.
const FAREWELL: Nanos = Nanos::from_secs(2);
/// Longest wait of one poll.
const LONGEST_POLL: Nanos = Nanos::from_secs(1);

/// Handles an event on the rendezvous thread, where it must not block. May return a command.
pub(crate) type OnEvent = Box<dyn FnMut(Event) -> Option<Command> + Send>;

/// The port of shard 0, before connections are accepted.
#[derive(Debug)]
pub(crate) struct Listener(TcpListener);

impl Listener {
    /// Binds the first available address.
    pub(crate) fn bind(addresses: &[std::net::SocketAddr]) -> io::Result<Self> {
        let listener = TcpListener::bind(addresses)?;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    /// Begins to accept shards.
    pub(crate) fn open(self, part: &Part, on_event: OnEvent) -> io::Result<Line> {
        let (who, key, most) = (part.who(), part.key.clone(), part.most_of_a_result);
        let (timeout, is_watched) = (part.timeout, part.is_watched);
        let host = move |now| Host::new(who, key, most, timeout, now).watched(is_watched);
        Line::start(Some(self.0), String::new(), on_event, host)
    }
}

/// The run's handle of the rendezvous. Commands are sent to it, and events go to the given
/// function.
#[derive(Debug)]
pub(crate) struct Line {
    commands: Sender<Command>,
    wake: UnixStream,
    thread: Option<JoinHandle<()>>,
    epoch: Instant,
}

impl Line {
    /// Connects to shard 0 at `HOST:PORT`. Retries until shard 0 listens.
    pub(crate) fn connect(place: &str, part: &Part, on_event: OnEvent) -> io::Result<Self> {
        let (who, key, timeout, to) = (part.who(), part.key.clone(), part.timeout, place.to_owned());
        Self::start(None, place.to_owned(), on_event, move |now| Guest::new(who, key, to, timeout, now))
    }

    fn start<M: Machine + 'static>(
        listener: Option<TcpListener>,
        place: String,
        on_event: OnEvent,
        machine: impl FnOnce(Nanos) -> M + Send + 'static,
    ) -> io::Result<Self> {
        let (commands, incoming) = channel();
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let random = File::open("/dev/urandom")?;
        #[expect(clippy::disallowed_methods, reason = "the clock of the meeting, which is over when the load begins")]
        let epoch = Instant::now();
        let (sockets, last, buffer) = (BTreeMap::new(), Id::MAX / 2, vec![0; READ]);
        let shell = Shell { epoch, listener, place, woken, random, sockets, last, buffer };
        let thread = std::thread::Builder::new()
            .name("rendezvous".to_owned())
            .spawn(move || shell.run(&mut machine(Nanos::ZERO), &incoming, on_event))?;
        Ok(Self { commands, wake, thread: Some(thread), epoch })
    }

    /// Sends a command. After the end of the rendezvous, the command is dropped.
    pub(crate) fn send(&self, command: Command) {
        let _ = self.commands.send(command);
        // If the pipe is full, the thread will wake anyway.
        let _ = (&self.wake).write(&[0]);
    }

    /// Returns true if the rendezvous thread has ended. All its events have been delivered by then.
    pub(crate) fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Returns the time left until an instant of the rendezvous clock. Zero if the instant has
    /// passed.
    pub(crate) fn until(&self, at: Nanos) -> Duration {
        at.to_duration().saturating_sub(self.epoch.elapsed())
    }

    /// Converts an instant of the rendezvous clock.
    pub(crate) fn instant(&self, at: Nanos) -> Instant {
        self.epoch + at.to_duration()
    }
}

#[cfg(test)]
impl Line {
    /// Returns a line whose thread has ended.
    pub(crate) fn dead() -> Self {
        let (commands, _) = channel();
        let (wake, _) = UnixStream::pair().expect("a pair of sockets");
        #[expect(clippy::disallowed_methods, reason = "no clock is compared with it")]
        let line = Self { commands, wake, thread: None, epoch: Instant::now() };
        line
    }
}

impl Drop for Line {
    /// Sends the remaining bytes, for a few seconds at most.
    fn drop(&mut self) {
        self.send(Command::Leave);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed already.
            let _ = thread.join();
        }
    }
}

/// A connection and its unsent bytes.
struct Socket {
    stream: TcpStream,
    /// Bytes to be sent, from `sent` on.
    pending: Vec<u8>,
    /// Bytes of `pending` that the kernel has taken.
    sent: usize,
    /// True if the socket is to be closed once everything is sent.
    closing: bool,
}

struct Shell {
    epoch: Instant,
    listener: Option<TcpListener>,
    place: String,
    woken: UnixStream,
    random: File,
    sockets: BTreeMap<Id, Socket>,
    /// The last accepted connection. Connections opened by this process are numbered from 1.
    last: Id,
    /// Buffer for one read.
    buffer: Vec<u8>,
}

impl Shell {
    fn now(&self) -> Nanos {
        self.epoch.elapsed().into()
    }

    fn run<M: Machine>(mut self, machine: &mut M, commands: &Receiver<Command>, mut on_event: OnEvent) {
        let mut leave_by = Nanos::MAX;
        loop {
            loop {
                match commands.try_recv() {
                    Ok(command) => machine.command(command, self.now()),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        machine.command(Command::Leave, self.now());
                        break;
                    }
                }
            }
            machine.tick(self.now());
            self.settle(machine, &mut on_event);
            let now = self.now();
            if machine.is_over() {
                leave_by = leave_by.min(now.saturating_add(FAREWELL));
                if self.sockets.is_empty() || now >= leave_by {
                    return;
                }
            }
            self.wait(machine, machine.due().min(leave_by).since(now).min(LONGEST_POLL));
        }
    }

    /// Carries out the machine's actions until there are none left.
    fn settle(&mut self, machine: &mut impl Machine, on_event: &mut OnEvent) {
        loop {
            let (actions, events) = (machine.actions(), machine.events());
            if actions.is_empty() && events.is_empty() {
                return;
            }
            for action in actions {
                self.act(machine, action);
            }
            for command in events.into_iter().filter_map(&mut *on_event) {
                machine.command(command, self.now());
            }
        }
    }

    fn act(&mut self, machine: &mut impl Machine, action: Action) {
        match action {
            Action::Connect(id) => match self.connect() {
                Ok(stream) => self.add(machine, id, stream),
                Err(_) => machine.closed(id, self.now()),
            },
            Action::Send(id, bytes) => {
                let Some(socket) = self.sockets.get_mut(&id) else { return };
                socket.pending.extend_from_slice(&bytes);
                if socket.flush().is_err() {
                    self.gone(machine, id);
                }
            }
            Action::Close(id) => {
                if let Some(socket) = self.sockets.get_mut(&id) {
                    socket.closing = true;
                    if socket.has_sent_all() {
                        self.sockets.remove(&id);
                    }
                }
            }
        }
    }

    /// Connects to shard 0. Its name may not resolve yet: a pod gets its name when it runs.
    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::from(ErrorKind::NotFound);
        for address in self.place.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn add(&mut self, machine: &mut impl Machine, id: Id, stream: TcpStream) {
        let mut nonce = Nonce::default();
        let ready = stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true));
        if ready.and_then(|()| self.random.read_exact(&mut nonce)).is_err() {
            return machine.closed(id, self.now());
        }
        let peer = stream.peer_addr().map_or_else(|_| "unknown".to_owned(), |peer| peer.to_string());
        self.sockets.insert(id, Socket { stream, pending: Vec::new(), sent: 0, closing: false });
        machine.opened(id, &peer, &nonce, self.now());
    }

    fn gone(&mut self, machine: &mut impl Machine, id: Id) {
        if self.sockets.remove(&id).is_some_and(|socket| !socket.closing) {
            machine.closed(id, self.now());
        }
    }

    /// Waits for bytes, for a command, or until the time is up.
    fn wait(&mut self, machine: &mut impl Machine, longest: Nanos) {
        let ids: Vec<Id> = self.sockets.keys().copied().collect();
        let ready = self.poll(longest);
        let [woken, incoming, ready @ ..] = ready.as_slice() else { return };
        if *woken != PollFlags::empty() {
            let mut bytes = [0; 64];
            while self.woken.read(&mut bytes).is_ok_and(|n| n == bytes.len()) {}
        }
        for (id, flags) in ids.iter().zip(ready) {
            if flags.contains(PollFlags::OUT) {
                self.write(machine, *id);
            }
            if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                self.read(machine, *id);
            }
        }
        if *incoming != PollFlags::empty() {
            while let Some(Ok((stream, _))) = self.listener.as_ref().map(TcpListener::accept) {
                self.last += 1;
                self.add(machine, self.last, stream);
            }
        }
    }

    /// Returns what is ready: the wake-up, the listener (nothing if there is none), and each
    /// socket.
    fn poll(&self, longest: Nanos) -> Vec<PollFlags> {
        let mut fds = vec![PollFd::new(&self.woken, PollFlags::IN)];
        fds.extend(self.listener.iter().map(|listener| PollFd::new(listener, PollFlags::IN)));
        fds.extend(self.sockets.values().map(|socket| {
            let flags = if socket.has_sent_all() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
            PollFd::new(&socket.stream, flags)
        }));
        let nanos = longest.0.cast_signed();
        let timeout = Timespec { tv_sec: nanos / 1_000_000_000, tv_nsec: nanos % 1_000_000_000 };
        // An interrupted poll counts as one that found nothing.
        let _ = poll(&mut fds, Some(&timeout));
        let mut ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        if self.listener.is_none() {
            ready.insert(1, PollFlags::empty());
        }
        ready
    }

    fn write(&mut self, machine: &mut impl Machine, id: Id) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        match socket.flush() {
            Err(_) => self.gone(machine, id),
            Ok(()) if socket.closing && socket.has_sent_all() => drop(self.sockets.remove(&id)),
            Ok(()) => {}
        }
    }

    fn read(&mut self, machine: &mut impl Machine, id: Id) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        match socket.stream.read(&mut self.buffer) {
            Ok(0) => self.gone(machine, id),
            Ok(_) if socket.closing => {}
            Ok(n) => machine.received(id, &self.buffer[..n], self.now()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.gone(machine, id),
        }
    }
}

impl Socket {
    const fn has_sent_all(&self) -> bool {
        self.sent == self.pending.len()
    }

    /// Sends as many bytes as the kernel takes.
    fn flush(&mut self) -> io::Result<()> {
        let result = loop {
            if self.has_sent_all() {
                break Ok(());
            }
            match self.stream.write(&self.pending[self.sent..]) {
                Ok(0) => break Err(ErrorKind::WriteZero.into()),
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        // A result is sent in hundreds of pieces, and moving the rest after each piece would be
        // quadratic. This way each byte is moved at most once, on average.
        if self.sent > self.pending.len() / 2 {
            self.pending.drain(..self.sent);
            self.sent = 0;
        }
        result
    }
}
