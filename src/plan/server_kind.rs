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
    /// The header that carries the key; none if each API has its own.
    pub key_header: Option<&'static str>,
}

impl ServerKind {
    const fn new(name: &'static str, title: &'static str, layout: Layout) -> Self {
        Self { name, title, layout, key_header: None }
    }
}

/// All that are known. The first is llmsim, which is assumed where nothing is known.
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

/// Azure's models, as Microsoft's reference of its REST API has them.
const AZURE: ServerKind =
    ServerKind { key_header: Some("api-key"), ..ServerKind::new("azure", "Azure", Layout::AzureV1) };

/// How the names of Azure's servers end.
const AZURE_HOSTS: [&str; 3] = [".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com"];

/// Asks the server what it is.
const AUTO: &str = "auto";

impl ServerKind {
    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.name == name)
    }

    /// The kind of which the host's name tells without a question.
    pub(super) fn of_host(host: &str) -> Option<Self> {
        let host = host.to_ascii_lowercase();
        AZURE_HOSTS.iter().any(|end| host.ends_with(end)).then_some(AZURE)
    }

    /// Whether it says of itself what it is and which model it has. A list of Azure's has the models
    /// that could be deployed.
    pub(super) fn can_be_asked(self) -> bool {
        self != AZURE
    }

    /// The layout, at a target of that path and query.
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
