//! Parsing that several of the kernel's files have in common.

use crate::units::Nanos;

/// A clock tick in `/proc/PID/stat`: in the kernel's interface, `USER_HZ` is 100 on every
/// architecture that Rust's std supports (proc(5)).
pub(super) const TICK: Nanos = Nanos::from_millis(10);
/// Returns the number of KiB after `key` in the text of `/proc/PID/status` or `/proc/meminfo`, in
/// bytes.
pub(super) fn kib(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tllmsim\nVmPeak:\t  999 kB\nVmRSS:\t   12345 kB\nThreads:\t3\n";
        assert_eq!(kib(status, "VmRSS:"), Some(12345 * 1024));
        assert_eq!(kib("MemTotal:        8000000 kB\n", "MemTotal:"), Some(8_192_000_000));
    }
}
