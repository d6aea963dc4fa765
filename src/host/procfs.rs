//! What the kernel tells about a process and this machine, read from `/proc` and `/sys`. Elsewhere nothing is told.

use crate::units::Nanos;
use std::fs;

/// What a process has used. Plain data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// CPU time so far, user and system, all threads.
    pub cpu: Nanos,
    /// Resident memory now.
    pub rss_bytes: u64,
    /// Threads now.
    pub threads: u32,
}

/// The machine that a run was made on. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The processor's name, `unknown` where the kernel does not tell.
    pub cpu_model: String,
    /// Cores that this process may use.
    pub cores: u32,
    /// All memory.
    pub memory_bytes: u64,
    /// The kernel's release.
    pub kernel: String,
    /// The operating system.
    pub os: String,
    /// The processor's architecture.
    pub arch: String,
    /// What the monotonic clock stands on: anything but `tsc` (or ARM's `arch_sys_counter`) makes reading it slow.
    pub clocksource: String,
}

/// A clock tick in `/proc/PID/stat`: the kernel's interface has `USER_HZ` = 100 on every architecture that Rust's std supports (proc(5)).
const TICK: Nanos = Nanos::from_millis(10);
/// What the kernel does not tell.
const UNKNOWN: &str = "unknown";

/// What process `pid` has used; none when it is gone.
pub fn sample_pid(pid: u32) -> Option<Usage> {
    let (cpu, threads) = parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    let rss_bytes = parse_kib(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmRSS:")?;
    Some(Usage { cpu, rss_bytes, threads })
}

/// Whether this process was started with that signal ignored, as `nohup` does. Asked before a handler is set.
pub fn ignores(signal: i32) -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|text| parse_ignored(&text, signal))
}

/// Whether the bit of a signal is set in the line `SigIgn` of `/proc/PID/status`, a mask in hexadecimal.
fn parse_ignored(text: &str, signal: i32) -> bool {
    let mask = text.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    u32::try_from(signal - 1).is_ok_and(|bit| mask.checked_shr(bit).is_some_and(|mask| mask & 1 == 1))
}

/// How long the cores have been busy since the start of the machine, with whatever, time stolen by the hypervisor included; none when the
/// kernel does not tell.
pub fn busy(cores: &[usize]) -> Option<Nanos> {
    parse_busy(&fs::read_to_string("/proc/stat").ok()?, cores)
}

/// This machine.
pub fn machine() -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let word = |path: &str| {
        let text = read(path);
        if text.trim().is_empty() { UNKNOWN.to_owned() } else { text.trim().to_owned() }
    };
    Machine {
        cpu_model: parse_cpu_model(&read("/proc/cpuinfo")).unwrap_or_else(|| UNKNOWN.to_owned()),
        cores: std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
        memory_bytes: parse_kib(&read("/proc/meminfo"), "MemTotal:").unwrap_or(0),
        kernel: word("/proc/sys/kernel/osrelease"),
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        clocksource: word("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
    }
}

/// What the kernel has counted on the whole machine since it started. Plain data; what it does not tell is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Ticks of CPU time, all cores and states.
    pub ticks: u64,
    /// Those of them that the host gave to other guests.
    pub steal_ticks: u64,
    /// Packets dropped because a core's queue was full.
    pub dropped: u64,
    /// TCP segments sent.
    pub segments_sent: u64,
    /// TCP segments sent again.
    pub segments_retransmitted: u64,
}

