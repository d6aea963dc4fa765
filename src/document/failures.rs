//! The failures in a document.

use crate::units::rounded;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The failures of a run. In JSON the classes are keys beside the tables.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Failures {
    /// Responses by status, including successful ones.
    #[serde(default)]
    pub statuses: BTreeMap<String, u64>,
    /// Failed response checks by name.
    #[serde(default)]
    pub checks: BTreeMap<String, u64>,
    /// Details of each class that occurred.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, FailureDetails>,
    /// Attempts that failed and were retried, by class. Classes without one are left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub retried: BTreeMap<String, u64>,
    /// Failed requests by class. Classes without one are left out.
    #[serde(flatten)]
    pub classes: BTreeMap<String, u64>,
}

/// Details of the failures of one class.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FailureDetails {
    /// Their share of the finished requests.
    pub share: f64,
    /// End of the first failure, in seconds since the start.
    pub first_s: f64,
    /// End of the last failure.
    pub last_s: f64,
    /// A sample of the earliest failure: printable, bounded, without secrets.
    #[serde(default)]
    pub sample: Option<String>,
    /// Shortest and longest `Retry-After`, if servers sent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<RetryAfter>,
}

/// The waiting times that servers asked for, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryAfter {
    pub min: u32,
    pub max: u32,
}

impl Failures {
    /// Adds the failures of another shard of the test.
    pub(crate) fn add(&mut self, other: Self) {
        for (sums, more) in [
            (&mut self.statuses, other.statuses),
            (&mut self.checks, other.checks),
            (&mut self.retried, other.retried),
            (&mut self.classes, other.classes),
        ] {
            for (name, n) in more {
                *sums.entry(name).or_default() += n;
            }
        }
        for (class, more) in other.details {
            match self.details.get_mut(&class) {
                Some(known) => known.add(more),
                None => drop(self.details.insert(class, more)),
            }
        }
    }

    /// Computes the shares of `finished` requests, once everything is added.
    pub(crate) fn share_of(&mut self, finished: u64) {
        for (class, details) in &mut self.details {
            let n = self.classes.get(class).copied().unwrap_or(0);
            details.share = rounded(n as f64 / finished.max(1) as f64);
        }
    }
}

impl FailureDetails {
    fn add(&mut self, other: Self) {
        if self.sample.is_none() || (other.sample.is_some() && other.first_s < self.first_s) {
            self.sample = other.sample.or_else(|| self.sample.take());
        }
        self.first_s = self.first_s.min(other.first_s);
        self.last_s = self.last_s.max(other.last_s);
        self.retry_after_s = match (self.retry_after_s, other.retry_after_s) {
            (Some(a), Some(b)) => Some(RetryAfter { min: a.min.min(b.min), max: a.max.max(b.max) }),
            (a, b) => a.or(b),
        };
    }
}
