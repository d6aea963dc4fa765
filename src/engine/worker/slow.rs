//! Users who read slowly on purpose.
//!
//! They take a portion, pause for as long as it lasts at their pace, and take the next one. During
//! the pause nothing is read, whatever the poll reports. Their sockets have small receive buffers,
//! so that the kernel does not read for them and the server sees a shut window. Their bytes are
//! dated by when they are read: the dates show the users' own pace, and say nothing about how far
//! this tool lags behind the kernel.

use super::Worker;
use super::state::KindState;
use crate::engine::connection::Step;
use crate::engine::exchange::Incoming;
use crate::engine::rx_time::ReceiveTime;
use crate::engine::slot::Slot;
use crate::net::IoStatus;
use crate::units::Nanos;

/// Portions per second: few enough not to keep the worker busy, enough to read evenly.
const PORTIONS_PER_SECOND: u32 = 10;

impl Worker<'_> {
    /// Takes the next portion, unless the last one still lasts.
    pub(super) fn read_slowly(&mut self, slot: Slot) {
        let connection = &mut self.connections[slot];
        let now = self.clock.now();
        let Some(pace) = connection.pace().filter(|_| connection.is_in_flight()) else { return };
        if connection.paused_until() != Nanos::MAX && connection.paused_until() > now {
            return;
        }
        connection.pause_until(Nanos::MAX);
        let portion = (pace / PORTIONS_PER_SECOND).max(1) as usize;
        let portion = portion.min(self.buffers.read.len());
        let result = connection.recv_portion(&mut self.buffers.read, portion);
        let now = self.clock.now();
        let KindState { known, reader, .. } = &mut self.kinds[connection.kind()];
        let mut incoming = Incoming {
            time: ReceiveTime { at: now, not_before: now },
            budget: self.inbox.budget,
            early: false,
            reply: self.users.conversations.reply(slot),
            known,
            reader,
            tally: self.records.tallies.of(connection.phase()),
            gaps: self.records.recorder.as_mut().and_then(|recorder| recorder.gaps(slot)),
            text: self.records.answers.as_mut().and_then(|answers| answers.text(slot)),
        };
        let step = match result.map(|received| received.status) {
            Ok(IoStatus::Done(n)) => {
                connection.pause_until(now.saturating_add(length(n, pace)));
                connection.received(&self.buffers.read[..n], &mut incoming)
            }
            // The socket is empty, so the poll reports the next bytes.
            Ok(IoStatus::Blocked) => connection.read_out(now),
            Ok(IoStatus::Closed) => connection.peer_closed(&mut incoming, now),
            Err(error) => connection.broke(&error, now),
        };
        // The end of the pause is a limit, too.
        let step = if step == Step::Wait { Step::Rearm } else { step };
        self.follow_at(slot, step, now);
    }
}

/// Returns how long `n` bytes last at `pace` bytes per second.
fn length(n: usize, pace: u32) -> Nanos {
    Nanos(n as u64 * 1_000_000_000 / u64::from(pace))
}
