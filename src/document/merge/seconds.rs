//! Sums of the seconds of several shards: counts, and histograms bucket by bucket.

use crate::document::read::{three, wrong};
use crate::document::{FieldError, Histograms, KindSecond, Quantiles, Second};
use crate::metrics::{Buckets, Distribution};
use crate::units::rounded;
use std::collections::BTreeMap;

/// One second, summed over shards.
#[derive(Debug)]
pub(crate) struct SecondSum {
    pub(crate) second: Second,
    kinds: BTreeMap<String, [Buckets; 3]>,
}

impl SecondSum {
    pub(crate) fn new(i: usize, second: &Second) -> Result<Self, FieldError> {
        let mut kinds = BTreeMap::new();
        for (kind, numbers) in &second.requests {
            let mut three_buckets: [Buckets; 3] = Default::default();
            for (buckets, (name, text, quantiles)) in three_buckets.iter_mut().zip(three(numbers)) {
                let field = format!("series[{i}].requests.{kind}.histograms.{name}");
                *buckets = histogram(&field, text, quantiles)?;
            }
            kinds.insert(kind.clone(), three_buckets);
        }
        Ok(Self { second: second.clone(), kinds })
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let (a, b) = (&mut self.second, &other.second);
        for (ours, theirs) in [
            (&mut a.vus, b.vus),
            (&mut a.in_flight, b.in_flight),
            (&mut a.connections, b.connections),
            (&mut a.http_reqs, b.http_reqs),
            (&mut a.failed, b.failed),
            (&mut a.tokens_output, b.tokens_output),
            (&mut a.token_events, b.token_events),
            (&mut a.data_received, b.data_received),
        ] {
            *ours += theirs;
        }
        for (ours, theirs) in
            [(&mut a.http_reqs_started, b.http_reqs_started), (&mut a.arrivals_offered, b.arrivals_offered)]
        {
            *ours = ours.iter().chain(&theirs).copied().reduce(|one, other| one + other);
        }
        for (class, n) in &b.failures {
            *a.failures.entry(class.clone()).or_default() += n;
        }
        a.client_cpu += b.client_cpu;
        a.busiest_worker_cpu = a.busiest_worker_cpu.max(b.busiest_worker_cpu);
        a.client_lag_p99 = a.client_lag_p99.into_iter().chain(b.client_lag_p99).reduce(f64::max);
        a.set_remaining(a.remaining().lowest(b.remaining()));
        // Each process has its own memory.
        a.client_rss_bytes = None;
        // Each machine has its own path.
        a.rtt_ms = None;
        (a.server_cpu, a.server_rss_bytes) = (a.server_cpu.or(b.server_cpu), a.server_rss_bytes.or(b.server_rss_bytes));
        if a.server_metrics.is_empty() {
            a.server_metrics.clone_from(&b.server_metrics);
        }
        for (kind, theirs) in &b.requests {
            let Some(ours) = a.requests.get_mut(kind) else {
                a.requests.insert(kind.clone(), theirs.clone());
                continue;
            };
            ours.http_reqs += theirs.http_reqs;
            ours.failed += theirs.failed;
            ours.tokens_output += theirs.tokens_output;
        }
        for (kind, theirs) in &other.kinds {
            let ours = self.kinds.entry(kind.clone()).or_default();
            ours.iter_mut().zip(theirs).for_each(|(ours, theirs)| ours.add(theirs));
        }
    }

    pub(crate) fn finish(mut self) -> Second {
        let mut all: [Buckets; 3] = Default::default();
        for (kind, buckets) in &self.kinds {
            all.iter_mut().zip(buckets).for_each(|(sum, more)| sum.add(more));
            let Some(second) = self.second.requests.get_mut(kind) else { continue };
            let [ttft, tbt, http_req_duration] = buckets;
            second.histograms =
                Histograms { ttft: encoded(ttft), tbt: encoded(tbt), http_req_duration: encoded(http_req_duration) };
            set(second, buckets);
        }
        let [ttft, tbt, http_req_duration] = all.each_ref().map(quantiles);
        (self.second.ttft, self.second.tbt, self.second.http_req_duration) = (ttft, tbt, http_req_duration);
        self.second.client_cpu = rounded(self.second.client_cpu);
        self.second
    }
}

/// Returns the histogram beside percentiles. It is empty if there are no percentiles.
pub(crate) fn histogram(
    field: &str,
    text: Option<&String>,
    quantiles: Option<&Quantiles>,
) -> Result<Buckets, FieldError> {
    match text {
        Some(text) => Buckets::decode(text).map_err(|e| wrong(field, e.to_string())),
        None if quantiles.is_some() => Err(wrong(field, "it is missing: nothing can be merged")),
        None => Ok(Buckets::default()),
    }
}

pub(crate) fn encoded(buckets: &Buckets) -> Option<String> {
    (buckets.count() > 0).then(|| Distribution::of_buckets(buckets).encoded())
}

fn set(second: &mut KindSecond, buckets: &[Buckets; 3]) {
    let [ttft, tbt, http_req_duration] = buckets.each_ref().map(quantiles);
    (second.ttft, second.tbt, second.http_req_duration) = (ttft, tbt, http_req_duration);
}

pub(crate) fn quantiles(buckets: &Buckets) -> Option<Quantiles> {
    let [p50, p95, p99] = [50.0, 95.0, 99.0].map(|p| rounded(buckets.percentile_ms(p)));
    (buckets.count() > 0).then_some(Quantiles { p50, p95, p99 })
}
