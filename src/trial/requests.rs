//! `--dump-request`: prints the requests of a plan without sending them. Secrets are hidden.

use super::provenance::unix_seconds;
use crate::mix::{Request, RequestWriter, Secret};
use crate::plan::{Access, Credentials, KeyAs, Kind, Mix, Plan, Target, is_secret};
use crate::redact::HIDDEN;
use std::io::{self, Write};

/// Prints a request of each kind for each target.
pub(crate) fn dump_requests(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let redactor = plan.redactor_for_owner();
    let shown = with_secrets_hidden(plan);
    let targets: Vec<String> = plan.targets().map(|target| redactor.own(&target.url)).collect();
    for (number, url) in (0..).zip(targets) {
        for kind in &shown.mix.kinds {
            let only = Mix { kinds: vec![Kind { weight: 1, ..kind.clone() }] };
            let writer = RequestWriter::new(&only, &shown.envelopes(), plan.seed).at_time(unix_seconds());
            let mut request = Request::default();
            let mut held = Vec::new();
            writer.fetch(0, 0, &mut held)?;
            writer.write(number, 0, 0, None, &held, &mut request);
            writeln!(out, "# {} to {url}, {} bytes", kind.name, request.bytes.len())?;
            writeln!(out, "{}\n", redactor.foreign(&request.bytes))?;
        }
    }
    Ok(())
}

/// Returns the plan as it may be shown: the same requests, with the secrets in their heads hidden.
fn with_secrets_hidden(plan: &Plan) -> Plan {
    let hide = |headers: &[(String, String)]| -> Vec<(String, String)> {
        let shown = |(name, value): &(String, String)| {
            (name.clone(), if is_secret(name) { HIDDEN.to_owned() } else { value.clone() })
        };
        headers.iter().map(shown).collect()
    };
    let mut headers = hide(&plan.headers);
    if plan.credentials.basic_auth.is_some()
        && !plan.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"))
    {
        headers.push(("Authorization".to_owned(), format!("Basic {HIDDEN}")));
    }
    let target = |target: &Target| {
        let query = if target.query.is_empty() { String::new() } else { HIDDEN.to_owned() };
        Target { query, ..target.clone() }
    };
    let more_targets = plan.access.more_targets.iter().map(target).collect();
    let kind = |kind: &Kind| Kind { headers: hide(&kind.headers), ..kind.clone() };
    Plan {
        credentials: Credentials {
            api_key: plan.credentials.has_key().then(|| shown_key(plan)),
            key_as: plan.credentials.key_as.clone(),
            ..Credentials::default()
        },
        headers,
        target: target(&plan.target),
        access: Access { more_targets, ..plan.access.clone() },
        mix: Mix { kinds: plan.mix.kinds.iter().map(kind).collect() }.into(),
        ..plan.clone()
    }
}

/// Returns the text that is shown for the key. A signature is made with the real key: it does not
/// reveal the key, and it expires after some minutes.
fn shown_key(plan: &Plan) -> Secret {
    match plan.credentials.key_as {
        KeyAs::SigV4 { .. } => plan.credentials.key().unwrap_or_else(|| Secret::new(format!("{HIDDEN}:{HIDDEN}"))),
        _ => Secret::new(HIDDEN.to_owned()),
    }
}
