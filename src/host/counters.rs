//! The kernel's counters for the whole machine, read from `/proc`. Other systems tell nothing.

use super::text::TICK;
use crate::units::Nanos;
use std::fs;

/// Returns how long these cores have been busy since the machine started, with any work, including
/// time stolen by the hypervisor. `None` if the kernel does not tell.
pub fn busy(cores: &[usize]) -> Option<Nanos> {
    parse_busy(&fs::read_to_string("/proc/stat").ok()?, cores)
}

/// The kernel's counts for the whole machine since it started. Plain data; counts that the kernel
/// does not tell are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Ticks of CPU time, all cores and states.
    pub ticks: u64,
    /// The part of `ticks` that the host gave to other guests.
    pub steal_ticks: u64,
    /// Packets dropped because a core's queue was full.
    pub dropped: u64,
    pub segments_sent: u64,
    /// TCP segments sent again.
    pub segments_retransmitted: u64,
}

impl Counted {
    /// Returns the counts since `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            ticks: self.ticks.saturating_sub(earlier.ticks),
            steal_ticks: self.steal_ticks.saturating_sub(earlier.steal_ticks),
            dropped: self.dropped.saturating_sub(earlier.dropped),
            segments_sent: self.segments_sent.saturating_sub(earlier.segments_sent),
            segments_retransmitted: self.segments_retransmitted.saturating_sub(earlier.segments_retransmitted),
        }
    }
}

/// Reads the counts up to now.
pub fn counted() -> Counted {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (ticks, steal_ticks) = parse_ticks(&read("/proc/stat"));
    let (segments_sent, segments_retransmitted) = parse_segments(&read("/proc/net/snmp"));
    let dropped = parse_dropped(&read("/proc/net/softnet_stat"));
    Counted { ticks, steal_ticks, dropped, segments_sent, segments_retransmitted }
}

/// Parses all ticks and the stolen ones from the first line of `/proc/stat` (proc(5): user, nice,
/// system, idle, iowait, irq, softirq, steal; the columns after these are contained in the first
/// two).
fn parse_ticks(text: &str) -> (u64, u64) {
    let line = text.lines().next().and_then(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let fields: Vec<u64> = line.split_ascii_whitespace().take(8).filter_map(|field| field.parse().ok()).collect();
    (fields.iter().sum(), fields.get(7).copied().unwrap_or(0))
}

/// Parses `OutSegs` and `RetransSegs` from the text of `/proc/net/snmp`: a line of names, then a
/// line of numbers.
fn parse_segments(text: &str) -> (u64, u64) {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: ")).map(str::split_ascii_whitespace);
    let (Some(names), Some(numbers)) = (lines.next(), lines.next()) else { return (0, 0) };
    let mut found = (0, 0);
    for (name, number) in names.zip(numbers) {
        match name {
            "OutSegs" => found.0 = number.parse().unwrap_or(0),
            "RetransSegs" => found.1 = number.parse().unwrap_or(0),
            _ => {}
        }
    }
    found
}

/// Sums the second column of `/proc/net/softnet_stat`, in hexadecimal, over all cores.
fn parse_dropped(text: &str) -> u64 {
    let second = |line: &str| u64::from_str_radix(line.split_ascii_whitespace().nth(1)?, 16).ok();
    text.lines().filter_map(second).sum()
}

/// Parses busy time from the text of `/proc/stat` (proc(5)): `cpuN user nice system idle iowait irq
/// softirq steal …`, in ticks. Guest time is already part of user time.
fn parse_busy(text: &str, cores: &[usize]) -> Option<Nanos> {
    let mut ticks = 0_u64;
    for core in cores {
        let name = format!("cpu{core}");
        let line = text.lines().find(|line| line.split_ascii_whitespace().next() == Some(&name))?;
        let fields: Vec<u64> = line.split_ascii_whitespace().skip(1).map_while(|field| field.parse().ok()).collect();
        let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = fields[..] else { return None };
        ticks += user + nice + system + irq + softirq + steal;
    }
    Some(Nanos(ticks.saturating_mul(TICK.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_cores_are_added_up() {
        let stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 400 500 4 5 6 1 1\ncpu1 10 0 0 7 7 0 0 0 0 0\ncpu10 7 7 7 7 7 7 7 7\nintr 1 2\n";
        assert_eq!(parse_busy(stat, &[0]), Some(Nanos::from_millis(210)));
        assert_eq!(parse_busy(stat, &[1, 0]), Some(Nanos::from_millis(310)));
        assert_eq!(parse_busy(stat, &[2]), None);
        assert_eq!(parse_busy("cpu0 1 2 3\n", &[0]), None);
    }

    #[test]
    fn the_kernels_counts_are_read() {
        let stat = "cpu  100 1 50 800 5 0 4 40 7 0\ncpu0 1 2 3\n";
        assert_eq!(parse_ticks(stat), (1000, 40));
        let snmp = "Ip: Forwarding\nIp: 1\nTcp: RtoMin InSegs OutSegs RetransSegs\nTcp: 200 7 1000 3\n";
        assert_eq!(parse_segments(snmp), (1000, 3));
        assert_eq!(parse_dropped("0000a1 00000002 0 0\n000001 0000000a 0 0\n"), 12);
        for nonsense in ["", "x", "cpu q r\n", "Tcp: OutSegs\n"] {
            assert_eq!((parse_ticks(nonsense), parse_segments(nonsense), parse_dropped(nonsense)), ((0, 0), (0, 0), 0));
        }
        let (first, second) =
            (Counted { ticks: 10, ..Counted::default() }, Counted { ticks: 30, ..Counted::default() });
        assert_eq!(second.since(first).ticks, 20);
    }
}
