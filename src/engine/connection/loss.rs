//! The end of a connection before the end of its response.

use super::{Connection, State, Step};
use crate::engine::exchange::{Incoming, Progress};
use crate::metrics::{Failure, Outcome};
use crate::net::tls::tls_failure;
use crate::units::Nanos;
use std::io;

/// A close that was under way when a request was sent is seen within one round trip of the send.
/// This slack allows for delays on both machines. A server that holds the request longer has begun
/// to process it.
const STALE_SLACK: Nanos = Nanos::from_millis(10);
/// Connecting takes one round trip, unless a packet is lost. A longer time is not a round trip.
const LONGEST_ROUND_TRIP: Nanos = Nanos::from_millis(250);

impl Connection {
    /// Handles a failed write. A server that refuses a request (413, 429) may have responded before
    /// it closed, and Linux keeps that response readable after a reset.
    pub(super) fn takes_no_more(&mut self, error: &io::Error, noticed: Nanos) -> Step {
        if !self.is_in_flight() || tls_failure(error).is_some() {
            return self.broke(error, noticed);
        }
        self.state = State::Refused;
        Step::ReadOut
    }

    /// Handles a close of the peer's side, which was noticed at `noticed`.
    pub(in crate::engine) fn peer_closed(&mut self, incoming: &mut Incoming<'_>, noticed: Nanos) -> Step {
        let cut = Step::Over { outcome: Outcome::Failed(Failure::ClosedEarly), reusable: false };
        match self.lost(noticed) {
            Some(step) => step,
            None if self.state == State::Upgrading => cut,
            None => match self.exchange.eof(incoming) {
                Progress::Over { outcome: Outcome::Failed(Failure::ClosedEarly), .. }
                    if self.state == State::Refused =>
                {
                    self.failed_by(&io::ErrorKind::ConnectionReset.into())
                }
                Progress::Over { outcome, .. } => Step::Over { outcome, reusable: false },
                Progress::More | Progress::Closed => cut,
            },
        }
    }

    /// Handles an error of the operating system or of the TLS session.
    pub(in crate::engine) fn broke(&mut self, error: &io::Error, noticed: Nanos) -> Step {
        self.lost(noticed).unwrap_or_else(|| self.failed_by(error))
    }

    /// Handles an empty socket. If the socket does not take bytes either, the connection has ended.
    pub(in crate::engine) fn read_out(&mut self, noticed: Nanos) -> Step {
        match self.state {
            State::Refused => self.broke(&io::ErrorKind::ConnectionReset.into(), noticed),
            _ => Step::Wait,
        }
    }

    /// Returns the step after a connection that ended at `noticed` or before; `None` if a request
    /// fails because of it.
    fn lost(&self, noticed: Nanos) -> Option<Step> {
        match self.state {
            State::Upgrading => None,
            _ if !self.is_in_flight() => Some(Step::Gone),
            _ if self.may_retry(noticed) => Some(Step::Stale),
            _ if self.exchange.is_whole() => Some(Step::Whole),
            _ => None,
        }
    }

    fn failed_by(&mut self, error: &io::Error) -> Step {
        self.tls_failure = tls_failure(error);
        let class = match error.kind() {
            _ if self.tls_failure.is_some() => Failure::Tls,
            // The peer has not announced the end, so the rest of the response is missing.
            io::ErrorKind::UnexpectedEof => Failure::ClosedEarly,
            _ => Failure::Reset,
        };
        self.exchange.system_error(error);
        Step::Over { outcome: Outcome::Failed(self.exchange.failure(class)), reusable: false }
    }

    /// Returns true if the request may be sent again on a new connection. A server may close an
    /// idle connection at any time, even while a request is on its way (RFC 9112, section 9.3.1),
    /// and that is not a failure of the server. The connection must have ended so soon that the
    /// server cannot have begun to process the request. A server that ends it later had the request
    /// and lost it.
    pub(super) fn may_retry(&self, noticed: Nanos) -> bool {
        let race = self.connect_took().min(LONGEST_ROUND_TRIP) + STALE_SLACK;
        let in_time = noticed.since(self.sent()) <= race;
        self.served > 0 && !self.is_retried() && !self.exchange.answered() && in_time
    }
}
