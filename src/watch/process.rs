//! CPU time and memory of a process, from a beginning on: the server's, or our own.

use crate::host::{self, ProcessUsage};
use crate::units::Nanos;

/// What a process used from a beginning to an end. Plain data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    pub first: ProcessUsage,
    pub last: ProcessUsage,
    /// The highest resident memory that was seen.
    pub rss_max_bytes: u64,
}

/// What a process used in one second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// In cores; none when no time has passed.
    pub cpu: Option<f64>,
    pub rss_bytes: u64,
}

/// A process that is looked at again and again.
#[derive(Debug)]
pub struct ProcessWatch {
    pid: u32,
    used: Used,
    /// When it was looked at last.
    at: Nanos,
}

impl ProcessWatch {
    /// From now on; none when there is no such process.
    pub fn begin(pid: u32) -> Option<Self> {
        host::sample_pid(pid).map(|usage| Self::from(pid, usage))
    }

    const fn from(pid: u32, first: ProcessUsage) -> Self {
        Self { pid, used: Used { first, last: first, rss_max_bytes: first.rss_bytes }, at: Nanos::ZERO }
    }

    /// What it has used since the last look; none when it has ended. `elapsed` is the time since
    /// the beginning.
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

    /// One more look, at what it has used in all. A process that has ended is as it was seen last.
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
        // It is gone: what was seen last stands.
        assert_eq!(watch.look(second(4)), None);
        assert_eq!(watch.end(), Used { first: usage(500, 10), last: usage(2_500, 20), rss_max_bytes: 30 });
    }
}
