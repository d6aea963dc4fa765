//! Retries of failed requests: as written, or as `--retries` sets them → [`Retries`].

use super::profile::{ProfileFile, Request, WrittenRetries};
use super::{Given, PlanError, limits};
use crate::api::Api;
use crate::mix::{Retries, RetryPolicy};

/// Retries if the profile only names a policy, as in the SDKs.
const SDK_RETRIES: u64 = 2;

/// Retries as written: a number, and maybe a policy.
struct Asked<'a> {
    written: &'a WrittenRetries,
    key: String,
}

/// Resolves the retries of one kind of request, which is written at `key`. The request's own beat
/// the profile's, and `flag` replaces their number.
pub(super) fn retries(
    written: &ProfileFile,
    request: &Request,
    api: Api,
    flag: Option<&Given>,
    key: &str,
) -> Result<Option<Retries>, PlanError> {
    let own = request.retries.as_ref().map(|own| Asked { written: own, key: format!("{key}.retries") });
    let common = written.profile.retries.as_ref().map(|common| Asked { written: common, key: "retries".to_owned() });
    let asked = own.or(common);
    let (policy, max) = match &asked {
        None => (None, 0),
        Some(Asked { written: WrittenRetries::Max(max), key }) => (None, most(written, key, Some(*max))?),
        Some(Asked { written: WrittenRetries::Named(named), key }) => {
            let policy = named.policy.as_deref().map(|name| policy(written, key, name)).transpose()?;
            (policy, most(written, &format!("{key}.max"), named.max)?)
        }
    };
    let max = match flag {
        Some(flag) => flag.whole(&(0..=u64::from(limits::MAX_RETRIES)))?,
        None => max,
    };
    let is_anthropics = matches!(api, Api::AnthropicMessages | Api::AnthropicCountTokens);
    let policy = policy.unwrap_or(if is_anthropics { RetryPolicy::Anthropic } else { RetryPolicy::Openai });
    Ok((max > 0).then_some(Retries { policy, max: max as u16 }))
}

fn most(written: &ProfileFile, key: &str, max: Option<i64>) -> Result<u64, PlanError> {
    Ok(written.whole(key, max, 0..=u64::from(limits::MAX_RETRIES))?.unwrap_or(SDK_RETRIES))
}

fn policy(written: &ProfileFile, key: &str, name: &str) -> Result<RetryPolicy, PlanError> {
    let known = RetryPolicy::ALL.into_iter().find(|(known, _)| *known == name);
    known.map(|(_, policy)| policy).ok_or_else(|| {
        let names = RetryPolicy::ALL.map(|(name, _)| format!("`{name}`")).join(", ");
        written.error(&format!("{key}.policy"), format!("no policy is named `{name}`: expected one of {names}"))
    })
}
