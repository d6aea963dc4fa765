//! The machine that we run on, read from `/proc` and `/sys`.

use super::text::kib;
use std::fs;

/// The machine that a run was made on. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The processor's name, `unknown` where the kernel does not tell.
    pub cpu_model: String,
    /// Cores that this process may use.
    pub cores: u32,
    pub memory_bytes: u64,
    pub kernel: String,
    pub os: String,
    pub arch: String,
    /// What the monotonic clock stands on: anything but `tsc` (or ARM's `arch_sys_counter`) makes
    /// reading it slow.
    pub clocksource: String,
}

/// What the kernel does not tell.
const UNKNOWN: &str = "unknown";

pub fn machine() -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let word = |path: &str| {
        let text = read(path);
        if text.trim().is_empty() { UNKNOWN.to_owned() } else { text.trim().to_owned() }
    };
    Machine {
        cpu_model: parse_cpu_model(&read("/proc/cpuinfo")).unwrap_or_else(|| UNKNOWN.to_owned()),
        cores: std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
        memory_bytes: kib(&read("/proc/meminfo"), "MemTotal:").unwrap_or(0),
        kernel: word("/proc/sys/kernel/osrelease"),
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        clocksource: word("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
    }
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

    #[test]
    fn the_processor_is_named() {
        let cpuinfo = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 7B13\nprocessor\t: 1\nmodel name\t: other\n";
        assert_eq!(parse_cpu_model(cpuinfo).as_deref(), Some("AMD EPYC 7B13"));
        assert_eq!(parse_cpu_model("processor\t: 0\nCPU part\t: 0xd0c\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn our_own_machine_is_read() {
        let machine = machine();
        assert!(machine.cores >= 1 && machine.memory_bytes > 1 << 20 && machine.kernel.contains('.'), "{machine:?}");
    }
}
