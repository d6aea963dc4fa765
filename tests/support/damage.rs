//! A proxy that damages the bytes that it carries: it flips, drops, repeats and delays bytes, and
//! closes and resets connections.

use socket2::SockRef;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Largest piece carried at once: a few events, so that the damage is spread over the stream.
const PIECE_BYTES: usize = 1024;
/// One piece in this many is damaged on the way to the client.
const ONE_IN: u32 = 60;

/// A proxy between a client and a server. Stopped when dropped.
///
/// Connections that begin with a GET are carried unchanged, so that health checks succeed.
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
    /// POST requests received from the client.
    posts: AtomicU64,
    /// Number of pieces damaged.
    done: AtomicU64,
    stopping: AtomicBool,
}

impl Damage {
    /// Listens on a free port and carries connections to `server`. The damage follows from `seed`
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
                    // Broken connections are the purpose of this proxy.
                    let _ = carry(&client, server, number, &shared);
                    drop(client);
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { addr, shared, acceptor: Some(acceptor) }
    }

    /// Returns the URL for `--target-url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Returns how many connections are carried now.
    pub fn open(&self) -> u64 {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Returns how many POST requests were received from the client so far.
    pub fn posts(&self) -> u64 {
        self.shared.posts.load(Ordering::SeqCst)
    }

    /// Returns how many pieces were damaged so far.
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

/// The end of a connection.
enum End {
    Close,
    Reset,
}

/// Carries one connection from its first byte to its end.
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
        // A socket that was shut down for writing has sent FIN, and can no longer be reset.
        let how = if matches!(end, Ok(End::Reset)) { Shutdown::Read } else { Shutdown::Both };
        let _ = (client.shutdown(how), server.shutdown(Shutdown::Both));
    });
    Ok(())
}

/// Carries requests from the client to the server unchanged, and counts them.
fn requests(mut from: &TcpStream, mut to: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        // The client writes each request at once, and no request is larger than the buffer.
        shared.posts.fetch_add(u64::from(buffer[..n].starts_with(b"POST ")), Ordering::SeqCst);
        to.write_all(&buffer[..n])?;
    }
}

/// Carries responses from the server to the client, with damage.
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
