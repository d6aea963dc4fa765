//! A path that damages what it carries: bytes are flipped, dropped, repeated, delayed; connections
//! are closed and reset.

use socket2::SockRef;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Largest piece that is carried at once: a few events, so that damage hits everywhere.
const PIECE_BYTES: usize = 1024;
/// One piece in so many is damaged on the way to the client.
const ONE_IN: u32 = 60;

/// Stands between a client and a server. Stopped when dropped.
///
/// Connections that begin with a GET are carried as they are: what asks whether the server is there
/// must get an answer.
pub struct Damage {
    addr: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    seed: u64,
    /// Connections carried now.
    open: AtomicU64,
    /// POST requests that came from the client.
    posts: AtomicU64,
    /// How often something was damaged.
    done: AtomicU64,
    stopping: AtomicBool,
}

impl Damage {
    /// Carries to `server` what comes to a free port; what it damages, and how, follows from `seed`
    /// and the order of connections.
    pub fn start(server: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared { seed, ..Shared::default() });
        let accepting = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || {
            for (number, client) in (0..).zip(listener.incoming()) {
                if accepting.stopping.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(client) = client else { continue };
                let shared = Arc::clone(&accepting);
                shared.open.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    // A connection that breaks is what this is about.
                    let _ = carry(&client, server, number, &shared);
                    drop(client);
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { addr, shared, acceptor: Some(acceptor) }
    }

    /// Its URL, for `--target-url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Connections carried now.
    pub fn open(&self) -> u64 {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// POST requests that came from the client so far.
    pub fn posts(&self) -> u64 {
        self.shared.posts.load(Ordering::SeqCst)
    }

    /// How often something was damaged so far.
    pub fn done(&self) -> u64 {
        self.shared.done.load(Ordering::SeqCst)
    }
}

impl Drop for Damage {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.addr);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// How a connection is ended.
enum End {
    Close,
    Reset,
}

/// One connection from its first byte to its end.
fn carry(client: &TcpStream, server: SocketAddr, number: u64, shared: &Shared) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    for socket in [client, &server] {
        socket.set_nodelay(true)?;
    }
    let mut first = [0; 1];
    let harmless = client.peek(&mut first)? == 0 || first[0] == b'G';
    let rng = fastrand::Rng::with_seed(shared.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    std::thread::scope(|scope| {
        let (up, down) = (client, &server);
        scope.spawn(|| {
            let _ = requests(up, down, shared);
            // Both directions end together.
            let _ = down.shutdown(Shutdown::Both);
        });
        let end = answers(&server, client, (!harmless).then_some(rng), shared);
        // A socket that is shut for writing has said goodbye, and cannot be reset any more.
        let how = if matches!(end, Ok(End::Reset)) { Shutdown::Read } else { Shutdown::Both };
        let _ = (client.shutdown(how), server.shutdown(Shutdown::Both));
    });
    Ok(())
}

/// Client to server, whole, and counted.
fn requests(mut from: &TcpStream, mut to: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        // The client writes a request at once, and none of them is larger than the buffer.
        shared.posts.fetch_add(u64::from(buffer[..n].starts_with(b"POST ")), Ordering::SeqCst);
        to.write_all(&buffer[..n])?;
    }
}

/// Server to client, with damage.
#[expect(clippy::disallowed_methods, reason = "a delay is one sort of damage")]
fn answers(
    mut from: &TcpStream,
    mut to: &TcpStream,
    mut rng: Option<fastrand::Rng>,
    shared: &Shared,
) -> io::Result<End> {
    let mut buffer = [0; PIECE_BYTES];
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return Ok(End::Close);
        }
        let mut piece = buffer[..n].to_vec();
        if let Some(rng) = &mut rng
            && rng.u32(..ONE_IN) == 0
        {
            shared.done.fetch_add(1, Ordering::SeqCst);
            let at = rng.usize(..n);
            match rng.u32(..8) {
                0 | 1 => piece[at] ^= 1 << rng.u32(..8),
                2 => drop(piece.drain(at..(at + rng.usize(1..40)).min(n))),
                3 => piece.extend_from_within(at..),
                4 => (0..rng.usize(1..20)).for_each(|_| piece.insert(at, rng.u8(..))),
                5 => std::thread::sleep(Duration::from_millis(rng.u64(1..40))),
                6 => {
                    to.write_all(&piece[..at])?;
                    return Ok(End::Close);
                }
                _ => {
                    SockRef::from(to).set_linger(Some(Duration::ZERO))?;
                    return Ok(End::Reset);
                }
            }
        }
        to.write_all(&piece)?;
    }
}
