//! The users' conversations, one each, and the order in which users speak next.
//!
//! A conversation is one iteration of its user: the schedule starts it and learns when it is over.
//! The schedule does not see what happens in between: a request for each turn and for each round of
//! tool calls.
//!
//! ```text
//!   Start ──▶ request ──▶ reply ──┬── tools were called ──▶ results at once ──▶ request …
//!                                 ├── turns are left ─────▶ think ────────────▶ request …
//!                                 └── last turn, failure, end of the test ────▶ over
//! ```

use super::Worker;
use super::pauses::Pauses;
use crate::api::Reply;
use crate::engine::slot::Slot;
use crate::load::{Shape, Start};
use crate::metrics::{Counter, Failure, Outcome};
use crate::mix::{Next, Talk};
use crate::plan::Plan;
use crate::units::Nanos;

/// The report's name for the check that a model calls tools no more often than the profile allows.
const TOO_MANY_TOOL_ROUNDS: &str = "tool rounds within max_tool_rounds";

/// The conversations of a worker's users.
#[derive(Debug)]
pub(super) struct Conversations {
    /// By slot. Empty if no kind of request has conversations.
    talks: Vec<Talk>,
    /// When the users speak next whose conversations have no request under way.
    pauses: Pauses,
    /// True if the first conversation of a user begins at a random turn. Users that start together
    /// would otherwise stay in step for as many turns as a conversation has.
    begins_midway: bool,
    /// True if a trace gives turns their instants: then turns may follow its last arrival.
    are_recorded: bool,
}

impl Conversations {
    /// Creates a state without conversations under way.
    pub(super) fn new(shard: &Plan, slots: usize) -> Self {
        let converse = shard.mix.kinds.iter().any(|kind| kind.conversation.is_some());
        let slots = if converse { slots } else { 0 };
        Self {
            talks: std::iter::repeat_with(Talk::default).take(slots).collect(),
            pauses: Pauses::new(slots),
            begins_midway: shard.shape.runs_by_time() && !shard.shape.is_open(),
            are_recorded: converse && matches!(shard.shape, Shape::Trace(_)),
        }
    }

    /// Returns the user's conversation; `None` if none is under way.
    pub(super) fn talk(&self, slot: Slot) -> Option<&Talk> {
        self.talks.get(slot.0 as usize).filter(|talk| talk.is_under_way())
    }

    fn talk_mut(&mut self, slot: Slot) -> Option<&mut Talk> {
        self.talks.get_mut(slot.0 as usize).filter(|talk| talk.is_under_way())
    }

    /// Returns the collector of the reply to the present request.
    pub(super) fn reply(&mut self, slot: Slot) -> Option<&mut Reply> {
        self.talk_mut(slot).filter(|talk| talk.keeps_reply()).map(|talk| &mut talk.reply)
    }

    /// Returns true if turns of a trace are still to come.
    pub(super) fn any_recorded(&self) -> bool {
        self.are_recorded && self.pauses.next_due().is_some()
    }

    /// Returns when the next user speaks.
    pub(super) fn next_due(&self) -> Option<Nanos> {
        self.pauses.next_due()
    }
}

