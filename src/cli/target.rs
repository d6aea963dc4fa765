//! Which server is tested.

use clap::Args;

/// Where the server under test listens.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Target")]
pub(crate) struct TargetArgs {
    /// Send requests to this server (repeatable: servers take turns). A path in
    /// URL becomes a prefix of every request's path.
    #[arg(long, value_name = "URL")]
    target_url: Vec<String>,
    /// Host of the server to test or to start [default: 127.0.0.1].
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Port of the server to test or to start [default: 8080].
    #[arg(long, value_name = "PORT", allow_negative_numbers = true)]
    port: Option<String>,
    /// Kind of server: auto, llmsim, openai, anthropic, vllm, sglang, llamacpp,
    /// tgi, ollama, litellm, azure. `auto` asks the server [default: auto].
    #[arg(long, value_name = "KIND")]
    server: Option<String>,
    /// Do not probe the target before the test for its kind, its models and its
    /// chat template. Take paths and models from the profile, --server, --path
    /// and --model.
    #[arg(long)]
    no_probe: bool,
    /// Wait up to D for a target that is unreachable or still loading (503).
    #[arg(long, value_name = "D", allow_hyphen_values = true)]
    wait_ready: Option<String>,
}
