//! Rebuilds a tally from a summary that another process has sent, for viewers that read tallies.

use super::part::Part;
use super::summary::Group;
use super::tally::Level;
use super::{Metric, Rate, Summary, Tally};

impl Tally {
    /// Returns the tally behind a summary, as far as [`super::PartOf`] and levels expose it.
    /// `kinds` are the names of the kinds of request in the order of the mix. The order in a
    /// summary from another process may differ.
    pub fn told(summary: Summary, kinds: &[String]) -> Self {
        let Summary { all, requests, gauges, failures, .. } = summary;
        let mut tally = Self::new(kinds.len());
        tally.shared = part(all, true);
        for (name, group) in requests {
            if let Some(place) = kinds.iter().position(|kind| *kind == name) {
                tally.kinds[place] = part(group, false);
            }
        }
        for (gauge, level) in gauges {
            let (value, min, max) = (level.value, level.min, level.max);
            tally.levels[gauge as usize] = Level { value, min, max, is_set: true };
        }
        for (failure, seen) in failures {
            tally.failures[failure as usize] = seen;
        }
        tally
    }
}

/// Returns the part behind a group. `is_global` selects the numbers that belong to no kind of
/// request.
fn part(group: Group, is_global: bool) -> Part {
    let mut part = Part::default();
    for (trend, times) in group.trends.into_iter().filter(|(t, _)| Metric::Trend(*t).is_global() == is_global) {
        part.trends[trend as usize] = Some(Box::new(times));
    }
    for (counter, value) in group.counters.into_iter().filter(|(c, _)| Metric::Counter(*c).is_global() == is_global) {
        part.counters[counter as usize] = value.count;
        part.in_window[counter as usize] = value.in_window;
    }
    for (rate, value) in group.rates.into_iter().filter(|(r, _)| Metric::Rate(*r).is_global() == is_global) {
        match rate {
            Rate::HttpReqFailed => part.failed = value.matches,
            Rate::Checks => {
                (part.checks_held, part.checks_failed) = (value.matches, value.total.saturating_sub(value.matches));
            }
            Rate::Goodput => (part.good, part.judged) = (value.matches, value.total),
            Rate::InputOff => (part.compared.input_off, part.compared.input) = (value.matches, value.total),
            Rate::OutputOff => (part.compared.output_off, part.compared.output) = (value.matches, value.total),
            // These are computed from the times and counts above.
            Rate::AskedPrefixShare | Rate::CachedShare | Rate::Amplification => {}
        }
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tally::tests::{stream, success};
    use crate::metrics::{Asked, Counter, Failure, Gauge, Outcome, PartOf, Sample, TokenUsage, Trend};
    use crate::units::Nanos;

    #[test]
    fn a_tally_that_is_told_shows_what_the_first_showed() {
        let names = ["b", "a"].map(str::to_owned);
        let mut tally = Tally::new(2);
        tally.record(&stream(0, 3, None));
        tally.record(&Sample { good: Some(true), checks_held: 2, ..success(1, 8) });
        tally.record(&Sample {
            asked: Asked { input: 140, prefix: 40, output: 20 },
            usage: Some(TokenUsage { input: 150, output: 21, cached: 32, ..TokenUsage::default() }),
            ..success(1, 8)
        });
        tally.attempts(&success(1, 8), 3);
        tally.record(&Sample { outcome: Outcome::Failed(Failure::Http429), status: 429, ..success(1, 4) });
        tally.connection_opened(Nanos::from_millis(1));
        tally.client_lag(Nanos::from_micros(7));
        tally.started();
        tally.level(Gauge::Vus, 4);
        let mut summary = Summary::new(&tally, &names, Nanos::from_secs(1));
        // The order may differ in a summary from another process.
        summary.requests.reverse();
        let told = Tally::told(summary, &names);
        for of in [PartOf::Kind(0), PartOf::Kind(1), PartOf::Shared] {
            for trend in Trend::ALL {
                let shown = |tally: &Tally| tally.trend(of, trend).map(|times| (times.exact(), times.encoded()));
                assert_eq!(shown(&told), shown(&tally), "{of:?} {trend:?}");
            }
            for counter in Counter::ALL {
                assert_eq!(told.counter(of, counter), tally.counter(of, counter), "{of:?} {counter:?}");
            }
            for rate in Rate::ALL {
                assert_eq!(told.rate(of, rate), tally.rate(of, rate), "{of:?} {rate:?}");
            }
        }
        for gauge in Gauge::ALL {
            assert_eq!(told.level_now(gauge), tally.level_now(gauge), "{gauge:?}");
        }
        assert_eq!(told.failed(Failure::Http429), 1);
    }
}
