//! How users converse: as written → [`Conversation`].

use super::profile::{self, ProfileFile, Request};
use super::{PlanError, headers, limits};
use crate::api::{Api, History};
use crate::mix::{Conversation, Kind, Replies};
use crate::units::Nanos;
use serde_json::{Map, Value};

/// Result of a tool call, unless the profile sets one.
const TOOL_RESULT: &str = "The tool has done what was asked. There is nothing to report.";
/// Rounds of tool calls in a turn, unless the profile sets them.
const TOOL_ROUNDS: u16 = 8;

/// Resolves the conversations of one kind of request, which is written at `key`. `None` if its
/// requests are independent of each other.
pub(super) fn conversation(
    written: &ProfileFile,
    request: &Request,
    api: Api,
    key: &str,
    body: &Map<String, Value>,
) -> Result<Option<Conversation>, PlanError> {
    let asked = match (&request.conversation, &request.scenario) {
        (Some(asked), _) => asked,
        // A scenario is played to the end of its first turn.
        (None, Some(_)) => &profile::Conversation::of_turns(1),
        (None, None) => return Ok(None),
    };
    let key = |name: &str| format!("{key}.conversation.{name}");
    if !api.converses() {
        let known = Api::ALL.into_iter().filter(|api| api.converses()).map(Api::name).collect::<Vec<_>>().join(", ");
        let problem = format!("{} has no conversations: expected one of {known}", api.name());
        return Err(written.error(key("").trim_end_matches('.'), problem));
    }
    check_body(written, body, &key)?;
    let (history, replies) = history(written, asked, api, &key)?;
    Ok(Some(Conversation {
        turns: turns(written, request, asked, &key)?,
        think_time: think_time(written, asked, &key)?,
        sessions: None,
        history,
        replies,
        affinity_header: affinity_header(written, request, asked, &key)?,
        tool_result: asked.tool_result.clone().unwrap_or_else(|| TOOL_RESULT.to_owned()),
        max_tool_rounds: written
            .whole(&key("max_tool_rounds"), asked.max_tool_rounds, 0..=u64::from(limits::MAX_TOOL_ROUNDS))?
            .map_or(TOOL_ROUNDS, |n| n as u16),
    }))
}

/// The fields of a request that carry earlier messages.
const HISTORY_FIELDS: [&str; 3] = ["messages", "input", "previous_response_id"];

/// Refuses fields that break conversations. A conversation continues from one response, and a
/// request for several has no single reply. A conversation also writes its history itself. A field
/// of the user's would replace it, and no turn would carry any message.
fn check_body(
    written: &ProfileFile,
    body: &Map<String, Value>,
    key: &impl Fn(&str) -> String,
) -> Result<(), PlanError> {
    let refused = |problem: String| Err(written.error(key("").trim_end_matches('.'), problem));
    if let Some(field) = HISTORY_FIELDS.into_iter().find(|field| body.contains_key(*field)) {
        return refused(format!("sets `{field}` itself: expected no such field in `body`"));
    }
    match body.get("n") {
        Some(n) if n.as_i64() != Some(1) => refused(format!(
            "cannot continue a conversation from one of several responses: expected no `n = {n}` in \
                             `body`"
        )),
        _ => Ok(()),
    }
}

fn turns(
    written: &ProfileFile,
    request: &Request,
    asked: &profile::Conversation,
    key: &impl Fn(&str) -> String,
) -> Result<(u16, u16), PlanError> {
    let allowed = || 1..=u64::from(limits::MAX_TURNS);
    let (min, max) = match &asked.turns {
        // The row of the data set decides.
        None if request.dataset.is_some() || written.profile.trace.is_some() => {
            return Ok((limits::MAX_TURNS, limits::MAX_TURNS));
        }
        None => {
            let problem = "is missing: expected a number such as 4, or { min = 2, max = 8 }; a data set has its own";
            return Err(written.error(&key("turns"), problem));
        }
        Some(profile::Turns::Always(n)) => (Some(*n), Some(*n)),
        Some(profile::Turns::Range { min, max }) => (Some(*min), Some(*max)),
    };
    let min = written.whole(&key("turns"), min, allowed())?.unwrap_or(1);
    let max = written.whole(&key("turns"), max, allowed())?.unwrap_or(min);
    if min > max {
        return Err(written.error(&key("turns"), format!("min = {min} is above max = {max}: expected min ≤ max")));
    }
    Ok((min as u16, max as u16))
}

