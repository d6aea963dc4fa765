//! A socket whose peer follows a script: for tests of the engine that assert to the nanosecond.

#![cfg_attr(not(test), allow(dead_code, reason = "benches need only a part of it"))]

use super::stamp::Stamp;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

/// The kernel's state of a socket.
#[derive(Debug, Default)]
pub(crate) struct Kernel {
    /// Bytes to be read, one entry per read, with the kernel's stamp. An error is returned once.
    pub(crate) inbox: VecDeque<io::Result<(Vec<u8>, Option<Stamp>)>>,
    /// Written bytes that the peer has not looked at yet.
    pub(crate) outbox: Vec<u8>,
    /// The result of the attempt to connect.
    pub(crate) connected: Option<Result<(), io::ErrorKind>>,
    /// The peer has closed its side: reads return the end once the inbox is empty.
    pub(crate) eof: bool,
    /// Our side was dropped.
    pub(crate) dropped: bool,
    /// The peer has reset the connection: nothing more can be written. Bytes that it sent before
    /// can still be read.
    pub(crate) reset: bool,
    /// Bytes that can still be written; `None` for no limit.
    pub(crate) window: Option<usize>,
}

/// Our end of the socket.
#[derive(Debug)]
pub(crate) struct Socket(pub(crate) Rc<RefCell<Kernel>>);

impl Socket {
    pub(crate) fn connected(&self) -> io::Result<bool> {
        match self.0.borrow().connected {
            None => Ok(false),
            Some(Ok(())) => Ok(true),
            Some(Err(kind)) => Err(kind.into()),
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Option<Stamp>)> {
        let mut kernel = self.0.borrow_mut();
        match kernel.inbox.pop_front() {
            Some(Ok((mut bytes, stamp))) => {
                let n = bytes.len().min(buffer.len());
                buffer[..n].copy_from_slice(&bytes[..n]);
                if n < bytes.len() {
                    kernel.inbox.push_front(Ok((bytes.split_off(n), stamp)));
                }
                Ok((n, stamp))
            }
            Some(Err(error)) => Err(error),
            None if kernel.eof => Ok((0, None)),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kernel = self.0.borrow_mut();
        if kernel.reset {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let n = kernel.window.map_or(bytes.len(), |w| w.min(bytes.len()));
        if n == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        kernel.window = kernel.window.map(|w| w - n);
        kernel.outbox.extend_from_slice(&bytes[..n]);
        Ok(n)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.borrow_mut().dropped = true;
    }
}
