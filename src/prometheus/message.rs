//! The messages of remote write 1.0 (<https://prometheus.io/docs/specs/prw/remote_write_spec/>), as
//! far as they are used here. Field numbers are those of Prometheus' `prompb/types.proto`.

use prost::Message;

/// Schema of native histograms: each doubling has 2^5 = 32 buckets, each of them 2.2 % wide.
pub(super) const SCHEMA: i32 = 5;
/// The value that ends a series (Prometheus' `value.StaleNaN`).
pub(super) const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

#[derive(Clone, PartialEq, Message)]
pub(super) struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TimeSeries {
    /// Sorted by name.
    #[prost(message, repeated, tag = "1")]
    pub(super) labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub(super) samples: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    pub(super) histograms: Vec<Histogram>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Label {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Sample {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "2")]
    pub(super) timestamp: i64,
}

/// A native histogram of counts. Bucket `i` holds values up to `2^(i / 2^schema)`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Histogram {
    #[prost(uint64, tag = "1")]
    pub(super) count: u64,
    #[prost(double, tag = "3")]
    pub(super) sum: f64,
    #[prost(sint32, tag = "4")]
    pub(super) schema: i32,
    #[prost(double, tag = "5")]
    pub(super) zero_threshold: f64,
    #[prost(uint64, tag = "6")]
    pub(super) zero_count: u64,
    #[prost(message, repeated, tag = "11")]
    pub(super) spans: Vec<Span>,
    /// Counts of the buckets, each minus the one before.
    #[prost(sint64, repeated, tag = "12")]
    pub(super) deltas: Vec<i64>,
    #[prost(int64, tag = "15")]
    pub(super) timestamp: i64,
}

/// A run of adjacent buckets.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct Span {
    /// Empty buckets since the previous span. For the first span, the number of its first bucket.
    #[prost(sint32, tag = "1")]
    pub(super) offset: i32,
    #[prost(uint32, tag = "2")]
    pub(super) length: u32,
}
