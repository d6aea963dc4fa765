//! The end of a request: its sample, its example, and the fate of its connection.

use super::Worker;
use crate::engine::connection::State;
use crate::engine::recorder::Which;
use crate::engine::slot::Slot;
use crate::load::Start;
use crate::metrics::{Category, Failure, Outcome, Sample};
use crate::net::tls::TlsFailure;
use crate::units::Nanos;

impl Worker<'_> {
    /// Counts the start of a request in the phase in which it is sent. A request that is never sent
    /// is counted when it ends. Returns true the first time.
    pub(super) fn count_started(&mut self, slot: Slot) -> bool {
        let connection = &mut self.connections[slot];
        let starts = connection.starts();
        if starts {
            self.records.tallies.of(connection.phase()).started();
        }
        starts
    }

    /// Ends a request: records its sample and tells its user. If the request is sent again, only
    /// this attempt ends.
    pub(super) fn finish(&mut self, slot: Slot, outcome: Outcome, reusable: bool, end: Nanos) {
        self.count_started(slot);
        let judged = self.judge_scenario(slot, outcome);
        let is_out_of_step = judged != outcome;
        let outcome = self.judge_turn(slot, judged);
        let connection = &mut self.connections[slot];
        connection.exchange.sample.end = end;
        if connection.state == State::Upgrading {
            // No later request will be charged with the handshake.
            connection.exchange.charge_handshake();
        }
        if connection.exchange.sample.reused && connection.exchange.answered() {
            self.reuse.lasted(connection.exchange.last_kept);
        }
        let was_in_flight = connection.is_in_flight();
        // A retry would only hide a turn that was lost or doubled.
        let again = if is_out_of_step { None } else { self.retries_at(slot, outcome, end) };
        let sample = self.record(slot, outcome, end, again);
        if again.is_none() {
            self.keep_record(slot, sample, false);
        }
        if let Outcome::Failed(failure) = outcome {
            self.note_failure(slot, failure, end);
        }
        if was_in_flight {
            self.counts.set_in_flight(self.counts.in_flight - 1, &mut self.records.tallies.tally);
        }
        self.connections[slot].exchange.release(self.inbox.budget);
        if again.is_some() {
            self.part(slot, outcome, reusable, false);
            return;
        }
        self.counts.busy -= 1;
        let connection = &mut self.connections[slot];
        let back_off = connection.back_off(outcome);
        if back_off > Nanos::ZERO && !self.schedule.is_open() {
            self.records.tallies.of(connection.phase()).backs_off(sample.kind, sample.in_window);
        }
        let leaves = connection.give_up != Nanos::MAX && !self.schedule.is_active(slot.0);
        self.part(slot, outcome, reusable, leaves);
        if !self.goes_on(slot, outcome, end, leaves) {
            self.schedule.finished(slot.0, end, back_off);
        }
    }

    /// Records the request, or only the attempt if there will be another one at `again`.
    fn record(&mut self, slot: Slot, outcome: Outcome, end: Nanos, again: Option<Nanos>) -> Sample {
        let exchange = &mut self.connections[slot].exchange;
        if let (Outcome::Failed(failure), Some(until)) = (outcome, again) {
            let sample = exchange.sample(outcome, end);
            self.retry_later(slot, failure, &sample, until);
            return sample;
        }
        self.users.retrying.close(slot, &mut exchange.sample);
        let sample = self.records.goals.judged(exchange.sample(outcome, end));
        self.records.tallies.of(exchange.phase).record(&sample);
        if let Some(answers) = &mut self.records.answers {
            answers.end(slot, &sample);
        }
        self.count_attempts(slot, &sample);
        sample
    }

    /// Keeps or closes the connection of a request that ended with `outcome`. `leaves`: its user
    /// was ramped down.
    fn part(&mut self, slot: Slot, outcome: Outcome, reusable: bool, leaves: bool) {
        let connection = &self.connections[slot];
        let aborts = outcome == Outcome::Cancelled && connection.aborts();
        let kept = connection.exchange.kept_as(outcome);
        let may_keep = reusable && !leaves && self.connections.may_serve(slot);
        let keeps = may_keep && self.reuse.keeps(kept);
        if may_keep && !keeps {
            let exchange = &self.connections[slot].exchange;
            let in_window = exchange.window.covers(exchange.sample.end);
            self.records.tallies.of(exchange.phase).not_kept(exchange.sample.kind, in_window);
        }
        if keeps {
            self.connections[slot].keep(kept);
        } else if let Some(stream) = self.take_stream(slot) {
            if aborts { stream.abort() } else { stream.close() }
        }
    }

    /// Keeps a record of a request that is over, if the plan asks for it.
    fn keep_record(&mut self, slot: Slot, sample: Sample, amends: bool) {
        let Some(recorder) = &mut self.records.recorder else { return };
        let connection = &self.connections[slot];
        let Start { draw_vu: user, iteration, .. } = connection.start;
        if !recorder.takes(user, iteration) {
            return recorder.pass_over(slot);
        }
        let model = self.writer.model(sample.kind, user, iteration);
        let which = Which { user, iteration, model, target: connection.route.target, phase: connection.phase() };
        recorder.record(slot, sample, which, amends);
    }

    /// Ends a request whose terminal event has come.
    pub(super) fn finish_whole(&mut self, slot: Slot) {
        if let Some((outcome, end)) = self.connections[slot].whole() {
            let exchange = &self.connections[slot].exchange;
            let (kind, in_window) = (exchange.sample.kind, exchange.window.covers(end));
            self.records.tallies.of(exchange.phase).unfinished_stream(kind, in_window);
            self.finish(slot, outcome, false, end);
        }
    }

    /// Closes a socket that is unusable, without effect on any request.
    pub(super) fn gone(&mut self, slot: Slot, at: Nanos) {
        let connection = &self.connections[slot];
        if connection.state == State::Idle {
            let exchange = &connection.exchange;
            self.reuse.closed(exchange.last_kept, at.since(exchange.sample.end));
        }
        self.close(slot);
    }

    /// Turns a recorded success into a failure: bytes came after the end of its response.
    pub(super) fn condemn(&mut self, slot: Slot, failure: Failure, at: Nanos) {
        let connection = &self.connections[slot];
        let sample = self.records.goals.judged(connection.exchange.recorded());
        self.records.tallies.of(connection.phase()).condemn(&sample, failure, at);
        self.condemn_attempt(slot, &sample);
        self.keep_record(slot, Sample { outcome: Outcome::Failed(failure), ..sample }, true);
        self.note_failure(slot, failure, at);
        self.close(slot);
    }

    /// Counts a failure, before its details are lost with the connection.
    fn note_failure(&mut self, slot: Slot, failure: Failure, at: Nanos) {
        let connection = &mut self.connections[slot];
        // A slot that waits for a connection, or failed to connect, keeps its state until here.
        let is_opening = matches!(connection.state, State::Queued | State::Connecting | State::Securing);
        let tally = self.records.tallies.of(connection.phase());
        if tally.wants_example(failure, at) {
            let blames_detour = is_opening && is_of_detour(failure, connection.tls_failure);
            let via = if blames_detour { self.dialer.via() } else { None };
            tally.example(failure, at, connection.exchange.example(via.as_deref(), &self.redactor));
        }
        if failure == Failure::Tls {
            let reason = connection.tls_failure.take();
            self.records.tallies.tally.tls_failure(reason.map_or("other", TlsFailure::name));
        }
        if is_opening {
            self.records.tallies.tally.attempted(self.dialer.addr(connection.route), false);
        }
    }
}

/// Returns true if the intermediary between us and the target, if there is one, is to blame for a
/// connection that could not be opened. The target is to blame for a failed TLS session, and this
/// machine if it has no connection to give.
fn is_of_detour(failure: Failure, tls: Option<TlsFailure>) -> bool {
    match failure {
        Failure::Tls => tls == Some(TlsFailure::Proxy),
        failure => failure.category() != Category::Ours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_blamed_for_its_own_failures_only() {
        for failure in [Failure::ConnectRefused, Failure::ConnectTimeout, Failure::Reset, Failure::TimeoutFirstByte] {
            assert!(is_of_detour(failure, None), "{failure:?}");
        }
        assert!(is_of_detour(Failure::Tls, Some(TlsFailure::Proxy)));
        for tls in [None, Some(TlsFailure::Expired), Some(TlsFailure::NotTls)] {
            assert!(!is_of_detour(Failure::Tls, tls), "{tls:?}");
        }
        for failure in [Failure::NoFd, Failure::NoPort, Failure::Internal] {
            assert!(!is_of_detour(failure, None), "{failure:?}");
        }
    }
}
