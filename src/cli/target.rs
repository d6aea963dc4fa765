//! Which server is tested.

use clap::Args;

/// Where the server under test listens.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Target")]
pub(crate) struct TargetArgs {
    /// Server to test (repeatable: used in turn). A path in URL is put before
    /// the path of every request.
    #[arg(long, value_name = "URL")]
    target_url: Vec<String>,
    /// Host to test, and to start a server on [default: 127.0.0.1].
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Port to test, and to start a server on [default: 8080].
    #[arg(long, value_name = "PORT", allow_negative_numbers = true)]
    port: Option<String>,
    /// Kind of server: auto, llmsim, openai, anthropic, vllm, sglang, llamacpp,
    /// tgi, ollama, litellm, azure. `auto` asks it [default: auto].
    #[arg(long, value_name = "KIND")]
    server: Option<String>,
    /// Do not ask the target what it is, what it accepts and what it adds to
    /// prompts. Paths and models are those of the profile, of --server, --path
    /// and --model.
    #[arg(long)]
    no_probe: bool,
    /// Wait that long for a target that is loading (503) or not there yet.
    #[arg(long, value_name = "D", allow_hyphen_values = true)]
    wait_ready: Option<String>,
}
