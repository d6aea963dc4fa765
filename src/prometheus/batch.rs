//! A batch for one remote write: a sample of every series at one instant, packed.

use super::counts::{Counts, Family, Labels, Scale, Value};
use super::message::{Label, STALE, Sample, TimeSeries, WriteRequest};
use super::native;
use prost::Message as _;
use std::collections::BTreeMap;

/// The series that were sent, and their kinds.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// The scale of each series that is a histogram.
    series: BTreeMap<(String, Labels), Option<Scale>>,
    /// Instant of the last sample, in ms since 1970.
    last: Option<i64>,
}

impl Sent {
    /// Returns a sample of everything at `at`, or right after the last sample if that is later,
    /// because time must not go back. A count or a histogram that was not in the last sample gets a
    /// zero at that instant.
    pub(super) fn batch(&mut self, counts: &Counts, at: i64) -> Vec<u8> {
        let before = self.last;
        let at = before.map_or(at, |last| at.max(last + 1));
        let mut timeseries = Vec::new();
        for family in counts.families() {
            let name = family.full_name();
            timeseries.extend(family_series(&family, &name, at, |labels, scale| {
                let is_new = self.series.insert((name.clone(), labels.clone()), scale).is_none();
                before.filter(|_| is_new)
            }));
        }
        self.last = Some(at);
        packed(timeseries)
    }

    /// Returns the end of every series. `None` if no series was sent.
    pub(super) fn end(&mut self) -> Option<Vec<u8>> {
        let at = self.last? + 1;
        self.last = Some(at);
        let series = self.series.iter().map(|((name, labels), scale)| {
            let mut series = TimeSeries { labels: named(name, labels), ..TimeSeries::default() };
            if let Some(scale) = scale {
                series.histograms.push(native::stale(*scale, at));
            } else {
                series.samples.push(Sample { value: STALE, timestamp: at });
            }
            series
        });
        Some(packed(series.collect()))
    }
}

/// Returns the series of a family. `began` returns the instant at which a series was zero, if it is
/// new.
fn family_series(
    family: &Family,
    name: &str,
    at: i64,
    mut began: impl FnMut(&Labels, Option<Scale>) -> Option<i64>,
) -> Vec<TimeSeries> {
    let series = family.points.iter().map(|point| {
        let mut series = TimeSeries { labels: named(name, &point.labels), ..TimeSeries::default() };
        let sample = |value: f64| Sample { value, timestamp: at };
        match &point.value {
            Value::Distribution(distribution) => {
                let scale = distribution.scale;
                series.histograms.extend(began(&point.labels, Some(scale)).map(|began| native::empty(scale, began)));
                series.histograms.push(native::histogram(distribution, at));
            }
            Value::Count(n) => {
                let zero = began(&point.labels, None).map(|began| Sample { value: 0.0, timestamp: began });
                series.samples.extend(zero);
                series.samples.push(sample(*n as f64));
            }
            Value::Level(value) => {
                began(&point.labels, None);
                series.samples.push(sample(*value));
            }
        }
        series
    });
    series.collect()
}

/// Returns the labels of a series, sorted by name. The name of the metric comes first.
fn named(name: &str, labels: &Labels) -> Vec<Label> {
    let all = std::iter::once(("__name__", name)).chain(labels.iter().map(|(name, value)| (*name, value.as_str())));
    all.map(|(name, value)| Label { name: name.to_owned(), value: value.to_owned() }).collect()
}

/// Packs a request as it is sent: protobuf, in Snappy's block format.
fn packed(timeseries: Vec<TimeSeries>) -> Vec<u8> {
    let bytes = WriteRequest { timeseries }.encode_to_vec();
    let packed = snap::raw::Encoder::new().compress_vec(&bytes);
    debug_assert!(packed.is_ok(), "fewer than 4 GiB can be packed");
    packed.unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::counts::tests::{counts, outline, second};
    use super::*;

    pub(in crate::prometheus) fn unpacked(bytes: &[u8]) -> WriteRequest {
        let bytes = snap::raw::Decoder::new().decompress_vec(bytes).expect("Snappy");
        WriteRequest::decode(&bytes[..]).expect("a request")
    }

    fn find<'a>(request: &'a WriteRequest, name: &str) -> &'a TimeSeries {
        request.timeseries.iter().find(|series| series.labels[0].value == name).expect(name)
    }

    #[test]
    fn labels_are_sorted_and_times_rise() {
        let (mut sent, counts) = (Sent::default(), counts());
        let first = unpacked(&sent.batch(&counts, 1_000));
        for series in &first.timeseries {
            assert!(series.labels.is_sorted_by(|a, b| a.name < b.name), "{series:?}");
            assert_eq!(series.samples.len() + series.histograms.len(), 1, "{series:?}");
        }
        // The clock was set back.
        let again = unpacked(&sent.batch(&counts, 500));
        assert_eq!(find(&again, "llmsim_blast_vus").samples, [Sample { value: 3.0, timestamp: 1_001 }]);
    }

    #[test]
    fn a_series_that_comes_later_began_at_zero() {
        let (mut sent, mut counts) = (Sent::default(), Counts::new(outline()));
        let opening = unpacked(&sent.batch(&counts, 1_000));
        assert!(opening.timeseries.iter().all(|series| series.histograms.is_empty()));
        let (snapshot, tally) = second(&[10]);
        counts.add(&snapshot, &tally);
        let request = unpacked(&sent.batch(&counts, 3_000));
        let times = &find(&request, "llmsim_blast_http_req_duration_seconds").histograms;
        assert_eq!(times.iter().map(|h| (h.timestamp, h.count)).collect::<Vec<_>>(), [(1_000, 0), (3_000, 1)]);
        let class = &find(&request, "llmsim_blast_failures_total").samples;
        assert_eq!(class.iter().map(|s| (s.timestamp, s.value)).collect::<Vec<_>>(), [(1_000, 0.0), (3_000, 1.0)]);
        assert_eq!(find(&request, "llmsim_blast_http_reqs_total").samples.len(), 1, "it was there before");
    }

    #[test]
    fn every_series_ends() {
        let mut sent = Sent::default();
        assert_eq!(sent.end(), None);
        let last = unpacked(&sent.batch(&counts(), 1_000));
        let end = unpacked(&sent.end().expect("an end"));
        let mut names: Vec<_> = last.timeseries.iter().map(|series| series.labels.clone()).collect();
        let mut ended: Vec<_> = end.timeseries.iter().map(|series| series.labels.clone()).collect();
        let key = |labels: &Vec<Label>| format!("{labels:?}");
        names.sort_by_key(key);
        ended.sort_by_key(key);
        assert_eq!(names, ended);
        for series in end.timeseries {
            let samples = series.samples.iter().map(|s| (s.timestamp, s.value.to_bits()));
            let histograms = series.histograms.iter().map(|h| (h.timestamp, h.sum.to_bits()));
            assert_eq!(samples.chain(histograms).collect::<Vec<_>>(), [(1_001, 0x7ff0_0000_0000_0002)]);
        }
    }
}