impl Counted {
    /// What was counted since `earlier`.
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

/// What the kernel has counted so far.
pub fn counted() -> Counted {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (ticks, steal_ticks) = parse_ticks(&read("/proc/stat"));
    let (segments_sent, segments_retransmitted) = parse_segments(&read("/proc/net/snmp"));
    let dropped = parse_dropped(&read("/proc/net/softnet_stat"));
    Counted { ticks, steal_ticks, dropped, segments_sent, segments_retransmitted }
}

/// All ticks and the stolen ones in the first line of `/proc/stat` (proc(5): user, nice, system, idle, iowait, irq, softirq, steal; what
/// follows is contained in the first two).
fn parse_ticks(text: &str) -> (u64, u64) {
    let line = text.lines().next().and_then(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let fields: Vec<u64> = line.split_ascii_whitespace().take(8).filter_map(|field| field.parse().ok()).collect();
    (fields.iter().sum(), fields.get(7).copied().unwrap_or(0))
}

/// `OutSegs` and `RetransSegs` in the text of `/proc/net/snmp`: a line of names, then a line of numbers.
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

/// The second column of `/proc/net/softnet_stat`, in hexadecimal, over all cores.
fn parse_dropped(text: &str) -> u64 {
    let second = |line: &str| u64::from_str_radix(line.split_ascii_whitespace().nth(1)?, 16).ok();
    text.lines().filter_map(second).sum()
}

/// CPU time and threads in the text of `/proc/PID/stat` (proc(5)): fields 14, 15 and 20, counted after the name, which stands in
/// parentheses and may hold anything, parentheses and blanks included.
fn parse_stat(text: &str) -> Option<(Nanos, u32)> {
    let (_, after_name) = text.rsplit_once(')')?;
    // The first field after the name is the third.
    let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
    let user: u64 = fields.get(14 - 3)?.parse().ok()?;
    let system: u64 = fields.get(15 - 3)?.parse().ok()?;
    let threads = fields.get(20 - 3)?.parse().ok()?;
    Some((Nanos(user.saturating_add(system).saturating_mul(TICK.0)), threads))
}

/// Busy time in the text of `/proc/stat` (proc(5)): `cpuN user nice system idle iowait irq softirq steal …`, in ticks. Guest time is part of
/// user time already.
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

/// The number of KiB behind `key` in the text of `/proc/PID/status` or `/proc/meminfo`, as bytes.
fn parse_kib(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The first processor's name in the text of `/proc/cpuinfo`. ARM kernels give none.
fn parse_cpu_model(text: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == "model name")
        .map(|(_, name)| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "4711 (we) ird (name) S 1 4711 4711 0 -1 4194560 914 0 3 0 250 75 0 0 20 0 5 0 83513 230000 1500 \
                        18446744073709551615 1 1 0 0 0 0 0 4096 17642 0 0 0 17 1 0 0 0 0 0";

    #[test]
    fn ignored_signals_are_read_from_their_mask() {
        let text = "Name:\tx\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000000\n";
        assert_eq!([1, 2, 13, 15, 64].map(|signal| parse_ignored(text, signal)), [true, false, true, false, false]);
        assert!(!parse_ignored("", 1) && !parse_ignored(text, 0));
    }

    #[test]
    fn a_process_is_read_past_its_name() {
        assert_eq!(parse_stat(STAT), Some((Nanos::from_millis(3250), 5)));
    }

    #[test]
    fn busy_cores_are_added_up() {
        let stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 400 500 4 5 6 1 1\ncpu1 10 0 0 7 7 0 0 0 0 0\ncpu10 7 7 7 7 7 7 7 7\nintr 1 2\n";
        assert_eq!(parse_busy(stat, &[0]), Some(Nanos::from_millis(210)));
        assert_eq!(parse_busy(stat, &[1, 0]), Some(Nanos::from_millis(310)));
        assert_eq!(parse_busy(stat, &[2]), None);
        assert_eq!(parse_busy("cpu0 1 2 3\n", &[0]), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tllmsim\nVmPeak:\t  999 kB\nVmRSS:\t   12345 kB\nThreads:\t3\n";
        assert_eq!(parse_kib(status, "VmRSS:"), Some(12345 * 1024));
        assert_eq!(parse_kib("MemTotal:        8000000 kB\n", "MemTotal:"), Some(8_192_000_000));
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

    #[test]
    fn the_processor_is_named() {
        let cpuinfo = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 7B13\nprocessor\t: 1\nmodel name\t: other\n";
        assert_eq!(parse_cpu_model(cpuinfo).as_deref(), Some("AMD EPYC 7B13"));
        assert_eq!(parse_cpu_model("processor\t: 0\nCPU part\t: 0xd0c\n"), None);
    }

    #[test]
    fn nonsense_is_no_usage() {
        for nonsense in ["", "1 (x", "1 (x) S", "1 (x) S 1 2 3 4 5 6 7 8 9 10 x y 0 0 0 0 5"] {
            assert_eq!(parse_stat(nonsense), None, "{nonsense}");
        }
        // A zombie has no memory line.
        assert_eq!(parse_kib("Name:\tx\nState:\tZ (zombie)\n", "VmRSS:"), None);
        assert_eq!(parse_kib("VmRSS:\t12 pages\n", "VmRSS:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn our_own_process_and_machine_are_read() {
        let usage = sample_pid(std::process::id()).unwrap();
        assert!(usage.rss_bytes > 100_000 && usage.threads >= 1, "{usage:?}");
        assert_eq!(sample_pid(u32::MAX), None);
        let machine = machine();
        assert!(machine.cores >= 1 && machine.memory_bytes > 1 << 20 && machine.kernel.contains('.'), "{machine:?}");
    }
}
