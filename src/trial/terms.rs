//! What the server lets itself be asked for.
//!
//! Streams of chat completions say what they have cost only if the request asks for that
//! (`stream_options`), and some servers refuse a request with a field that they do not know. Others
//! refuse the token limit under its usual name. So one request is sent to each target before the
//! load, for one token. If it is refused, and is not refused in other terms, the load uses those.
//! Its answer also names the model that has answered.

use super::error::TrialError;
use super::reach::{self, Targets};
use super::signals::Stop;
use crate::api::{self, Api, LimitName};
use crate::metrics::hints::Hint;
use crate::mix::Tokens;
use crate::plan::{BehaviorMix, Kind, Plan, Prompt};
use crate::units::Nanos;
use crate::watch::probe::Reply;
use serde_json::Value;
use std::sync::Arc;

/// How a request is refused that has an unknown field: bad request, unprocessable content.
const REFUSALS: [u16; 2] = [400, 422];
/// Longest wait for the answer. A server that takes longer has not refused the request: that is done
/// at once.
const LONGEST_WAIT: Nanos = Nanos::from_secs(5);

/// What was found out, in the terms that all targets accept.
#[derive(Debug, Default)]
struct Terms {
    refuses_usage: bool,
    limit_name: Option<LimitName>,
    /// What the targets call the model that was asked for.
    answered: Vec<String>,
}

/// The plan in terms that the server accepts, and what was found out about them.
pub(super) fn accepted(plan: Plan, stop: &Stop, say: &mut dyn FnMut(&str)) -> Result<(Plan, Vec<Hint>), TrialError> {
    let Some(kind) = asked_kind(&plan) else { return Ok((plan, Vec::new())) };
    let mut terms = Terms::default();
    for target in 0..=plan.access.more_targets.len() as u16 {
        ask_target(&plan, &kind, target, stop, &mut terms)?;
    }
    let hints = hints(&kind, &terms);
    for hint in &hints {
        say(&format!("warning: {}", hint.text));
    }
    let mut plan = plan;
    for kind in Arc::make_mut(&mut plan.mix).kinds.iter_mut().chain(&mut plan.endpoints) {
        *kind = in_terms(kind.clone(), &terms);
    }
    Ok((plan, hints))
}

/// The kind of request that is worth asking about: one whose stream shall say its usage, else one
/// that has a token limit, else any that generates. A target of which nothing is known is asked only
/// for the first reason.
fn asked_kind(plan: &Plan) -> Option<Kind> {
    let kinds =
        || plan.mix.kinds.iter().filter(|kind| kind.api.generates() && kind.custom.is_none() && !kind.websocket);
    let is_known = plan.found.as_ref().is_some_and(|found| found.kind.name != "llmsim");
    let is_limited = |kind: &&Kind| kind.api == Api::OpenaiChat && kind.max_tokens.is_some();
    let other = || kinds().find(is_limited).or_else(|| kinds().next()).filter(|_| is_known);
    kinds().find(|kind| asks_for_usage(kind)).or_else(other).cloned()
}

/// Asks one target in the terms that are known so far, and then in others, until it accepts them.
fn ask_target(plan: &Plan, kind: &Kind, target: u16, stop: &Stop, terms: &mut Terms) -> Result<(), TrialError> {
    let mut tried = Terms { refuses_usage: terms.refuses_usage, limit_name: terms.limit_name, answered: Vec::new() };
    loop {
        let asked = in_terms(kind.clone(), &tried);
        let Some(reply) = ask(plan, &asked, target, stop)? else { return Ok(()) };
        if !REFUSALS.contains(&reply.status) {
            if reply.status == 200 {
                let answered = model_in(&reply.body).filter(|model| asked.models.first() != Some(model));
                terms.answered.extend(answered.filter(|model| !terms.answered.contains(model)));
            }
            (terms.refuses_usage, terms.limit_name) = (tried.refuses_usage, tried.limit_name);
            return Ok(());
        }
        let newer = LimitName::MaxCompletionTokens;
        let names_newer = memchr::memmem::find(&reply.body, newer.name().as_bytes()).is_some();
        if names_newer && is_renamable(&asked) && tried.limit_name.is_none() {
            tried.limit_name = Some(newer);
        } else if asks_for_usage(&asked) {
            tried.refuses_usage = true;
        } else {
            // Something else is wrong with it, which the load will show.
            return Ok(());
        }
    }
}

/// What the user is told about the terms.
fn hints(kind: &Kind, terms: &Terms) -> Vec<Hint> {
    let mut hints = Vec::new();
    let mut add = |name: &str, text: String| hints.push(Hint { name: name.to_owned(), text });
    if terms.refuses_usage {
        let text = "the server refuses requests that ask for usage in a stream (stream_options.include_usage), so it \
                    is not requested: tokens_input covers plain responses only, and each event of a stream counts as \
                    one token";
        add("usage_refused", text.to_owned());
    }
    if let Some(name) = terms.limit_name {
        let (usual, name) = (LimitName::default().name(), name.name());
        add("limit_renamed", format!("the server refuses {usual}, so requests use {name} instead"));
    }
    if let (Some(asked), false) = (kind.models.first(), terms.answered.is_empty()) {
        let answered = terms.answered.join(", ");
        add("model_renamed", format!("asked for model {asked}, the server says that {answered} has answered"));
    }
    hints
}

