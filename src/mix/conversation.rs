//! Conversations: requests of one user that carry what was said before.

use super::{Prepared, RequestWriter};
use crate::api::{History, Reply};
use crate::units::{Nanos, mix64};
use fastrand::Rng;

/// How many turns a conversation has.
const CONVERSATION_DRAWS: u64 = 0x436f_6e76_0000_0005;
/// How long a user thinks between two turns.
const PAUSE_DRAWS: u64 = 0x5061_7573_6500_0006;
/// The name of a conversation.
const SESSION_DRAWS: u64 = 0x5365_7373_0000_0007;

/// How long a pause before a retry is.
const RETRY_DRAWS: u64 = 0x5265_7472_7900_0000;

/// How the users of a kind of request converse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Turns of the user, fewest and most.
    pub turns: (u16, u16),
    /// Pause between an answer and the user's next message, shortest and longest.
    pub think_time: (Nanos, Nanos),
    /// How a request carries what was said before.
    pub history: History,
    /// A header that names the conversation in each of its requests, for routers that keep a
    /// conversation on one server.
    pub affinity_header: Option<String>,
    /// What each call of a tool returns.
    pub tool_result: String,
    /// Most rounds of tool calls in a turn. A model that calls tools once more has failed the turn.
    pub max_tool_rounds: u16,
}

/// One user's conversation as it goes. Reused from conversation to conversation.
#[derive(Debug, Default)]
pub struct Talk {
    /// Messages so far, as items of a JSON list, each followed by a comma.
    messages: Vec<u8>,
    /// The reply to the present request, as it comes.
    pub reply: Reply,
    /// The id of the response before, as a JSON string; empty in the first turn.
    previous: Vec<u8>,
    /// Turns that are over.
    done: u16,
    /// All turns; 0 while there is no conversation.
    turns: u16,
    /// Rounds of tool calls in the present turn.
    tool_rounds: u16,
    /// When the user sent the message of the present turn.
    pub began: Option<Nanos>,
}

/// What comes after a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The results of the model's tool calls are sent at once.
    ToolResults,
    /// The user thinks that long and says something else.
    Turn(Nanos),
    /// Nothing: that was the last turn.
    End,
}

impl Talk {
    /// Begins a conversation of so many turns.
    pub(super) fn begin(&mut self, turns: u16) {
        self.end();
        self.turns = turns;
    }

    /// Ends the conversation, and keeps the memory of a usual one.
    pub fn end(&mut self) {
        /// More than a conversation of a few turns needs.
        const KEPT_BYTES: usize = 64 * 1024;
        self.messages.clear();
        self.messages.shrink_to(KEPT_BYTES);
        self.reply.clear();
        self.previous.clear();
        (self.done, self.turns, self.tool_rounds, self.began) = (0, 0, 0, None);
    }

    /// Whether a conversation is under way.
    pub const fn is_under_way(&self) -> bool {
        self.turns > 0
    }

    /// The number of the present turn, from 1; 0 without a conversation.
    pub const fn turn(&self) -> u16 {
        if self.turns > 0 { self.done + 1 } else { 0 }
    }

    /// Whether the request answers tool calls, and the user says nothing.
    pub(super) const fn is_tool_round(&self) -> bool {
        self.tool_rounds > 0
    }

    /// Rounds of tool calls in the present turn.
    pub const fn tool_rounds(&self) -> u16 {
        self.tool_rounds
    }

    /// What stands for [`Piece::History`](crate::api::Piece::History).
    pub(super) fn history(&self) -> &[u8] {
        // No message of the user's follows results of tools.
        let len = self.messages.len();
        if self.is_tool_round() { &self.messages[..len.saturating_sub(1)] } else { &self.messages }
    }

    /// What stands for [`Piece::PreviousResponse`](crate::api::Piece::PreviousResponse).
    pub(super) fn previous(&self) -> &[u8] {
        if self.previous.is_empty() { b"null" } else { &self.previous }
    }

