//! What every request has in common.

use clap::Args;

/// Whether responses are streamed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Requests")]
pub(crate) struct StreamArgs {
    /// Stream all responses: send only the profile's streamed generation requests.
    /// If it has none, stream the plain ones.
    #[arg(long)]
    stream: bool,
    /// Stream no responses: send only the profile's plain generation requests. If
    /// it has none, do not stream the others.
    #[arg(long)]
    no_stream: bool,
}

/// What every request has in common.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Requests")]
pub(crate) struct RequestArgs {
    /// Add this header to every request (repeatable), like 'X-Team: blue'.
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
    /// Model to request (overrides the profile).
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Generate a prompt of N tokens for each request, from random words of one
    /// token each (overrides the profile; MIN..MAX for a range).
    #[arg(long, value_name = "N")]
    input_tokens: Option<String>,
    /// Limit each response to N tokens (overrides the profile; MIN..MAX for a
    /// range).
    #[arg(long, value_name = "N")]
    output_tokens: Option<String>,
    /// Same as --output-tokens.
    #[arg(long, value_name = "N")]
    max_tokens: Option<String>,
    /// Field that holds the token limit in chat completions: `max_tokens`,
    /// `max_completion_tokens`, or auto, which finds out what the server accepts
    /// [default: auto].
    #[arg(long, value_name = "NAME")]
    token_limit_field: Option<String>,
    /// Add this field to the JSON body of every request (repeatable), like
    /// temperature=0. V is JSON or plain text.
    #[arg(long, value_name = "K=V")]
    body: Vec<String>,
    /// Request token usage in streamed chat completions, even if the profile's
    /// body does not. This is the default for known kinds of server that accept
    /// it.
    #[arg(long)]
    include_usage: bool,
    /// Do not request token usage in streams.
    #[arg(long)]
    no_include_usage: bool,
    /// Fail plain responses that report no token usage: on, off [default: on].
    #[arg(long, value_name = "WHEN")]
    check_usage: Option<String>,
    /// Make built-in prompts miss the server's prompt cache (each prompt begins
    /// with unique words) or hit it (prompts repeat): miss, hit [default: miss].
    #[arg(long, value_name = "WORD")]
    prompt_cache: Option<String>,
    /// Retry a failed request up to N times, by the rules of the API's SDK or of
    /// the profile's policy [default: 0].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    retries: Option<String>,
    /// Seed for all random choices [default: 1].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    seed: Option<String>,
}
