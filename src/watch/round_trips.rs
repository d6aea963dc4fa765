//! Round trips and retransmits on the connections to the server, as the kernel measures them.
//!
//! A separate thread reads them when told to, once a second. Workers do not know of it.

use crate::metrics::Distribution;
use crate::net::{Tcp, TcpLook};
use crate::units::Nanos;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Connections in one reading. More of them would not add information.
const MOST_CONNECTIONS: usize = 4_096;
/// Distinct address families and ports that are read.
const MOST_PORTS: usize = 16;
/// Seconds that are kept individually: a day.
const MOST_SECONDS: usize = 86_400;

/// Allowed delay of a reading after its second.
const SLACK: Nanos = Nanos::from_millis(500);

/// Reads the connections to a port. Arguments: IPv6 or IPv4, the port, and the highest number of
/// connections.
pub type Looks = fn(bool, u16, usize) -> io::Result<TcpLook>;

/// The readings in the window.
#[derive(Debug, Clone, Default)]
pub struct RoundTrips {
    /// The kernel's smoothed round-trip time of each connection in each reading.
    pub smoothed: Distribution,
    /// The minimum round-trip time of each connection in each reading.
    pub least: Distribution,
    /// Highest number of connections in one reading.
    pub connections: usize,
    /// True if there were more connections than were read.
    pub is_sample: bool,
    /// Data segments sent between the readings, and how many of them were retransmits.
    pub segments: u64,
    pub retransmitted: u64,
    /// Time of each reading, and the median of its smoothed round-trip times.
    pub seconds: Vec<(Nanos, Nanos)>,
}

/// The thread that takes the readings.
#[derive(Debug)]
pub struct RoundTripWatch {
    look: SyncSender<Nanos>,
    over: Receiver<RoundTrips>,
}

impl RoundTripWatch {
    /// Starts the thread. It counts connections to those addresses, or to their ports at any
    /// address, and only readings in the window. `None` if the thread cannot be started.
    pub fn start(looks: Looks, to: Peers, window: (Nanos, Nanos)) -> Option<Self> {
        let (look, told) = sync_channel::<Nanos>(1);
        let (end, over) = sync_channel(1);
        let work = move || {
            let mut watch = Watch { looks, to, before: HashMap::new(), seen: RoundTrips::default() };
            // After a failed reading, no other is attempted.
            for at in told {
                if watch.at(at, window).is_err() {
                    break;
                }
            }
            let _ = end.try_send(watch.seen);
        };
        std::thread::Builder::new().name("round-trips".to_owned()).spawn(work).ok()?;
        Some(Self { look, over })
    }

    /// Requests a reading. Never blocks.
    pub fn tick(&self, elapsed: Nanos) {
        // If the channel is full, a reading is under way. If it is disconnected, the thread has
        // given up.
        let _ = self.look.try_send(elapsed);
    }

    /// Returns the readings. `None` if there are none. Waits at most `patience` for a reading that
    /// is under way.
    pub fn finish(self, patience: Nanos) -> Option<RoundTrips> {
        let Self { look, over } = self;
        drop(look);
        over.recv_timeout(patience.to_duration()).ok().filter(|seen| seen.smoothed.count > 0)
    }
}

/// The peers whose connections count.
#[derive(Debug, Clone)]
pub struct Peers {
    pub addrs: Vec<SocketAddr>,
    /// True if names may resolve to other addresses later: every address at these ports counts.
    pub any_address: bool,
}

impl Peers {
    /// Returns address families and ports, without duplicates.
    fn ports(&self) -> Vec<(bool, u16)> {
        let mut ports: Vec<(bool, u16)> = self.addrs.iter().map(|addr| (addr.is_ipv6(), addr.port())).collect();
        ports.sort_unstable();
        ports.dedup();
        ports.truncate(MOST_PORTS);
        ports
    }

    fn have(&self, seen: &Tcp, port: u16) -> bool {
        self.any_address || self.addrs.contains(&SocketAddr::new(seen.peer, port))
    }
}

struct Watch {
    looks: Looks,
    to: Peers,
    /// Segments and retransmits of each connection at the last reading.
    before: HashMap<u64, (u32, u32)>,
    seen: RoundTrips,
}

impl Watch {
    fn at(&mut self, at: Nanos, (from, until): (Nanos, Nanos)) -> io::Result<()> {
        let (mut all, mut is_cut) = (Vec::new(), false);
        for (is_v6, port) in self.to.ports() {
            let look = (self.looks)(is_v6, port, MOST_CONNECTIONS.saturating_sub(all.len()))?;
            is_cut |= look.is_cut;
            all.extend(look.connections.into_iter().filter(|seen| self.to.have(seen, port)));
        }
        let last = std::mem::take(&mut self.before);
        self.before = all.iter().map(|seen| (seen.cookie, (seen.segments, seen.retransmitted))).collect();
        // A reading is taken a little after the end of the second that it describes.
        let is_in_window = at > from.saturating_add(SLACK) && at <= until.saturating_add(SLACK);
        if is_in_window {
            self.add(at, &all, &last);
            self.seen.is_sample |= is_cut;
        }
        Ok(())
    }