impl Worker<'_> {
    /// Begins the conversation of the user's iteration, if the iteration is a conversation.
    pub(super) fn begin_conversation(&mut self, start: Start) {
        let midway = start.iteration == 0 && self.users.conversations.begins_midway;
        let held = self.users.rows.held(Slot(start.slot));
        if let Some(talk) = self.users.conversations.talks.get_mut(start.slot as usize) {
            self.writer.begin_conversation(start.draw_vu, start.iteration, midway, held, talk);
            talk.intended = start.intended;
        }
    }

    /// Sends the next message that is due by `now`. Returns true if there was one.
    pub(super) fn speak_next(&mut self, now: Nanos) -> bool {
        let Some((slot, due)) = self.users.conversations.pauses.take_due(now) else { return false };
        let start = Start { intended: due, ..self.connections[slot].start };
        self.begin(start);
        true
    }

    /// Notes that the exchange of a request has begun. If its user converses, the request is a
    /// turn. `sent` is when the request was put on the wire; `None` if it waits for a connection.
    pub(super) fn note_turn(&mut self, slot: Slot, sent: Option<Nanos>) {
        if let Some(talk) = self.users.conversations.talk_mut(slot) {
            // A request that is sent again must not keep content of its first response.
            talk.reply.clear();
            talk.began = talk.began.or(sent);
            self.connections[slot].exchange.sample.turn = talk.turn();
        }
    }

    /// Returns the outcome of a request as a turn: a success is a failure if the conversation
    /// cannot go on.
    pub(super) fn judge_turn(&mut self, slot: Slot, outcome: Outcome) -> Outcome {
        if outcome != Outcome::Success {
            return outcome;
        }
        let connection = &mut self.connections[slot];
        let Some(talk) = self.users.conversations.talk(slot) else { return outcome };
        if talk.reply.is_too_long() {
            return Outcome::Failed(Failure::TooLarge);
        }
        if self.writer.has_too_many_tool_rounds(connection.kind(), talk) {
            connection.exchange.sample.check_failed = Some(TOO_MANY_TOOL_ROUNDS);
            return Outcome::Failed(Failure::Check);
        }
        outcome
    }

    /// Returns true if the user's conversation goes on after a request that ended with `outcome` at
    /// `end`. Otherwise ends and counts the conversation. `leaves`: the user was ramped down.
    pub(super) fn goes_on(&mut self, slot: Slot, outcome: Outcome, end: Nanos, leaves: bool) -> bool {
        let stops = leaves || self.conversations_stop(end);
        let Some(talk) = self.users.conversations.talk_mut(slot) else { return false };
        let connection = &self.connections[slot];
        let (start, kind, phase) = (connection.start, connection.kind() as u16, connection.phase());
        let turn = connection.exchange.sample.turn;
        let how = match outcome {
            Outcome::Success => {
                let (began, intended) = (talk.began, talk.intended);
                let held = self.users.rows.held(slot);
                let next = self.writer.take_reply(start.draw_vu, start.iteration, held, talk);
                if !matches!(next, Next::ToolResults) {
                    let took = end.since(began.unwrap_or(end));
                    talk.began = None;
                    self.records.tallies.of(phase).turn_over(kind, turn, took);
                }
                match next {
                    Next::End => Counter::ConversationsCompleted,
                    _ if stops => Counter::ConversationsInterrupted,
                    Next::ToolResults => return self.goes_on_at(slot, end),
                    Next::Turn(pause) => return self.goes_on_at(slot, end.saturating_add(pause)),
                    Next::Recorded(turn) => {
                        let earliest = end.saturating_add(turn.pause);
                        let due = turn.due.map(|due| intended.saturating_add(due));
                        if let Some(due) = due {
                            self.records.tallies.of(phase).turn_lag(kind, earliest.since(due));
                        }
                        return self.goes_on_at(slot, due.unwrap_or(earliest).max(earliest));
                    }
                }
            }
            Outcome::Failed(_) | Outcome::Cancelled => Counter::ConversationsAborted,
            Outcome::Interrupted => Counter::ConversationsInterrupted,
        };
        let in_window = self.connections[slot].exchange.window.covers(end);
        self.end_conversation(slot, phase, kind, how, in_window);
        false
    }

    /// Returns true if no conversation goes on at that time. Conversations of a trace may go on
    /// within the grace.
    pub(super) fn conversations_stop(&self, at: Nanos) -> bool {
        let is_over = at >= self.schedule.end() && !self.users.conversations.are_recorded;
        is_over || self.ending.is_stopped()
    }

    fn goes_on_at(&mut self, slot: Slot, at: Nanos) -> bool {
        self.users.conversations.pauses.set(slot, at);
        true
    }

    fn end_conversation(&mut self, slot: Slot, phase: u16, kind: u16, how: Counter, in_window: bool) {
        self.records.tallies.of(phase).conversation_over(kind, how, in_window);
        if let Some(talk) = self.users.conversations.talk_mut(slot) {
            talk.end();
        }
    }

    /// Ends the conversation of a user that thinks: the user was ramped down, or the test is over.
    pub(super) fn interrupt_pause(&mut self, slot: Slot, now: Nanos) {
        if self.users.conversations.pauses.cancel(slot) {
            let connection = &self.connections[slot];
            let (kind, placement) = (connection.kind() as u16, self.records.tallies.placement(now));
            let in_window = placement.window.covers(now);
            self.end_conversation(slot, placement.phase, kind, Counter::ConversationsInterrupted, in_window);
            self.schedule.finished(slot.0, now, Nanos::ZERO);
        }
    }

    /// Ends the conversations of all users that think.
    pub(super) fn interrupt_pauses(&mut self, now: Nanos) {
        while let Some(slot) = self.users.conversations.pauses.next_user() {
            self.interrupt_pause(slot, now);
        }
    }
}
