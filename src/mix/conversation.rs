//! Conversations: requests of one user that carry the messages before them.

use super::escape::json_string;
use super::{Prepared, RequestWriter, words};
use crate::api::{History, Reply};
use crate::dataset::{Script, SessionTurn, Sessions};
use crate::units::{Nanos, mix64};
use fastrand::Rng;
use std::sync::Arc;

/// Draws the number of turns of a conversation.
const CONVERSATION_DRAWS: u64 = 0x436f_6e76_0000_0005;
/// Draws how long a user thinks between two turns.
const PAUSE_DRAWS: u64 = 0x5061_7573_6500_0006;
/// Draws the name of a conversation.
const SESSION_DRAWS: u64 = 0x5365_7373_0000_0007;

/// Draws the words of a generated reply.
const REPLY_DRAWS: u64 = 0x5265_706c_7900_0009;
/// Draws the pause before a retry.
const RETRY_DRAWS: u64 = 0x5265_7472_7900_0000;

/// How the users of a kind of request converse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// The fewest and the most turns of the user.
    pub turns: (u16, u16),
    /// Pause between a response and the user's next message: the shortest and the longest.
    pub think_time: (Nanos, Nanos),
    /// How a request carries the messages before it.
    pub history: History,
    /// The source of the replies in the history.
    pub replies: Replies,
    /// The rows of a trace that are turns of one conversation. `None` if a row is a whole
    /// conversation.
    pub sessions: Option<Arc<Sessions>>,
    /// A header that names the conversation in each of its requests, for routers that keep a
    /// conversation on one server.
    pub affinity_header: Option<String>,
    /// The result of each tool call, unless a data set has results.
    pub tool_result: String,
    /// The most rounds of tool calls in a turn. If the model calls tools once more, the turn has
    /// failed.
    pub max_tool_rounds: u16,
}

impl Conversation {
    /// Returns true if each turn adds a row to the history, with replies that do not come from
    /// rows.
    pub(super) fn adds_rows(&self) -> bool {
        self.sessions.is_some() && self.replies != Replies::Recorded
    }

    /// Returns the name of its history in profiles.
    pub const fn history_name(&self) -> &'static str {
        match self.replies {
            Replies::Live => self.history.name(),
            Replies::Recorded => "recorded",
            Replies::Generated => "generated",
        }
    }
}

/// The source of the replies that later turns of a conversation carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Replies {
    /// The replies that the server sent.
    #[default]
    Live,
    /// The replies of the data set.
    Recorded,
    /// Random words, as many as the response might have had tokens.
    Generated,
}

/// The state of one user's conversation. Reused from conversation to conversation.
#[derive(Debug, Default)]
pub struct Talk {
    /// Messages so far, as items of a JSON list, each followed by a comma. Each reply is a piece of
    /// its own: one growing text would leave holes of its size in memory.
    messages: Vec<Box<[u8]>>,
    /// The reply to the present request, as it arrives.
    pub reply: Reply,
    /// The id of the last response, as a JSON string. Empty in the first turn.
    previous: Vec<u8>,
    /// Turns that are over.
    done: u16,
    /// All turns. Zero while there is no conversation.
    turns: u16,
    /// Rounds of tool calls in the present turn.
    tool_rounds: u16,
    /// Results of tools that were sent in the present turn.
    results: usize,
    /// The point that it has reached in its row of a data set, if its replies are recorded.
    point: usize,
    /// True if a reply was taken, so that the next request is not the first one.
    goes_on: bool,
    replies: Replies,
    /// When the user sent the message of the present turn.
    pub began: Option<Nanos>,
    /// When the conversation was due.
    pub intended: Nanos,
}

/// The step after a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Send the results of the model's tool calls at once.
    ToolResults,
    /// The user thinks for this long and writes the next message.
    Turn(Nanos),
    /// The user writes the next message at the instant of the trace, or later.
    Recorded(SessionTurn),
    /// Nothing: this was the last turn.
    End,
}

