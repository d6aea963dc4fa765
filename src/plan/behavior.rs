//! Behavior of users who do not just wait: as written → [`BehaviorMix`].

use super::profile::{self, ProfileFile, Request};
use super::{PlanError, limits};
use crate::mix::{After, BehaviorMix, Leave, SlowReader};

/// Resolves the behavior of the users of one kind of request, which is written at `key`.
pub(super) fn behaviors(written: &ProfileFile, request: &Request, key: &str) -> Result<BehaviorMix, PlanError> {
    let leave = |name: &str, leave: Option<&profile::Leave>| {
        leave.map(|leave| self::leave(written, &format!("{key}.{name}"), leave, request.stream)).transpose()
    };
    let behavior = BehaviorMix {
        cancel: leave("cancel", request.cancel.as_ref())?,
        drop: leave("drop", request.drop.as_ref())?,
        slow_reader: slow_reader(written, &format!("{key}.slow_reader"), request.slow_reader.as_ref())?,
    };
    let shares = [behavior.cancel, behavior.drop].into_iter().flatten().map(|leave| leave.share).sum::<f64>();
    // Shares such as thirds must not fail because of rounding.
    if shares > 1.0 + 1e-9 {
        let problem = format!("the shares of `cancel` and `drop` add up to {shares}: expected at most 1");
        return Err(written.error(&format!("{key}.drop"), problem));
    }
    Ok(behavior)
}

fn leave(written: &ProfileFile, key: &str, leave: &profile::Leave, stream: bool) -> Result<Leave, PlanError> {
    let after = match (leave.after_tokens, leave.after.as_deref()) {
        (Some(n), None) if stream => {
            let key = format!("{key}.after_tokens");
            let n = written.whole(&key, Some(n), 1..=u64::from(limits::MAX_TOKENS))?;
            After::Tokens(n.unwrap_or(1) as u32)
        }
        (Some(_), None) => {
            let problem = "needs a streaming request: set `stream = true`, or use `after = \"500ms\"` instead";
            return Err(written.error(&format!("{key}.after_tokens"), problem));
        }
        (None, Some(text)) => {
            After::Time(written.some_time(&format!("{key}.after"), Some(text))?.unwrap_or(limits::LONGEST))
        }
        _ => {
            let problem =
                "needs exactly one of `after_tokens` and `after`, such as `after_tokens = 10` or `after = \"500ms\"`";
            return Err(written.error(key, problem));
        }
    };
    Ok(Leave { after, share: share(written, key, leave.share)? })
}

fn slow_reader(
    written: &ProfileFile,
    key: &str,
    slow: Option<&profile::SlowReader>,
) -> Result<Option<SlowReader>, PlanError> {
    let Some(slow) = slow else { return Ok(None) };
    let limits = 1..=u64::from(limits::MAX_SLOW_BYTES_PER_SECOND);
    let rate = written.whole(&format!("{key}.bytes_per_second"), Some(slow.bytes_per_second), limits)?;
    Ok(Some(SlowReader { bytes_per_second: rate.unwrap_or(1) as u32, share: share(written, key, slow.share)? }))
}

/// Returns the share of the requests. It is all of them if it is not set.
fn share(written: &ProfileFile, key: &str, share: Option<f64>) -> Result<f64, PlanError> {
    match share {
        None => Ok(1.0),
        Some(share) if share > 0.0 && share <= 1.0 => Ok(share),
        Some(share) => {
            let problem = format!("invalid value '{share}': expected a number above 0 and at most 1");
            Err(written.error(&format!("{key}.share"), problem))
        }
    }
}
