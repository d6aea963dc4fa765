//! Tally → what it means: rates, percentiles, the table of failures.

use super::{Counter, Gauge, Share, Tally, Trend};
use crate::units::Nanos;

/// What a tally says.
#[derive(Debug, Clone)]
pub struct Summary {}

/// STUB.
#[derive(Debug, Clone)]
pub struct Distribution {
    /// STUB.
    pub count: u64,
}

impl Distribution {
    /// STUB.
    pub fn avg_ms(&self) -> f64 {
        todo!()
    }
    /// STUB.
    pub fn min_ms(&self) -> f64 {
        todo!()
    }
    /// STUB.
    pub fn max_ms(&self) -> f64 {
        todo!()
    }
    /// STUB.
    pub fn percentile_ms(&self, _p: f64) -> f64 {
        todo!()
    }
}

/// STUB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CounterValue {
    /// STUB.
    pub count: u64,
    /// STUB.
    pub rate: f64,
}

/// STUB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShareValue {
    /// STUB.
    pub matches: u64,
    /// STUB.
    pub total: u64,
}

impl ShareValue {
    /// STUB.
    pub fn rate(&self) -> f64 {
        self.matches as f64 / self.total as f64
    }
}

/// STUB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GaugeValue {
    /// STUB.
    pub value: u64,
    /// STUB.
    pub min: u64,
    /// STUB.
    pub max: u64,
}

impl Summary {
    /// Rates are per second of `window`. `requests` are the names of the kinds, in the order of the mix.
    pub fn new(_tally: &Tally, _requests: &[String], _window: Nanos) -> Self {
        todo!()
    }

    /// STUB.
    pub fn trend(&self, _trend: Trend, _request: Option<&str>) -> Option<&Distribution> {
        None
    }

    /// STUB.
    pub fn counter(&self, _counter: Counter, _request: Option<&str>) -> Option<CounterValue> {
        None
    }

    /// STUB.
    pub fn share(&self, _share: Share, _request: Option<&str>) -> Option<ShareValue> {
        None
    }

    /// STUB.
    pub fn gauge(&self, _gauge: Gauge) -> Option<GaugeValue> {
        None
    }

    /// STUB.
    pub fn finished(&self) -> u64 {
        0
    }
}
