//! The resources that a local process has used, read from `/proc`. Other systems tell nothing.

use super::text::{TICK, kib};
use crate::units::Nanos;
use std::fs;

/// The resources that a process has used. Plain data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessUsage {
    /// CPU time so far, user and system, all threads.
    pub cpu: Nanos,
    pub rss_bytes: u64,
    pub threads: u32,
}

/// Returns the usage of process `pid`, or `None` when the process is gone.
pub fn sample_pid(pid: u32) -> Option<ProcessUsage> {
    let (cpu, threads) = parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    let rss_bytes = kib(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmRSS:")?;
    Some(ProcessUsage { cpu, rss_bytes, threads })
}

/// Returns the usage of this process.
pub fn own() -> Option<ProcessUsage> {
    sample_pid(std::process::id())
}

/// Returns true if this process was started with the signal ignored, as `nohup` does. Call it
/// before a handler is set.
pub fn ignores(signal: i32) -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|text| parse_ignored(&text, signal))
}

/// Returns true if the signal's bit is set in the line `SigIgn` of `/proc/PID/status`, a mask in
/// hexadecimal.
fn parse_ignored(text: &str, signal: i32) -> bool {
    let mask = text.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    u32::try_from(signal - 1).is_ok_and(|bit| mask.checked_shr(bit).is_some_and(|mask| mask & 1 == 1))
}

/// Parses CPU time and threads from the text of `/proc/PID/stat` (proc(5)): fields 14, 15 and 20,
/// counted from the end of the name. The name stands in parentheses and may contain anything,
/// parentheses and blanks included.
fn parse_stat(text: &str) -> Option<(Nanos, u32)> {
    let (_, after_name) = text.rsplit_once(')')?;
    // The first field after the name is the third.
    let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
    let user: u64 = fields.get(14 - 3)?.parse().ok()?;
    let system: u64 = fields.get(15 - 3)?.parse().ok()?;
    let threads = fields.get(20 - 3)?.parse().ok()?;
    Some((Nanos(user.saturating_add(system).saturating_mul(TICK.0)), threads))
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
    fn nonsense_is_no_usage() {
        for nonsense in ["", "1 (x", "1 (x) S", "1 (x) S 1 2 3 4 5 6 7 8 9 10 x y 0 0 0 0 5"] {
            assert_eq!(parse_stat(nonsense), None, "{nonsense}");
        }
        // A zombie has no memory line.
        assert_eq!(kib("Name:\tx\nState:\tZ (zombie)\n", "VmRSS:"), None);
        assert_eq!(kib("VmRSS:\t12 pages\n", "VmRSS:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn our_own_process_is_read() {
        let usage = own().unwrap();
        assert!(usage.rss_bytes > 100_000 && usage.threads >= 1, "{usage:?}");
        assert_eq!(sample_pid(u32::MAX), None);
    }
}
