//! What every request has in common.

use clap::Args;

/// Whether responses are streamed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Requests")]
pub(crate) struct StreamArgs {
    /// Stream the responses: keep only the profile's streamed generation
    /// requests, or if it has none, stream all of them.
    #[arg(long)]
    stream: bool,
    /// Do not stream: keep only the profile's plain generation requests, or if
    /// it has none, make all of them plain.
    #[arg(long)]
    no_stream: bool,
}

/// What every request has in common.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Requests")]
pub(crate) struct RequestArgs {
    /// Header to add to every request (repeatable), like 'X-Team: blue'.
    #[arg(long, value_name = "K: V")]
    header: Vec<String>,
    /// API to use for generation requests (overrides the profile):
    /// openai-chat, openai-responses, openresponses, anthropic-messages,
    /// openai-completions, auto.
    #[arg(long, value_name = "API")]
    api: Option<String>,
    /// Path of generation requests (overrides the API's default).
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Model to ask for (overrides the profile).
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Prompts of N tokens each: words of one token, drawn for each request
    /// (overrides the profile; MIN..MAX for a range).
    #[arg(long, value_name = "N")]
    input_tokens: Option<String>,
    /// Token limit of each answer (overrides the profile; MIN..MAX for a range).
    #[arg(long, value_name = "N")]
    output_tokens: Option<String>,
    /// Token limit of each response: another name for --output-tokens.
    #[arg(long, value_name = "N")]
    max_tokens: Option<String>,
    /// Name of that limit in chat completions: `max_tokens`,
    /// `max_completion_tokens`, or auto, which finds out what the server accepts
    /// [default: auto].
    #[arg(long, value_name = "NAME")]
    token_limit_field: Option<String>,
    /// Field to add to the JSON body of each request (repeatable), like
    /// temperature=0. V is JSON, or a text.
    #[arg(long, value_name = "K=V")]
    body: Vec<String>,
    /// Ask streams of chat completions for their usage, whatever the profile's
    /// body says. That is the default for known kinds of server, as far as they
    /// accept it.
    #[arg(long)]
    include_usage: bool,
    /// Do not ask streams for their usage.
    #[arg(long)]
    no_include_usage: bool,
    /// Fail plain responses that do not report their usage: on, off [default: on].
    #[arg(long, value_name = "WHEN")]
    check_usage: Option<String>,
    /// Whether the server's prompt cache may find built-in prompts: miss (each
    /// opens with words of its own) or hit (they repeat) [default: miss].
    #[arg(long, value_name = "WORD")]
    prompt_cache: Option<String>,
    /// Send a failed request again up to N times, by the rules of the API's SDK
    /// (or of the profile's policy) [default: 0].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    retries: Option<String>,
    /// Seed of all random choices [default: 1].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    seed: Option<String>,
}