    fn add(&mut self, at: Nanos, all: &[Tcp], last: &HashMap<u64, (u32, u32)>) {
        let seen = &mut self.seen;
        seen.connections = seen.connections.max(all.len());
        let micros = |us: u32| Nanos::from_micros(us.into());
        let mut times: Vec<u32> = Vec::with_capacity(all.len());
        for one in all {
            // A connection that is new since the last reading has sent all its segments since then.
            // Its first round trip may not be complete.
            let (segments, retransmitted) = last.get(&one.cookie).copied().unwrap_or_default();
            seen.segments += u64::from(one.segments.wrapping_sub(segments));
            seen.retransmitted += u64::from(one.retransmitted.wrapping_sub(retransmitted));
            if one.rtt_us > 0 {
                seen.smoothed.record(micros(one.rtt_us));
                times.push(one.rtt_us);
            }
            one.least_rtt_us.into_iter().for_each(|us| seen.least.record(micros(us)));
        }
        times.sort_unstable();
        if let Some(&median) = times.get(times.len() / 2).filter(|_| seen.seconds.len() < MOST_SECONDS) {
            seen.seconds.push((at, micros(median)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn tcp(cookie: u64, rtt_us: u32, (segments, retransmitted): (u32, u32)) -> Tcp {
        let peer = IpAddr::from([192, 0, 2, 7]);
        Tcp { cookie, peer, rtt_us, least_rtt_us: Some(rtt_us / 2), segments, retransmitted }
    }

    fn watch(looks: Looks) -> Watch {
        let to = Peers { addrs: vec!["192.0.2.7:80".parse().expect("an address")], any_address: false };
        Watch { looks, to, before: HashMap::new(), seen: RoundTrips::default() }
    }

    #[expect(clippy::unnecessary_wraps, reason = "as it stands for looks that may fail")]
    fn three(_: bool, port: u16, most: usize) -> io::Result<TcpLook> {
        assert_eq!((port, most), (80, MOST_CONNECTIONS));
        let stranger = Tcp { peer: IpAddr::from([192, 0, 2, 8]), ..tcp(9, 1, (1, 1)) };
        let connections = vec![tcp(1, 40_000, (10, 1)), tcp(2, 20_000, (7, 0)), tcp(3, 30_000, (5, 0)), stranger];
        Ok(TcpLook { connections, is_cut: true })
    }

    #[test]
    fn looks_in_the_window_are_added_up() {
        let s = Nanos::from_secs;
        let mut watch = watch(three);
        for second in 1..=4 {
            watch.at(s(second) + Nanos::from_millis(2), (s(2), s(4))).expect("a look");
        }
        let seen = watch.seen;
        // The reading at 2 s describes the time before the window.
        assert_eq!((seen.connections, seen.is_sample, seen.smoothed.count), (3, true, 6));
        assert_eq!((seen.segments, seen.retransmitted), (0, 0), "they were sent before it");
        assert_eq!(seen.seconds.iter().map(|(_, median)| median.0).collect::<Vec<_>>(), [30_000_000; 2]);
        assert!((seen.least.min_ms() - 10.0).abs() < 1e-9 && (seen.smoothed.max_ms() - 40.0).abs() < 1e-9);
    }

    #[test]
    fn what_connections_send_counts_from_their_beginning() {
        let mut watch = watch(three);
        watch.add(Nanos::ZERO, &[tcp(1, 0, (10, 1)), tcp(2, 5, (4, 0))], &HashMap::from([(1, (6, 1))]));
        assert_eq!((watch.seen.segments, watch.seen.retransmitted), (8, 0));
        watch.add(Nanos::ZERO, &[tcp(1, 0, (12, 3))], &HashMap::from([(1, (10, 1))]));
        assert_eq!((watch.seen.segments, watch.seen.retransmitted, watch.seen.smoothed.count), (10, 2, 1));
    }

    #[test]
    fn where_it_is_not_permitted_nothing_is_said() {
        let refused: Looks = |_, _, _| Err(io::ErrorKind::PermissionDenied.into());
        let to = Peers { addrs: vec!["192.0.2.7:80".parse().expect("an address")], any_address: true };
        let watch = RoundTripWatch::start(refused, to, (Nanos::ZERO, Nanos::from_secs(9))).expect("a thread");
        (1..4).for_each(|second| watch.tick(Nanos::from_secs(second)));
        assert!(watch.finish(Nanos::from_secs(60)).is_none());
    }
}
