//! What leaves a worker once a second.

use super::Worker;
use crate::units::Nanos;

impl Worker<'_> {
    pub(super) fn publish(&mut self, now: Nanos) {
        if now < self.ledger.next_turn() {
            return;
        }
        if self.ledger.publishes(now) {
            self.note_arrivals();
            while let Ok(addresses) = self.addresses.try_recv() {
                self.dialer.readdress(addresses);
            }
        }
        self.ledger.turn(now);
    }

    /// Once a second: what the arrivals of it say.
    pub(super) fn note_arrivals(&mut self) {
        self.arrivals.choose_pause(self.ledger.mean_gap());
        if self.arrivals.clock_stepped() {
            self.ledger.tally.clock_stepped();
        }
    }
}