fn think_time(
    written: &ProfileFile,
    asked: &profile::Conversation,
    key: &impl Fn(&str) -> String,
) -> Result<(Nanos, Nanos), PlanError> {
    let (min, max) = match &asked.think_time {
        None => return Ok((Nanos::ZERO, Nanos::ZERO)),
        Some(profile::ThinkTime::Fixed(time)) => (time, time),
        Some(profile::ThinkTime::Drawn(drawn)) => (&drawn.min, &drawn.max),
    };
    let time = |text: &String| written.time(&key("think_time"), text);
    let (min, max) = (time(min)?, time(max)?);
    if min > max {
        return Err(written.error(&key("think_time"), format!("min = {min} is above max = {max}: expected min ≤ max")));
    }
    Ok((min, max))
}

fn history(
    written: &ProfileFile,
    asked: &profile::Conversation,
    api: Api,
    key: &impl Fn(&str) -> String,
) -> Result<(History, Replies), PlanError> {
    match asked.history.as_deref() {
        None | Some("live") => Ok((History::Messages, Replies::Live)),
        Some("recorded") => Ok((History::Messages, Replies::Recorded)),
        Some("generated") => Ok((History::Messages, Replies::Generated)),
        Some("server") if api.keeps_history() => Ok((History::PreviousResponse, Replies::Live)),
        Some("server") => {
            let problem = format!("`server` is for the Responses API: expected `live` beside {}", api.name());
            Err(written.error(&key("history"), problem))
        }
        Some(other) => {
            let problem = format!(
                "`{other}` is unknown: expected `live` (every message is sent again), `server` (the server keeps the \
                 messages, and each request names the previous response), `recorded` (replies come from the data set) \
                 or `generated` (replies are random words)"
            );
            Err(written.error(&key("history"), problem))
        }
    }
}

/// Checks that a kind's history can be made, with or without rows of a data set.
pub(super) fn check_rows(kind: &Kind, has_rows: bool) -> Result<(), &'static str> {
    let Some(how) = &kind.conversation else { return Ok(()) };
    match (how.replies, how.history) {
        (Replies::Recorded, _) if !has_rows => {
            Err("`recorded` sends the replies of a data set: expected `dataset` beside it, or `generated`")
        }
        (Replies::Generated, _) if kind.max_tokens.is_none() && how.sessions.is_none() => {
            Err("`generated` makes replies as long as the token limit: expected `max_tokens` or `output` beside it")
        }
        (_, History::PreviousResponse) if has_rows && how.sessions.is_none() => {
            Err("`server` cannot be used with a data set: expected `live`, `recorded` or `generated`")
        }
        _ => Ok(()),
    }
}

fn affinity_header(
    written: &ProfileFile,
    request: &Request,
    asked: &profile::Conversation,
    key: &impl Fn(&str) -> String,
) -> Result<Option<String>, PlanError> {
    let Some(name) = &asked.affinity_header else { return Ok(None) };
    if request.websocket {
        let problem = "names a conversation in each request, and a WebSocket has a header only when it opens: expected \
                       no `affinity_header` beside `websocket`";
        return Err(written.error(&key("affinity_header"), problem));
    }
    headers::header(name, "x").map_err(|problem| written.error(&key("affinity_header"), problem))?;
    Ok(Some(name.clone()))
}
