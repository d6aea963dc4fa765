//! The machine that this process runs on, read from `/proc` and `/sys`.

use super::text::kib;
use sha2::{Digest as _, Sha256};
use std::fs;

/// The machine that a run was made on. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The processor's name, or `unknown` if the kernel does not tell.
    pub cpu_model: String,
    /// Cores that this process may use.
    pub cores: u32,
    pub memory_bytes: u64,
    pub kernel: String,
    pub os: String,
    pub arch: String,
    /// The source of the monotonic clock. Any source but `tsc` (or ARM's `arch_sys_counter`) is
    /// slow to read.
    pub clocksource: String,
}

/// Stands for values that the kernel does not tell.
const UNKNOWN: &str = "unknown";
/// Length of a fingerprint in bytes: enough for every machine of a lab to have its own.
const FINGERPRINT_BYTES: usize = 8;

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

/// Returns the cores that this process may use, in order. Empty if the system does not say.
pub fn cores() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect()
}

impl Machine {
    /// Returns a short hash in hex. Two machines must have the same one for their numbers to be
    /// compared. Choices of a run, such as its number of workers, are not part of it.
    pub fn fingerprint(&self) -> String {
        // The format must not change: results of earlier versions are still compared with new ones.
        let facts = format!(
            "{:?}",
            (
                Some(&self.cpu_model),
                Some(self.cores),
                Some(self.memory_bytes),
                Some(&self.kernel),
                &self.os,
                &self.arch
            )
        );
        let digest = Sha256::digest(facts.as_bytes());
        digest.iter().take(FINGERPRINT_BYTES).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    }
}

/// Returns the first processor's name in the text of `/proc/cpuinfo`. ARM kernels do not give one.
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
