//! The way to the server, as the kernel knows it of our connections: round trips and retransmits.
//!
//! A thread of its own looks when it is told to, once a second. Workers do not know of it.

use crate::metrics::Distribution;
use crate::net::{Tcp, TcpLook};
use crate::units::Nanos;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Connections of one look: more of them say nothing new.
const MOST_CONNECTIONS: usize = 4_096;
/// Different families and ports that are looked at.
const MOST_PORTS: usize = 16;
/// Seconds that are kept one by one: a day.
const MOST_SECONDS: usize = 86_400;

/// How much later than its second a look may be.
const SLACK: Nanos = Nanos::from_millis(500);

/// Looks at the connections to a port, of IPv6 or not, and at most so many.
pub type Looks = fn(bool, u16, usize) -> io::Result<TcpLook>;

/// What was seen in the window.
#[derive(Debug, Clone, Default)]
pub struct RoundTrips {
    /// The kernel's smoothed round trip times, of each connection in each look.
    pub smoothed: Distribution,
    /// The least round trip of each connection in each look.
    pub least: Distribution,
    /// Most connections in one look.
    pub connections: usize,
    /// There were more than were looked at.
    pub is_sample: bool,
    /// Segments with data that were sent between the looks, and those of them that were repeats.
    pub segments: u64,
    pub retransmitted: u64,
    /// When each look was, and the median of its smoothed round trips.
    pub seconds: Vec<(Nanos, Nanos)>,
}

/// The thread that looks.
#[derive(Debug)]
pub struct RoundTripWatch {
    look: SyncSender<Nanos>,
    over: Receiver<RoundTrips>,
}

impl RoundTripWatch {
    /// Starts the thread. It counts connections to those addresses, or to their ports wherever they
    /// are, and what is seen in the window only. None when there can be no thread.
    pub fn start(looks: Looks, to: Peers, window: (Nanos, Nanos)) -> Option<Self> {
        let (look, told) = sync_channel::<Nanos>(1);
        let (end, over) = sync_channel(1);
        let work = move || {
            let mut watch = Watch { looks, to, before: HashMap::new(), seen: RoundTrips::default() };
            // Where it cannot be had once, it is not asked for again.
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

    /// Time to look. Never waits.
    pub fn tick(&self, elapsed: Nanos) {
        // Full: it still looks. Disconnected: it has given up.
        let _ = self.look.try_send(elapsed);
    }

    /// What was seen; none of nothing. Waits at most that long for a look that is under way.
    pub fn finish(self, patience: Nanos) -> Option<RoundTrips> {
        let Self { look, over } = self;
        drop(look);
        over.recv_timeout(patience.to_duration()).ok().filter(|seen| seen.smoothed.count > 0)
    }
}

/// Whose connections count.
#[derive(Debug, Clone)]
pub struct Peers {
    pub addrs: Vec<SocketAddr>,
    /// Names may lead elsewhere meanwhile: every address at these ports counts.
    pub any_address: bool,
}

impl Peers {
    /// Families and ports, each once.
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
    /// Segments and repeats of each connection at the last look.
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
        // A look is a little later than its second, and is of the second before it.
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
            // A connection that is new since the last look has sent all of it since then. Its first
            // round trip may not be over.
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
        // That of the second second is of the time before the window.
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
