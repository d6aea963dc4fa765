//! The limits that a request is under, and its user's patience.

use super::{Connection, State};
use crate::engine::exchange::Awaiting;
use crate::metrics::{Failure, Outcome};
use crate::mix::{After, Timeouts};
use crate::net::tls::TlsFailure;
use crate::units::Nanos;

/// How long the end of the framing may take after the terminal event of a stream. The response is
/// complete by then, and only the reuse of the connection depends on the rest. Usually the last
/// chunk comes at once. With Nagle's algorithm it comes after a delayed acknowledgement, which
/// Linux sends after 40 to 200 ms.
const FRAMING_GRACE: Nanos = Nanos::from_millis(250);

impl Connection {
    /// Returns when the connection must be looked at if no event comes before.
    pub(in crate::engine) fn deadline(&self, limits: &Timeouts) -> Option<Nanos> {
        let limit = match self.state {
            State::Closed | State::Idle => return None,
            State::Queued => Nanos::MAX,
            State::Connecting | State::Securing | State::Upgrading => self.connect_since.saturating_add(limits.connect),
            State::Sending | State::Receiving | State::Refused => {
                self.response_limit(limits).0.min(self.leaves_at()).min(self.paused_until())
            }
        };
        Some(limit.min(self.give_up))
    }

    /// Returns how the request ended, and when, after its deadline has passed at `now`.
    pub(in crate::engine) fn expired(&mut self, limits: &Timeouts, now: Nanos) -> (Outcome, Nanos) {
        if self.give_up <= now {
            return (Outcome::Interrupted, now);
        }
        if self.state == State::Securing {
            self.tls_failure = Some(TlsFailure::Stalled);
            return (Outcome::Failed(Failure::Tls), now);
        }
        if !self.is_in_flight() {
            return (Outcome::Failed(Failure::ConnectTimeout), now);
        }
        let (limit, class) = self.response_limit(limits);
        // On a tie the user leaves.
        if self.leaves_at() <= limit {
            return (self.exchange.abandoned(), now);
        }
        (Outcome::Failed(self.exchange.failure(class)), now)
    }

    /// Returns true if the user has received as many tokens as it wants. After the terminal event
    /// it does not leave.
    pub(super) fn has_enough(&self) -> bool {
        match self.unusual.as_ref().and_then(|unusual| unusual.behavior.leave) {
            Some(After::Tokens(n)) => self.exchange.sample.token_events >= n && self.exchange.done_at().is_none(),
            Some(After::Time(_)) | None => false,
        }
    }

    /// Returns when the user leaves regardless of the response; `MAX` for never.
    fn leaves_at(&self) -> Nanos {
        match self.unusual.as_ref().and_then(|unusual| unusual.behavior.leave) {
            Some(After::Time(time)) if self.exchange.done_at().is_none() => {
                self.exchange.sample.sent.saturating_add(time)
            }
            Some(After::Time(_) | After::Tokens(_)) | None => Nanos::MAX,
        }
    }

    /// Returns the nearest limit of a response, and the class of the failure if it passes.
    fn response_limit(&self, limits: &Timeouts) -> (Nanos, Failure) {
        let exchange = &self.exchange;
        let sent = exchange.sample.sent;
        let total = (sent.saturating_add(limits.total), Failure::TimeoutTotal);
        let idle = match exchange.awaiting() {
            // Not a failure: the response is complete.
            Awaiting::FramingEnd => (exchange.done.saturating_add(FRAMING_GRACE), Failure::TimeoutStall),
            Awaiting::MoreData => (exchange.last_read.saturating_add(limits.stall), Failure::TimeoutStall),
            Awaiting::FirstByte => (sent.saturating_add(limits.first_byte), Failure::TimeoutFirstByte),
        };
        // On a tie the more specific class wins.
        if idle.0 <= total.0 { idle } else { total }
    }

    /// Returns the outcome and the end of a stream that was complete before its framing.
    pub(in crate::engine) fn whole(&self) -> Option<(Outcome, Nanos)> {
        let done = self.exchange.done_at().filter(|_| self.is_in_flight())?;
        Some((self.exchange.outcome(), done))
    }
}
