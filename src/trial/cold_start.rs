//! The first request to a server that was started here.
//!
//! It builds what all later ones use: llmsim its tokenizer, which takes some 400 ms. In a short
//! test that one request would be the maximum, and a good part of the percentiles. A server that
//! the user started is asked nothing: whether that is warm is the user's business.

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

/// How long the first request took, in ms. None: the load generates nothing, or the request failed,
/// which the load will show.
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

/// A plain request for one token.
fn question(kind: &Kind) -> Kind {
    let mut kind = Kind { stream: false, retries: None, scenario: None, ..terms::question(kind) };
    crate::api::remove_usage(&mut kind.body);
    kind.timeouts.total = kind.timeouts.total.min(LONGEST_WAIT);
    kind
}
