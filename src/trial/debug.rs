//! Bytes for people: requests before they are sent, answers before they are measured. Secrets are hidden in both.

use crate::exit::ExitClass;
use crate::mix::{Request, Scenario, Secret};
use crate::net::Dialer;
use crate::plan::{Mix, Plan, is_secret};
use crate::trial::error::CliError;
use crate::units::Nanos;
use crate::watch::probe;
use base64::Engine as _;
use std::io::Write;

/// What stands in the place of a secret.
const HIDDEN: &str = "[hidden]";
/// Shorter secrets are no secrets, and hiding every occurrence of them would hide everything.
const SHORTEST_SECRET: usize = 4;
/// Longest answer that is shown.
const MAX_SHOWN_BYTES: usize = 16 * 1024;
/// Longest wait for an answer that is shown.
const ANSWER_TIMEOUT: Nanos = Nanos::from_secs(10);

/// `--dump-request`: a request of each kind for each target.
pub(crate) fn dump_request(plan: &Plan, out: &mut dyn Write) -> Result<ExitClass, CliError> {
    let hider = Hider::new(plan);
    let shown = with_secrets_hidden(plan);
    let targets: Vec<&str> = plan.targets().map(|target| target.url.as_str()).collect();
    for (number, url) in (0..).zip(targets) {
        for kind in &shown.mix.kinds {
            let only = Mix { kinds: vec![crate::plan::Kind { weight: 1, ..kind.clone() }] };
            let scenario = Scenario::new(&only, &shown.envelopes(), plan.seed);
            let mut request = Request::default();
            scenario.write(number, 0, 0, &mut request);
            writeln!(out, "# {} to {url}, {} bytes", kind.name, request.bytes.len())?;
            writeln!(out, "{}\n", hider.text(&request.bytes))?;
        }
    }
    Ok(ExitClass::Success)
}

/// `--debug-response`: sends so many of the test's first requests and shows what comes back.
pub(crate) fn show_answers(plan: &Plan, n: u32, err: &mut dyn Write) -> Result<(), CliError> {
    if n == 0 {
        return Ok(());
    }
    let hider = Hider::new(plan);
    let dialer = Dialer::new(plan.targets(), &plan.access, 0, n as usize)?;
    let scenario = Scenario::new(&plan.mix, &plan.envelopes(), plan.seed);
    let targets = 1 + plan.access.more_targets.len() as u32;
    let mut request = Request::default();
    for i in 0..n {
        let target = (i % targets) as u16;
        scenario.write(target, 0, u64::from(i), &mut request);
        let kind = plan.mix.kinds.get(usize::from(request.kind)).map_or("", |kind| kind.name.as_str());
        writeln!(err, "# answer {} of {n}, to {kind}", i + 1)?;
        match probe::raw(&dialer.endpoint(usize::from(target)), &request.bytes, MAX_SHOWN_BYTES, ANSWER_TIMEOUT) {
            Ok(answer) => {
                let cut = if answer.len() >= MAX_SHOWN_BYTES { " [cut]" } else { "" };
                writeln!(err, "{}{cut}\n", hider.text(&answer))?;
            }
            Err(error) => writeln!(err, "none: {}\n", hider.text(error.to_string().as_bytes()))?,
        }
    }
    Ok(err.flush()?)
}

/// The plan as it may be shown: the same requests, without what is secret in their heads.
fn with_secrets_hidden(plan: &Plan) -> Plan {
    let hide = |headers: &[(String, String)]| -> Vec<(String, String)> {
        let shown = |(name, value): &(String, String)| {
            (name.clone(), if is_secret(name) { HIDDEN.to_owned() } else { value.clone() })
        };
        headers.iter().map(shown).collect()
    };
    let mut shown = plan.clone();
    shown.credentials.api_key = plan.credentials.api_key.as_ref().map(|_| Secret::new(HIDDEN.to_owned()));
    shown.headers = hide(&plan.headers);
    if plan.credentials.basic_auth.is_some()
        && !plan.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"))
    {
        shown.credentials.basic_auth = None;
        shown.headers.push(("Authorization".to_owned(), format!("Basic {HIDDEN}")));
    }
    for kind in &mut shown.mix.kinds {
        kind.headers = hide(&kind.headers);
    }
    shown
}

/// Hides secrets wherever they stand: servers repeat what they were sent.
struct Hider {
    secrets: Vec<Vec<u8>>,
}

impl Hider {
    fn new(plan: &Plan) -> Self {
        let mut secrets: Vec<String> = Vec::new();
        secrets.extend(plan.credentials.api_key.as_ref().map(|key| key.reveal().to_owned()));
        if let Some(pair) = plan.credentials.basic_auth.as_ref().map(Secret::reveal) {
            secrets.push(base64::engine::general_purpose::STANDARD.encode(pair));
            secrets.push(pair.to_owned());
            secrets.extend(pair.split_once(':').map(|(_, password)| password.to_owned()));
        }
        let headers = plan.headers.iter().chain(plan.mix.kinds.iter().flat_map(|kind| &kind.headers));
        for (_, value) in headers.filter(|(name, _)| is_secret(name)) {
            // Behind a scheme such as Bearer stands what is secret about it.
            secrets.extend(value.split_whitespace().last().map(str::to_owned));
            secrets.push(value.clone());
        }
        secrets.retain(|secret| secret.len() >= SHORTEST_SECRET);
        // The longest first: one may be a part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets: secrets.into_iter().map(String::into_bytes).collect() }
    }

    /// As text, without secrets and without what could drive a terminal.
    fn text(&self, bytes: &[u8]) -> String {
        let mut clean = bytes.to_vec();
        for secret in &self.secrets {
            let mut from = 0;
            while let Some(at) = memchr::memmem::find(&clean[from..], secret) {
                let at = from + at;
                clean.splice(at..at + secret.len(), HIDDEN.bytes());
                from = at + HIDDEN.len();
            }
        }
        let text = String::from_utf8_lossy(&clean).replace("\r\n", "\n");
        text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '?' } else { c }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let hider = Hider { secrets: vec![b"sk-12345".to_vec(), b"sk-1".to_vec()] };
        let shown = hider.text(b"a: sk-12345\r\nsk-12345sk-1 \x1b[31m");
        assert_eq!(shown, "a: [hidden]\n[hidden][hidden] ?[31m");
    }
}
