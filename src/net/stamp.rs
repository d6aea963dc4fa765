//! Kernel receive stamps: `SO_TIMESTAMPNS` and `recvmsg` (socket(7); Linux, Documentation/networking/timestamping.rst).

use super::Stamp;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg as receive};
use nix::sys::time::TimeSpec;
use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd;

/// Room for the control message that carries a stamp: `CMSG_SPACE` of a `timespec` is 32 bytes on 64-bit systems. Aligned like the
/// kernel's `cmsghdr`.
#[repr(align(8))]
struct Control([u8; 64]);

/// Reads into `buffer`, and says when the kernel received the last of it.
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
