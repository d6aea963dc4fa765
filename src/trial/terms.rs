//! Finds out which optional request fields the server accepts.
//!
//! Streams of chat completions report their usage only if the request asks for that
//! (`stream_options`), and some servers refuse a request with an unknown field. Others refuse the
//! token limit under its usual name. So one request for one token is sent to each target before the
//! load. If the target refuses it but accepts a variant, the load uses that variant. The response
//! also names the model that generated it.

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

/// Statuses with which a request with an unknown field is refused: bad request, unprocessable
/// content.
const REFUSALS: [u16; 2] = [400, 422];
/// Longest wait for the response. A server that takes longer has not refused the request: refusals
/// come at once.
const LONGEST_WAIT: Nanos = Nanos::from_secs(5);

/// The variant that all targets accept.
#[derive(Debug, Default)]
struct Terms {
    refuses_usage: bool,
    limit_name: Option<LimitName>,
    /// The names that the targets give to the requested model.
    answered: Vec<String>,
}

/// Returns the plan with requests that the server accepts, and hints about the changes.
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

/// Returns the kind of request to ask about: one whose stream should report its usage, else one
/// that has a token limit, else any that generates. If nothing is known about the target, only the
/// first reason counts.
fn asked_kind(plan: &Plan) -> Option<Kind> {
    let kinds =
        || plan.mix.kinds.iter().filter(|kind| kind.api.generates() && kind.custom.is_none() && !kind.websocket);
    let is_known = plan.found.as_ref().is_some_and(|found| found.kind.name != "llmsim");
    let is_limited = |kind: &&Kind| kind.api == Api::OpenaiChat && kind.max_tokens.is_some();
    let other = || kinds().find(is_limited).or_else(|| kinds().next()).filter(|_| is_known);
    kinds().find(|kind| asks_for_usage(kind)).or_else(other).cloned()
}

/// Sends the variant found so far to one target, then other variants, until the target accepts one.
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
            // The request has another problem, which the load will show.
            return Ok(());
        }
    }
}

/// Returns the hints for the user.
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
        add("model_renamed", format!("requested model {asked}, but the responses name model {answered}"));
    }
    hints
}

/// Returns a kind of request as the variant that was found.
fn in_terms(kind: Kind, terms: &Terms) -> Kind {
    let kind = if terms.refuses_usage && asks_for_usage(&kind) { without_usage(kind) } else { kind };
    match terms.limit_name {
        Some(name) if is_renamable(&kind) => Kind { limit_name: Some(name), ..kind },
        _ => kind,
    }
}

/// Returns true if its token limit may have another name than the usual one.
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

/// Asks a target for one token. `None` if it does not respond in time.
fn ask(plan: &Plan, kind: &Kind, target: u16, stop: &Stop) -> Result<Option<Reply>, TrialError> {
    let (targets, request) = (Targets::of(plan), reach::bytes_of(question(kind), &plan.envelopes(), target));
    Ok(stop.wait_for(move || targets.ask(target, &request, LONGEST_WAIT))??.ok())
}

/// Returns the cheapest request of a kind: a prompt of two letters for one token.
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

/// Returns the model that a response names: at its top level, or inside the object in its first
/// events.
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
