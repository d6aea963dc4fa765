//! Before the plan is complete: finds out which server runs at the target.

use super::error::TrialError;
use super::reach::{self, Targets};
use super::setup::Setup;
use crate::plan::{FoundServer, Plan, ServerKind, Target, is_secret};
use crate::units::{Nanos, plural};
use crate::watch::identify::{Identity, Said, identify};
use crate::watch::probe::{self, ProbeError, Reply};
use std::time::Instant;

/// Longest wait for one response.
const ANSWER_WITHIN: Nanos = Nanos::from_secs(5);
/// Pause between two probes of a server that is loading.
const LOOK_EVERY: Nanos = Nanos::from_millis(500);
/// Interval between messages that a server is still loading.
const SAY_EVERY: Nanos = Nanos::from_secs(10);

/// Asks the target what it is, as far as the plan leaves that open. `None` if the target does not
/// say, or does not respond, which [`prepare`](super::prepare()) reports.
pub(crate) fn discover(
    plan: &Plan,
    setup: &Setup,
    say: &mut dyn FnMut(&str),
) -> Result<Option<FoundServer>, TrialError> {
    let is_asked = plan.asks_target || plan.wait_ready > Nanos::ZERO;
    if !is_asked || plan.server.is_some() || setup.stop.is_signalled() {
        return Ok(None);
    }
    let redactor = plan.redactor();
    let say = &mut |line: &str| say(&redactor.foreign_line(line.as_bytes()));
    match ask(plan, setup, say) {
        Err(TrialError::Interrupted) => Ok(None),
        found => found.map_err(|error| error.redacted(&redactor)),
    }
}

fn ask(plan: &Plan, setup: &Setup, say: &mut dyn FnMut(&str)) -> Result<Option<FoundServer>, TrialError> {
    // An unreachable target is reported by the steps that follow.
    let Ok(plan) = reach::with_addresses(plan.clone(), &setup.stop, &mut |_| {}) else { return Ok(None) };
    let mut found: Option<FoundServer> = None;
    for (number, target) in (0..).zip(plan.targets()) {
        let identity = wait_until_ready(&plan, (number, target), setup, say)?;
        let this = of_target(&plan, target, identity, say)?;
        found = match (number, found, this) {
            (0, _, this) => this,
            (_, Some(all), Some(this)) => Some(in_common(all, &this, &target.url)?),
            // A target that does not identify itself is assumed to be like the others.
            (_, all, _) => all,
        };
    }
    if let Some(found) = found.as_ref().filter(|found| found.kind.name != "llmsim") {
        let more = match plan.access.more_targets.len() {
            0 => String::new(),
            others => format!(" and {}", plural(others, "other target")),
        };
        say(&format!("{}{more}: {}", plan.target.url, found.told()));
    }
    Ok(found)
}

/// Returns what one target has said of itself, if the plan makes use of it.
fn of_target(
    plan: &Plan,
    target: &Target,
    identity: Identity,
    say: &mut dyn FnMut(&str),
) -> Result<Option<FoundServer>, TrialError> {
    let url = target.url.clone();
    match identity {
        Identity::Known(said) => Ok(known(plan, said)),
        // A key may be valid for requests and still not for the list of models.
        Identity::Locked(status) if has_key(plan) => {
            say(&format!("{url}: this key may not list its models (status {status}); name one with --model"));
            Ok(known(plan, Said { kind: "openai", ..Said::default() }))
        }
        Identity::Locked(status) => {
            let reason = format!("the server requires a key (status {status}); give it with --api-key-file");
            Err(TrialError::Unusable { url, reason })
        }
        Identity::Loading => {
            let reason = "the server is loading (status 503); wait for it with --wait-ready 5m".to_owned();
            Err(TrialError::Unusable { url, reason })
        }
        // A server that behaves like llmsim has its paths.
        Identity::Unknown(asked) if asked.iter().any(|(_, status)| *status == 200) => Ok(None),
        Identity::Unknown(asked) => {
            let asked: Vec<String> = asked.iter().map(|(path, status)| format!("{path} ({status})")).collect();
            say(&format!(
                "{url}: unknown kind of server (requested {}); llmsim's paths are used (see --server, --path)",
                asked.join(", ")
            ));
            Ok(None)
        }
        Identity::Silent(_) => Ok(None),
    }
}

