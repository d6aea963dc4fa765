//! What the server lets itself be asked for.
//!
//! Streams of chat completions say what they have cost only if the request asks for that
//! (`stream_options`), and some servers refuse a request with a field that they do not know. So one
//! request is sent before the load, for one token. If it is refused, and is not refused without the
//! field, the load does without.

use super::endpoints::once;
use super::error::TrialError;
use super::signals::Stop;
use crate::api::Api;
use crate::engine;
use crate::metrics::Summary;
use crate::metrics::hints::Hint;
use crate::mix::Tokens;
use crate::plan::{Kind, Plan};
use crate::units::Nanos;
use std::sync::Arc;

/// How a request is refused that has an unknown field: bad request, unprocessable content.
const REFUSALS: [u16; 2] = [400, 422];
/// Longest wait for the answer. A server that takes longer has not refused the request: that is done
/// at once.
const LONGEST_WAIT: Nanos = Nanos::from_secs(5);
/// The field, and its part that asks for usage.
const STREAM_OPTIONS: &str = "stream_options";
const INCLUDE_USAGE: &str = "include_usage";

/// The plan in terms that the server accepts, and what was found out about them.
pub(super) fn accepted(
    plan: Plan,
    cores: &[usize],
    stop: &Stop,
    say: &mut dyn FnMut(&str),
) -> Result<(Plan, Vec<Hint>), TrialError> {
    let Some(kind) = plan.mix.kinds.iter().find(|kind| asks_for_usage(kind)).cloned() else {
        return Ok((plan, Vec::new()));
    };
    if !is_refused(&plan, &kind, cores, stop)? {
        return Ok((plan, Vec::new()));
    }
    let unasked = without_usage(kind);
    if is_refused(&plan, &unasked, cores, stop)? {
        // Something else is wrong with it, which the load will show.
        return Ok((plan, Vec::new()));
    }
    let text = "the server refuses requests that ask for the usage of a stream (stream_options.include_usage), so they \
                do not ask: tokens_input is of plain answers only, and tokens of streams are counted one an event";
    say(&format!("warning: {text}"));
    let mut plan = plan;
    for kind in Arc::make_mut(&mut plan.mix).kinds.iter_mut().chain(&mut plan.endpoints) {
        if asks_for_usage(kind) {
            *kind = without_usage(kind.clone());
        }
    }
    Ok((plan, vec![Hint { name: "usage_refused".to_owned(), text: text.to_owned() }]))
}

fn asks_for_usage(kind: &Kind) -> bool {
    let asked = kind.body.get(STREAM_OPTIONS).and_then(|options| options.get(INCLUDE_USAGE));
    kind.api == Api::OpenaiChat && asked.and_then(serde_json::Value::as_bool) == Some(true)
}

fn without_usage(mut kind: Kind) -> Kind {
    let options = kind.body.get_mut(STREAM_OPTIONS).and_then(serde_json::Value::as_object_mut);
    let is_empty = options.is_some_and(|options| {
        options.remove(INCLUDE_USAGE);
        options.is_empty()
    });
    if is_empty {
        kind.body.remove(STREAM_OPTIONS);
    }
    kind
}

/// Whether the server refuses a request of that kind.
fn is_refused(plan: &Plan, kind: &Kind, cores: &[usize], stop: &Stop) -> Result<bool, TrialError> {
    let mut one = kind.clone();
    one.max_tokens = Some(Tokens::fixed(1));
    one.timeouts.total = one.timeouts.total.min(LONGEST_WAIT);
    one.timeouts.connect = one.timeouts.connect.min(LONGEST_WAIT);
    let run = engine::run(&once(plan, &one), cores, stop.flag(), &mut |_| {})?.sound()?;
    if stop.is_signalled() {
        return Err(TrialError::Interrupted);
    }
    let summary = Summary::new(&run.total, std::slice::from_ref(&one.name), run.window);
    Ok(summary.statuses.iter().any(|(status, n)| *n > 0 && REFUSALS.contains(status)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Overrides, resolve};

    fn streamed() -> Kind {
        let mut nothing = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        let plan = resolve("load", &Overrides::default(), &mut nothing).expect("built in").plan;
        plan.mix.kinds.iter().find(|kind| kind.stream).cloned().expect("a stream")
    }

    #[test]
    fn only_the_question_for_usage_is_taken_back() {
        let asks = streamed();
        assert!(asks_for_usage(&asks), "{:?}", asks.body);
        let plain = without_usage(asks.clone());
        assert!(!asks_for_usage(&plain) && plain.body.is_empty(), "{:?}", plain.body);
        let mut more = asks;
        more.body[STREAM_OPTIONS]["x"] = 1.into();
        assert_eq!(without_usage(more).body[STREAM_OPTIONS], serde_json::json!({ "x": 1 }));
    }
}
