//! Where keys and passwords are read from. Their values never stand on a command line.

use clap::Args;

/// Files of secrets. The environment may hold the secrets themselves: `LLMSIM_BLAST_API_KEY`,
/// `LLMSIM_BLAST_BASIC_AUTH`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Requests")]
pub(crate) struct CredentialArgs {
    /// Read the API key from FILE, and again whenever FILE changes. The key is
    /// sent as the API expects it and is never shown.
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<String>,
    /// Run COMMAND in a shell before the test, and use what it prints as the API
    /// key. Neither is ever shown.
    #[arg(long, value_name = "COMMAND")]
    api_key_command: Option<String>,
    /// Run --api-key-command again at this interval, like 50m, for keys that
    /// expire.
    #[arg(long, value_name = "EVERY")]
    api_key_refresh: Option<String>,
    /// Send the key as bearer, basic (the key is USER:PASSWORD), header:NAME or
    /// query:NAME, or sign requests as AWS expects: sigv4:SERVICE:REGION
    /// [default: as the API expects it].
    #[arg(long, value_name = "HOW")]
    auth: Option<String>,
    /// Read USER:PASSWORD for basic authentication from FILE. Never shown.
    #[arg(long, value_name = "FILE")]
    basic_auth_file: Option<String>,
}
