//! Kinds of servers. Each row describes how one differs.

use super::{Given, Origin, PlanError};
use crate::api::Layout;

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerKind {
    /// Its name for `--server`.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    pub layout: Layout,
    /// The header that carries the key. `None` if each API has its own.
    pub key_header: Option<&'static str>,
}

impl ServerKind {
    const fn new(name: &'static str, title: &'static str, layout: Layout) -> Self {
        Self { name, title, layout, key_header: None }
    }
}

/// All known kinds. The first is llmsim, which is assumed for an unknown server.
const KINDS: [ServerKind; 10] = [
    ServerKind::new("llmsim", "llmsim", Layout::Llmsim),
    ServerKind::new("openai", "OpenAI-compatible server", Layout::Standard),
    ServerKind::new("anthropic", "Anthropic-compatible server", Layout::Standard),
    ServerKind::new("vllm", "vLLM", Layout::Standard),
    ServerKind::new("sglang", "SGLang", Layout::Standard),
    ServerKind::new("llamacpp", "llama.cpp", Layout::Standard),
    ServerKind::new("tgi", "TGI", Layout::Standard),
    ServerKind::new("ollama", "Ollama", Layout::Standard),
    ServerKind::new("litellm", "LiteLLM", Layout::Standard),
    AZURE,
];

/// Azure's models, as in Microsoft's reference of its REST API.
const AZURE: ServerKind =
    ServerKind { key_header: Some("api-key"), ..ServerKind::new("azure", "Azure", Layout::AzureV1) };

/// Endings of the names of Azure's servers.
const AZURE_HOSTS: [&str; 3] = [".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com"];

/// The word that asks the server what it is.
const AUTO: &str = "auto";

impl ServerKind {
    /// Returns the kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.name == name)
    }

    /// Returns the kind that the host's name alone reveals.
    pub(super) fn of_host(host: &str) -> Option<Self> {
        let host = host.to_ascii_lowercase();
        AZURE_HOSTS.iter().any(|end| host.ends_with(end)).then_some(AZURE)
    }

    /// Returns true if it can be asked what it is and which model it has. Azure instead lists the
    /// models that could be deployed.
    pub(super) fn can_be_asked(self) -> bool {
        self != AZURE
    }

    /// Returns the layout at a target with this path and query.
    pub(super) fn layout_at(self, path: &str, query: &str) -> Layout {
        let dated = |parameter: &str| {
            parameter
                .strip_prefix("api-version=")
                .is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
        };
        match self.layout {
            // The URL names the deployment itself.
            Layout::AzureV1 if path.contains("/openai/deployments/") => Layout::BelowV1,
            Layout::AzureV1 if query.split('&').any(dated) => Layout::AzureDeployments,
            layout => layout,
        }
    }

    /// Parses `--server`. Returns `None` for `auto`.
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

/// A target's description of itself, from before the test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundServer {
    pub kind: ServerKind,
    /// The version that it reports.
    pub version: Option<String>,
    /// The models that it lists.
    pub models: Vec<String>,
}

impl FoundServer {
    /// Describes it for people: `vLLM 0.32.0, model tiny`.
    pub fn told(&self) -> String {
        let version = self.version.as_ref().map_or(String::new(), |version| format!(" {version}"));
        let models = match self.models.as_slice() {
            [] => String::new(),
            [model] => format!(", model {model}"),
            models => format!(", {} models", models.len()),
        };
        format!("{}{version}{models}", self.kind.title)
    }

    /// Returns the only model that it serves, as a value with its origin.
    pub(super) fn only_model(&self) -> Option<Given> {
        match self.models.as_slice() {
            [model] => Some(Given { value: model.clone(), origin: Origin::Target }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn azure_is_known_by_its_hosts_and_its_layout_by_the_url() {
        for (host, is_azure) in [
            ("mine.openai.azure.com", true),
            ("Mine.Services.AI.azure.com", true),
            ("openai.azure.com.example", false),
            ("localhost", false),
        ] {
            assert_eq!(ServerKind::of_host(host).is_some(), is_azure, "{host}");
        }
        for (path, query, layout) in [
            ("", "", Layout::AzureV1),
            ("", "api-version=preview", Layout::AzureV1),
            ("", "a=b&api-version=2024-10-21", Layout::AzureDeployments),
            ("/openai/deployments/x", "api-version=2024-10-21", Layout::BelowV1),
        ] {
            assert_eq!(AZURE.layout_at(path, query), layout, "{path}?{query}");
        }
        let vllm = ServerKind::from_name("vllm").expect("known");
        assert_eq!(vllm.layout_at("", "api-version=2024-10-21"), Layout::Standard);
    }

    #[test]
    fn every_kind_has_its_paths() {
        use crate::api::Api;
        for (layout, chat, responses) in [
            (Layout::Llmsim, "/openai/v1/chat/completions", "/openai/v1/responses"),
            (Layout::Standard, "/v1/chat/completions", "/v1/responses"),
            (Layout::BelowV1, "/chat/completions", "/responses"),
            (Layout::AzureV1, "/openai/v1/chat/completions", "/openai/v1/responses"),
            (Layout::AzureDeployments, "/openai/deployments/{model}/chat/completions", "/openai/responses"),
        ] {
            assert_eq!(Api::OpenaiChat.path_in(layout), chat);
            assert_eq!(Api::OpenaiResponses.path_in(layout), responses);
            assert_eq!(Api::Health.path_in(layout), "/health");
        }
    }
}
