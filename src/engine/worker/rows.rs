//! Rows that are not in memory: taken when a request starts, and held until its user starts the
//! next one.
//!
//! A request is late if its row has not come. It is counted and waits, and the loop goes on.

use super::Worker;
use crate::engine::rows_ahead::{Fetched, RowInbox};
use crate::engine::slot::Slot;
use crate::load::Start;
use crate::units::Nanos;
use std::collections::VecDeque;
use std::sync::mpsc::TryRecvError;

/// Pause between two checks for a late row.
const LOOK_AGAIN: Nanos = Nanos::from_micros(200);

/// The rows of a worker's users.
#[derive(Debug)]
pub(super) struct HeldRows {
    /// `None` if the rows of all requests are in memory.
    inbox: Option<RowInbox>,
    /// By sequence: rows that are ready.
    ready: Vec<VecDeque<Fetched>>,
    /// By slot: the row of the present request or conversation.
    held: Vec<Fetched>,
    /// Requests whose rows have not come.
    late: VecDeque<Start>,
    /// True if reading has failed, and no more rows come.
    is_lost: bool,
}

impl HeldRows {
    pub(super) fn new(inbox: Option<RowInbox>, slots: usize) -> Self {
        let (sequences, ahead) = inbox.as_ref().map_or((0, 0), |inbox| (inbox.sequences, inbox.ahead));
        let slots = if inbox.is_some() { slots } else { 0 };
        // The users of a sequence give back the rows that they held.
        let room = ahead + if sequences == 1 { slots } else { 1 };
        let sequence = |slot: usize| if sequences == 1 { 0 } else { slot as u32 };
        Self {
            inbox,
            ready: std::iter::repeat_with(|| VecDeque::with_capacity(room)).take(sequences).collect(),
            held: (0..slots).map(|slot| Fetched { sequence: sequence(slot), ..Fetched::default() }).collect(),
            late: VecDeque::with_capacity(slots),
            is_lost: false,
        }
    }

    /// Returns the row of the user's present request. Empty if the row is in memory.
    pub(super) fn held(&self, slot: Slot) -> &[u8] {
        self.held.get(slot.0 as usize).map_or(&[], |fetched| &fetched.bytes)
    }

    /// Returns true if requests wait for their rows.
    pub(super) fn any_late(&self) -> bool {
        !self.late.is_empty()
    }

    /// Takes the row of a request that starts. Returns true if the row was ready.
    fn take(&mut self, start: Start) -> bool {
        let (Some(inbox), Some(held)) = (&self.inbox, self.held.get_mut(start.slot as usize)) else { return false };
        loop {
            match inbox.fetched.try_recv() {
                Ok(fetched) => self.ready[fetched.sequence as usize].push_back(fetched),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.is_lost = true;
                    break;
                }
            }
        }
        let ready = &mut self.ready[held.sequence as usize];
        // There is room for all buffers, and a thread that has ended does not need them.
        let give_back = |fetched: Fetched| drop(inbox.used.try_send(fetched));
        while ready.front().is_some_and(|fetched| fetched.iteration <= start.iteration) {
            let Some(fetched) = ready.pop_front() else { break };
            if fetched.iteration == start.iteration {
                give_back(std::mem::replace(held, fetched));
                return true;
            }
            // The row of an arrival that was dropped.
            give_back(fetched);
        }
        false
    }
}

impl Worker<'_> {
    /// Starts a request if its row is ready. Otherwise the request waits for it.
    pub(super) fn start(&mut self, start: Start) {
        let rows = &mut self.users.rows;
        if rows.inbox.is_none() || !self.writer.must_fetch(start.draw_vu, start.iteration) || rows.take(start) {
            return self.start_with_row(start);
        }
        rows.late.push_back(start);
        self.records.tallies.tally.row_late();
    }

    /// Returns when to check again for late rows.
    pub(super) fn rows_due(&self) -> Option<Nanos> {
        self.users.rows.any_late().then(|| self.clock.now().saturating_add(LOOK_AGAIN))
    }

    /// Starts the requests whose rows have come.
    pub(super) fn start_late(&mut self, now: Nanos) {
        let over = self.ending.is_stopped() || (!self.schedule.is_open() && now >= self.schedule.end());
        for _ in 0..self.users.rows.late.len() {
            let Some(start) = self.users.rows.late.pop_front() else { return };
            if over {
                self.give_late_up(start, now);
            } else if self.users.rows.take(start) {
                self.start_with_row(start);
            } else {
                self.users.rows.late.push_back(start);
            }
        }
        if self.users.rows.is_lost && self.users.rows.any_late() {
            // The numbers are not used: the run ends with the error of the thread that reads.
            self.stop(now);
        }
    }

    /// Gives up the requests that still wait for a row, because the test is over.
    pub(super) fn give_up_late(&mut self, now: Nanos) {
        while let Some(start) = self.users.rows.late.pop_front() {
            self.give_late_up(start, now);
        }
    }

    /// Gives up the user's request if it waits for a row, because the user was ramped down.
    pub(super) fn retire_late(&mut self, slot: Slot, now: Nanos) {
        let late = &mut self.users.rows.late;
        if let Some(at) = late.iter().position(|start| start.slot == slot.0)
            && let Some(start) = late.remove(at)
        {
            self.give_late_up(start, now);
        }
    }

    /// Gives up a request that waited for its row and is never sent.
    fn give_late_up(&mut self, start: Start, now: Nanos) {
        if self.schedule.is_open() {
            self.records.tallies.tally.arrivals(0, 1);
        }
        self.schedule.finished(start.slot, now, Nanos::ZERO);
    }
}
