//! CPU time and memory of a process from a given start: of the server, or of this process.

use crate::host::{self, ProcessUsage};
use crate::units::Nanos;

/// Resource use of a process between a start and an end. Plain data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    pub first: ProcessUsage,
    pub last: ProcessUsage,
    /// The highest resident memory that was seen.
    pub rss_max_bytes: u64,
}

/// Resource use of a process in one second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// CPU use in cores. `None` if no time has passed.
    pub cpu: Option<f64>,
    pub rss_bytes: u64,
}

/// A process that is sampled repeatedly.
#[derive(Debug)]
pub struct ProcessWatch {
    pid: u32,
    used: Used,
    /// Time of the last sample.
    at: Nanos,
}

impl ProcessWatch {
    /// Begins to watch a process. `None` if the process does not exist.
    pub fn begin(pid: u32) -> Option<Self> {
        host::sample_pid(pid).map(|usage| Self::from(pid, usage))
    }

    const fn from(pid: u32, first: ProcessUsage) -> Self {
        Self { pid, used: Used { first, last: first, rss_max_bytes: first.rss_bytes }, at: Nanos::ZERO }
    }

    /// Returns the resource use since the last sample. `None` if the process has ended. `elapsed`
    /// is the time since the start.
    pub fn look(&mut self, elapsed: Nanos) -> Option<Look> {
        host::sample_pid(self.pid).map(|usage| self.add(elapsed, usage))
    }

    fn add(&mut self, elapsed: Nanos, usage: ProcessUsage) -> Look {
        let length = elapsed.since(self.at).as_secs_f64();
        let cpu = (length > 0.0).then(|| usage.cpu.since(self.used.last.cpu).as_secs_f64() / length);
        self.used.last = usage;
        self.used.rss_max_bytes = self.used.rss_max_bytes.max(usage.rss_bytes);
        self.at = elapsed;
        Look { cpu, rss_bytes: usage.rss_bytes }
    }

    /// Takes a last sample and returns the total. For a process that has ended, the last successful
    /// sample counts.
    pub fn end(mut self) -> Used {
        let at = self.at;
        let _ = self.look(at);
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(cpu_ms: u64, rss_bytes: u64) -> ProcessUsage {
        ProcessUsage { cpu: Nanos::from_millis(cpu_ms), rss_bytes, threads: 1 }
    }

    #[test]
    fn each_look_is_about_the_time_since_the_last() {
        let mut watch = ProcessWatch::from(u32::MAX, usage(500, 10));
        let second = Nanos::from_secs;
        assert_eq!(watch.add(second(1), usage(1_500, 30)), Look { cpu: Some(1.0), rss_bytes: 30 });
        assert_eq!(watch.add(second(3), usage(2_500, 20)), Look { cpu: Some(0.5), rss_bytes: 20 });
        assert_eq!(watch.add(second(3), usage(2_500, 20)).cpu, None);
        // The process is gone, so the last successful sample counts.
        assert_eq!(watch.look(second(4)), None);
        assert_eq!(watch.end(), Used { first: usage(500, 10), last: usage(2_500, 20), rss_max_bytes: 30 });
    }
}
