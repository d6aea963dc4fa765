//! A worker's state, apart from its connections.

use crate::api::Reader;
use crate::engine::exchange::Expect;
use crate::engine::ready::Ready;
use crate::engine::rx_time::ReceiveTime;
use crate::engine::slot::Slot;
use crate::metrics::{Gauge, Tally, TemplateTokens};
use crate::mix::{Request, Retries, Timeouts};
use crate::net::IoStatus;
use crate::plan::Plan;
use crate::wire::http1::KnownHead;
use std::io;

/// The read buffer, one for each worker: small enough to stay in the second-level cache, large
/// enough for every usual response in one read.
pub(super) const READ_BUFFER_BYTES: usize = 64 * 1024;

/// The state that all requests of one kind share.
#[derive(Debug)]
pub(super) struct KindState {
    pub(super) expect: Expect,
    pub(super) timeouts: Timeouts,
    /// Tokens that the server adds to prompts.
    pub(super) template: TemplateTokens,
    pub(super) retries: Option<Retries>,
    /// True if the simulator plays a scenario.
    pub(super) plays: bool,
    /// Shared by all connections, so that all of them learn the form of the responses.
    pub(super) reader: Reader,
    /// The usual head of the responses.
    pub(super) known: KnownHead,
}

impl KindState {
    /// Creates the states of all kinds, in the order of the mix.
    pub(super) fn all(shard: &Plan) -> Vec<Self> {
        let kinds = shard.mix.kinds.iter().zip(Expect::all(&shard.mix.kinds));
        kinds
            .map(|(kind, expect)| {
                let reader = Reader::new(kind.api, shard.tuning.verify_parse).of(kind.custom.clone());
                let reader = if kind.check_usage { reader } else { reader.without_usage() };
                let known = KnownHead::new(shard.tuning.verify_parse);
                let template = kind.template_tokens;
                let (retries, plays) = (kind.retries, kind.scenario.is_some());
                Self { expect, timeouts: kind.timeouts, template, retries, plays, reader, known }
            })
            .collect()
    }
}

/// Memory that is reused in every pass.
#[derive(Debug)]
pub(super) struct Buffers {
    pub(super) ready: Vec<Ready>,
    /// Slots with more to read than a pass allows.
    pub(super) pending_reads: Vec<Slot>,
    /// Reads that remain in this pass.
    pub(super) reads_left: usize,
    pub(super) request: Request,
    pub(super) read: Box<[u8]>,
}

impl Buffers {
    pub(super) fn new() -> Self {
        let read = vec![0; READ_BUFFER_BYTES].into_boxed_slice();
        Self { ready: Vec::new(), pending_reads: Vec::new(), reads_left: 0, request: Request::default(), read }
    }
}

/// The result of one read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) status: io::Result<IoStatus>,
    pub(super) time: ReceiveTime,
    /// The bytes came before their request was sent.
    pub(super) early: bool,
    /// Nothing remains in the kernel.
    pub(super) drained: bool,
}

/// Counts of users, requests and connections.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Users with a request under way.
    pub(super) busy: u32,
    /// Requests that are on the wire, at least partly.
    pub(super) in_flight: u32,
    /// Connections that are open.
    pub(super) established: u32,
}

impl Counts {
    pub(super) fn set_in_flight(&mut self, n: u32, tally: &mut Tally) {
        self.in_flight = n;
        tally.level(Gauge::InFlight, u64::from(n));
    }

    pub(super) fn set_established(&mut self, n: u32, tally: &mut Tally) {
        self.established = n;
        tally.level(Gauge::Connections, u64::from(n));
    }
}
