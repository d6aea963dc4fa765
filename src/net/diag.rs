//! The kernel's statistics of TCP connections: their round trips and their retransmits.
//!
//! They are requested with `sock_diag` over netlink, which needs no privilege. The layouts are
//! those of the kernel's `linux/netlink.h`, `linux/inet_diag.h` and `struct tcp_info`
//! (`linux/tcp.h`): numbers in the machine's byte order, ports and addresses in network byte order.
//! Times are in microseconds.

use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;

/// Longest wait for the kernel, which responds at once.
const ANSWER_WITHIN_MS: i64 = 500;
/// The kernel sends at most this much at once (`NLMSG_GOODSIZE` and `netlink_dump`).
const BUFFER: usize = 32 * 1024;

/// Bytes of a `struct nlmsghdr`.
const HEADER: usize = 16;
/// Bytes of a `struct inet_diag_msg`.
const DIAG: usize = 72;
/// `NLMSG_ERROR` and `NLMSG_DONE`.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// `INET_DIAG_INFO`: the attribute that holds a `struct tcp_info`.
const INFO: u16 = 2;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x1 | 0x300;
/// `IPPROTO_TCP`, `TCP_ESTABLISHED`, `AF_INET` and `AF_INET6`.
const TCP: u8 = 6;
const ESTABLISHED: u32 = 1;
const V4: u8 = 2;
const V6: u8 = 10;

/// An established connection at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcp {
    /// The kernel's own number for the connection.
    pub cookie: u64,
    /// The other side's address.
    pub peer: IpAddr,
    /// The smoothed round trip time, in µs. It includes the time by which the other side delays its
    /// acknowledgements.
    pub rtt_us: u32,
    /// The shortest round trip of the last minutes, in µs; `None` before the first.
    pub least_rtt_us: Option<u32>,
    /// Segments with data that were sent so far, retransmits included.
    pub segments: u32,
    /// Segments that were retransmitted so far.
    pub retransmitted: u32,
}

/// The connections at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TcpLook {
    pub connections: Vec<Tcp>,
    /// True if there are more connections than were asked for.
    pub is_cut: bool,
}

/// Returns the established connections to `port` of all processes on this machine, at most `most`.
/// The kernel leaves out connections to other ports.
pub fn established(is_v6: bool, port: u16, most: usize) -> io::Result<TcpLook> {
    let fd =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, Some(SockProtocol::NetlinkSockDiag))?;
    setsockopt(&fd, ReceiveTimeout, &TimeVal::milliseconds(ANSWER_WITHIN_MS))?;
    // The kernel is number 0.
    sendto(fd.as_raw_fd(), &question(is_v6, port), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let (mut look, mut buffer) = (TcpLook::default(), vec![0; BUFFER]);
    loop {
        let n = recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let is_over = n == 0 || read(buffer.get(..n).unwrap_or_default(), &mut look.connections)?;
        look.is_cut = look.connections.len() > most;
        if is_over || look.is_cut {
            look.connections.truncate(most);
            return Ok(look);
        }
    }
}

