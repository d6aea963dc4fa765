//! The thread that moves bytes: std's sockets, one poll, one state machine.

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

/// Read from a socket at once.
const READ: usize = 64 * 1_024;
/// Longest attempt to connect to one address.
const CONNECT: Duration = Duration::from_secs(2);
/// How long the last words may take to be sent.
const FAREWELL: Nanos = Nanos::from_secs(2);
/// The longest poll.
const LONGEST_POLL: Nanos = Nanos::from_secs(1);

/// Called on the thread of the meeting, where it must not wait. It may answer with a command.
pub(crate) type OnEvent = Box<dyn FnMut(Event) -> Option<Command> + Send>;

/// The port that shard 0 listens on, before anybody is let in.
#[derive(Debug)]
pub(crate) struct Listener(TcpListener);

impl Listener {
    /// Binds the first of the addresses that can be had.
    pub(crate) fn bind(addresses: &[std::net::SocketAddr]) -> io::Result<Self> {
        let listener = TcpListener::bind(addresses)?;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    /// Lets shards in from now on.
    pub(crate) fn open(self, part: &Part, on_event: OnEvent) -> io::Result<Line> {
        let (who, key, most) = (part.who(), part.key.clone(), part.most_of_a_result);
        let (timeout, is_watched) = (part.timeout, part.is_watched);
        let host = move |now| Host::new(who, key, most, timeout, now).watched(is_watched);
        Line::start(Some(self.0), String::new(), on_event, host)
    }
}

/// The meeting as the run sees it: commands go in; events come to the function that was given.
#[derive(Debug)]
pub(crate) struct Line {
    commands: Sender<Command>,
    wake: UnixStream,
    thread: Option<JoinHandle<()>>,
    epoch: Instant,
}

impl Line {
    /// Connects to shard 0 at `HOST:PORT`, again and again until it is there.
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

    /// Hands a command over. After the end of the meeting it is nobody's.
    pub(crate) fn send(&self, command: Command) {
        let _ = self.commands.send(command);
        // A full pipe wakes as well.
        let _ = (&self.wake).write(&[0]);
    }

    /// Whether the thread of the meeting has ended. All that it had to say has been said then.
    pub(crate) fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// How long it is until an instant of the meeting's clock; nothing if it is past.
    pub(crate) fn until(&self, at: Nanos) -> Duration {
        at.to_duration().saturating_sub(self.epoch.elapsed())
    }

    /// An instant of the meeting's clock.
    pub(crate) fn instant(&self, at: Nanos) -> Instant {
        self.epoch + at.to_duration()
    }
}

#[cfg(test)]
impl Line {
    /// One whose thread has died.
    pub(crate) fn dead() -> Self {
        let (commands, _) = channel();
        let (wake, _) = UnixStream::pair().expect("a pair of sockets");
        #[expect(clippy::disallowed_methods, reason = "no clock is compared with it")]
        let line = Self { commands, wake, thread: None, epoch: Instant::now() };
        line
    }
}

impl Drop for Line {
    /// Says what is left to say, for a few seconds at most.
    fn drop(&mut self) {
        self.send(Command::Leave);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed already.
            let _ = thread.join();
        }
    }
}

/// A connection.
struct Socket {
    stream: TcpStream,
    /// What is to be sent, from `sent` on.
    pending: Vec<u8>,
    /// Bytes of it that the kernel has.
    sent: usize,
    /// To be closed when everything is sent.
    closing: bool,
}

struct Shell {
    epoch: Instant,
    listener: Option<TcpListener>,
    place: String,
    woken: UnixStream,
    random: File,
    sockets: BTreeMap<Id, Socket>,
    /// The last connection that was let in; those that we open have numbers from 1.
    last: Id,
    /// What is read at once.
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

    /// Does what the machine wants, until it wants nothing more.
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

    /// A name may not be known yet: a pod gets it when it runs.
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

    /// Waits for bytes, for a command, or for time to pass.
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

    /// What is ready: the wake-up, the listener (nothing if there is none), and each socket.
    fn poll(&self, longest: Nanos) -> Vec<PollFlags> {
        let mut fds = vec![PollFd::new(&self.woken, PollFlags::IN)];
        fds.extend(self.listener.iter().map(|listener| PollFd::new(listener, PollFlags::IN)));
        fds.extend(self.sockets.values().map(|socket| {
            let flags = if socket.has_sent_all() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
            PollFd::new(&socket.stream, flags)
        }));
        let nanos = longest.0.cast_signed();
        let timeout = Timespec { tv_sec: nanos / 1_000_000_000, tv_nsec: nanos % 1_000_000_000 };
        // An interrupted poll is one that found nothing.
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

    /// Sends what the kernel takes.
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
        // A result goes out in hundreds of pieces: moving its rest for each of them would be
        // quadratic. Here each byte is moved once at most, on average.
        if self.sent > self.pending.len() / 2 {
            self.pending.drain(..self.sent);
            self.sent = 0;
        }
        result
    }
}
