//! What every request has in common.

use clap::Args;

/// What every request has in common.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Requests")]
pub(crate) struct RequestArgs {
    /// Header to add to every request (repeatable), like 'X-Team: blue'.
    #[arg(long, value_name = "K: V")]
    header: Vec<String>,
    /// API to use for generation requests (overrides the profile):
    /// openai-chat, openai-responses, openresponses, anthropic-messages, auto.
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
    /// Whether the server's prompt cache may find built-in prompts: miss (each
    /// opens with words of its own) or hit (they repeat) [default: miss].
    #[arg(long, value_name = "WORD")]
    prompt_cache: Option<String>,
    /// Seed of everything random [default: 1].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    seed: Option<String>,
}
