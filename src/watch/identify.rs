//! Identifies a server by its responses to a few cheap requests.
//!
//! | Request | Response |
//! |---|---|
//! | `/llmsim/stats` | llmsim's statistics |
//! | `/v1/models` | a list of models; its `owned_by` names vLLM, SGLang and llama.cpp |
//! | `/openai/v1/models` | the same on llmsim and servers like it |
//! | `/version` | vLLM's version |
//! | `/get_server_info` | SGLang's version |
//! | `/props` | llama.cpp's build |
//! | `/api/version` | Ollama's version |
//! | `/info` | TGI's model and version |
//! | `/health/readiness` | LiteLLM's version, or the state of its database |
//!
//! Requests stay below the given path. `/openai/…` comes last: LiteLLM passes it on to the real
//! provider.

use super::probe::{ProbeError, Reply};
use serde_json::Value;

/// The facts that a server has reported about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// The name of its kind, as in `--server`.
    pub kind: &'static str,
    pub version: Option<String>,
    /// The models that it lists.
    pub models: Vec<String>,
}

/// The result of the requests.
#[derive(Debug)]
pub enum Identity {
    Known(Said),
    /// The server responds, but is unknown. Holds the requested paths, each with its status.
    Unknown(Vec<(String, u16)>),
    /// The server requires a key, or rejects the one it was given: 401 or 403.
    Locked(u16),
    /// The server is running but not ready: 503.
    Loading,
    /// The server did not respond.
    Silent(ProbeError),
}

/// Sends requests until the server is identified. `prefix` is the path of the target's URL.
pub fn identify(prefix: &str, ask: &mut dyn FnMut(&str) -> Result<Reply, ProbeError>) -> Identity {
    let mut asked = Vec::new();
    let mut ask = |path: &str| -> Result<Option<Value>, Identity> {
        let reply = ask(path).map_err(Identity::Silent)?;
        asked.push((path.to_owned(), reply.status));
        match reply.status {
            200 => Ok(serde_json::from_slice(&reply.body).ok()),
            401 | 403 => Err(Identity::Locked(reply.status)),
            503 => Err(Identity::Loading),
            _ => Ok(None),
        }
    };
    match said(prefix, &mut ask) {
        Ok(Some(said)) => Identity::Known(said),
        Ok(None) => Identity::Unknown(asked),
        Err(identity) => identity,
    }
}

type Ask<'a> = dyn FnMut(&str) -> Result<Option<Value>, Identity> + 'a;

fn said(prefix: &str, ask: &mut Ask<'_>) -> Result<Option<Said>, Identity> {
    // If the URL ends in the APIs' own path, nothing outside that path is requested.
    if prefix.ends_with("/v1") {
        let list = ask("/models")?;
        return Ok(list.and_then(|list| of_list(&list)));
    }
    if optional(ask("/llmsim/stats"))?.is_some_and(|stats| stats["total_requests"].is_u64()) {
        return Ok(Some(Said { kind: "llmsim", ..Said::default() }));
    }
    if let Some(said) = ask("/v1/models")?.and_then(|list| of_list(&list)) {
        return more(said, ask).map(Some);
    }
    for (path, kind) in [("/info", "tgi"), ("/api/version", "ollama")] {
        if let Some(answer) = optional(ask(path))?
            && let Some(version) = answer["version"].as_str()
        {
            let models = answer["model_id"].as_str().map(str::to_owned).into_iter().collect();
            return Ok(Some(Said { kind, version: Some(version.to_owned()), models }));
        }
    }
    // The kind of server is unknown, so the usual paths are assumed.
    optional(ask("/openai/v1/models")).map(|_| None)
}

/// Identifies a server by its list of models.
fn of_list(list: &Value) -> Option<Said> {
    let data = list["data"].as_array()?;
    let text = |model: &Value, key: &str| model[key].as_str().map(str::to_owned);
    let models = data.iter().filter_map(|model| text(model, "id")).collect();
    let owners: Vec<String> = data.iter().filter_map(|model| text(model, "owned_by")).collect();
    let kinds = [("vllm", "vllm"), ("sglang", "sglang"), ("llamacpp", "llamacpp"), ("library", "ollama")];
    let kind = kinds.into_iter().find(|(owner, _)| owners.iter().any(|owned_by| owned_by == owner));
    Some(Said { kind: kind.map_or("openai", |(_, kind)| kind), version: None, models })
}

/// Adds the version, as far as a server of that kind reports it.
fn more(mut said: Said, ask: &mut Ask<'_>) -> Result<Said, Identity> {
    let (path, field) = match said.kind {
        "vllm" => ("/version", "version"),
        "sglang" => ("/get_server_info", "version"),
        "llamacpp" => ("/props", "build_info"),
        "ollama" => ("/api/version", "version"),
        _ => ("/health/readiness", "litellm_version"),
    };
    if let Some(answer) = optional(ask(path))? {
        said.version = answer[field].as_str().map(str::to_owned);
        // LiteLLM does not report its version here from 1.108 on. The state of its database
        // identifies it.
        if said.kind == "openai" && (said.version.is_some() || answer["db"].is_string()) {
            said.kind = "litellm";
        }
    }
    Ok(said)
}

