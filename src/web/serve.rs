//! The page's thread.

use super::door::Door;
use super::hub::Hub;
use super::routes::{Shared, router};
use super::{FINISH_WAIT, Item, MAX_CONNECTIONS};
use crate::host;
use axum::serve::Listener;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Time between checks whether browsers have received everything.
const LOOK: Duration = Duration::from_millis(5);
/// Time for the last bytes to leave after their stream is closed.
const FLUSH: Duration = Duration::from_millis(20);

/// Serves until the run is over, and a moment longer.
pub(super) fn until_over(
    listener: std::net::TcpListener,
    door: Door,
    incoming: UnboundedReceiver<Item>,
    wanted: Arc<AtomicBool>,
) {
    // Browsers may wait, but the load may not.
    host::give_way();
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let shared =
        Arc::new(Shared { door, hub: Mutex::new(Hub::new()), wanted, came: Notify::new(), open: Arc::new(()) });
    runtime.block_on(tell(listener, &shared, incoming));
    // Connections that are still open are cut off.
    runtime.shutdown_background();
}

async fn tell(listener: std::net::TcpListener, shared: &Arc<Shared>, mut incoming: UnboundedReceiver<Item>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let listener = Limited { listener, room: Arc::new(Semaphore::new(MAX_CONNECTIONS as usize)) };
    let serving = tokio::spawn(axum::serve(listener, router(Arc::clone(shared))).into_future());
    while let Some(item) = incoming.recv().await {
        if let Item::Begin { worker_cores, .. } = &item {
            host::keep_off(worker_cores);
        }
        let brings_document = matches!(item, Item::SoFar(_) | Item::Report(_) | Item::SweepReport(_));
        shared.hub().take(item);
        if brings_document {
            shared.came.notify_waiters();
        }
    }
    shared.hub().end();
    shared.came.notify_waiters();
    let _ = tokio::time::timeout(FINISH_WAIT.to_duration(), taken(shared)).await;
    serving.abort();
}

/// Waits until every stream was read to its end.
async fn taken(shared: &Shared) {
    while Arc::strong_count(&shared.open) > 1 {
        tokio::time::sleep(LOOK).await;
    }
    tokio::time::sleep(FLUSH).await;
}

/// A listener with a limited number of connections. Further connections wait.
struct Limited {
    listener: TcpListener,
    room: Arc<Semaphore>,
}

impl Listener for Limited {
    type Io = Counted;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            // The semaphore is never closed.
            let room = Arc::clone(&self.room).acquire_owned().await.ok();
            let (stream, addr) = Listener::accept(&mut self.listener).await;
            if let Some(room) = room {
                return (Counted { stream, _room: room }, addr);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection that counts towards the limit.
struct Counted {
    stream: TcpStream,
    _room: OwnedSemaphorePermit,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
