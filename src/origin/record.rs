//! A record of what the origin has really done: the truth with which a client's numbers are
//! compared. Pure.

use crate::metrics::Distribution;
use crate::units::Nanos;

/// Counts and times since the last reset.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Requests read, of any kind except those about the record.
    pub(super) requests: u64,
    pub(super) streams: u64,
    /// Streams with a written end.
    pub(super) streams_ended: u64,
    /// Token events written, including those of bursts.
    pub(super) events: u64,
    /// Events that the kernel did not take at once because a client does not read. They are not
    /// part of any distribution.
    pub(super) blocked: u64,
    /// Time from the request read to the first token event written.
    ttft: Distribution,
    /// Time between the writes of token events.
    gap: Distribution,
    /// Time from when an event was due to when it was written.
    lateness: Distribution,
    /// The process's CPU time at the reset.
    cpu_before: Nanos,
    since: Nanos,
}

impl Record {
    pub(super) fn reset(&mut self, now: Nanos, cpu: Nanos) {
        let Self { ttft, gap, lateness, .. } = std::mem::take(self);
        *self = Self { ttft, gap, lateness, cpu_before: cpu, since: now, ..Self::default() };
        self.ttft.clear();
        self.gap.clear();
        self.lateness.clear();
    }

    /// Records the first token event of a stream.
    pub(super) fn first(&mut self, ttft: Nanos, late: Nanos) {
        self.events += 1;
        self.ttft.record(ttft);
        self.lateness.record(late);
    }

    /// Records a later token event.
    pub(super) fn next(&mut self, gap: Nanos, late: Nanos) {
        self.events += 1;
        self.gap.record(gap);
        self.lateness.record(late);
    }

    /// Returns the record as JSON. Times are in µs.
    pub(super) fn to_json(&self, now: Nanos, cpu: Nanos, connections: usize) -> String {
        let Self { requests, streams, streams_ended, events, blocked, .. } = self;
        format!(
            "{{\"seconds\":{:.6},\"cpu_us\":{},\"connections\":{connections},\"requests\":{requests},\"streams\":{streams},\
             \"streams_ended\":{streams_ended},\"events\":{events},\"blocked_events\":{blocked},\
             \"ttft_us\":{},\"gap_us\":{},\"lateness_us\":{}}}",
            now.since(self.since).as_secs_f64(),
            cpu.since(self.cpu_before).as_micros(),
            times(&self.ttft),
            times(&self.gap),
            times(&self.lateness),
        )
    }
}

fn times(d: &Distribution) -> String {
    let [p50, p99] = d.percentiles_ms([50.0, 99.0]).map(|ms| ms * 1e3);
    let (count, mean, max) = (d.count, d.avg_ms() * 1e3, d.max_ms() * 1e3);
    format!("{{\"count\":{count},\"mean\":{mean:.3},\"p50\":{p50:.3},\"p99\":{p99:.3},\"max\":{max:.3}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_says_what_was_done_and_forgets_on_demand() {
        let us = Nanos::from_micros;
        let mut record = Record { requests: 3, ..Record::default() };
        record.first(us(50_010), us(10));
        record.next(us(10_000), us(20));
        record.next(us(12_000), us(30));
        let json: serde_json::Value = serde_json::from_str(&record.to_json(us(5), us(4), 2)).unwrap();
        assert_eq!(
            (json["events"].as_u64(), json["requests"].as_u64(), json["cpu_us"].as_u64()),
            (Some(3), Some(3), Some(4))
        );
        assert_eq!((json["ttft_us"]["count"].as_u64(), json["ttft_us"]["mean"].as_f64()), (Some(1), Some(50_010.0)));
        assert_eq!((json["gap_us"]["mean"].as_f64(), json["gap_us"]["max"].as_f64()), (Some(11_000.0), Some(12_000.0)));
        assert_eq!(json["lateness_us"]["p50"].as_f64(), Some(20.0));
        record.reset(us(10), us(7));
        let json: serde_json::Value = serde_json::from_str(&record.to_json(us(1_000_010), us(9), 0)).unwrap();
        assert_eq!(
            (json["events"].as_u64(), json["gap_us"]["count"].as_u64(), json["cpu_us"].as_u64()),
            (Some(0), Some(0), Some(2))
        );
        assert_eq!(json["seconds"].as_f64(), Some(1.0));
    }
}
