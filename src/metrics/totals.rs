//! Running sums of a whole run: all counters and rates. They contain no distributions, so they are
//! cheap enough to be computed every second.

use super::summary::RateValue;
use super::{Counter, Rate, Tally};
use std::collections::BTreeMap;

/// Counts so far over all kinds of request, warm-up and cooldown included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    counters: [u64; Counter::ALL.len()],
    rates: [RateValue; Rate::ALL.len()],
}

impl Default for Totals {
    fn default() -> Self {
        Self { counters: [0; Counter::ALL.len()], rates: [RateValue::default(); Rate::ALL.len()] }
    }
}

impl Totals {
    /// Adds the next second.
    pub fn add(&mut self, second: &Tally) {
        for part in second.kinds.iter().chain([&second.shared]) {
            for (counter, n) in Counter::ALL.into_iter().zip(&mut self.counters) {
                *n += part.counter(counter);
            }
            for (rate, sum) in Rate::ALL.into_iter().zip(&mut self.rates) {
                let more = RateValue::new(part, rate);
                *sum = RateValue { matches: sum.matches + more.matches, total: sum.total + more.total };
            }
        }
    }

    /// Adds the counts of another process by name. Names unknown to this build are ignored.
    pub fn add_named(&mut self, named: &BTreeMap<String, [u64; 2]>) {
        for (counter, n) in Counter::ALL.into_iter().zip(&mut self.counters) {
            *n = n.saturating_add(named.get(counter.name()).map_or(0, |[count, _]| *count));
        }
        for (rate, sum) in Rate::ALL.into_iter().zip(&mut self.rates) {
            let [matches, total] = named.get(rate.name()).copied().unwrap_or_default();
            *sum = RateValue { matches: sum.matches.saturating_add(matches), total: sum.total.saturating_add(total) };
        }
    }

    /// Returns all sums by name. A rate has two counts.
    pub fn named(&self) -> BTreeMap<String, [u64; 2]> {
        let counters = Counter::ALL.into_iter().zip(self.counters).map(|(counter, n)| (counter.name(), [n, 0]));
        let rates = Rate::ALL.into_iter().zip(self.rates).map(|(rate, r)| (rate.name(), [r.matches, r.total]));
        counters.chain(rates).map(|(name, numbers)| (name.to_owned(), numbers)).collect()
    }

    /// Returns a count so far.
    pub const fn counter(&self, counter: Counter) -> u64 {
        self.counters[counter as usize]
    }

    /// Returns a ratio so far, even if its total is zero.
    pub const fn rate(&self, rate: Rate) -> RateValue {
        self.rates[rate as usize]
    }
}

#[cfg(test)]
impl Totals {
    /// Returns totals with these counts and `failed` failed requests.
    pub(crate) fn of(counts: &[(Counter, u64)], failed: u64) -> Self {
        let mut totals = Self::default();
        for (counter, n) in counts {
            totals.counters[*counter as usize] = *n;
        }
        totals.rates[Rate::HttpReqFailed as usize] =
            RateValue { matches: failed, total: totals.counter(Counter::HttpReqs) };
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tally::tests::{stream, success};
    use crate::metrics::{Failure, Outcome, Sample, Summary};
    use crate::units::Nanos;

    #[test]
    fn totals_are_those_of_a_summary_of_all_seconds() {
        let mut seconds = [Tally::new(2), Tally::new(2)];
        seconds[0].record(&stream(0, 3, None));
        seconds[0].connection_opened(Nanos::from_millis(1));
        seconds[1].record(&Sample { outcome: Outcome::Failed(Failure::Http429), ..success(1, 4) });
        seconds[1].record(&Sample { good: Some(true), checks_held: 2, ..success(1, 4) });
        let (mut totals, mut sum) = (Totals::default(), Tally::new(2));
        for second in &seconds {
            totals.add(second);
            sum.append(second);
        }
        let summary = Summary::new(&sum, &["chat".to_owned(), "health".to_owned()], Nanos::from_secs(2));
        for counter in Counter::ALL {
            assert_eq!(Some(totals.counter(counter)), summary.counter(counter, None).map(|c| c.count), "{counter:?}");
        }
        for rate in Rate::ALL {
            assert_eq!(Some(totals.rate(rate)), summary.all.rate(rate), "{rate:?}");
        }
        assert_eq!(totals.rate(Rate::HttpReqFailed), RateValue { matches: 1, total: 3 });
    }
}
