//! The first request to a server that was started here.
//!
//! It builds what all later requests use. For llmsim, the tokenizer takes some 400 ms. In a short
//! test this request alone would be the maximum, and would dominate the percentiles. A server that
//! the user started gets no such request: warming it up is up to the user.

use super::endpoints::once;
use super::error::TrialError;
use super::signals::Stop;
use super::terms;
use crate::engine;
use crate::metrics::{Distribution, Summary, Trend};
use crate::plan::{Kind, Plan};
use crate::units::Nanos;

/// Longest wait for the response.
const LONGEST_WAIT: Nanos = Nanos::from_secs(10);

/// Returns how long the first request took, in ms. `None` if the load generates nothing, or if the
/// request failed, which the load will show.
pub(super) fn first_request(plan: &Plan, cores: &[usize], stop: &Stop) -> Result<Option<f64>, TrialError> {
    let Some(kind) = plan.mix.kinds.iter().find(|kind| kind.api.generates() && !kind.websocket) else {
        return Ok(None);
    };
    let run = engine::run(&once(plan, &question(kind)), cores, stop.flag(), &mut |_| {})?.sound()?;
    if stop.is_signalled() {
        return Err(TrialError::Interrupted);
    }
    let summary = Summary::new(&run.total, std::slice::from_ref(&kind.name), run.window);
    let duration = summary.trend(Trend::HttpReqDuration, None).filter(|_| summary.succeeded() > 0);
    Ok(duration.map(Distribution::sum_ms))
}

/// Returns a plain request for one token.
fn question(kind: &Kind) -> Kind {
    let mut kind = Kind { stream: false, retries: None, scenario: None, ..terms::question(kind) };
    crate::api::remove_usage(&mut kind.body);
    kind.timeouts.total = kind.timeouts.total.min(LONGEST_WAIT);
    kind
}