impl Talk {
    /// Begins a conversation with this number of turns.
    pub(super) fn begin(&mut self, turns: u16, replies: Replies) {
        self.end();
        (self.turns, self.replies) = (turns, replies);
    }

    /// Returns true if its next request is the first one.
    pub const fn is_fresh(&self) -> bool {
        !self.goes_on
    }

    /// Returns true if the model's replies are sent again.
    pub fn keeps_reply(&self) -> bool {
        self.replies == Replies::Live
    }

    /// Returns the point that it has reached in its row.
    pub(super) const fn point(&self) -> usize {
        self.point
    }

    /// Ends the conversation.
    pub fn end(&mut self) {
        self.messages.clear();
        self.reply.clear();
        self.previous.clear();
        (self.done, self.turns, self.tool_rounds, self.began) = (0, 0, 0, None);
        (self.results, self.point, self.goes_on) = (0, 0, false);
    }

    /// Returns true if a conversation is under way.
    pub const fn is_under_way(&self) -> bool {
        self.turns > 0
    }

    /// Returns the number of the present turn, from 1. Zero without a conversation.
    pub const fn turn(&self) -> u16 {
        if self.turns > 0 { self.done + 1 } else { 0 }
    }

    /// Returns true if the request only returns results of tool calls, without a message of the
    /// user.
    pub(super) const fn is_tool_round(&self) -> bool {
        self.tool_rounds > 0
    }

    /// Returns the rounds of tool calls in the present turn.
    pub const fn tool_rounds(&self) -> u16 {
        self.tool_rounds
    }

    /// Returns the text of [`Piece::History`](crate::api::Piece::History), in parts.
    pub(super) fn history(&self) -> impl Iterator<Item = &[u8]> {
        let parts = self.messages.len();
        self.messages.iter().enumerate().map(move |(i, part)| {
            // Results of tools come last: the user's message does not follow them.
            let ends = self.is_tool_round() && i + 1 == parts;
            &part[..part.len() - usize::from(ends)]
        })
    }

    /// Returns the text of [`Piece::PreviousResponse`](crate::api::Piece::PreviousResponse).
    pub(super) fn previous(&self) -> &[u8] {
        if self.previous.is_empty() { b"null" } else { &self.previous }
    }

    /// Adds the messages of the present request and of its reply to the history. `say` appends the
    /// user's message, `answer` the reply's messages.
    pub(super) fn take_reply(
        &mut self,
        how: &Conversation,
        say: impl FnOnce(&mut Vec<u8>),
        answer: impl FnOnce(&Reply, &mut Vec<u8>),
    ) {
        /// Room for the words around a reply and a usual message.
        const AROUND: usize = 512;
        let mut part = Vec::with_capacity(self.reply.text_len() + AROUND);
        if how.history == History::PreviousResponse {
            self.messages.clear();
            self.previous.clear();
            self.previous.extend_from_slice(serde_json::Value::from(self.reply.id()).to_string().as_bytes());
        } else if !self.is_tool_round() {
            say(&mut part);
            part.push(b',');
        }
        answer(&self.reply, &mut part);
        if !part.is_empty() {
            self.messages.push(part.into_boxed_slice());
        }
    }

    /// Returns the next step, now that the reply was taken. `think` draws the pause before the next
    /// turn.
    pub(super) fn advance(&mut self, think: impl FnOnce() -> Nanos) -> Next {
        let calls = self.reply.calls();
        self.reply.clear();
        self.go_on(calls > 0, calls, think)
    }

    /// Does the same in a recorded conversation. `is_tool_round` describes the recorded next step.
    /// It is `None` after the last one.
    fn advance_recorded(&mut self, is_tool_round: Option<bool>, think: impl FnOnce() -> Nanos) -> Next {
        self.point += 1;
        let next = self.go_on(is_tool_round == Some(true), 0, think);
        if is_tool_round.is_none() { Next::End } else { next }
    }