    /// Takes what was said in the present request and the reply to it into the history. `say`
    /// appends the user's message, `answer` the reply's messages.
    pub(super) fn take_reply(
        &mut self,
        how: &Conversation,
        say: impl FnOnce(&mut Vec<u8>),
        answer: impl FnOnce(&Reply, &mut Vec<u8>),
    ) {
        if how.history == History::PreviousResponse {
            self.messages.clear();
            self.previous.clear();
            self.previous.extend_from_slice(serde_json::Value::from(self.reply.id()).to_string().as_bytes());
        } else if !self.is_tool_round() {
            say(&mut self.messages);
            self.messages.push(b',');
        }
        answer(&self.reply, &mut self.messages);
    }

    /// What follows, now that the reply was taken. `think` draws the pause before the next turn.
    pub(super) fn advance(&mut self, think: impl FnOnce() -> Nanos) -> Next {
        let calls_tools = self.reply.calls_tools();
        self.reply.clear();
        if calls_tools {
            self.tool_rounds += 1;
            return Next::ToolResults;
        }
        self.tool_rounds = 0;
        self.done += 1;
        if self.done == self.turns { Next::End } else { Next::Turn(think()) }
    }
}

impl RequestWriter {
    /// Begins the conversation of that stream of draws and iteration, if its kind of request has
    /// any. One that `shortens` may have fewer turns, so that users who begin together do not march
    /// in step.
    pub fn begin_conversation(&self, draw_vu: u32, iteration: u64, shortens: bool, talk: &mut Talk) {
        talk.end();
        let kind = self.kinds.get(self.draw(draw_vu, iteration).kind);
        let Some(conversation) = kind.and_then(|kind| kind.conversation.as_ref()) else { return };
        let mut rng = self.turn_draws(CONVERSATION_DRAWS, draw_vu, iteration, 0);
        let (min, max) = conversation.turns;
        let turns = rng.u16(min..=max.max(min));
        talk.begin(if shortens { rng.u16(1..=turns) } else { turns });
    }

    /// Whether the model has called tools in more rounds than its kind of request allows.
    pub fn has_too_many_tool_rounds(&self, kind: usize, talk: &Talk) -> bool {
        let conversation = self.kinds.get(kind).and_then(|kind| kind.conversation.as_ref());
        talk.reply.calls_tools() && conversation.is_some_and(|how| talk.tool_rounds() >= how.max_tool_rounds)
    }

    /// Takes the reply to the present request into the history, and says what comes next.
    pub fn take_reply(&self, draw_vu: u32, iteration: u64, talk: &mut Talk) -> Next {
        let turn = talk.turn();
        let draw = self.draw_turn(draw_vu, iteration, turn);
        let Some((kind, how)) = self.kinds.get(draw.kind).and_then(|kind| Some((kind, kind.conversation.as_ref()?)))
        else {
            return Next::End;
        };
        let prompt = kind.prompt.draw(draw.prompt, self.prompt_draws(draw_vu, iteration, Some(talk)), turn < 2);
        talk.take_reply(
            how,
            |out| kind.write_user_message(prompt, out),
            |reply, out| kind.api.write_reply(reply, how.history, &how.tool_result, out),
        );
        talk.advance(|| {
            let (min, max) = how.think_time;
            Nanos(self.turn_draws(PAUSE_DRAWS, draw_vu, iteration, turn).u64(min.0..=max.0.max(min.0)))
        })
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

    /// What the pause before a retry is drawn by, from 0 to 1: `n` retries were made before.
    pub fn draw_of_retry(&self, draw_vu: u32, iteration: u64, turn: u16, n: u16) -> f64 {
        self.turn_draws(RETRY_DRAWS ^ u64::from(n), draw_vu, iteration, turn).f64()
    }

    /// The draws of a purpose in a turn of a conversation.
    pub(super) fn turn_draws(&self, purpose: u64, draw_vu: u32, iteration: u64, turn: u16) -> Rng {
        let of_turn = mix64(self.seed ^ purpose, turn.into(), 0);
        Rng::with_seed(mix64(of_turn, draw_vu.into(), iteration))
    }
}
