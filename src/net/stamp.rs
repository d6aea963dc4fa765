//! Kernel receive stamps: `SO_TIMESTAMPNS` and `recvmsg` (socket(7); Linux,
//! Documentation/networking/timestamping.rst).

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg as receive};
use nix::sys::time::TimeSpec;
use std::io::{self, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

/// When the kernel received the bytes of a read: nanoseconds since the UNIX epoch, on the kernel's
/// real-time clock. For bytes of several segments it is the arrival of the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub u64);

/// Keeps the kernel stamping. The kernel stamps packets only while a socket asks for it, and takes
/// a moment to begin. Without this socket the first packets of a test would have no stamp.
#[derive(Debug)]
pub struct KeepStamping(#[expect(dead_code, reason = "its being open is what counts")] UdpSocket);

impl KeepStamping {
    /// Asks for stamps until the value is dropped.
    pub fn begin() -> io::Result<Self> {
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::ReceiveTimestampns, &true)?;
        Ok(Self(socket))
    }
}

/// Room for the control message that carries a stamp: `CMSG_SPACE` of a `timespec` is 32 bytes on
/// 64-bit systems. Aligned like the kernel's `cmsghdr`.
#[repr(align(8))]
struct Control([u8; 64]);

/// Reads into `buffer`, and returns when the kernel received the last of the bytes.
pub(super) fn recvmsg(socket: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<(usize, Option<Stamp>)> {
    let mut control = Control([0; 64]);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = receive::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control.0), MsgFlags::empty())?;
    let stamp = message.cmsgs().ok().and_then(|mut messages| {
        messages.find_map(|message| match message {
            ControlMessageOwned::ScmTimestampns(at) => Some(since_the_epoch(at)),
            _ => None,
        })
    });
    Ok((message.bytes, stamp))
}

fn since_the_epoch(at: TimeSpec) -> Stamp {
    Stamp(at.tv_sec().unsigned_abs() * 1_000_000_000 + at.tv_nsec().unsigned_abs())
}
