//! The limits that a request is under, and its user's patience.

use super::{Connection, State};
use crate::engine::exchange::Awaiting;
use crate::metrics::{Failure, Outcome};
use crate::mix::{After, Timeouts};
use crate::net::tls::TlsFailure;
use crate::units::Nanos;

/// How long the end of the framing may take once the terminal event of a stream has come. The
/// answer is whole by then; only the reuse of the connection depends on the rest. Usually the last
/// chunk comes at once. With Nagle's algorithm it comes after a delayed acknowledgement, which
/// Linux sends after 40 to 200 ms.
const FRAMING_GRACE: Nanos = Nanos::from_millis(250);

impl Connection {
    /// When something has to happen if nothing comes before.
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

    /// The deadline has passed at `now`: how the request ended, and when.
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
        // On a tie it is the user's own doing.
        if self.leaves_at() <= limit {
            return (self.exchange.abandoned(), now);
        }
        (Outcome::Failed(self.exchange.failure(class)), now)
    }

    /// Whether the user has seen as many tokens as it wanted. Once the terminal event has come
    /// there is nothing left to leave.
    pub(super) fn has_enough(&self) -> bool {
        match self.unusual.as_ref().and_then(|unusual| unusual.behavior.leave) {
            Some(After::Tokens(n)) => self.exchange.sample.token_events >= n && self.exchange.done_at().is_none(),
            Some(After::Time(_)) | None => false,
        }
    }

    /// When the user leaves whatever has come; `MAX` for never.
    fn leaves_at(&self) -> Nanos {
        match self.unusual.as_ref().and_then(|unusual| unusual.behavior.leave) {
            Some(After::Time(time)) if self.exchange.done_at().is_none() => {
                self.exchange.sample.sent.saturating_add(time)
            }
            Some(After::Time(_) | After::Tokens(_)) | None => Nanos::MAX,
        }
    }

    /// The nearest limit of a response, and the failure that passing it means.
    fn response_limit(&self, limits: &Timeouts) -> (Nanos, Failure) {
        let exchange = &self.exchange;
        let sent = exchange.sample.sent;
        let total = (sent.saturating_add(limits.total), Failure::TimeoutTotal);
        let idle = match exchange.awaiting() {
            // No failure: the answer is whole.
            Awaiting::FramingEnd => (exchange.done.saturating_add(FRAMING_GRACE), Failure::TimeoutStall),
            Awaiting::MoreData => (exchange.last_read.saturating_add(limits.stall), Failure::TimeoutStall),
            Awaiting::FirstByte => (sent.saturating_add(limits.first_byte), Failure::TimeoutFirstByte),
        };
        // On a tie the more telling class wins.
        if idle.0 <= total.0 { idle } else { total }
    }

    /// How a request ended whose stream was whole before its framing was, and when.
    pub(in crate::engine) fn whole(&self) -> Option<(Outcome, Nanos)> {
        let done = self.exchange.done_at().filter(|_| self.is_in_flight())?;
        Some((self.exchange.outcome(), done))
    }
}