/// Treats a refusal as a missing response: gateways refuse unknown paths in many ways.
fn optional(answer: Result<Option<Value>, Identity>) -> Result<Option<Value>, Identity> {
    match answer {
        Err(Identity::Locked(_) | Identity::Loading) => Ok(None),
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that responds to these paths with 200, and to all others with `otherwise`.
    fn asked(prefix: &str, answers: &[(&str, &str)], otherwise: u16) -> (Identity, Vec<String>) {
        let mut paths = Vec::new();
        let identity = identify(prefix, &mut |path| {
            paths.push(path.to_owned());
            let answer = answers.iter().find(|(known, _)| *known == path);
            Ok(answer.map_or(Reply { status: otherwise, body: Vec::new() }, |(_, body)| Reply {
                status: 200,
                body: body.as_bytes().to_vec(),
            }))
        });
        (identity, paths)
    }

    fn known(answers: &[(&str, &str)]) -> Said {
        match asked("", answers, 404).0 {
            Identity::Known(said) => said,
            identity => panic!("{identity:?}"),
        }
    }

    fn list(owner: &str) -> String {
        format!(r#"{{"object":"list","data":[{{"id":"tiny","object":"model","owned_by":"{owner}"}}]}}"#)
    }

    #[test]
    fn servers_are_known_by_what_they_say() {
        let said = |kind, version: Option<&str>, models: &[&str]| Said {
            kind,
            version: version.map(str::to_owned),
            models: models.iter().map(|&model| model.to_owned()).collect(),
        };
        let llmsim = known(&[("/llmsim/stats", r#"{"total_requests":3}"#), ("/v1/models", "{}")]);
        assert_eq!(llmsim, said("llmsim", None, &[]));
        for (owner, path, answer, expected) in [
            ("vllm", "/version", r#"{"version":"0.32.0"}"#, said("vllm", Some("0.32.0"), &["tiny"])),
            ("sglang", "/get_server_info", r#"{"version":"0.5"}"#, said("sglang", Some("0.5"), &["tiny"])),
            ("llamacpp", "/props", r#"{"build_info":"b11434-x"}"#, said("llamacpp", Some("b11434-x"), &["tiny"])),
            ("library", "/api/version", r#"{"version":"0.9"}"#, said("ollama", Some("0.9"), &["tiny"])),
            (
                "openai",
                "/health/readiness",
                r#"{"litellm_version":"1.108"}"#,
                said("litellm", Some("1.108"), &["tiny"]),
            ),
            // The response of 1.108.7.
            (
                "openai",
                "/health/readiness",
                r#"{"status":"healthy","db":"Not connected"}"#,
                said("litellm", None, &["tiny"]),
            ),
            ("openai", "/health/readiness", r#"{"status":"ok"}"#, said("openai", None, &["tiny"])),
            ("me", "/nothing", "", said("openai", None, &["tiny"])),
        ] {
            assert_eq!(known(&[("/v1/models", &list(owner)), (path, answer)]), expected);
        }
        assert_eq!(known(&[("/info", r#"{"model_id":"m","version":"3.3"}"#)]), said("tgi", Some("3.3"), &["m"]));
        assert!(matches!(asked("", &[("/openai/v1/models", &list("x"))], 404).0, Identity::Unknown(_)));
    }

    #[test]
    fn nothing_is_asked_beside_the_path_that_was_given() {
        let (identity, paths) = asked("/v1", &[("/models", &list("vllm"))], 404);
        assert!(matches!(identity, Identity::Known(Said { kind: "vllm", .. })));
        assert_eq!(paths, ["/models"]);
    }

    #[test]
    fn a_gateway_is_not_asked_for_what_it_would_pass_on() {
        let (_, paths) = asked("", &[("/v1/models", &list("openai"))], 404);
        assert!(!paths.iter().any(|path| path.starts_with("/openai")), "{paths:?}");
    }

    #[test]
    fn a_locked_a_loading_and_an_unknown_server_are_told_apart() {
        assert!(matches!(asked("", &[], 401).0, Identity::Locked(401)));
        assert!(matches!(asked("", &[], 503).0, Identity::Loading));
        let Identity::Unknown(asked) = asked("", &[], 404).0 else { panic!("nothing is there") };
        assert!(asked.len() >= 4 && asked.iter().all(|(_, status)| *status == 404), "{asked:?}");
        let silent = identify("", &mut |_| Err(ProbeError::Refused));
        assert!(matches!(silent, Identity::Silent(ProbeError::Refused)));
    }
}