    fn go_on(&mut self, tools: bool, results: usize, think: impl FnOnce() -> Nanos) -> Next {
        self.goes_on = true;
        if tools {
            self.tool_rounds += 1;
            self.results += results;
            return Next::ToolResults;
        }
        (self.tool_rounds, self.results) = (0, 0);
        self.done += 1;
        if self.done == self.turns { Next::End } else { Next::Turn(think()) }
    }
}

impl Prepared {
    /// Returns the messages of a conversation of a data set, in parts: everything recorded up to
    /// this point, or the history with the live replies and the new messages.
    pub(super) fn parts<'a>(&self, script: Script<'a>, talk: Option<&'a Talk>) -> impl Iterator<Item = &'a [u8]> {
        let is_recorded = self.conversation.as_ref().is_none_or(|how| how.replies == Replies::Recorded);
        let (head, so_far, now) = match talk.filter(|_| !is_recorded) {
            Some(talk) if talk.is_tool_round() => (&b"["[..], Some(talk), &[][..]),
            Some(talk) => (&b"["[..], Some(talk), script.said(usize::from(talk.turn()).saturating_sub(1))),
            None => (script.until(talk.map_or(0, Talk::point)), None, &[][..]),
        };
        let so_far = so_far.into_iter().flat_map(Talk::history);
        std::iter::once(head).chain(so_far).chain([now, b"]", script.tail()])
    }
}

impl RequestWriter {
    /// Begins the conversation with this stream of draws and iteration, if its kind of request has
    /// conversations. With `midway` it begins at a random turn, as if the user had talked for a
    /// while. The earlier turns are sent along, unless their replies had to come from the server:
    /// then the conversation has fewer turns instead. `held` is its row, as for
    /// [`write`](Self::write).
    pub fn begin_conversation(&self, draw_vu: u32, iteration: u64, midway: bool, held: &[u8], talk: &mut Talk) {
        talk.end();
        let draw = self.draw(draw_vu, iteration);
        let Some((kind, how)) = self.converses(draw.kind) else { return };
        let script = kind.prompt.script(draw.prompt, held);
        let mut rng = self.turn_draws(CONVERSATION_DRAWS, draw_vu, iteration, 0);
        let (min, max) = how.turns;
        let turns = rng.u16(min..=max.max(min));
        let recorded = match &how.sessions {
            Some(sessions) => Some(sessions.turns(self.number(draw_vu, iteration)).len()),
            None => script.map(|script| script.turns()),
        };
        let turns = recorded.map_or(turns, |recorded| turns.min(u16::try_from(recorded).unwrap_or(u16::MAX)));
        let left = if midway { rng.u16(1..=turns.max(1)) } else { turns };
        match how.replies {
            Replies::Live => talk.begin(left, how.replies),
            Replies::Recorded => {
                talk.begin(turns, how.replies);
                talk.done = turns - left;
                talk.point = script.and_then(|script| script.point_of(talk.done.into())).unwrap_or_default();
            }
            Replies::Generated => {
                talk.begin(turns, how.replies);
                while talk.done < turns - left {
                    self.take_reply(draw_vu, iteration, held, talk);
                }
                talk.goes_on = false;
            }
        }
    }

    /// Returns a kind of request with its conversations.
    fn converses(&self, kind: usize) -> Option<(&Prepared, &Conversation)> {
        let kind = self.kinds.get(kind)?;
        Some((kind, kind.conversation.as_ref()?))
    }

    /// Returns true if the model has called tools in more rounds than its kind of request allows.
    pub fn has_too_many_tool_rounds(&self, kind: usize, talk: &Talk) -> bool {
        let how = self.converses(kind).map(|(_, how)| how);
        talk.keeps_reply()
            && talk.reply.calls_tools()
            && how.is_some_and(|how| talk.tool_rounds() >= how.max_tool_rounds)
    }