/// Returns the request: `struct nlmsghdr` and `struct inet_diag_req_v2`.
fn question(is_v6: bool, port: u16) -> Vec<u8> {
    const LENGTH: u32 = 72;
    let mut bytes = Vec::with_capacity(LENGTH as usize);
    bytes.extend(LENGTH.to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend(DUMP.to_ne_bytes());
    // A sequence number, and our own port ID, which the kernel fills in.
    bytes.extend([0; 8]);
    bytes.extend([if is_v6 { V6 } else { V4 }, TCP, 1 << (INFO - 1), 0]);
    bytes.extend((1_u32 << ESTABLISHED).to_ne_bytes());
    // Any local port, `port` on the other side, any address and device.
    bytes.extend([0; 2]);
    bytes.extend(port.to_be_bytes());
    bytes.resize(LENGTH as usize, 0);
    bytes
}

/// Reads one block of messages. Returns true if the last message is among them.
fn read(mut bytes: &[u8], into: &mut Vec<Tcp>) -> io::Result<bool> {
    while let Some(length) = u32_at(bytes, 0) {
        let length = length as usize;
        let (Some(kind), Some(message)) = (u16_at(bytes, 4), bytes.get(HEADER..length)) else { break };
        match kind {
            DONE => return Ok(true),
            ERROR => {
                let code = u32_at(message, 0).unwrap_or_default().cast_signed();
                return Err(io::Error::from_raw_os_error(code.saturating_neg()));
            }
            BY_FAMILY => into.extend(connection(message)),
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// Reads `struct inet_diag_msg` and its attributes. Returns `None` if a field is missing.
fn connection(message: &[u8]) -> Option<Tcp> {
    let peer = match *message.first()? {
        V4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(message.get(24..28)?).ok()?)),
        V6 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(message.get(24..40)?).ok()?)),
        _ => return None,
    };
    let cookie = u64::from(u32_at(message, 44)?) | (u64::from(u32_at(message, 48)?) << 32);
    let mut attributes = message.get(DIAG..)?;
    loop {
        let (length, kind) = (usize::from(u16_at(attributes, 0)?), u16_at(attributes, 2)?);
        if kind == INFO {
            let info = attributes.get(4..length)?;
            return Some(Tcp {
                cookie,
                peer,
                rtt_us: u32_at(info, 68)?,
                least_rtt_us: u32_at(info, 148).filter(|&us| us != u32::MAX),
                segments: u32_at(info, 156)?,
                retransmitted: u32_at(info, 100)?,
            });
        }
        // A length below 4 would never reach the end.
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn body(cookie: u64, least: u32) -> Vec<u8> {
        let mut body = vec![0; DIAG];
        body[0] = V4;
        body[24..28].copy_from_slice(&[192, 0, 2, 7]);
        body[44..48].copy_from_slice(&(cookie as u32).to_ne_bytes());
        body[48..52].copy_from_slice(&((cookie >> 32) as u32).to_ne_bytes());
        // Another attribute comes first.
        body.extend(5_u16.to_ne_bytes());
        body.extend([9, 0, 1, 0, 0, 0]);
        let mut info = vec![0; 232];
        for (at, value) in [(68, 38_123_u32), (148, least), (156, 90), (100, 3)] {
            info[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        }
        body.extend((info.len() as u16 + 4).to_ne_bytes());
        body.extend(INFO.to_ne_bytes());
        body.extend(info);
        body
    }

    #[test]
    fn answers_of_the_kernel_are_read_whole_and_cut_anywhere() {
        let bytes = [
            message(BY_FAMILY, &body(0x0102_0304_0506, 37_900)),
            message(99, &[1, 2, 3]),
            message(BY_FAMILY, &body(7, u32::MAX)),
            message(DONE, &[0; 4]),
        ]
        .concat();
        let mut all = Vec::new();
        assert!(read(&bytes, &mut all).expect("no error"));
        let first = Tcp {
            cookie: 0x0102_0304_0506,
            peer: IpAddr::from([192, 0, 2, 7]),
            rtt_us: 38_123,
            least_rtt_us: Some(37_900),
            segments: 90,
            retransmitted: 3,
        };
        assert_eq!(all, [first, Tcp { cookie: 7, least_rtt_us: None, ..first }]);
        for cut in 0..bytes.len() {
            let mut some = Vec::new();
            let over = read(&bytes[..cut], &mut some).expect("no error");
            assert!(some.len() <= 2 && all.starts_with(&some) && (!over || cut >= bytes.len() - 4), "{cut}");
        }
    }

    #[test]
    fn what_the_kernel_refuses_and_nonsense_end() {
        let mut none = Vec::new();
        let refused = read(&message(ERROR, &(-13_i32).to_ne_bytes()), &mut none).expect_err("refused");
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        for length in [0_u16, 1, 3] {
            let mut endless = body(1, 1);
            endless[DIAG..DIAG + 2].copy_from_slice(&length.to_ne_bytes());
            assert!(connection(&endless).is_none_or(|seen| seen.cookie == 1), "it ends");
        }
        for bytes in [vec![0; 64], vec![255; 64]] {
            assert!(!read(&bytes, &mut none).expect("nothing") && none.is_empty());
        }
    }

    #[test]
    fn our_own_connections_are_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("its address");
        let mut ends = Vec::new();
        for _ in 0..3 {
            let mut ours = TcpStream::connect(addr).expect("it listens");
            let mut theirs = listener.accept().expect("a connection").0;
            ours.write_all(b"ping").expect("sent");
            theirs.read_exact(&mut [0; 4]).expect("read");
            theirs.write_all(b"pong").expect("sent");
            ours.read_exact(&mut [0; 4]).expect("read");
            ends.push((ours, theirs));
        }
        // Without permission for netlink no connections are visible.
        let Ok(look) = established(false, addr.port(), 100) else { return };
        assert_eq!((look.connections.len(), look.is_cut), (3, false), "{look:?}");
        for seen in &look.connections {
            assert!(seen.peer == addr.ip() && seen.rtt_us > 0 && seen.segments >= 1, "{seen:?}");
        }
        let some = established(false, addr.port(), 2).expect("as before");
        assert_eq!((some.connections.len(), some.is_cut), (2, true));
        let none = established(true, addr.port(), 2).expect("as before");
        assert_eq!(none.connections.len(), 0);
    }
}