/// Returns what targets have in common, since all of them are sent the same requests.
fn in_common(all: FoundServer, this: &FoundServer, url: &str) -> Result<FoundServer, TrialError> {
    let refused = |reason| Err(TrialError::Unusable { url: url.to_owned(), reason });
    if all.kind.layout != this.kind.layout {
        let (title, first) = (this.kind.title, all.kind.title);
        return refused(format!(
            "is {title}, and the first target is {first}, which has its APIs at other paths: test one after the other"
        ));
    }
    // The version is reported only if all targets have the same.
    let version = all.version.filter(|version| this.version.as_ref() == Some(version));
    let all = FoundServer { version, ..all };
    if all.models.is_empty() || this.models.is_empty() {
        return Ok(all);
    }
    let models: Vec<String> = all.models.iter().filter(|model| this.models.contains(model)).cloned().collect();
    if models.is_empty() {
        let (here, there) = (this.models.join(", "), all.models.join(", "));
        return refused(format!("has none of the other targets' models: it has {here}, and they have {there}"));
    }
    Ok(FoundServer { models, ..all })
}

/// Returns true if requests carry a key.
fn has_key(plan: &Plan) -> bool {
    let credentials = &plan.credentials;
    let in_header = plan.headers.iter().any(|(name, _)| is_secret(name));
    credentials.has_key() || credentials.basic_auth.is_some() || in_header || !plan.target.query.is_empty()
}

/// Returns what a server has said, if the plan makes use of it.
fn known(plan: &Plan, said: Said) -> Option<FoundServer> {
    let kind = ServerKind::from_name(said.kind).filter(|_| plan.asks_target)?;
    Some(FoundServer { kind, version: said.version, models: said.models })
}

/// Asks repeatedly while the server is loading and `wait_ready` has not passed.
#[expect(clippy::disallowed_methods, reason = "waits for another process; no test is running yet")]
fn wait_until_ready(
    plan: &Plan,
    (number, target): (u16, &Target),
    setup: &Setup,
    say: &mut dyn FnMut(&str),
) -> Result<Identity, TrialError> {
    let began = Instant::now();
    let mut said_at: Option<Nanos> = None;
    loop {
        let identity = ask_once(plan, (number, target), setup)?;
        let is_coming = matches!(identity, Identity::Loading | Identity::Silent(ProbeError::Refused));
        let waited = Nanos::from(began.elapsed());
        if !is_coming || waited + LOOK_EVERY > plan.wait_ready {
            return Ok(identity);
        }
        if said_at.is_none_or(|at| waited.since(at) >= SAY_EVERY) {
            said_at = Some(waited);
            let how = if matches!(identity, Identity::Loading) { "is loading" } else { "is not up yet" };
            say(&format!("{} {how}: waiting at most {}", target.url, plan.wait_ready));
        }
        setup.stop.wait_for(|| std::thread::sleep(LOOK_EVERY.to_duration()))?;
    }
}

fn ask_once(plan: &Plan, (number, target): (u16, &Target), setup: &Setup) -> Result<Identity, TrialError> {
    let (targets, envelopes) = (Targets::of(plan), plan.envelopes());
    let prefix = target.path_prefix.clone();
    setup.stop.wait_for(move || {
        let dialer = targets.dialer(1)?;
        Ok(identify(&prefix, &mut |path| -> Result<Reply, ProbeError> {
            let question = reach::get(path, &envelopes, number);
            probe::ask_at(&dialer.endpoint(usize::from(number)), &question, ANSWER_WITHIN)
        }))
    })?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(kind: &str, models: &[&str]) -> FoundServer {
        let models = models.iter().map(|&model| model.to_owned()).collect();
        FoundServer { kind: ServerKind::from_name(kind).expect("known"), version: None, models }
    }

    #[test]
    fn targets_are_tested_with_what_they_have_in_common() {
        let common =
            |first: FoundServer, other: &FoundServer| in_common(first, other, "http://b").map(|all| all.models);
        let models = common(found("vllm", &["a", "b", "c"]), &found("sglang", &["c", "b"])).expect("fine");
        assert_eq!(models, ["b", "c"]);
        assert_eq!(common(found("vllm", &["a"]), &found("openai", &[])).expect("does not list them"), ["a"]);
        let of = |version: &str| FoundServer { version: Some(version.to_owned()), ..found("vllm", &["a"]) };
        assert_eq!(in_common(of("1"), &of("1"), "http://b").expect("fine").version.as_deref(), Some("1"));
        assert_eq!(in_common(of("1"), &of("2"), "http://b").expect("fine").version, None);
        let error = common(found("vllm", &["a"]), &found("vllm", &["b"])).expect_err("none").to_string();
        assert_eq!(error, "http://b: has none of the other targets' models: it has b, and they have a");
        let error = common(found("vllm", &["a"]), &found("llmsim", &[])).expect_err("other paths").to_string();
        assert!(error.starts_with("http://b: is llmsim, and the first target is vLLM"), "{error}");
    }
}
