//! Kinds of servers: one row each says what they do otherwise.

use super::{Given, Origin, PlanError};
use crate::api::Layout;

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerKind {
    /// As `--server` has it.
    pub name: &'static str,
    /// As people write it.
    pub title: &'static str,
    pub layout: Layout,
}

/// All that are known. The first is llmsim, which is assumed where nothing is known.
const KINDS: [ServerKind; 9] = [
    ServerKind { name: "llmsim", title: "llmsim", layout: Layout::Llmsim },
    ServerKind { name: "openai", title: "OpenAI-compatible server", layout: Layout::Standard },
    ServerKind { name: "anthropic", title: "Anthropic-compatible server", layout: Layout::Standard },
    ServerKind { name: "vllm", title: "vLLM", layout: Layout::Standard },
    ServerKind { name: "sglang", title: "SGLang", layout: Layout::Standard },
    ServerKind { name: "llamacpp", title: "llama.cpp", layout: Layout::Standard },
    ServerKind { name: "tgi", title: "TGI", layout: Layout::Standard },
    ServerKind { name: "ollama", title: "Ollama", layout: Layout::Standard },
    ServerKind { name: "litellm", title: "LiteLLM", layout: Layout::Standard },
];

/// Asks the server what it is.
const AUTO: &str = "auto";

impl ServerKind {
    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.name == name)
    }

    /// What `--server` says; none for `auto`.
    pub(super) fn given(given: &Given) -> Result<Option<Self>, PlanError> {
        match given.value.trim() {
            AUTO => Ok(None),
            name => Self::from_name(name).map(Some).ok_or_else(|| {
                let names = KINDS.map(|kind| kind.name).join(", ");
                given.bad(format!("{AUTO}, {names}"))
            }),
        }
    }
}

/// What a target has said of itself before the test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundServer {
    pub kind: ServerKind,
    /// As it says it.
    pub version: Option<String>,
    /// The models that it lists.
    pub models: Vec<String>,
}

impl FoundServer {
    /// For people: `vLLM 0.32.0, model tiny`.
    pub fn told(&self) -> String {
        let version = self.version.as_ref().map_or(String::new(), |version| format!(" {version}"));
        let models = match self.models.as_slice() {
            [] => String::new(),
            [model] => format!(", model {model}"),
            models => format!(", {} models", models.len()),
        };
        format!("{}{version}{models}", self.kind.title)
    }

    /// The one model that it serves, as a value that was given.
    pub(super) fn only_model(&self) -> Option<Given> {
        match self.models.as_slice() {
            [model] => Some(Given { value: model.clone(), origin: Origin::Target }),
            _ => None,
        }
    }
}
