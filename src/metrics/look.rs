//! Access to everything in a tally, for viewers that show all of it.

use super::summary::RateValue;
use super::{Buckets, Counter, Distribution, Failure, Gauge, Rate, Tally, Trend};

/// The part of a tally to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartOf {
    /// One kind of request, by its index in the mix.
    Kind(usize),
    /// Numbers of connections, arrivals and this client, which belong to no kind of request.
    Shared,
}

impl Tally {
    fn part(&self, of: PartOf) -> Option<&super::part::Part> {
        match of {
            PartOf::Kind(place) => self.kinds.get(place),
            PartOf::Shared => Some(&self.shared),
        }
    }

    /// Returns the times of a trend, or `None` if none were recorded.
    pub fn trend(&self, of: PartOf, trend: Trend) -> Option<&Distribution> {
        self.part(of)?.trend(trend)
    }

    pub fn counter(&self, of: PartOf, counter: Counter) -> u64 {
        self.part(of).map_or(0, |part| part.counter(counter))
    }

    pub fn rate(&self, of: PartOf, rate: Rate) -> RateValue {
        self.part(of).map_or_else(RateValue::default, |part| RateValue::new(part, rate))
    }

    /// Returns a level at the end of the tally's time, or `None` if it was never set.
    pub fn level_now(&self, gauge: Gauge) -> Option<u64> {
        let level = self.levels[gauge as usize];
        level.is_set.then_some(level.value)
    }

    /// Returns the number of failed requests of a class.
    pub fn failed(&self, failure: Failure) -> u64 {
        self.failures[failure as usize].count
    }

    /// Returns the times of a trend over all kinds of request.
    pub fn buckets(&self, trend: Trend) -> Buckets {
        let mut sum = Buckets::default();
        for times in self.kinds.iter().filter_map(|part| part.trend(trend)) {
            sum.add(&times.buckets());
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tally::tests::{stream, success};
    use crate::units::Nanos;

    #[test]
    fn a_tally_shows_what_it_holds() {
        let mut tally = Tally::new(2);
        tally.record(&stream(0, 3, None));
        tally.record(&success(1, 8));
        tally.record(&success(1, 8));
        tally.started();
        tally.level(Gauge::Vus, 4);
        assert_eq!(tally.counter(PartOf::Kind(1), Counter::HttpReqs), 2);
        assert_eq!(tally.counter(PartOf::Shared, Counter::HttpReqsStarted), 1);
        assert_eq!(tally.counter(PartOf::Kind(7), Counter::HttpReqs), 0);
        assert_eq!(tally.rate(PartOf::Kind(1), Rate::HttpReqFailed), RateValue { matches: 0, total: 2 });
        assert_eq!((tally.level_now(Gauge::Vus), tally.level_now(Gauge::InFlight)), (Some(4), None));
        assert_eq!(tally.buckets(Trend::HttpReqDuration).count(), 3);
        let duration = tally.trend(PartOf::Kind(1), Trend::HttpReqDuration).expect("times");
        assert_eq!((duration.count, duration.exact().max), (2, Nanos::from_millis(8)));
    }
}
