//! Keeps a record of each request until the second is over. Without `--requests` there is no
//! recorder, and nothing is kept.

use super::slot::Slot;
use crate::metrics::{Batch, Record, Sample};
use crate::plan::{Plan, Records};
use crate::units::mix64;

/// Separates the choice of requests from all other draws.
const CHOICE_DRAWS: u64 = 0x5265_636f_7264_0008;

/// The request that a record is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Which {
    pub(super) user: u32,
    pub(super) iteration: u64,
    pub(super) model: u16,
    pub(super) target: u16,
    pub(super) phase: u16,
}

/// The records of one worker.
#[derive(Debug)]
pub(super) struct Recorder {
    seed: u64,
    one_in: u64,
    worker: u32,
    number: u64,
    /// By the number of the phase: true if the phase is part of the measurement.
    measured: Vec<bool>,
    batch: Batch,
    /// Local port of each slot's connection.
    ports: Vec<u16>,
    /// Gaps of each slot's request so far; empty unless the gaps are recorded.
    gaps: Vec<Vec<u64>>,
}

impl Recorder {
    /// Returns `None` unless the plan asks for records.
    pub(super) fn new(shard: &Plan, slots: usize) -> Option<Box<Self>> {
        let Records { one_in, gaps } = shard.tuning.records?;
        Some(Box::new(Self {
            seed: shard.seed ^ CHOICE_DRAWS,
            one_in: one_in.max(1),
            worker: shard.shard.index,
            number: 0,
            measured: shard.phases().iter().map(|phase| phase.measured).collect(),
            batch: Batch::default(),
            ports: vec![0; slots],
            gaps: vec![Vec::new(); if gaps { slots } else { 0 }],
        }))
    }

    /// Notes the local port of a slot's new connection.
    pub(super) fn connected(&mut self, slot: Slot, port: u16) {
        if let Some(known) = self.ports.get_mut(slot.index()) {
            *known = port;
        }
    }

    /// Returns the list that collects the gaps of a slot's request.
    pub(super) fn gaps(&mut self, slot: Slot) -> Option<&mut Vec<u64>> {
        self.gaps.get_mut(slot.index())
    }

    /// Returns true if the request of a user's iteration is recorded.
    #[inline]
    pub(super) fn takes(&self, user: u32, iteration: u64) -> bool {
        self.one_in == 1 || mix64(self.seed, user.into(), iteration).is_multiple_of(self.one_in)
    }

    /// Counts a request that is over and is not recorded.
    pub(super) fn pass_over(&mut self, slot: Slot) {
        self.number += 1;
        if let Some(gaps) = self.gaps.get_mut(slot.index()) {
            gaps.clear();
        }
    }

    /// Records a request that is over. `amends`: it was recorded before, as a success.
    pub(super) fn record(&mut self, slot: Slot, sample: Sample, which: Which, amends: bool) {
        if let Some(gaps) = self.gaps.get(slot.index()).filter(|_| !amends) {
            self.batch.gaps.extend_from_slice(gaps);
        }
        self.batch.records.push(Record {
            sample,
            worker: self.worker,
            number: self.number,
            user: which.user,
            iteration: which.iteration,
            model: which.model,
            target: which.target,
            port: self.ports.get(slot.index()).copied().unwrap_or_default(),
            measured: self.measured.get(usize::from(which.phase)).copied().unwrap_or_default(),
            amends,
            gaps_end: self.batch.gaps.len() as u32,
        });
        self.pass_over(slot);
    }

    /// Hands over the records of this second. The next second is likely to have about as many.
    pub(super) fn take(&mut self) -> Batch {
        let next = Batch {
            records: Vec::with_capacity(self.batch.records.len()),
            gaps: Vec::with_capacity(self.batch.gaps.len()),
        };
        std::mem::replace(&mut self.batch, next)
    }
}