    /// Adds the reply to the present request to the history, and returns the next step. `held` is
    /// its row, as for [`write`](Self::write).
    pub fn take_reply(&self, draw_vu: u32, iteration: u64, held: &[u8], talk: &mut Talk) -> Next {
        let next = self.keep_reply(draw_vu, iteration, held, talk);
        let sessions = self.converses(self.draw(draw_vu, iteration).kind).and_then(|(_, how)| how.sessions.as_ref());
        match (next, sessions) {
            (Next::Turn(_), Some(sessions)) => {
                let turns = sessions.turns(self.number(draw_vu, iteration));
                turns.get(usize::from(talk.done)).map_or(next, |turn| Next::Recorded(*turn))
            }
            _ => next,
        }
    }

    fn keep_reply(&self, draw_vu: u32, iteration: u64, held: &[u8], talk: &mut Talk) -> Next {
        let turn = talk.turn();
        let draw = self.draw_turn(draw_vu, iteration, turn);
        let Some((kind, how)) = self.converses(draw.kind) else { return Next::End };
        let script = kind.prompt.script(draw.prompt, held);
        let think = || {
            let (min, max) = how.think_time;
            Nanos(self.turn_draws(PAUSE_DRAWS, draw_vu, iteration, turn).u64(min.0..=max.0.max(min.0)))
        };
        match how.replies {
            Replies::Live => {}
            // The next row already contains the messages before it.
            Replies::Recorded if how.sessions.is_some() => return talk.go_on(false, 0, think),
            Replies::Recorded => {
                let next = script.and_then(|script| script.is_tool_round(talk.point + 1));
                return talk.advance_recorded(next, think);
            }
            Replies::Generated => {
                let mut rng = self.turn_draws(REPLY_DRAWS, draw_vu, iteration, turn);
                talk.reply.clear();
                talk.reply.say(|out| words::append(&mut rng, draw.max_tokens, true, out));
            }
        }
        let row = kind.prompt.row(draw.prompt, held);
        let prompt = kind.prompt.draw(draw.prompt, row, self.prompt_draws(draw_vu, iteration, Some(talk)), turn < 2);
        let (this, returned) = (usize::from(turn).saturating_sub(1), talk.results);
        let results = |n: usize, out: &mut Vec<u8>| match script.and_then(|script| script.result(this, returned + n)) {
            Some(recorded) => out.extend_from_slice(recorded),
            None => out.extend_from_slice(json_string(&how.tool_result).as_bytes()),
        };
        talk.take_reply(
            how,
            |out| match script {
                Some(script) => out.extend_from_slice(script.said(this)),
                None => kind.write_user_message(prompt, out),
            },
            |reply, out| kind.api.write_reply(reply, how.history, &results, out),
        );
        talk.advance(think)
    }

    /// Appends the header that names the conversation.
    pub(super) fn write_affinity(&self, kind: &Prepared, draw_vu: u32, iteration: u64, out: &mut Vec<u8>) {
        let Some(name) = kind.conversation.as_ref().and_then(|how| how.affinity_header.as_ref()) else { return };
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        let mut id = self.turn_draws(SESSION_DRAWS, draw_vu, iteration, 0).u64(..);
        for _ in 0..16 {
            out.push(b"0123456789abcdef"[(id >> 60) as usize]);
            id <<= 4;
        }
    }

    /// Returns the random number, from 0 to 1, for the pause before a retry. `n` retries were made
    /// before.
    pub fn draw_of_retry(&self, draw_vu: u32, iteration: u64, turn: u16, n: u16) -> f64 {
        self.turn_draws(RETRY_DRAWS ^ u64::from(n), draw_vu, iteration, turn).f64()
    }

    /// Returns the generator for the draws of one purpose in one turn of a conversation.
    pub(super) fn turn_draws(&self, purpose: u64, draw_vu: u32, iteration: u64, turn: u16) -> Rng {
        let of_turn = mix64(self.seed ^ purpose, turn.into(), 0);
        Rng::with_seed(mix64(of_turn, draw_vu.into(), iteration))
    }
}
