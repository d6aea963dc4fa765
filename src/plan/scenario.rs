//! Scenarios that llmsim is asked to play: as written → [`Scenario`].

use super::profile::{ProfileFile, Request, WrittenScenario};
use super::{PlanError, limits};
use crate::api::Api;
use crate::mix::Scenario;

/// Resolves the scenario of one kind of request, which is written at `key`.
pub(super) fn scenario(
    written: &ProfileFile,
    request: &Request,
    api: Api,
    key: &str,
) -> Result<Option<Scenario>, PlanError> {
    let key = format!("{key}.scenario");
    let (name, speed) = match &request.scenario {
        None => return Ok(None),
        Some(WrittenScenario::Name(name)) => (name, 1.0),
        Some(WrittenScenario::Timed(timed)) => (&timed.name, timed.speed.unwrap_or(1.0)),
    };
    if api != Api::OpenaiChat {
        let problem = format!("is played in openai-chat only: expected no scenario beside {}", api.name());
        return Err(written.error(&key, problem));
    }
    if request.dataset.is_some() {
        return Err(written.error(&key, "is chosen by a mark in the prompt: expected no data set beside it"));
    }
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !plain || !(1..=limits::MAX_NAME).contains(&name.len()) {
        let problem =
            format!("`{}` is not a name: expected lower-case letters, digits and dashes", name.escape_debug());
        return Err(written.error(&key, problem));
    }
    if !(speed > 0.0 && speed <= limits::MOST_SCENARIO_SPEED) {
        let most = limits::MOST_SCENARIO_SPEED;
        let problem = format!("invalid value '{speed}': expected a number above 0 and at most {most}");
        return Err(written.error(&format!("{key}.speed"), problem));
    }
    Ok(Some(Scenario { name: name.clone(), speed }))
}