/// A kind of request in the terms that were found.
fn in_terms(kind: Kind, terms: &Terms) -> Kind {
    let kind = if terms.refuses_usage && asks_for_usage(&kind) { without_usage(kind) } else { kind };
    match terms.limit_name {
        Some(name) if is_renamable(&kind) => Kind { limit_name: Some(name), ..kind },
        _ => kind,
    }
}

/// Whether its token limit may go by another name than the usual.
fn is_renamable(kind: &Kind) -> bool {
    kind.api == Api::OpenaiChat && kind.limit_name.is_none()
}

fn asks_for_usage(kind: &Kind) -> bool {
    kind.api.bills_streams_on_request() && api::asks_for_usage(&kind.body) == Some(true)
}

fn without_usage(mut kind: Kind) -> Kind {
    api::remove_usage(&mut kind.body);
    kind
}

/// Asks a target for one token. None: it does not answer, or not in time.
fn ask(plan: &Plan, kind: &Kind, target: u16, stop: &Stop) -> Result<Option<Reply>, TrialError> {
    let (targets, request) = (Targets::of(plan), reach::bytes_of(question(kind), &plan.envelopes(), target));
    Ok(stop.wait_for(move || targets.ask(target, &request, LONGEST_WAIT))??.ok())
}

/// A request of that kind that costs next to nothing.
/// The shortest request of a kind: two letters for one token.
pub(super) fn question(kind: &Kind) -> Kind {
    Kind {
        weight: 1,
        models: kind.models.iter().take(1).cloned().collect(),
        model_weights: Vec::new(),
        prompt: Prompt::texts(vec!["Hi".to_owned()]),
        max_tokens: Some(Tokens::fixed(1)),
        behaviors: BehaviorMix::default(),
        conversation: None,
        ..kind.clone()
    }
}

/// The model that an answer names: at its top, or inside the object that its first events announce.
fn model_in(body: &[u8]) -> Option<String> {
    let of = |json: &Value| {
        let places = [json, &json["response"], &json["message"]];
        let name = places.iter().find_map(|place| place["model"].as_str()).filter(|name| !name.is_empty());
        name.map(str::to_owned)
    };
    if let Ok(json) = serde_json::from_slice::<Value>(body) {
        return of(&json);
    }
    let text = String::from_utf8_lossy(body);
    let mut events = text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?.trim()).ok());
    events.find_map(|event: Value| of(&event))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::STREAM_OPTIONS;
    use crate::plan::{Overrides, resolve};

    fn kind(stream: bool) -> Kind {
        let mut nothing = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        let plan = resolve("load", &Overrides::default(), &mut nothing).expect("built in").plan;
        plan.mix.kinds.iter().find(|kind| kind.stream == stream).cloned().expect("both are there")
    }

    #[test]
    fn only_the_question_for_usage_is_taken_back() {
        let asks = kind(true);
        assert!(asks_for_usage(&asks), "{:?}", asks.body);
        let plain = without_usage(asks.clone());
        assert!(!asks_for_usage(&plain) && plain.body.is_empty(), "{:?}", plain.body);
        let mut more = asks;
        more.body[STREAM_OPTIONS]["x"] = 1.into();
        assert_eq!(without_usage(more).body[STREAM_OPTIONS], serde_json::json!({ "x": 1 }));
    }

    #[test]
    fn a_limit_that_was_told_its_name_keeps_it() {
        let terms = Terms { limit_name: Some(LimitName::MaxCompletionTokens), ..Terms::default() };
        assert_eq!(in_terms(kind(false), &terms).limit_name, terms.limit_name);
        let told = Kind { limit_name: Some(LimitName::MaxTokens), ..kind(false) };
        assert_eq!(in_terms(told, &terms).limit_name, Some(LimitName::MaxTokens));
        let other = Kind { api: Api::AnthropicMessages, ..kind(false) };
        assert_eq!(in_terms(other, &terms).limit_name, None);
    }

    #[test]
    fn the_model_is_read_wherever_an_api_has_it() {
        for (body, expected) in [
            (r#"{"object":"chat.completion","model":"a"}"#, Some("a")),
            ("data: {\"model\":\"b\"}\n\ndata: [DONE]\n\n", Some("b")),
            (": hi\r\nevent: response.created\r\ndata:{\"response\":{\"model\":\"c\"}}\r\n", Some("c")),
            ("event: message_start\ndata: {\"type\":\"x\",\"message\":{\"model\":\"d\"}}\n", Some("d")),
            (r#"{"model":""}"#, None),
            ("", None),
            ("\u{0}<html>", None),
        ] {
            assert_eq!(model_in(body.as_bytes()).as_deref(), expected, "{body}");
        }
    }
}
